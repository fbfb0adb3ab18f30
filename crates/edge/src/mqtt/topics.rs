//! Which topics a filter is about (section 4.7), and which filters are about no more than another.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::wire::{is_text, is_topic_filter};

/// A text is no topic filter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a topic filter: {0:?}")]
pub struct FilterError(String);

/// A topic filter: `+` stands for one level, `#` at the end for what is left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicFilter(Box<str>);

impl FromStr for TopicFilter {
    type Err = FilterError;
    fn from_str(text: &str) -> Result<Self, FilterError> {
        if is_topic_filter(text) && is_text(text) {
            Ok(Self(text.into()))
        } else {
            Err(FilterError(text.chars().take(160).collect()))
        }
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TopicFilter {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a topic is among those it is about.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        matches(&self.0, topic)
    }

    /// Whether every topic that `filter` is about is one it is about, too.
    #[must_use]
    pub fn covers(&self, filter: &str) -> bool {
        covers(&self.0, filter)
    }
}

/// Whether `topic` is one that `filter` is about. Wildcards at the beginning do not stand for the `$` of a
/// broker's own topics.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let (mut wanted, mut there) = (filter.split('/'), topic.split('/'));
    loop {
        match (wanted.next(), there.next()) {
            // `a/#` is about `a`, too.
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(other)) if level == other => {}
            (Some(_), _) | (None, Some(_)) => return false,
        }
    }
}

/// Whether `wide` is about every topic that `narrow` is about.
#[must_use]
pub fn covers(wide: &str, narrow: &str) -> bool {
    if narrow.starts_with('$') && !wide.starts_with('$') {
        return false;
    }
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some("#"), _) | (None, None) => return true,
            (_, Some("#")) | (None, Some(_)) | (Some(_), None) => return false,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(other)) if level == other => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards_stand_for_levels() {
        for (filter, topic) in [
            ("a/b", "a/b"),
            ("a/+", "a/b"),
            ("a/+", "a/"),
            ("a/#", "a"),
            ("a/#", "a/b/c"),
            ("#", "a"),
            ("+/+", "/a"),
            ("$SYS/#", "$SYS/x"),
        ] {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in [
            ("a/b", "a/bc"),
            ("a/b", "a/b/"),
            ("a/+", "a"),
            ("a/+", "a/b/c"),
            ("+", "/a"),
            ("#", "$SYS/x"),
            ("+/x", "$SYS/x"),
            ("a/#", "ab"),
        ] {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }

    #[test]
    fn a_wider_filter_is_not_covered() {
        for (wide, narrow) in [("a/#", "a"), ("a/#", "a/#"), ("a/#", "a/+/b"), ("a/+", "a/b"), ("+/b", "+/b")]
        {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("a/+", "a/#"),
            ("a/b", "a/+"),
            ("a/b", "#"),
            ("a/b/#", "a/#"),
            ("a/b/#", "+/b/#"),
            ("#", "$SYS/#"),
            ("+/#", "$share/g/a"),
            ("a/+", "a"),
        ] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }

    fn levels() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["a", "b", "", "\\$x"], 1..4).prop_map(|levels| levels.join("/"))
    }

    fn filters() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("+"), Just("$x")];
        (proptest::collection::vec(level, 1..4), any::<bool>()).prop_map(|(mut levels, is_open)| {
            if is_open {
                levels.push("#");
            }
            levels.join("/")
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn what_is_covered_matches_nothing_else(wide in filters(), narrow in filters(), topic in levels()) {
            if covers(&wide, &narrow) && matches(&narrow, &topic) {
                prop_assert!(matches(&wide, &topic), "{wide} covers {narrow}, not {topic}");
            }
        }
    }
}
