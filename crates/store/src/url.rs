//! Where the records are kept: `--database-url`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use thiserror::Error;

use crate::postgres;

/// What a `postgresql:` URL may have after its `?`.
const PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// A database to open: `sqlite:PATH`, or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` with libpq's
/// parameters. Prints without the password.
#[derive(Clone)]
pub struct StoreUrl {
    text: Arc<str>,
    place: Place,
}

/// Which kind of database, and where.
#[derive(Clone)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl Place {
    /// How many changes are committed together at most. On PostgreSQL as many as there are
    /// subtransactions in one transaction before they cost every reader dear (its `PGPROC` has room for 64).
    pub(crate) const fn group_size(&self) -> usize {
        match self {
            Self::Sqlite(_) => 512,
            Self::Postgres(_) => 60,
        }
    }

    /// How long the writer waits for one change, or one step of a transaction, before it takes the
    /// connection for lost. A file is there or is not.
    pub(crate) const fn patience(&self) -> Option<Duration> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(_) => Some(postgres::settings::PATIENCE),
        }
    }
}

/// A text that names no database this version can open. Says nothing of a PostgreSQL URL but what is
/// wrong with it: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreUrlError {
    /// A PostgreSQL URL that is none.
    #[error("not a PostgreSQL URL: {0} (postgresql://USER:PASSWORD@HOST:PORT/DATABASE)")]
    Postgres(String),
    /// A PostgreSQL URL that asks for something unknown.
    #[error("unknown parameter {0:?} in the PostgreSQL URL")]
    Parameter(String),
    /// An SQLite database without a file, or with parameters.
    #[error("not the path of an SQLite file: {0:?} (sqlite:PATH, without ? and not in memory)")]
    Path(String),
    /// Something else.
    #[error("unknown kind of database: use sqlite:PATH or postgresql://HOST/DATABASE")]
    Unknown,
}

impl StoreUrl {
    /// An SQLite database in this file.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { text: format!("sqlite:{}", path.display()).into(), place: Place::Sqlite(path) }
    }

    /// The file; `None` when it is not an SQLite database.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) => None,
        }
    }

    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;
    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            return Ok(Self { text: text.into(), place: Place::Postgres(Box::new(server(text)?)) });
        }
        let rest = text.strip_prefix("sqlite:").ok_or(StoreUrlError::Unknown)?;
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() || path.contains('?') || path.contains(":memory:") {
            return Err(StoreUrlError::Path(path.to_owned()));
        }
        Ok(Self::sqlite(path))
    }
}

fn server(text: &str) -> Result<PgConnectOptions, StoreUrlError> {
    let query = text.split_once('?').map_or("", |(_before, query)| query);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split_once('=').map_or(parameter, |(name, _value)| name);
        let plain = name.split_once(['[', '%']).map_or(name, |(plain, _rest)| plain);
        if !PARAMETERS.contains(&plain) {
            return Err(StoreUrlError::Parameter(plain.chars().take(40).collect()));
        }
    }
    let options: PgConnectOptions =
        text.parse().map_err(|error: sqlx::Error| StoreUrlError::Postgres(error.to_string()))?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err(StoreUrlError::Postgres("it names no database".to_owned()));
    }
    if options.get_host().contains(',') {
        let said = "it names several hosts, and takes one: an address that follows the primary";
        return Err(StoreUrlError::Postgres(said.to_owned()));
    }
    Ok(options)
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Place::Postgres(options) => {
                let (user, database) = (options.get_username(), options.get_database().unwrap_or_default());
                match options.get_socket() {
                    Some(socket) => {
                        write!(f, "postgresql:///{database}?host={}&user={user}", socket.display())
                    }
                    None => {
                        let (host, port) = (options.get_host(), options.get_port());
                        write!(f, "postgresql://{user}@{host}:{port}/{database}")
                    }
                }
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

impl PartialEq for StoreUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for StoreUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_file() {
        for (text, path) in
            [("sqlite:a/b.db", "a/b.db"), ("sqlite://a.db", "a.db"), ("sqlite:///var/x.db", "/var/x.db")]
        {
            assert_eq!(text.parse::<StoreUrl>().unwrap().path(), Some(Path::new(path)));
        }
    }

    #[test]
    fn refuses_what_this_version_cannot_open() {
        assert_eq!("mysql://h".parse::<StoreUrl>(), Err(StoreUrlError::Unknown));
        for text in ["sqlite:", "sqlite::memory:", "sqlite:a.db?mode=ro"] {
            assert!(matches!(text.parse::<StoreUrl>(), Err(StoreUrlError::Path(_))), "{text}");
        }
        let typo = "postgres://u:s3cret@h/d?passwort=s3cret";
        assert_eq!(typo.parse::<StoreUrl>(), Err(StoreUrlError::Parameter("passwort".into())));
        for text in ["postgres:", "postgresql://u:s3cret@h", "postgres://u:s3/cret@h/d"] {
            let error = text.parse::<StoreUrl>().unwrap_err();
            assert!(matches!(error, StoreUrlError::Postgres(_)), "{text}: {error}");
            assert!(!error.to_string().contains("s3"), "{error}");
        }
    }

    #[test]
    fn one_host_is_named() {
        for text in ["postgresql://u@one,two/d", "postgresql:///d?host=one,two&user=u"] {
            let error = text.parse::<StoreUrl>().unwrap_err();
            assert!(error.to_string().contains("several hosts"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        for (text, printed) in [
            ("postgres://u:s3cret@db.example:6543/main", "postgresql://u@db.example:6543/main"),
            ("postgresql://u@h/d?password=s3cret&sslmode=require", "postgresql://u@h:5432/d"),
            ("postgresql:///d?host=/run/x&user=u&password=s3cret", "postgresql:///d?host=/run/x&user=u"),
            ("postgresql://u:s3cret@%2Frun%2Fx/d?options[geqo]=off", "postgresql:///d?host=/run/x&user=u"),
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), printed);
            assert_eq!(format!("{url:?}"), format!("StoreUrl({printed})"));
            assert_eq!(url.path(), None);
        }
    }
}
