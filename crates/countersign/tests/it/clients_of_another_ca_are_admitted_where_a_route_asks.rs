//! Proves that doors admit, on the routes that ask for it, clients of a CA that somebody else runs with
//! openssl, and services of ours; that nobody else gets in so; and that a fall cuts what is open.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Clerk, Installation, Time, openssl, until};
use crate::program::Ran;
use crate::upstream::Upstream;

const AT_ONCE: Duration = Duration::from_secs(1);

/// The CA of somebody else's: what openssl is told.
const OPENSSL: &str = "
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[issuing]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[client]
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectAltName = URI:spiffe://partner.example/billing
[server]
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
[borrowed]
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectAltName = URI:spiffe://countersign.internal/tenant/default/device/d1
";

fn routes(upstream: &Upstream) -> String {
    let route = |path: &str, more: &str| {
        format!("[[route]]\npath = \"{path}\"\nupstream = \"{}\"\n{more}\n\n", upstream.url())
    };
    upstream.routes()
        + &route("/partner", "admit = [\"trust:partner\"]")
        + &route("/services", "admit = [\"services\"]")
        + &route(
            "/named",
            "admit = [\"trust:partner\"]\nallow_names = [\"billing\"]\nrequire_subject = { O = \"Partner\" }",
        )
}

struct World {
    clerk: Clerk,
    upstream: Upstream,
}

impl World {
    async fn start() -> Self {
        let upstream = Upstream::start().await;
        let installation = Installation::configured(&routes(&upstream), Time::Real).await;
        let clerk = Clerk::at(installation).await;
        let warning = "door admits guests of a trust that does not exist";
        until("the missing trust is warned of", async || clerk.installation.log().contains(warning)).await;
        let scopes =
            ["trusts:read", "trusts:write", "service-certificates:read", "service-certificates:write"];
        clerk.token("token", &json!({ "scopes": scopes })).await;
        clerk.write("root.pem", clerk.installation.root_pem());
        clerk.write("openssl.cnf", OPENSSL);
        let world = Self { clerk, upstream };
        for ca in ["partner", "evil"] {
            world.openssl(&format!(
                "req -x509 -config @openssl.cnf -extensions ca -newkey rsa:2048 -nodes -keyout @{ca}.key \
                 -out @{ca}.pem -days 30 -subj /O=Partner/CN=Partner-Root"
            ));
            world.certify(&format!("{ca}-issuing"), ("issuing", "30"), "/O=Partner/CN=Issuing", ca);
            world.certify(
                &format!("{ca}-client"),
                ("client", "30"),
                "/O=Partner/CN=billing",
                &format!("{ca}-issuing"),
            );
        }
        world
    }

    /// `@name` is a file of the folder.
    #[track_caller]
    fn openssl(&self, line: &str) {
        let arguments: Vec<String> = line
            .split_whitespace()
            .map(|word| word.strip_prefix('@').map_or_else(|| word.to_owned(), |name| self.clerk.name(name)))
            .collect();
        let ran = openssl(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), b"");
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
    }

    /// Has a CA sign a certificate, and keeps it with the CAs between in `<name>.pem`.
    fn certify(&self, name: &str, (profile, days): (&str, &str), subject: &str, ca: &str) {
        self.openssl(&format!(
            "req -new -config @openssl.cnf -newkey rsa:2048 -nodes -keyout @{name}.key -out @{name}.csr -subj {subject}"
        ));
        self.openssl(&format!(
            "x509 -req -in @{name}.csr -CA @{ca}.pem -CAkey @{ca}.key -CAcreateserial -days {days} \
             -extfile @openssl.cnf -extensions {profile} -out @{name}.pem"
        ));
        if ca.ends_with("-issuing") {
            let chain = self.clerk.text(format!("{name}.pem")) + &self.clerk.text(format!("{ca}.pem"));
            self.clerk.write(&format!("{name}.pem"), &chain);
        }
    }

    fn curl(&self, path: &str, certificate: &str, key: &str) -> Command {
        let mut curl = Command::new("curl");
        let url = format!("https://{}{path}", self.clerk.installation.door());
        curl.args(["-sS", "-N", "--cacert", "root.pem", "--cert", certificate, "--key", key, &url])
            .current_dir(self.clerk.installation.folder())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        curl
    }

    /// What the door answered: `ok` from behind it, or the code of a refusal.
    async fn get(&self, path: &str, name: &str) -> String {
        self.get_with(path, &format!("{name}.pem"), &format!("{name}.key")).await
    }

    async fn get_with(&self, path: &str, certificate: &str, key: &str) -> String {
        let mut curl = self.curl(path, certificate, key);
        let output = tokio::task::spawn_blocking(move || curl.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = serde_json::from_str::<serde_json::Value>(&text).ok();
        code.and_then(|body| body["code"].as_str().map(str::to_owned)).unwrap_or(text)
    }

    /// An answer that has begun and goes on.
    async fn streaming(&self, path: &str, certificate: &str, key: &str) -> Child {
        self.upstream.received();
        let child = self.curl(path, certificate, key).spawn().unwrap();
        until("the answer began", async || !self.upstream.received().is_empty()).await;
        child
    }

    fn trust_partner(&self) {
        self.clerk.must(&["trust", "add", "--name", "partner", "--ca", "partner.pem"]);
    }
}

/// Asserts that it fails soon, because its connection was cut.
async fn is_cut(mut child: Child, since: Instant) {
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(!ended.success(), "cut, and not finished");
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
}

#[track_caller]
fn refused(ran: &Ran, expected: &str) {
    assert!(ran.code != 0 && ran.stdout.is_empty(), "{}", ran.stdout);
    assert!(ran.stderr.contains(expected), "{expected} in {}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partners_client_gets_in_where_the_route_says_so_and_nowhere_else() {
    let world = World::start().await;
    assert_eq!(world.get("/partner/x", "partner-client").await, "CERTIFICATE_UNTRUSTED", "not yet");
    world.trust_partner();
    assert_eq!(world.get("/partner/x", "partner-client").await, "ok");
    let reached = world.upstream.received_one();
    assert_eq!(reached.header("countersign-guest"), Some("trust:partner"));
    assert_eq!((reached.header("countersign-device"), reached.header("countersign-tenant")), (None, None));
    assert!(reached.header("client-cert").is_some());
    for path in ["/required/x", "/services/x"] {
        assert_eq!(world.get(path, "partner-client").await, "NOT_ADMITTED_HERE", "{path}");
    }
    assert_eq!(world.get("/open/x", "partner-client").await, "ok");
    assert_eq!(world.upstream.received_one().header("client-cert"), None, "nobody is told of it there");

    world.certify("server", ("server", "30"), "/CN=billing", "partner-issuing");
    world.certify("over", ("client", "0"), "/CN=billing", "partner-issuing");
    world.certify("borrowed", ("borrowed", "30"), "/O=default/CN=d1", "partner-issuing");
    for (name, code) in [
        ("evil-client", "CERTIFICATE_UNTRUSTED"),
        ("server", "CERTIFICATE_UNTRUSTED"),
        ("borrowed", "CERTIFICATE_UNTRUSTED"),
        ("over", "CERTIFICATE_EXPIRED"),
    ] {
        assert_eq!(world.get("/partner/x", name).await, code, "{name}");
    }
    assert_eq!(world.get("/required/x", "borrowed").await, "CERTIFICATE_UNTRUSTED", "no device of ours");

    assert_eq!(world.get("/named/x", "partner-client").await, "ok");
    world.certify("trick", ("client", "30"), r"/O=Partner,CN=billing/CN=x", "partner-issuing");
    world.certify("other", ("client", "30"), "/O=Other/CN=billing", "partner-issuing");
    for name in ["trick", "other"] {
        assert_eq!(world.get("/named/x", name).await, "NOT_ADMITTED_HERE", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trust_outlives_a_restart_and_its_removal_cuts_what_is_open() {
    let mut world = World::start().await;
    world.trust_partner();
    assert!(world.clerk.installation.terminate().await.success());
    world.clerk.installation.start_again().await;
    assert_eq!(world.get("/partner/x", "partner-client").await, "ok");
    let child = world.streaming("/partner/stream", "partner-client.pem", "partner-client.key").await;
    let since = Instant::now();
    world.clerk.must(&["trust", "remove", "partner"]);
    is_cut(child, since).await;
    assert_eq!(world.get("/partner/x", "partner-client").await, "CERTIFICATE_UNTRUSTED");
    for event in ["trust.added", "trust.removed"] {
        let entries = world.clerk.installation.admin().audit(&format!("event={event}")).await;
        assert_eq!(entries.len(), 1, "{event}");
        assert_eq!(entries[0].details.get("name").map(String::as_str), Some("partner"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_ours_gets_in_and_is_cut_by_its_revocation() {
    let world = World::start().await;
    world.clerk.issue("pulse", "30");
    let [chain, key] = ["chain", "key"].map(|what| format!("certs/pulse/pulse-{what}.pem"));
    let certificate = "certs/pulse/pulse-cert.pem";
    assert_eq!(world.get_with("/services/x", certificate, &key).await, "ok");
    assert_eq!(world.upstream.received_one().header("countersign-guest"), Some("services"));
    assert_eq!(world.get_with("/required/x", certificate, &key).await, "NOT_ADMITTED_HERE");
    assert!(!world.clerk.text(chain).is_empty());
    let child = world.streaming("/services/stream", certificate, &key).await;
    let since = Instant::now();
    world.clerk.must(&["cert", "revoke", certificate]);
    is_cut(child, since).await;
    assert_eq!(world.get_with("/services/x", certificate, &key).await, "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn fails_closed_on_what_is_no_ca_of_somebody_elses() {
    let world = World::start().await;
    let add = |name: &str, file: &str| world.clerk.run(&["trust", "add", "--name", name, "--ca", file]);
    refused(&add("partner", "partner-client.pem"), "is not that of a CA");
    refused(&add("partner", "partner-client.key"), "INVALID_REQUEST");
    refused(&add("partner", "root.pem"), "of this installation");
    world.certify("over", ("ca", "0"), "/CN=Over", "evil");
    refused(&add("partner", "over.pem"), "expired");
    world.trust_partner();
    refused(&add("partner", "evil.pem"), "TRUST_TAKEN");
    let listed = world.clerk.must(&["trust", "list"]);
    assert!(listed.contains("partner: since") && listed.contains("CN=Partner-Root"), "{listed}");
    let read = world.clerk.json(&["trust", "list"]);
    assert_eq!(read["trusts"].as_array().unwrap().len(), 1);
    refused(&world.clerk.run(&["trust", "remove", "evil"]), "NOT_FOUND");
    world.clerk.must(&["trust", "remove", "partner"]);
    assert!(world.clerk.must(&["trust", "list"]).contains("nobody else's"));
    let again = world.clerk.json(&["trust", "add", "--name", "partner", "--ca", "evil.pem"]);
    assert_eq!(again["name"], "partner", "a name that was removed is free");
}
