//! Proves that the reference of the command line and of the configuration is what the program says.

use std::fmt::Write as _;

use crate::program::{assert_on_file, repository, run};

const COMMANDS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["healthcheck"],
    &["migrate"],
    &["config", "check"],
    &["config", "sample"],
    &["explain"],
    &["audit", "verify"],
    &["audit", "export"],
    &["audit", "anchor"],
    &["ca", "init"],
    &["ca", "tree"],
    &["ca", "show"],
    &["ca", "export"],
    &["ca", "crl"],
    &["ca", "reseal"],
    &["user", "reset-password"],
    &["store", "copy"],
];

const HEAD: &str = "\
# Command line

Generated from the program; `UPDATE_SNAPSHOTS=1 cargo test -p countersign` writes it anew.
The configuration flags are the same for every command that reads the configuration; what they
mean is in [countersign.toml](countersign.toml).
";

#[test]
fn the_command_line_is_in_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = HEAD.to_owned();
    for command in COMMANDS {
        let ran = run(folder.path(), &[], &[*command, &["--help"]].concat());
        assert_eq!(ran.code, 0, "{command:?}");
        let name = [&["countersign"], *command].concat().join(" ");
        let help: String = ran.stdout.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        write!(text, "\n## {name}\n\n```text\n{help}```\n").unwrap();
    }
    assert_on_file(&repository().join("docs/reference/cli.md"), &text);
}

#[test]
fn every_command_is_in_the_list_of_this_test() {
    let folder = tempfile::tempdir().unwrap();
    for parent in [&[][..], &["config"], &["audit"], &["ca"], &["user"], &["store"]] {
        let help = run(folder.path(), &[], &[parent, &["--help"]].concat()).stdout;
        let (_, commands) = help.split_once("Commands:\n").unwrap();
        let names = commands
            .lines()
            .take_while(|line| line.starts_with("  "))
            .filter_map(|line| line.split_whitespace().next());
        for name in names.filter(|name| *name != "help") {
            let path = [parent, &[name]].concat();
            assert!(
                COMMANDS.iter().any(|command| command.starts_with(&path)),
                "{path:?} is not in the reference"
            );
        }
    }
}

#[test]
fn the_sample_configuration_is_in_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let sample = run(folder.path(), &[], &["config", "sample"]);
    assert_on_file(&repository().join("docs/reference/countersign.toml"), &sample.stdout);
}
