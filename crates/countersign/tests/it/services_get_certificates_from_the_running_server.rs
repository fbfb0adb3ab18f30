//! Proves that `cert issue` makes a key that nobody else ever sees and a certificate that openssl accepts,
//! that a revoked one is refused by CRL and OCSP, and that nobody gets what the profile, the CA or their
//! role does not allow.

use countersign_store::{KeptKey, Store, StoreError};
use serde_json::json;

use crate::harness::{Clerk, Installation, openssl, until};
use crate::program::{Ran, run};

async fn clerk() -> Clerk {
    Clerk::at(Installation::start().await).await
}

#[track_caller]
fn refused(ran: &Ran, expected: &str) {
    assert!(ran.code != 0 && ran.stdout.is_empty(), "{}", ran.stdout);
    assert!(ran.stderr.contains(expected), "{expected} in {}", ran.stderr);
}

#[tokio::test]
async fn the_key_is_made_here_and_the_files_are_those_of_a_plan() {
    let clerk = clerk().await;
    clerk.issue("web", "30");
    clerk.assert_pair("web");
    let mode = |what: &str| clerk.mode(format!("certs/web/web-{what}.pem"));
    assert_eq!(
        (mode("key"), mode("cert"), mode("chain"), clerk.mode("certs/web")),
        (0o600, 0o644, 0o644, 0o755)
    );
    let count =
        |what: &str| clerk.text(format!("certs/web/web-{what}.pem")).matches("BEGIN CERTIFICATE").count();
    assert_eq!((count("cert"), count("chain")), (2, 2), "what servers send, and all CAs");
    let key = clerk.text("certs/web/web-key.pem");
    let secret = key.lines().nth(1).unwrap();
    assert!(!clerk.installation.log().contains(secret));

    let listed = clerk.json(&["cert", "list", "--label", "web", "--expires-within", "31d"]);
    let [one] = listed["certificates"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(
        (&one["profile"], &one["ca"], &one["key"]),
        (&json!("server+client"), &json!("service"), &json!("elsewhere"))
    );
    assert!(clerk.must(&["cert", "list"]).contains("  web"), "for people");
    assert_eq!(clerk.json(&["cert", "list", "--expires-within", "29d"])["certificates"], json!([]));
    // Of the platform's own there is the door's.
    assert_eq!(
        clerk.json(&["cert", "list", "--state", "active"])["certificates"].as_array().unwrap().len(),
        2
    );

    refused(
        &clerk.run(&[
            "cert",
            "issue",
            "web",
            "--profile",
            "service-client",
            "--dns",
            "x.example.com",
            "--out",
            "certs",
        ]),
        "is there already",
    );
    // A run that got as far as the key goes on with it.
    fs_err::remove_file(clerk.path("certs/web/web-cert.pem")).unwrap();
    clerk.issue("web", "30");
    assert_eq!(clerk.text("certs/web/web-key.pem"), key);
    clerk.assert_pair("web");
}

#[tokio::test]
async fn of_a_signing_request_the_key_counts_and_nothing_else() {
    let clerk = clerk().await;
    let [key, csr] = ["own.key", "own.csr"].map(|name| clerk.name(name));
    let asked =
        ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "subjectAltName=DNS:evil.example.com"];
    let request =
        ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &csr, "-subj", "/CN=evil"];
    let made = openssl(&[&request[..], &asked].concat(), b"");
    assert_eq!(made.code, 0, "{}", made.stderr);
    let wanted =
        ["--profile", "service-client", "--dns", "client.example.com", "--subject", "CN=client,O=Example"];
    clerk.must(&[&["cert", "issue", "client", "--csr", "own.csr", "--out", "certs"], &wanted[..]].concat());
    assert!(!clerk.path("certs/client/client-key.pem").exists());
    let text =
        openssl(&["x509", "-in", &clerk.name("certs/client/client-cert.pem"), "-noout", "-text"], b"").stdout;
    for expected in
        ["CA:FALSE", "DNS:client.example.com", "TLS Web Client Authentication", "Key Encipherment"]
    {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert!(!text.contains("evil") && !text.contains("TLS Web Server"), "{text}");
}

#[tokio::test]
async fn a_revoked_one_is_refused_by_whoever_asks() {
    let clerk = clerk().await;
    for name in ["web", "agent"] {
        clerk.issue(name, "30");
    }
    let certificate = clerk.name("certs/web/web-cert.pem");
    let issuer = clerk.json(&["cert", "list", "--label", "web"])["certificates"][0]["issuer"].clone();
    let revoked = clerk.must(&["cert", "revoke", &certificate, "--reason", "keyCompromise"]);
    assert!(revoked.contains("is revoked since") && revoked.contains("1 of 1 edges know"), "{revoked}");
    refused(&clerk.run(&["cert", "revoke", &certificate]), "ALREADY_REVOKED");

    let crl = format!("/pki/crl/{}.crl", issuer.as_str().unwrap());
    let (root, chain) = (clerk.name("root.pem"), clerk.name("certs/web/web-chain.pem"));
    clerk.write("root.pem", clerk.installation.root_pem());
    until("openssl finds it on the list", async || {
        fs_err::write(clerk.path("list.crl"), clerk.installation.get_plain(&crl).await.body).unwrap();
        let verify = ["verify", "-crl_check", "-CRLfile", &clerk.name("list.crl"), "-CAfile", &root];
        let said = openssl(&[&verify[..], &["-untrusted", &chain, &certificate]].concat(), b"");
        said.code != 0 && said.stderr.contains("certificate revoked")
    })
    .await;
    let judged = |name: &str| {
        let chain = clerk.name(format!("certs/{name}/{name}-cert.pem"));
        let judge = ["cert", "verify", "--trust", &root, "--purpose", "server", "--crl", "list.crl"];
        run(clerk.installation.folder(), &[], &[&judge[..], &["--chain", &chain]].concat())
    };
    assert_eq!((judged("web").code, judged("agent").code), (1, 0), "{}", judged("agent").stderr);

    let url = format!("http://{}/pki/ocsp", clerk.installation.admin_address());
    let ask = [
        "ocsp",
        "-issuer",
        &chain,
        "-cert",
        &certificate,
        "-url",
        &url,
        "-CAfile",
        &root,
        "-verify_other",
        &chain,
    ];
    let said = openssl(&ask, b"");
    assert!(
        said.stdout.contains("revoked") && said.stdout.contains("keyCompromise"),
        "{}{}",
        said.stdout,
        said.stderr
    );

    // By its number, and not twice for the same key.
    let serial = clerk.json(&["cert", "list", "--label", "agent"])["certificates"][0]["serialNumber"].clone();
    clerk.must(&["cert", "revoke", serial.as_str().unwrap(), "--reason", "superseded"]);
    refused(&clerk.run(&["cert", "revoke", "0b"]), "no service's certificate 0b is on record");
    refused(&clerk.run(&["cert", "revoke", "nothing"]), "no id, no serial number and no file");
    let audit = clerk.installation.admin().audit("event=service.certificate_revoked").await;
    assert_eq!(audit.len(), 2);
}

#[tokio::test]
async fn fails_closed_on_whoever_and_whatever_may_not() {
    let mut clerk = clerk().await;
    let issue = |clerk: &Clerk, more: &[&str]| {
        clerk.run(&[&["cert", "issue", "web", "--out", "certs"], more].concat())
    };
    let dns = ["--dns", "web.example.com"];
    let server = [&["--profile", "service-server"][..], &dns].concat();
    let with = |more: &[&'static str]| [&server[..], more].concat();

    refused(&issue(&clerk, &with(&["--uri", "https://web.example.com"])), "CERTIFICATE_REFUSED");
    refused(&issue(&clerk, &["--profile", "service-server"]), "dns: is missing");
    let named = ["--profile", "service-server", "--uri", "https://web.example.com"];
    refused(&issue(&clerk, &named), "no host name and no address");
    let device = "spiffe://countersign.internal/tenant/acme/device/pump";
    refused(&issue(&clerk, &["--profile", "service-client", "--uri", device]), "names a device");
    refused(&issue(&clerk, &with(&["--ca", "nobody"])), "ca: there is no such CA");
    refused(&issue(&clerk, &with(&["--ca", "device"])), "CERTIFICATE_REFUSED");
    refused(&issue(&clerk, &with(&["--ca", "root"])), "CERTIFICATE_REFUSED");
    let door = clerk.run(&[&["cert", "issue", "door", "--out", "certs"], &server[..]].concat());
    refused(&door, "label: is what the platform calls certificates of its own");

    openssl(
        &[
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &clerk.name("k"),
            "-out",
            &clerk.name("csr"),
            "-subj",
            "/CN=x",
        ],
        b"",
    );
    let good = clerk.text("csr");
    let at = good.find("\n-----END").unwrap() - 40;
    let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
    let mut bad = good.clone();
    bad.replace_range(at..=at, other);
    clerk.write("bad.csr", &bad);
    refused(
        &issue(&clerk, &with(&["--csr", "bad.csr"])),
        "csr: the signing request is not signed by its own key",
    );

    for (options, expected) in [
        (json!({ "role": "operator" }), "FORBIDDEN"),
        (json!({ "tenant": "default" }), "FORBIDDEN"),
        (json!({ "scopes": ["certificates:write"] }), "SCOPE_MISSING"),
    ] {
        clerk.token("token", &options).await;
        refused(&issue(&clerk, &server), expected);
    }
    clerk.token("token", &json!({})).await;
    assert!(!clerk.path("certs/web/web-key.pem").exists() && !clerk.path("certs/web/web-cert.pem").exists());
    assert!(clerk.installation.admin().audit("event=service.certificate_issued").await.is_empty());

    assert!(clerk.installation.terminate().await.success());
    let url = format!("sqlite:{}", clerk.installation.data().join("countersign.db").display());
    let store = Store::open(&url.parse().unwrap()).await.unwrap();
    let taken = store.write::<_, StoreError, _>(|w| {
        Box::pin(async move {
            let root = w.issuers().await?.into_iter().find(|row| row.name.as_str() == "root").unwrap();
            w.set_issuer_key(root.key_id, &KeptKey::Offline).await
        })
    });
    assert!(taken.await.unwrap());
    store.close().await;
    clerk.installation.start_again().await;
    refused(&issue(&clerk, &with(&["--ca", "root"])), "CA_UNAVAILABLE");
    assert_eq!(issue(&clerk, &server).code, 0, "the others sign on");
}
