//! The header of a sealed file is pinned for ever, and its parser is strict.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test may panic, and each suite uses a part of the service"
)]

use data_encoding::{BASE64, HEXLOWER};
use kms_client::{HEADER_LENGTH, Header, HeaderError, SLOT_LENGTH, Slots};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const KEY: &str = "spaces/ingest-lyon/keys/object";

fn golden() -> Header {
    let wrapped: Vec<u8> = (0..100).collect();
    Header::new(KEY, &wrapped).unwrap()
}

#[test]
fn the_format_is_pinned() {
    let slot = golden().to_slot().unwrap();
    let used = SLOT_LENGTH
        - 32
        - slot[..SLOT_LENGTH - 32]
            .iter()
            .rev()
            .take_while(|b| **b == 0)
            .count();
    insta::assert_snapshot!(format!(
        "length {}\ncontent {}\nthen zeros\nchecksum {}\nheader {} bytes, SHA-256 {}",
        slot.len(),
        HEXLOWER.encode(&slot[..used]),
        HEXLOWER.encode(&slot[SLOT_LENGTH - 32..]),
        HEADER_LENGTH,
        HEXLOWER.encode(&Sha256::digest(golden().to_bytes().unwrap())),
    ));
}

/// A whole sealed file that an earlier build wrote; its data key is the bytes 0 to 31.
#[test]
fn a_golden_file_opens() {
    let text = include_str!("golden/sealed.b64").replace('\n', "");
    let file = BASE64.decode(text.as_bytes()).unwrap();
    let slots = Slots::read(&file).unwrap();
    assert_eq!(slots.header, golden());
    assert!(slots.agree && slots.first_is_whole);
    let key: Vec<u8> = (0..32).collect();
    let passphrase = data_encoding::BASE64_NOPAD.encode(&key);
    assert_eq!(passphrase.len(), 43);
    // Stock age, with the data key as its passphrase: nothing of ours is needed to open the content.
    let identity = age::scrypt::Identity::new(passphrase.into());
    let opened = age::decrypt(&identity, &file[HEADER_LENGTH..]).unwrap();
    assert_eq!(opened, b"a golden file\n");
}

#[test]
fn each_fault_has_its_sentence() {
    let whole = golden().to_slot().unwrap();
    let resealed = |change: fn(&mut Vec<u8>)| {
        let mut slot = whole.clone();
        change(&mut slot);
        let sum = Sha256::digest(&slot[..SLOT_LENGTH - 32]);
        slot[SLOT_LENGTH - 32..].copy_from_slice(&sum);
        Header::from_slot(&slot).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            Header::from_slot(b"").unwrap_err().to_string(),
            Header::from_slot(b"PK\x03\x04").unwrap_err().to_string(),
            Header::from_slot(&whole[..5]).unwrap_err().to_string(),
            Header::from_slot(&whole[..100]).unwrap_err().to_string(),
            resealed(|slot| slot[7] = 2),
            resealed(|slot| slot[2000] = 1),
            resealed(|slot| slot[8] = 0xff),
            resealed(|slot| slot[10] = 0xff),
            resealed(|slot| slot[9] = 0),
            {
                let mut slot = whole.clone();
                slot[50] ^= 1;
                Header::from_slot(&slot).unwrap_err().to_string()
            },
            Header::new(KEY, &[0; SLOT_LENGTH]).unwrap_err().to_string(),
        ]
        .join("\n")
    );
}

proptest! {
    #[test]
    fn what_is_written_reads_back(key in "[a-z/-]{1,200}", wrapped in prop::collection::vec(any::<u8>(), 1..600)) {
        let header = Header::new(&key, &wrapped).unwrap();
        let bytes = header.to_bytes().unwrap();
        prop_assert_eq!(bytes.len(), HEADER_LENGTH);
        let slots = Slots::read(&bytes).unwrap();
        prop_assert_eq!(slots.header.key(), key);
        prop_assert_eq!(slots.header.wrapped(), wrapped);
    }

    #[test]
    fn one_whole_slot_is_enough(at in 0..HEADER_LENGTH, bit in 0..8_u32) {
        let mut bytes = golden().to_bytes().unwrap();
        bytes[at] ^= 1 << bit;
        let slots = Slots::read(&bytes).unwrap();
        prop_assert_eq!(slots.header, golden());
        prop_assert!(!slots.agree);
        prop_assert_eq!(slots.first_is_whole, at >= SLOT_LENGTH);
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Slots::read(&bytes).is_err());
        let mut ours = b"EMC2KMS\x01".to_vec();
        ours.extend(bytes);
        ours.resize(SLOT_LENGTH - 32, 0);
        let sum = Sha256::digest(&ours);
        ours.extend_from_slice(&sum);
        // What is accepted is written back bit by bit: there is one form of each header.
        match Header::from_slot(&ours) {
            Ok(header) => prop_assert_eq!(header.to_slot().unwrap(), ours),
            Err(HeaderError::Malformed(_)) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
