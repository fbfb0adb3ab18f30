//! The compiled form of an expression: what requests are evaluated with.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::ast::{
    AddressTest, Comparison, Expression, IntegerTest, LogicalOperator, Quantifier, Source, TextTest,
};
use super::facts::RequestFacts;
use super::lists::{List, Members};
use super::members::{Addresses, Numbers, Texts};
use super::value::Scope;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(super) enum Program {
    All(Box<[Self]>),
    Any(Box<[Self]>),
    Odd(Box<[Self]>),
    Not(Box<Self>),
    Constant(bool),
    Flag(Source),
    Text(Source, Text),
    Integer(Source, Integer),
    Address(Source, Address),
    /// Of the elements of an array.
    Each(Quantifier, Source, Box<Self>),
}

/// A compiled test of a string.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Compare(Comparison, Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Matches(Regex),
    In(Texts),
    InList(Arc<List>),
}

/// A compiled test of a number.
#[derive(Clone, Debug)]
pub(super) enum Integer {
    Compare(Comparison, i64),
    SharesBits(i64),
    In(Numbers),
    InList(Arc<List>),
}

/// A compiled test of an IP address.
#[derive(Clone, Debug)]
pub(super) enum Address {
    Equal(IpAddr),
    NotEqual(IpAddr),
    In(Addresses),
    InList(Arc<List>),
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
            Expression::Constant(truth) => Self::Constant(*truth),
            Expression::Flag(source) => Self::Flag(source.clone()),
            Expression::Text(source, test) => Self::Text(source.clone(), Text::compile(test)),
            Expression::Integer(source, test) => Self::Integer(source.clone(), Integer::compile(test)),
            Expression::Address(source, test) => Self::Address(source.clone(), Address::compile(test)),
            Expression::Each(quantifier, inner) => match inner.spread_base() {
                Some(array) => Self::Each(*quantifier, array.clone(), Box::new(Self::compile(inner))),
                None => Self::Constant(false),
            },
        }
    }

    /// Whether it is true of a request. A missing value makes every test of it false.
    pub(super) fn holds(&self, facts: &RequestFacts<'_>) -> bool {
        self.holds_at(&Scope::of(facts))
    }

    /// The same, at an element of an array.
    pub(super) fn holds_at(&self, scope: &Scope<'_>) -> bool {
        match self {
            Self::All(programs) => programs.iter().all(|program| program.holds_at(scope)),
            Self::Any(programs) => programs.iter().any(|program| program.holds_at(scope)),
            Self::Odd(programs) => programs.iter().fold(false, |odd, program| odd != program.holds_at(scope)),
            Self::Not(inner) => !inner.holds_at(scope),
            Self::Constant(truth) => *truth,
            Self::Flag(source) => source.read(scope).and_then(|value| value.boolean()).unwrap_or(false),
            Self::Text(source, test) => source.text(scope).is_some_and(|text| test.holds(&text)),
            Self::Integer(source, test) => {
                source.read(scope).and_then(|value| value.integer()).is_some_and(|number| test.holds(number))
            }
            Self::Address(source, test) => source
                .read(scope)
                .and_then(|value| value.address())
                .is_some_and(|address| test.holds(address)),
            Self::Each(quantifier, array, inner) => each_holds(*quantifier, array, inner, scope),
        }
    }
}

/// Over nothing, neither `any` nor `all` is true.
fn each_holds(quantifier: Quantifier, array: &Source, inner: &Program, scope: &Scope<'_>) -> bool {
    let mut holds = false;
    let visited = array.each(scope, &mut |element| {
        // What is said of a missing element is false, `not …` included.
        holds = element.is_some() && inner.holds_at(&scope.at(element));
        let is_decided = holds == (quantifier == Quantifier::Any);
        if is_decided { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    visited.is_some() && holds
}

impl Text {
    fn compile(test: &TextTest) -> Self {
        match test {
            TextTest::Compare(comparison, text) => Self::Compare(*comparison, text.as_slice().into()),
            TextTest::Contains(text) => Self::Contains(Box::new(Finder::new(text).into_owned())),
            TextTest::Matches(pattern) => Self::Matches(pattern.regex().clone()),
            TextTest::Wildcard(wildcard) => Self::Matches(wildcard.regex().clone()),
            TextTest::In(texts) => Self::In(Texts::of(texts.iter().map(Vec::as_slice))),
            TextTest::InList(list) => Self::InList(Arc::clone(list)),
        }
    }

    fn holds(&self, text: &[u8]) -> bool {
        match self {
            Self::Compare(comparison, other) => comparison.holds(text, &**other),
            Self::Contains(finder) => finder.find(text).is_some(),
            Self::Matches(regex) => regex.is_match(text),
            Self::In(texts) => texts.contain(text),
            Self::InList(list) => match &list.members {
                Members::Texts(texts) => texts.contain(text),
                Members::Numbers(_) | Members::Addresses(_) => false,
            },
        }
    }
}

impl Integer {
    fn compile(test: &IntegerTest) -> Self {
        match test {
            IntegerTest::Compare(comparison, number) => Self::Compare(*comparison, *number),
            IntegerTest::SharesBits(bits) => Self::SharesBits(*bits),
            IntegerTest::In(ranges) => Self::In(Numbers::of(ranges.iter().cloned())),
            IntegerTest::InList(list) => Self::InList(Arc::clone(list)),
        }
    }

    fn holds(&self, number: i64) -> bool {
        match self {
            Self::Compare(comparison, other) => comparison.holds(&number, other),
            Self::SharesBits(bits) => number & bits != 0,
            Self::In(numbers) => numbers.contain(number),
            Self::InList(list) => match &list.members {
                Members::Numbers(numbers) => numbers.contain(number),
                Members::Texts(_) | Members::Addresses(_) => false,
            },
        }
    }
}

impl Address {
    fn compile(test: &AddressTest) -> Self {
        match test {
            AddressTest::Equal(address) => Self::Equal(*address),
            AddressTest::NotEqual(address) => Self::NotEqual(*address),
            AddressTest::In(ranges) => Self::In(Addresses::of(ranges.iter().copied())),
            AddressTest::InList(list) => Self::InList(Arc::clone(list)),
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        match self {
            Self::Equal(other) => address == *other,
            Self::NotEqual(other) => address != *other,
            Self::In(addresses) => addresses.contain(address),
            Self::InList(list) => match &list.members {
                Members::Addresses(addresses) => addresses.contain(address),
                Members::Texts(_) | Members::Numbers(_) => false,
            },
        }
    }
}
