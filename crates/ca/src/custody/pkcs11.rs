//! Keys in a PKCS #11 token: made in it, never outside it, and asked to sign.
//!
//! A [`Token`] is one token behind one module, a [`TokenKey`] one key in it. Requests share a few
//! sessions. When the token goes away, each request fails with a [`TokenError`] that names it; every
//! request that comes looks for it again, at most once a second, logs in and finds its key anew.
//!
//! Start reading at [`Token`].

mod connection;
mod key;
mod signature;
mod uri;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use parking_lot::RwLock;
use thiserror::Error;

use crate::key::KeyAlgorithm;
use crate::secret_file::{SecretError, SecretFile};
pub(crate) use connection::Borrowed;
use connection::{Connection, RefusedPin};

pub use key::TokenKey;
pub use uri::{KeyUri, KeyUriError};

/// How long to leave a token alone after looking for it.
const PAUSE: Duration = Duration::from_secs(1);

/// Which token it is and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// The module: the library that the token's maker provides.
    pub module: PathBuf,
    /// The token's label.
    pub label: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// The PIN of the token's user.
    pub pin: SecretFile,
    /// How many may sign at once.
    pub sessions: NonZeroUsize,
}

/// The token's names, as far as they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenName(String);

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TokenSettings {
    fn name(&self) -> TokenName {
        let label = self.label.iter().map(|label| format!("{label:?}"));
        let serial = self.serial.iter().map(|serial| format!("with serial number {serial}"));
        TokenName(label.chain(serial).collect::<Vec<_>>().join(" "))
    }

    /// Whether a key that a URI names lies in this token.
    #[must_use]
    pub fn holds(&self, uri: &KeyUri) -> bool {
        let agree = |ours: &Option<String>, named: &Option<String>| match (ours, named) {
            (Some(ours), Some(named)) => ours == named,
            (None, _) | (_, None) => true,
        };
        agree(&self.label, &uri.token) && agree(&self.serial, &uri.serial)
    }
}

/// A token did not do what it was asked for.
#[derive(Clone, Debug, Error)]
pub enum TokenError {
    /// There is no such module, or it is none.
    #[error("cannot load the PKCS #11 module {}: install it, or correct pki.pkcs11.module", path.display())]
    Module {
        /// Where it was looked for.
        path: PathBuf,
        /// Why not.
        source: Arc<cryptoki::error::Error>,
    },
    /// It is not there, or not alone.
    #[error(
        "{found} tokens are {token}, not one: plug it in or start what provides it; it is looked for again, \
         and nothing needs a restart"
    )]
    Missing {
        /// The token.
        token: TokenName,
        /// How many have its name.
        found: usize,
    },
    /// It refuses the PIN. Tokens lock themselves after a few wrong ones.
    #[error(
        "the token {token} refuses the PIN in {}: correct the file; the same PIN is not tried again", file.display()
    )]
    Pin {
        /// The token.
        token: TokenName,
        /// Where the PIN was read.
        file: PathBuf,
    },
    /// The PIN cannot be read.
    #[error("cannot read the PIN of the token {token}")]
    PinFile {
        /// The token.
        token: TokenName,
        /// Why not.
        source: Arc<SecretError>,
    },
    /// The token is there and the key is not.
    #[error("{found} private keys in the token {token} have this name, not one: is it the right token?")]
    NoKey {
        /// The token.
        token: TokenName,
        /// How many there are.
        found: usize,
    },
    /// A call failed.
    #[error("cannot {doing} with the token {token}: is it plugged in, and does what provides it run?")]
    Failed {
        /// The token.
        token: TokenName,
        /// What it was asked for.
        doing: &'static str,
        /// What it said.
        source: Arc<cryptoki::error::Error>,
    },
    /// Every session was busy for too long.
    #[error(
        "all {sessions} sessions of the token {token} are busy: raise pki.pkcs11.sessions, if it can do more"
    )]
    Busy {
        /// The token.
        token: TokenName,
        /// How many there are.
        sessions: usize,
    },
    /// It made a key that is not as it was asked for, or cannot make such a key.
    #[error("the token {token} makes no {algorithm} key that stays in it: {why}")]
    Unfit {
        /// The token.
        token: TokenName,
        /// What was asked for.
        algorithm: KeyAlgorithm,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A token, by its settings; connected to when it is needed. One of a module per process: the module's
/// own state is the process's.
pub struct Token {
    settings: TokenSettings,
    name: TokenName,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    module: Option<Pkcs11>,
    connection: Option<Connection>,
    /// How often it was looked for.
    looks: u64,
    looked_at: Option<Instant>,
    /// What came of it.
    refused: Option<TokenError>,
    refused_pin: Option<RefusedPin>,
}

/// What went wrong, and at which look.
struct Failure {
    look: u64,
    error: TokenError,
}

impl Token {
    /// A token that is not looked for yet.
    #[must_use]
    pub fn new(settings: TokenSettings) -> Self {
        let name = settings.name();
        Self { settings, name, state: RwLock::default() }
    }

    /// Which token it is.
    #[must_use]
    pub const fn settings(&self) -> &TokenSettings {
        &self.settings
    }

    pub(crate) const fn name(&self) -> &TokenName {
        &self.name
    }

    /// Does something with a session. If that fails, the token is looked for again, and it is done once
    /// more.
    pub(crate) fn with<T>(
        &self,
        work: impl Fn(&Borrowed<'_>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        match self.once(&work) {
            Ok(done) => Ok(done),
            Err(Failure { error: error @ (TokenError::Busy { .. } | TokenError::Unfit { .. }), .. }) => {
                Err(error)
            }
            Err(failure) => {
                self.look_again(failure)?;
                self.once(&work).map_err(|failure| failure.error)
            }
        }
    }

    fn once<T>(&self, work: impl Fn(&Borrowed<'_>) -> Result<T, TokenError>) -> Result<T, Failure> {
        let state = self.state.read();
        let fail = |error| Failure { look: state.looks, error };
        let Some(connection) = &state.connection else {
            let missing = || TokenError::Missing { token: self.name.clone(), found: 0 };
            return Err(fail(state.refused.clone().unwrap_or_else(missing)));
        };
        connection.with(self, state.looks, work).map_err(fail)
    }

    /// Looks for the token, unless somebody has done so since, or just before.
    fn look_again(&self, Failure { look, error }: Failure) -> Result<(), TokenError> {
        let mut state = self.state.write();
        if state.looks != look {
            return Ok(());
        }
        if state.looked_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(error);
        }
        state.looks += 1;
        // Its sessions end with it, before the module does.
        state.connection = None;
        let found = self.connect(&mut state);
        state.looked_at = Some(Instant::now());
        match found {
            Ok(connection) => {
                state.connection = Some(connection);
                state.refused = None;
                Ok(())
            }
            Err(error) => {
                state.refused = Some(error.clone());
                Err(error)
            }
        }
    }

    fn connect(&self, state: &mut State) -> Result<Connection, TokenError> {
        let module = match state.module.take() {
            Some(module) => {
                // Modules learn of tokens when they begin, some only then.
                let _ended = module.clone().finalize();
                module
            }
            None => {
                let path = &self.settings.module;
                let failed = |error| TokenError::Module { path: path.clone(), source: Arc::new(error) };
                Pkcs11::new(path).map_err(failed)?
            }
        };
        state.module = Some(module.clone());
        Connection::open(self, module, &mut state.refused_pin)
    }

    pub(crate) fn failed(&self, doing: &'static str) -> impl Fn(cryptoki::error::Error) -> TokenError {
        let token = self.name.clone();
        move |error| TokenError::Failed { token: token.clone(), doing, source: Arc::new(error) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("settings", &self.settings).finish_non_exhaustive()
    }
}
