//! The time of day as the programs under test take it to be.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_core::time::{Clock, SystemClock, Timestamp};

/// Debian's libfaketime, for whichever architecture.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketime.so.1";

/// So many days.
pub(crate) const fn days(count: u64) -> Duration {
    hours(count * 24)
}

/// So many hours.
pub(crate) const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

/// The real time and what was added to it. Programs that run in it see it jump at once; their timers
/// run as ever.
#[derive(Clone, Debug)]
pub(crate) struct FakeTime {
    file: PathBuf,
    /// Held while the file is written, so that of two shifts at once the later sum stays.
    added: Arc<Mutex<i64>>,
}

impl FakeTime {
    /// The real time, for now. Its file is `file`.
    pub(crate) fn new(file: PathBuf) -> Self {
        let time = Self { file, added: Arc::default() };
        time.write(0);
        time
    }

    /// Moves it forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.shift(i64::try_from(by.as_secs()).unwrap());
    }

    /// Moves it by so many seconds, back too.
    pub(crate) fn shift(&self, seconds: i64) {
        let mut added = self.added.lock().unwrap();
        *added += seconds;
        self.write(*added);
    }

    fn write(&self, added: i64) {
        let beside = self.file.with_extension("new");
        fs_err::write(&beside, format!("{added:+}\n")).unwrap();
        fs_err::rename(&beside, &self.file).unwrap();
    }

    /// Lets a program run in it.
    pub(crate) fn rule(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_NO_CACHE", "1")
            .env("NO_FAKE_STAT", "1")
            .env("FAKETIME_TIMESTAMP_FILE", &self.file);
    }
}

fn library() -> String {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let path = LIBRARY.replace("$LIB", &format!("lib/{triple}"));
    assert!(Path::new(&path).exists(), "{path} is not there: install faketime");
    path
}

impl Clock for FakeTime {
    fn now(&self) -> Timestamp {
        let added = *self.added.lock().unwrap();
        let by = Duration::from_secs(added.unsigned_abs());
        if added < 0 { SystemClock.now() - by } else { SystemClock.now() + by }
    }
}
