//! What stands to the right of a comparison.

use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use super::error::{Fault, RuleErrorCode};
use super::lexer::Token;
use super::pattern::{Pattern, PatternFault, Wildcard};

/// A string literal's bytes.
pub(super) fn text(token: Token<'_>, span: &Range<usize>) -> Result<Vec<u8>, Fault> {
    match token {
        Token::Raw(inside) => Ok(inside.as_bytes().to_vec()),
        Token::Quoted(inside) => unescape(inside, span.start + 1),
        Token::Word(word) => {
            let message = format!("found `{word}` where a string is needed");
            let hint = format!("write \"{word}\"");
            Err(Fault::new(RuleErrorCode::LiteralType, span.clone(), message).hint(hint))
        }
        Token::Symbol(_) => Err(unexpected(token, span, "a string")),
    }
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
pub(super) fn wildcard(token: Token<'_>, span: &Range<usize>) -> Result<Wildcard, Fault> {
    Wildcard::new(&text(token, span)?)
        .map_err(|reason| Fault::new(RuleErrorCode::BadWildcard, span.clone(), format!("found {reason}")))
}

/// A number.
pub(super) fn integer(token: Token<'_>, span: &Range<usize>) -> Result<i64, Fault> {
    let word = bare(token, span, "a number")?;
    word.parse().map_err(|_invalid| {
        Fault::new(
            RuleErrorCode::BadInteger,
            span.clone(),
            format!("found `{word}`, which is no 64-bit number,"),
        )
    })
}

/// An IP address.
pub(super) fn address(token: Token<'_>, span: &Range<usize>) -> Result<IpAddr, Fault> {
    let word = bare(token, span, "an IP address")?;
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

/// An IP address or a network, in a set.
pub(super) fn network(token: Token<'_>, span: &Range<usize>) -> Result<IpNet, Fault> {
    let word = bare(token, span, "an IP address or network")?;
    if !word.contains('/') {
        return address(token, span).map(IpNet::from);
    }
    let network = word.parse::<IpNet>().map_err(|_invalid| {
        Fault::new(RuleErrorCode::BadAddress, span.clone(), format!("found `{word}`, which is no network,"))
    })?;
    if network != network.trunc() {
        let message = format!("found `{word}`, whose address has bits beyond its prefix,");
        let hint = format!("write {}", network.trunc());
        return Err(Fault::new(RuleErrorCode::BadAddress, span.clone(), message).hint(hint));
    }
    Ok(network)
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

fn bare<'s>(token: Token<'s>, span: &Range<usize>, expected: &str) -> Result<&'s str, Fault> {
    match token {
        Token::Word(word) if word.contains("..") => {
            let message = format!("found the range `{word}`, and ranges are not supported in this version,");
            Err(Fault::new(RuleErrorCode::NotSupported, span.clone(), message))
        }
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
