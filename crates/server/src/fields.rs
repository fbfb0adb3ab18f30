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

    /// Adds a value of the query; empty counts as absent, and twice is a problem.
    pub(crate) fn add(&mut self, name: String, value: String) {
        if value.is_empty() {
            return;
        }
        if self.values.contains_key(&name) {
            self.problem(&name, "is there more than once");
        }
        self.values.insert(name, Value::String(value));
    }

    /// Notes a problem.
    pub(crate) fn problem(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.insert(name.to_owned(), problem.into());
    }

    /// Whether a problem was noted of a field.
    pub(crate) fn has_problem(&self, name: &str) -> bool {
        self.problems.contains_key(name)
    }

    /// Whether a field is there; null counts as absent.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_null())
    }

    /// A field's text as it is, left where it is.
    pub(crate) fn peek(&self, name: &str) -> Option<String> {
        self.values.get(name)?.as_str().map(ToOwned::to_owned)
    }

    /// Takes a field out; null counts as absent.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field out, an explicit null kept.
    pub(crate) fn take_with_null(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name)
    }

    /// Like [`Self::text`]; absent is a problem.
    pub(crate) fn required_text(&mut self, name: &str, max: usize) -> String {
        let text = self.text(name, max);
        self.required(name, text)
    }

    /// Like [`Self::block`]; absent is a problem.
    pub(crate) fn required_block(&mut self, name: &str, max: usize) -> String {
        let text = self.block(name, max);
        self.required(name, text)
    }

    fn required(&mut self, name: &str, text: Option<String>) -> String {
        if text.is_none() && !self.problems.contains_key(name) {
            self.problem(name, "is required");
        }
        text.unwrap_or_default()
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
        self.read(name, str::parse)
    }

    /// The same; absent is a problem.
    pub(crate) fn required_parsed<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        if !self.has(name) {
            self.problem(name, "is required");
        }
        self.parsed(name)
    }

    /// A text that `read` takes, if there.
    pub(crate) fn read<T, E: Display>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let Some(text) = value.as_str() else {
            self.problem(name, "must be a text");
            return None;
        };
        match read(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(name, error.to_string());
                None
            }
        }
    }

    /// A list of 1 to `max` texts that read as a `T` each; absent is a problem.
    pub(crate) fn required_list<T>(&mut self, name: &str, max: usize) -> Vec<T>
    where
        T: FromStr<Err: Display>,
    {
        let Some(Value::Array(values)) = self.take(name) else {
            self.problem(name, format!("must be a list of 1 to {max} texts"));
            return Vec::new();
        };
        if values.is_empty() || values.len() > max {
            self.problem(name, format!("must be a list of 1 to {max} texts"));
            return Vec::new();
        }
        let mut list = Vec::with_capacity(values.len());
        for (place, value) in values.iter().enumerate() {
            match value.as_str().map(str::parse) {
                Some(Ok(item)) => list.push(item),
                Some(Err(error)) => self.problem(name, format!("number {}: {error}", place + 1)),
                None => self.problem(name, format!("number {} must be a text", place + 1)),
            }
        }
        list
    }

    /// The same; absent is none.
    pub(crate) fn list<T>(&mut self, name: &str, max: usize) -> Vec<T>
    where
        T: FromStr<Err: Display>,
    {
        if self.has(name) { self.required_list(name, max) } else { Vec::new() }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(body: &Value) -> Fields {
        Fields::new(body.as_object().unwrap().clone())
    }

    fn named(fields: Fields) -> Vec<String> {
        let failure = fields.finish().unwrap_err();
        failure.body.fields.into_keys().collect()
    }

    #[test]
    fn every_problem_is_named_once() {
        let mut fields = fields(&json!({ "number": "1", "flag": 1, "text": "a\nb", "typo": true }));
        assert_eq!(fields.number("number", 0..=9), None);
        assert_eq!(fields.boolean("flag"), None);
        assert_eq!(fields.required_text("text", 10), "");
        assert_eq!(fields.required_text("missing", 10), "");
        fields.refuse_unknown();
        assert_eq!(named(fields), ["flag", "missing", "number", "text", "typo"]);
    }

    #[test]
    fn null_counts_as_absent_unless_asked_for() {
        let mut fields = fields(&json!({ "a": null, "b": null, "c": null }));
        assert!(!fields.has("a"));
        assert_eq!(fields.text("a", 1), None);
        assert_eq!(fields.take_with_null("b"), Some(Value::Null));
        assert_eq!(fields.take_with_null("absent"), None);
        assert_eq!(fields.required_text("c", 1), "");
        assert_eq!(named(fields), ["c"]);
    }

    #[test]
    fn lengths_count_characters_and_bounds_are_included() {
        let mut fields =
            fields(&json!({ "a": "äöü", "b": "äöüß", "c": "", "low": 1, "high": 9, "over": 10 }));
        assert_eq!(fields.text("a", 3).as_deref(), Some("äöü"));
        assert_eq!(fields.text("b", 3), None);
        assert_eq!(fields.text("c", 3), None);
        assert_eq!((fields.number("low", 1..=9), fields.number("high", 1..=9)), (Some(1), Some(9)));
        assert_eq!(fields.number("over", 1..=9), None);
        assert_eq!(named(fields), ["b", "c", "over"]);
    }

    #[test]
    fn a_list_has_its_bounds_and_each_item_is_read() {
        let mut fields = fields(&json!({
            "good": ["1", "2"], "empty": [], "long": ["1", "2", "3"], "bad": ["1", "x"], "other": [1], "text": "1",
        }));
        assert_eq!(fields.required_list::<u8>("good", 2), [1, 2]);
        for name in ["empty", "long", "bad", "other", "text", "missing"] {
            fields.required_list::<u8>(name, 2);
        }
        assert_eq!(named(fields), ["bad", "empty", "long", "missing", "other", "text"]);
    }

    #[test]
    fn what_is_lenient_is_dropped_without_a_problem() {
        let mut fields = fields(&json!({ "a": 1, "b": "x\u{0}", "c": "long", "d": "fine" }));
        for name in ["a", "b"] {
            assert_eq!(fields.lenient_text(name, 3), None);
        }
        assert_eq!(fields.lenient_text("c", 3), None);
        assert_eq!(fields.lenient_text("d", 4).as_deref(), Some("fine"));
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn a_query_has_each_field_once_and_empty_ones_not_at_all() {
        let mut fields = Fields::new(Map::new());
        for (name, value) in [("a", ""), ("b", "1"), ("c", "1"), ("c", "2"), ("d", ""), ("d", "x")] {
            fields.add(name.to_owned(), value.to_owned());
        }
        assert_eq!(fields.text("a", 9), None);
        assert_eq!(fields.parsed::<u8>("b"), Some(1));
        assert_eq!(fields.text("d", 9).as_deref(), Some("x"));
        assert_eq!(named(fields), ["c"]);
    }
}
