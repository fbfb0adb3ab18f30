//! A disk with little room.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file system of its own in a folder, gone with this.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of so many mebibytes at this folder, which must be there. `None`, and said, where this user may not
    /// mount one.
    pub(crate) fn at(folder: &Path, mebibytes: u32) -> Option<Self> {
        let options = format!("size={mebibytes}m,mode=0700");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "countersign-test"]).arg(folder);
        if command.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Some(Self(folder.to_owned()));
        }
        let mut log = std::io::stderr();
        writeln!(log, "left out: no disk can be mounted here, which only root may").unwrap();
        None
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Nothing fits on it any more.
    pub(crate) fn fill(&self) {
        let mut ballast = fs_err::OpenOptions::new().create(true).append(true).open(self.ballast()).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    /// There is room again.
    pub(crate) fn free(&self) {
        fs_err::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Also while a program has files open on it.
        let _gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
