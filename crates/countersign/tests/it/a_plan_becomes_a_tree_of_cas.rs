//! Proves that a plan becomes CAs and certificates that a stranger's library accepts, once, and that
//! what exists is neither made twice nor changed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::harness::openssl;
use crate::program::{Ran, repository, run};

fn example() -> String {
    repository().join("examples/ceneca.toml").to_str().unwrap().to_owned()
}

fn init(folder: &Path, plan: &str) -> Ran {
    run(folder, &[], &["ca", "init", "--plan", plan, "--data-dir", "data", "--out", "certs"])
}

fn ca(folder: &Path, arguments: &[&str]) -> String {
    let ran = run(folder, &[], &[&["ca"], arguments, &["--data-dir", "data"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_example_is_made_once_and_passes_the_check_of_its_document() {
    let folder = tempfile::tempdir().unwrap();
    let made = init(folder.path(), &example());
    assert_eq!(made.code, 0, "{}", made.stderr);
    let lines = |word: &str| made.stdout.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((lines("made"), lines("exists")), (7, 0), "{}", made.stdout);

    let certs = folder.path().join("certs");
    let file = |name: &str| certs.join(name).to_str().unwrap().to_owned();
    for name in ["web", "agent", "postgresql", "mongodb"] {
        let [key, certificate] = ["key", "cert"].map(|what| file(&format!("{name}/{name}-{what}.pem")));
        assert_eq!((mode(Path::new(&key)), mode(Path::new(&certificate))), (0o600, 0o644));
        let bundle = file("ca/ca-cert.pem");
        for strict in [&[][..], &["-x509_strict"]] {
            let verify = [&["verify"], strict, &["-CAfile", &bundle, &certificate]].concat();
            let verified = openssl(&verify, b"");
            assert_eq!(verified.code, 0, "{name}: {}{}", verified.stdout, verified.stderr);
        }
        // And for whoever has the root alone.
        let (root, chain) = (file("ca/ca-root.pem"), file(&format!("{name}/{name}-chain.pem")));
        let verified =
            openssl(&["verify", "-x509_strict", "-CAfile", &root, "-untrusted", &chain, &certificate], b"");
        assert_eq!(verified.code, 0, "{name}: {}{}", verified.stdout, verified.stderr);
        let of_key = openssl(&["pkey", "-in", &key, "-pubout"], b"").stdout;
        assert_eq!(openssl(&["x509", "-in", &certificate, "-noout", "-pubkey"], b"").stdout, of_key);
    }
    for directory in ["ca", "web", "agent"] {
        assert_eq!(mode(&certs.join(directory)), 0o755);
    }
    assert!(!certs.join("ca/ca-key.pem").exists(), "keys of CAs are sealed in the store");
    the_agent_says_what_its_document_says(&file("agent/agent-cert.pem"));

    let before = fs_err::read(file("web/web-cert.pem")).unwrap();
    let again = init(folder.path(), &example());
    assert_eq!((again.code, again.stdout.matches("exists").count()), (0, 7), "{}", again.stdout);
    assert_eq!(fs_err::read(file("web/web-cert.pem")).unwrap(), before);

    // A certificate whose key is lost is made anew.
    fs_err::remove_file(file("web/web-key.pem")).unwrap();
    let repaired = init(folder.path(), &example());
    assert_eq!((repaired.code, repaired.stdout.matches("made").count()), (0, 1), "{}", repaired.stdout);
    assert_ne!(fs_err::read(file("web/web-cert.pem")).unwrap(), before);
}

fn the_agent_says_what_its_document_says(certificate: &str) {
    let text = openssl(&["x509", "-in", certificate, "-noout", "-text"], b"").stdout;
    for expected in [
        "Subject: O=Enterprise, OU=Agent Services, CN=ceneca-agent\n",
        "Issuer: C=US, O=Enterprise, OU=Web Services, CN=Ceneca Web Services CA\n",
        "Digital Signature, Key Encipherment\n",
        "TLS Web Server Authentication, TLS Web Client Authentication\n",
        "DNS:ceneca-agent.enterprise.internal, IP Address:10.0.50.101\n",
    ] {
        let spaced = text.replace(" = ", "=");
        assert!(spaced.contains(expected), "{expected} in {text}");
    }
}

#[test]
fn the_tree_is_drawn_shown_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(init(folder.path(), &example()).code, 0);
    let tree = ca(folder.path(), &["tree"]);
    let heads: Vec<&str> = tree.lines().filter_map(|line| line.split(", until").next()).collect();
    assert_eq!(
        heads,
        [
            "ca: root, active",
            "├── device: device, active",
            "├── web-services: service, active",
            "└── database-services: intermediate, active",
        ],
        "{tree}"
    );
    assert!(tree.contains("key sealed, 2 live certificates"), "{tree}");
    let json: serde_json::Value = serde_json::from_str(&ca(folder.path(), &["tree", "--json"])).unwrap();
    let web = json["cas"].as_array().unwrap().iter().find(|ca| ca["name"] == "web-services").unwrap();
    assert_eq!((&web["parent"], &web["liveCertificates"]), (&"ca".into(), &2.into()));
    let shown = ca(folder.path(), &["show", "database-services"]);
    assert!(
        shown.contains("CN=Ceneca Database Services CA,OU=Database Services,O=Enterprise,C=US\n"),
        "{shown}"
    );

    let chain = ca(folder.path(), &["export", "web-services", "--chain"]);
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
    let ca_file = folder.path().join("web-services.pem");
    let to = ca_file.to_str().unwrap();
    assert_eq!(ca(folder.path(), &["export", "web-services", "--to", to]), "");
    let crl = run(folder.path(), &[], &["ca", "crl", "web-services", "--data-dir", "data"]);
    assert!(crl.stderr.starts_with("list 1 of 20") && !crl.stderr.contains("warning"), "{}", crl.stderr);
    let verified = openssl(&["crl", "-CAfile", to, "-noout"], crl.stdout.as_bytes());
    assert!(verified.stderr.contains("verify OK"), "{}", verified.stderr);

    let unknown = run(folder.path(), &[], &["ca", "show", "nobody", "--data-dir", "data"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (3, ""));
    assert!(unknown.stderr.contains("there is no CA nobody"), "{}", unknown.stderr);
}

#[test]
fn a_plan_that_contradicts_what_exists_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.toml");
    let write = |root: &str, more: &str| {
        let text = format!("[[ca]]\nname = \"top\"\nsubject = \"CN={root}\"\n{more}");
        fs_err::write(&plan, text).unwrap();
        init(folder.path(), plan.to_str().unwrap())
    };
    assert_eq!(write("Example Root", "").code, 0);
    let tree = ca(folder.path(), &["tree"]);

    let more = "[[ca]]\nname = \"web\"\nparent = \"top\"\nsubject = \"CN=Web\"\n[[ca]]\nname = \"makers\"\n\
                role = \"device\"\nparent = \"top\"\nsubject = \"CN=Makers\"\n";
    let refused = write("Another Root", more);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    for expected in ["the CA top has subject", "the CA makers cannot be the device CA: that is device"] {
        assert!(refused.stderr.contains(expected), "{expected} in {}", refused.stderr);
    }
    assert_eq!(ca(folder.path(), &["tree"]), tree);

    let wrong = write("Example Root", "subjct = \"x\"\nlifetime_days = 0\n");
    assert_eq!(wrong.code, 2);
    for expected in ["plan.toml:4: ca.subjct", "plan.toml:5: ca.lifetime_days"] {
        assert!(wrong.stderr.contains(expected), "{expected} in {}", wrong.stderr);
    }
    assert_eq!(ca(folder.path(), &["tree"]), tree);
}

#[test]
fn a_device_ca_is_signed_by_the_ca_that_the_plan_names_from_the_beginning() {
    let plan = |path_length: u8| {
        format!(
            "[[ca]]\nname = \"top\"\nsubject = \"CN=Acme\"\n\n\
             [[ca]]\nname = \"plant\"\nparent = \"top\"\nsubject = \"CN=Acme Plant\"\n\
             path_length = {path_length}\n\n\
             [[ca]]\nname = \"machines\"\nrole = \"device\"\nparent = \"plant\"\nsubject = \"CN=Acme Machines\"\n"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("plan.toml"), plan(0)).unwrap();
    let refused = init(folder.path(), "plan.toml");
    let expected = "plan.toml:11: ca.parent: the CA plant signs no CAs";
    assert!(refused.code != 0 && refused.stderr.contains(expected), "{}", refused.stderr);

    fs_err::write(folder.path().join("plan.toml"), plan(1)).unwrap();
    for word in ["made", "exists"] {
        let done = init(folder.path(), "plan.toml");
        assert_eq!(done.code, 0, "{}", done.stderr);
        let lines = done.stdout.lines().filter(|line| line.starts_with(word)).count();
        assert_eq!(lines, 3, "{}", done.stdout);
    }
    for (name, parent) in [("machines", "\"plant\""), ("plant", "\"top\""), ("service", "\"top\"")] {
        let shown = ca(folder.path(), &["show", name, "--json"]);
        assert!(shown.contains(&format!("\"parent\": {parent}")), "{shown}");
    }
}
