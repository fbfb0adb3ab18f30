//! Words that stand where they should not, or mean nothing.

use std::ops::Range;

use super::error::{Fault, RuleErrorCode};
use super::fields;
use super::function::{self, FUNCTIONS};
use super::lexer::Token;
use super::lists::Lists;
use super::literal;
use super::suggest::nearest;

/// Words with a meaning of their own.
const KEYWORDS: [&str; 17] = [
    "or", "xor", "and", "not", "eq", "ne", "lt", "le", "gt", "ge", "contains", "matches", "wildcard",
    "strict", "in", "true", "false",
];

/// The keyword that this is in upper case.
pub(super) fn upper_case_keyword(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    (lower != word && KEYWORDS.contains(&lower.as_str())).then_some(lower)
}

/// A token that does not belong there.
pub(super) fn misplaced(token: Token<'_>, span: &Range<usize>, expected: &str) -> Fault {
    if let Token::Word(word) = token
        && let Some(lower) = upper_case_keyword(word)
    {
        let message = format!("found `{word}`, and keywords are lower case,");
        return Fault::new(RuleErrorCode::UpperCaseKeyword, span.clone(), message)
            .hint(format!("write `{lower}`"));
    }
    literal::unexpected(token, span, expected)
}

/// A word that is no field.
pub(super) fn field(word: &str, span: &Range<usize>) -> Fault {
    if upper_case_keyword(word).is_some() || KEYWORDS.contains(&word) {
        return misplaced(Token::Word(word), span, "a field");
    }
    if function::named(word).is_some() || matches!(word, "any" | "all") {
        let message = format!("found `{word}` without its arguments");
        return Fault::new(RuleErrorCode::WrongArgument, span.clone(), message);
    }
    let known = fields::REGISTRY.iter().map(|(name, ..)| *name);
    nobodys(word, span, known).unwrap_or_else(|hint| {
        let message = format!("found unknown field `{word}`");
        hinted(Fault::new(RuleErrorCode::UnknownField, span.clone(), message), hint)
    })
}

/// A word before parentheses that is no function.
pub(super) fn function(word: &str, span: &Range<usize>) -> Fault {
    if upper_case_keyword(word).is_some() || KEYWORDS.contains(&word) {
        return misplaced(Token::Word(word), span, "a field");
    }
    let known = FUNCTIONS.iter().map(|signature| signature.name).chain(["any", "all"]);
    nobodys(word, span, known).unwrap_or_else(|hint| {
        let message = format!("found unknown function `{word}`");
        hinted(Fault::new(RuleErrorCode::UnknownFunction, span.clone(), message), hint)
    })
}

/// A name that is no list's.
pub(super) fn list(name: &str, span: Range<usize>, lists: &Lists) -> Fault {
    if name.starts_with("cf.") {
        let message = format!("found `${name}`, a list that only Cloudflare keeps,");
        return Fault::new(RuleErrorCode::CloudflareOnly, span, message);
    }
    let hint = nearest(name, lists.names()).map(|known| format!("did you mean `${known}`?"));
    let fault = Fault::new(RuleErrorCode::UndefinedList, span, format!("found undefined list `${name}`"));
    hinted(fault, Some(hint.unwrap_or_else(|| "lists are made with [[list]]".to_owned())))
}

/// What only Cloudflare has, or else a suggestion.
fn nobodys<'k>(
    word: &str,
    span: &Range<usize>,
    known: impl Iterator<Item = &'k str> + Clone,
) -> Result<Fault, Option<String>> {
    if fields::is_cloudflares(word) {
        let message = format!("found `{word}`, which only Cloudflare has,");
        return Ok(Fault::new(RuleErrorCode::CloudflareOnly, span.clone(), message));
    }
    Err(nearest(word, known).map(|name| format!("did you mean `{name}`?")))
}

fn hinted(fault: Fault, hint: Option<String>) -> Fault {
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}
