//! Secrets and names that the authority makes up.

use countersign_ca::{KeyError, random_bytes};
use countersign_core::ids::{AgentId, SecretHash};

/// A secret that is shown once and stored as its hash.
pub(crate) struct FreshSecret {
    pub(crate) text: String,
    pub(crate) hash: SecretHash,
}

impl FreshSecret {
    /// 256 random bits in hex behind a prefix.
    pub(crate) fn new(prefix: &str) -> Result<Self, KeyError> {
        let text = format!("{prefix}{}", hex::encode(random_bytes::<32>()?));
        Ok(Self { hash: SecretHash::of(&text), text })
    }
}

/// A fresh agent id.
pub(crate) fn fresh_agent_id() -> Result<AgentId, KeyError> {
    Ok(AgentId::from(random_bytes::<32>()?))
}

/// Six hex digits to tell apart two devices with one host name.
pub(crate) fn fresh_suffix() -> Result<String, KeyError> {
    Ok(hex::encode(random_bytes::<3>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_carry_256_bits_and_differ() {
        let (one, two) = (FreshSecret::new("brz_").unwrap(), FreshSecret::new("brz_").unwrap());
        assert_eq!(one.text.len(), 4 + 64);
        assert_ne!(one.text, two.text);
        assert_eq!(one.hash, SecretHash::of(&one.text));
    }
}
