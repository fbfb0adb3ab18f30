//! The parts of a PEM text (RFC 7468): what is between them is for people.

/// A part: its label, and all of it from its first line to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PemBlock<'a> {
    /// What it says it is: `CERTIFICATE`, say.
    pub label: &'a str,
    /// From `-----BEGIN` to the end of the closing line.
    pub text: &'a str,
}

/// The parts of a text, in their order; one that does not end is left out.
#[must_use]
pub fn pem_blocks(text: &str) -> Vec<PemBlock<'_>> {
    const BEGIN: &str = "-----BEGIN ";
    const DASHES: &str = "-----";
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_before, found)) = rest.split_once(BEGIN) {
        let Some((label, body)) = found.split_once(DASHES) else { break };
        let end = format!("-----END {label}-----");
        let Some((inner, after)) = body.split_once(end.as_str()) else { break };
        let length = BEGIN.len() + label.len() + DASHES.len() + inner.len() + end.len();
        let start = rest.len() - found.len() - BEGIN.len();
        if let Some(text) = rest.get(start..start + length) {
            blocks.push(PemBlock { label, text });
        }
        rest = after;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_among_what_people_wrote() {
        let one = "-----BEGIN A-----\nAA==\n-----END A-----";
        let other = "-----BEGIN B C-----\nAA==\n-----END B C-----";
        let text = format!("hello\n{one}\nand\n{other}\n-----BEGIN D-----\nAA==\n");
        let blocks = pem_blocks(&text);
        assert_eq!(blocks, [PemBlock { label: "A", text: one }, PemBlock { label: "B C", text: other }]);
        assert!(pem_blocks("").is_empty() && pem_blocks("-----BEGIN ").is_empty());
    }
}
