//! Proves that the reference of the agent's command line is what the program says.

use std::fmt::Write as _;
use std::path::Path;

use crate::agent_process::{command, text};

const COMMANDS: [&str; 9] =
    ["", "enroll", "run", "forward", "status", "renew", "unenroll", "completions", "man"];

const HEAD: &str = "\
# Command line of the agent

Generated from the program; `UPDATE_SNAPSHOTS=1 cargo test -p countersign-agent` writes it anew. How to run
it as a service is in [its guide](../guides/agent-as-a-service.md).
";

fn help(name: &str) -> String {
    let mut help = command(Path::new("agent.yaml"));
    help.args(Some(name).filter(|name| !name.is_empty())).arg("--help");
    let output = help.output().unwrap();
    assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn the_command_line_is_in_the_reference() {
    let mut page = HEAD.to_owned();
    for name in COMMANDS {
        let title = format!("countersign-agent {name}");
        write!(page, "\n## {}\n\n```text\n{}```\n", title.trim(), help(name)).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/agent-cli.md");
    #[expect(clippy::disallowed_methods, reason = "tests are told by it to write what they compare with")]
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs_err::write(&path, &page).unwrap();
    }
    let on_file = fs_err::read_to_string(&path).unwrap();
    assert!(on_file == page, "{} is not what the program says; run with UPDATE_SNAPSHOTS=1", path.display());
}

#[test]
fn every_command_is_in_the_list_of_this_test() {
    let help = help("");
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let lines = commands.lines().take_while(|line| line.starts_with("  "));
    let names: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    for name in names.iter().filter(|name| **name != "help") {
        assert!(COMMANDS.contains(name), "{name} is not in the reference");
    }
}

#[test]
fn shells_and_man_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let output = command(&folder.path().join("agent.yaml")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(said(&["completions", shell]).contains("unenroll"), "{shell}");
    }
    assert!(said(&["man"]).contains(".TH countersign-agent 1"));
    let pages = folder.path().join("pages");
    said(&["man", "--out", pages.to_str().unwrap()]);
    for name in COMMANDS.iter().filter(|name| !name.is_empty()) {
        assert!(pages.join(format!("countersign-agent-{name}.1")).exists(), "{name}");
    }
}
