//! Named lists, which `in $name` asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_core::snapshot::{ListKind, RuleList};

use super::ast::Scalar;
use super::error::{Fault, RuleError, RuleErrorCode};
use super::lexer::Token;
use super::literal;
use super::members::{Addresses, Numbers, Texts};

/// A compiled list; two are equal when they hold the same under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) name: String,
    pub(super) members: Members,
}

/// What a list holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Members {
    Texts(Texts),
    Numbers(Numbers),
    Addresses(Addresses),
}

impl List {
    /// What it can be asked about.
    pub(super) const fn scalar(&self) -> Scalar {
        match self.members {
            Members::Texts(_) => Scalar::Text,
            Members::Numbers(_) => Scalar::Integer,
            Members::Addresses(_) => Scalar::Address,
        }
    }
}

/// Every list, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists(BTreeMap<String, Arc<List>>);

impl Lists {
    /// Compiles lists.
    ///
    /// # Errors
    /// Every fault of every list: the first one of its items.
    pub(super) fn compile(sources: &[RuleList]) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        let mut lists = BTreeMap::new();
        for source in sources {
            let mut refuse = |text: &str, fault| errors.push(RuleError::of_list(&source.name, text, fault));
            if !is_name(&source.name) {
                let message = "found a name that is not of lower-case letters, digits and `_`,";
                refuse(&source.name, Fault::new(RuleErrorCode::BadList, 0..source.name.len(), message));
            }
            let members = match members(source) {
                Ok(members) => members,
                Err((item, fault)) => {
                    refuse(item, fault);
                    continue;
                }
            };
            let list = List { name: source.name.clone(), members };
            if lists.insert(source.name.clone(), Arc::new(list)).is_some() {
                let message = "found a second list of this name";
                refuse("", Fault::new(RuleErrorCode::DuplicateName, 0..0, message));
            }
        }
        if errors.is_empty() { Ok(Self(lists)) } else { Err(errors) }
    }

    pub(super) fn named(&self, name: &str) -> Option<&Arc<List>> {
        self.0.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.keys().map(String::as_str)
    }
}

/// Whether a list can be called so.
fn is_name(name: &str) -> bool {
    (1..=50).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn members(list: &RuleList) -> Result<Members, (&str, Fault)> {
    Ok(match list.kind {
        ListKind::Ip => Members::Addresses(Addresses::of(each(list, |item| {
            literal::addresses(Token::Word(item), &(0..item.len()))
        })?)),
        ListKind::Integer => Members::Numbers(Numbers::of(each(list, |item| {
            literal::integers(Token::Word(item), &(0..item.len()))
        })?)),
        ListKind::Text => Members::Texts(Texts::of(list.items.iter().map(String::as_bytes))),
        ListKind::Hostname => Members::Texts(Texts::hosts(each(list, hostname)?)),
    })
}

fn each<'l, T>(
    list: &'l RuleList,
    read: impl Fn(&'l str) -> Result<T, Fault>,
) -> Result<Vec<T>, (&'l str, Fault)> {
    list.items.iter().map(|item| read(item).map_err(|fault| (item.as_str(), fault))).collect()
}

/// A host name in lower case, or `*.` before one.
fn hostname(item: &str) -> Result<&str, Fault> {
    let name = item.strip_prefix("*.").unwrap_or(item);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    if name.len() <= 253 && name.split('.').all(is_label) {
        return Ok(item);
    }
    let message = format!("found {item:?}, which is no host name in lower case,");
    Err(Fault::new(RuleErrorCode::BadList, 0..item.len(), message))
}
