//! Proves that crates depend on each other only along the arrows of the architecture, and that
//! what must be named by one crate alone is named by that crate alone.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Every allowed arrow between our crates, test-only dependencies on what is not shipped aside.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("ca", &["core"]),
    ("tls", &["core"]),
    ("store", &["core"]),
    ("api", &["core", "tls"]),
    ("authority", &["core", "ca", "store"]),
    ("server", &["core", "tls", "api", "authority"]),
    ("edge", &["core", "tls", "api"]),
    ("supervisor", &[]),
    ("agent", &["core", "tls", "api", "supervisor"]),
    ("countersign", &["core", "ca", "tls", "store", "api", "authority", "server", "edge", "supervisor"]),
    ("testkit", &["core"]),
    // The simulator of fleets, for development: it makes what devices make with what tests make it with.
    ("fleet", &["core", "api", "testkit"]),
];

/// Crates for development.
const NOT_SHIPPED: &[&str] = &["testkit", "fleet"];

/// Libraries that only the crates listed may name.
const OWNED: &[(&str, &[&str])] = &[
    ("rustls", &["tls", "testkit"]),
    ("tokio-rustls", &["tls", "testkit"]),
    ("rustls-webpki", &["tls"]),
    ("sqlx", &["store"]),
    ("axum", &["server"]),
];

/// Libraries that `core` must stay free of.
const NO_IO: &[&str] = &["tokio", "sqlx", "hyper", "http", "rustls", "fs-err"];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata.get("packages").and_then(Value::as_array).unwrap().clone()
}

fn short_name(package: &str) -> &str {
    package.strip_prefix("countersign-").unwrap_or(package)
}

fn dependencies(package: &Value) -> Vec<(String, bool)> {
    let list = package.get("dependencies").and_then(Value::as_array).unwrap();
    list.iter()
        .map(|dependency| {
            let name = dependency.get("name").and_then(Value::as_str).unwrap().to_owned();
            (name, dependency.get("kind").and_then(Value::as_str) == Some("dev"))
        })
        .collect()
}

fn each_package(mut check: impl FnMut(&str, Vec<(String, bool)>)) {
    for package in packages() {
        let name = package.get("name").and_then(Value::as_str).unwrap().to_owned();
        check(short_name(&name), dependencies(&package));
    }
}

#[test]
fn every_arrow_between_crates_is_an_allowed_one() {
    let mut seen = BTreeSet::new();
    each_package(|name, dependencies| {
        let (_, allowed) = ARROWS
            .iter()
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("crate {name} is not in the list of arrows"));
        seen.insert(name.to_owned());
        for (dependency, is_test_only) in dependencies {
            let ours = dependency == "countersign" || dependency.starts_with("countersign-");
            let target = short_name(&dependency);
            if ours && !(is_test_only && NOT_SHIPPED.contains(&target)) {
                assert!(allowed.contains(&target), "{name} must not depend on {target}");
            }
        }
    });
    assert_eq!(seen.len(), ARROWS.len(), "a listed crate does not exist");
}

#[test]
fn libraries_with_one_owner_are_named_by_it_alone() {
    each_package(|name, dependencies| {
        for (dependency, is_test_only) in dependencies {
            if let Some((_, owners)) = OWNED.iter().find(|(library, _)| *library == dependency) {
                assert!(is_test_only || owners.contains(&name), "{name} must not name {dependency}");
            }
            assert!(
                name != "core" || is_test_only || !NO_IO.contains(&dependency.as_str()),
                "core must not name {dependency}"
            );
        }
    });
}

#[test]
fn hooks_for_tests_are_switched_on_by_tests_alone() {
    let mut hooks = 0;
    for package in packages() {
        for dependency in package.get("dependencies").and_then(Value::as_array).unwrap() {
            let features = dependency.get("features").and_then(Value::as_array).unwrap();
            if features.iter().any(|feature| feature == "crash-points") {
                hooks += 1;
                let kind = dependency.get("kind").and_then(Value::as_str);
                assert_eq!(kind, Some("dev"), "{dependency}");
            }
        }
        let features = package.get("features").and_then(Value::as_object).unwrap();
        let implied = features.values().flat_map(|implied| implied.as_array().unwrap());
        assert!(
            !implied.into_iter().any(|name| name.as_str().unwrap().contains("crash-points")),
            "{features:?}"
        );
    }
    assert!(hooks > 0, "nobody tests crashes");
}
