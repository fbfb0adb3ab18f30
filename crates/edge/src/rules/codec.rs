//! What functions decode: percent-escapes, base64, JSON.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value as Json;

use super::ast::{Literal, Source};

/// How often `url_decode(…, "r")` decodes at most; each time the text gets shorter.
const MOST_ROUNDS: usize = 32;

/// Padding may be there or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Which escapes there are besides `%HH` and `+`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Plain,
    /// `%uHHHH` too.
    Unicode,
}

/// `%HH` decoded; what is no escape stays.
pub(super) fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if text.contains(&b'%') { Cow::Owned(decode(text, Escapes::Plain, b'+')) } else { Cow::Borrowed(text) }
}

/// `url_decode`.
pub(super) fn url_decoded<'v>(text: Cow<'v, [u8]>, options: &[u8]) -> Cow<'v, [u8]> {
    let escapes = if options.contains(&b'u') { Escapes::Unicode } else { Escapes::Plain };
    let rounds = if options.contains(&b'r') { MOST_ROUNDS } else { 1 };
    let mut text = text;
    for _round in 0..rounds {
        if !text.iter().any(|b| matches!(b, b'%' | b'+')) {
            break;
        }
        let decoded = decode(&text, escapes, b' ');
        if decoded == *text {
            break;
        }
        text = Cow::Owned(decoded);
    }
    text
}

fn decode(text: &[u8], escapes: Escapes, plus: u8) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => decoded.push(plus),
            b'%' => match escape(after, escapes, &mut decoded) {
                Some(left) => rest = left,
                None => decoded.push(b'%'),
            },
            _ => decoded.push(*first),
        }
    }
    decoded
}

/// Decodes what follows a `%` and gives what is left; `None`: it is no escape.
fn escape<'t>(after: &'t [u8], escapes: Escapes, decoded: &mut Vec<u8>) -> Option<&'t [u8]> {
    if escapes == Escapes::Unicode
        && let Some(code) = after.strip_prefix(b"u").and_then(|rest| rest.get(..4))
        && let Some(character) = hex(code).and_then(char::from_u32)
    {
        decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        return after.get(5..);
    }
    let byte = after.get(..2).and_then(hex).and_then(|code| u8::try_from(code).ok())?;
    decoded.push(byte);
    after.get(2..)
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

/// `decode_base64`; `None` when it is none.
pub(super) fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// What stands in a JSON document at a place; `None` when nothing does.
pub(super) fn json_at(document: &[u8], place: &[Source]) -> Option<Json> {
    let document: Json = serde_json::from_slice(document).ok()?;
    let found = place.iter().try_fold(&document, |value, step| match step {
        Source::Literal(Literal::Text(name)) => value.get(std::str::from_utf8(name).ok()?),
        Source::Literal(Literal::Integer(number)) => value.get(usize::try_from(*number).ok()?),
        Source::Field(_) | Source::Call(..) | Source::Key(..) | Source::Index(..) | Source::Each(_) => None,
    });
    found.cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_decoded_as_cloudflare_decodes_them() {
        let decoded = |text: &'static str, options: &str| {
            String::from_utf8(url_decoded(Cow::Borrowed(text.as_bytes()), options.as_bytes()).into_owned())
                .unwrap()
        };
        assert_eq!(decoded("John%20Doe", ""), "John Doe");
        assert_eq!(decoded("John+Doe", ""), "John Doe");
        assert_eq!(decoded("%2520", ""), "%20");
        assert_eq!(decoded("%2520", "r"), " ");
        assert_eq!(decoded("%u2601", "u"), "\u{2601}");
        assert_eq!(decoded("%u2601", ""), "%u2601");
        assert_eq!(decoded("100%", "r"), "100%");
        assert_eq!(decoded("%4", "ru"), "%4");
    }

    #[test]
    fn base64_is_read_with_and_without_padding() {
        assert_eq!(base64_decoded(b"MTIzYWJj").as_deref(), Some(&b"123abc"[..]));
        assert_eq!(base64_decoded(b"YQ==").as_deref(), Some(&b"a"[..]));
        assert_eq!(base64_decoded(b"YQ").as_deref(), Some(&b"a"[..]));
        assert_eq!(base64_decoded(b"***"), None);
    }
}
