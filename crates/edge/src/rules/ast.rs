//! The typed form of an expression: what cannot be evaluated cannot be written down in it.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;

use super::fields::Field;
use super::function::Function;
use super::lists::List;
use super::pattern::{Pattern, Wildcard};

/// An expression that is true or false of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// Two or more operands of one operator.
    Logical(LogicalOperator, Vec<Self>),
    /// `not …`.
    Not(Box<Self>),
    /// `true` or `false`.
    Constant(bool),
    /// What is true or false by itself.
    Flag(Source),
    /// A comparison of a string.
    Text(Source, TextTest),
    /// A comparison of a number.
    Integer(Source, IntegerTest),
    /// A comparison of an IP address.
    Address(Source, AddressTest),
    /// `any(…)` or `all(…)`, of what is said about each element of one array.
    Each(Quantifier, Box<Self>),
}

/// What combines expressions, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LogicalOperator {
    Or,
    Xor,
    And,
}

/// Of how many elements something must be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Quantifier {
    /// One is enough.
    Any,
    /// All, of which there must be one.
    All,
}

impl Quantifier {
    /// Its name in the language.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
        }
    }
}

/// The type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scalar {
    Boolean,
    Integer,
    Text,
    Address,
}

/// The type of what a source gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// One value.
    One(Scalar),
    /// Every element of an array in turn: `…[*]`.
    Spread(Scalar),
    /// An array.
    Array(Scalar),
    /// A map from names to arrays of strings.
    Map,
}

/// What gives a value, an array or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A field.
    Field(Field),
    /// A literal among a function's arguments.
    Literal(Literal),
    /// A function of its arguments.
    Call(Function, Vec<Self>),
    /// `map["key"]`.
    Key(Box<Self>, Vec<u8>),
    /// `array[0]`.
    Index(Box<Self>, usize),
    /// `array[*]`.
    Each(Box<Self>),
}

/// A literal among a function's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Text(Vec<u8>),
    Integer(i64),
}

impl Source {
    /// The array whose `[*]` it contains; `None`: there is no `[*]` in it.
    pub(super) fn spread_base(&self) -> Option<&Self> {
        match self {
            Self::Each(inner) => Some(inner.spread_base().unwrap_or(inner)),
            Self::Call(_, arguments) => arguments.first().and_then(Self::spread_base),
            Self::Key(inner, _) | Self::Index(inner, _) => inner.spread_base(),
            Self::Field(_) | Self::Literal(_) => None,
        }
    }

    /// The sources directly within it.
    pub(super) fn parts(&self) -> &[Self] {
        match self {
            Self::Call(_, arguments) => arguments,
            Self::Key(inner, _) | Self::Index(inner, _) | Self::Each(inner) => std::slice::from_ref(inner),
            Self::Field(_) | Self::Literal(_) => &[],
        }
    }

    /// Whether a field that satisfies `is_it` stands anywhere in it.
    pub(super) fn mentions(&self, is_it: &dyn Fn(Field) -> bool) -> bool {
        let is_here = if let Self::Field(field) = self { is_it(*field) } else { false };
        is_here || self.parts().iter().any(|part| part.mentions(is_it))
    }
}

impl Expression {
    /// What it compares or calls by itself; `None` for what combines others.
    pub(super) const fn source(&self) -> Option<&Source> {
        match self {
            Self::Flag(source)
            | Self::Text(source, _)
            | Self::Integer(source, _)
            | Self::Address(source, _) => Some(source),
            Self::Logical(..) | Self::Not(_) | Self::Constant(_) | Self::Each(..) => None,
        }
    }

    /// The expressions directly within it.
    pub(super) fn operands(&self) -> &[Self] {
        match self {
            Self::Logical(_, operands) => operands,
            Self::Not(inner) | Self::Each(_, inner) => std::slice::from_ref(inner),
            Self::Constant(_) | Self::Flag(_) | Self::Text(..) | Self::Integer(..) | Self::Address(..) => &[],
        }
    }

    /// Whether a field that satisfies `is_it` stands anywhere in it.
    pub(super) fn mentions(&self, is_it: &dyn Fn(Field) -> bool) -> bool {
        self.source().is_some_and(|source| source.mentions(is_it))
            || self.operands().iter().any(|operand| operand.mentions(is_it))
    }

    /// The array of which `any()` or `all()` around it speaks.
    pub(super) fn spread_base(&self) -> Option<&Source> {
        match self.source() {
            Some(source) => source.spread_base(),
            None => self.operands().iter().find_map(Self::spread_base),
        }
    }
}

/// What a string is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextTest {
    Compare(Comparison, Vec<u8>),
    Contains(Vec<u8>),
    Matches(Pattern),
    Wildcard(Wildcard),
    In(Vec<Vec<u8>>),
    InList(Arc<List>),
}

/// What a number is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IntegerTest {
    Compare(Comparison, i64),
    /// `&`: whether they have a bit in common.
    SharesBits(i64),
    In(Vec<RangeInclusive<i64>>),
    InList(Arc<List>),
}

/// How a number or a string is compared.
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
    /// Whether it holds; strings are compared byte by byte.
    pub(super) fn holds<T: Ord + ?Sized>(self, left: &T, right: &T) -> bool {
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
    In(Vec<AddressRange>),
    InList(Arc<List>),
}

/// Addresses of one family that lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum AddressRange {
    /// An address or a network.
    Network(IpNet),
    /// From the first to the last, both of one family, in order.
    Between(IpAddr, IpAddr),
}
