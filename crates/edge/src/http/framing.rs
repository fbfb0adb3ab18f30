//! Watches the bytes of an HTTP/1.1 connection for shapes in which two programs could see different
//! requests (RFC 9112 sections 6.3 and 11.2): both lengths at once, a length given twice, a transfer
//! coding other than `chunked`, folded lines, bare line feeds, broken chunks.
//!
//! The HTTP library reads the same bytes and, where the RFC allows it, forgives some of these shapes
//! (it drops the `Content-Length` next to a `Transfer-Encoding`). What is forwarded is framed anew
//! either way; this decides that such a request is refused.

/// Enough of a line to tell its name and, for lengths and chunk sizes, its value.
const LINE_KEPT: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    RequestLine,
    Fields,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
}

/// What was found so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing to object to.
    Clean,
    /// A shape that is refused; nothing after it is looked at.
    Ambiguous,
}

/// Follows the framing of one connection.
#[derive(Debug)]
pub(crate) struct Scanner {
    part: Part,
    finding: Finding,
    line: Vec<u8>,
    line_length: usize,
    last_byte: u8,
    length: Option<u64>,
    is_chunked: bool,
}

impl Scanner {
    pub(crate) const fn new() -> Self {
        Self {
            part: Part::RequestLine,
            finding: Finding::Clean,
            line: Vec::new(),
            line_length: 0,
            last_byte: 0,
            length: None,
            is_chunked: false,
        }
    }

    /// Whether a head has begun and not ended.
    pub(crate) const fn is_in_head(&self) -> bool {
        match self.part {
            Part::RequestLine => self.line_length > 0,
            Part::Fields => true,
            Part::Body(_) | Part::ChunkSize | Part::ChunkData(_) | Part::ChunkEnd | Part::Trailers => false,
        }
    }

    /// Whether nothing of a next message has come.
    pub(crate) fn is_between(&self) -> bool {
        self.part == Part::RequestLine && self.line_length == 0
    }

    /// Looks at the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Finding {
        while !bytes.is_empty() && self.finding == Finding::Clean {
            bytes = match self.part {
                Part::Body(left) => self.skip(bytes, left, Part::Body, Part::RequestLine),
                Part::ChunkData(left) => self.skip(bytes, left, Part::ChunkData, Part::ChunkEnd),
                Part::RequestLine | Part::Fields | Part::ChunkSize | Part::ChunkEnd | Part::Trailers => {
                    self.take_line(bytes)
                }
            };
        }
        self.finding
    }

    fn skip<'b>(&mut self, bytes: &'b [u8], left: u64, more: fn(u64) -> Part, done: Part) -> &'b [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left.saturating_sub(here as u64);
        self.part = if left == 0 { done } else { more(left) };
        bytes.get(here..).unwrap_or_default()
    }

    fn take_line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = memchr::memchr(b'\n', bytes);
        let (part, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
        let room = LINE_KEPT.saturating_sub(self.line.len()).min(part.len());
        self.line.extend_from_slice(part.get(..room).unwrap_or_default());
        self.line_length = self.line_length.saturating_add(part.len());
        self.last_byte = part.last().copied().unwrap_or(self.last_byte);
        if end.is_some() {
            let is_fine = self.end_line().is_some();
            if !is_fine {
                self.finding = Finding::Ambiguous;
            }
            self.line.clear();
            self.line_length = 0;
            self.last_byte = 0;
        }
        rest.get(1..).unwrap_or_default()
    }

    /// `None`: refused.
    fn end_line(&mut self) -> Option<()> {
        if self.last_byte != b'\r' {
            return None;
        }
        let line = std::mem::take(&mut self.line);
        let is_whole = self.line_length <= LINE_KEPT;
        let text = if is_whole { line.strip_suffix(b"\r")? } else { line.as_slice() };
        let done = match self.part {
            Part::RequestLine => {
                if !text.is_empty() {
                    self.part = Part::Fields;
                }
                Some(())
            }
            Part::Fields if text.is_empty() => self.end_head(),
            Part::Fields => self.field(text, is_whole),
            Part::ChunkSize => {
                let size = chunk_size(text).filter(|_size| is_whole)?;
                self.part = if size == 0 { Part::Trailers } else { Part::ChunkData(size) };
                Some(())
            }
            Part::ChunkEnd => {
                self.part = Part::ChunkSize;
                text.is_empty().then_some(())
            }
            Part::Trailers => {
                if text.is_empty() {
                    self.part = Part::RequestLine;
                }
                (!is_folded(text)).then_some(())
            }
            Part::Body(_) | Part::ChunkData(_) => None,
        };
        self.line = line;
        done
    }

    fn field(&mut self, text: &[u8], is_whole: bool) -> Option<()> {
        if is_folded(text) {
            return None;
        }
        let colon = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
        let (name, value) = text.split_at_checked(colon)?;
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let is_first = self.length.is_none();
            self.length = decimal(value).filter(|_length| is_whole && is_first);
            self.length?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_plain = value.eq_ignore_ascii_case(b"chunked") && is_whole && !self.is_chunked;
            self.is_chunked = true;
            return is_plain.then_some(());
        }
        Some(())
    }

    fn end_head(&mut self) -> Option<()> {
        let (length, is_chunked) = (self.length.take(), std::mem::take(&mut self.is_chunked));
        self.part = match (length, is_chunked) {
            (Some(_), true) => return None,
            (None, true) => Part::ChunkSize,
            (None | Some(0), false) => Part::RequestLine,
            (Some(length), false) => Part::Body(length),
        };
        Some(())
    }
}

fn is_folded(line: &[u8]) -> bool {
    line.starts_with(b" ") || line.starts_with(b"\t")
}

fn decimal(text: &[u8]) -> Option<u64> {
    let is_plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_plain.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at_checked(digits)?;
    let rest = rest.trim_ascii_start();
    if digits.is_empty() || digits.len() > 15 || !(rest.is_empty() || rest.starts_with(b";")) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(bytes: &[u8]) -> Finding {
        Scanner::new().feed(bytes)
    }

    #[test]
    fn ordinary_requests_pass_one_after_the_other() {
        let all =
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET \n\
            POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nDigest: x\r\n\r\n\
            GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(scan(all), Finding::Clean);
        let mut scanner = Scanner::new();
        assert!(all.iter().all(|byte| scanner.feed(&[*byte]) == Finding::Clean));
        assert!(!scanner.is_in_head());
    }

    #[test]
    fn refuses_every_shape_with_two_readings() {
        let heads: [&[u8]; 10] = [
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
            b"Content-Length: 5, 5\r\n\r\n",
            b"Content-Length: +5\r\n\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"X: a\r\n b\r\n\r\n",
            b"X: a\nY: b\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n0x5\r\n",
        ];
        for head in heads {
            let request = [&b"POST / HTTP/1.1\r\nHost: a\r\n"[..], head].concat();
            assert_eq!(scan(&request), Finding::Ambiguous, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn refuses_broken_chunks() {
        for chunks in
            ["5\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n", "-1\r\n", "\r\n", "fffffffffffffffff\r\n", "3\nabc"]
        {
            let request = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}x\r\n");
            assert_eq!(scan(request.as_bytes()), Finding::Ambiguous, "{chunks:?}");
        }
    }

    proptest! {
        #[test]
        fn the_cut_between_reads_changes_nothing(
            bytes in prop::collection::vec(prop::sample::select(b"Content-Length: 3\r\n;0aG/".to_vec()), 0..200),
            cut in 0_usize..200,
        ) {
            let mut scanner = Scanner::new();
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            scanner.feed(head);
            prop_assert_eq!(scanner.feed(tail), scan(&bytes));
        }
    }
}
