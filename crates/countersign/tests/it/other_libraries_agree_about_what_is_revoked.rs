//! OpenSSL, GnuTLS and NSS ask about certificates and agree with us on what is good, revoked and unknown.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::harness::{Device, Installation, Relay, Time, done};

/// An installation that others can ask, and files for them to read.
struct Asked {
    installation: Installation,
    relay: Relay,
}

/// What a program said.
struct Said {
    success: bool,
    text: String,
}

impl Asked {
    async fn new() -> Self {
        let relay = Relay::open().await;
        let config = format!("public_base_url = \"{}\"\n", relay.url());
        let installation = Installation::configured(&config, Time::Real).await;
        relay.lead_to(installation.admin_address());
        Self { installation, relay }
    }

    fn write(&self, name: &str, content: &str) {
        fs_err::write(self.installation.folder().join(name), content).unwrap();
    }

    /// Leaf, its CA and the root, each in a file.
    fn write_chain(&self, device: &Device) {
        let chain = &device.certificate().chain;
        let mut certificates = chain.split_inclusive("-----END CERTIFICATE-----\n");
        self.write("leaf.pem", &device.certificate().certificate);
        self.write("issuer.pem", certificates.next().unwrap());
        self.write("root.pem", self.installation.root_pem());
        self.write("trust.pem", &format!("{chain}{}", self.installation.root_pem()));
    }

    fn run(&self, program: &str, arguments: &str) -> Said {
        let folder: &Path = self.installation.folder();
        let output =
            Command::new(program).current_dir(folder).args(arguments.split_whitespace()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        Said { success: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    fn openssl_ocsp(&self, whose: &str) -> String {
        let url = format!("{}/pki/ocsp", self.relay.url());
        let said = self.run(
            "openssl",
            &format!("ocsp -issuer issuer.pem {whose} -url {url} -CAfile root.pem -verify_other issuer.pem"),
        );
        assert!(said.success && said.text.contains("Response verify OK"), "{}", said.text);
        said.text
    }

    /// The address is read from the certificate.
    fn gnutls_ocsp(&self) -> String {
        let said = self.run(
            "ocsptool",
            "--ask --nonce --load-cert leaf.pem --load-issuer issuer.pem --load-trust trust.pem",
        );
        assert!(said.text.contains("Verifying OCSP Response: Success"), "{}", said.text);
        said.text
    }

    /// A store of NSS that trusts the root.
    fn fill_nss(&self) {
        fs_err::create_dir(self.installation.folder().join("nss")).unwrap();
        let fill = ["-N -d nss --empty-password", "-A -a -d nss -n root -t CT,CT,CT -i root.pem"];
        for arguments in fill {
            let said = self.run("certutil", arguments);
            assert!(said.success, "{arguments}: {}", said.text);
        }
    }

    /// What NSS thinks of the leaf, which it asks about anew each time, at the address in it. No answer
    /// counts as revoked. About its CA, made before there was an address, nobody can be asked.
    fn nss(&self) -> Said {
        self.run(
            "vfychain",
            "-pp -d nss -u 0 -g leaf -h requireFreshInfo -m ocsp -s failIfNoInfo -a leaf.pem -a issuer.pem",
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_hear_good_then_revoked_and_about_a_stranger_unknown() {
    let asked = Asked::new().await;
    let device = Device::enrol(&asked.installation, "ws-01").await;
    asked.write_chain(&device);
    assert!(asked.openssl_ocsp("-cert leaf.pem").contains("leaf.pem: good"));
    assert!(asked.openssl_ocsp("-sha256 -no_nonce -cert leaf.pem").contains("leaf.pem: good"));
    assert!(asked.openssl_ocsp("-serial 0x0123456789abcdef").contains(": unknown"));
    let said = asked.gnutls_ocsp();
    assert!(said.contains("Certificate Status: good"), "{said}");
    asked.fill_nss();
    let said = asked.nss();
    assert!(said.success && said.text.contains("Chain is good"), "{}", said.text);

    let active = asked.installation.admin().active(device.id).await.unwrap();
    done(&asked.installation.admin().revoke(active.id, "keyCompromise").await);
    let said = asked.openssl_ocsp("-cert leaf.pem");
    assert!(said.contains("leaf.pem: revoked") && said.contains("Reason: keyCompromise"), "{said}");
    assert!(asked.openssl_ocsp("-sha256 -no_nonce -cert leaf.pem").contains("leaf.pem: revoked"));
    let said = asked.gnutls_ocsp();
    assert!(said.contains("Certificate Status: revoked"), "{said}");
    let said = asked.nss();
    assert!(!said.success && said.text.contains("Peer's Certificate has been revoked"), "{}", said.text);
}

/// A request made by openssl, percent-encoded as RFC 6960 appendix A.1 wants it.
fn in_a_path(request: &[u8]) -> String {
    let base64 = STANDARD.encode(request);
    base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_takes_a_request_in_its_path_however_it_is_spelt() {
    let asked = Asked::new().await;
    let device = Device::enrol(&asked.installation, "ws-01").await;
    asked.write_chain(&device);
    let made = asked.run("openssl", "ocsp -issuer issuer.pem -cert leaf.pem -no_nonce -reqout request.der");
    assert!(made.success, "{}", made.text);
    let request = fs_err::read(asked.installation.folder().join("request.der")).unwrap();
    let (encoded, plain) = (in_a_path(&request), STANDARD.encode(&request));
    let mut answers = Vec::new();
    for path in [encoded, plain, URL_SAFE_NO_PAD.encode(&request)] {
        let path = format!("/pki/ocsp/{path}");
        let answer = asked.installation.connect().await.request("GET", &path, &[], "").await.unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/ocsp-response"));
        assert!(answer.header("cache-control").starts_with("max-age=300, public"), "{path}");
        fs_err::write(asked.installation.folder().join("answer.der"), &answer.body).unwrap();
        let said = asked.run(
            "openssl",
            "ocsp -issuer issuer.pem -cert leaf.pem -no_nonce -respin answer.der -CAfile root.pem \
             -verify_other issuer.pem",
        );
        assert!(said.success && said.text.contains("leaf.pem: good"), "{}", said.text);
        answers.push(answer.body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the one that is kept");
    let hidden =
        asked.installation.connect().await.request("GET", "/pki/ocsp/..%2fca", &[], "").await.unwrap();
    assert_eq!(hidden.status, 400, "what is no request gets no exception");
}
