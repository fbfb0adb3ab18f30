//! Reads a configuration as tests of its tables want it: from a text, on a machine that is called `here`.

use std::num::NonZeroUsize;

use super::environment::{Environment, Machine};
use super::file::ConfigFile;
use super::flags::ConfigFlags;
use super::problem::ConfigError;
use super::resolve::{Loaded, resolve};

/// What comes of this file, without flags and variables.
pub(super) fn read(text: &str) -> Result<Loaded, ConfigError> {
    let machine = Machine { names: vec!["here".parse().unwrap()], processors: NonZeroUsize::MIN };
    let file = ConfigFile::from_text("/etc/cs/c.toml", text);
    resolve(ConfigFlags::default(), &Environment::default(), &machine, &file)
}
