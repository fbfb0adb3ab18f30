//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag on the command line.
    Flag(&'static str),
    /// An environment variable.
    Variable(String),
    /// A line of the file, from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// Nobody gave it.
    Default,
}

impl Origin {
    /// Its place among others: as somebody would look for them.
    pub(super) const fn place(&self) -> (u8, usize) {
        match self {
            Self::Flag(_) => (0, 0),
            Self::Variable(_) => (1, 0),
            Self::File { line, .. } => (2, *line),
            Self::Default => (3, 0),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where the bad value comes from.
    pub(crate) origin: Origin,
    /// Which setting it is.
    pub(crate) key: String,
    /// What is wrong with it; may go over several lines.
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.replace('\n', "\n    ");
        if self.key.is_empty() {
            write!(f, "{}: {message}", self.origin)
        } else {
            write!(f, "{}: {}: {message}", self.origin, self.key)
        }
    }
}

/// A configuration that cannot be used: every problem found, in the order of the settings.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Values are missing, wrong or unknown.
    #[error("the configuration has {}", listed(.0))]
    Problems(Vec<Problem>),
}

fn listed(problems: &[Problem]) -> String {
    let head = match problems.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    problems.iter().fold(head, |text, problem| format!("{text}\n  {problem}"))
}
