//! How a command ends when it does not end well.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::config::ConfigError;

/// Why a command failed, what to do about it, and its exit code.
#[derive(Debug)]
pub(super) struct Failure {
    error: anyhow::Error,
    hint: Option<&'static str>,
    code: u8,
}

impl Failure {
    /// A check that was made and gave a bad answer.
    pub(super) fn bad_answer(message: String) -> Self {
        Self { error: anyhow::Error::msg(message), hint: None, code: 3 }
    }

    /// A command line that says something impossible.
    pub(super) const fn bad_usage(error: anyhow::Error) -> Self {
        Self { error, hint: None, code: 2 }
    }

    /// The same failure with a sentence that says what to do.
    pub(super) const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Without hint and code, for whoever goes on and tells of it later.
    pub(super) fn into_error(self) -> anyhow::Error {
        self.error
    }

    /// The exit code.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// The sentence, its causes and the hint, a line each.
    pub(super) fn text(&self) -> String {
        let mut text = format!("error: {}\n", self.error);
        for cause in self.error.chain().skip(1) {
            // Writing to a String cannot fail.
            let _written = writeln!(text, "  caused by: {cause}");
        }
        if let Some(hint) = self.hint {
            let _written = writeln!(text, "hint: {hint}");
        }
        text
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, hint: None, code: 1 }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hint = "`countersign config sample` prints every setting with its default";
        Self { error: error.into(), hint: Some(hint), code: 2 }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_failure_shows_its_causes_and_its_hint() {
        let cause = Err::<(), _>(std::io::Error::other("disk on fire"));
        let failure = Failure::from(cause.context("open the database").unwrap_err()).hint("buy a new disk");
        assert_eq!(
            failure.text(),
            "error: open the database\n  caused by: disk on fire\nhint: buy a new disk\n"
        );
    }
}
