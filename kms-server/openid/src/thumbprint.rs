//! The certificate that a token is bound to.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256 of a certificate (DER): `x5t#S256` of RFC 8705, section 3.1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Of this certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Thumbprint(Sha256::digest(der).into())
    }

    /// From 64 lower-case hexadecimal digits, as `Caller::Peer` has it.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Thumbprint(bytes.try_into().ok()?))
    }

    /// As a token has it: base64url without padding.
    #[must_use]
    pub fn to_base64url(self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    /// As `Caller::Peer` has it.
    #[must_use]
    pub fn to_hex(self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({})", self.to_hex())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn one_value_in_two_forms() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let empty = Thumbprint::of(b"");
        assert_eq!(empty.to_hex(), hex);
        assert_eq!(Thumbprint::from_hex(hex).unwrap(), empty);
        assert_eq!(
            empty.to_base64url(),
            "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
        );
        for wrong in ["", "e3b0", &hex.to_uppercase(), &format!("{hex}00")] {
            assert_eq!(Thumbprint::from_hex(wrong), None);
        }
    }
}
