//! Hears when something stirs where certain files are, so that nobody need look all the time.
//!
//! The kernel tells of folders (inotify), since files are replaced by others of the same name. Where it cannot,
//! and now and then in any case, because file systems of other machines tell nothing, whoever waits looks.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

/// How often to look where nobody tells.
const LOOK: Duration = Duration::from_secs(1);
/// How often to look though somebody does.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);
/// A certificate and its key are replaced one after the other: how long the second may take.
const SETTLING: Duration = Duration::from_millis(100);
/// How many links are followed from one file.
const LINKS: usize = 16;

/// The surroundings of some files.
#[derive(Debug)]
pub(super) struct Nearby {
    /// `None`: the kernel tells nothing, or not of all of them.
    told: Option<AsyncFd<OwnedFd>>,
    is_empty: bool,
}

impl Nearby {
    /// Of these files, as they are named.
    pub(super) fn new<'p>(files: impl Iterator<Item = &'p Path>) -> Self {
        let mut nearby = Self { told: None, is_empty: true };
        nearby.look_around(files);
        nearby
    }

    /// Of these files from now on; to be said again after they changed, since links may lead elsewhere.
    pub(super) fn look_around<'p>(&mut self, files: impl Iterator<Item = &'p Path>) {
        let folders: BTreeSet<PathBuf> = files.flat_map(folders).collect();
        self.is_empty = folders.is_empty();
        self.told = if self.is_empty { None } else { watch(&folders) };
        if self.told.is_none() && !self.is_empty {
            tracing::debug!("the system does not tell of changed files, they are looked at every second");
        }
    }

    /// Waits until something may have changed.
    pub(super) async fn stirred(&mut self) {
        if self.is_empty {
            return std::future::pending().await;
        }
        let Some(told) = &self.told else { return sleep_until(Instant::now() + LOOK).await };
        tokio::select! {
            heard = hear(told) => if heard.is_err() {
                self.told = None;
            },
            () = sleep_until(Instant::now() + LOOK_ANYWAY) => {}
        }
    }
}

/// Where a file is, and where what its links lead to is.
fn folders(file: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut at = file.to_owned();
    for _ in 0..LINKS {
        let folder = match at.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        found.push(folder.clone());
        let Ok(next) = fs_err::read_link(&at) else { break };
        at = folder.join(next);
    }
    found
}

fn watch(folders: &BTreeSet<PathBuf>) -> Option<AsyncFd<OwnedFd>> {
    let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
    let events = WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ATTRIB;
    for folder in folders {
        inotify::add_watch(&fd, folder, events).ok()?;
    }
    registered(fd)
}

#[expect(
    deprecated,
    reason = "what stands in its place is unsafe code, for types that may close what they hold: this one does not"
)]
fn registered(fd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd).ok()
}

/// Waits for a word, and then until nothing is said any more for a moment.
async fn hear(told: &AsyncFd<OwnedFd>) -> std::io::Result<()> {
    told.readable().await?.clear_ready();
    sleep_until(Instant::now() + SETTLING).await;
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(told.get_ref(), &mut room);
    loop {
        match reader.next() {
            Ok(_event) => {}
            Err(Errno::WOULDBLOCK) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn stirs(nearby: &mut Nearby, what: &str) {
        assert!(nearby.told.is_some(), "{what}: told by the system");
        let began = Instant::now();
        timeout(PATIENCE, nearby.stirred()).await.expect(what);
        assert!(began.elapsed() < LOOK_ANYWAY, "{what}");
    }

    #[tokio::test]
    async fn a_file_that_is_written_replaced_or_led_elsewhere_is_heard_of() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs_err::create_dir(at("one")).unwrap();
        fs_err::create_dir(at("two")).unwrap();
        fs_err::create_dir(at("live")).unwrap();
        fs_err::write(at("one/cert.pem"), "1").unwrap();
        fs_err::write(at("two/cert.pem"), "2").unwrap();
        fs_err::os::unix::fs::symlink(at("one"), at("live/current")).unwrap();
        fs_err::os::unix::fs::symlink("current/cert.pem", at("live/cert.pem")).unwrap();
        let file = at("live/cert.pem");
        let mut nearby = Nearby::new([file.as_path()].into_iter());

        fs_err::write(at("one/cert.pem"), "3").unwrap();
        stirs(&mut nearby, "what a link leads to is written").await;
        fs_err::write(at("one/new"), "4").unwrap();
        fs_err::rename(at("one/new"), at("one/cert.pem")).unwrap();
        stirs(&mut nearby, "it is replaced").await;
        fs_err::os::unix::fs::symlink(at("two"), at("live/next")).unwrap();
        fs_err::rename(at("live/next"), at("live/current")).unwrap();
        stirs(&mut nearby, "a link on the way leads elsewhere").await;
        nearby.look_around([file.as_path()].into_iter());
        fs_err::write(at("two/cert.pem"), "5").unwrap();
        stirs(&mut nearby, "and what is there now is written").await;
    }

    #[tokio::test]
    async fn where_nobody_tells_it_is_looked_every_second() {
        let missing = Path::new("/nowhere/at/all/cert.pem");
        let mut nearby = Nearby::new([missing].into_iter());
        assert!(nearby.told.is_none());
        timeout(PATIENCE, nearby.stirred()).await.unwrap();
        let mut nothing = Nearby::new(std::iter::empty());
        assert!(timeout(Duration::from_millis(50), nothing.stirred()).await.is_err(), "nothing to look at");
    }
}
