//! What an archive says: its facts, then every row of every table, in the order of the facts.
//!
//! The facts are JSON behind their length in four octets. A row is its cells in the order of the columns;
//! a cell is an octet that says what it is, and what it holds: nothing, a number in eight octets, or a
//! text or octets behind their length in four. All numbers have their highest octet first.

use std::io::{self, ErrorKind, Read, Write};

use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::ArchiveError;
use crate::value::Value;

/// The one format there is.
const FORMAT: u32 = 1;

/// Longer facts nobody writes.
const LONGEST_FACTS: u32 = 1 << 20;

/// No text and no octets of ours come near: the largest CRL has some tens of megabytes.
const LONGEST_CELL: u32 = 1 << 30;

const NOTHING: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;
const BYTES: u8 = 3;

/// What an archive begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchiveFacts {
    format: u32,
    taken_at_millis: i64,
    /// The installation's trust domain.
    pub trust_domain: String,
    /// The migrations that were applied to the database, in order.
    pub migrations: Vec<String>,
    /// The tables, each after those that it refers to.
    pub tables: Vec<ArchivedTable>,
}

/// A table in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchivedTable {
    /// Its name.
    pub name: String,
    /// Its columns, in the order of the cells.
    pub columns: Vec<String>,
    /// How many rows follow.
    pub rows: u64,
}

impl ArchiveFacts {
    pub(super) fn new(
        taken_at: Timestamp,
        trust_domain: String,
        migrations: Vec<String>,
        tables: Vec<ArchivedTable>,
    ) -> Self {
        Self { format: FORMAT, taken_at_millis: taken_at.millis(), trust_domain, migrations, tables }
    }

    /// The moment before which everything that was committed is in it.
    #[must_use]
    pub const fn taken_at(&self) -> Timestamp {
        Timestamp::from_millis(self.taken_at_millis)
    }

    /// How many rows of all tables it holds.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).fold(0, u64::saturating_add)
    }

    pub(super) fn write(&self, to: &mut impl Write) -> Result<(), ArchiveError> {
        let json = serde_json::to_vec(self).map_err(io::Error::other)?;
        write_length(to, json.len())?;
        Ok(to.write_all(&json)?)
    }

    pub(super) fn read(from: &mut impl Read) -> Result<Self, ArchiveError> {
        let json = read_counted(from, LONGEST_FACTS)?;
        let malformed = |error: serde_json::Error| ArchiveError::Format(error.to_string());
        // Before anything else: a newer format may have other fields.
        let only_format: OnlyFormat = serde_json::from_slice(&json).map_err(malformed)?;
        if only_format.format > FORMAT {
            return Err(ArchiveError::Newer(format!("format {}", only_format.format)));
        }
        serde_json::from_slice(&json).map_err(malformed)
    }
}

#[derive(Deserialize)]
struct OnlyFormat {
    format: u32,
}

/// What a cell holds, whatever it means in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Nothing,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        let cell = match value {
            Value::Integer(number) => number.map(Self::Integer),
            Value::Text(text) => text.map(Self::Text),
            Value::Bytes(bytes) => bytes.map(Self::Bytes),
            Value::Time(at) => at.map(|at| Self::Integer(at.millis())),
            Value::Uuid(uuid) => uuid.map(|uuid| Self::Text(uuid.hyphenated().to_string())),
        };
        cell.unwrap_or(Self::Nothing)
    }
}

impl Cell {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Nothing => to.write_all(&[NOTHING]),
            Self::Integer(number) => {
                to.write_all(&[INTEGER])?;
                to.write_all(&number.to_be_bytes())
            }
            Self::Text(text) => {
                to.write_all(&[TEXT])?;
                write_length(to, text.len())?;
                to.write_all(text.as_bytes())
            }
            Self::Bytes(bytes) => {
                to.write_all(&[BYTES])?;
                write_length(to, bytes.len())?;
                to.write_all(bytes)
            }
        }
    }

    pub(super) fn read(from: &mut impl Read) -> Result<Self, ArchiveError> {
        let [kind] = read_array(from)?;
        Ok(match kind {
            NOTHING => Self::Nothing,
            INTEGER => Self::Integer(i64::from_be_bytes(read_array(from)?)),
            TEXT => Self::Text(
                String::from_utf8(read_counted(from, LONGEST_CELL)?)
                    .map_err(|_not_text| ArchiveError::Format("a text is not in UTF-8".to_owned()))?,
            ),
            BYTES => Self::Bytes(read_counted(from, LONGEST_CELL)?),
            other => return Err(ArchiveError::Format(format!("a cell is of the unknown kind {other}"))),
        })
    }
}

/// Reads an archive to its end and checks that it is as it is written here, without any database: what is
/// done before one is changed.
///
/// # Errors
/// [`ArchiveError`].
pub fn inspect_archive(from: &mut impl Read) -> Result<ArchiveFacts, ArchiveError> {
    let facts = ArchiveFacts::read(from)?;
    for table in &facts.tables {
        if table.columns.is_empty() && table.rows > 0 {
            return Err(ArchiveError::Format(format!("{} has rows without columns", table.name)));
        }
        for _row in 0..table.rows {
            for _column in &table.columns {
                drop(Cell::read(from)?);
            }
        }
    }
    expect_end(from)?;
    Ok(facts)
}

/// Refuses what follows the last row.
pub(super) fn expect_end(from: &mut impl Read) -> Result<(), ArchiveError> {
    if from.read(&mut [0])? == 0 {
        Ok(())
    } else {
        Err(ArchiveError::Format("something follows the last row".to_owned()))
    }
}

fn write_length(to: &mut impl Write, length: usize) -> io::Result<()> {
    let length = u32::try_from(length).map_err(|_too_long| io::Error::from(ErrorKind::FileTooLarge))?;
    to.write_all(&length.to_be_bytes())
}

fn read_array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], ArchiveError> {
    let mut octets = [0; N];
    from.read_exact(&mut octets).map_err(ended)?;
    Ok(octets)
}

/// What stands behind its length. Memory is taken as octets come, not as they are announced.
fn read_counted(from: &mut impl Read, longest: u32) -> Result<Vec<u8>, ArchiveError> {
    let length = u32::from_be_bytes(read_array(from)?);
    if length > longest {
        return Err(ArchiveError::Format(format!("{length} octets are announced in one place")));
    }
    let mut octets = Vec::new();
    from.by_ref().take(u64::from(length)).read_to_end(&mut octets)?;
    if octets.len() as u64 == u64::from(length) {
        Ok(octets)
    } else {
        Err(ended(ErrorKind::UnexpectedEof.into()))
    }
}

fn ended(error: io::Error) -> ArchiveError {
    if error.kind() == ErrorKind::UnexpectedEof {
        ArchiveError::Format("it ends in the middle".to_owned())
    } else {
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(rows: u64) -> ArchiveFacts {
        let columns = vec!["id".to_owned(), "name".to_owned()];
        let table = ArchivedTable { name: "things".to_owned(), columns, rows };
        let migrations = vec!["0001_platform".to_owned()];
        ArchiveFacts::new(Timestamp::from_secs(1), "acme.example".to_owned(), migrations, vec![table])
    }

    fn written(facts: &ArchiveFacts, cells: &[Cell]) -> Vec<u8> {
        let mut bytes = Vec::new();
        facts.write(&mut bytes).unwrap();
        for cell in cells {
            cell.write(&mut bytes).unwrap();
        }
        bytes
    }

    fn cells() -> [Cell; 4] {
        [Cell::Integer(-7), Cell::Text("é".to_owned()), Cell::Bytes(vec![0, 255]), Cell::Nothing]
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = written(&facts(2), &cells());
        assert_eq!(inspect_archive(&mut bytes.as_slice()).unwrap(), facts(2));
        let mut rest = &bytes[bytes.len() - written(&facts(2), &cells()).len()..];
        ArchiveFacts::read(&mut rest).unwrap();
        for cell in cells() {
            assert_eq!(Cell::read(&mut rest).unwrap(), cell);
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_is_refused() {
        let bytes = written(&facts(2), &cells());
        for length in 0..bytes.len() {
            let refused = inspect_archive(&mut &bytes[..length]).unwrap_err();
            assert!(matches!(refused, ArchiveError::Format(_)), "{length}: {refused}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(inspect_archive(&mut longer.as_slice()), Err(ArchiveError::Format(_))));
        let announced = [&bytes[..bytes.len() - 5 - 1], &[TEXT, 255, 255, 255, 255]].concat();
        assert!(matches!(inspect_archive(&mut announced.as_slice()), Err(ArchiveError::Format(_))));
    }

    #[test]
    fn a_newer_format_is_named() {
        let newer = ArchiveFacts { format: 2, ..facts(0) };
        let refused = inspect_archive(&mut written(&newer, &[]).as_slice()).unwrap_err();
        assert!(matches!(&refused, ArchiveError::Newer(what) if what == "format 2"), "{refused}");
    }
}
