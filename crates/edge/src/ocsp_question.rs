//! An OCSP request in a path (RFC 6960 appendix A.1): base64, whose slashes delimit nothing.

/// Where the control plane answers them.
pub(crate) const PREFIX: &str = "/pki/ocsp/";

/// The path of an OCSP request with the request as base64url without padding: one segment in which
/// there is nothing to decode. `None` for every other path, which is then read like any path.
pub(crate) fn in_one_spelling(path: &str) -> Option<String> {
    let question = path.strip_prefix(PREFIX).filter(|question| !question.is_empty())?;
    let mut spelt = String::with_capacity(path.len());
    spelt.push_str(PREFIX);
    let mut bytes = question.bytes();
    while let Some(byte) = bytes.next() {
        let character = match byte {
            b'%' => match [bytes.next()?, bytes.next()?.to_ascii_uppercase()] {
                [b'2', b'B'] => '-',
                [b'2', b'F'] => '_',
                [b'3', b'D'] => continue,
                _ => return None,
            },
            b'+' => '-',
            b'/' => '_',
            b'=' => continue,
            b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte),
            _ => return None,
        };
        spelt.push(character);
    }
    Some(spelt)
}

#[cfg(test)]
mod tests {
    use super::in_one_spelling;

    #[test]
    fn every_spelling_of_a_question_becomes_one() {
        for path in
            ["/pki/ocsp/ab+/cd==", "/pki/ocsp/ab%2B%2Fcd%3D%3D", "/pki/ocsp/ab%2b%2fcd", "/pki/ocsp/ab-_cd"]
        {
            assert_eq!(in_one_spelling(path).as_deref(), Some("/pki/ocsp/ab-_cd"), "{path}");
        }
        assert_eq!(in_one_spelling("/pki/ocsp/a//b").as_deref(), Some("/pki/ocsp/a__b"));
    }

    #[test]
    fn other_paths_are_left_alone() {
        for path in [
            "/pki/ocsp",
            "/pki/ocsp/",
            "/pki/crl/a%2fb",
            "/pki/ocsp/..%2f..%2fapi",
            "/pki/ocsp/../crl",
            "/pki/ocsp/a%2",
            "/pki/ocsp/a%2e",
            "/pki/ocsp/a%00",
            "//pki/ocsp/a%2f",
            "/x/pki/ocsp/a%2f",
        ] {
            assert_eq!(in_one_spelling(path), None, "{path}");
        }
    }
}
