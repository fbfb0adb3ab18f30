//! Proves the ceremony: a CA gets its key here and its certificate from a root that is offline, takes the
//! place of another, and what the root must say of the other comes back the same way.

use std::path::Path;

use countersign_testkit::{SoftToken, TOKEN_LABEL};
use serde_json::Value;

use crate::harness::{
    Device, Installation, OfflineMachine, openssl, printed, refused, revoked_serials, secret_file, serial_of,
};
use crate::program::{Ran, run};

const SUBJECT: &str = "CN=Example device CA 2,O=Example";
const ROLE: [&str; 4] = ["--role", "device", "--subject", SUBJECT];

/// An installation that does not run, and the machine with its root.
async fn apart() -> (Installation, OfflineMachine) {
    let mut installation = Installation::start().await;
    assert!(installation.terminate().await.success());
    let machine = OfflineMachine::with_root_of(&installation);
    (installation, machine)
}

fn csr(installation: &Installation, name: &str, wanted: &[&str]) -> Ran {
    let out = format!("{name}.csr");
    let ran = installation.run(&[&["ca", "csr", name, "--out", out.as_str()], wanted].concat());
    assert!(ran.code != 0 || ran.stdout.contains("countersign ca sign --csr"), "{}", ran.stdout);
    ran
}

fn sign(machine: &OfflineMachine, name: &str, wanted: &[&str]) -> Ran {
    let (from, to) = (format!("{name}.csr"), format!("{name}.pem"));
    machine.with_root(&[&["ca", "sign", "--csr", from.as_str(), "--out", to.as_str()], wanted].concat())
}

fn import(installation: &Installation, file: &str) -> Ran {
    installation.run(&["ca", "import-signed", file, "--json"])
}

fn rotate(installation: &Installation, arguments: &[&str]) -> Ran {
    fs_err::write(installation.folder().join("owner.token"), installation.admin().token()).unwrap();
    let rest = ["--token-file", "owner.token", "--config", "countersign.toml", "--ports-file", "ports.json"];
    installation.run(&[&["ca", "rotate"], arguments, &rest, &["--json"]].concat())
}

fn root_line(installation: &Installation) -> String {
    let tree = installation.run(&["ca", "tree"]).stdout;
    tree.lines().find(|line| line.starts_with("root:")).unwrap().to_owned()
}

#[tokio::test]
async fn it_takes_the_place_of_another_and_the_root_says_so() {
    let (mut installation, machine) = apart().await;
    assert_eq!(csr(&installation, "device-2", &ROLE).code, 0);
    // Asked again, the same.
    let first = fs_err::read(installation.folder().join("device-2.csr")).unwrap();
    assert_eq!(csr(&installation, "device-2", &ROLE).code, 0);
    assert_eq!(fs_err::read(installation.folder().join("device-2.csr")).unwrap(), first);
    machine.carry(&installation, "device-2.csr");
    let signed = printed(&sign(&machine, "device-2", &[&ROLE[..], &["--json"]].concat()));
    machine.carry(&installation, "device-2.pem");
    the_chain_verifies(machine.folder());
    let ledger = machine.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!((&ledger[0]["serial"], &ledger[0]["subject"]), (&signed["serial"], &SUBJECT.into()));

    let taken = printed(&import(&installation, "device-2.pem"));
    assert_eq!(taken["cas"][0]["state"], "prepared", "{taken}");
    assert_eq!(taken["cas"][0]["parent"], "root");
    refused(&import(&installation, "device-2.pem"), "no CA waits for this certificate");

    installation.start_again().await;
    assert_eq!(installation.admin().audit("event=ca.signed_elsewhere").await.len(), 1);
    refused(&rotate(&installation, &["device", "--to", "service"]), "is of another role");
    refused(&rotate(&installation, &["device", "--to", "nobody"]), "404");
    let prepared = printed(&rotate(&installation, &["device", "--to", "device-2"]));
    assert_eq!(prepared["rotation"]["new"], "device-2", "{prepared}");
    assert_eq!(printed(&rotate(&installation, &["device"]))["rotation"]["step"], "active");
    let device = Device::enrol(&installation, "pump").await;
    let beat = device.heartbeat(&mut device.connect(&installation).await).await;
    assert_eq!(beat.status, 200, "{}", beat.text());
    let chain = fs_err::read_to_string(machine.folder().join("device-2.pem")).unwrap();
    assert!(device.certificate().chain.contains(chain.trim()), "it is signed by the new one");

    // The old one is let go; its certificate must come on the list of the root, whose key is elsewhere.
    let old = installation.run(&["ca", "export", "device"]).stdout;
    assert_eq!(printed(&rotate(&installation, &["device"]))["rotation"]["step"], "retired");
    assert!(root_line(&installation).contains("lacks a revoked CA"), "{}", root_line(&installation));
    let ready = installation.get_plain("/health/ready").await.json();
    assert!(ready["warnings"][0].as_str().unwrap().contains("crl-request root"), "{ready}");
    assert!(installation.terminate().await.success());
    the_list_is_brought_up_to_date(&installation, &machine, &serial_of(&old));

    installation.start_again().await;
    let ready = installation.get_plain("/health/ready").await.json();
    assert_eq!(ready.get("warnings"), None, "{ready}");
    let beat = device.heartbeat(&mut device.connect(&installation).await).await;
    assert_eq!(beat.status, 200, "{}", beat.text());
}

fn the_chain_verifies(folder: &Path) {
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let verified =
        openssl(&["verify", "-x509_strict", "-CAfile", &file("root.pem"), &file("device-2.pem")], b"");
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

fn the_list_is_brought_up_to_date(installation: &Installation, machine: &OfflineMachine, serial: &str) {
    let asked = installation.run(&["ca", "crl-request", "root", "--to", "crl.json"]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    machine.carry(installation, "crl.json");
    let sign =
        |out: &str| machine.with_root(&["ca", "sign-crl", "--request", "crl.json", "--out", out, "--json"]);
    assert_eq!(printed(&sign("root.crl.pem"))["lists"], 1);
    refused(&sign("again.crl.pem"), "were signed already");
    assert_eq!(machine.ledger().last().unwrap()["signed"], "crls");
    machine.carry(installation, "root.crl.pem");

    let taken = printed(&import(installation, "root.crl.pem"));
    assert_eq!(taken["lists"][0]["ca"], "root", "{taken}");
    // Once more, as after a power cut between two of them, changes nothing.
    assert_eq!(printed(&import(installation, "root.crl.pem")), taken);
    assert!(!root_line(installation).contains("key is needed"), "{}", root_line(installation));
    let published = installation.run(&["ca", "crl", "root"]).stdout;
    let path = installation.folder().join("published.pem");
    fs_err::write(&path, &published).unwrap();
    let to = installation.folder().join("published.der");
    let (path, der) = (path.to_str().unwrap(), to.to_str().unwrap());
    assert_eq!(openssl(&["crl", "-in", path, "-outform", "DER", "-out", der], b"").code, 0);
    assert_eq!(revoked_serials(&fs_err::read(&to).unwrap()), [serial]);
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_taken_in() {
    let (installation, machine) = apart().await;
    assert_eq!(csr(&installation, "device-2", &ROLE).code, 0);
    machine.carry(&installation, "device-2.csr");

    // Another subject, another role: the template decides, and it is not the one that was asked for.
    let other = ["--role", "device", "--subject", "CN=Somebody else"];
    assert_eq!(sign(&machine, "device-2", &other).code, 0);
    machine.carry(&installation, "device-2.pem");
    refused(&import(&installation, "device-2.pem"), "names \"CN=Somebody else\"");
    fs_err::remove_file(installation.folder().join("device-2.pem")).unwrap();
    let other = ["--role", "service", "--subject", SUBJECT];
    assert_eq!(sign(&machine, "device-2", &other).code, 0);
    machine.carry(&installation, "device-2.pem");
    refused(&import(&installation, "device-2.pem"), "its purpose is not clientAuth alone");
    fs_err::remove_file(installation.folder().join("device-2.pem")).unwrap();

    // The right words for the key of another.
    let key = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], b"").stdout;
    let key_file = secret_file(machine.folder(), "other.key", &key);
    let request = openssl(&["req", "-new", "-key", &key_file, "-subj", "/CN=x"], b"").stdout;
    fs_err::write(machine.folder().join("other.csr"), &request).unwrap();
    assert_eq!(sign(&machine, "other", &ROLE).code, 0);
    machine.carry(&installation, "other.pem");
    refused(&import(&installation, "other.pem"), "no CA waits for this certificate");

    // Another root.
    let (_elsewhere, stranger) = apart().await;
    fs_err::copy(machine.folder().join("device-2.csr"), stranger.folder().join("device-2.csr")).unwrap();
    assert_eq!(sign(&stranger, "device-2", &ROLE).code, 0);
    fs_err::copy(stranger.folder().join("device-2.pem"), installation.folder().join("device-2.pem")).unwrap();
    refused(&import(&installation, "device-2.pem"), "has signed the certificate of device-2");

    // What is no certificate, and who waits no more.
    fs_err::write(installation.folder().join("device-2.pem"), "nothing").unwrap();
    refused(&import(&installation, "device-2.pem"), "neither a certificate nor a revocation list");
    assert_eq!(installation.run(&["ca", "csr-withdraw", "device-2"]).code, 0);
    refused(&installation.run(&["ca", "csr-withdraw", "device-2"]), "no CA device-2 waits");
    assert_eq!(sign(&machine, "device-2", &ROLE).code, 0);
    fs_err::copy(machine.folder().join("device-2.pem"), installation.folder().join("device-2.pem")).unwrap();
    refused(&import(&installation, "device-2.pem"), "no CA waits for this certificate");
}

#[tokio::test]
async fn the_machine_of_the_root_refuses_what_no_server_would_sign() {
    let (installation, machine) = apart().await;
    assert_eq!(csr(&installation, "device-2", &ROLE).code, 0);
    refused(
        &csr(&installation, "device-2", &["--role", "device", "--subject", "CN=Other"]),
        "another subject",
    );
    refused(&csr(&installation, "device", &ROLE), "there is a CA device already");
    let limited = [&ROLE[..], &["--path-length", "3"]].concat();
    refused(&csr(&installation, "device-3", &limited), "are fixed");
    machine.carry(&installation, "device-2.csr");

    let wrong = secret_file(machine.folder(), "wrong", "another passphrase");
    let sign_with = |passphrase: &str, csr: &str| {
        let arguments = ["ca", "sign", "--csr", csr, "--root-file", "root.pem", "--out", "out.pem"];
        run(machine.folder(), &[], &[&arguments[..], &ROLE, &["--passphrase-file", passphrase]].concat())
    };
    refused(&sign_with(&wrong, "device-2.csr"), "the passphrase is wrong");
    let mut broken = fs_err::read(machine.folder().join("device-2.csr")).unwrap();
    broken[120] = if broken[120] == b'A' { b'B' } else { b'A' };
    fs_err::write(machine.folder().join("broken.csr"), broken).unwrap();
    refused(&sign_with("passphrase", "broken.csr"), "read broken.csr");
    // A name that no certificate can have.
    let long = format!("CN={}", "x".repeat(65));
    let arguments = ["--role", "device", "--subject", &long];
    assert_ne!(sign(&machine, "device-2", &arguments).code, 0);
    // Neither of them left a trace: what is not signed is not in the ledger.
    assert_eq!(machine.ledger(), Vec::<Value>::new());
    assert!(!machine.folder().join("out.pem").exists());
    // A ledger that cannot be read hides what was signed.
    fs_err::write(machine.folder().join("root.pem.ledger"), "torn\n").unwrap();
    refused(&sign_with("passphrase", "device-2.csr"), "read line 1 of");
    assert!(!machine.folder().join("out.pem").exists());
    let request = installation.run(&["ca", "crl-request", "device", "--to", "crl.json"]);
    refused(&request, "the key of the CA device is not offline");
}

#[tokio::test]
async fn its_key_may_be_in_a_token() {
    let (mut installation, machine) = apart().await;
    let token = SoftToken::new();
    installation.set_variable("SOFTHSM2_CONF", token.configuration().as_os_str());
    installation.reconfigure(&format!(
        "public_base_url = \"http://pki.example.com\"\n[pki.pkcs11]\nmodule = {:?}\ntoken = {TOKEN_LABEL:?}\n\
         pin_file = {:?}\n",
        SoftToken::module(),
        token.pin()
    ));
    installation.start_again().await;
    assert!(installation.terminate().await.success());
    let with_token = |arguments: &[&str]| {
        installation.run_with(
            &[("SOFTHSM2_CONF", token.configuration().to_str().unwrap())],
            &[arguments, &["--config", "countersign.toml"]].concat(),
        )
    };
    let asked = with_token(&[&["ca", "csr", "device-2", "--out", "device-2.csr"], &ROLE[..]].concat());
    assert!(
        asked.stdout.contains("--public-base-url http://pki.example.com"),
        "{}{}",
        asked.stdout,
        asked.stderr
    );
    machine.carry(&installation, "device-2.csr");
    let base = ["--public-base-url", "http://pki.example.com"];
    assert_eq!(sign(&machine, "device-2", &[&ROLE[..], &base].concat()).code, 0);
    machine.carry(&installation, "device-2.pem");
    let signed = machine.folder().join("device-2.pem");
    let text = openssl(&["x509", "-in", signed.to_str().unwrap(), "-noout", "-text"], b"").stdout;
    assert!(text.contains("URI:http://pki.example.com/pki/crl/"), "{text}");
    printed(&with_token(&["ca", "import-signed", "device-2.pem", "--json"]));

    installation.start_again().await;
    printed(&rotate(&installation, &["device", "--to", "device-2"]));
    printed(&rotate(&installation, &["device"]));
    let device = Device::enrol(&installation, "pump").await;
    let beat = device.heartbeat(&mut device.connect(&installation).await).await;
    assert_eq!(beat.status, 200, "{}", beat.text());
    let tree = installation.run(&["ca", "tree"]).stdout;
    let line = tree.lines().find(|line| line.contains(" device-2: ")).unwrap();
    assert!(line.contains("pkcs11:token=countersign%20test;object=countersign%20device-2"), "{tree}");
}
