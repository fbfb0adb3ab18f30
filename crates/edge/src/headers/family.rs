//! Families of header names.

/// How one family of names is told.
pub(super) enum Family {
    Name(&'static str),
    Prefix(&'static str),
}

/// Families that are treated alike. Their first letters (a bit each) tell of most names at once that they
/// belong to none of them.
pub(super) struct Families {
    letters: u32,
    all: &'static [Family],
}

impl Families {
    pub(super) const fn new(all: &'static [Family]) -> Self {
        let mut letters = 0;
        let mut rest = all;
        while let [Family::Name(text) | Family::Prefix(text), others @ ..] = rest {
            if let [first, ..] = text.as_bytes() {
                letters |= letter(*first);
            }
            rest = others;
        }
        Self { letters, all }
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        let may = name.as_bytes().first().is_some_and(|first| letter(*first) & self.letters != 0);
        may && self.all.iter().any(|family| match family {
            Family::Name(exact) => name.len() == exact.len() && has_prefix(name, exact),
            Family::Prefix(prefix) => has_prefix(name, prefix),
        })
    }
}

/// A letter's bit; all that are none share one.
const fn letter(byte: u8) -> u32 {
    if byte.is_ascii_lowercase() { 1 << (byte - b'a') } else { 1 << 31 }
}

/// Whether `name`, which is lower case as every name of a header, starts like a family.
fn has_prefix(name: &str, prefix: &str) -> bool {
    let folded = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    name.as_bytes().first() == prefix.as_bytes().first()
        && name.len() >= prefix.len()
        && name.bytes().map(folded).zip(prefix.bytes()).all(|(a, b)| a == b)
}
