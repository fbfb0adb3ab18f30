//! What people are asked for while a command runs: a line of stdin, which a terminal does not show.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::output::{note, prompt};

/// A secret, without the end of its line: typed at the terminal, which does not show it, or the next line of
/// stdin.
///
/// # Errors
/// Also when there is none.
pub(super) fn secret(what: &str) -> anyhow::Result<Zeroizing<String>> {
    let line = if std::io::stdin().is_terminal() { typed(what) } else { a_line(what) };
    without_end(&line?, what)
}

/// The same from a file, or from stdin as it comes when that is `-`; asked for when no file is named.
///
/// # Errors
/// As [`secret`], and when the file cannot be read.
pub(super) fn secret_from(file: Option<&Path>, what: &str) -> anyhow::Result<Zeroizing<String>> {
    match file {
        None => secret(what),
        Some(path) if path == Path::new("-") => without_end(&a_line(what)?, what),
        Some(path) => {
            let text = fs_err::read_to_string(path).with_context(|| format!("read the {what}"))?;
            without_end(&Zeroizing::new(text), what)
        }
    }
}

fn without_end(text: &str, what: &str) -> anyhow::Result<Zeroizing<String>> {
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!line.is_empty(), "the {what} is empty");
    Ok(Zeroizing::new(line.to_owned()))
}

fn a_line(what: &str) -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line).with_context(|| format!("read the {what} from stdin"))?;
    Ok(line)
}

/// Asks on the terminal, which shows nothing of it meanwhile.
fn typed(what: &str) -> anyhow::Result<Zeroizing<String>> {
    let terminal = std::io::stdin();
    let before = tcgetattr(&terminal).context("ask the terminal how it is set")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    prompt(&format!("{what}: "));
    tcsetattr(&terminal, OptionalActions::Flush, &silent).context("make the terminal silent")?;
    let line = a_line(what);
    tcsetattr(&terminal, OptionalActions::Flush, &before).context("set the terminal as it was")?;
    note("");
    line
}
