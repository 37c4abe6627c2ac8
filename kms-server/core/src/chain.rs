//! Following one person along the edges, for their rights of access, opposition and erasure (GDPR,
//! articles 15, 17, 21): a permission that others agreed to, for one person, for an hour.
//!
//! Nobody who agrees learns who it is, and nothing of it is written down: the permission holds a
//! commitment, SHA-256 over 32 random bytes that only the asker has and the canonical input of the
//! edge. Without these bytes it cannot be tried out against every identifier there is.

use crate::caller::Principal;
use crate::codec;
use crate::error::{Error, Result};
use crate::key::Moved;
use crate::name::{ChainName, EdgeName, ProposalName};
use crate::pseudonym::Identifier;
use crate::time::{DAY, HOUR, Time};
use crate::view::View;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// How long a permission lasts, in milliseconds.
pub const LASTING: u64 = HOUR;

/// So many people may be followed in 24 hours, whoever asks: rights are exercised one by one.
pub const A_DAY: usize = 20;

/// The length of the random bytes.
pub const SALT: usize = 32;

const LABEL: &[u8] = b"emc2-kms/chain/v1";

/// That one person may be followed, from one edge on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Its name, which follows from the commitment.
    pub name: ChainName,
    /// The edge that the person's identifier is evaluated along first.
    pub edge: EdgeName,
    /// The person who is followed.
    pub commitment: Commitment,
    /// Who may follow them.
    pub asker: Principal,
    /// Until when.
    pub until: Time,
    /// The proposal in which others agreed; none in a development deployment.
    pub proposal: Option<ProposalName>,
    /// When it was allowed, who asked, why.
    pub moved: Moved,
}

/// One person, told to nobody: hexadecimal SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Commitment(String);

impl Commitment {
    /// To this identifier, with these random bytes.
    #[must_use]
    pub fn to(identifier: &Identifier, salt: &[u8; SALT]) -> Self {
        let mut input = Zeroizing::new(Vec::new());
        codec::put(&mut input, LABEL);
        codec::put(&mut input, salt);
        codec::put(&mut input, &identifier.canonical());
        Commitment(HEXLOWER.encode(&Sha256::digest(input.as_slice())))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Chain {
    /// Whether it holds, for this principal.
    #[must_use]
    pub fn holds(&self, who: &Principal, now: Time) -> bool {
        now < self.until && self.asker == *who
    }
}

/// How many people may be followed before more than [`A_DAY`] were in 24 hours.
#[must_use]
pub fn left(view: &View, now: Time) -> usize {
    let lately = |chain: &&Chain| chain.moved.time.plus_millis(DAY) > now;
    A_DAY.saturating_sub(view.chains().filter(lately).count())
}

impl std::str::FromStr for Commitment {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if lower && text.len() == 64 {
            Ok(Commitment(text.to_owned()))
        } else {
            Err(Error::invalid(
                "commitment",
                "a commitment is SHA-256 in 64 hexadecimal digits, in lower case",
            ))
        }
    }
}

impl TryFrom<String> for Commitment {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Commitment> for String {
    fn from(commitment: Commitment) -> String {
        commitment.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn golden_commitment() {
        let person = |text: &str| Identifier::opaque(Zeroizing::new(text.into())).unwrap();
        let one = Commitment::to(&person("FR-42"), &[7; SALT]);
        let golden = "94102b6b5321b854d6c7e6c3bf3c5f7b1cd69c995855f56ba011f523a18d2d2b";
        assert_eq!(one.as_str(), golden);
        assert_ne!(one, Commitment::to(&person("FR-43"), &[7; SALT]));
        assert_ne!(one, Commitment::to(&person("FR-42"), &[8; SALT]));
        assert_eq!(one.as_str().parse::<Commitment>().unwrap(), one);
        assert!(one.as_str().to_uppercase().parse::<Commitment>().is_err());
    }
}
