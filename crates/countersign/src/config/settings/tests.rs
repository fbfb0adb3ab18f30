use super::*;
use crate::config::environment::{Environment, Machine};
use crate::config::file::ConfigFile;
use crate::config::flags::ConfigFlags;
use crate::config::raw::Raw;
use crate::config::resolve::resolve;

/// The keys that serde names when it meets an unknown one.
fn keys_of(section: &str, text: &str) -> BTreeSet<String> {
    let mut problems = Vec::new();
    ConfigFile::from_text("c", text).parse::<Raw>(&mut problems);
    let message = problems.first().unwrap().message.clone();
    let (_, expected) = message.split_once("expected ").unwrap();
    let names =
        expected.trim_start_matches("one of ").split([',', ' ']).filter(|name| !["", "or"].contains(name));
    names.map(|name| if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }).collect()
}

#[test]
fn every_key_of_the_file_is_a_documented_setting_and_the_other_way_round() {
    let mut keys = keys_of("", "probe = 1");
    for table in [
        "admin",
        "acme",
        "edge",
        "http_door",
        "mqtt_door",
        "mosquitto",
        "metrics",
        "traces",
        "audit",
        "unusual_access",
        "ingest",
        "oidc",
        "redirect",
        "access_log",
        "mtls",
        "pki",
        "pki.pkcs11",
    ] {
        assert!(keys.remove(table), "{table} in {keys:?}");
        keys.extend(keys_of(table, &format!("[{table}]\nprobe = 1")));
    }
    for list in [
        "host",
        "route",
        "egress",
        "rule",
        "list",
        "monitor",
        "alert_to",
        "audit_to",
        "oidc_role",
        "tcp_door",
        "ingest_sink",
        "mqtt_grant",
    ] {
        assert!(keys.remove(list), "{list} in {keys:?}");
        keys.extend(keys_of(list, &format!("[[{list}]]\nprobe = 1")));
    }
    let documented: BTreeSet<String> = all().iter().map(|setting| setting.key.to_owned()).collect();
    assert_eq!(keys, documented);
}

#[test]
fn the_defaults_in_words_are_those_in_use() {
    let machine = Machine { names: vec!["here".parse().unwrap()], processors: std::num::NonZeroUsize::MIN };
    let plain = |environment: &Environment| {
        resolve(ConfigFlags::default(), environment, &machine, &ConfigFile::default()).unwrap().resolved
    };
    let written: Environment = all()
        .into_iter()
        .filter(|setting| setting.shown == Shown::Default && !setting.is_in_list())
        .map(|setting| (variable_of(setting.key), setting.sample.trim_matches('"').to_owned()))
        .collect();
    assert_eq!(plain(&written), plain(&Environment::default()));
}

#[test]
fn every_flag_in_words_is_a_flag() {
    use clap::Args as _;
    let command = ConfigFlags::augment_args(clap::Command::new("c"));
    let flags: BTreeSet<String> =
        command.get_arguments().filter_map(|flag| flag.get_long().map(|name| format!("--{name}"))).collect();
    let documented: BTreeSet<String> = all()
        .iter()
        .map(|setting| setting.flag.to_owned())
        .filter(|flag| !flag.is_empty())
        .chain(["--config".to_owned()])
        .collect();
    assert_eq!(flags, documented);
}
