//! A disk whose process is killed at a chosen write.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign_agent::config::Config;
use countersign_agent::disk::{Disk, DiskError, DiskLock};

/// When, around the write, the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// Dies at one write, and does nothing ever after.
pub(crate) struct DyingDisk {
    inner: Arc<dyn Disk>,
    dies_at: usize,
    moment: Moment,
    writes: AtomicUsize,
}

impl DyingDisk {
    /// Dies at the write number `dies_at`, the first being 0.
    pub(crate) fn new(inner: Arc<dyn Disk>, dies_at: usize, moment: Moment) -> Arc<Self> {
        Arc::new(Self { inner, dies_at, moment, writes: AtomicUsize::new(0) })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.writes.load(Ordering::SeqCst) > self.dies_at
    }

    fn dead(&self) -> DiskError {
        DiskError::File { path: self.inner.path().to_owned(), source: std::io::Error::other("killed") }
    }
}

impl Disk for DyingDisk {
    fn load(&self) -> Result<Option<Config>, DiskError> {
        if self.is_dead() { Err(self.dead()) } else { self.inner.load() }
    }

    fn save(&self, config: &Config) -> Result<(), DiskError> {
        let write = self.writes.fetch_add(1, Ordering::SeqCst);
        if write < self.dies_at || (write == self.dies_at && self.moment == Moment::After) {
            self.inner.save(config)?;
        }
        if write < self.dies_at { Ok(()) } else { Err(self.dead()) }
    }

    fn lock(&self) -> Result<DiskLock, DiskError> {
        self.inner.lock()
    }

    fn remove(&self) -> Result<(), DiskError> {
        if self.is_dead() { Err(self.dead()) } else { self.inner.remove() }
    }

    fn path(&self) -> &Path {
        self.inner.path()
    }
}
