//! From tokens to a typed expression.
//!
//! Binding, loosest first: `or`, `xor`, `and`, `not`, comparisons.

use std::ops::Range;

use super::ast::{
    AddressTest, Affix, Comparison, Expression, IntegerSource, IntegerTest, LogicalOperator, TextFunction,
    TextSource, TextTest,
};
use super::error::{Fault, RuleErrorCode};
use super::fields::{self, AddressField, Field};
use super::lexer::{Spanned, Token, tokens};
use super::literal;
use super::suggest::nearest;

/// How long an expression may be, in characters.
const MAX_LENGTH: usize = 4096;
/// How deep parentheses, `not` and function calls may nest.
const MAX_DEPTH: usize = 128;

/// Words with a meaning of their own.
const KEYWORDS: [&str; 17] = [
    "or", "xor", "and", "not", "eq", "ne", "lt", "le", "gt", "ge", "contains", "matches", "wildcard",
    "strict", "in", "true", "false",
];

/// Parses a whole expression.
pub(super) fn parse(source: &str) -> Result<Expression, Fault> {
    let length = source.chars().count();
    if length > MAX_LENGTH {
        let message = format!("found an expression of {length} characters, and {MAX_LENGTH} are the limit,");
        return Err(Fault::new(RuleErrorCode::TooLong, 0..0, message));
    }
    let tokens = tokens(source)?;
    if tokens.is_empty() {
        return Err(Fault::new(RuleErrorCode::Empty, 0..source.len(), "found an empty expression"));
    }
    let mut parser = Parser { tokens, at: 0, depth: 0, end: source.len() };
    let expression = parser.expression(LogicalOperator::Or)?;
    match parser.peek() {
        None => Ok(expression),
        Some((token, span)) => Err(misplaced(token, &span, "`and`, `or`, `xor` or the end")),
    }
}

struct Parser<'s> {
    tokens: Vec<Spanned<'s>>,
    at: usize,
    depth: usize,
    end: usize,
}

/// What stands to the left of a comparison.
enum Operand {
    Boolean(Expression),
    Text(TextSource),
    Integer(IntegerSource),
    Address(AddressField),
}

/// A comparison operator.
#[derive(Clone, Copy)]
enum Operator {
    Compare(Comparison),
    Contains,
    Matches,
    Wildcard,
    In,
}

impl<'s> Parser<'s> {
    fn peek(&self) -> Option<Spanned<'s>> {
        self.tokens.get(self.at).cloned()
    }

    fn next(&mut self, expected: &str) -> Result<Spanned<'s>, Fault> {
        let next = self.peek().ok_or_else(|| {
            let message = format!("found the end of the expression where {expected} is needed");
            Fault::new(RuleErrorCode::UnexpectedEnd, self.end..self.end, message)
        })?;
        self.at += 1;
        Ok(next)
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.tokens.get(self.at), Some((Token::Symbol(found), _)) if *found == symbol)
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Fault> {
        let expected = format!("`{symbol}`");
        match self.next(&expected)? {
            (Token::Symbol(found), _) if found == symbol => Ok(()),
            (token, span) => Err(misplaced(token, &span, &expected)),
        }
    }

    fn descend(&mut self, span: &Range<usize>) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("found nesting deeper than {MAX_DEPTH}");
            return Err(Fault::new(RuleErrorCode::TooDeep, span.clone(), message));
        }
        Ok(())
    }

    /// Operands joined by operators that bind at least as tightly as `floor`.
    fn expression(&mut self, floor: LogicalOperator) -> Result<Expression, Fault> {
        let mut left = self.unary()?;
        while let Some(operator) = self.logical_operator().filter(|operator| *operator >= floor) {
            let mut operands = vec![left];
            while self.logical_operator() == Some(operator) {
                self.at += 1;
                operands.push(self.tighter_than(operator)?);
            }
            left = Expression::Logical(operator, operands);
        }
        Ok(left)
    }

    fn tighter_than(&mut self, operator: LogicalOperator) -> Result<Expression, Fault> {
        match operator {
            LogicalOperator::Or => self.expression(LogicalOperator::Xor),
            LogicalOperator::Xor => self.expression(LogicalOperator::And),
            LogicalOperator::And => self.unary(),
        }
    }

    fn logical_operator(&self) -> Option<LogicalOperator> {
        match self.tokens.get(self.at)?.0 {
            Token::Word("or") | Token::Symbol("||") => Some(LogicalOperator::Or),
            Token::Word("xor") | Token::Symbol("^^") => Some(LogicalOperator::Xor),
            Token::Word("and") | Token::Symbol("&&") => Some(LogicalOperator::And),
            Token::Word(_) | Token::Symbol(_) | Token::Quoted(_) | Token::Raw(_) => None,
        }
    }

    fn unary(&mut self) -> Result<Expression, Fault> {
        let (token, span) = self.next("a field")?;
        match token {
            Token::Word("not") | Token::Symbol("!") => {
                self.descend(&span)?;
                let inner = self.unary()?;
                self.depth -= 1;
                Ok(Expression::Not(Box::new(inner)))
            }
            Token::Symbol("(") => {
                self.descend(&span)?;
                let inner = self.expression(LogicalOperator::Or)?;
                self.expect(")")?;
                self.depth -= 1;
                Ok(inner)
            }
            Token::Word(word) => {
                let operand = self.operand(word, &span)?;
                self.comparison(operand, word, &span)
            }
            Token::Symbol(_) | Token::Quoted(_) | Token::Raw(_) => Err(misplaced(token, &span, "a field")),
        }
    }

    fn operand(&mut self, word: &'s str, span: &Range<usize>) -> Result<Operand, Fault> {
        if self.is_symbol("(") {
            return self.call(word, span);
        }
        let field = fields::field(word).ok_or_else(|| unknown(word, span, "field"))?;
        if self.is_symbol("[") {
            let message = "found `[`, and indexing is not supported in this version,";
            let span = self.peek().map_or(span.clone(), |(_, span)| span);
            return Err(Fault::new(RuleErrorCode::NotSupported, span, message));
        }
        Ok(match field {
            Field::Boolean(field) => Operand::Boolean(Expression::Flag(field)),
            Field::Text(field) => Operand::Text(TextSource::Field(field)),
            Field::Integer(field) => Operand::Integer(IntegerSource::Field(field)),
            Field::Address(field) => Operand::Address(field),
        })
    }

    fn call(&mut self, function: &'s str, span: &Range<usize>) -> Result<Operand, Fault> {
        if !FUNCTIONS.contains(&function) {
            return Err(unknown(function, span, "function"));
        }
        self.expect("(")?;
        self.descend(span)?;
        let source = self.text_argument(function)?;
        let operand = match function {
            "lower" => Operand::Text(TextSource::Function(TextFunction::Lower, Box::new(source))),
            "upper" => Operand::Text(TextSource::Function(TextFunction::Upper, Box::new(source))),
            "len" => Operand::Integer(IntegerSource::Length(source)),
            _ => {
                let affix = if function == "starts_with" { Affix::Start } else { Affix::End };
                Operand::Boolean(Expression::Affix(affix, source, self.literal_argument(function)?))
            }
        };
        self.depth -= 1;
        match self.next("`)`")? {
            (Token::Symbol(")"), _) => Ok(operand),
            (Token::Symbol(","), span) => Err(wrong_argument(function, &span, "fewer arguments")),
            (token, span) => Err(misplaced(token, &span, "`)`")),
        }
    }

    fn text_argument(&mut self, function: &str) -> Result<TextSource, Fault> {
        let (token, span) = self.next("a string field")?;
        let Token::Word(word) = token else {
            return Err(wrong_argument(function, &span, "a string field here"));
        };
        match self.operand(word, &span)? {
            Operand::Text(source) => Ok(source),
            Operand::Boolean(_) | Operand::Integer(_) | Operand::Address(_) => {
                Err(wrong_argument(function, &span, "a string field here"))
            }
        }
    }

    fn literal_argument(&mut self, function: &str) -> Result<Vec<u8>, Fault> {
        match self.next("`,`")? {
            (Token::Symbol(","), _) => {}
            (_, span) => return Err(wrong_argument(function, &span, "a second argument")),
        }
        let (token, span) = self.next("a string")?;
        match token {
            Token::Quoted(_) | Token::Raw(_) => literal::text(token, &span),
            Token::Word(_) | Token::Symbol(_) => {
                Err(wrong_argument(function, &span, "a string literal here"))
            }
        }
    }

    fn comparison(&mut self, operand: Operand, word: &str, span: &Range<usize>) -> Result<Expression, Fault> {
        if let Operand::Boolean(flag) = operand {
            return self.bare(flag, word);
        }
        let at = self.peek().map_or(self.end..self.end, |(_, span)| span);
        let Some(operator) = self.comparison_operator()? else {
            let message = format!("found `{word}`, which is not Boolean, without an operator");
            return Err(Fault::new(RuleErrorCode::MissingOperator, span.clone(), message));
        };
        match operand {
            Operand::Text(source) => Ok(Expression::Text(source, self.text_test(operator, &at)?)),
            Operand::Integer(source) => Ok(Expression::Integer(source, self.integer_test(operator, &at)?)),
            Operand::Address(field) => Ok(Expression::Address(field, self.address_test(operator, &at)?)),
            Operand::Boolean(flag) => Ok(flag),
        }
    }

    fn bare(&mut self, flag: Expression, word: &str) -> Result<Expression, Fault> {
        let span = self.peek().map_or(self.end..self.end, |(_, span)| span);
        if self.comparison_operator()?.is_some() {
            let message = format!("found an operator on `{word}`, which is Boolean and stands alone,");
            let hint = format!("write `{word}` or `not {word}`");
            return Err(Fault::new(RuleErrorCode::OperatorOnBoolean, span, message).hint(hint));
        }
        Ok(flag)
    }

    fn comparison_operator(&mut self) -> Result<Option<Operator>, Fault> {
        let Some((token, span)) = self.peek() else { return Ok(None) };
        let operator = match token {
            Token::Word("eq") | Token::Symbol("==") => Operator::Compare(Comparison::Equal),
            Token::Word("ne") | Token::Symbol("!=") => Operator::Compare(Comparison::NotEqual),
            Token::Word("lt") | Token::Symbol("<") => Operator::Compare(Comparison::Less),
            Token::Word("le") | Token::Symbol("<=") => Operator::Compare(Comparison::LessOrEqual),
            Token::Word("gt") | Token::Symbol(">") => Operator::Compare(Comparison::Greater),
            Token::Word("ge") | Token::Symbol(">=") => Operator::Compare(Comparison::GreaterOrEqual),
            Token::Word("contains") => Operator::Contains,
            Token::Word("matches") | Token::Symbol("~") => Operator::Matches,
            Token::Word("wildcard") => Operator::Wildcard,
            Token::Word("in") => Operator::In,
            Token::Word("strict") | Token::Symbol("&") => {
                let message = "found an operator that is not supported in this version";
                return Err(Fault::new(RuleErrorCode::NotSupported, span, message));
            }
            Token::Word("not") => {
                let message = "found `not` after a field, and it stands before one,";
                let hint = "write `not <field> in {…}`";
                return Err(Fault::new(RuleErrorCode::NotIn, span, message).hint(hint));
            }
            Token::Word(word) if upper_case_keyword(word).is_some() => {
                return Err(misplaced(token, &span, "an operator"));
            }
            Token::Word(_) | Token::Symbol(_) | Token::Quoted(_) | Token::Raw(_) => return Ok(None),
        };
        self.at += 1;
        Ok(Some(operator))
    }

    fn text_test(&mut self, operator: Operator, at: &Range<usize>) -> Result<TextTest, Fault> {
        match operator {
            Operator::In => self.set(literal::text).map(TextTest::In),
            Operator::Compare(Comparison::Equal) => self.value(literal::text).map(TextTest::Equal),
            Operator::Compare(Comparison::NotEqual) => self.value(literal::text).map(TextTest::NotEqual),
            Operator::Contains => self.value(literal::text).map(TextTest::Contains),
            Operator::Matches => self.value(literal::pattern).map(TextTest::Matches),
            Operator::Wildcard => self.value(literal::wildcard).map(TextTest::Wildcard),
            Operator::Compare(
                Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual,
            ) => Err(operator_type(at, "a string")),
        }
    }

    fn integer_test(&mut self, operator: Operator, at: &Range<usize>) -> Result<IntegerTest, Fault> {
        match operator {
            Operator::In => self.set(literal::integer).map(IntegerTest::In),
            Operator::Compare(comparison) => {
                Ok(IntegerTest::Compare(comparison, self.value(literal::integer)?))
            }
            Operator::Contains | Operator::Matches | Operator::Wildcard => Err(operator_type(at, "a number")),
        }
    }

    fn address_test(&mut self, operator: Operator, at: &Range<usize>) -> Result<AddressTest, Fault> {
        match operator {
            Operator::In => self.set(literal::network).map(AddressTest::In),
            Operator::Compare(Comparison::Equal) => self.value(literal::address).map(AddressTest::Equal),
            Operator::Compare(Comparison::NotEqual) => {
                self.value(literal::address).map(AddressTest::NotEqual)
            }
            Operator::Compare(
                Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual,
            )
            | Operator::Contains
            | Operator::Matches
            | Operator::Wildcard => Err(operator_type(at, "an IP address")),
        }
    }

    fn value<T>(&mut self, read: fn(Token<'_>, &Range<usize>) -> Result<T, Fault>) -> Result<T, Fault> {
        let (token, span) = self.next("a value")?;
        read(token, &span)
    }

    fn set<T>(&mut self, read: fn(Token<'_>, &Range<usize>) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        let (open, at) = self.next("`{`")?;
        match open {
            Token::Symbol("{") => {}
            Token::Symbol("$") => {
                let message = "found a list, and lists are not supported in this version,";
                return Err(Fault::new(RuleErrorCode::NotSupported, at, message));
            }
            Token::Symbol(_) | Token::Word(_) | Token::Quoted(_) | Token::Raw(_) => {
                return Err(misplaced(open, &at, "`{`"));
            }
        }
        let mut items = Vec::new();
        loop {
            let (token, span) = self.next("`}`")?;
            match token {
                Token::Symbol("}") if items.is_empty() => {
                    let message = "found an empty set, which nothing is in,";
                    return Err(Fault::new(RuleErrorCode::EmptySet, at.start..span.end, message));
                }
                Token::Symbol("}") => return Ok(items),
                Token::Symbol(",") => {
                    let message = "found a comma in a set, whose values are separated by spaces,";
                    return Err(Fault::new(RuleErrorCode::CommaInSet, span, message));
                }
                Token::Symbol(_) | Token::Word(_) | Token::Quoted(_) | Token::Raw(_) => {
                    items.push(read(token, &span)?);
                }
            }
        }
    }
}

/// The functions of this version.
const FUNCTIONS: [&str; 5] = ["lower", "upper", "starts_with", "ends_with", "len"];

fn upper_case_keyword(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    (lower != word && KEYWORDS.contains(&lower.as_str())).then_some(lower)
}

fn misplaced(token: Token<'_>, span: &Range<usize>, expected: &str) -> Fault {
    if let Token::Word(word) = token
        && let Some(lower) = upper_case_keyword(word)
    {
        let message = format!("found `{word}`, and keywords are lower case,");
        return Fault::new(RuleErrorCode::UpperCaseKeyword, span.clone(), message)
            .hint(format!("write `{lower}`"));
    }
    literal::unexpected(token, span, expected)
}

fn unknown(word: &str, span: &Range<usize>, what: &str) -> Fault {
    let fault = |code, message: String| Fault::new(code, span.clone(), message);
    if upper_case_keyword(word).is_some() || KEYWORDS.iter().take(15).any(|keyword| *keyword == word) {
        return misplaced(Token::Word(word), span, "a field");
    }
    if fields::is_listed(word, &fields::LATER) {
        let message = format!("found `{word}`, which is not supported in this version,");
        return fault(RuleErrorCode::NotSupported, message);
    }
    if fields::is_listed(word, &fields::CLOUDFLARE_ONLY) {
        return fault(RuleErrorCode::CloudflareOnly, format!("found `{word}`, which only Cloudflare has,"));
    }
    if FUNCTIONS.contains(&word) {
        return fault(RuleErrorCode::WrongArgument, format!("found `{word}` without its arguments"));
    }
    let unknown = fault(RuleErrorCode::UnknownField, format!("found unknown {what} `{word}`"));
    let known = fields::REGISTRY.iter().map(|(name, _)| *name).chain(FUNCTIONS);
    match nearest(word, known) {
        Some(name) => unknown.hint(format!("did you mean `{name}`?")),
        None => unknown,
    }
}

fn wrong_argument(function: &str, span: &Range<usize>, takes: &str) -> Fault {
    let message = format!("found a wrong argument: `{function}` takes {takes},");
    Fault::new(RuleErrorCode::WrongArgument, span.clone(), message)
}

fn operator_type(span: &Range<usize>, what: &str) -> Fault {
    let message = format!("found an operator that cannot compare {what}");
    Fault::new(RuleErrorCode::OperatorType, span.clone(), message)
}
