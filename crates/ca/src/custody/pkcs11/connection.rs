//! A token that is there, logged in to, and the sessions on it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use parking_lot::{Condvar, Mutex};

use super::{Token, TokenError, TokenName};

/// How long a request waits for a session.
const PATIENCE: Duration = Duration::from_secs(10);

/// A PIN that the token refused, by its hash: trying it again would lock the token.
#[derive(PartialEq, Eq)]
pub(super) struct RefusedPin([u8; 32]);

impl RefusedPin {
    fn of(pin: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, pin.as_bytes()).as_ref());
        Self(hash)
    }
}

/// A token that is logged in to.
pub(super) struct Connection {
    module: Pkcs11,
    slot: Slot,
    most: NonZeroUsize,
    sessions: Mutex<Sessions>,
    returned: Condvar,
}

struct Sessions {
    idle: Vec<Session>,
    open: usize,
    /// Kept open and never used: the login ends with the last session.
    _login: Session,
}

/// A session for the time of one piece of work.
pub(crate) struct Borrowed<'a> {
    pub(crate) session: &'a Session,
    /// The look at which the token was found: what is known of it from before no longer holds.
    pub(crate) look: u64,
    pub(crate) token: &'a Token,
    connection: &'a Connection,
}

impl Borrowed<'_> {
    /// A session that may make objects.
    pub(crate) fn writing(&self) -> Result<Session, TokenError> {
        let opened = self.connection.module.open_rw_session(self.connection.slot);
        opened.map_err(self.token.failed("open a session for making keys"))
    }
}

impl Connection {
    pub(super) fn open(
        token: &Token,
        module: Pkcs11,
        refused: &mut Option<RefusedPin>,
    ) -> Result<Self, TokenError> {
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Somebody else in this process uses the module too.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, Function::Initialize)) => {}
            Err(error) => return Err(token.failed("begin")(error)),
        }
        let slot = find(token, &module)?;
        let login = module.open_ro_session(slot).map_err(token.failed("open a session"))?;
        log_in(token, &login, refused)?;
        let sessions = Mutex::new(Sessions { idle: Vec::new(), open: 0, _login: login });
        let most = token.settings.sessions;
        Ok(Self { module, slot, most, sessions, returned: Condvar::new() })
    }

    pub(super) fn with<T>(
        &self,
        token: &Token,
        look: u64,
        work: impl Fn(&Borrowed<'_>) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let session = self.take(token)?;
        let done = work(&Borrowed { session: &session, look, token, connection: self });
        // Nobody knows in what state a session is that failed.
        self.give_back(done.is_ok().then_some(session));
        done
    }

    fn take(&self, token: &Token) -> Result<Session, TokenError> {
        let until = Instant::now() + PATIENCE;
        let mut sessions = self.sessions.lock();
        loop {
            if let Some(session) = sessions.idle.pop() {
                return Ok(session);
            }
            if sessions.open < self.most.get() {
                let session =
                    self.module.open_ro_session(self.slot).map_err(token.failed("open a session"))?;
                sessions.open += 1;
                return Ok(session);
            }
            if self.returned.wait_until(&mut sessions, until).timed_out() {
                return Err(TokenError::Busy { token: token.name().clone(), sessions: self.most.get() });
            }
        }
    }

    fn give_back(&self, session: Option<Session>) {
        let mut sessions = self.sessions.lock();
        match session {
            Some(session) => sessions.idle.push(session),
            None => sessions.open = sessions.open.saturating_sub(1),
        }
        drop(sessions);
        self.returned.notify_one();
    }
}

/// The one slot with the token in it.
fn find(token: &Token, module: &Pkcs11) -> Result<Slot, TokenError> {
    let failed = token.failed("look for it");
    let mut found = Vec::new();
    for slot in module.get_slots_with_initialized_token().map_err(&failed)? {
        // One that is pulled out just now is another one's concern.
        let Ok(info) = module.get_token_info(slot) else { continue };
        let is_label = token.settings.label.as_ref().is_none_or(|label| label == info.label());
        let is_serial = token.settings.serial.as_ref().is_none_or(|serial| serial == info.serial_number());
        if is_label && is_serial {
            found.push(slot);
        }
    }
    match found.as_slice() {
        [slot] => Ok(*slot),
        _ => Err(TokenError::Missing { token: token.name().clone(), found: found.len() }),
    }
}

fn log_in(token: &Token, session: &Session, refused: &mut Option<RefusedPin>) -> Result<(), TokenError> {
    let name = || -> TokenName { token.name().clone() };
    let file = &token.settings.pin;
    let pin =
        file.read_line().map_err(|error| TokenError::PinFile { token: name(), source: Arc::new(error) })?;
    let this = RefusedPin::of(&pin);
    let wrong = || TokenError::Pin { token: name(), file: file.path().to_owned() };
    if refused.as_ref() == Some(&this) {
        return Err(wrong());
    }
    match session.login(UserType::User, Some(&AuthPin::new(pin.as_str().into()))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            *refused = None;
            Ok(())
        }
        Err(Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinLocked,
            _,
        )) => {
            *refused = Some(this);
            Err(wrong())
        }
        Err(error) => Err(token.failed("log in")(error)),
    }
}
