//! What is looked at on an HTTP/2 connection, frame by frame. Requests that could not be read: the HTTP
//! library resets their streams and tells nobody, so what it sends is looked at. And floods, in what comes.

use std::sync::Arc;

use super::connection::Arrived;
use super::floods::{Flood, Floods};

/// RFC 9113 section 4.1: length, type, flags, stream.
const HEADER: usize = 9;
const DATA: u8 = 0x00;
const HEADERS: u8 = 0x01;
const RST_STREAM: u8 = 0x03;
const END_STREAM: u8 = 0x01;
/// The HTTP library's own answer, 431 to a head that is too long, is no more than its status; ours have
/// headers that take more than this.
const BARE: u32 = 8;
/// How many answers are remembered as begun: more than there can be streams, since a client's resets end
/// some of them unseen.
const BEGUN: usize = 1024;
/// The code of connections that sent more frames than anybody needs.
const FLOOD: &str = "HTTP2_FLOOD";
/// RFC 9113 section 7.
const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];

/// Looks at the frames of a connection.
#[derive(Debug)]
pub(crate) struct FrameWatch {
    frames: Frames,
    floods: Floods,
    arrived: Arc<Arrived>,
}

impl FrameWatch {
    pub(crate) fn new(arrived: Arc<Arrived>) -> Self {
        Self { frames: Frames::default(), floods: Floods::new(), arrived }
    }

    /// Looks at what was sent next, and tells of streams that are reset because nobody could read them.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        let Seen { errors, begun, of_answers } = self.frames.feed(bytes);
        self.floods.answered(of_answers, begun);
        for _ in 0..errors {
            self.arrived.worker.gate().lasting.tell_of_unreadable(self.arrived.address);
        }
    }

    /// Looks at what has come next, and tells of a flood.
    ///
    /// # Errors
    /// Fails closed: the connection is to end.
    pub(crate) fn came(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        self.floods.came(bytes).inspect_err(|_flood| {
            self.arrived.worker.gate().lasting.tell_of_connection(self.arrived.address, FLOOD);
        })
    }

    /// Whether everything that was sent is whole, so that another frame may follow.
    pub(crate) const fn is_between_frames(&self) -> bool {
        self.frames.known == 0 && self.frames.skipped == 0
    }
}

/// What was seen of the frames that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Resets for an error of the protocol, and heads that were too long.
    errors: usize,
    /// Heads and trailers.
    begun: usize,
    /// These, and pieces of bodies.
    of_answers: usize,
}

/// Follows the frames of one direction, in whatever pieces they come.
#[derive(Debug, Default)]
struct Frames {
    /// The streams whose answer has begun and not ended, the oldest first: what heads these now are trailers.
    begun: Vec<u32>,
    /// The beginning of the present frame: its header and, of a reset, the code.
    beginning: [u8; HEADER + 4],
    known: usize,
    /// How much of the present frame is of no interest.
    skipped: usize,
}

impl Frames {
    /// What there is to be seen of the frames in `bytes`.
    fn feed(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
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
                self.take(&mut seen);
            }
        }
        seen
    }

    /// Goes on from a header that is whole, or from a reset.
    fn take(&mut self, seen: &mut Seen) {
        let [a, b, c, kind, flags, stream @ .., _, _, _, _] = self.beginning;
        let [.., code_a, code_b, code_c, code_d] = self.beginning;
        let is_reset = kind == RST_STREAM && [a, b, c] == [0, 0, 4];
        if self.known == HEADER && is_reset {
            return;
        }
        if self.known == HEADER {
            let length = u32::from_be_bytes([0, a, b, c]);
            self.skipped = usize::try_from(length).unwrap_or(usize::MAX);
            let is_last = flags & END_STREAM != 0;
            seen.errors += usize::from(self.is_bare((kind, is_last), u32::from_be_bytes(stream), length));
            seen.begun += usize::from(kind == HEADERS);
            seen.of_answers += usize::from(kind == HEADERS || kind == DATA);
        }
        if self.known > HEADER {
            seen.errors += usize::from([code_a, code_b, code_c, code_d] == PROTOCOL_ERROR);
            self.begun.retain(|begun| *begun != u32::from_be_bytes(stream));
        }
        self.known = 0;
    }

    /// Notes the beginnings and ends of answers. Whether this frame is a whole answer, and nothing but a status.
    fn is_bare(&mut self, (kind, is_last): (u8, bool), stream: u32, length: u32) -> bool {
        if kind != HEADERS && !(kind == DATA && is_last) {
            return false;
        }
        let known = self.begun.iter().position(|begun| *begun == stream);
        match (known, is_last) {
            (Some(known), true) => {
                self.begun.remove(known);
                false
            }
            (None, true) => kind == HEADERS && length <= BARE,
            (Some(_), false) => false,
            (None, false) => {
                if self.begun.len() == BEGUN {
                    self.begun.remove(0);
                }
                self.begun.push(stream);
                false
            }
        }
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
            let mut found = Seen::default();
            for piece in sent.chunks(size) {
                let Seen { errors, begun, of_answers } = frames.feed(piece);
                found.errors += errors;
                found.begun += begun;
                found.of_answers += of_answers;
            }
            assert_eq!(found, Seen { errors: 2, begun: 1, of_answers: 2 }, "in pieces of {size}");
        }
    }

    #[test]
    fn a_bare_status_is_an_error_and_short_trailers_are_not() {
        let head = |flags, stream, payload: &[u8]| {
            let mut frame = frame(HEADERS, payload);
            (frame[4], frame[8]) = (flags, stream);
            frame
        };
        let mut frames = Frames::default();
        let mut errors = |bytes: Vec<u8>| frames.feed(&bytes).errors;
        assert_eq!(errors(head(END_STREAM, 1, &[0x48, 0x83, 0x69, 0x90, 0xff])), 1);
        assert_eq!(errors(head(END_STREAM, 3, &[0xbe])), 1, "the second is shorter");
        assert_eq!(errors(head(END_STREAM, 5, &[7; 100])), 0);
        assert_eq!(errors(head(0, 7, &[0x88])), 0);
        assert_eq!(errors(head(END_STREAM, 7, &[0xbf])), 0, "trailers");
        assert!(frames.begun.is_empty());
    }
}
