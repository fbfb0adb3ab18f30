//! `countersign-agent completions | man`: what shells and `man` are told, made from the command line itself.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::arguments::Arguments;
use super::output;

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArguments {
    /// Which shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArguments {
    /// Write a page for every command into this directory, instead of the one of `countersign-agent` to stdout.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints a completion script.
pub(crate) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "countersign-agent", &mut script);
    output::text(String::from_utf8_lossy(&script).trim_end())
}

/// Prints a man page, or writes them all.
pub(crate) fn man(arguments: &ManArguments) -> anyhow::Result<()> {
    let command = Arguments::command();
    if let Some(folder) = &arguments.out {
        fs_err::create_dir_all(folder).context("make the directory")?;
        return clap_mangen::generate_to(command, folder).context("write the man pages");
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).context("write the man page")?;
    output::text(String::from_utf8_lossy(&page).trim_end())
}
