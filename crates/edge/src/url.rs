//! The request path in one spelling, which rules, routes and upstreams then all see.
//!
//! What an upstream could read in two ways (encoded slashes, overlong dots, …) is refused rather
//! than guessed at.

use countersign_core::access::Place;
use countersign_core::ids::AgentId;
use thiserror::Error;

use crate::ocsp_question;

/// Whether paths that an upstream may read differently from us are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OddPaths {
    /// They are refused.
    #[default]
    Refused,
    /// `%2F`, `%5C`, `%00`, overlong and double-encoded dots and `..;` stay as they are, still
    /// encoded. An upstream that decodes them sees another path than the rules did.
    DangerTolerated,
}

/// Why a request target has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// It does not start with `/` (or `\`).
    #[error("the path does not start with a slash")]
    NotAbsolute,
    /// A byte that may not stand in a request target unencoded.
    #[error("forbidden byte 0x{byte:02x} at byte {at} of the request target")]
    ForbiddenByte {
        /// The byte.
        byte: u8,
        /// Where it stands.
        at: usize,
    },
    /// `%` without two hex digits.
    #[error("incomplete percent-escape at byte {0} of the path")]
    BadEscape(usize),
    /// `%2F`, `%5C` or `%00`.
    #[error("encoded delimiter %{0:02X} in the path")]
    EncodedDelimiter(u8),
    /// An overlong UTF-8 sequence: a second spelling of a character that has a shorter one.
    #[error("overlong UTF-8 sequence in the path")]
    Overlong,
    /// An escape whose decoded form is an escape of `.`, `/`, `\`, NUL or `%` again.
    #[error("double-encoded character in the path")]
    DoubleEncoded,
    /// `.;` or `..;`, which some servers read as a dot segment with parameters.
    #[error("dot segment with parameters in the path")]
    DotSegmentParameters,
}

impl PathError {
    /// The stable code of the refusal; its status is 400.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotAbsolute => "PATH_NOT_ABSOLUTE",
            Self::ForbiddenByte { .. } => "PATH_FORBIDDEN_BYTE",
            Self::BadEscape(_) => "PATH_BAD_ESCAPE",
            Self::EncodedDelimiter(_) => "PATH_ENCODED_DELIMITER",
            Self::Overlong => "PATH_OVERLONG_ENCODING",
            Self::DoubleEncoded => "PATH_DOUBLE_ENCODED",
            Self::DotSegmentParameters => "PATH_DOT_SEGMENT_PARAMETERS",
        }
    }
}

/// Evidence that a request target was normalised: only [`NormalisedPath::parse`] makes one.
///
/// The path has unreserved characters decoded (RFC 3986 section 6.2.2.2), escapes in upper case,
/// `\` read as `/`, no empty segments and no dot segments; an OCSP request in it is one segment. The
/// query is as the client sent it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NormalisedPath {
    text: String,
    path_length: usize,
}

impl NormalisedPath {
    /// Normalises `target`, a path with an optional `?query`.
    ///
    /// # Errors
    /// Fails closed: whatever an upstream could read in another way has no normal form, unless it
    /// is tolerated by `odd`.
    pub fn parse(target: &str, odd: OddPaths) -> Result<Self, PathError> {
        if let Some((at, byte)) = target.bytes().enumerate().find(|(_, b)| !is_target_byte(*b)) {
            return Err(PathError::ForbiddenByte { byte, at });
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        if !path.starts_with(['/', '\\']) {
            return Err(PathError::NotAbsolute);
        }
        if is_plainly_normal(path) && !path.starts_with(ocsp_question::PREFIX) {
            return Ok(Self { text: target.to_owned(), path_length: path.len() });
        }
        let mut text = match ocsp_question::in_one_spelling(path) {
            Some(text) => text,
            None => normalise(path, odd)?,
        };
        let path_length = text.len();
        if let Some(query) = query {
            text.push('?');
            text.push_str(query);
        }
        Ok(Self { text, path_length })
    }

    /// `/`, for whoever asks for nothing.
    pub(crate) fn root() -> Self {
        Self { text: "/".to_owned(), path_length: 1 }
    }

    /// The path, starting with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(..self.path_length).unwrap_or_default()
    }

    /// The query without its `?`; `None` when there is none.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.text.get(self.path_length.saturating_add(1)..)
    }

    /// Both, as the upstream gets them.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.text
    }
}

/// Which place of the control plane's agent routes a path is; `None`: none of them.
///
/// Fails closed: only the four exact spellings are outside the requirement of an identity, and
/// everything else under `/api/v1/agents/` needs one.
#[must_use]
pub fn agent_place(path: &NormalisedPath) -> Option<Place> {
    match path.path().strip_prefix("/api/v1/agents/")? {
        "enroll" => Some(Place::Enroll),
        "renew-cert" | "renew-cert/challenge" => Some(Place::Renew),
        "renew-cert/confirm" => Some(Place::Confirm),
        rest if concerns_credentials(rest) => Some(Place::Credentials),
        _ => Some(Place::Agent),
    }
}

/// Whether it is an agent itself, whose enrolment may be ended, or its token, which may be replaced.
fn concerns_credentials(rest: &str) -> bool {
    let agent = rest.strip_suffix("/rotate-token/confirm").or_else(|| rest.strip_suffix("/rotate-token"));
    agent.unwrap_or(rest).parse::<AgentId>().is_ok()
}

const fn is_target_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && byte != b'#'
}

/// Whether a path has nothing to decode, no empty segment and none that starts with a dot: most have
/// not, and are not copied about.
fn is_plainly_normal(path: &str) -> bool {
    let mut before = b' ';
    path.bytes().all(|byte| {
        let pair = (std::mem::replace(&mut before, byte), byte);
        !matches!(pair, (_, b'%' | b'\\') | (b'/', b'/' | b'.'))
    })
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn normalise(path: &str, odd: OddPaths) -> Result<String, PathError> {
    let decoded = decode_unreserved(path, odd)?;
    if odd == OddPaths::Refused {
        refuse_odd(&decoded)?;
    }
    Ok(resolve_segments(&decoded))
}

/// Decodes escapes of unreserved characters and writes the others in upper case.
fn decode_unreserved(path: &str, odd: OddPaths) -> Result<String, PathError> {
    let mut decoded = String::with_capacity(path.len());
    let mut bytes = path.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if byte != b'%' {
            decoded.push(char::from(if byte == b'\\' { b'/' } else { byte }));
            continue;
        }
        let digits = (bytes.next().map(|(_, b)| b), bytes.next().map(|(_, b)| b));
        let (Some(high), Some(low)) = digits else { return Err(PathError::BadEscape(at)) };
        match hex_value(high, low).ok_or(PathError::BadEscape(at))? {
            value if is_unreserved(value) => decoded.push(char::from(value)),
            value @ (0 | b'/' | b'\\') if odd == OddPaths::Refused => {
                return Err(PathError::EncodedDelimiter(value));
            }
            _ => {
                for byte in [b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()] {
                    decoded.push(char::from(byte));
                }
            }
        }
    }
    Ok(decoded)
}

fn hex_value(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4) | digit(low)?)
}

/// Refuses what stays ambiguous after decoding once.
fn refuse_odd(decoded: &str) -> Result<(), PathError> {
    for (at, _) in decoded.match_indices("%25") {
        let rest = decoded.as_bytes().get(at.saturating_add(3)..).unwrap_or_default();
        if let [high, low, ..] = rest
            && let Some(0 | b'.' | b'/' | b'\\' | b'%') = hex_value(*high, *low)
        {
            return Err(PathError::DoubleEncoded);
        }
    }
    for (at, _) in decoded.match_indices('%') {
        let rest = decoded.as_bytes().get(at..).unwrap_or_default();
        let (first, second) = (escape(rest), rest.get(3..).and_then(escape));
        match (first, second) {
            (Some(0xc0 | 0xc1), _) | (Some(0xe0), Some(0x80..=0x9f)) | (Some(0xf0), Some(0x80..=0x8f)) => {
                return Err(PathError::Overlong);
            }
            _ => {}
        }
    }
    let has_parameters = |segment: &str| {
        let rest = segment.trim_start_matches('.');
        matches!(segment.len().saturating_sub(rest.len()), 1 | 2)
            && (rest.starts_with(';') || rest.starts_with("%3B"))
    };
    if decoded.split('/').any(has_parameters) { Err(PathError::DotSegmentParameters) } else { Ok(()) }
}

fn escape(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => hex_value(*high, *low),
        _ => None,
    }
}

/// Collapses empty segments, then removes dot segments (RFC 3986 section 5.2.4; a `..` at the root
/// stays at the root).
fn resolve_segments(decoded: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_slash = true;
    for segment in decoded.split('/') {
        ends_in_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut path = String::with_capacity(decoded.len());
    for segment in &kept {
        path.push('/');
        path.push_str(segment);
    }
    if ends_in_slash || path.is_empty() {
        path.push('/');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(target: &str) -> String {
        NormalisedPath::parse(target, OddPaths::Refused).unwrap().path().to_owned()
    }

    fn place(target: &str) -> Option<Place> {
        agent_place(&NormalisedPath::parse(target, OddPaths::Refused).unwrap())
    }

    #[test]
    fn paths_get_one_spelling() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/%61%2d%7E%5f", "/a-~_"),
            ("/a%3ab%c3%a9", "/a%3Ab%C3%A9"),
            ("//a///b//", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a//../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../../x", "/x"),
            ("/%2e%2E/x", "/x"),
            ("/a\\b\\..\\c", "/a/c"),
            ("\\a", "/a"),
            ("/a%20b", "/a%20b"),
            ("/100%25", "/100%25"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/.../..a", "/.../..a"),
        ] {
            assert_eq!(normal(target), expected, "{target}");
        }
    }

    #[test]
    fn fails_closed_on_paths_with_two_readings() {
        for (target, expected) in [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("a/b", PathError::NotAbsolute),
            ("/a%2fb", PathError::EncodedDelimiter(b'/')),
            ("/a%2Fb", PathError::EncodedDelimiter(b'/')),
            ("/a%5cb", PathError::EncodedDelimiter(b'\\')),
            ("/a%5Cb", PathError::EncodedDelimiter(b'\\')),
            ("/a%00", PathError::EncodedDelimiter(0)),
            ("/%252e%252e/", PathError::DoubleEncoded),
            ("/%25%32%65/", PathError::DoubleEncoded),
            ("/%252F", PathError::DoubleEncoded),
            ("/%25252e", PathError::DoubleEncoded),
            ("/%c0%ae%c0%ae/", PathError::Overlong),
            ("/%C1%9c", PathError::Overlong),
            ("/%e0%80%ae", PathError::Overlong),
            ("/%f0%80%80%ae", PathError::Overlong),
            ("/a/..;/b", PathError::DotSegmentParameters),
            ("/a/.;x=1/b", PathError::DotSegmentParameters),
            ("/a/%2e%2e%3bx/b", PathError::DotSegmentParameters),
            ("/a%", PathError::BadEscape(2)),
            ("/a%4", PathError::BadEscape(2)),
            ("/%zz", PathError::BadEscape(1)),
            ("/%+1", PathError::BadEscape(1)),
            ("/a b", PathError::ForbiddenByte { byte: b' ', at: 2 }),
            ("/a\n", PathError::ForbiddenByte { byte: b'\n', at: 2 }),
            ("/é", PathError::ForbiddenByte { byte: 0xc3, at: 1 }),
            ("/a?q=\u{7f}", PathError::ForbiddenByte { byte: 0x7f, at: 5 }),
            ("/a#b", PathError::ForbiddenByte { byte: b'#', at: 2 }),
        ] {
            assert_eq!(NormalisedPath::parse(target, OddPaths::Refused), Err(expected), "{target}");
        }
    }

    #[test]
    fn odd_paths_stay_encoded_when_tolerated() {
        for (target, expected) in [("/a%2fb", "/a%2Fb"), ("/%252e", "/%252e"), ("/a/..;/b", "/a/..;/b")] {
            let path = NormalisedPath::parse(target, OddPaths::DangerTolerated).unwrap();
            assert_eq!(path.path(), expected);
        }
        assert!(NormalisedPath::parse("/%zz", OddPaths::DangerTolerated).is_err());
    }

    #[test]
    fn the_query_is_kept_as_sent() {
        let path = NormalisedPath::parse("/a/../b?x=%2f&y=../?", OddPaths::Refused).unwrap();
        assert_eq!((path.path(), path.query()), ("/b", Some("x=%2f&y=../?")));
        assert_eq!(path.path_and_query(), "/b?x=%2f&y=../?");
        let plain = NormalisedPath::parse("/b", OddPaths::Refused).unwrap();
        assert_eq!((plain.query(), plain.path_and_query()), (None, "/b"));
        let empty = NormalisedPath::parse("/b?", OddPaths::Refused).unwrap();
        assert_eq!((empty.query(), empty.path_and_query()), (Some(""), "/b?"));
    }

    #[test]
    fn exactly_enroll_renew_challenge_and_confirm_are_outside_the_requirement() {
        for (target, expected) in [
            ("/api/v1/agents/enroll", Some(Place::Enroll)),
            ("/api/v1/agents/enroll?x=1", Some(Place::Enroll)),
            ("/api/v1/agents/renew-cert", Some(Place::Renew)),
            ("/api/v1/agents/renew-cert/challenge", Some(Place::Renew)),
            ("/api/v1/agents/renew-cert/confirm", Some(Place::Confirm)),
            ("/api/v1/agents/", Some(Place::Agent)),
            ("/api/v1/agents/0a/heartbeat", Some(Place::Agent)),
            ("/api/v1/agents", None),
            ("/api/v1/agentsenroll", None),
            ("/api/v1/other", None),
            ("/", None),
        ] {
            assert_eq!(place(target), expected, "{target}");
        }
    }

    #[test]
    fn an_agent_and_its_token_are_credentials_and_nothing_else_is() {
        let agent = format!("/api/v1/agents/{}", "0a".repeat(32));
        for target in
            [agent.clone(), format!("{agent}/rotate-token"), format!("{agent}/rotate-token/confirm")]
        {
            assert_eq!(place(&target), Some(Place::Credentials), "{target}");
        }
        for target in [
            "/api/v1/agents/0a".to_owned(),
            "/api/v1/agents/rotate-token".to_owned(),
            format!("{agent}/"),
            format!("{agent}/rotate-token/"),
            format!("{agent}/rotate-token/confirm/rotate-token"),
            format!("{agent}/heartbeat"),
            format!("{agent}0"),
        ] {
            assert_eq!(place(&target), Some(Place::Agent), "{target}");
        }
    }

    #[test]
    fn no_spelling_escapes_the_requirement() {
        for target in [
            "/api/v1/agents/0A/heartbeat",
            "/api/v1/agents/AB12/heartbeat",
            "//api//v1///agents//0a//heartbeat",
            "/api/v1/agents/enroll/../0a/heartbeat",
            "/api/v1/agents/enroll/%2e%2e/0a/heartbeat",
            "/api/v1/%61gents/0a/heartbeat",
            "\\api\\v1\\agents\\0a\\heartbeat",
            "/api/v1/agents/0a/enroll",
            "/api/v1/agents/0a/renew-cert",
            "/api/v1/agents/0a/heartbeat?x=/enroll",
            "/api/v1/agents/enroll/",
            "/api/v1/agents/enroll/x",
            "/api/v1/agents/enroll;x=1",
            "/api/v1/agents/;/enroll",
            "/api/v1/agents/enroll%3f",
            "/api/v1/agents/Enroll",
            "/api/v1/agents/renew-certx",
            "/api/v1/agents/renew-cert/confirm/",
            "/api/v1/agents/renew-cert/other",
        ] {
            assert_eq!(place(target), Some(Place::Agent), "{target}");
        }
        for target in
            ["/api/v1/agents/0a%2fheartbeat", "/api/v1/agents%2Fenroll", "/api/v1/agents/..;/agents/0a/x"]
        {
            assert!(NormalisedPath::parse(target, OddPaths::Refused).is_err(), "{target}");
        }
    }

    fn decode_once(path: &str) -> Vec<u8> {
        let mut decoded = Vec::new();
        let mut rest = path.as_bytes();
        while let [first, tail @ ..] = rest {
            if let Some(value) = escape(rest) {
                decoded.push(value);
                rest = &rest[3..];
            } else {
                decoded.push(*first);
                rest = tail;
            }
        }
        decoded
    }

    proptest! {
        #[test]
        fn normalising_is_idempotent_and_leaves_no_dot_segment(
            target in "(/|\\\\|\\.|;|a|%2[eEfF]|%5c|%25|2e|%61|%c0%ae|%3b|[!-~]){0,24}"
        ) {
            let target = format!("/{target}");
            for odd in [OddPaths::Refused, OddPaths::DangerTolerated] {
                if let Ok(path) = NormalisedPath::parse(&target, odd) {
                    prop_assert!(path.path().starts_with('/') && !path.path().contains("//"));
                    prop_assert!(!path.path().split('/').any(|segment| matches!(segment, "." | "..")));
                    let (spelt, _) = target.split_once('?').unwrap_or((&target, ""));
                    prop_assert!(!is_plainly_normal(spelt) || path.path() == spelt);
                    let decoded = decode_unreserved(spelt, odd).unwrap();
                    prop_assert_eq!(resolve_segments(&decoded), path.path());
                    prop_assert_eq!(&NormalisedPath::parse(path.path_and_query(), odd).unwrap(), &path);
                }
            }
        }

        #[test]
        fn an_upstream_that_decodes_once_sees_the_same_segments(
            target in "(/|\\\\|\\.|a|%2[eE]|%25|2e|%61|%3b|[!-~]){0,24}"
        ) {
            if let Ok(path) = NormalisedPath::parse(&format!("/{target}"), OddPaths::Refused) {
                let decoded = decode_once(path.path());
                let segments = |bytes: &[u8]| bytes.split(|b| *b == b'/').count();
                prop_assert_eq!(segments(&decoded), segments(path.path().as_bytes()));
                prop_assert!(!decoded.contains(&0) && !decoded.contains(&b'\\'));
                prop_assert!(!decoded.split(|b| *b == b'/').any(|s| s == b"." || s == b".."));
            }
        }

        #[test]
        fn any_text_is_normalised_or_refused(target in "\\PC{0,60}") {
            if let Ok(path) = NormalisedPath::parse(&target, OddPaths::Refused) {
                prop_assert!(path.path_and_query().is_ascii());
            }
        }
    }
}
