//! `If-Match` (RFC 9110, section 13.1.1): a change is made only to what its caller has seen.

use countersign_authority::agent_settings::SeenVersion;
use http::{HeaderMap, header};

/// The tags that `If-Match` names; `None`: any will do.
///
/// Fails closed: what cannot be read is not among the tags, and no tags match nothing.
pub(crate) fn if_match(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
    values.peek()?;
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    if texts == ["*"] {
        return None;
    }
    let tags = texts.iter().flat_map(|text| text.split(','));
    Some(tags.filter_map(|tag| Some(tag.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned())).collect())
}

/// The versions that the tags of `If-Match` are, for what is numbered.
pub(crate) fn seen_version(headers: &HeaderMap) -> SeenVersion {
    match if_match(headers) {
        None => SeenVersion::Any,
        Some(tags) => SeenVersion::OneOf(tags.iter().filter_map(|tag| tag.parse().ok()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, value.parse().unwrap());
        }
        if_match(&headers)
    }

    #[test]
    fn names_what_was_seen_and_fails_closed() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["*"]), None);
        assert_eq!(read(&["\"a\", \"b\"", "\"c\""]).unwrap(), ["a", "b", "c"]);
        assert!(read(&["a"]).unwrap().is_empty());
        assert!(read(&[""]).unwrap().is_empty());
        assert!(read(&["W/\"a\""]).unwrap().is_empty());
    }
}
