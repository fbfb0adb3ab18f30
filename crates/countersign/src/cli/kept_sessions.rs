//! The sessions that `countersign login` began, in a file of the person's own.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::failure::Failure;
use crate::serve::files::write_private;

/// A session at one server.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeptSession {
    /// Whose it is.
    pub(super) email: String,
    /// The bearer token.
    pub(super) token: String,
    /// Until when it is good.
    pub(super) expires_at: Timestamp,
}

impl Drop for KeptSession {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

/// Those of one person, by the address of the admin listener.
pub(super) struct KeptSessions {
    path: PathBuf,
    sessions: BTreeMap<SocketAddr, KeptSession>,
}

impl KeptSessions {
    /// What is kept in a person's folder for such things; nothing when there is no file.
    ///
    /// # Errors
    /// Fails closed: a file that others may read or change is not believed.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("countersign/sessions.json");
        let text = match fs_err::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { path, sessions: BTreeMap::new() });
            }
            Err(error) => return Err(anyhow::Error::new(error).context("read the kept sessions").into()),
        };
        let mode = fs_err::metadata(&path).context("look at the kept sessions")?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let error = anyhow::anyhow!("{} can be read by others: its mode is {mode:o}", path.display());
            return Err(Failure::from(error).hint(
                "whoever read it can act in your name: `countersign logout`, remove it, sign in again",
            ));
        }
        let sessions = serde_json::from_str(&text)
            .with_context(|| format!("read {}", path.display()))
            .map_err(|error| Failure::from(error).hint("remove the file and sign in again"))?;
        Ok(Self { path, sessions })
    }

    /// The token of the session at this server.
    pub(super) fn token(&self, server: SocketAddr) -> Option<Zeroizing<String>> {
        self.sessions.get(&server).map(|session| Zeroizing::new(session.token.clone()))
    }

    /// Keeps a session in place of the one that was there.
    pub(super) fn keep(&mut self, server: SocketAddr, session: KeptSession) -> anyhow::Result<()> {
        self.sessions.insert(server, session);
        self.write()
    }

    /// Forgets the session at this server.
    pub(super) fn forget(&mut self, server: SocketAddr) -> anyhow::Result<()> {
        if self.sessions.remove(&server).is_some() { self.write() } else { Ok(()) }
    }

    fn write(&self) -> anyhow::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("make {}", folder.display()))?;
        }
        let text = serde_json::to_string_pretty(&self.sessions).context("write the sessions as JSON")?;
        write_private(&self.path, Zeroizing::new(text).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> KeptSession {
        let expires_at = Timestamp::from_secs(1);
        KeptSession { email: "owner@example.com".to_owned(), token: "css_1".to_owned(), expires_at }
    }

    #[test]
    fn a_session_is_kept_for_its_server_alone_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let [here, there] = ["127.0.0.1:8080", "127.0.0.1:8081"].map(|text| text.parse().unwrap());
        let mut kept = KeptSessions::read(folder.path()).unwrap();
        assert!(kept.token(here).is_none());
        kept.keep(here, session()).unwrap();
        let mut again = KeptSessions::read(folder.path()).unwrap();
        assert_eq!(again.token(here).unwrap().as_str(), "css_1");
        assert!(again.token(there).is_none());
        let mode = fs_err::metadata(&again.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        again.forget(here).unwrap();
        assert!(KeptSessions::read(folder.path()).unwrap().token(here).is_none());
    }

    #[test]
    fn fails_closed_on_a_file_that_others_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = KeptSessions::read(folder.path()).unwrap();
        kept.keep("127.0.0.1:8080".parse().unwrap(), session()).unwrap();
        fs_err::set_permissions(&kept.path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let failure = KeptSessions::read(folder.path()).err().unwrap().text();
        assert!(failure.contains("its mode is 644"), "{failure}");
    }
}
