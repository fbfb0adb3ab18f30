//! What stands to the right of a comparison.

use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};

use ipnet::IpNet;

use super::ast::AddressRange;
use super::error::{Fault, RuleErrorCode};
use super::lexer::Token;
use super::pattern::{Case, Pattern, PatternFault, Wildcard};

/// A string literal's bytes.
pub(super) fn text(token: Token<'_>, span: &Range<usize>) -> Result<Vec<u8>, Fault> {
    match token {
        Token::Raw(inside) => Ok(inside.as_bytes().to_vec()),
        Token::Quoted(inside) => unescape(inside, span.start + 1),
        Token::Word(word) => hex_bytes(word).ok_or_else(|| {
            let message = format!("found `{word}` where a string is needed");
            let hint = format!("write \"{word}\"");
            Fault::new(RuleErrorCode::LiteralType, span.clone(), message).hint(hint)
        }),
        Token::Symbol(_) => Err(unexpected(token, span, "a string")),
    }
}

/// `61:62:63`: two bytes or more.
fn hex_bytes(word: &str) -> Option<Vec<u8>> {
    let byte = |pair: &str| {
        let is_pair = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
        u8::from_str_radix(pair, 16).ok().filter(|_byte| is_pair)
    };
    if word.contains(':') { word.split(':').map(byte).collect() } else { None }
}

/// A regular expression. In quotes it keeps its backslashes: `\"` is a quote to the engine too.
pub(super) fn pattern(token: Token<'_>, span: &Range<usize>) -> Result<Pattern, Fault> {
    let source = match token {
        Token::Raw(inside) | Token::Quoted(inside) => inside,
        Token::Word(_) | Token::Symbol(_) => {
            return text(token, span).and(Err(unexpected(token, span, "a regular expression")));
        }
    };
    Pattern::new(source).map_err(|fault| match fault {
        PatternFault::LookAround => {
            let message = "found look-around, which regular expressions here do not have,";
            Fault::new(RuleErrorCode::LookAround, span.clone(), message)
        }
        PatternFault::TooLarge => {
            let message = "found a regular expression that compiles to more than 1 MiB";
            Fault::new(RuleErrorCode::RegexTooLarge, span.clone(), message)
        }
        PatternFault::Syntax(reason) => {
            let message = format!("found an invalid regular expression ({reason})");
            Fault::new(RuleErrorCode::BadRegex, span.clone(), message)
        }
    })
}

/// A wildcard.
pub(super) fn wildcard(token: Token<'_>, span: &Range<usize>, case: Case) -> Result<Wildcard, Fault> {
    Wildcard::new(&text(token, span)?, case)
        .map_err(|reason| Fault::new(RuleErrorCode::BadWildcard, span.clone(), format!("found {reason}")))
}

/// A number.
pub(super) fn integer(token: Token<'_>, span: &Range<usize>) -> Result<i64, Fault> {
    let word = one(token, span, "a number")?;
    word.parse().map_err(|_invalid| {
        let message = format!("found `{word}`, which is no 64-bit number,");
        Fault::new(RuleErrorCode::BadInteger, span.clone(), message)
    })
}

/// A number or a range of them, in a set.
pub(super) fn integers(token: Token<'_>, span: &Range<usize>) -> Result<RangeInclusive<i64>, Fault> {
    let Some((first, last)) = range(token, span) else { return integer(token, span).map(|n| n..=n) };
    let first = integer(Token::Word(first.0), &first.1)?;
    let last = integer(Token::Word(last.0), &last.1)?;
    if first <= last { Ok(first..=last) } else { Err(backwards(span)) }
}

/// An IP address.
pub(super) fn address(token: Token<'_>, span: &Range<usize>) -> Result<IpAddr, Fault> {
    let word = one(token, span, "an IP address")?;
    let address = word.parse::<IpAddr>().map_err(|_invalid| {
        let fault = Fault::new(
            RuleErrorCode::BadAddress,
            span.clone(),
            format!("found `{word}`, which is no IP address,"),
        );
        if word.contains('/') { fault.hint(format!("write `in {{{word}}}`")) } else { fault }
    })?;
    Ok(address.to_canonical())
}

/// An IP address, a network or a range of addresses, in a set.
pub(super) fn addresses(token: Token<'_>, span: &Range<usize>) -> Result<AddressRange, Fault> {
    if let Some((first, last)) = range(token, span) {
        let first = address(Token::Word(first.0), &first.1)?;
        let last = address(Token::Word(last.0), &last.1)?;
        if first.is_ipv4() != last.is_ipv4() {
            let message = "found a range from one family of addresses to the other";
            return Err(Fault::new(RuleErrorCode::BadRange, span.clone(), message));
        }
        return if first <= last { Ok(AddressRange::Between(first, last)) } else { Err(backwards(span)) };
    }
    let word = bare(token, span, "an IP address or network")?;
    if !word.contains('/') {
        return address(token, span).map(IpNet::from).map(AddressRange::Network);
    }
    let network = word.parse::<IpNet>().map_err(|_invalid| {
        Fault::new(RuleErrorCode::BadAddress, span.clone(), format!("found `{word}`, which is no network,"))
    })?;
    if network != network.trunc() {
        let message = format!("found `{word}`, whose address has bits beyond its prefix,");
        let hint = format!("write {}", network.trunc());
        return Err(Fault::new(RuleErrorCode::BadAddress, span.clone(), message).hint(hint));
    }
    Ok(AddressRange::Network(network))
}

/// A word and where it stands.
type Part<'s> = (&'s str, Range<usize>);

/// The two ends of `…..…`.
fn range<'s>(token: Token<'s>, span: &Range<usize>) -> Option<(Part<'s>, Part<'s>)> {
    let Token::Word(word) = token else { return None };
    let (first, last) = word.split_once("..")?;
    let middle = span.start + first.len();
    Some(((first, span.start..middle), (last, middle + 2..span.end)))
}

fn backwards(span: &Range<usize>) -> Fault {
    Fault::new(RuleErrorCode::BadRange, span.clone(), "found a range that ends before it begins")
}

/// What was found and what should stand there.
pub(super) fn unexpected(token: Token<'_>, span: &Range<usize>, expected: &str) -> Fault {
    let found = match token {
        Token::Word(word) => format!("`{word}`"),
        Token::Symbol(symbol) => format!("`{symbol}`"),
        Token::Quoted(_) | Token::Raw(_) => "a string".to_owned(),
    };
    let message = format!("found {found} where {expected} is needed");
    Fault::new(RuleErrorCode::UnexpectedToken, span.clone(), message)
}

/// A single value, where a range cannot stand.
fn one<'s>(token: Token<'s>, span: &Range<usize>, expected: &str) -> Result<&'s str, Fault> {
    let word = bare(token, span, expected)?;
    if word.contains("..") {
        let message = format!("found the range `{word}`, and ranges stand in sets,");
        let hint = format!("write `in {{{word}}}`");
        return Err(Fault::new(RuleErrorCode::BadRange, span.clone(), message).hint(hint));
    }
    Ok(word)
}

fn bare<'s>(token: Token<'s>, span: &Range<usize>, expected: &str) -> Result<&'s str, Fault> {
    match token {
        Token::Word(word) => Ok(word),
        Token::Quoted(_) | Token::Raw(_) => {
            let message = format!("found a string where {expected} is needed");
            Err(Fault::new(RuleErrorCode::LiteralType, span.clone(), message))
        }
        Token::Symbol(_) => Err(unexpected(token, span, expected)),
    }
}

/// Resolves `\"`, `\\`, `\xHH` and `\OOO`; `start` is where `inside` begins.
fn unescape(inside: &str, start: usize) -> Result<Vec<u8>, Fault> {
    let mut decoded = Vec::with_capacity(inside.len());
    let mut bytes = inside.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if byte != b'\\' {
            decoded.push(byte);
            continue;
        }
        let escaped = bytes.next().map(|(_, b)| b);
        let value = match escaped {
            Some(plain @ (b'"' | b'\\')) => Some(plain),
            Some(b'x') => digits([bytes.next(), bytes.next()], 16),
            Some(first @ b'0'..=b'3') => digits([Some((at, first)), bytes.next(), bytes.next()], 8),
            _ => None,
        };
        decoded.push(value.ok_or_else(|| bad_escape(inside, at, start))?);
    }
    Ok(decoded)
}

fn digits<const N: usize>(found: [Option<(usize, u8)>; N], radix: u32) -> Option<u8> {
    let mut value = 0_u32;
    for digit in found {
        value = value * radix + char::from(digit?.1).to_digit(radix)?;
    }
    u8::try_from(value).ok()
}

fn bad_escape(inside: &str, at: usize, start: usize) -> Fault {
    let shown: String = inside.get(at..).unwrap_or_default().chars().take(2).collect();
    let span = start + at..start + at + shown.len();
    let message = format!("found `{shown}`, which is none of the escapes \\\" \\\\ \\xHH \\OOO,");
    Fault::new(RuleErrorCode::BadEscape, span, message).hint("use a raw string: r\"…\"")
}
