//! The language as its description reads, slowly.

use std::net::IpAddr;

use super::super::ast::{
    AddressRange, AddressTest, Comparison, Expression, IntegerTest, Literal, LogicalOperator, Quantifier,
    Source, TextTest,
};
use super::super::facts::RequestFacts;
use super::super::fields::{ArrayField, Field, MapField};
use super::super::function::Function;
use super::super::lists::{List, Members};
use super::super::pattern::Case;
use super::super::value::Value;

#[derive(Clone, Debug, PartialEq)]
enum Slow {
    Boolean(bool),
    Integer(i64),
    Text(Vec<u8>),
    Address(IpAddr),
}

/// The element that is looked at, within `any()` and `all()`.
type Element<'e> = Option<&'e Option<Slow>>;

pub(super) fn interpret(expression: &Expression, facts: &RequestFacts<'_>) -> bool {
    holds(expression, facts, None)
}

fn holds(expression: &Expression, facts: &RequestFacts<'_>, element: Element<'_>) -> bool {
    match expression {
        Expression::Logical(operator, operands) => {
            let values: Vec<bool> = operands.iter().map(|operand| holds(operand, facts, element)).collect();
            let truths = values.iter().filter(|value| **value).count();
            match operator {
                LogicalOperator::And => truths == values.len(),
                LogicalOperator::Or => truths > 0,
                LogicalOperator::Xor => truths % 2 == 1,
            }
        }
        Expression::Not(inner) => !holds(inner, facts, element),
        Expression::Constant(truth) => *truth,
        Expression::Flag(source) => value(source, facts, element) == Some(Slow::Boolean(true)),
        Expression::Text(source, test) => {
            matches!(value(source, facts, element), Some(Slow::Text(found)) if text_holds(test, &found))
        }
        Expression::Integer(source, test) => {
            matches!(value(source, facts, element), Some(Slow::Integer(found)) if integer_holds(test, found))
        }
        Expression::Address(source, test) => {
            matches!(value(source, facts, element), Some(Slow::Address(found)) if address_holds(test, found))
        }
        Expression::Each(quantifier, inner) => {
            let Some(elements) = array(base(inner).unwrap(), facts) else { return false };
            let truths = elements.iter().filter(|element| holds(inner, facts, Some(element))).count();
            match quantifier {
                Quantifier::Any => truths > 0,
                Quantifier::All => truths > 0 && truths == elements.len(),
            }
        }
    }
}

/// The array whose elements an expression is about.
fn base(expression: &Expression) -> Option<&Source> {
    fn of(source: &Source) -> Option<&Source> {
        match source {
            Source::Each(inner) => of(inner).or(Some(inner)),
            Source::Call(_, arguments) => of(&arguments[0]),
            Source::Key(inner, _) | Source::Index(inner, _) => of(inner),
            Source::Field(_) | Source::Literal(_) => None,
        }
    }
    match expression {
        Expression::Flag(source)
        | Expression::Text(source, _)
        | Expression::Integer(source, _)
        | Expression::Address(source, _) => of(source),
        Expression::Logical(_, operands) => operands.iter().find_map(base),
        Expression::Not(inner) | Expression::Each(_, inner) => base(inner),
        Expression::Constant(_) => None,
    }
}

fn value(source: &Source, facts: &RequestFacts<'_>, element: Element<'_>) -> Option<Slow> {
    match source {
        Source::Field(field) => field.read(facts).map(|value| match value {
            Value::Boolean(truth) => Slow::Boolean(truth),
            Value::Integer(number) => Slow::Integer(number),
            Value::Text(text) => Slow::Text(text.into_owned()),
            Value::Address(address) => Slow::Address(address),
        }),
        Source::Literal(Literal::Text(text)) => Some(Slow::Text(text.clone())),
        Source::Literal(Literal::Integer(number)) => Some(Slow::Integer(*number)),
        Source::Index(inner, at) => array(inner, facts)?.get(*at)?.clone(),
        Source::Each(inner) if spread(inner).is_some() => value(inner, facts, element),
        Source::Each(_) => element?.clone(),
        Source::Call(function, arguments) => call(*function, arguments, facts, element),
        Source::Key(..) => None,
    }
}

fn pairs(map: MapField, facts: &RequestFacts<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    match map {
        MapField::Headers => facts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect(),
        MapField::Arguments => {
            let query = facts.target.query().unwrap_or_default();
            query.split('&').filter(|text| !text.is_empty()).map(pair).collect()
        }
        MapField::Cookies => {
            let lines = facts.headers.get_all("cookie").iter().map(|line| line.to_str().unwrap());
            let cookies = lines.flat_map(|line| line.split(';')).map(str::trim);
            cookies.filter(|text| !text.is_empty()).map(pair).collect()
        }
    }
}

fn array(source: &Source, facts: &RequestFacts<'_>) -> Option<Vec<Option<Slow>>> {
    let texts = |texts: Vec<Vec<u8>>| texts.into_iter().map(|text| Some(Slow::Text(text))).collect();
    let strings = |found: &[String]| texts(found.iter().map(|text| text.as_bytes().to_vec()).collect());
    match source {
        Source::Field(Field::Map(map) | Field::Array(ArrayField::Values(map))) => {
            Some(texts(pairs(*map, facts).into_iter().map(|(_, value)| value).collect()))
        }
        Source::Field(Field::Array(ArrayField::Names(MapField::Headers))) => {
            Some(texts(facts.headers.keys().map(|name| name.as_str().as_bytes().to_vec()).collect()))
        }
        Source::Field(Field::Array(ArrayField::Names(map))) => {
            Some(texts(pairs(*map, facts).into_iter().map(|(name, _)| name).collect()))
        }
        Source::Field(Field::Array(ArrayField::SanUris)) => Some(strings(&facts.leaf()?.san_uris)),
        Source::Field(Field::Array(ArrayField::SanDnsNames)) => Some(strings(&facts.leaf()?.san_dns)),
        Source::Field(Field::Array(ArrayField::KeyUsages)) => Some(strings(&facts.leaf()?.ekus)),
        Source::Key(map, key) => {
            let Source::Field(Field::Map(map)) = **map else { return None };
            let found: Vec<_> = pairs(map, facts).into_iter().filter(|(name, _)| name == key).collect();
            (!found.is_empty()).then(|| texts(found.into_iter().map(|(_, value)| value).collect()))
        }
        Source::Call(Function::Split, arguments) => {
            let (text, separator) = (text_of(&arguments[0], facts, None)?, literal(&arguments[1]));
            let Source::Literal(Literal::Integer(limit)) = arguments[2] else { return None };
            Some(texts(pieces(&text, separator, limit as usize)))
        }
        Source::Call(Function::Chain, arguments) => {
            let arrays: Option<Vec<_>> = arguments.iter().map(|argument| array(argument, facts)).collect();
            Some(arrays?.concat())
        }
        Source::Call(_, arguments) => {
            let elements = array(spread(&arguments[0])?, facts)?;
            Some(elements.iter().map(|element| value(source, facts, Some(element))).collect())
        }
        Source::Each(inner) => array(inner, facts),
        Source::Field(_) | Source::Literal(_) | Source::Index(..) => None,
    }
}

/// The array of the `[*]` in a first argument.
fn spread(source: &Source) -> Option<&Source> {
    match source {
        Source::Each(inner) => Some(spread(inner).unwrap_or(inner)),
        Source::Call(_, arguments) => spread(&arguments[0]),
        Source::Key(inner, _) | Source::Index(inner, _) => spread(inner),
        Source::Field(_) | Source::Literal(_) => None,
    }
}

fn pieces(text: &[u8], separator: &[u8], limit: usize) -> Vec<Vec<u8>> {
    let mut found = vec![Vec::new()];
    let mut at = 0;
    while at < text.len() {
        if found.len() < limit && text[at..].starts_with(separator) {
            found.push(Vec::new());
            at += separator.len();
        } else {
            found.last_mut().unwrap().push(text[at]);
            at += 1;
        }
    }
    found
}

fn text_of(source: &Source, facts: &RequestFacts<'_>, element: Element<'_>) -> Option<Vec<u8>> {
    if let Some(Slow::Text(text)) = value(source, facts, element) { Some(text) } else { None }
}

fn literal(source: &Source) -> &[u8] {
    if let Source::Literal(Literal::Text(text)) = source { text } else { &[] }
}

fn call(
    function: Function,
    arguments: &[Source],
    facts: &RequestFacts<'_>,
    element: Element<'_>,
) -> Option<Slow> {
    let first = || text_of(&arguments[0], facts, element);
    let number = |at: usize| match arguments.get(at) {
        Some(Source::Literal(Literal::Integer(number))) => Some(*number),
        _ => None,
    };
    Some(match function {
        Function::Lower => Slow::Text(first()?.to_ascii_lowercase()),
        Function::Upper => Slow::Text(first()?.to_ascii_uppercase()),
        Function::StartsWith => Slow::Boolean(first()?.starts_with(literal(&arguments[1]))),
        Function::EndsWith => Slow::Boolean(first()?.ends_with(literal(&arguments[1]))),
        Function::Length => Slow::Integer(first()?.len() as i64),
        Function::Count => Slow::Integer(array(&arguments[0], facts)?.len() as i64),
        Function::Concat => {
            let all: Option<Vec<_>> =
                arguments.iter().map(|argument| text_of(argument, facts, element)).collect();
            Slow::Text(all?.concat())
        }
        Function::Substring => {
            let text = first()?;
            let place = |number: i64| {
                let at = if number < 0 { number as i128 + text.len() as i128 } else { number as i128 };
                at.max(0).min(text.len() as i128) as usize
            };
            let (start, end) = (place(number(1)?), number(2).map_or(text.len(), place));
            Slow::Text(if start < end { text[start..end].to_vec() } else { Vec::new() })
        }
        Function::RemoveBytes => {
            let mut text = first()?;
            text.retain(|byte| !literal(&arguments[1]).contains(byte));
            Slow::Text(text)
        }
        Function::Join => {
            let texts: Option<Vec<Vec<u8>>> = array(&arguments[0], facts)?
                .into_iter()
                .map(|element| if let Some(Slow::Text(text)) = element { Some(text) } else { None })
                .collect();
            Slow::Text(texts?.join(literal(&arguments[1])))
        }
        Function::ToString => match value(&arguments[0], facts, element)? {
            Slow::Boolean(truth) => Slow::Text(truth.to_string().into_bytes()),
            Slow::Integer(number) => Slow::Text(number.to_string().into_bytes()),
            Slow::Address(address) => Slow::Text(address.to_string().into_bytes()),
            Slow::Text(_) => return None,
        },
        Function::HasKey => {
            let Source::Field(Field::Map(map)) = arguments[0] else { return None };
            Slow::Boolean(pairs(map, facts).iter().any(|(name, _)| name == literal(&arguments[1])))
        }
        Function::HasValue => {
            let wanted = Some(Slow::Text(literal(&arguments[1]).to_vec()));
            Slow::Boolean(array(&arguments[0], facts)?.contains(&wanted))
        }
        // Tested by example.
        Function::UrlDecode
        | Function::Cidr
        | Function::Cidr6
        | Function::Split
        | Function::Chain
        | Function::DecodeBase64
        | Function::LookupJsonString
        | Function::LookupJsonInteger
        | Function::Sha256 => return None,
    })
}

fn compares<T: PartialOrd>(comparison: Comparison, found: &T, other: &T) -> bool {
    match comparison {
        Comparison::Equal => found == other,
        Comparison::NotEqual => found != other,
        Comparison::Less => found < other,
        Comparison::LessOrEqual => found <= other,
        Comparison::Greater => found > other,
        Comparison::GreaterOrEqual => found >= other,
    }
}

fn text_holds(test: &TextTest, found: &Vec<u8>) -> bool {
    match test {
        TextTest::Compare(comparison, text) => compares(*comparison, found, text),
        TextTest::Contains(text) => (0..=found.len()).any(|at| found[at..].starts_with(text)),
        TextTest::Matches(pattern) => pattern.regex().is_match(found),
        TextTest::Wildcard(wildcard) => glob(wildcard.source(), found, wildcard.case()),
        TextTest::In(texts) => texts.iter().any(|text| text == found),
        TextTest::InList(list) => {
            matches!(&**list, List { members: Members::Texts(texts), .. } if texts.contain(found))
        }
    }
}

fn integer_holds(test: &IntegerTest, found: i64) -> bool {
    match test {
        IntegerTest::Compare(comparison, other) => compares(*comparison, &found, other),
        IntegerTest::SharesBits(bits) => (0..64).any(|bit| found >> bit & 1 == 1 && bits >> bit & 1 == 1),
        IntegerTest::In(ranges) => ranges.iter().any(|range| range.contains(&found)),
        IntegerTest::InList(list) => {
            matches!(&**list, List { members: Members::Numbers(numbers), .. } if numbers.contain(found))
        }
    }
}

fn address_holds(test: &AddressTest, found: IpAddr) -> bool {
    match test {
        AddressTest::Equal(other) => found == *other,
        AddressTest::NotEqual(other) => found != *other,
        AddressTest::In(ranges) => ranges.iter().any(|range| match range {
            AddressRange::Network(network) => network.contains(&found),
            AddressRange::Between(first, last) => {
                first.is_ipv4() == found.is_ipv4() && *first <= found && found <= *last
            }
        }),
        AddressTest::InList(list) => {
            matches!(&**list, List { members: Members::Addresses(addresses), .. } if addresses.contain(found))
        }
    }
}

fn glob(wildcard: &[u8], text: &[u8], case: Case) -> bool {
    match wildcard {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| glob(rest, &text[at..], case)),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            text.split_first().is_some_and(|(byte, after)| {
                let same =
                    if case == Case::Counts { byte == literal } else { byte.eq_ignore_ascii_case(literal) };
                same && glob(rest, after, case)
            })
        }
    }
}
