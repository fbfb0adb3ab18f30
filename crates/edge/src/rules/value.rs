//! What expressions are worked out with: one value at a time.

use std::borrow::Cow;
use std::net::IpAddr;

use super::facts::RequestFacts;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'v> {
    Boolean(bool),
    Integer(i64),
    Text(Cow<'v, [u8]>),
    Address(IpAddr),
}

impl<'v> Value<'v> {
    /// A string that stands somewhere already.
    pub(super) const fn text(text: &'v [u8]) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A string that was made.
    pub(super) const fn made(text: Vec<u8>) -> Self {
        Self::Text(Cow::Owned(text))
    }

    /// The string that it is.
    pub(super) fn into_text(self) -> Option<Cow<'v, [u8]>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Boolean(_) | Self::Integer(_) | Self::Address(_) => None,
        }
    }

    /// The number that it is.
    pub(super) const fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Boolean(_) | Self::Text(_) | Self::Address(_) => None,
        }
    }

    /// The Boolean that it is.
    pub(super) const fn boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(truth) => Some(*truth),
            Self::Integer(_) | Self::Text(_) | Self::Address(_) => None,
        }
    }

    /// The address that it is.
    pub(super) const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Boolean(_) | Self::Integer(_) | Self::Text(_) => None,
        }
    }
}

/// A request, and within `any()` and `all()` the element that is looked at.
#[derive(Clone)]
pub(super) struct Scope<'v> {
    pub(super) facts: &'v RequestFacts<'v>,
    /// `None` also when the element itself is missing.
    pub(super) element: Option<Value<'v>>,
}

impl<'v> Scope<'v> {
    /// Outside of `any()` and `all()`.
    pub(super) const fn of(facts: &'v RequestFacts<'v>) -> Self {
        Self { facts, element: None }
    }

    /// The same request at one element.
    pub(super) const fn at(&self, element: Option<Value<'v>>) -> Self {
        Self { facts: self.facts, element }
    }
}
