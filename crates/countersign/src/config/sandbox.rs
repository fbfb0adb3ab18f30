//! `sandbox`: what the process may write once it runs.

use std::path::PathBuf;

use super::pick::{Layers, Picker};
use super::raw::Place;
use super::resolve::one_of;

/// Whether the process gives up writing anywhere but where it has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SandboxMode {
    /// Where the kernel can see to it.
    Auto,
    /// Or it does not start.
    Required,
    /// It does not.
    Off,
}

/// What the process may write once it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SandboxSettings {
    /// Whether that is seen to.
    pub(crate) mode: SandboxMode,
    /// Folders and files besides its own, absolute.
    pub(crate) write: Vec<PathBuf>,
}

/// What the process may write.
pub(super) fn sandbox(
    pick: &mut Picker<'_>,
    mode: Place<String>,
    write: Place<Vec<String>>,
) -> SandboxSettings {
    let known = [("auto", SandboxMode::Auto), ("required", SandboxMode::Required), ("off", SandboxMode::Off)];
    let mode = pick.value(Layers::new("sandbox", mode), SandboxMode::Auto, |text| one_of(&text, &known)).0;
    let write = pick.value(Layers::new("sandbox_write", write), Vec::new(), |paths: Vec<String>| {
        let paths: Vec<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
        match paths.iter().find(|path| !path.is_absolute()) {
            Some(relative) => Err(format!("not an absolute path: {}", relative.display())),
            None => Ok(paths),
        }
    });
    SandboxSettings { mode, write: write.0 }
}
