//! Working out what a source gives for a request.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::ControlFlow;

use aws_lc_rs::digest;
use ipnet::IpNet;

use super::ast::{Literal, Source};
use super::codec::{base64_decoded, json_at, url_decoded};
use super::fields::Field;
use super::function::Function;
use super::maps;
use super::read::Visit;
use super::value::{Scope, Value};

impl Source {
    /// Its value; `None` when it is missing, and for arrays and maps. Allocates only where a function
    /// makes something new.
    pub(super) fn read<'v>(&'v self, scope: &Scope<'v>) -> Option<Value<'v>> {
        match self {
            Self::Field(field) => field.read(scope.facts),
            Self::Literal(Literal::Text(text)) => Some(Value::text(text)),
            Self::Literal(Literal::Integer(number)) => Some(Value::Integer(*number)),
            Self::Call(function, arguments) => Call { arguments, scope }.value(*function),
            Self::Index(array, at) => array.nth(*at, scope),
            Self::Each(inner) if inner.spread_base().is_some() => inner.read(scope),
            Self::Each(_) => scope.element.clone(),
            Self::Key(..) => None,
        }
    }

    /// Its string; `None` when it is missing.
    pub(super) fn text<'v>(&'v self, scope: &Scope<'v>) -> Option<Cow<'v, [u8]>> {
        self.read(scope)?.into_text()
    }

    /// Shows the elements of an array, or all values of a map. `None`: it is missing.
    pub(super) fn each<'v>(&'v self, scope: &Scope<'v>, visit: &mut Visit<'_, 'v>) -> Option<()> {
        match self {
            Self::Field(field) => field.each(scope.facts, visit),
            Self::Key(map, key) => match **map {
                Self::Field(Field::Map(map)) => maps::of_key(map, key, scope.facts, visit),
                Self::Field(_)
                | Self::Literal(_)
                | Self::Call(..)
                | Self::Key(..)
                | Self::Index(..)
                | Self::Each(_) => None,
            },
            Self::Call(Function::Split, arguments) => split(arguments, scope, visit),
            Self::Call(Function::Chain, arguments) => {
                // One that is missing makes the whole missing.
                for array in arguments {
                    array.each(scope, &mut |_element| ControlFlow::Break(()))?;
                }
                let mut ended = ControlFlow::Continue(());
                for array in arguments {
                    array.each(scope, &mut |element| {
                        ended = visit(element);
                        ended
                    })?;
                    if ended.is_break() {
                        break;
                    }
                }
                Some(())
            }
            // What is made of each element of another array.
            Self::Call(..) | Self::Each(_) => {
                let base = self.spread_base()?;
                base.each(scope, &mut |element| visit(self.read(&scope.at(element))))
            }
            Self::Literal(_) | Self::Index(..) => None,
        }
    }

    fn nth<'v>(&'v self, at: usize, scope: &Scope<'v>) -> Option<Value<'v>> {
        let mut left = at;
        let mut found = None;
        self.each(scope, &mut |element| {
            if left == 0 {
                found = element;
                return ControlFlow::Break(());
            }
            left = left.saturating_sub(1);
            ControlFlow::Continue(())
        })?;
        found
    }
}

/// `split`: the last part holds what is left.
fn split<'v>(arguments: &'v [Source], scope: &Scope<'v>, visit: &mut Visit<'_, 'v>) -> Option<()> {
    let [text, Source::Literal(Literal::Text(separator)), Source::Literal(Literal::Integer(limit))] =
        arguments
    else {
        return None;
    };
    let text = text.text(scope)?;
    let mut rest: &[u8] = &text;
    for part in 1..=*limit {
        let cut = if part == *limit { None } else { memchr::memmem::find(rest, separator) };
        let end = cut.unwrap_or(rest.len());
        let element = rest.get(..end).unwrap_or_default().to_vec();
        if visit(Some(Value::made(element))).is_break() || cut.is_none() {
            break;
        }
        rest = rest.get(end.saturating_add(separator.len())..).unwrap_or_default();
    }
    Some(())
}

/// A function at work.
struct Call<'c, 'v> {
    arguments: &'v [Source],
    scope: &'c Scope<'v>,
}

impl<'v> Call<'_, 'v> {
    fn value(&self, function: Function) -> Option<Value<'v>> {
        match function {
            Function::Lower => self.text(0).map(lower).map(Value::Text),
            Function::Upper => self.text(0).map(upper).map(Value::Text),
            Function::StartsWith => Some(Value::Boolean(self.text(0)?.starts_with(self.literal(1)))),
            Function::EndsWith => Some(Value::Boolean(self.text(0)?.ends_with(self.literal(1)))),
            Function::Length => i64::try_from(self.text(0)?.len()).ok().map(Value::Integer),
            Function::Count => self.count(),
            Function::Concat => self.concat(),
            Function::Substring => self.substring(),
            Function::UrlDecode => Some(Value::Text(url_decoded(self.text(0)?, self.literal(1)))),
            Function::Cidr => network(self.address(0)?, self.number(1)?, self.number(2)?),
            Function::Cidr6 => network(self.address(0)?, 32, self.number(1)?),
            Function::RemoveBytes => self.remove_bytes(),
            Function::Join => self.join(),
            Function::ToString => self.shown(),
            Function::DecodeBase64 => base64_decoded(&self.text(0)?).map(Value::made),
            Function::LookupJsonString => {
                let found = json_at(&self.text(0)?, self.arguments.get(1..)?)?;
                found.as_str().map(|text| Value::made(text.as_bytes().to_vec()))
            }
            Function::LookupJsonInteger => {
                json_at(&self.text(0)?, self.arguments.get(1..)?)?.as_i64().map(Value::Integer)
            }
            Function::Sha256 => {
                let digest = digest::digest(&digest::SHA256, &self.text(0)?);
                Some(Value::made(digest.as_ref().to_vec()))
            }
            Function::HasKey => Some(Value::Boolean(self.has_key())),
            Function::HasValue => self.has_value(),
            Function::Split | Function::Chain => None,
        }
    }

    fn text(&self, at: usize) -> Option<Cow<'v, [u8]>> {
        self.arguments.get(at)?.text(self.scope)
    }

    fn number(&self, at: usize) -> Option<i64> {
        self.arguments.get(at)?.read(self.scope)?.integer()
    }

    fn address(&self, at: usize) -> Option<IpAddr> {
        self.arguments.get(at)?.read(self.scope)?.address()
    }

    /// A string literal; empty where an optional one is left out.
    fn literal(&self, at: usize) -> &'v [u8] {
        match self.arguments.get(at) {
            Some(Source::Literal(Literal::Text(text))) => text,
            _ => &[],
        }
    }

    fn count(&self) -> Option<Value<'v>> {
        let mut count = 0;
        self.arguments.first()?.each(self.scope, &mut |_element| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Some(Value::Integer(count))
    }

    fn concat(&self) -> Option<Value<'v>> {
        let mut text = Vec::new();
        for argument in self.arguments {
            text.extend_from_slice(&argument.text(self.scope)?);
        }
        Some(Value::made(text))
    }

    fn join(&self) -> Option<Value<'v>> {
        let separator = self.literal(1);
        let mut text: Option<Vec<u8>> = None;
        let mut is_whole = true;
        self.arguments.first()?.each(self.scope, &mut |element| {
            let Some(element) = element.and_then(Value::into_text) else {
                is_whole = false;
                return ControlFlow::Break(());
            };
            match &mut text {
                None => text = Some(element.into_owned()),
                Some(text) => {
                    text.extend_from_slice(separator);
                    text.extend_from_slice(&element);
                }
            }
            ControlFlow::Continue(())
        })?;
        is_whole.then(|| Value::made(text.unwrap_or_default()))
    }

    fn substring(&self) -> Option<Value<'v>> {
        let text = self.text(0)?;
        let place = |number: i64| {
            let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
            let from_start = if number < 0 { length.saturating_add(number) } else { number };
            usize::try_from(from_start.clamp(0, length)).unwrap_or_default()
        };
        let start = place(self.number(1)?);
        let end = self.number(2).map_or(text.len(), place);
        Some(Value::Text(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(start..end).unwrap_or_default()),
            Cow::Owned(text) => Cow::Owned(text.get(start..end).unwrap_or_default().to_vec()),
        }))
    }

    fn remove_bytes(&self) -> Option<Value<'v>> {
        let (text, removed) = (self.text(0)?, self.literal(1));
        if text.iter().any(|byte| removed.contains(byte)) {
            return Some(Value::made(text.iter().copied().filter(|byte| !removed.contains(byte)).collect()));
        }
        Some(Value::Text(text))
    }

    fn shown(&self) -> Option<Value<'v>> {
        match self.arguments.first()?.read(self.scope)? {
            Value::Boolean(true) => Some(Value::text(b"true")),
            Value::Boolean(false) => Some(Value::text(b"false")),
            Value::Integer(number) => Some(Value::made(number.to_string().into_bytes())),
            Value::Address(address) => Some(Value::made(address.to_string().into_bytes())),
            Value::Text(text) => Some(Value::Text(text)),
        }
    }

    fn has_key(&self) -> bool {
        let Some(Source::Field(Field::Map(map))) = self.arguments.first() else { return false };
        let mut ended = |_value: Option<Value<'v>>| ControlFlow::Break(());
        maps::of_key(*map, self.literal(1), self.scope.facts, &mut ended).is_some()
    }

    fn has_value(&self) -> Option<Value<'v>> {
        let wanted = self.literal(1);
        let mut found = false;
        self.arguments.first()?.each(self.scope, &mut |element| {
            found = element.and_then(Value::into_text).is_some_and(|text| *text == *wanted);
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Some(Value::Boolean(found))
    }
}

fn lower(mut text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        text.to_mut().make_ascii_lowercase();
    }
    text
}

fn upper(mut text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if text.iter().any(u8::is_ascii_lowercase) {
        text.to_mut().make_ascii_uppercase();
    }
    text
}

fn network<'v>(address: IpAddr, bits_v4: i64, bits_v6: i64) -> Option<Value<'v>> {
    let bits = if address.is_ipv4() { bits_v4 } else { bits_v6 };
    let network = IpNet::new(address, u8::try_from(bits).ok()?).ok()?;
    Some(Value::Address(network.network()))
}
