//! Reading a JSON body field by field, so that an answer can name every bad one.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::failure::{Failure, Outcome};

/// A JSON object being read, and what was wrong with it so far.
pub(crate) struct Fields {
    values: Map<String, Value>,
    problems: BTreeMap<String, String>,
}

impl Fields {
    pub(crate) const fn new(values: Map<String, Value>) -> Self {
        Self { values, problems: BTreeMap::new() }
    }

    /// Notes a problem.
    pub(crate) fn problem(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.insert(name.to_owned(), problem.into());
    }

    /// Takes a field out; null counts as absent.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field out, an explicit null kept.
    pub(crate) fn take_with_null(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name)
    }

    /// A text of at most `max` characters without control characters; absent is a problem.
    pub(crate) fn required_text(&mut self, name: &str, max: usize) -> String {
        match self.text(name, max) {
            Some(text) => text,
            None => {
                if !self.problems.contains_key(name) {
                    self.problem(name, "is required");
                }
                String::new()
            }
        }
    }

    /// A text of 1 to `max` characters without control characters, if there.
    pub(crate) fn text(&mut self, name: &str, max: usize) -> Option<String> {
        let value = self.take(name)?;
        let text =
            value.as_str().filter(|text| (1..=max).contains(&text.chars().count()) && !has_control(text));
        if text.is_none() {
            self.problem(name, format!("must be a text of 1 to {max} printable characters"));
        }
        text.map(ToOwned::to_owned)
    }

    /// A longer text that may have line breaks (PEM), if there.
    pub(crate) fn block(&mut self, name: &str, max: usize) -> Option<String> {
        let value = self.take(name)?;
        let text = value.as_str().filter(|text| text.len() <= max);
        if text.is_none() {
            self.problem(name, format!("must be a text of at most {max} bytes"));
        }
        text.map(ToOwned::to_owned)
    }

    /// A text that is dropped when it is bad.
    pub(crate) fn lenient_text(&mut self, name: &str, max: usize) -> Option<String> {
        let text = self.take(name)?.as_str()?.to_owned();
        (text.chars().count() <= max && !has_control(&text)).then_some(text)
    }

    /// A text that reads as a `T`, if there.
    pub(crate) fn parsed<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let value = self.take(name)?;
        self.parse_value(name, &value)
    }

    /// Reads one value as a `T`.
    pub(crate) fn parse_value<T>(&mut self, name: &str, value: &Value) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let Some(text) = value.as_str() else {
            self.problem(name, "must be a text");
            return None;
        };
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.problem(name, error.to_string());
                None
            }
        }
    }

    /// A whole number within bounds, if there.
    pub(crate) fn number(&mut self, name: &str, bounds: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(name)?;
        match value.as_i64() {
            Some(number) if bounds.contains(&number) => Some(number),
            _ => {
                self.problem(
                    name,
                    format!("must be a whole number from {} to {}", bounds.start(), bounds.end()),
                );
                None
            }
        }
    }

    /// A Boolean, if there.
    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = self.take(name)?;
        let boolean = value.as_bool();
        if boolean.is_none() {
            self.problem(name, "must be true or false");
        }
        boolean
    }

    /// Notes every field that was not taken: for bodies of people, where a typo must not pass.
    pub(crate) fn refuse_unknown(&mut self) {
        let unknown: Vec<String> = self.values.keys().cloned().collect();
        for name in unknown {
            self.problem(&name, "is not a field of this request");
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 400 with every problem.
    pub(crate) fn finish(self) -> Outcome<()> {
        if self.problems.is_empty() { Ok(()) } else { Err(Failure::invalid(self.problems)) }
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}
