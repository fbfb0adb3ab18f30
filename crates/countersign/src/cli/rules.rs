//! `countersign rules …`: what its commands share.

use std::path::Path;

use super::failure::Failure;
use super::rules_arguments::RulesCommand;
use super::run::loaded;
use super::{rules_check, rules_history, rules_import, rules_kept, rules_test};
use crate::config::{ConfigError, ConfigFlags, Loaded};

/// Runs one of them.
pub(super) fn run(command: RulesCommand) -> Result<(), Failure> {
    match command {
        RulesCommand::Test(arguments) => rules_test::run(&arguments),
        RulesCommand::Check(arguments) => rules_check::run(&arguments),
        RulesCommand::Import(arguments) => rules_import::run(&arguments),
        RulesCommand::List(flags) => rules_kept::list(&flags),
        RulesCommand::Add(arguments) => rules_kept::add(*arguments),
        RulesCommand::Change(arguments) => rules_kept::change(*arguments),
        RulesCommand::Remove(arguments) => rules_kept::remove(&arguments),
        RulesCommand::Move(arguments) => rules_kept::relocate(*arguments),
        RulesCommand::Revisions(flags) => rules_history::revisions(&flags),
        RulesCommand::Restore(arguments) => rules_history::restore(&arguments),
        RulesCommand::Observed(flags) => rules_history::observed(&flags),
    }
}

/// The rules and lists of a file, read by the code that reads the configuration.
pub(super) fn from_file(file: &Path) -> Result<Loaded, ConfigError> {
    loaded(ConfigFlags { config: Some(file.to_owned()), ..ConfigFlags::default() })
}
