//! Proves that a rule that is added to a running server holds at its doors at once, behind those of the configuration,
//! also after a restart; that what is wrong is shown with a caret and changes nothing; and that a reload that would
//! make a kept rule wrong is refused; and that rules are tried and brought along before they hold, and that those of
//! an earlier revision come back.

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

#[tokio::test]
async fn an_earlier_revision_comes_back_and_other_rules_are_tried_and_brought_along() {
    let installation = super::configured(OWN, Time::Real).await;
    fs_err::write(installation.folder().join("owner.token"), installation.admin().token()).unwrap();
    let rest = ["--token-file", "owner.token", "--config", "countersign.toml", "--ports-file", "ports.json"];
    let run = |arguments: &[&str]| -> Ran { installation.run(&[&["rules"], arguments, &rest].concat()) };
    let status = async |path: &str| {
        let answer = installation.connect().await.json("GET", path, None, None).await.unwrap();
        answer.status
    };
    let admin = installation.admin();
    assert!(run(&["revisions"]).stdout.contains("nobody ever kept a rule"));
    let expression = "http.request.uri.path eq \"/pki/kept\"";
    let on =
        |expression: &str| json!({ "expression": expression, "request": "GET /pki/kept\nHost: a.example" });
    let tried = admin.post("/rules/test", &on(expression)).await.json();
    assert_eq!(tried["blocked"], json!({ "rule": "the rule you try", "status": 403 }), "{tried}");
    assert_eq!((&tried["rules"][1]["name"], &tried["rules"][1]["asked"]), (&json!("own"), &json!(false)));
    let free = admin.post("/rules/test", &json!({ "request": "GET /pki/kept" })).await.json();
    assert_eq!((&free["blocked"], &free["rules"][0]["matches"]), (&Value::Null, &json!(false)));
    let wrong = admin.post("/rules/test", &on("http.request.uri.pth eq 1")).await;
    assert!(wrong.status == 400 && wrong.json()["fields"]["expression"].as_str().unwrap().contains('^'));
    assert_eq!(status("/pki/kept").await, 404, "trying changes nothing");

    // Revision 1 has the rule, revision 2 has it no more, revision 3 has it again.
    assert_eq!(run(&["add", "kept", "--expression", expression]).code, 0);
    assert_eq!(run(&["add", "test", "--expression", "true"]).code, 1, "a word of the API");
    assert_eq!(run(&["remove", "kept"]).code, 0);
    assert_eq!(status("/pki/kept").await, 404);
    assert_eq!(run(&["restore", "9"]).code, 1, "there is none");
    let seen = admin.post("/rules/revisions/1/restore", &json!({ "revision": 1 })).await;
    assert_eq!((seen.status, &seen.json()["code"]), (409, &json!("RULES_CHANGED")));
    let restored = run(&["restore", "1"]);
    assert!(restored.stdout.starts_with("revision 3"), "{} {}", restored.stdout, restored.stderr);
    assert_eq!(status("/pki/kept").await, 403);
    let listed: Value = serde_json::from_str(&run(&["revisions", "--json"]).stdout).unwrap();
    let names = |place: usize| listed["revisions"][place]["names"].clone();
    assert_eq!([names(0), names(1), names(2)], [json!(["kept"]), json!([]), json!(["kept"])]);
    let first = admin.call("GET", "/rules/revisions/1", None).await.json();
    assert_eq!(first["rules"][0]["expression"], expression);
    let changes = admin.audit("event=rules.changed").await;
    assert!(changes.iter().any(|entry| entry.details.get("change").is_some_and(|what| what == "restored")));

    // Those of Cloudflare, all or none.
    let theirs = json!({ "rules": [
        { "description": "theirs", "expression": "http.request.uri.path eq \"/pki/theirs\"", "action": "block" },
        { "description": "a riddle", "expression": "true", "action": "managed_challenge" },
    ] });
    let shown = admin.post("/rules/import", &json!({ "ruleset": theirs })).await.json();
    assert_eq!((&shown["rules"][0]["name"], &shown["revision"]), (&json!("theirs"), &Value::Null), "{shown}");
    assert_eq!((&shown["leftOut"][0]["name"], status("/pki/theirs").await), (&json!("a riddle"), 404));
    fs_err::write(installation.folder().join("theirs.json"), theirs.to_string()).unwrap();
    let kept = run(&["import", "theirs.json", "--keep"]);
    assert!(
        kept.stdout.contains("revision 4") && kept.stderr.contains("a riddle"),
        "{} {}",
        kept.stdout,
        kept.stderr
    );
    assert_eq!(status("/pki/theirs").await, 403);
    let again = admin.post("/rules/import", &json!({ "ruleset": theirs, "keep": true })).await;
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("RULE_TAKEN")));
    assert_eq!(run(&["observed"]).code, 0);
}
