//! Proves that a CA which OpenSSL made signs here once it is imported, from the first start on or later, and
//! that whatever does not belong together, or is no such CA, is refused.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Device, Installation, Time, openssl, printed, refused, secret_file};
use crate::program::Ran;

const CA: &str = "basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n\
                  subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
const ROOT: &str =
    "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";

/// A folder with a PKI of somebody's.
struct Corporate<'a>(&'a Path);

impl Corporate<'_> {
    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn key(&self, name: &str) {
        let made = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], b"");
        secret_file(self.0, &format!("{name}.key"), &made.stdout);
    }

    /// A certificate `name`.pem with a key of its own, signed by `above` or by itself.
    fn certificate(&self, name: &str, above: Option<&str>, extensions: &str, more: &[&str]) {
        self.key(name);
        let [key, csr, ext, out] =
            ["key", "csr", "ext", "pem"].map(|kind| self.path(&format!("{name}.{kind}")));
        fs_err::write(&ext, extensions).unwrap();
        let subject = format!("/O=Corporate/CN={name}");
        let asked = openssl(&["req", "-new", "-key", &key, "-subj", &subject, "-out", &csr], b"");
        assert_eq!(asked.code, 0, "{}", asked.stderr);
        let common = ["x509", "-req", "-in", &csr, "-extfile", &ext, "-out", &out, "-set_serial", "0x42"];
        let signer = match above {
            Some(above) => vec![
                "-CA".to_owned(),
                self.path(&format!("{above}.pem")),
                "-CAkey".to_owned(),
                self.path(&format!("{above}.key")),
            ],
            None => vec!["-signkey".to_owned(), key.clone()],
        };
        let signer: Vec<&str> = signer.iter().map(String::as_str).collect();
        let days: &[&str] = if more.is_empty() { &["-days", "1000"] } else { more };
        let signed = openssl(&[&common, signer.as_slice(), days].concat(), b"");
        assert_eq!(signed.code, 0, "{}", signed.stderr);
    }
}

fn import(installation: &Installation, cert: &str, key: &str, more: &[&str]) -> Ran {
    let (cert, key) = (format!("{cert}.pem"), format!("{key}.key"));
    let import = ["ca", "import", "--cert", &cert, "--key", &key, "--name", "corporate", "--role", "device"];
    installation.run(&[&import, more].concat())
}

async fn stopped() -> Installation {
    let mut installation = Installation::start().await;
    assert!(installation.terminate().await.success());
    installation
}

#[tokio::test]
async fn it_takes_the_place_of_ours_and_openssl_verifies_what_it_signs() {
    let mut installation = stopped().await;
    let corporate = Corporate(installation.folder());
    corporate.certificate("top", None, ROOT, &[]);
    corporate.certificate("issuing", Some("top"), CA, &[]);
    let taken = printed(&import(&installation, "issuing", "issuing", &["--chain", "top.pem", "--json"]));
    assert_eq!(
        (&taken["parent"], &taken["state"]),
        (&"corporate-root".into(), &"prepared".into()),
        "{taken}"
    );
    let tree = installation.run(&["ca", "tree"]).stdout;
    assert!(tree.contains("corporate-root: root, active") && tree.contains("key offline"), "{tree}");
    assert!(tree.contains("└── corporate: device, prepared"), "{tree}");
    refused(&import(&installation, "issuing", "issuing", &["--chain", "top.pem"]), "has this key already");

    installation.start_again().await;
    assert_eq!(installation.admin().audit("event=ca.imported").await.len(), 2);
    fs_err::write(installation.folder().join("owner.token"), installation.admin().token()).unwrap();
    for more in [&["--to", "corporate"][..], &[]] {
        let rotate =
            ["ca", "rotate", "device", "--token-file", "owner.token", "--config", "countersign.toml"];
        let ran = installation.run(&[&rotate, more, &["--ports-file", "ports.json", "--json"]].concat());
        let _step: Value = printed(&ran);
    }
    let device = Device::enrol(&installation, "pump").await;
    let beat = device.heartbeat(&mut device.connect(&installation).await).await;
    assert_eq!(beat.status, 200, "{}", beat.text());
    verified_below(&installation, &device, "top.pem");
}

/// A leaf passes the check of whoever knows the root alone.
fn verified_below(installation: &Installation, device: &Device, root: &str) {
    let write = |name: &str, text: &str| {
        let path = installation.folder().join(name);
        fs_err::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let leaf = write("leaf.pem", &device.certificate().certificate);
    let chain = write("chain.pem", &device.certificate().chain);
    let root = installation.folder().join(root);
    let root = root.to_str().unwrap();
    let verify = ["verify", "-purpose", "sslclient", "-CAfile", root, "-untrusted", &chain, &leaf];
    let verified = openssl(&verify, b"");
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[tokio::test]
async fn what_does_not_belong_together_is_refused() {
    let installation = stopped().await;
    let corporate = Corporate(installation.folder());
    corporate.certificate("top", None, ROOT, &[]);
    corporate.certificate("issuing", Some("top"), CA, &[]);
    let with_root = ["--chain", "top.pem"];
    refused(&import(&installation, "issuing", "top", &with_root), "the certificate is not that of the key");
    refused(&import(&installation, "issuing", "issuing", &[]), "the chain is not complete");
    corporate.certificate("impostor", None, ROOT, &[]);
    refused(&import(&installation, "issuing", "issuing", &["--chain", "impostor.pem"]), "not complete");

    let no_ca = "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n";
    corporate.certificate("leaf", Some("top"), no_ca, &[]);
    refused(&import(&installation, "leaf", "leaf", &with_root), "not a CA");
    let no_usage = CA.replace("keyCertSign,cRLSign", "digitalSignature");
    corporate.certificate("mute", Some("top"), &no_usage, &[]);
    refused(&import(&installation, "mute", "mute", &with_root), "may not sign certificates");
    corporate.certificate("wide", Some("top"), &CA.replace(",pathlen:0", ""), &[]);
    refused(&import(&installation, "wide", "wide", &with_root), "path length 0");
    let servers = format!("{CA}extendedKeyUsage=serverAuth,clientAuth\n");
    corporate.certificate("servers", Some("top"), &servers, &[]);
    refused(&import(&installation, "servers", "servers", &with_root), "not clientAuth alone");
    let constrained = format!("{CA}nameConstraints=critical,permitted;DNS:example.com\n");
    corporate.certificate("constrained", Some("top"), &constrained, &[]);
    refused(&import(&installation, "constrained", "constrained", &with_root), "critical extension");
    corporate.certificate("below", Some("issuing"), CA, &[]);
    refused(&import(&installation, "below", "below", &["--chain", "issuing.pem"]), "path length");
    corporate.certificate("over", Some("top"), CA, &["-days", "-1"]);
    refused(&import(&installation, "over", "over", &with_root), "valid from");

    let tree = installation.run(&["ca", "tree"]).stdout;
    assert!(!tree.contains("corporate"), "{tree}");
}

#[tokio::test]
async fn a_key_under_a_passphrase_opens_with_it() {
    let installation = stopped().await;
    let corporate = Corporate(installation.folder());
    corporate.certificate("top", None, ROOT, &[]);
    corporate.certificate("issuing", Some("top"), CA, &[]);
    let (key, out) = (corporate.path("issuing.key"), corporate.path("sealed.key"));
    let pass = "pass:corporate secret";
    let sealed = openssl(&["pkcs8", "-topk8", "-in", &key, "-out", &out, "-passout", pass], b"");
    assert_eq!(sealed.code, 0, "{}", sealed.stderr);
    let with = |secret: &str| {
        let file = secret_file(installation.folder(), "key-passphrase", secret);
        import(&installation, "issuing", "sealed", &["--chain", "top.pem", "--key-passphrase-file", &file])
    };
    refused(&with("another secret"), "the passphrase is wrong");
    refused(
        &import(&installation, "issuing", "sealed", &["--chain", "top.pem"]),
        "no unencrypted private key",
    );
    let ran = with("corporate secret");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[tokio::test]
async fn it_makes_devices_from_the_first_start_on() {
    let mut installation = Installation::unstarted("", Time::Real);
    let folder = installation.folder().to_owned();
    let corporate = Corporate(&folder);
    corporate.certificate("top", None, ROOT, &[]);
    corporate.certificate("issuing", Some("top"), CA, &[]);
    let bundle = ["issuing.pem", "top.pem"].map(|name| fs_err::read_to_string(folder.join(name)).unwrap());
    fs_err::write(folder.join("bundle.pem"), bundle.concat()).unwrap();
    installation.set_variable("DEVICE_CA_CERT_PATH", "bundle.pem".as_ref());
    assert!(!installation.start_in_vain().await.success(), "one of the two alone");
    assert!(installation.log().contains("DEVICE_CA_KEY_PATH is not set"), "{}", installation.log());
    installation.set_variable("DEVICE_CA_KEY_PATH", "top.key".as_ref());
    assert!(!installation.start_in_vain().await.success(), "the key of another");
    assert!(installation.log().contains("not that of the key"), "{}", installation.log());

    installation.set_variable("DEVICE_CA_KEY_PATH", "issuing.key".as_ref());
    installation.start_again().await;
    installation.set_up().await;
    let device = Device::enrol(&installation, "pump").await;
    let beat = device.heartbeat(&mut device.connect(&installation).await).await;
    assert_eq!(beat.status, 200, "{}", beat.text());
    verified_below(&installation, &device, "top.pem");
    assert!(installation.terminate().await.success());

    // From then on the files are not needed.
    fs_err::remove_file(folder.join("issuing.key")).unwrap();
    installation.start_again().await;
    assert!(Device::enrol(&installation, "valve").await.mtls.is_some());
    let tree = installation.run(&["ca", "tree"]).stdout;
    assert!(tree.contains("device-root: root") && tree.contains("└── device: device, active"), "{tree}");
}
