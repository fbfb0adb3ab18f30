//! Texts, topic names and topic filters (sections 1.5.4 and 4.7 of MQTT 5; 1.5.3 and 4.7 of 3.1.1).

/// Whether a text is taken: no control characters and no characters that Unicode promises never to assign.
/// The specifications let a receiver refuse those, brokers do, and a text that one program cuts at U+0000
/// and another does not has two readings. U+FEFF is an ordinary character, wherever it stands.
#[must_use]
pub fn is_text(text: &str) -> bool {
    text.chars().all(|one| !one.is_control() && !is_noncharacter(one))
}

const fn is_noncharacter(one: char) -> bool {
    let point = one as u32;
    (point >= 0xFDD0 && point <= 0xFDEF) || point & 0xFFFE == 0xFFFE
}

/// Whether it can be the topic of a message: not empty, and without wildcards.
#[must_use]
pub fn is_topic_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['+', '#'])
}

/// Whether it is a topic filter: wildcards fill whole levels, and `#` only the last.
#[must_use]
pub fn is_topic_filter(text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let mut levels = text.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        let is_good = match level {
            "+" => true,
            "#" => is_last,
            other => !other.contains(['+', '#']),
        };
        if !is_good {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_no_characters_that_somebody_drops() {
        for text in ["", "a", "é/x", "\u{FEFF}a", "a\u{FEFF}", "😀"] {
            assert!(is_text(text), "{text:?}");
        }
        for text in ["\0", "a\0b", "\u{1}", "\n", "\u{7f}", "\u{9f}", "\u{FFFE}", "\u{FDD0}", "\u{1FFFF}"] {
            assert!(!is_text(text), "{text:?}");
        }
    }

    #[test]
    fn wildcards_fill_whole_levels() {
        for filter in ["a", "/", "+", "#", "a/+/b", "a/#", "+/+", "/#", "a//b"] {
            assert!(is_topic_filter(filter), "{filter}");
        }
        for filter in ["", "a+", "+a/b", "a/#/b", "a#", "##", "#/", "a/++"] {
            assert!(!is_topic_filter(filter), "{filter}");
        }
        for topic in ["", "a/+", "#", "a/b#"] {
            assert!(!is_topic_name(topic), "{topic}");
        }
        assert!(is_topic_name("/") && is_topic_name("a//b") && is_topic_name("$SYS"));
    }
}
