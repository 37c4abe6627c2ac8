//! A public key as others want it: SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), DER.

use crate::der::{OCTET_STRING, bit_string, element, integer, sequence};

/// The curve P-256 as `CKA_EC_PARAMS` names it: the DER of OID 1.2.840.10045.3.1.7 (RFC 5480
/// section 2.1.1.1).
pub const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// An RSA key (RFC 8017 appendix A.1.1), from the big-endian modulus and exponent that the token
/// holds.
pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    /// rsaEncryption 1.2.840.113549.1.1.1 with its NULL parameters, as a SEQUENCE.
    const RSA_ENCRYPTION: [u8; 15] = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let key = sequence(&[&integer(modulus), &integer(exponent)]);
    sequence(&[&RSA_ENCRYPTION, &bit_string(&key)])
}

/// A P-256 key (RFC 5480 section 2), from the `CKA_EC_POINT` that the token holds: an uncompressed
/// point in an OCTET STRING (PKCS#11 v2.40 section 2.3.3), or bare, as some tokens have it. `None`
/// where it is neither.
pub(crate) fn p256(point: &[u8]) -> Option<Vec<u8>> {
    /// id-ecPublicKey 1.2.840.10045.2.1.
    const EC_PUBLIC_KEY: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    /// 04, then two coordinates of 32 bytes (SEC 1 section 2.3.3).
    const POINT: usize = 65;
    let bare = match point.len() {
        POINT => point,
        _ => point.get(2..)?,
    };
    let wrapped = element(OCTET_STRING, bare);
    let known = bare.len() == POINT && bare.first() == Some(&4);
    (known && (point == bare || point == wrapped.as_slice())).then(|| {
        let algorithm = sequence(&[&EC_PUBLIC_KEY, &P256]);
        sequence(&[&algorithm, &bit_string(bare)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_taken_in_either_form_and_no_other() {
        let bare = [&[4][..], &[7; 64]].concat();
        let wrapped = [&[4, 65][..], &bare].concat();
        let key = p256(&bare);
        assert_eq!(key.as_ref().map(Vec::len), Some(91));
        assert_eq!(p256(&wrapped), key);
        let compressed = [&[2][..], &[7; 32]].concat();
        let hybrid = [&[6][..], &[7; 64]].concat();
        let longer = [&wrapped[..], &[0]].concat();
        let mislabelled = [&[3, 65][..], &bare].concat();
        for wrong in [compressed, hybrid, longer, mislabelled, vec![], vec![4]] {
            assert_eq!(p256(&wrong), None, "{wrong:02x?}");
        }
    }
}
