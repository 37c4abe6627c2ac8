//! An RSA public key as others want it: SubjectPublicKeyInfo (RFC 5280 section
//! 4.1.2.7, RFC 8017 appendix A.1.1), DER.

/// The DER of a SubjectPublicKeyInfo from the big-endian modulus and exponent that
/// the token holds.
pub(crate) fn subject_public_key_info(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    /// rsaEncryption 1.2.840.113549.1.1.1 with its NULL parameters, as a SEQUENCE.
    const RSA_ENCRYPTION: [u8; 15] = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let key = element(SEQUENCE, &[integer(modulus), integer(exponent)].concat());
    let bits = element(BIT_STRING, &[&[0][..], &key].concat());
    element(SEQUENCE, &[&RSA_ENCRYPTION[..], &bits].concat())
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// A non-negative INTEGER: no leading zeros but the one that keeps the sign bit clear.
fn integer(big_endian: &[u8]) -> Vec<u8> {
    let start = big_endian
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(big_endian.len());
    let magnitude = big_endian.get(start..).unwrap_or_default();
    let mut content = Vec::with_capacity(magnitude.len() + 1);
    if magnitude.first().is_none_or(|byte| *byte >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(magnitude);
    element(INTEGER, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => element.push(short),
        Ok(_) | Err(_) => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|byte| **byte == 0).count();
            let length = length.get(zeros..).unwrap_or_default();
            // At most 8 bytes of length: the count always fits beside the long-form bit.
            element.push(0x80 | u8::try_from(length.len()).unwrap_or(8));
            element.extend_from_slice(length);
        }
    }
    element.extend_from_slice(content);
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        assert_eq!(element(SEQUENCE, &[7; 3]), [0x30, 3, 7, 7, 7]);
        assert!(element(SEQUENCE, &[0; 0x7f]).starts_with(&[0x30, 0x7f]));
        assert!(element(SEQUENCE, &[0; 0x80]).starts_with(&[0x30, 0x81, 0x80]));
        assert!(element(SEQUENCE, &[0; 0x1234]).starts_with(&[0x30, 0x82, 0x12, 0x34]));
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        assert_eq!(integer(&[1, 0, 1]), [2, 3, 1, 0, 1]);
        assert_eq!(integer(&[0, 0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
    }
}
