//! Log lines for the journal: it knows the time and the process, and takes a line's priority from
//! its first characters, `<N>` (sd-daemon(3)).

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::Variables;

/// Writes to stderr with each line's priority in front.
#[derive(Clone, Copy, Debug)]
pub struct Journal;

impl Journal {
    /// The journal, if that is where this process's stderr leads: a child that logs elsewhere
    /// inherits the variable, so the stream itself is looked at.
    #[must_use]
    pub fn behind_stderr(variables: &Variables) -> Option<Self> {
        let stream = variables.journal_stream.as_deref()?;
        (stderr_stream().as_deref() == Some(stream)).then_some(Self)
    }
}

#[cfg(unix)]
fn stderr_stream() -> Option<String> {
    let found = rustix::fs::fstat(rustix::stdio::stderr()).ok()?;
    Some(format!("{}:{}", found.st_dev, found.st_ino))
}

#[cfg(not(unix))]
fn stderr_stream() -> Option<String> {
    None
}

/// syslog(3)'s number of a level.
fn priority(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Writes whole events, each line with a priority in front.
#[derive(Debug)]
pub struct Prefixed<W> {
    priority: u8,
    to: W,
}

impl<W: Write> Write for Prefixed<W> {
    /// An event arrives in one piece, and leaves in one: lines of two threads do not mix.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut lines = Vec::with_capacity(event.len() + 8);
        for line in event.split_inclusive(|byte| *byte == b'\n') {
            lines.extend_from_slice(format!("<{}>", self.priority).as_bytes());
            lines.extend_from_slice(line);
        }
        self.to.write_all(&lines)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<'a> MakeWriter<'a> for Journal {
    type Writer = Prefixed<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Prefixed { priority: priority(&Level::INFO), to: io::stderr() }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        Prefixed { priority: priority(meta.level()), to: io::stderr() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_an_event_has_its_priority() {
        let mut out = Vec::new();
        let mut writer = Prefixed { priority: priority(&Level::WARN), to: &mut out };
        writer.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "<4>one\n<4>two\n");
    }

    #[cfg(unix)]
    #[test]
    fn another_stream_than_the_journals_is_not_the_journal() {
        let variables =
            |stream: &str| Variables { journal_stream: Some(stream.to_owned()), ..Variables::default() };
        assert!(Journal::behind_stderr(&Variables::default()).is_none());
        assert!(Journal::behind_stderr(&variables("1:2")).is_none());
        assert!(Journal::behind_stderr(&variables(&stderr_stream().unwrap())).is_some());
    }
}
