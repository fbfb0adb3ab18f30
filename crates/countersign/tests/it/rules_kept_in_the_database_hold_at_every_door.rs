//! Proves that a rule that is added to a running server holds at its doors at once, behind those of the configuration,
//! also after a restart; that what is wrong is shown with a caret and changes nothing; and that a reload that would
//! make a kept rule wrong is refused.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Time, done, until};
use crate::program::Ran;

const OWN: &str = "[[rule]]\nname = \"own\"\nexpression = '''http.request.uri.path eq \"/pki/own\"'''\n";

#[tokio::test]
async fn a_rule_holds_from_the_moment_that_it_is_added() {
    let lists = "[[list]]\nname = \"office\"\nitems = [\"127.0.0.0/8\"]\n";
    let mut installation = super::configured(&format!("{OWN}{lists}"), Time::Real).await;
    fs_err::write(installation.folder().join("owner.token"), installation.admin().token()).unwrap();
    let rest = ["--token-file", "owner.token", "--config", "countersign.toml", "--ports-file", "ports.json"];
    let run = |arguments: &[&str]| -> Ran { installation.run(&[&["rules"], arguments, &rest].concat()) };
    let status = async |path: &str| {
        let answer = installation.connect().await.json("GET", path, None, None).await.unwrap();
        answer.status
    };
    assert_eq!((status("/pki/own").await, status("/pki/kept").await), (403, 404));

    let wrong = run(&["add", "kept", "--expression", "http.request.uri.pth eq \"/pki/kept\""]);
    assert_eq!(wrong.code, 1, "{}", wrong.stdout);
    assert!(wrong.stderr.contains('^') && wrong.stderr.contains("http.request.uri.pth"), "{}", wrong.stderr);
    let expression = "http.request.uri.path eq \"/pki/kept\" and ip.src in $office";
    let added = run(&["add", "kept", "--expression", expression, "--status", "418"]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert_eq!((status("/pki/own").await, status("/pki/kept").await), (403, 418));
    assert_eq!(run(&["add", "own", "--expression", "true"]).code, 1, "the name is taken");
    assert_eq!(run(&["remove", "own"]).code, 1, "it is the configuration's");
    assert_eq!(
        run(&["add", "let go", "--expression", "true", "--action", "skip", "--before", "kept"]).code,
        0
    );
    assert_eq!((status("/pki/own").await, status("/pki/kept").await), (403, 404));
    assert_eq!(run(&["move", "let go"]).code, 0);
    assert_eq!(status("/pki/kept").await, 418);
    let listed: Value = serde_json::from_str(&run(&["list", "--json"]).stdout).unwrap();
    let names: Vec<&Value> = listed["rules"].as_array().unwrap().iter().map(|rule| &rule["name"]).collect();
    assert_eq!(
        (names, &listed["revision"]),
        (vec![&json!("own"), &json!("kept"), &json!("let go")], &json!(3))
    );
    let late = json!({ "name": "late", "expression": "true", "action": "log", "revision": 2 });
    assert_eq!(installation.admin().post("/rules", &late).await.status, 409);
    let changes = installation.admin().audit("event=rules.changed").await;
    assert_eq!(changes.iter().filter(|entry| entry.details.contains_key("revision")).count(), 3);

    // Without the list the kept rule would be wrong.
    let config = installation.folder().join("countersign.toml");
    let text = fs_err::read_to_string(&config).unwrap();
    fs_err::write(&config, text.replace(lists, "")).unwrap();
    installation.signal(Signal::HUP);
    until("the reload is refused", async || installation.log().contains("configuration not reloaded")).await;
    assert!(installation.log().contains("kept in the database"), "{}", installation.log());
    assert_eq!(status("/pki/kept").await, 418);
    fs_err::write(&config, text).unwrap();

    assert!(installation.terminate().await.success());
    installation.start_again().await;
    installation.sign_in().await;
    let answer = installation.connect().await.json("GET", "/pki/kept", None, None).await.unwrap();
    assert_eq!(answer.status, 418);
    let admin = installation.admin();
    done(&admin.call("DELETE", "/rules/kept", None).await);
    let answer = installation.connect().await.json("GET", "/pki/kept", None, None).await.unwrap();
    assert_eq!(answer.status, 404);
}
