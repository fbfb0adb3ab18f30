//! Proves that alerts are mailed over TLS, begun by STARTTLS or from the first byte, with a login; and that a mail server
//! which another CA vouches for hears neither the password nor the alert.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use countersign_testkit::{TestCa, vacant_address};
use serde_json::json;

use crate::harness::{Installation, Running, Time, done, eventually, until};

const PATIENCE: Duration = Duration::from_secs(60);

/// A mail server that asks for a login, and writes down who logs in and what arrives.
const MAIL_SERVER: &str = r#"
import asyncio, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

kind, port, folder = sys.argv[1:]
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(folder + "/server.pem", folder + "/server.key")
log = open(folder + "/" + kind, "a", buffering=1)

class Kept:
    async def handle_DATA(self, server, session, envelope):
        log.write(envelope.content.decode())
        return "250 kept"

def check(server, session, envelope, mechanism, data):
    is_right = (data.login, data.password) == (b"countersign", b"correct horse")
    log.write(f"login {is_right}\n")
    return AuthResult(success=is_right, handled=is_right)

def session():
    begun = dict(tls_context=tls, require_starttls=True) if kind == "starttls" else dict(auth_require_tls=False)
    return SMTP(Kept(), authenticator=check, auth_required=True, **begun)

async def main():
    context = tls if kind == "implicit" else None
    await (await asyncio.get_running_loop().create_server(session, "127.0.0.1", int(port), ssl=context)).serve_forever()

asyncio.run(main())
"#;

async fn mail_server(kind: &str, port: u16, folder: &Path) -> Running {
    // The interpreter that Debian's python3-aiosmtpd is for.
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", MAIL_SERVER, kind, &port.to_string()]).arg(folder);
    Running::server(&mut command, port).await
}

fn target(name: &str, kind: &str, port: u16, root: &str) -> String {
    format!(
        "[[alert_to]]\nname = \"{name}\"\nkind = \"email\"\nserver = \"127.0.0.1:{port}\"\ntls = \"{kind}\"\n\
         ca_file = \"{root}\"\nuser = \"countersign\"\npassword_file = \"mail.password\"\n\
         from = \"countersign@example.com\"\nto = [\"on-call@example.com\"]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_reach_the_mail_server_that_was_meant_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ca = TestCa::new("mail.example");
    let server = ca.server(&["127.0.0.1"]);
    fs_err::write(folder.join("server.pem"), server.chain_pem()).unwrap();
    fs_err::write(folder.join("server.key"), server.key_pem()).unwrap();
    let [starttls, implicit, stranger] = [(); 3].map(|()| vacant_address().port());
    let config = [
        target("begun", "starttls", starttls, "root.pem"),
        target("whole", "implicit", implicit, "root.pem"),
        target("strange", "implicit", stranger, "twin.pem"),
    ];
    let mut installation = Installation::unstarted(&config.concat(), Time::Real);
    let own = installation.folder();
    fs_err::write(own.join("root.pem"), ca.root_pem()).unwrap();
    fs_err::write(own.join("twin.pem"), ca.evil_twin().root_pem()).unwrap();
    fs_err::write(own.join("mail.password"), "correct horse\n").unwrap();
    let strangers = tempfile::tempdir().unwrap();
    for file in ["server.pem", "server.key"] {
        fs_err::copy(folder.join(file), strangers.path().join(file)).unwrap();
    }
    let _begun = mail_server("starttls", starttls, folder).await;
    let _whole = mail_server("implicit", implicit, folder).await;
    let _strange = mail_server("implicit", stranger, strangers.path()).await;
    installation.start_again().await;
    installation.set_up().await;
    done(&installation.admin().post("/alerts/test", &json!({})).await);
    for kind in ["starttls", "implicit"] {
        eventually(PATIENCE, kind, async || {
            let text = fs_err::read_to_string(folder.join(kind)).unwrap();
            (text.contains("login True") && text.contains("countersign alert ack")).then_some(())
        })
        .await;
        assert!(!fs_err::read_to_string(folder.join(kind)).unwrap().contains("login False"), "{kind}");
    }
    let is_refused = |line: &str| line.contains("alert not told") && line.contains("strange");
    until("the stranger is refused", async || installation.log().lines().any(is_refused)).await;
    assert_eq!(fs_err::read_to_string(strangers.path().join("implicit")).unwrap(), "");
}
