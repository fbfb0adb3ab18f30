//! Writing and reading the parts of a message: numbers big-endian, what varies in length behind its
//! length.

use super::wire::WireError;

/// Writes.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn time(&mut self, time: crate::time::Timestamp) {
        self.0.extend_from_slice(&time.millis().to_be_bytes());
    }

    /// A count or a length: what is in memory is shorter than 4 GiB.
    pub(super) fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }

    pub(super) fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.fixed(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

/// Reads what was written, to its end and no further.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(WireError::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.take(N)?.try_into().map_err(|_length| WireError::CutOff)
    }

    pub(super) fn byte(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.fixed()?))
    }

    pub(super) fn number(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.fixed()?))
    }

    pub(super) fn time(&mut self) -> Result<crate::time::Timestamp, WireError> {
        let millis = i64::from_be_bytes(self.fixed()?);
        let time = crate::time::Timestamp::from_millis(millis);
        // A moment beyond the year 9999 would be read as its last.
        if time.millis() == millis { Ok(time) } else { Err(WireError::Invalid("time")) }
    }

    /// A count of things that take at least `least` bytes each: what is left must have room for them, so
    /// that no count makes us set aside more than was sent.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, WireError> {
        let count = usize::try_from(u32::from_be_bytes(self.fixed()?)).map_err(|_size| WireError::CutOff)?;
        if count.saturating_mul(least.max(1)) > self.0.len() { Err(WireError::CutOff) } else { Ok(count) }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.count(1)?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_encoding| WireError::Invalid("text"))
    }

    pub(super) fn parsed<T: std::str::FromStr>(&mut self, what: &'static str) -> Result<T, WireError> {
        self.text()?.parse().map_err(|_invalid| WireError::Invalid(what))
    }
}
