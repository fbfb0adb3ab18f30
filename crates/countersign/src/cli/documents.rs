//! `countersign completions | man`: what shells and `man` are told, made from the command line itself.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::arguments::Cli;
use super::failure::Failure;
use super::output::{note, print};

/// `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArguments {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// `man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManArguments {
    /// Write a page for every command into this directory, instead of the one of `countersign` to stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints a completion script.
pub(super) fn completions(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "countersign", &mut script);
    Ok(print(&String::from_utf8_lossy(&script))?)
}

/// Prints a man page, or writes them all.
pub(super) fn man(arguments: &ManArguments) -> Result<(), Failure> {
    let command = Cli::command();
    let Some(folder) = &arguments.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).context("write the man page")?;
        return Ok(print(&String::from_utf8_lossy(&page))?);
    };
    fs_err::create_dir_all(folder).context("make the directory")?;
    clap_mangen::generate_to(command, folder).context("write the man pages")?;
    let pages = fs_err::read_dir(folder).context("look at the directory")?.count();
    note(&format!("{pages} pages are in {}", folder.display()));
    Ok(())
}
