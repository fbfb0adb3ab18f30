//! An expression cut into tokens.

use std::ops::Range;

use super::error::{Fault, RuleErrorCode};

/// A piece of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A name, keyword, number or address: which, the parser knows from where it stands.
    Word(&'s str),
    /// `"…"`, what is between the quotes, escapes and all.
    Quoted(&'s str),
    /// `r"…"`, what is between the quotes.
    Raw(&'s str),
    /// An operator or bracket.
    Symbol(&'static str),
}

/// A token and where it stands.
pub(super) type Spanned<'s> = (Token<'s>, Range<usize>);

/// Longest first, so that `&&` is not `&` twice.
const SYMBOLS: [&str; 21] = [
    "||", "&&", "^^", "==", "!=", "<=", ">=", "<", ">", "!", "~", "(", ")", "{", "}", "[", "]", ",", "&",
    "$", "*",
];

/// Cuts `source` into tokens.
pub(super) fn tokens(source: &str) -> Result<Vec<Spanned<'_>>, Fault> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(space) = rest.chars().next().filter(char::is_ascii_whitespace) {
            at += space.len_utf8();
            continue;
        }
        let (token, length) = token(rest, at)?;
        found.push((token, at..at + length));
        at += length;
    }
    Ok(found)
}

fn token(rest: &str, at: usize) -> Result<(Token<'_>, usize), Fault> {
    if let Some(inside) = rest.strip_prefix('"') {
        return quoted(inside, at);
    }
    if rest.starts_with("r\"") || rest.starts_with("r#") {
        return raw(rest, at);
    }
    if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
        return Ok((Token::Symbol(symbol), symbol.len()));
    }
    let length = rest.bytes().take_while(|b| is_word_byte(*b)).count();
    if let Some(word) = rest.get(..length).filter(|word| !word.is_empty()) {
        return Ok((Token::Word(word), length));
    }
    let found = rest.chars().next().unwrap_or_default();
    let span = at..at + found.len_utf8();
    if found == '\'' {
        let message = "found a single quote, and strings stand in double quotes,";
        return Err(Fault::new(RuleErrorCode::SingleQuotes, span, message).hint("write \"…\""));
    }
    Err(Fault::new(RuleErrorCode::UnexpectedCharacter, span, format!("found unexpected character {found:?}")))
}

fn quoted(inside: &str, at: usize) -> Result<(Token<'_>, usize), Fault> {
    let mut escaped = false;
    for (index, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => {
                return Ok((Token::Quoted(inside.get(..index).unwrap_or_default()), index + 2));
            }
            _ => {}
        }
    }
    Err(unterminated(at, "\""))
}

fn raw(rest: &str, at: usize) -> Result<(Token<'_>, usize), Fault> {
    let hashes = rest.bytes().skip(1).take_while(|b| *b == b'#').count();
    let Some(inside) = rest.get(hashes + 1..).and_then(|rest| rest.strip_prefix('"')) else {
        let span = at..at + hashes + 1;
        return Err(Fault::new(
            RuleErrorCode::UnexpectedCharacter,
            span,
            "found `#` that opens no raw string",
        ));
    };
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).ok_or_else(|| unterminated(at, &end))?;
    Ok((Token::Raw(inside.get(..length).unwrap_or_default()), hashes + 2 + length + end.len()))
}

fn unterminated(at: usize, end: &str) -> Fault {
    let message = format!("found a string without its closing {end}");
    Fault::new(RuleErrorCode::UnterminatedString, at..at + 1, message)
}

const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(source: &str) -> Vec<Token<'_>> {
        tokens(source).unwrap().into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn expressions_fall_into_tokens() {
        use Token::{Quoted, Raw, Symbol, Word};
        assert_eq!(
            plain("(!ssl&&\n ip.src in {10.0.0.0/8 ::1})"),
            [
                Symbol("("),
                Symbol("!"),
                Word("ssl"),
                Symbol("&&"),
                Word("ip.src"),
                Word("in"),
                Symbol("{"),
                Word("10.0.0.0/8"),
                Word("::1"),
                Symbol("}"),
                Symbol(")"),
            ]
        );
        assert_eq!(plain(r###""a\"b" r"\d" r##"x"#y"##"###), [Quoted("a\\\"b"), Raw("\\d"), Raw("x\"#y")]);
        assert_eq!(plain("raw r"), [Word("raw"), Word("r")]);
    }

    #[test]
    fn strings_must_end() {
        for bad in ["\"abc", "\"abc\\\"", "r\"abc", "r#\"abc\"", "r##"] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }
}
