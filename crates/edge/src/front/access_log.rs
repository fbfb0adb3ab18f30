//! One line of JSON for each request, written by a thread of its own: a disk that is slow or full costs
//! lines, which are counted, and never a request.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use serde_json::Value;
use tracing::error;

use super::entry::Entry;

/// How many lines may wait to be written.
const WAITING: usize = 8192;

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// A file, appended to and made if it is not there.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl std::fmt::Display for AccessLogTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdout => f.write_str("on standard output"),
        }
    }
}

/// Whether lines hold what follows the `?`, which may be secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryStrings {
    /// They do not.
    #[default]
    LeftOut,
    /// They do.
    Written,
}

enum Message {
    Line(Box<Entry>),
    Reopen,
    End,
}

/// The access log of the doors of a process. Clones write to the same.
#[derive(Clone)]
pub struct AccessLog {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    queries: QueryStrings,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog").field("queries", &self.queries).finish_non_exhaustive()
    }
}

impl AccessLog {
    /// Opens the log.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not be started.
    pub fn open(target: AccessLogTarget, queries: QueryStrings) -> io::Result<Self> {
        let out = open(&target)?;
        let (sender, receiver) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer { target, out, dropped: Arc::clone(&dropped), has_failed: false };
        let thread =
            std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok(Self { sender, dropped, queries, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Opens the file anew, as after it was moved away; a failure keeps the old one and is logged.
    pub fn reopen(&self) {
        // A full channel is about to be emptied: the writer hears of it then.
        if self.sender.try_send(Message::Reopen).is_err() {
            let sender = self.sender.clone();
            std::thread::spawn(move || drop(sender.send(Message::Reopen)));
        }
    }

    /// Writes what waits and ends. Later lines are lost.
    pub fn close(&self) {
        // An error means that it has ended.
        drop(self.sender.send(Message::End));
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            error!("access log ended badly");
        }
    }

    pub(crate) const fn queries(&self) -> QueryStrings {
        self.queries
    }

    pub(crate) fn write(&self, entry: Box<Entry>) {
        if self.sender.try_send(Message::Line(entry)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn open(target: &AccessLogTarget) -> io::Result<BufWriter<Box<dyn Write + Send>>> {
    let out: Box<dyn Write + Send> = match target {
        AccessLogTarget::Stdout => Box::new(io::stdout()),
        AccessLogTarget::File(path) => {
            Box::new(fs_err::OpenOptions::new().append(true).create(true).open(path)?)
        }
    };
    Ok(BufWriter::with_capacity(64 * 1024, out))
}

struct Writer {
    target: AccessLogTarget,
    out: BufWriter<Box<dyn Write + Send>>,
    dropped: Arc<AtomicU64>,
    has_failed: bool,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let message = match receiver.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Empty) => {
                    self.flush();
                    let Ok(message) = receiver.recv() else { return };
                    message
                }
                Err(TryRecvError::Disconnected) => return self.flush(),
            };
            match message {
                Message::Line(entry) => self.line(&entry),
                Message::Reopen => self.reopen(),
                Message::End => return self.flush(),
            }
        }
    }

    fn line(&mut self, entry: &Entry) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let mut line = entry.json();
        if dropped > 0
            && let Value::Object(fields) = &mut line
        {
            fields.insert("dropped".to_owned(), dropped.into());
        }
        let written = serde_json::to_writer(&mut self.out, &line).map_err(io::Error::from);
        let written = written.and_then(|()| self.out.write_all(b"\n"));
        self.note(&written);
    }

    fn flush(&mut self) {
        let flushed = self.out.flush();
        self.note(&flushed);
    }

    fn note(&mut self, result: &io::Result<()>) {
        if let Err(error) = result
            && !self.has_failed
        {
            error!(%error, "access log not written");
        }
        self.has_failed = result.is_err();
    }

    fn reopen(&mut self) {
        self.flush();
        match open(&self.target) {
            Ok(out) => self.out = out,
            Err(error) => error!(%error, "access log not opened anew, the old one goes on"),
        }
    }
}

/// Takes out the fields that are not there.
pub(crate) fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_name, field| {
            *field = without_nulls(field.take());
            !field.is_null()
        });
    }
    value
}
