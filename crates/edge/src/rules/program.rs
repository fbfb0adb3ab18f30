//! The compiled form of an expression: what requests are evaluated with.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::ast::{
    AddressTest, Affix, Comparison, Expression, IntegerSource, IntegerTest, LogicalOperator, TextFunction,
    TextSource, TextTest,
};
use super::facts::RequestFacts;
use super::fields::{AddressField, BooleanField};

/// A compiled expression.
#[derive(Clone, Debug)]
pub(super) enum Program {
    All(Box<[Self]>),
    Any(Box<[Self]>),
    Odd(Box<[Self]>),
    Not(Box<Self>),
    Flag(BooleanField),
    Text(TextSource, Text),
    Integer(IntegerSource, Integer),
    Address(AddressField, Address),
}

/// A compiled test of a string.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Equal(Box<[u8]>),
    NotEqual(Box<[u8]>),
    Starts(Box<[u8]>),
    Ends(Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Matches(Regex),
    In(BTreeSet<Box<[u8]>>),
}

/// A compiled test of a number.
#[derive(Clone, Debug)]
pub(super) enum Integer {
    Compare(Comparison, i64),
    In(BTreeSet<i64>),
}

/// A compiled test of an IP address.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Equal(IpAddr),
    NotEqual(IpAddr),
    In(Box<[IpNet]>),
}

impl Program {
    /// Compiles an expression.
    pub(super) fn compile(expression: &Expression) -> Self {
        match expression {
            Expression::Logical(operator, operands) => {
                let programs = operands.iter().map(Self::compile).collect();
                match operator {
                    LogicalOperator::And => Self::All(programs),
                    LogicalOperator::Or => Self::Any(programs),
                    LogicalOperator::Xor => Self::Odd(programs),
                }
            }
            Expression::Not(inner) => Self::Not(Box::new(Self::compile(inner))),
            Expression::Flag(field) => Self::Flag(*field),
            Expression::Affix(Affix::Start, source, text) => {
                Self::Text(source.clone(), Text::Starts(text.as_slice().into()))
            }
            Expression::Affix(Affix::End, source, text) => {
                Self::Text(source.clone(), Text::Ends(text.as_slice().into()))
            }
            Expression::Text(source, test) => Self::Text(source.clone(), Text::compile(test)),
            Expression::Integer(source, test) => Self::Integer(source.clone(), Integer::compile(test)),
            Expression::Address(field, test) => Self::Address(*field, Address::compile(test)),
        }
    }

    /// Whether it is true of a request. A missing value makes every test of it false.
    pub(super) fn holds(&self, facts: &RequestFacts<'_>) -> bool {
        match self {
            Self::All(programs) => programs.iter().all(|program| program.holds(facts)),
            Self::Any(programs) => programs.iter().any(|program| program.holds(facts)),
            Self::Odd(programs) => programs.iter().fold(false, |odd, program| odd != program.holds(facts)),
            Self::Not(inner) => !inner.holds(facts),
            Self::Flag(field) => field.read(facts),
            Self::Text(source, test) => source.read(facts).is_some_and(|text| test.holds(&text)),
            Self::Integer(source, test) => source.read(facts).is_some_and(|value| test.holds(value)),
            Self::Address(field, test) => test.holds(field.read(facts)),
        }
    }
}

impl Text {
    fn compile(test: &TextTest) -> Self {
        match test {
            TextTest::Equal(text) => Self::Equal(text.as_slice().into()),
            TextTest::NotEqual(text) => Self::NotEqual(text.as_slice().into()),
            TextTest::Contains(text) => Self::Contains(Box::new(Finder::new(text).into_owned())),
            TextTest::Matches(pattern) => Self::Matches(pattern.regex().clone()),
            TextTest::Wildcard(wildcard) => Self::Matches(wildcard.regex().clone()),
            TextTest::In(texts) => Self::In(texts.iter().map(|text| text.as_slice().into()).collect()),
        }
    }

    fn holds(&self, text: &[u8]) -> bool {
        match self {
            Self::Equal(other) => text == &**other,
            Self::NotEqual(other) => text != &**other,
            Self::Starts(start) => text.starts_with(start),
            Self::Ends(end) => text.ends_with(end),
            Self::Contains(finder) => finder.find(text).is_some(),
            Self::Matches(regex) => regex.is_match(text),
            Self::In(texts) => texts.contains(text),
        }
    }
}

impl Integer {
    fn compile(test: &IntegerTest) -> Self {
        match test {
            IntegerTest::Compare(comparison, value) => Self::Compare(*comparison, *value),
            IntegerTest::In(values) => Self::In(values.iter().copied().collect()),
        }
    }

    fn holds(&self, value: i64) -> bool {
        match self {
            Self::Compare(comparison, other) => comparison.holds(value, *other),
            Self::In(values) => values.contains(&value),
        }
    }
}

impl Address {
    fn compile(test: &AddressTest) -> Self {
        match test {
            AddressTest::Equal(address) => Self::Equal(*address),
            AddressTest::NotEqual(address) => Self::NotEqual(*address),
            AddressTest::In(networks) => Self::In(networks.as_slice().into()),
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        match self {
            Self::Equal(other) => address == *other,
            Self::NotEqual(other) => address != *other,
            Self::In(networks) => networks.iter().any(|network| network.contains(&address)),
        }
    }
}

impl TextSource {
    /// Its value; allocates only where a function changes it.
    pub(super) fn read<'a>(&self, facts: &RequestFacts<'a>) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Field(field) => field.read(facts),
            Self::Function(function, inner) => inner.read(facts).map(|text| function.apply(text)),
        }
    }
}

impl TextFunction {
    fn apply(self, mut text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
        match self {
            Self::Lower if text.iter().any(u8::is_ascii_uppercase) => text.to_mut().make_ascii_lowercase(),
            Self::Upper if text.iter().any(u8::is_ascii_lowercase) => text.to_mut().make_ascii_uppercase(),
            Self::Lower | Self::Upper => {}
        }
        text
    }
}

impl IntegerSource {
    /// Its value; `None` when it is of something missing.
    pub(super) fn read(&self, facts: &RequestFacts<'_>) -> Option<i64> {
        match self {
            Self::Field(field) => Some(field.read(facts)),
            Self::Length(source) => source.read(facts).and_then(|text| i64::try_from(text.len()).ok()),
        }
    }
}
