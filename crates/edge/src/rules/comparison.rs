//! Comparisons: an operator and what stands to its right.

use std::ops::Range;
use std::sync::Arc;

use super::ast::{AddressTest, Comparison, Expression, IntegerTest, Kind, Quantifier, Scalar, TextTest};
use super::error::{Fault, RuleErrorCode};
use super::lexer::Token;
use super::lists::List;
use super::literal;
use super::operand::Operand;
use super::parser::Parser;
use super::pattern::Case;
use super::unknown::{self, misplaced};

/// A comparison operator.
#[derive(Clone, Copy)]
enum Operator {
    Compare(Comparison),
    Contains,
    Matches,
    Wildcard(Case),
    In,
    SharesBits,
}

/// What is said about an operand.
pub(super) fn of(parser: &mut Parser<'_>, operand: Operand) -> Result<Expression, Fault> {
    let scalar = compared(parser, &operand)?;
    let Operand { source, span, .. } = operand;
    let shown = source.to_string();
    if scalar == Scalar::Boolean {
        return stands_alone(parser, Expression::Flag(source), &shown);
    }
    let at = parser.place();
    let Some(operator) = operator(parser)? else {
        let message = format!("found `{shown}`, which is not Boolean, without an operator");
        return Err(Fault::new(RuleErrorCode::MissingOperator, span, message));
    };
    match scalar {
        Scalar::Text => Ok(Expression::Text(
            source,
            text_test(parser, operator)?.ok_or_else(|| operator_type(&at, "a string"))?,
        )),
        Scalar::Integer => {
            let test = integer_test(parser, operator)?.ok_or_else(|| operator_type(&at, "a number"))?;
            Ok(Expression::Integer(source, test))
        }
        Scalar::Address => {
            let test = address_test(parser, operator)?.ok_or_else(|| operator_type(&at, "an IP address"))?;
            Ok(Expression::Address(source, test))
        }
        Scalar::Boolean => Ok(Expression::Flag(source)),
    }
}

/// What is compared: a single value, or within `any()` and `all()` the elements of one array.
fn compared(parser: &mut Parser<'_>, operand: &Operand) -> Result<Scalar, Fault> {
    let span = || operand.span.clone();
    let (scalar, is_spread) = match operand.kind {
        Kind::One(scalar) => (scalar, false),
        Kind::Spread(scalar) => (scalar, true),
        // `any(starts_with(array[*], "…"))` is of Booleans already.
        Kind::Array(Scalar::Boolean) => (Scalar::Boolean, true),
        Kind::Array(_) | Kind::Map => {
            let message = format!("found `{}`, which is not a single value,", operand.source);
            let hint = if operand.source.spread_base().is_some() {
                "write `[*]` after it"
            } else {
                "write `any(…[*] …)`"
            };
            return Err(Fault::new(RuleErrorCode::ArrayCompared, span(), message).hint(hint));
        }
    };
    let Some(within) = &mut parser.within else {
        if is_spread {
            let message = "found `[*]` outside of `any()` and `all()`";
            return Err(Fault::new(RuleErrorCode::SpreadOutside, span(), message));
        }
        return Ok(scalar);
    };
    let Some(base) = operand.source.spread_base().filter(|_base| is_spread) else {
        return Err(not_of_elements(within.quantifier, &operand.span));
    };
    match &within.array {
        None => within.array = Some(base.clone()),
        Some(array) if array == base => {}
        Some(array) => {
            let message = format!("found the elements of a second array beside `{array}`");
            return Err(Fault::new(RuleErrorCode::WrongArgument, span(), message));
        }
    }
    Ok(scalar)
}

/// What is in `any()` or `all()` and says nothing about elements.
pub(super) fn not_of_elements(quantifier: Quantifier, span: &Range<usize>) -> Fault {
    let message = format!(
        "found a wrong argument: `{}` takes what is said about `[*]`, the elements of one array,",
        quantifier.name()
    );
    Fault::new(RuleErrorCode::WrongArgument, span.clone(), message)
}

/// A Boolean, after which no operator stands.
pub(super) fn stands_alone(
    parser: &mut Parser<'_>,
    flag: Expression,
    shown: &str,
) -> Result<Expression, Fault> {
    let span = parser.place();
    if operator(parser)?.is_some() {
        let message = format!("found an operator on `{shown}`, which is Boolean and stands alone,");
        let hint = format!("write `{shown}` or `not {shown}`");
        return Err(Fault::new(RuleErrorCode::OperatorOnBoolean, span, message).hint(hint));
    }
    Ok(flag)
}

fn operator(parser: &mut Parser<'_>) -> Result<Option<Operator>, Fault> {
    let Some((token, span)) = parser.peek() else { return Ok(None) };
    let operator = match token {
        Token::Word("eq") | Token::Symbol("==") => Operator::Compare(Comparison::Equal),
        Token::Word("ne") | Token::Symbol("!=") => Operator::Compare(Comparison::NotEqual),
        Token::Word("lt") | Token::Symbol("<") => Operator::Compare(Comparison::Less),
        Token::Word("le") | Token::Symbol("<=") => Operator::Compare(Comparison::LessOrEqual),
        Token::Word("gt") | Token::Symbol(">") => Operator::Compare(Comparison::Greater),
        Token::Word("ge") | Token::Symbol(">=") => Operator::Compare(Comparison::GreaterOrEqual),
        Token::Word("contains") => Operator::Contains,
        Token::Word("matches") | Token::Symbol("~") => Operator::Matches,
        Token::Word("wildcard") => Operator::Wildcard(Case::Ignored),
        Token::Word("in") => Operator::In,
        Token::Symbol("&") => Operator::SharesBits,
        Token::Word("strict") => {
            parser.step();
            return match parser.next("`wildcard`")? {
                (Token::Word("wildcard"), _) => Ok(Some(Operator::Wildcard(Case::Counts))),
                (token, span) => Err(misplaced(token, &span, "`wildcard`")),
            };
        }
        Token::Word("not") => {
            let message = "found `not` after a field, and it stands before one,";
            let hint = "write `not <field> in {…}`";
            return Err(Fault::new(RuleErrorCode::NotIn, span, message).hint(hint));
        }
        Token::Word(word) if unknown::upper_case_keyword(word).is_some() => {
            return Err(misplaced(token, &span, "an operator"));
        }
        Token::Word(_) | Token::Symbol(_) | Token::Quoted(_) | Token::Raw(_) => return Ok(None),
    };
    parser.step();
    Ok(Some(operator))
}

/// `None`: strings cannot be compared so.
fn text_test(parser: &mut Parser<'_>, operator: Operator) -> Result<Option<TextTest>, Fault> {
    Ok(Some(match operator {
        Operator::In => match members(parser, Scalar::Text, literal::text)? {
            Among::Items(texts) => TextTest::In(texts),
            Among::List(list) => TextTest::InList(list),
        },
        Operator::Compare(comparison) => TextTest::Compare(comparison, value(parser, literal::text)?),
        Operator::Contains => TextTest::Contains(value(parser, literal::text)?),
        Operator::Matches => TextTest::Matches(value(parser, literal::pattern)?),
        Operator::Wildcard(case) => {
            TextTest::Wildcard(value(parser, |token, span| literal::wildcard(token, span, case))?)
        }
        Operator::SharesBits => return Ok(None),
    }))
}

/// `None`: numbers cannot be compared so.
fn integer_test(parser: &mut Parser<'_>, operator: Operator) -> Result<Option<IntegerTest>, Fault> {
    Ok(Some(match operator {
        Operator::In => match members(parser, Scalar::Integer, literal::integers)? {
            Among::Items(ranges) => IntegerTest::In(ranges),
            Among::List(list) => IntegerTest::InList(list),
        },
        Operator::Compare(comparison) => IntegerTest::Compare(comparison, value(parser, literal::integer)?),
        Operator::SharesBits => IntegerTest::SharesBits(value(parser, literal::integer)?),
        Operator::Contains | Operator::Matches | Operator::Wildcard(_) => return Ok(None),
    }))
}

/// `None`: addresses cannot be compared so.
fn address_test(parser: &mut Parser<'_>, operator: Operator) -> Result<Option<AddressTest>, Fault> {
    Ok(Some(match operator {
        Operator::In => match members(parser, Scalar::Address, literal::addresses)? {
            Among::Items(ranges) => AddressTest::In(ranges),
            Among::List(list) => AddressTest::InList(list),
        },
        Operator::Compare(Comparison::Equal) => AddressTest::Equal(value(parser, literal::address)?),
        Operator::Compare(Comparison::NotEqual) => AddressTest::NotEqual(value(parser, literal::address)?),
        Operator::Compare(
            Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual,
        )
        | Operator::Contains
        | Operator::Matches
        | Operator::Wildcard(_)
        | Operator::SharesBits => return Ok(None),
    }))
}

fn value<T>(
    parser: &mut Parser<'_>,
    read: impl Fn(Token<'_>, &Range<usize>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let (token, span) = parser.next("a value")?;
    read(token, &span)
}

/// What stands after `in`.
enum Among<T> {
    Items(Vec<T>),
    List(Arc<List>),
}

fn members<T>(
    parser: &mut Parser<'_>,
    scalar: Scalar,
    read: fn(Token<'_>, &Range<usize>) -> Result<T, Fault>,
) -> Result<Among<T>, Fault> {
    let (open, at) = parser.next("`{`")?;
    match open {
        Token::Symbol("{") => set(parser, &at, read).map(Among::Items),
        Token::Symbol("$") => list(parser, &at, scalar).map(Among::List),
        Token::Symbol(_) | Token::Word(_) | Token::Quoted(_) | Token::Raw(_) => {
            Err(misplaced(open, &at, "`{`"))
        }
    }
}

fn set<T>(
    parser: &mut Parser<'_>,
    open: &Range<usize>,
    read: fn(Token<'_>, &Range<usize>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut items = Vec::new();
    loop {
        let (token, span) = parser.next("`}`")?;
        match token {
            Token::Symbol("}") if items.is_empty() => {
                let message = "found an empty set, which nothing is in,";
                return Err(Fault::new(RuleErrorCode::EmptySet, open.start..span.end, message));
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

fn list(parser: &mut Parser<'_>, dollar: &Range<usize>, scalar: Scalar) -> Result<Arc<List>, Fault> {
    let (token, span) = parser.next("the name of a list")?;
    let Token::Word(name) = token else { return Err(misplaced(token, &span, "the name of a list")) };
    let place = dollar.start..span.end;
    let Some(list) = parser.lists.named(name) else {
        return Err(unknown::list(name, place, parser.lists));
    };
    if list.scalar() == scalar {
        return Ok(Arc::clone(list));
    }
    let message = format!("found the list `${name}`, whose items are of another type,");
    Err(Fault::new(RuleErrorCode::ListKind, place, message))
}

fn operator_type(span: &Range<usize>, what: &str) -> Fault {
    let message = format!("found an operator that cannot compare {what}");
    Fault::new(RuleErrorCode::OperatorType, span.clone(), message)
}
