//! Why rules are refused: a stable code, a sentence, and the place.

use std::fmt;
use std::ops::Range;

/// The stable code of a refused rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "`as_str` and the reference page say what each is")]
pub enum RuleErrorCode {
    Empty,
    TooLong,
    TooDeep,
    UnexpectedCharacter,
    UnexpectedToken,
    UnexpectedEnd,
    UnterminatedString,
    BadEscape,
    SingleQuotes,
    UpperCaseKeyword,
    UnknownField,
    UnknownFunction,
    CloudflareOnly,
    WrongArgument,
    BadIndex,
    ArrayCompared,
    SpreadOutside,
    OperatorOnBoolean,
    MissingOperator,
    OperatorType,
    LiteralType,
    BadInteger,
    BadAddress,
    BadRange,
    UndefinedList,
    ListKind,
    BadList,
    NotIn,
    CommaInSet,
    EmptySet,
    BadWildcard,
    BadRegex,
    LookAround,
    RegexTooLarge,
    DuplicateName,
    BadResponse,
}

impl RuleErrorCode {
    /// Every code.
    pub const ALL: [Self; 36] = [
        Self::Empty,
        Self::TooLong,
        Self::TooDeep,
        Self::UnexpectedCharacter,
        Self::UnexpectedToken,
        Self::UnexpectedEnd,
        Self::UnterminatedString,
        Self::BadEscape,
        Self::SingleQuotes,
        Self::UpperCaseKeyword,
        Self::UnknownField,
        Self::UnknownFunction,
        Self::CloudflareOnly,
        Self::WrongArgument,
        Self::BadIndex,
        Self::ArrayCompared,
        Self::SpreadOutside,
        Self::OperatorOnBoolean,
        Self::MissingOperator,
        Self::OperatorType,
        Self::LiteralType,
        Self::BadInteger,
        Self::BadAddress,
        Self::BadRange,
        Self::UndefinedList,
        Self::ListKind,
        Self::BadList,
        Self::NotIn,
        Self::CommaInSet,
        Self::EmptySet,
        Self::BadWildcard,
        Self::BadRegex,
        Self::LookAround,
        Self::RegexTooLarge,
        Self::DuplicateName,
        Self::BadResponse,
    ];

    /// The code's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "RULE_EMPTY",
            Self::TooLong => "RULE_TOO_LONG",
            Self::TooDeep => "RULE_TOO_DEEP",
            Self::UnexpectedCharacter => "RULE_UNEXPECTED_CHARACTER",
            Self::UnexpectedToken => "RULE_UNEXPECTED_TOKEN",
            Self::UnexpectedEnd => "RULE_UNEXPECTED_END",
            Self::UnterminatedString => "RULE_UNTERMINATED_STRING",
            Self::BadEscape => "RULE_BAD_ESCAPE",
            Self::SingleQuotes => "RULE_SINGLE_QUOTES",
            Self::UpperCaseKeyword => "RULE_UPPER_CASE_KEYWORD",
            Self::UnknownField => "RULE_UNKNOWN_FIELD",
            Self::CloudflareOnly => "RULE_CLOUDFLARE_ONLY",
            Self::UnknownFunction => "RULE_UNKNOWN_FUNCTION",
            Self::BadIndex => "RULE_BAD_INDEX",
            Self::ArrayCompared => "RULE_ARRAY_COMPARED",
            Self::SpreadOutside => "RULE_SPREAD_OUTSIDE",
            Self::WrongArgument => "RULE_WRONG_ARGUMENT",
            Self::OperatorOnBoolean => "RULE_OPERATOR_ON_BOOLEAN",
            Self::MissingOperator => "RULE_MISSING_OPERATOR",
            Self::OperatorType => "RULE_OPERATOR_TYPE",
            Self::LiteralType => "RULE_LITERAL_TYPE",
            Self::BadInteger => "RULE_BAD_INTEGER",
            Self::BadAddress => "RULE_BAD_ADDRESS",
            Self::BadRange => "RULE_BAD_RANGE",
            Self::UndefinedList => "RULE_UNDEFINED_LIST",
            Self::ListKind => "RULE_LIST_KIND",
            Self::BadList => "RULE_BAD_LIST",
            Self::NotIn => "RULE_NOT_IN",
            Self::CommaInSet => "RULE_COMMA_IN_SET",
            Self::EmptySet => "RULE_EMPTY_SET",
            Self::BadWildcard => "RULE_BAD_WILDCARD",
            Self::BadRegex => "RULE_BAD_REGEX",
            Self::LookAround => "RULE_LOOK_AROUND",
            Self::RegexTooLarge => "RULE_REGEX_TOO_LARGE",
            Self::DuplicateName => "RULE_DUPLICATE_NAME",
            Self::BadResponse => "RULE_BAD_RESPONSE",
        }
    }
}

impl fmt::Display for RuleErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong in an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: RuleErrorCode,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) span: Range<usize>,
}

impl Fault {
    pub(super) fn new(code: RuleErrorCode, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, span }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Rule,
    List,
}

/// A rule or list that was refused when it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    subject: Subject,
    rule: String,
    expression: String,
    fault: Fault,
}

impl std::error::Error for RuleError {}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        let (name, message) = (&self.rule, &self.fault.message);
        let subject = match self.subject {
            Subject::Rule => "rule",
            Subject::List => "list",
        };
        write!(f, "{subject} {name:?}: {message} at line {}, column {}", place.line, place.column)
    }
}

/// Where a fault is, for people.
struct Place<'a> {
    line: usize,
    column: usize,
    text: &'a str,
    width: usize,
}

impl RuleError {
    pub(super) fn new(rule: &str, expression: &str, fault: Fault) -> Self {
        Self { subject: Subject::Rule, rule: rule.to_owned(), expression: expression.to_owned(), fault }
    }

    /// About a list: `text` is the item, or its name.
    pub(super) fn of_list(list: &str, text: &str, fault: Fault) -> Self {
        Self { subject: Subject::List, ..Self::new(list, text, fault) }
    }

    /// The name of the rule or list.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What kind of fault it is.
    #[must_use]
    pub const fn code(&self) -> RuleErrorCode {
        self.fault.code
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.fault.message
    }

    /// What to write instead, if that can be guessed.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.fault.hint.as_deref()
    }

    /// Where it is in the expression, in bytes from its start.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.fault.span.start
    }

    /// The line of the expression in which it is, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.place().line
    }

    /// The column in that line, in characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.place().column
    }

    /// The error, its code, and the line of the expression with a caret under the place.
    #[must_use]
    pub fn render(&self) -> String {
        let place = self.place();
        let indent: String = place
            .text
            .chars()
            .take(place.column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let hint = self.hint().map(|hint| format!(" {hint}")).unwrap_or_default();
        let carets = "^".repeat(place.width);
        format!("{self} [{}]\n{}\n{indent}{carets}{hint}", self.fault.code, place.text)
    }

    fn place(&self) -> Place<'_> {
        let start = self.fault.span.start.min(self.expression.len());
        let before = self.expression.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let text = self.expression.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count().saturating_add(1);
        let room = text.chars().count().saturating_add(1).saturating_sub(column);
        let marked = self.expression.get(self.fault.span.clone()).unwrap_or_default();
        Place {
            line: before.matches('\n').count().saturating_add(1),
            column,
            text,
            width: marked.chars().count().min(room).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        let expression = "(ssl\n\tand http.hosst eq \"a\")";
        let fault = Fault::new(RuleErrorCode::UnknownField, 10..20, "found unknown field `http.hosst`")
            .hint("did you mean `http.host`?");
        let rendered = RuleError::new("r", expression, fault).render();
        assert_eq!(
            rendered,
            "rule \"r\": found unknown field `http.hosst` at line 2, column 6 [RULE_UNKNOWN_FIELD]\n\
             \tand http.hosst eq \"a\")\n\
             \t    ^^^^^^^^^^ did you mean `http.host`?"
        );
    }

    #[test]
    fn any_span_can_be_rendered() {
        for expression in ["", "é\n", "\n\n", "ab"] {
            for start in 0..5 {
                let fault = Fault::new(RuleErrorCode::Empty, start..start + 2, "x");
                assert!(RuleError::new("r", expression, fault).render().contains('^'));
            }
        }
    }

    #[test]
    fn codes_are_distinct() {
        let texts: std::collections::HashSet<_> = RuleErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(texts.len(), RuleErrorCode::ALL.len());
    }
}
