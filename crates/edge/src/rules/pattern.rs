//! Regular expressions and wildcards, compiled where they are parsed.

use regex::bytes::{Regex, RegexBuilder};

/// How large a compiled regular expression may be, in bytes.
pub(super) const REGEX_LIMIT: usize = 1024 * 1024;

/// A compiled regular expression; two are equal when they are spelled alike.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    source: String,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

/// Why a regular expression is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PatternFault {
    /// It looks around, which the engine cannot do in linear time.
    LookAround,
    /// Its compiled form would be larger than [`REGEX_LIMIT`].
    TooLarge,
    /// It is none; what the engine says.
    Syntax(String),
}

impl Pattern {
    /// Compiles `source`. As at Cloudflare it works on bytes, and `\w`, `.` and `(?i)` know ASCII.
    pub(super) fn new(source: &str) -> Result<Self, PatternFault> {
        let built = RegexBuilder::new(source).unicode(false).size_limit(REGEX_LIMIT).build();
        match built {
            Ok(regex) => Ok(Self { source: source.to_owned(), regex }),
            Err(regex::Error::CompiledTooBig(_)) => Err(PatternFault::TooLarge),
            Err(_) if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| source.contains(look)) => {
                Err(PatternFault::LookAround)
            }
            Err(error) => Err(PatternFault::Syntax(last_line(&error.to_string()))),
        }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn regex(&self) -> &Regex {
        &self.regex
    }
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Whether `A` and `a` are different letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// `wildcard`.
    Ignored,
    /// `strict wildcard`.
    Counts,
}

/// A wildcard: `*` stands for any bytes, `\*` and `\\` for themselves.
#[derive(Clone, Debug)]
pub(super) struct Wildcard {
    source: Vec<u8>,
    case: Case,
    regex: Regex,
}

impl PartialEq for Wildcard {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, self.case) == (&other.source, other.case)
    }
}

impl Eq for Wildcard {}

impl Wildcard {
    /// Compiles a wildcard.
    ///
    /// # Errors
    /// A sentence for `**`, and for a backslash before anything but `*` and `\`.
    pub(super) fn new(source: &[u8], case: Case) -> Result<Self, &'static str> {
        let mut regex = String::from("^");
        let mut bytes = source.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'*' if bytes.peek() == Some(&b'*') => return Err("`**` in a wildcard"),
                b'*' => regex.push_str(".*"),
                b'\\' => match bytes.next() {
                    Some(escaped @ (b'*' | b'\\')) => push_byte(&mut regex, escaped),
                    _ => return Err("a backslash before neither `*` nor `\\` in a wildcard"),
                },
                _ => push_byte(&mut regex, byte),
            }
        }
        regex.push('$');
        let built = RegexBuilder::new(&regex)
            .unicode(false)
            .case_insensitive(case == Case::Ignored)
            .dot_matches_new_line(true)
            .size_limit(REGEX_LIMIT)
            .build()
            .map_err(|_too_large| "a wildcard that is too large")?;
        Ok(Self { source: source.to_vec(), case, regex: built })
    }

    pub(super) fn source(&self) -> &[u8] {
        &self.source
    }

    pub(super) const fn case(&self) -> Case {
        self.case
    }

    pub(super) fn regex(&self) -> &Regex {
        &self.regex
    }
}

fn push_byte(regex: &mut String, byte: u8) {
    regex.push_str(&format!("\\x{byte:02X}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_whole_strings_in_any_case() {
        let matches = |source: &str, text: &str| {
            Wildcard::new(source.as_bytes(), Case::Ignored).unwrap().regex().is_match(text.as_bytes())
        };
        assert!(matches("/api/*/x", "/API/a/b/X"));
        assert!(matches("*", ""));
        assert!(matches("a\\*b\\\\", "A*B\\"));
        assert!(matches("a*", "a\nb"));
        assert!(!matches("/api/*/x", "/api/x"));
        assert!(!matches("a.c", "abc"));
        assert!(!matches("a\\*b", "axb"));
        assert!(!matches("b", "abc"));
        let strict = Wildcard::new(b"/api/*", Case::Counts).unwrap();
        assert!(strict.regex().is_match(b"/api/x") && !strict.regex().is_match(b"/API/x"));
    }

    #[test]
    fn bad_wildcards_are_refused() {
        for bad in ["a**b", "a\\b", "a\\"] {
            assert!(Wildcard::new(bad.as_bytes(), Case::Ignored).is_err(), "{bad}");
        }
    }

    #[test]
    fn bad_patterns_are_refused_with_a_reason() {
        assert_eq!(Pattern::new("a(?=b)"), Err(PatternFault::LookAround));
        assert_eq!(Pattern::new("(?<!a)b"), Err(PatternFault::LookAround));
        assert_eq!(Pattern::new("(a{1000}){1000}"), Err(PatternFault::TooLarge));
        assert!(matches!(Pattern::new("("), Err(PatternFault::Syntax(_))));
        assert!(Pattern::new("(?i)^/api/v[0-9]+/\\d$").is_ok());
    }
}
