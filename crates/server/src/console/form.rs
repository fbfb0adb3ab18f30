//! Forms: what a browser sends, read once.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::gate::CSRF_FIELD;
use crate::fields::Fields;

/// The fields of a form, in their order. A name may come several times.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(Arc<[(String, String)]>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The first field of this name.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// Every field of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// Whether a box was ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// The fields, to be read one by one; empty ones count as absent. Boxes and lists are read beforehand.
    pub(super) fn fields(&self, without: &[&str]) -> Fields {
        let mut fields = Fields::new(serde_json::Map::new());
        for (name, value) in self.0.iter() {
            if name != CSRF_FIELD && !without.contains(&name.as_str()) {
                fields.add(name.clone(), value.trim().to_owned());
            }
        }
        fields
    }
}

/// The form that the gate has read; an empty one where none was sent.
impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_several_times_and_what_is_escaped_is_read() {
        let form = Form::parse(b"id=1&id=2&name=a+b%3Cscript%3E&csrf=x&empty=");
        assert_eq!(form.all("id").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(form.first("name"), Some("a b<script>"));
        assert!(form.is_ticked("empty") && !form.is_ticked("absent"));
        let mut fields = form.fields(&["id"]);
        assert_eq!(fields.text("name", 20).as_deref(), Some("a b<script>"));
        assert!(!fields.has("empty"));
        fields.refuse_unknown();
        assert!(fields.finish().is_ok());
    }
}
