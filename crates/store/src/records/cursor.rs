//! Where a page of a list ended.

use std::fmt;
use std::str::FromStr;

use countersign_core::time::Timestamp;

/// The place after which the next page begins; to callers an opaque text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor<Id> {
    pub(crate) at: Timestamp,
    pub(crate) id: Id,
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct CursorError;

impl<Id: fmt::Display> fmt::Display for Cursor<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at.millis(), self.id)
    }
}

impl<Id: FromStr> FromStr for Cursor<Id> {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (at, id) = text.split_once('_').ok_or(CursorError)?;
        let millis = at.parse().map_err(|_not_a_number| CursorError)?;
        Ok(Self { at: Timestamp::from_millis(millis), id: id.parse().map_err(|_not_an_id| CursorError)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::ids::DeviceId;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let cursor = Cursor { at: Timestamp::from_millis(-5), id: DeviceId::random() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "_", "5", "x_y", "5_y"] {
            assert_eq!(text.parse::<Cursor<DeviceId>>(), Err(CursorError), "{text}");
        }
    }
}
