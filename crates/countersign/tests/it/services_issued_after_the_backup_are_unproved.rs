//! Proves that doors deny the certificate that a service got after the backup which was restored, go on
//! admitting the one it had before, and admit at once what it is issued from then on.

use std::path::Path;
use std::process::Command;

use crate::harness::{Clerk, Installation, Time};
use crate::upstream::Upstream;

/// What a route for services answers to the holder of a certificate: `ok`, or the code of a refusal.
async fn get(installation: &Installation, certificates: &Path, name: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--cacert", "root.pem", &format!("https://{}/services/x", installation.door())])
        .current_dir(installation.folder());
    for (option, kind) in [("--cert", "cert"), ("--key", "key")] {
        curl.arg(option).arg(certificates.join(name).join(format!("{name}-{kind}.pem")));
    }
    let output = tokio::task::spawn_blocking(move || curl.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let body = serde_json::from_str::<serde_json::Value>(&text).ok();
    body.and_then(|body| body["code"].as_str().map(str::to_owned)).unwrap_or(text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doors_deny_what_a_service_got_after_the_backup() {
    let upstream = Upstream::start().await;
    let route = format!(
        "[[route]]\npath = \"/services\"\nupstream = \"{}\"\nadmit = [\"services\"]\n",
        upstream.url()
    );
    let lost = Installation::configured(&(upstream.routes() + &route), Time::Real).await;
    let mut lost = Clerk::at(lost).await;
    lost.issue("before", "30");
    lost.issue("revoked", "30");
    lost.installation.back_up().await;
    lost.issue("after", "30");
    lost.must(&["cert", "revoke", "certs/revoked/revoked-cert.pem"]);
    lost.write("root.pem", lost.installation.root_pem());
    let certificates = lost.path("certs");
    for name in ["before", "after"] {
        assert_eq!(get(&lost.installation, &certificates, name).await, "ok", "{name}");
    }
    lost.installation.fetch_lists().await;
    lost.installation.kill().await;

    let mut found = lost.installation.successor();
    let restored = found.restore();
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    found.start_again().await;
    found.sign_in().await;
    let found = Clerk::at(found).await;
    found.write("root.pem", found.installation.root_pem());
    for (name, answer) in
        [("before", "ok"), ("after", "CERTIFICATE_UNPROVED"), ("revoked", "CERTIFICATE_REVOKED")]
    {
        assert_eq!(get(&found.installation, &certificates, name).await, answer, "{name}");
    }
    found.issue("anew", "30");
    assert_eq!(get(&found.installation, &found.path("certs"), "anew").await, "ok");
}
