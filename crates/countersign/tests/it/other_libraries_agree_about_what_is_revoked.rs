//! OpenSSL and GnuTLS ask about certificates and agree with us on what is good, revoked and unknown.

use std::path::Path;
use std::process::Command;

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

    let active = asked.installation.admin().active(device.id).await.unwrap();
    done(&asked.installation.admin().revoke(active.id, "keyCompromise").await);
    let said = asked.openssl_ocsp("-cert leaf.pem");
    assert!(said.contains("leaf.pem: revoked") && said.contains("Reason: keyCompromise"), "{said}");
    assert!(asked.openssl_ocsp("-sha256 -no_nonce -cert leaf.pem").contains("leaf.pem: revoked"));
    let said = asked.gnutls_ocsp();
    assert!(said.contains("Certificate Status: revoked"), "{said}");
}
