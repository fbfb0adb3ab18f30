//! Floods of frames over HTTP/2 that the HTTP library answers one by one for as long as they come: PING,
//! SETTINGS, PRIORITY, WINDOW_UPDATE and frames of unknown kinds, and requests that are begun and reset
//! (CVE-2023-44487). Each connection has an allowance of either, which grows with time and with what is
//! answered over it. The library itself bounds what a head may hold, CONTINUATION frames, DATA without
//! content, and resets of requests that it has not looked at.

use std::time::Duration;

use tokio::time::Instant;

/// RFC 9113 section 3.4.
const PREFACE: usize = 24;
/// RFC 9113 section 4.1: length, type, flags, stream.
const HEADER: usize = 9;

const DATA: u8 = 0x00;
const HEADERS: u8 = 0x01;
const RST_STREAM: u8 = 0x03;
const CONTINUATION: u8 = 0x09;

/// How many frames besides requests and their bodies a connection may begin with, and how many more per
/// second, and per frame of an answer: a client confirms each of these, and may measure the line meanwhile.
const CONTROL: Terms = Terms { full: 2000, per_second: 100, per_frame_answered: 10 };
/// The same of resets: a client may change its mind about whatever it has begun, again and again, but not
/// about everything.
const RESETS: Terms = Terms { full: 500, per_second: 10, per_frame_answered: 1 };

/// GOAWAY (RFC 9113 section 6.8) with ENHANCE_YOUR_CALM, about all streams.
pub(super) const GOAWAY: [u8; 17] = [0, 0, 8, 0x07, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0x0b];

/// A client sent more of something than anybody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flood;

#[derive(Clone, Copy, Debug)]
struct Terms {
    full: u32,
    per_second: u32,
    per_frame_answered: u32,
}

/// What is left of something.
#[derive(Debug)]
struct Allowance {
    terms: Terms,
    left: u32,
    since: Instant,
}

impl Allowance {
    fn new(terms: Terms) -> Self {
        Self { terms, left: terms.full, since: Instant::now() }
    }

    fn take(&mut self, now: &impl Fn() -> Instant) -> Result<(), Flood> {
        if self.left == 0 {
            // Time is looked at only here: nobody needs it before.
            let elapsed = now().saturating_duration_since(self.since);
            let millis = u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX);
            let earned = millis.saturating_mul(self.terms.per_second) / 1000;
            self.since += Duration::from_millis(u64::from(earned) * 1000 / u64::from(self.terms.per_second));
            self.left = earned.min(self.terms.full);
        }
        self.left = self.left.checked_sub(1).ok_or(Flood)?;
        Ok(())
    }

    fn answered(&mut self) {
        self.left = self.left.saturating_add(self.terms.per_frame_answered).min(self.terms.full);
    }
}

/// Follows what a client sends over a connection.
#[derive(Debug)]
pub(crate) struct Floods {
    header: [u8; HEADER],
    known: usize,
    /// How much is of no interest: at first the preface, then what the present frame holds.
    skipped: usize,
    control: Allowance,
    resets: Allowance,
}

impl Floods {
    pub(crate) fn new() -> Self {
        Self {
            header: [0; HEADER],
            known: 0,
            skipped: PREFACE,
            control: Allowance::new(CONTROL),
            resets: Allowance::new(RESETS),
        }
    }

    /// Looks at what has come next.
    pub(crate) fn came(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        self.came_at(bytes, &Instant::now)
    }

    fn came_at(&mut self, mut bytes: &[u8], now: &impl Fn() -> Instant) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let here = if self.skipped > 0 { self.skipped } else { HEADER - self.known }.min(bytes.len());
            let (taken, rest) = bytes.split_at_checked(here).unwrap_or((bytes, &[]));
            bytes = rest;
            if self.skipped > 0 {
                self.skipped -= here;
                continue;
            }
            if let Some(room) = self.header.get_mut(self.known..self.known + here) {
                room.copy_from_slice(taken);
            }
            self.known += here;
            if self.known == HEADER {
                self.known = 0;
                self.frame(now)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, now: &impl Fn() -> Instant) -> Result<(), Flood> {
        let [a, b, c, kind, ..] = self.header;
        self.skipped = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        match kind {
            DATA | HEADERS | CONTINUATION => Ok(()),
            RST_STREAM => self.resets.take(now),
            _ => self.control.take(now),
        }
    }

    /// So many frames of answers were sent, and so many of them began one.
    pub(crate) fn answered(&mut self, frames: usize, begun: usize) {
        (0..frames).for_each(|_| self.control.answered());
        (0..begun).for_each(|_| self.resets.answered());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    fn begun() -> (Floods, Instant) {
        let mut floods = Floods::new();
        floods.came(&[b'x'; PREFACE]).unwrap();
        (floods, Instant::now())
    }

    /// How many of these frames are taken at a time before it is a flood.
    fn taken(floods: &mut Floods, frame: &[u8], now: Instant) -> u32 {
        let taken = (0..10_000).find(|_| floods.came_at(frame, &|| now).is_err()).unwrap_or(10_000);
        // What is left of the frame that was too much does not come any more.
        floods.skipped = 0;
        taken
    }

    #[test]
    fn what_nobody_needs_is_counted_in_any_pieces() {
        for kind in [0x02, 0x04, 0x06, 0x08, 0x0a, 0xff] {
            let all = frame(kind, &[3; 8]).repeat(2000);
            for size in [1, 7, 17, all.len()] {
                let (mut floods, now) = begun();
                let clock = || now;
                let mut pieces = all.chunks(size);
                assert!(pieces.all(|piece| floods.came_at(piece, &clock).is_ok()), "{kind} by {size}");
                assert_eq!(floods.came_at(&frame(kind, &[3; 8]), &clock), Err(Flood), "{kind} by {size}");
            }
        }
        let (mut floods, now) = begun();
        assert_eq!(taken(&mut floods, &frame(RST_STREAM, &[0; 4]), now), 500);
    }

    #[test]
    fn requests_and_their_bodies_are_not() {
        let (mut floods, now) = begun();
        for kind in [DATA, HEADERS, CONTINUATION] {
            assert_eq!(taken(&mut floods, &frame(kind, &[RST_STREAM; 300]), now), 10_000);
        }
    }

    #[test]
    fn the_allowance_grows_with_time_and_with_answers() {
        let (ping, reset) = (frame(0x06, &[0; 8]), frame(RST_STREAM, &[0; 4]));
        let (mut floods, _) = begun();
        let now = floods.control.since.max(floods.resets.since);
        (floods.control.since, floods.resets.since) = (now, now);
        assert_eq!(taken(&mut floods, &ping, now), 2000);
        assert_eq!(taken(&mut floods, &reset, now), 500);
        let later = now + Duration::from_secs(2);
        assert_eq!(taken(&mut floods, &ping, later), 200);
        assert_eq!(taken(&mut floods, &reset, later), 20);
        floods.answered(3, 2);
        assert_eq!(taken(&mut floods, &ping, later), 30);
        assert_eq!(taken(&mut floods, &reset, later), 2);
        let much_later = now + Duration::from_secs(3600);
        assert_eq!(taken(&mut floods, &ping, much_later), 2000, "and never beyond what it was");
    }
}
