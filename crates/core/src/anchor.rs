//! Anchors: what the ends of all audit chains were at a moment, as the text that is signed.
//!
//! The text is the only encoding: it is signed as it stands, and whoever reads it back writes the very
//! same text or refuses it, so that no two texts mean one anchor.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::audit::ChainHash;
use crate::identity::TrustDomain;
use crate::ids::Tenant;
use crate::time::Timestamp;

/// The first line of every statement: nothing else that is signed begins so.
pub const ANCHOR_FORMAT: &str = "countersign-audit-anchor-v1";

/// How the platform's own chain is called where a tenant's slug would stand; no slug is like it.
pub const PLATFORM_CHAIN: &str = "-";

/// What the ends of all audit chains were at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorStatement {
    /// The installation's name.
    pub trust_domain: TrustDomain,
    /// SHA-256 of the root's certificate: the installation itself, whatever it is called.
    pub installation: ChainHash,
    /// Which anchor it is, from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The hash of the anchor before it; zeros for the first.
    pub previous: ChainHash,
    /// The ends, the platform's own first, then by slug, each chain once.
    pub heads: Vec<AnchoredHead>,
}

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchoredHead {
    /// Whose; `None`: the platform's own.
    pub tenant: Option<Tenant>,
    /// The number of its last entry, from 1.
    pub sequence: u64,
    /// The chain's hash after it.
    pub hash: ChainHash,
}

/// A text that is no anchor's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnchorError {
    /// Another format, or none.
    #[error("it does not begin with the line {ANCHOR_FORMAT}")]
    Format,
    /// A line that is missing or malformed.
    #[error("there is no valid {0:?} line where one belongs")]
    Line(&'static str),
    /// Readable, but not written as an anchor is.
    #[error("it is not written as anchors are: their text has one spelling")]
    Spelling,
}

impl AnchorStatement {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }

    /// What the next anchor names as its previous one: SHA-256 of the text.
    #[must_use]
    pub fn hash(&self) -> ChainHash {
        Sha256::digest(self.text()).into()
    }

    /// The anchored end of a chain.
    #[must_use]
    pub fn head(&self, tenant: Option<&Tenant>) -> Option<&AnchoredHead> {
        self.heads.iter().find(|head| head.tenant.as_ref() == tenant)
    }

    /// How many entries it vouches for.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.heads.iter().fold(0, |sum, head| sum.saturating_add(head.sequence))
    }
}

impl fmt::Display for AnchorStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{ANCHOR_FORMAT}")?;
        writeln!(f, "installation {} {}", self.trust_domain, hex::encode(self.installation))?;
        writeln!(f, "number {}", self.number)?;
        writeln!(f, "at {}", self.at)?;
        writeln!(f, "previous {}", hex::encode(self.previous))?;
        for AnchoredHead { tenant, sequence, hash } in &self.heads {
            let chain = tenant.as_ref().map_or(PLATFORM_CHAIN, Tenant::as_str);
            writeln!(f, "chain {chain} {sequence} {}", hex::encode(hash))?;
        }
        Ok(())
    }
}

impl FromStr for AnchorStatement {
    type Err = AnchorError;

    /// Fails closed: refuses every text but the one that [`AnchorStatement::text`] gives.
    fn from_str(text: &str) -> Result<Self, AnchorError> {
        let mut lines = text.lines();
        if lines.next() != Some(ANCHOR_FORMAT) {
            return Err(AnchorError::Format);
        }
        let mut value = |name: &'static str| {
            let words = lines.next().and_then(|line| line.split_once(' '));
            words.filter(|(said, _)| *said == name).map(|(_, value)| value).ok_or(AnchorError::Line(name))
        };
        let bad = AnchorError::Line;
        let installation = value("installation")?.split_once(' ').ok_or(bad("installation"))?;
        let statement = Self {
            trust_domain: installation.0.parse().map_err(|_invalid| bad("installation"))?,
            installation: hash(installation.1).ok_or(bad("installation"))?,
            number: value("number")?.parse().map_err(|_invalid| bad("number"))?,
            at: Timestamp::parse(value("at")?).map_err(|_invalid| bad("at"))?,
            previous: hash(value("previous")?).ok_or(bad("previous"))?,
            heads: lines.map(|line| head(line).ok_or(bad("chain"))).collect::<Result<_, _>>()?,
        };
        let is_ordered = statement.heads.is_sorted_by(|one, next| one.tenant < next.tenant);
        if is_ordered && statement.text() == text { Ok(statement) } else { Err(AnchorError::Spelling) }
    }
}

fn head(line: &str) -> Option<AnchoredHead> {
    let mut words = line.split(' ');
    let (Some("chain"), Some(chain), Some(sequence), Some(after), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return None;
    };
    let tenant = if chain == PLATFORM_CHAIN { None } else { Some(chain.parse().ok()?) };
    Some(AnchoredHead { tenant, sequence: sequence.parse().ok()?, hash: hash(after)? })
}

fn hash(text: &str) -> Option<ChainHash> {
    let mut bytes = ChainHash::default();
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> AnchorStatement {
        let head = |tenant: Option<&str>, sequence| AnchoredHead {
            tenant: tenant.map(|slug| slug.parse().unwrap()),
            sequence,
            hash: [0xab; 32],
        };
        AnchorStatement {
            trust_domain: TrustDomain::default(),
            installation: [1; 32],
            number: 7,
            at: Timestamp::from_millis(1_700_000_000_123),
            previous: [2; 32],
            heads: vec![head(None, 12), head(Some("acme"), 3), head(Some("b-2"), 1)],
        }
    }

    #[test]
    fn a_statement_reads_back_from_its_text() {
        let text = statement().text();
        let (zeros, ones, hash) = ("02".repeat(32), "01".repeat(32), "ab".repeat(32));
        assert_eq!(
            text,
            format!(
                "countersign-audit-anchor-v1\ninstallation countersign.internal {ones}\nnumber 7\n\
                 at 2023-11-14T22:13:20.123Z\nprevious {zeros}\nchain - 12 {hash}\nchain acme 3 {hash}\n\
                 chain b-2 1 {hash}\n"
            )
        );
        assert_eq!(text.parse(), Ok(statement()));
        assert_eq!(statement().entries(), 16);
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let good = statement().text();
        for bad in [
            String::new(),
            good.replace("-v1", "-v2"),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            good.replace('\n', "\r\n"),
            good.replace("number 7", "number 07"),
            good.replace("number 7", "number +7"),
            good.replace("ab", "AB"),
            good.replace("20.123Z", "20.1230Z"),
            good.replace("chain acme", "chain aaaa b"),
            good.replace("chain acme", "chain zzzz"),
            good.replace("chain acme", "chain b-2"),
            good.replace("chain acme", "chain -"),
            good.replace("previous", "prior"),
            good.replace("chain - 12", "chain - -12"),
        ] {
            assert!(bad.parse::<AnchorStatement>().is_err(), "{bad}");
        }
    }

    #[test]
    fn each_field_changes_the_hash() {
        let one = statement();
        let others = [
            AnchorStatement { installation: [3; 32], ..one.clone() },
            AnchorStatement { number: 8, ..one.clone() },
            AnchorStatement { at: Timestamp::from_secs(0), ..one.clone() },
            AnchorStatement { previous: [0; 32], ..one.clone() },
            AnchorStatement { heads: Vec::new(), ..one.clone() },
        ];
        for other in others {
            assert_ne!(other.hash(), one.hash());
        }
    }
}
