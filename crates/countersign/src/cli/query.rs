//! The path of a list, with what it is narrowed by.

use std::fmt::Write as _;

/// A path and its query; every value is escaped.
#[derive(Clone, Debug)]
pub(super) struct Query {
    path: String,
    has_some: bool,
}

impl Query {
    /// A path without a query.
    pub(super) fn of(path: &str) -> Self {
        Self { path: path.to_owned(), has_some: false }
    }

    /// Narrowed by a value, if there is one.
    pub(super) fn by(mut self, name: &str, value: Option<&impl ToString>) -> Self {
        let Some(value) = value else { return self };
        let before = if self.has_some { '&' } else { '?' };
        self.has_some = true;
        // Writing to a String cannot fail.
        let _written = write!(self.path, "{before}{name}={}", escaped(&value.to_string()));
        self
    }

    /// The whole.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// Everything but RFC 3986's unreserved characters, as `%XX`.
pub(super) fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _written = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_place() {
        let query = Query::of("/devices").by("q", Some(&"a&b=c d/é")).by("site", None::<&String>);
        assert_eq!(query.by("limit", Some(&5)).path(), "/devices?q=a%26b%3Dc%20d%2F%C3%A9&limit=5");
    }
}
