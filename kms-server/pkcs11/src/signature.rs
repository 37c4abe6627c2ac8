//! ECDSA signatures as others want them.

use crate::der::{integer, sequence};

/// The ECDSA-Sig-Value (RFC 3279 section 2.2.3), DER, of r and s one after the other, as `CKM_ECDSA`
/// gives them (PKCS#11 v2.40 section 2.3.1). `None` where they are not two halves.
pub(crate) fn ecdsa_signature(r_and_s: &[u8]) -> Option<Vec<u8>> {
    let half = r_and_s.len() / 2;
    let (r, s) = r_and_s.split_at_checked(half)?;
    let halves = half > 0 && r.len() == s.len();
    halves.then(|| sequence(&[&integer(r), &integer(s)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_halves_become_two_integers() {
        let mut raw = [0; 64];
        raw[31] = 1;
        raw[32] = 0x80;
        let expected = [&[0x30, 3 + 35, 2, 1, 1, 2, 33, 0, 0x80][..], &[0; 31]].concat();
        assert_eq!(ecdsa_signature(&raw), Some(expected));
        assert_eq!(ecdsa_signature(&[]), None);
        assert_eq!(ecdsa_signature(&[1; 63]), None);
    }
}
