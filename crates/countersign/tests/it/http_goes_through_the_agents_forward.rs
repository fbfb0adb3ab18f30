//! Proves that a program that speaks plain HTTP reaches the HTTP door as the device, and that a web page
//! on the same machine does not.

use countersign_testkit::Connection;

use crate::harness::{AgentHome, Forwarding, Installation, Time};
use crate::upstream::Upstream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_gets_the_identity_and_web_pages_do_not() {
    let upstream = Upstream::start().await;
    let installation = Installation::configured(&upstream.routes(), Time::Real).await;
    let home = AgentHome::enrolled(&installation).await;
    let to = format!("localhost:{}", installation.door().port());
    let arguments = ["forward", "--listen", "127.0.0.1:0", "--to", &to, "--http", "--json"];
    let tunnel = Forwarding::start(home.command(&arguments), &installation.folder().join("forward"));
    let ask = async |headers: &[(&str, &str)]| {
        let mut connection = Connection::plain(tunnel.address()).await.unwrap();
        connection.request("GET", "/required/x?y=1", headers, "").await.unwrap()
    };
    let own = tunnel.address().to_string();
    let answer = ask(&[("host", &own)]).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "{}", tunnel.log());
    let received = upstream.received().pop().unwrap();
    assert_eq!(received.target, "/required/x?y=1");
    assert_eq!(received.header("countersign-device"), Some(home.text("device_name").as_str()));
    assert_eq!(received.header("host"), Some(to.as_str()), "the door's own name");

    let page = [("host", own.as_str()), ("origin", "https://evil.example")];
    assert_eq!(ask(&page).await.status, 403);
    assert_eq!(ask(&[("host", "evil.example")]).await.status, 421, "DNS rebinding");
    assert!(upstream.received().is_empty(), "nothing came through");

    let refused = home.output(&["forward", "--listen", "0.0.0.0:0", "--to", &to]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("--danger-listen-beyond-loopback"), "{}", refused.stderr);
}
