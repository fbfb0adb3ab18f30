//! How often a property is tried.

/// proptest's own number of cases, when nobody asks for another.
const USUAL: u32 = 256;

/// The number of cases of a property that is tried `usually` times in the ordinary run: as many times
/// more as `PROPTEST_CASES` asks for, measured against proptest's own 256, and never fewer. A property
/// whose one case is dear (a database, a key) so stays in proportion to cheap ones in a long run.
pub fn property_cases(usually: u32) -> u32 {
    #[expect(clippy::disallowed_methods, reason = "proptest's own variable, which it reads itself too")]
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(USUAL);
    scaled(usually, asked)
}

fn scaled(usually: u32, asked: u32) -> u32 {
    let cases = u64::from(usually) * u64::from(asked) / u64::from(USUAL);
    u32::try_from(cases).unwrap_or(u32::MAX).max(usually)
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn cases_grow_in_proportion_and_never_shrink() {
        assert_eq!(scaled(16, 256), 16);
        assert_eq!(scaled(16, 2560), 160);
        assert_eq!(scaled(16, 1), 16);
        assert_eq!(scaled(u32::MAX, u32::MAX), u32::MAX);
    }
}
