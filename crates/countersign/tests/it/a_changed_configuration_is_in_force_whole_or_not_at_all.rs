//! Proves that SIGHUP brings changed routes, upstreams and limits to doors that are open, over connections
//! that are open; that a configuration with a fault changes nothing and says where; and that what needs a
//! restart is said by its key.

use countersign_testkit::Connection;
use rustix::process::Signal;

use crate::harness::{Installation, Time, until};
use crate::upstream::Upstream;

fn route(path: &str, upstream: &Upstream, more: &str) -> String {
    let url = upstream.url();
    format!("[[route]]\npath = \"{path}\"\nupstream = \"{url}\"\nrequire_identity = false\n{more}\n")
}

fn reload(installation: &Installation, text: &str) {
    fs_err::write(installation.folder().join("countersign.toml"), text).unwrap();
    installation.signal(Signal::HUP);
}

async fn reloaded(installation: &Installation, text: &str) {
    let count = || installation.log().matches("configuration reloaded").count();
    let before = count();
    reload(installation, text);
    until("the configuration is reloaded", async || count() > before).await;
}

async fn status(connection: &mut Connection, path: &str) -> u16 {
    connection.request("GET", path, &[], "").await.unwrap().status
}

#[tokio::test]
async fn routes_limits_and_headers_follow_over_open_connections() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let installation = Installation::configured(&route("/app", &first, ""), Time::Real).await;
    let mut connection = installation.client().connect(installation.own_door()).await.unwrap();
    assert_eq!(status(&mut connection, "/app").await, 200);
    assert_eq!(first.received().len(), 1);
    assert_eq!(status(&mut connection, "/more").await, 404);

    let text = route("/app", &second, "security_headers = true\n") + &route("/more", &first, "");
    reloaded(&installation, &text).await;
    let answer = connection.request("GET", "/app", &[], "").await.unwrap();
    assert_eq!((answer.status, answer.header("x-frame-options")), (200, "DENY"));
    assert_eq!((first.received().len(), second.received().len()), (0, 1));
    assert_eq!(status(&mut connection, "/more").await, 200);
    assert_eq!(first.received().len(), 1);

    let text = route("/app", &first, "allow_from = [\"192.0.2.0/24\"]\n");
    reloaded(&installation, &text).await;
    assert_eq!(status(&mut connection, "/app").await, 403);
    assert_eq!(status(&mut connection, "/more").await, 404);

    let text = route("/app", &first, "") + "[http_door]\nclient_auth = \"required\"\n";
    reloaded(&installation, &text).await;
    assert_eq!(status(&mut connection, "/app").await, 421, "the connection was asked for nothing");
    let mut fresh = installation.client().connect(installation.own_door()).await;
    if let Ok(fresh) = &mut fresh {
        assert!(fresh.request("GET", "/app", &[], "").await.is_err(), "no certificate, no handshake");
    }
    let reloads = installation.admin().audit("event=configuration.reloaded").await;
    assert_eq!(reloads.len(), 3);
}

#[tokio::test]
async fn a_fault_anywhere_changes_nothing_and_its_place_is_said() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let right = route("/app", &first, "");
    let installation = Installation::configured(&right, Time::Real).await;
    let mut connection = installation.client().connect(installation.own_door()).await.unwrap();
    fs_err::write(installation.folder().join("bad.pem"), "nothing\n").unwrap();
    let other = route("/app", &second, "");
    let bad = [
        (
            other.clone() + "[http_door]\nmax_connections = 0\n",
            "countersign.toml:7: http_door.max_connections",
        ),
        (
            other.clone()
                + "[[host]]\nnames = [\"a.example\"]\ncertificate = \"bad.pem\"\nkey = \"bad.pem\"\n",
            "bad.pem",
        ),
        (other.replace("http://", "https://") + "ca_file = \"bad.pem\"\n", "route /app: use its upstreams"),
    ];
    for (at, (text, said)) in bad.iter().enumerate() {
        reload(&installation, text);
        until(said, async || {
            let log = installation.log();
            log.matches("configuration not reloaded").count() == at + 1 && log.contains(said)
        })
        .await;
        assert_eq!(status(&mut connection, "/app").await, 200);
        assert_eq!((first.received().len(), second.received().len()), (1, 0), "the old upstream");
    }
    until("the refusals are written down", async || {
        installation.admin().audit("event=configuration.refused").await.len() == bad.len()
    })
    .await;
    reloaded(&installation, &other).await;
    assert_eq!(status(&mut connection, "/app").await, 200);
    assert_eq!(second.received().len(), 1);
}

#[tokio::test]
async fn what_needs_a_restart_is_said_by_its_key_and_the_rest_changes() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let installation = Installation::configured(&route("/app", &first, ""), Time::Real).await;
    let mut connection = installation.client().connect(installation.own_door()).await.unwrap();
    let text = "drain_seconds = 7\n".to_owned() + &route("/app", &second, "") + "[http_door]\nworkers = 7\n";
    reloaded(&installation, &text).await;
    assert_eq!(status(&mut connection, "/app").await, 200);
    assert_eq!(second.received().len(), 1);
    let log = installation.log();
    let kept: Vec<_> = log.lines().filter(|line| line.contains("only a restart")).collect();
    assert_eq!(kept.len(), 2, "{kept:#?}");
    assert!(kept[0].contains("drain_seconds") && kept[1].contains("http_door.workers"), "{kept:#?}");
    let [written] = &installation.admin().audit("event=configuration.reloaded").await[..] else {
        panic!("one entry")
    };
    let written = format!("{written:?}");
    assert!(written.contains("drain_seconds http_door.workers"), "{written}");
}
