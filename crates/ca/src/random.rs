//! Random bytes and serial numbers, from the operating system's generator through aws-lc.

use countersign_core::ids::SerialNumber;

use crate::key::KeyError;

/// `N` random bytes.
///
/// # Errors
/// When the random generator fails; never a weaker source instead.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| KeyError::Crypto("draw random bytes"))?;
    Ok(bytes)
}

/// A fresh serial number: the node's prefix byte, then 136 random bits.
///
/// The prefix keeps the numbers of several authorities apart and the number positive and of one
/// length (18 octets, within the 20 of RFC 5280 section 4.1.2.2).
///
/// # Errors
/// Refuses a node outside `0x01..=0x7f`.
pub fn random_serial(node: u8) -> Result<SerialNumber, KeyError> {
    if !(0x01..=0x7f).contains(&node) {
        return Err(KeyError::Node(node));
    }
    let mut number = [0; 18];
    number[0] = node;
    number[1..].copy_from_slice(&random_bytes::<17>()?);
    SerialNumber::from_be_bytes(&number).map_err(|_unreachable| KeyError::Node(node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn serials_carry_the_node_and_differ() {
        let serials: HashSet<_> = (0..1000).map(|_| random_serial(0x7f).unwrap()).collect();
        assert_eq!(serials.len(), 1000);
        assert!(serials.iter().all(|serial| serial.as_bytes().len() == 18 && serial.as_bytes()[0] == 0x7f));
    }

    #[test]
    fn refuses_a_node_that_would_make_the_serial_short_or_negative() {
        for node in [0x00, 0x80, 0xff] {
            assert!(matches!(random_serial(node), Err(KeyError::Node(refused)) if refused == node));
        }
    }
}
