//! Proves that the reference of the command line and of the configuration is what the program says.

use std::fmt::Write as _;

use crate::program::{assert_on_file, repository, run};

const COMMANDS: &[&[&str]] = &[
    &[],
    &["serve"],
    &["tunnel"],
    &["healthcheck"],
    &["migrate"],
    &["config", "check"],
    &["config", "sample"],
    &["explain"],
    &["login"],
    &["logout"],
    &["whoami"],
    &["account", "show"],
    &["account", "password"],
    &["account", "set-password"],
    &["account", "second-factor", "set-up"],
    &["account", "second-factor", "confirm"],
    &["account", "second-factor", "recovery-codes"],
    &["account", "second-factor", "remove"],
    &["account", "second-factor", "remove-passkey"],
    &["audit", "list"],
    &["audit", "verify"],
    &["audit", "export"],
    &["audit", "anchor"],
    &["audit", "streams"],
    &["ca", "init"],
    &["ca", "tree"],
    &["ca", "show"],
    &["ca", "export"],
    &["ca", "crl"],
    &["ca", "reseal"],
    &["ca", "rotate"],
    &["ca", "rotate", "status"],
    &["ca", "rotate", "rollback"],
    &["ca", "root"],
    &["ca", "root", "export"],
    &["ca", "root", "import"],
    &["ca", "csr"],
    &["ca", "csr-withdraw"],
    &["ca", "sign"],
    &["ca", "crl-request"],
    &["ca", "sign-crl"],
    &["ca", "import-signed"],
    &["ca", "import"],
    &["cert", "inspect"],
    &["cert", "verify"],
    &["cert", "p12"],
    &["cert", "issue"],
    &["cert", "list"],
    &["cert", "rotate"],
    &["cert", "revoke"],
    &["edge", "run"],
    &["edge", "add"],
    &["edge", "list"],
    &["edge", "revoke"],
    &["service", "import"],
    &["service", "list"],
    &["service", "remove"],
    &["monitor", "list"],
    &["monitor", "check"],
    &["monitor", "accept"],
    &["alert", "list"],
    &["alert", "ack"],
    &["alert", "silence"],
    &["alert", "silences"],
    &["alert", "unsilence"],
    &["alert", "test"],
    &["mqtt", "mosquitto-config"],
    &["device", "list"],
    &["device", "show"],
    &["device", "approve"],
    &["device", "deny"],
    &["device", "quarantine"],
    &["device", "decommission"],
    &["device", "revoke"],
    &["device", "change"],
    &["device", "rotate-token"],
    &["device", "command"],
    &["device", "commands"],
    &["device", "shadow", "show"],
    &["device", "shadow", "desire"],
    &["device", "provisioning-token", "set"],
    &["device", "provisioning-token", "show"],
    &["device", "provisioning-token", "remove"],
    &["key", "create"],
    &["key", "list"],
    &["key", "revoke"],
    &["denied", "list"],
    &["denied", "lift-key"],
    &["denied", "lift-trait"],
    &["tenant", "create"],
    &["tenant", "list"],
    &["tenant", "suspend"],
    &["tenant", "resume"],
    &["site", "create"],
    &["site", "list"],
    &["site", "rename"],
    &["site", "delete"],
    &["settings", "show"],
    &["settings", "set"],
    &["rollout", "show"],
    &["rollout", "blocked"],
    &["rollout", "back"],
    &["job", "create"],
    &["job", "list"],
    &["job", "show"],
    &["job", "cancel"],
    &["telemetry", "tail"],
    &["telemetry", "query"],
    &["quarantine", "messages", "list"],
    &["quarantine", "messages", "show"],
    &["quarantine", "messages", "release"],
    &["trust", "add"],
    &["trust", "list"],
    &["trust", "remove"],
    &["user", "create"],
    &["user", "list"],
    &["user", "change"],
    &["user", "reset-password"],
    &["user", "second-factor", "remove"],
    &["user", "second-factor", "policy"],
    &["user", "reset-second-factor"],
    &["token", "create"],
    &["token", "list"],
    &["token", "revoke"],
    &["store", "copy"],
    &["backup"],
    &["restore"],
    &["cloudflare", "push-ca"],
    &["cloudflare", "push-rules"],
    &["cloudflare", "import-rules"],
    &["cloudflare", "status"],
    &["rules", "test"],
    &["rules", "check"],
    &["rules", "import"],
    &["rules", "list"],
    &["rules", "add"],
    &["rules", "change"],
    &["rules", "remove"],
    &["rules", "move"],
    &["rules", "revisions"],
    &["rules", "restore"],
    &["rules", "observed"],
    &["completions"],
    &["man"],
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
    let parents: [&[&str]; 29] = [
        &[],
        &["config"],
        &["audit"],
        &["ca"],
        &["ca", "rotate"],
        &["cert"],
        &["edge"],
        &["service"],
        &["monitor"],
        &["mqtt"],
        &["telemetry"],
        &["quarantine"],
        &["quarantine", "messages"],
        &["user"],
        &["user", "second-factor"],
        &["store"],
        &["cloudflare"],
        &["rules"],
        &["device"],
        &["device", "shadow"],
        &["device", "provisioning-token"],
        &["key"],
        &["denied"],
        &["tenant"],
        &["site"],
        &["settings"],
        &["rollout"],
        &["token"],
        &["alert"],
    ];
    for parent in parents {
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

const LINTS_HEAD: &str = "\
# Lints

Every certificate and every revocation list is read back before it is signed and looked at by these named
checks; the first that finds something refuses it, and nothing is signed. `countersign cert inspect` names
those that a certificate from anywhere would fail. BR are the baseline requirements of the CA/Browser Forum
for servers' certificates: they do not bind a private CA, and are followed where they make sense for one.

Generated from the program; `UPDATE_SNAPSHOTS=1 cargo test -p countersign` writes it anew. What an
independent linter, pkilint, says about the same certificates and lists is part of `scripts/test-long`
(`scripts/lint-certificates` alone): no error, but for two findings that do not apply. Its check of URIs knows
the schemes of the web only, and takes `spiffe://` for bad syntax; its check of DNS names knows no wildcards,
which RFC 9525 has. Its rules of BR for revocation lists, which have no `cACompromise`, are not asked about a
list with that reason.
";

#[test]
fn every_lint_is_in_the_reference_with_its_source() {
    let mut text = LINTS_HEAD.to_owned();
    let certificates: Vec<_> = countersign_ca::certificate_lints().collect();
    let lists: Vec<_> = countersign_ca::crl_lints().collect();
    let mut names = std::collections::BTreeSet::new();
    for (title, lints) in [("Certificates", certificates), ("Revocation lists", lists)] {
        write!(text, "\n## {title}\n\n| lint | what it asks for | source |\n|---|---|---|\n").unwrap();
        for lint in lints {
            assert!(!lint.what.is_empty() && !lint.source.is_empty(), "{lint:?}");
            assert!(names.insert(lint.name), "{} twice", lint.name);
            writeln!(text, "| `{}` | {} | {} |", lint.name, lint.what, lint.source).unwrap();
        }
    }
    assert_on_file(&repository().join("docs/reference/lints.md"), &text);
}
