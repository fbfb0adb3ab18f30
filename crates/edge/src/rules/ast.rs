//! The typed form of an expression: what cannot be evaluated cannot be written down in it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::fields::{AddressField, BooleanField, IntegerField, TextField};
use super::pattern::{Pattern, Wildcard};

/// An expression that is true or false of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// Two or more operands of one operator.
    Logical(LogicalOperator, Vec<Self>),
    /// `not …`.
    Not(Box<Self>),
    /// A bare Boolean field.
    Flag(BooleanField),
    /// `starts_with(…, "…")` and `ends_with(…, "…")`.
    Affix(Affix, TextSource, Vec<u8>),
    /// A comparison of a string.
    Text(TextSource, TextTest),
    /// A comparison of a number.
    Integer(IntegerSource, IntegerTest),
    /// A comparison of an IP address.
    Address(AddressField, AddressTest),
}

/// What combines expressions, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LogicalOperator {
    Or,
    Xor,
    And,
}

/// Which end of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Affix {
    Start,
    End,
}

/// What gives a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextSource {
    Field(TextField),
    Function(TextFunction, Box<Self>),
}

/// What makes one string of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TextFunction {
    Lower,
    Upper,
}

/// What gives a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IntegerSource {
    Field(IntegerField),
    /// `len(…)`, in bytes.
    Length(TextSource),
}

/// What a string is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextTest {
    Equal(Vec<u8>),
    NotEqual(Vec<u8>),
    Contains(Vec<u8>),
    Matches(Pattern),
    Wildcard(Wildcard),
    In(Vec<Vec<u8>>),
}

/// What a number is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IntegerTest {
    Compare(Comparison, i64),
    In(Vec<i64>),
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it holds.
    pub(super) const fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// What an IP address is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AddressTest {
    Equal(IpAddr),
    NotEqual(IpAddr),
    In(Vec<IpNet>),
}
