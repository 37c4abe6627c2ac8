//! The few DER elements (ITU-T X.690) that public keys and signatures are made of.

pub(crate) const OCTET_STRING: u8 = 0x04;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// A SEQUENCE of these elements.
pub(crate) fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, &elements.concat())
}

/// A BIT STRING of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0][..], bytes].concat())
}

/// A non-negative INTEGER: no leading zeros but the one that keeps the sign bit clear.
pub(crate) fn integer(big_endian: &[u8]) -> Vec<u8> {
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

/// Any element.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
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
