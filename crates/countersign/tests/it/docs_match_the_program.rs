//! Proves that the documentation speaks of what exists: paths, codes, events, configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use countersign_core::access::Refusal;
use countersign_core::audit::AuditEvent;

use crate::program::{repository, run};
use crate::server::Server;

/// Every file below a folder of the repository whose name ends so.
fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, ending));
        } else if path.to_str().unwrap().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn pages() -> Vec<PathBuf> {
    let root = repository();
    let mut pages = files_below(&root.join("docs"), ".md");
    pages.extend(files_below(&root.join("changelog.d"), ".md"));
    pages.push(root.join("README.md"));
    pages
}

/// The pieces of a text between two marks.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open).skip(1).filter_map(|rest| rest.split_once(close)).map(|(piece, _)| piece).collect()
}

/// The fenced blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    between(text, &format!("\n```{language}\n"), "\n```\n")
}

/// Whether a word in backticks is meant as a path of the repository.
fn is_repository_path(word: &str) -> bool {
    let folders = ["crates/", "docs/", "scripts/", ".ci/", "changelog.d/", "fuzz/", "deploy/", "examples/"];
    folders.iter().any(|folder| word.starts_with(folder)) && !word.contains([' ', '*', '<', '{', '…'])
}

#[test]
fn every_path_a_page_mentions_exists() {
    let mut missing = Vec::new();
    for page in pages() {
        let text = fs_err::read_to_string(&page).unwrap();
        let folder = page.parent().unwrap();
        for link in between(&text, "](", ")") {
            let path = link.split('#').next().unwrap();
            if !path.is_empty() && !path.contains("://") && !folder.join(path).exists() {
                missing.push(format!("{}: {link}", page.display()));
            }
        }
        for word in text.split('`').skip(1).step_by(2).filter(|word| is_repository_path(word)) {
            if !repository().join(word).exists() {
                missing.push(format!("{}: {word}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_configuration_a_page_shows_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let mut shown = 0;
    for page in pages() {
        for block in blocks(&fs_err::read_to_string(&page).unwrap(), "toml") {
            shown += 1;
            fs_err::write(folder.path().join("c.toml"), block).unwrap();
            let ran = run(folder.path(), &[], &["config", "check", "--config", "c.toml"]);
            assert_eq!(ran.code, 0, "{}: {}", page.display(), ran.stderr);
        }
    }
    assert!(shown > 0, "no page shows a configuration");
}

/// Words such as `MTLS_REQUIRED` in double quotes; names of variables are none.
fn codes_in(source: &str) -> BTreeSet<String> {
    let product = source.split("#[cfg(test)]").next().unwrap();
    let is_code = |word: &&str| {
        let is_variable = ["CARGO_", "COUNTERSIGN_", "CS_TEST_"].iter().any(|start| word.starts_with(start));
        !is_variable
            && word.len() > 5
            && word.contains('_')
            && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
    };
    let words = product.lines().filter(|line| !line.trim_start().starts_with("//"));
    words.flat_map(|line| line.split('"').skip(1).step_by(2)).filter(is_code).map(str::to_owned).collect()
}

#[test]
fn every_error_code_is_in_the_reference() {
    let reference = fs_err::read_to_string(repository().join("docs/reference/error-codes.md")).unwrap();
    let mut codes: BTreeSet<String> = Refusal::ALL.iter().map(|refusal| refusal.code().to_owned()).collect();
    for name in ["server", "edge", "authority", "api"] {
        for file in files_below(&repository().join("crates").join(name).join("src"), ".rs") {
            codes.extend(codes_in(&fs_err::read_to_string(file).unwrap()));
        }
    }
    let missing: Vec<_> = codes.iter().filter(|code| !reference.contains(&format!("| `{code}` |"))).collect();
    assert!(missing.is_empty(), "not in docs/reference/error-codes.md: {missing:#?}");
}

#[test]
fn every_error_code_of_the_reference_exists() {
    let reference = fs_err::read_to_string(repository().join("docs/reference/error-codes.md")).unwrap();
    let mut sources = String::new();
    for file in files_below(&repository().join("crates"), ".rs") {
        sources.push_str(&fs_err::read_to_string(file).unwrap());
    }
    for code in between(&reference, "\n| `", "` |") {
        assert!(sources.contains(&format!("\"{code}\"")), "{code} is in the reference and nowhere else");
    }
}

#[test]
fn every_audit_event_is_in_the_reference_and_no_other() {
    let reference = fs_err::read_to_string(repository().join("docs/reference/audit-events.md")).unwrap();
    let written: BTreeSet<&str> = between(&reference, "\n| `", "` |").into_iter().collect();
    let events: BTreeSet<&str> = AuditEvent::ALL.iter().map(|event| event.as_str()).collect();
    assert_eq!(written, events);
}

/// The routes that a text mentions, without query.
fn routes_in(text: &str) -> Vec<&str> {
    let ends = |c: char| c.is_whitespace() || "`'\"?)…,;".contains(c);
    let starts = text.match_indices("/api/v1/").map(|(at, _)| text.get(at..).unwrap());
    starts.map(|rest| rest.split(ends).next().unwrap()).collect()
}

/// Whether a mentioned route is that of a template: `/devices/$device` is `/devices/{id}`.
fn is_route(mentioned: &str, template: &str) -> bool {
    let (mentioned, template): (Vec<_>, Vec<_>) =
        (mentioned.split('/').collect(), template.split('/').collect());
    let is_segment =
        |(said, meant): (&&str, &&str)| said == meant || (meant.starts_with('{') && !said.is_empty());
    mentioned.len() == template.len() && mentioned.iter().zip(&template).all(is_segment)
}

#[test]
fn every_route_a_page_mentions_exists() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let description = server.call("/openapi.json", "", None);
    let templates: Vec<String> = description["paths"].as_object().unwrap().keys().cloned().collect();
    let mut unknown = Vec::new();
    for page in pages() {
        let text = fs_err::read_to_string(&page).unwrap();
        for route in routes_in(&text) {
            // With `[` it is a pattern in a rule.
            let is_pattern = route.contains('[') || route.ends_with("/v1/");
            let known = is_pattern || templates.iter().any(|template| is_route(route, template));
            if !known {
                unknown.push(format!("{}: {route}", page.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn a_decision_fits_on_a_page() {
    for page in files_below(&repository().join("docs/decisions"), ".md") {
        let lines = fs_err::read_to_string(&page).unwrap().lines().count();
        assert!(lines <= 60, "{} has {lines} lines", page.display());
    }
}
