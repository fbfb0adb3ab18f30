//! Proves that `cert verify` refuses what plain path validation lets through, and accepts its twin: chains
//! and revocation lists made with openssl.

use std::path::Path;

use serde_json::Value;

use crate::harness::openssl;
use crate::program::{Ran, run};

/// One week, one month and two years after the certificates were made.
const WEEK: i64 = 7;
const MONTH: i64 = 40;
const YEARS: i64 = 800;

const CA: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";
const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName=DNS:a.example.com\nextendedKeyUsage=serverAuth,clientAuth\n";
const UNKNOWN: &str = "1.3.6.1.4.1.99999.1=critical,ASN1:NULL\n";

/// A root, a CA below it and a leaf below that, each with extensions of its own.
struct Chain {
    folder: tempfile::TempDir,
}

fn must(folder: &Path, arguments: &str) {
    let path = |word: &str| match word.strip_prefix('@') {
        Some(file) => folder.join(file).to_str().unwrap().to_owned(),
        None => word.to_owned(),
    };
    let arguments: Vec<String> = arguments.split_whitespace().map(path).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ran = openssl(&arguments, b"");
    assert_eq!(ran.code, 0, "openssl {arguments:?}: {}", ran.stderr);
}

impl Chain {
    /// The root lives two years, the others four.
    fn new(root: &str, between: &str, leaf: &str) -> Self {
        let chain = Self { folder: tempfile::tempdir().unwrap() };
        chain.make("root", root, None, 730);
        chain.make("between", between, Some("root"), 1460);
        chain.make("leaf", leaf, Some("between"), 1460);
        chain.write_chain(&["leaf", "between"]);
        chain
    }

    fn good() -> Self {
        Self::new(CA, CA, LEAF)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path().join(name), text).unwrap();
    }

    fn make(&self, name: &str, extensions: &str, issuer: Option<&str>, days: u32) {
        self.write(&format!("{name}.ext"), extensions);
        let key = format!("-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout @{name}.key");
        must(self.path(), &format!("req -new {key} -subj /CN={name} -out @{name}.csr"));
        let signer = match issuer {
            None => format!("-signkey @{name}.key"),
            Some(issuer) => format!("-CA @{issuer}.pem -CAkey @{issuer}.key"),
        };
        must(
            self.path(),
            &format!("x509 -req -in @{name}.csr {signer} -days {days} -extfile @{name}.ext -out @{name}.pem"),
        );
    }

    fn write_chain(&self, names: &[&str]) {
        let pem = |name: &&str| fs_err::read_to_string(self.path().join(format!("{name}.pem"))).unwrap();
        self.write("chain.pem", &names.iter().map(pem).collect::<String>());
    }

    /// Signs a revocation list, due after 30 days, that names a certificate or none.
    fn revocation_list(&self, issuer: &str, revoked: Option<&str>) {
        let index = revoked.map(|name| {
            let certificate = fs_err::read_to_string(self.path().join(format!("{name}.pem"))).unwrap();
            let serial = crate::harness::serial_of(&certificate).to_uppercase();
            format!("R\t400101000000Z\t250101000000Z\t{serial}\tunknown\t/CN={name}\n")
        });
        self.write("index.txt", &index.unwrap_or_default());
        self.write("number", "01\n");
        let folder = self.path().display();
        self.write(
            "ca.cnf",
            &format!(
                "[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index.txt\ncrlnumber={folder}/number\n\
                 default_md=sha256\ncrl_extensions=list\n[list]\nauthorityKeyIdentifier=keyid\n"
            ),
        );
        must(
            self.path(),
            &format!(
                "ca -gencrl -config @ca.cnf -cert @{issuer}.pem -keyfile @{issuer}.key -crldays 30 -out @{issuer}.crl"
            ),
        );
    }

    /// What is said as many days after now.
    fn verify(&self, days: i64, more: &[&str]) -> (Ran, Value) {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let at = countersign_core::time::Timestamp::from_secs(i64::try_from(now).unwrap() + days * 86_400);
        let at = at.to_string();
        let fixed = ["cert", "verify", "--chain", "chain.pem", "--trust", "root.pem", "--at", &at, "--json"];
        let ran = run(self.path(), &[], &[&fixed[..], more].concat());
        let said = serde_json::from_str(&ran.stdout).unwrap_or_default();
        (ran, said)
    }

    #[track_caller]
    fn accepts(&self, days: i64, more: &[&str]) {
        for purpose in ["client", "server"] {
            let (ran, said) = self.verify(days, &[&["--purpose", purpose], more].concat());
            assert_eq!(
                (ran.code, &said["accepted"]),
                (0, &Value::Bool(true)),
                "{}{}",
                ran.stdout,
                ran.stderr
            );
        }
    }

    #[track_caller]
    fn refuses(&self, days: i64, more: &[&str], code: &str) {
        for purpose in ["client", "server"] {
            let (ran, said) = self.verify(days, &[&["--purpose", purpose], more].concat());
            assert_eq!(
                (ran.code, &said["accepted"]),
                (1, &Value::Bool(false)),
                "{}{}",
                ran.stdout,
                ran.stderr
            );
            assert_eq!(said["code"], code, "{said}");
            assert!(said["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
            assert!(ran.stderr.starts_with("error: refused, "), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_right_chain_is_accepted_and_the_evil_twins_refused() {
    let (chain, twin) = (Chain::good(), Chain::good());
    chain.accepts(WEEK, &[]);
    chain.accepts(WEEK, &["--host", "a.example.com"]);
    chain.refuses(WEEK, &["--host", "b.example.com"], "HOST_OTHER");
    let forged = fs_err::read_to_string(twin.path().join("leaf.pem")).unwrap();
    chain.write("leaf.pem", &forged);
    chain.write_chain(&["leaf", "between"]);
    chain.refuses(WEEK, &[], "SIGNATURE_BAD");
    chain.write_chain(&["leaf"]);
    chain.refuses(WEEK, &[], "ISSUER_UNKNOWN");
}

#[test]
fn a_leaf_for_anything_nothing_or_signing_is_refused() {
    let without = |line: &str| LEAF.replace(line, "");
    for (leaf, code) in [
        (without("extendedKeyUsage=serverAuth,clientAuth\n"), "EXTENDED_KEY_USAGE_WRONG"),
        (LEAF.replace("serverAuth,clientAuth", "anyExtendedKeyUsage"), "EXTENDED_KEY_USAGE_WRONG"),
        (LEAF.replace("clientAuth", "clientAuth,anyExtendedKeyUsage"), "EXTENDED_KEY_USAGE_WRONG"),
        (LEAF.replace("digitalSignature", "digitalSignature,keyCertSign"), "KEY_USAGE_WRONG"),
        (LEAF.replace("digitalSignature", "digitalSignature,cRLSign"), "KEY_USAGE_WRONG"),
        (LEAF.replace("CA:FALSE", "CA:TRUE"), "KEY_USAGE_WRONG"),
        (format!("{LEAF}{UNKNOWN}"), "CRITICAL_EXTENSION_UNKNOWN"),
    ] {
        Chain::new(CA, CA, &leaf).refuses(WEEK, &[], code);
    }
}

#[test]
fn a_ca_that_is_none_or_that_nobody_understands_is_refused_wherever_it_stands() {
    for (ca, code) in [
        (format!("{CA}{UNKNOWN}"), "CRITICAL_EXTENSION_UNKNOWN"),
        (CA.replace("keyCertSign,", ""), "ISSUER_UNFIT"),
    ] {
        Chain::new(&ca, CA, LEAF).refuses(WEEK, &[], code);
        Chain::new(CA, &ca, LEAF).refuses(WEEK, &[], code);
    }
    Chain::new("subjectKeyIdentifier=hash\n", CA, LEAF).refuses(WEEK, &[], "ISSUER_UNFIT");
    Chain::new(CA, &CA.replace("CA:TRUE", "CA:FALSE"), LEAF).refuses(WEEK, &[], "CHAIN_INVALID");
}

#[test]
fn an_expired_root_ends_the_trust_in_what_it_signed() {
    let chain = Chain::good();
    chain.accepts(WEEK, &[]);
    chain.refuses(YEARS, &[], "CERTIFICATE_EXPIRED");
    chain.refuses(-WEEK, &[], "CERTIFICATE_NOT_YET_VALID");
}

#[test]
fn a_revocation_list_decides_when_it_may() {
    let chain = Chain::good();
    let lists = ["--crl", "between.crl"];
    chain.revocation_list("between", None);
    chain.accepts(WEEK, &lists);
    chain.refuses(MONTH, &lists, "REVOCATION_LIST_UNFIT");
    chain.revocation_list("between", Some("leaf"));
    chain.refuses(WEEK, &lists, "CERTIFICATE_REVOKED");
    // One about the CA counts as well; alone it says nothing about the leaf.
    chain.revocation_list("between", None);
    chain.revocation_list("root", None);
    chain.refuses(WEEK, &["--crl", "root.crl"], "REVOCATION_UNKNOWN");
    chain.accepts(WEEK, &["--crl", "between.crl", "--crl", "root.crl"]);
    chain.revocation_list("root", Some("between"));
    chain.refuses(WEEK, &["--crl", "between.crl", "--crl", "root.crl"], "CERTIFICATE_REVOKED");
}

#[test]
fn a_revocation_list_of_somebody_who_may_not_make_any_is_refused() {
    let may_not = CA.replace(",cRLSign", "");
    let below_the_root = |root: &str| {
        let chain = Chain::new(root, CA, LEAF);
        chain.make("leaf", LEAF, Some("root"), 1460);
        chain.write_chain(&["leaf"]);
        chain.revocation_list("root", None);
        chain
    };
    below_the_root(CA).accepts(WEEK, &["--crl", "root.crl"]);
    below_the_root(&may_not).refuses(WEEK, &["--crl", "root.crl"], "REVOCATION_LIST_UNFIT");
    below_the_root(&may_not).accepts(WEEK, &[]);
    let chain = Chain::new(CA, &may_not, LEAF);
    chain.revocation_list("between", None);
    chain.refuses(WEEK, &["--crl", "between.crl"], "REVOCATION_LIST_UNFIT");
    let (chain, twin) = (below_the_root(CA), below_the_root(CA));
    chain.write("root.crl", &fs_err::read_to_string(twin.path().join("root.crl")).unwrap());
    chain.refuses(WEEK, &["--crl", "root.crl"], "REVOCATION_LIST_UNFIT");
}

#[test]
fn a_command_line_that_cannot_be_followed_is_no_verdict() {
    let chain = Chain::good();
    let verify = |chain_file: &str, trust: &str, more: &[&str]| {
        let fixed = ["cert", "verify", "--chain", chain_file, "--trust", trust, "--purpose", "server"];
        run(chain.path(), &[], &[&fixed[..], more].concat())
    };
    assert_eq!(verify("chain.pem", "root.pem", &[]).code, 0);
    assert_eq!(verify("missing.pem", "root.pem", &[]).code, 2);
    assert_eq!(verify("chain.pem", "root.key", &[]).code, 2);
    assert_eq!(verify("chain.pem", "root.pem", &["--crl", "leaf.pem"]).code, 2);
    assert_eq!(verify("chain.pem", "root.pem", &["--host", "no host"]).code, 2);
    let ran = verify("root.key", "root.pem", &[]);
    assert_eq!(ran.code, 1, "what a peer shows is refused, whatever it is");
    assert!(
        ran.stderr.contains("CERTIFICATE_MALFORMED") && ran.stderr.contains("a private key"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_device_is_told_by_name_and_only_one() {
    let device = |names: &str| LEAF.replace("DNS:a.example.com", names).replace("serverAuth,", "");
    let one = "URI:spiffe://countersign.internal/tenant/acme/device/d1";
    let chain = Chain::new(CA, CA, &device(one));
    for purpose in ["client", "device"] {
        let (ran, said) = chain.verify(WEEK, &["--purpose", purpose]);
        assert_eq!(
            (ran.code, &said["device"]["device"]),
            (0, &Value::from("d1")),
            "{}{}",
            ran.stdout,
            ran.stderr
        );
    }
    let two = format!("{one},URI:spiffe://countersign.internal/tenant/acme/device/d2");
    let chain = Chain::new(CA, CA, &device(&two));
    for purpose in ["client", "device"] {
        let (ran, said) = chain.verify(WEEK, &["--purpose", purpose]);
        assert_eq!((ran.code, &said["code"]), (1, &Value::from("IDENTITY_AMBIGUOUS")), "{}", ran.stdout);
    }
    let (ran, said) = Chain::good().verify(WEEK, &["--purpose", "device"]);
    assert_eq!((ran.code, &said["code"]), (1, &Value::from("IDENTITY_MISSING")), "{}", ran.stdout);
}
