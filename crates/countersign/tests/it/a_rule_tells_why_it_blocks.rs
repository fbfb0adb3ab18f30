//! Proves that `countersign rules` shows the value of every part of a rule, says what is wrong or doubtful
//! with its place, and takes over what Cloudflare's API answers.

use countersign_testkit::TestCa;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Ran, run};

const RULES: &str = r#"
[[list]]
name = "office"
items = ["192.0.2.0/24"]

[[rule]]
name = "office"
action = "skip"
expression = 'ip.src in $office'

[[rule]]
name = "agents show a certificate"
status = 401
expression = '''
(http.request.uri.path matches "^/api/v1/agents/[a-f0-9]+/"
 and not http.request.uri.path contains "/enroll"
 and not http.request.uri.path contains "/renew-cert"
 and not cf.tls_client_auth.cert_verified)
'''
"#;

fn desk(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs_err::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn test(folder: &TempDir, arguments: &[&str]) -> Ran {
    run(folder.path(), &[], &[&["rules", "test", "--rules", "rules.toml"], arguments].concat())
}

#[test]
fn every_part_of_a_rule_is_shown_with_its_value() {
    let folder = desk(&[("rules.toml", RULES)]);
    let request = ["--request", "POST /api/v1/agents/0a1b/heartbeat"];
    let ran = test(&folder, &request);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let lines: Vec<String> =
        ran.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "rule \"office\" (skip): does not match",
        "ip.src in $office false",
        "ip.src 127.0.0.1",
        "rule \"agents show a certificate\" (block): matches",
        "not http.request.uri.path contains \"/enroll\" true",
        "http.request.uri.path \"/api/v1/agents/0a1b/heartbeat\"",
        "not cf.tls_client_auth.cert_verified true",
        "cf.tls_client_auth.cert_verified false",
        "Blocked by rule \"agents show a certificate\" with status 401.",
    ] {
        assert!(lines.iter().any(|shown| shown == line), "{line}\nis not in\n{}", ran.stdout);
    }
    let skipped = test(&folder, &[&request[..], &["--source", "192.0.2.9", "--json"]].concat());
    assert_eq!(skipped.code, 0, "{}", skipped.stderr);
    let shown: Value = serde_json::from_str(&skipped.stdout).unwrap();
    assert_eq!((&shown["outcome"], &shown["rules"][0]["matched"]), (&json!("allowed"), &json!(true)));
    assert!(shown["rules"][1]["became"].as_str().unwrap().starts_with("not asked"));
}

#[test]
fn a_certificate_changes_the_verdict_by_its_standing() {
    let folder = desk(&[("rules.toml", RULES)]);
    let leaf = TestCa::new("countersign.internal").device("acme", "d1");
    fs_err::write(folder.path().join("device.pem"), leaf.chain_pem()).unwrap();
    let request = ["--request", "GET /api/v1/agents/0a1b/ws", "--cert", "device.pem"];
    assert_eq!(test(&folder, &request).code, 0);
    assert_eq!(
        test(&folder, &[&request[..], &["--standing", "revoked"]].concat()).code,
        0,
        "as at Cloudflare"
    );
    assert_eq!(test(&folder, &[&request[..], &["--standing", "foreign"]].concat()).code, 3);
    assert_eq!(
        test(&folder, &[&request[..], &["--at", "2099-01-01T00:00:00Z"]].concat()).code,
        3,
        "it has ended"
    );
}

#[test]
fn a_request_comes_from_a_file_too_and_nonsense_is_refused() {
    let rule = "[[rule]]\nname = \"a\"\nexpression = 'any(http.request.headers[\"x-a\"][*] eq \"b\") and http.host eq \"h.example\"'\n";
    let file = "GET /x HTTP/1.1\r\nHost: H.example:8443\r\nX-A: a\r\nX-A: b\r\n\r\nbody";
    let folder = desk(&[("rules.toml", rule), ("request.http", file)]);
    assert_eq!(test(&folder, &["--request", "request.http"]).code, 3);
    assert_eq!(test(&folder, &["--request", "GET /x", "--header", "X-A: b"]).code, 0);
    for bad in ["GET", "GET /%2f", "no-such-file.http"] {
        let ran = test(&folder, &["--request", bad]);
        assert_eq!(ran.code, 2, "{bad}: {}", ran.stdout);
    }
}

#[test]
fn check_says_what_is_wrong_and_what_is_doubtful() {
    let bad = "[[rule]]\nname = \"a\"\nexpression = 'ip.src in $offices'\n[[rule]]\nname = \"b\"\nexpression = 'ssl AND ssl'\n";
    let folder = desk(&[("rules.toml", RULES), ("bad.toml", bad)]);
    let right = run(folder.path(), &[], &["rules", "check", "rules.toml"]);
    assert_eq!(right.code, 0, "{}", right.stderr);
    for doubt in ["VERIFIED_WITHOUT_REVOKED", "EXCLUSION_BY_CONTAINS", "CASE_SENSITIVE_PATH"] {
        assert!(right.stdout.contains(doubt), "{}", right.stdout);
    }
    assert!(!right.stdout.contains("NO_ISSUER_CHECK"));
    let several = run(folder.path(), &[], &["rules", "check", "rules.toml", "--several-cas", "--json"]);
    assert!(several.stdout.contains("NO_ISSUER_CHECK"), "{}", several.stdout);
    let wrong = run(folder.path(), &[], &["rules", "check", "bad.toml"]);
    assert_eq!(wrong.code, 2);
    for part in ["RULE_UNDEFINED_LIST", "RULE_UPPER_CASE_KEYWORD", "^^^", "write `and`"] {
        assert!(wrong.stderr.contains(part), "{}", wrong.stderr);
    }
    let wrong = run(folder.path(), &[], &["rules", "check", "bad.toml", "--json"]);
    let shown: Value = serde_json::from_str(&wrong.stdout).unwrap();
    assert_eq!(shown["problems"].as_array().unwrap().len(), 2, "{shown}");
}

#[test]
fn cloudflares_rules_become_ours() {
    let ruleset = json!({ "result": { "phase": "http_request_firewall_custom", "rules": [
        { "description": "api", "action": "block", "enabled": true,
          "expression": "(http.request.uri.path contains \"/api/\") and not cf.tls_client_auth.cert_verified" },
        { "description": "office", "action": "skip", "action_parameters": { "ruleset": "current" },
          "expression": "ip.src in $office" },
        { "description": "bots", "action": "block", "expression": "cf.bot_management.score lt 30" },
    ] } });
    let lists = "[[list]]\nname = \"office\"\nitems = [\"192.0.2.0/24\"]\n";
    let folder = desk(&[("ruleset.json", &ruleset.to_string()), ("lists.toml", lists)]);
    let bare = run(folder.path(), &[], &["rules", "import", "ruleset.json"]);
    assert_eq!(bare.code, 0, "{}", bare.stderr);
    assert!(bare.stderr.contains("RULE_UNDEFINED_LIST") && bare.stderr.contains("RULE_CLOUDFLARE_ONLY"));
    let ran = run(folder.path(), &[], &["rules", "import", "ruleset.json", "--lists", "lists.toml"]);
    assert_eq!(ran.stdout.matches("[[rule]]").count(), 2, "{}", ran.stdout);
    fs_err::write(folder.path().join("all.toml"), format!("{lists}{}", ran.stdout)).unwrap();
    assert_eq!(run(folder.path(), &[], &["rules", "check", "all.toml"]).code, 0);
    let nothing = run(folder.path(), &[], &["rules", "import", "lists.toml"]);
    assert_eq!(nothing.code, 1);
}
