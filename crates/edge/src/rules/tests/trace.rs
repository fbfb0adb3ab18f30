//! What `rules test` shows.

use http::HeaderMap;

use super::super::{RuleSet, TraceNode};
use super::{block, facts, headers, path, rule};

fn lines(node: &TraceNode, depth: usize, found: &mut Vec<String>) {
    found.push(format!("{}{} = {}", "  ".repeat(depth), node.text, node.value));
    for part in &node.parts {
        lines(part, depth + 1, found);
    }
}

fn traced(expression: &str, headers: &HeaderMap) -> Vec<String> {
    let target = path("/API?q=1");
    let rules = RuleSet::compile(&[rule("r", expression, block())], &[]).unwrap();
    let traces = rules.trace(&facts(&target, headers));
    let mut found = Vec::new();
    lines(&traces[0].root, 0, &mut found);
    found
}

#[test]
fn every_part_has_its_value() {
    assert_eq!(
        traced(
            "not ssl or lower(http.request.uri.path) eq \"/api\" and http.user_agent ne \"x\"",
            &HeaderMap::new()
        ),
        [
            "not ssl or (lower(http.request.uri.path) eq \"/api\" and http.user_agent ne \"x\") = false",
            "  not ssl = false",
            "    ssl = true",
            "  lower(http.request.uri.path) eq \"/api\" and http.user_agent ne \"x\" = false",
            "    lower(http.request.uri.path) eq \"/api\" = true",
            "      lower(http.request.uri.path) = \"/api\"",
            "        http.request.uri.path = \"/API\"",
            "    http.user_agent ne \"x\" = false",
            "      http.user_agent = missing",
        ]
    );
}

#[test]
fn elements_are_shown_side_by_side() {
    let sent = headers(&[("x-a", b"One"), ("x-a", b"two")]);
    assert_eq!(
        traced("any(not lower(http.request.headers[\"x-a\"][*])[*] eq \"one\")", &sent),
        [
            "any(not lower(http.request.headers[\"x-a\"][*])[*] eq \"one\") = true",
            "  not lower(http.request.headers[\"x-a\"][*])[*] eq \"one\" = [false, true]",
            "    lower(http.request.headers[\"x-a\"][*])[*] eq \"one\" = [true, false]",
            "      lower(http.request.headers[\"x-a\"][*])[*] = [\"one\", \"two\"]",
            "        lower(http.request.headers[\"x-a\"][*]) = [\"one\", \"two\"]",
            "          http.request.headers[\"x-a\"][*] = [\"One\", \"two\"]",
            "            http.request.headers[\"x-a\"] = [\"One\", \"two\"]",
        ]
    );
    assert_eq!(
        traced("len(http.request.headers[\"x-b\"]) eq 0", &sent)[2],
        "    http.request.headers[\"x-b\"] = missing"
    );
}
