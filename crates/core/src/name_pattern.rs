//! Patterns that the names of devices may have to follow.

use std::fmt;
use std::str::FromStr;

use crate::ids::{DeviceName, IdError};

/// A pattern for names of devices: `*` stands for any run of characters, everything else for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// Whether a name is as the pattern says, whole and in this case.
    #[must_use]
    pub fn allows(&self, name: &DeviceName) -> bool {
        matches(&self.0, name.as_str())
    }
}

impl FromStr for NamePattern {
    type Err = IdError;
    /// Refuses what no name of a device could match.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*".contains(&byte);
        if matches!(text.len(), 1..=128) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::new(
                "device name pattern",
                "letters, digits, `.`, `_`, `-`, and `*` for any run",
                text,
            ))
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `name` is what `pattern` asks for; `*` stands for any run of characters.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return name.is_empty() };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_skipped, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name) in [("pump-*", "pump-1"), ("*", ""), ("a*b*c", "a--b--c"), ("exact", "exact")] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("pump-*", "xpump-1"), ("a*b", "a-b-c"), ("exact", "exactly"), ("a*a", "a")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn fails_closed_on_a_pattern_that_no_name_could_match() {
        let pattern: NamePattern = "pump-*".parse().unwrap();
        assert!(pattern.allows(&"pump-7".parse().unwrap()) && !pattern.allows(&"Pump-7".parse().unwrap()));
        for text in ["", "a b", "a/b", "é", "a?", "[a-z]"] {
            assert!(text.parse::<NamePattern>().is_err(), "{text}");
        }
    }
}
