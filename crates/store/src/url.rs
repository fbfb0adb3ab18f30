//! Where the records are kept: `--database-url`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// A database to open: `sqlite:PATH` or `sqlite://PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl {
    path: PathBuf,
}

/// A text that names no database this version can open.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreUrlError {
    /// PostgreSQL.
    #[error("PostgreSQL is not in this version: use sqlite:PATH")]
    Postgres,
    /// An SQLite database without a file, or with parameters.
    #[error("not the path of an SQLite file: {0:?} (sqlite:PATH, without ? and not in memory)")]
    Path(String),
    /// Something else.
    #[error("unknown kind of database: use sqlite:PATH")]
    Unknown,
}

impl StoreUrl {
    /// An SQLite database in this file.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;
    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            return Err(StoreUrlError::Postgres);
        }
        let rest = text.strip_prefix("sqlite:").ok_or(StoreUrlError::Unknown)?;
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() || path.contains('?') || path.contains(":memory:") {
            return Err(StoreUrlError::Path(path.to_owned()));
        }
        Ok(Self::sqlite(path))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_file() {
        for (text, path) in
            [("sqlite:a/b.db", "a/b.db"), ("sqlite://a.db", "a.db"), ("sqlite:///var/x.db", "/var/x.db")]
        {
            assert_eq!(text.parse::<StoreUrl>().unwrap().path(), Path::new(path));
        }
    }

    #[test]
    fn refuses_what_this_version_cannot_open() {
        assert_eq!("postgres://u@h/d".parse::<StoreUrl>(), Err(StoreUrlError::Postgres));
        assert_eq!("mysql://h".parse::<StoreUrl>(), Err(StoreUrlError::Unknown));
        for text in ["sqlite:", "sqlite::memory:", "sqlite:a.db?mode=ro"] {
            assert!(matches!(text.parse::<StoreUrl>(), Err(StoreUrlError::Path(_))), "{text}");
        }
    }
}
