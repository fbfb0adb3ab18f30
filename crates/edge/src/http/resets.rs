//! Requests over HTTP/2 that could not be read. The HTTP library resets their streams and tells nobody,
//! so what it sends is looked at.

use std::sync::Arc;

use super::connection::Arrived;

/// RFC 9113 section 4.1: length, type, flags, stream.
const HEADER: usize = 9;
const RST_STREAM: u8 = 0x03;
/// RFC 9113 section 7.
const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];

/// Tells of the streams of a connection that are reset because nobody could read them.
#[derive(Debug)]
pub(crate) struct Resets {
    frames: Frames,
    arrived: Arc<Arrived>,
}

impl Resets {
    pub(crate) fn new(arrived: Arc<Arrived>) -> Self {
        Self { frames: Frames::default(), arrived }
    }

    /// Looks at what was sent next.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        for _ in 0..self.frames.feed(bytes) {
            self.arrived.worker.gate().lasting.tell_of_unreadable(self.arrived.address);
        }
    }
}

/// Follows the frames of one direction, in whatever pieces they come.
#[derive(Debug, Default)]
struct Frames {
    /// The beginning of the present frame: its header and, of a reset, the code.
    beginning: [u8; HEADER + 4],
    known: usize,
    /// How much of the present frame is of no interest.
    skipped: usize,
}

impl Frames {
    /// How many of the frames that end in `bytes` reset a stream for an error of the protocol.
    fn feed(&mut self, mut bytes: &[u8]) -> usize {
        let mut found = 0;
        while !bytes.is_empty() {
            if self.skipped > 0 {
                let here = self.skipped.min(bytes.len());
                self.skipped -= here;
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            let wanted = if self.known < HEADER { HEADER } else { self.beginning.len() };
            let here = (wanted - self.known).min(bytes.len());
            if let Some(room) = self.beginning.get_mut(self.known..self.known + here) {
                room.copy_from_slice(bytes.get(..here).unwrap_or_default());
            }
            self.known += here;
            bytes = bytes.get(here..).unwrap_or_default();
            if self.known == wanted {
                found += usize::from(self.take());
            }
        }
        found
    }

    /// Goes on from a header that is whole, or from a reset: whether it was one for an error.
    fn take(&mut self) -> bool {
        let [a, b, c, kind, _flags, _, _, _, _, code @ ..] = self.beginning;
        let is_reset = kind == RST_STREAM && [a, b, c] == [0, 0, 4];
        if self.known == HEADER && is_reset {
            return false;
        }
        if self.known == HEADER {
            self.skipped = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        }
        let is_error = self.known > HEADER && code == PROTOCOL_ERROR;
        self.known = 0;
        is_error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn resets_for_errors_are_found_in_any_pieces() {
        let sent = [
            frame(0x04, &[]),
            frame(0x00, &[3; 300]),
            frame(RST_STREAM, &PROTOCOL_ERROR),
            frame(0x01, &PROTOCOL_ERROR),
            frame(RST_STREAM, &[0, 0, 0, 8]),
            frame(RST_STREAM, &PROTOCOL_ERROR),
            frame(0x06, &[0; 8]),
        ]
        .concat();
        for size in 1..=sent.len() {
            let mut frames = Frames::default();
            let found: usize = sent.chunks(size).map(|piece| frames.feed(piece)).sum();
            assert_eq!(found, 2, "in pieces of {size}");
        }
    }
}
