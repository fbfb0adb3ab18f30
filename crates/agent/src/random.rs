//! Randomness for spreading work over time. Not for keys.

/// A number between 0 and 1, 1 excluded.
///
/// Should the system's generator fail, it is 0.5: waiting then is merely not spread.
#[must_use]
pub fn fraction() -> f64 {
    let mut bytes = [0_u8; 4];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_unavailable) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_below_one() {
        assert!((0..1000).map(|_| fraction()).all(|fraction| (0.0..1.0).contains(&fraction)));
    }
}
