//! Pseudonyms and what they are evaluated from: both golden for ever.
//!
//! A pseudonym is `h1-{code}-v{version}-1{data}{check}`: a Bech32m string (BIP-350) whose
//! human-readable part says the function (`h1`: HMAC-SHA-256, the leftmost 160 bits, of the input
//! below), the edge (its code) and the version of its key. The data are 160 bits in 32 characters
//! (no padding: one value, one text), the check six more. Lower case; an upper-case copy is read
//! as the same, a mixed-case one is refused.
//!
//! The input of function `h1` is: the length-prefixed label `emc2-kms/pseudonym/v1`, one byte for
//! the type, then each field of that type, length-prefixed (32-bit big-endian):
//!
//! | type | byte | fields |
//! | --- | --- | --- |
//! | opaque | 1 | the identifier: 1 to 256 printable ASCII characters, no space at either end; what begins with `h1-` is a whole pseudonym in lower case |
//! | pseudonym | 2 | the 20 bytes that a parent's pseudonym stands for |
//! | nir | 3 | the 13 characters without the key; the birth date `YYYY-MM-DD`; the sex, `1` or `2` |

use crate::codec;
use crate::error::{Error, Result};
use crate::nir::Nir;
use crate::space::{EdgeCode, InputType};
use bech32::{Bech32m, Hrp};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

const LABEL: &[u8] = b"emc2-kms/pseudonym/v1";
const FUNCTION: &str = "h1";

/// The bytes that a pseudonym stands for: 160 bits.
pub const VALUE_LEN: usize = 20;

/// A pseudonym, taken apart. It never shows itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Pseudonym {
    /// The edge that it was evaluated along.
    pub code: EdgeCode,
    /// The version of the edge's key.
    pub version: u32,
    /// What it stands for.
    pub value: [u8; VALUE_LEN],
}

impl Drop for Pseudonym {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonym { redacted }")
    }
}

impl Pseudonym {
    /// The pseudonym of this evaluation: `output` is the HMAC-SHA-256 of the input, 32 bytes, of
    /// which the leftmost 160 bits are kept (RFC 2104 section 5).
    ///
    /// # Errors
    /// `Internal` when the output is not 32 bytes long.
    pub fn of_output(code: EdgeCode, version: u32, output: &[u8]) -> Result<Self> {
        let value = output
            .first_chunk::<VALUE_LEN>()
            .filter(|_| output.len() == 32);
        match value {
            Some(value) => Ok(Pseudonym {
                code,
                version,
                value: *value,
            }),
            None => Err(Error::internal(
                "the HSM's HMAC-SHA-256 is not 32 bytes long",
            )),
        }
    }

    /// Its text.
    ///
    /// # Errors
    /// `Internal` if the text could not be made, which no code and version allow.
    pub fn to_text(&self) -> Result<String> {
        let prefix = format!("{FUNCTION}-{}-v{}-", self.code, self.version);
        let hrp = Hrp::parse(&prefix).map_err(|e| Error::internal(e.to_string()))?;
        bech32::encode_lower::<Bech32m>(hrp, &self.value)
            .map_err(|e| Error::internal(e.to_string()))
    }

    /// Takes a pseudonym apart. It is outside input: nothing about it is trusted.
    ///
    /// # Errors
    /// `Invalid`, with a sentence that does not repeat it.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong =
            |what: &str| Error::invalid("pseudonym", format!("this is not a pseudonym: {what}"));
        let checked =
            bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text).map_err(|e| {
                wrong("its check does not hold; it was mistyped or cut").because(check_cause(&e))
            })?;
        let prefix = checked.hrp().to_lowercase();
        let mut parts = prefix.strip_suffix('-').unwrap_or("").split('-');
        let (Some(FUNCTION), Some(code), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong(
                "its prefix does not name a function, an edge and a version",
            ));
        };
        let number = version
            .strip_prefix('v')
            .filter(|v| !v.starts_with(['0', '+']));
        let version = number
            .and_then(|v| v.parse().ok())
            .ok_or_else(|| wrong("its version is not a number"))?;
        let code = code
            .parse()
            .map_err(|e: Error| wrong("its edge is not a code").because(e))?;
        let data: Zeroizing<Vec<u8>> = Zeroizing::new(checked.byte_iter().collect());
        let value = <[u8; VALUE_LEN]>::try_from(data.as_slice())
            .map_err(|e| wrong("its length is not that of a pseudonym").because(e))?;
        let pseudonym = Pseudonym {
            code,
            version,
            value,
        };
        // One value, one text: whatever would be written otherwise is not ours.
        if pseudonym.to_text()? == text.to_ascii_lowercase() {
            Ok(pseudonym)
        } else {
            Err(wrong("it is not in its one form"))
        }
    }
}

/// What the decoder saw, without the characters that it saw.
fn check_cause(error: &bech32::primitives::decode::CheckedHrpstringError) -> &'static str {
    use bech32::primitives::decode::CheckedHrpstringError as E;
    match error {
        E::Parse(_) => "parse",
        E::Checksum(_) => "checksum",
        _ => "other",
    }
}

/// An identifier, of the type that an edge declares. It never shows itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub enum Identifier {
    /// From outside.
    Opaque(Zeroizing<String>),
    /// A parent's pseudonym.
    Pseudonym(Pseudonym),
    /// A national identifier.
    Nir(Nir),
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identifier { redacted }")
    }
}

impl Identifier {
    /// The longest opaque identifier, in bytes.
    pub const OPAQUE_MAX: usize = 256;

    /// An opaque identifier.
    ///
    /// # Errors
    /// `Invalid` when it has not the one form that an identifier may have, so that one person
    /// never has two.
    pub fn opaque(text: Zeroizing<String>) -> Result<Self> {
        let printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
        let trimmed = text.trim_matches(' ').len() == text.len();
        if !(printable && trimmed && (1..=Self::OPAQUE_MAX).contains(&text.len())) {
            return Err(Error::invalid(
                "identifier",
                "an opaque identifier has 1 to 256 printable ASCII characters and no space at \
                 either end",
            ));
        }
        // Another deployment's pseudonym, as it arrives. Mistyped or in capitals it would be
        // somebody else's.
        let lead = text.split_once('-').map_or("", |(lead, _)| lead);
        if lead.eq_ignore_ascii_case(FUNCTION) {
            Pseudonym::parse(&text)?;
            if text.bytes().any(|b| b.is_ascii_uppercase()) {
                return Err(Error::invalid(
                    "identifier",
                    "this is a pseudonym in capitals; send it in lower case, as it was made",
                ));
            }
        }
        Ok(Identifier::Opaque(text))
    }

    /// A parent's pseudonym.
    ///
    /// # Errors
    /// As [`Pseudonym::parse`].
    pub fn pseudonym(text: &str) -> Result<Self> {
        Pseudonym::parse(text).map(Identifier::Pseudonym)
    }

    /// Its type.
    #[must_use]
    pub fn input_type(&self) -> InputType {
        match self {
            Identifier::Opaque(_) => InputType::Opaque,
            Identifier::Pseudonym(_) => InputType::Pseudonym,
            Identifier::Nir(_) => InputType::Nir,
        }
    }

    /// In bytes, as it came: a pseudonym by what it stands for.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Identifier::Opaque(text) => text.len(),
            Identifier::Pseudonym(_) => VALUE_LEN,
            Identifier::Nir(nir) => nir.fields().iter().map(|field| field.len()).sum(),
        }
    }

    /// What the HSM evaluates.
    #[must_use]
    pub fn canonical(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Identifier::Opaque(text) => typed(1, &[text.as_bytes()]),
            Identifier::Pseudonym(parent) => typed(2, &[&parent.value]),
            Identifier::Nir(nir) => typed(3, &nir.fields()),
        }
    }
}

/// Label, type and fields.
fn typed(tag: u8, fields: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length: usize = fields.iter().map(|field| field.len() + 4).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(LABEL.len() + 5 + length));
    codec::put(&mut out, LABEL);
    out.push(tag);
    for field in fields {
        codec::put(&mut out, field);
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    fn sample() -> Pseudonym {
        let output: Vec<u8> = (0..32).collect();
        Pseudonym::of_output("whlink".parse().unwrap(), 1, &output).unwrap()
    }

    #[test]
    fn golden_text() {
        let text = sample().to_text().unwrap();
        assert_eq!(text, "h1-whlink-v1-1qqqsyqcyq5rqwzqfpg9scrgwpugpzysn75p995");
        assert_eq!(Pseudonym::parse(&text).unwrap(), sample());
        assert_eq!(Pseudonym::parse(&text.to_uppercase()).unwrap(), sample());
    }

    #[test]
    fn golden_input() {
        let opaque = Identifier::opaque(Zeroizing::new("FR-42".into())).unwrap();
        assert_eq!(
            HEXLOWER.encode(&opaque.canonical()),
            "00000015656d63322d6b6d732f70736575646f6e796d2f763101000000 0546522d3432"
                .replace(' ', "")
        );
        let parent = Identifier::Pseudonym(sample());
        assert_eq!(
            HEXLOWER.encode(&parent.canonical()),
            "00000015656d63322d6b6d732f70736575646f6e796d2f76310200000014000102030405060708090a0b0c0d0e0f10111213"
        );
        let nir = Nir::new("255082A16802597", "1955-08-03", "2").unwrap();
        assert_eq!(
            HEXLOWER.encode(&Identifier::Nir(nir).canonical()),
            "00000015656d63322d6b6d732f70736575646f6e796d2f7631030000000d32353530383241313638303235\
             0000000a313935352d30382d30330000000132"
        );
    }

    #[test]
    fn identifiers_have_one_form() {
        for wrong in ["", " a", "a ", "a\n", "é", "a\tb"] {
            assert!(
                Identifier::opaque(Zeroizing::new(wrong.into())).is_err(),
                "{wrong:?}"
            );
        }
        assert!(Identifier::opaque(Zeroizing::new("x".repeat(257))).is_err());
        let arrives = sample().to_text().unwrap();
        assert!(Identifier::opaque(Zeroizing::new(arrives.clone())).is_ok());
        for wrong in [
            arrives.to_uppercase(),
            format!("{arrives}q"),
            "h1-".into(),
            "H1-77".into(),
        ] {
            assert!(
                Identifier::opaque(Zeroizing::new(wrong.clone())).is_err(),
                "{wrong:?}"
            );
        }
        assert!(Identifier::opaque(Zeroizing::new("A B-1".into())).is_ok());
    }

    proptest! {
        #[test]
        fn every_value_reads_back(value in any::<[u8; 20]>(), version in 1u32.., code in "[a-z][a-z0-9]{1,9}") {
            let pseudonym = Pseudonym { code: code.parse().unwrap(), version, value };
            let text = pseudonym.to_text().unwrap();
            prop_assert!(text.len() <= 65);
            prop_assert_eq!(Pseudonym::parse(&text).unwrap(), pseudonym);
        }

        #[test]
        fn one_wrong_character_is_noticed(position in 0usize..200, other in "[a-z0-9]") {
            let text = sample().to_text().unwrap();
            let position = position % text.len();
            let mut mistyped = text.clone();
            mistyped.replace_range(position..=position, &other);
            prop_assert!(mistyped == text || Pseudonym::parse(&mistyped).is_err());
        }

        #[test]
        fn any_text_is_refused_or_written_back(text in "(h1-[a-z0-9]{0,5}-v[0-9]{0,3}-1)?[ -~]{0,60}") {
            if let Ok(pseudonym) = Pseudonym::parse(&text) {
                prop_assert_eq!(pseudonym.to_text().unwrap(), text.to_ascii_lowercase());
            }
        }
    }
}
