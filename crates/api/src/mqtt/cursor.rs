//! Reads the parts of a packet one after the other; what is not there is malformed.

use super::fault::Fault;
use super::text::is_text;

const SHORT: Fault = Fault::Malformed("it ends too early");

/// The bytes of a packet that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn two(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn four(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    /// A packet identifier; 0 is none.
    pub(super) fn packet_id(&mut self) -> Result<u16, Fault> {
        match self.two()? {
            0 => Err(Fault::Malformed("packet identifier 0")),
            id => Ok(id),
        }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A variable byte integer, in the fewest bytes.
    pub(super) fn variable(&mut self) -> Result<u32, Fault> {
        match variable(self.0)? {
            None => Err(SHORT),
            Some((value, length)) => {
                self.bytes(length)?;
                Ok(value)
            }
        }
    }

    /// Bytes with their count before them.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Fault> {
        let count = self.two()?;
        self.bytes(usize::from(count))
    }

    /// A text with its length before it.
    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        let text =
            str::from_utf8(self.binary()?).map_err(|_not_utf8| Fault::Malformed("a text is not UTF-8"))?;
        if is_text(text) { Ok(text) } else { Err(Fault::Malformed("a text has control characters")) }
    }

    /// Nothing may be left.
    pub(super) const fn end(&self) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { Err(Fault::Malformed("something follows its end")) }
    }
}

/// A variable byte integer and how many bytes it takes (section 1.5.5); `None`: it goes on.
pub(super) fn variable(bytes: &[u8]) -> Result<Option<(u32, usize)>, Fault> {
    let mut value = 0_u32;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if *byte == 0 && index > 0 {
                return Err(Fault::Malformed("a length in more bytes than it needs"));
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 { Err(Fault::Malformed("a length of more than four bytes")) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_in_the_fewest_bytes() {
        assert_eq!(variable(&[0x7f]), Ok(Some((127, 1))));
        assert_eq!(variable(&[0x80, 0x01]), Ok(Some((128, 2))));
        assert_eq!(variable(&[0xff, 0xff, 0xff, 0x7f]), Ok(Some((268_435_455, 4))));
        assert_eq!(variable(&[0x80, 0x80]), Ok(None));
        for bytes in [&[0x80, 0x00][..], &[0xff, 0x80, 0x00], &[0x80, 0x80, 0x80, 0x80, 0x01], &[0xff; 4]] {
            assert!(variable(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn texts_are_well_formed() {
        for bytes in
            [&[0, 1, 0xff][..], &[0, 3, 0xed, 0xa0, 0x80], &[0, 1, 0], &[0, 2, 0xc0, 0x80], &[0, 2, b'a']]
        {
            assert!(Cursor::new(bytes).text().is_err(), "{bytes:?}");
        }
        assert_eq!(Cursor::new(&[0, 3, 0xef, 0xbb, 0xbf]).text(), Ok("\u{FEFF}"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in 0_u32..268_435_456, more in proptest::collection::vec(any::<u8>(), 0..4)) {
            let mut bytes = Vec::new();
            super::super::encode::put_variable(&mut bytes, value);
            let length = bytes.len();
            bytes.extend(more);
            prop_assert_eq!(variable(&bytes), Ok(Some((value, length))));
        }
    }
}
