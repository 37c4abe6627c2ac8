//! What parses bytes from outside, each as the body of a fuzz target (`fuzz/fuzz_targets`): any
//! bytes at all may come, nothing may panic, and what is understood is written as it was read, so
//! that one thing has one form. An ordinary test runs them over `fuzz/corpus`. The fuzz crate takes
//! this file by its path, to build little under its sanitiser.

#![allow(
    clippy::unwrap_used,
    reason = "what is understood has a written form: a fuzz target fails by a panic"
)]

use kms_client::{Header, Slots};
use kms_core::attestation::Statement;
use kms_core::caller::Identity;
use kms_core::command::LogName;
use kms_core::component::Component;
use kms_core::envelope::Envelope;
use kms_core::frame::{self, Frame};
use kms_core::import::{Byok, Parameters, Receipt};
use kms_core::import_token::ImportToken;
use kms_core::name::{
    DestinationName, DomainName, EdgeName, KeyName, Slug, SpaceName, VersionName,
};
use kms_core::pseudonym::{Identifier, Pseudonym};
use kms_core::quota::QuotaName;
use kms_core::record::{Record, is_entry};
use kms_openid::{Keys, Sealed, Sort};
use std::fmt::Display;
use std::str::FromStr;

/// The body of a fuzz target: whether the bytes were understood.
pub type Body = fn(&[u8]) -> bool;

/// Every target, by the name of its file and of its corpus.
pub const TARGETS: [(&str, Body); 15] = [
    ("envelope", envelope),
    ("pseudonym", pseudonym),
    ("import_token", import_token),
    ("attestation", attestation),
    ("byok", byok),
    ("import_parameters", import_parameters),
    ("import_receipt", import_receipt),
    ("name", name),
    ("identity", identity),
    ("record", record),
    ("frame", frame),
    ("file_header", file_header),
    ("token", token),
    ("key_set", key_set),
    ("component", component),
];

/// A ciphertext.
pub fn envelope(bytes: &[u8]) -> bool {
    let Ok(envelope) = Envelope::parse(bytes) else {
        return false;
    };
    assert_eq!(envelope.to_bytes(), bytes);
    true
}

/// A pseudonym, which may come in capitals.
pub fn pseudonym(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let parsed = Pseudonym::parse(text);
    assert_eq!(Identifier::pseudonym(text).is_ok(), parsed.is_ok());
    let Ok(pseudonym) = parsed else { return false };
    assert_eq!(pseudonym.to_text().unwrap(), text.to_ascii_lowercase());
    true
}

/// One holder's component of a key, on a sheet of whatever words.
pub fn component(bytes: &[u8]) -> bool {
    let read = str::from_utf8(bytes).ok();
    let read = read.and_then(|text| Component::parse(text).ok());
    let Some(component) = read else { return false };
    assert!(Component::parse(&component.lines()).unwrap() == component);
    true
}

/// An import token.
pub fn import_token(bytes: &[u8]) -> bool {
    let Ok((token, mac)) = ImportToken::parse(bytes) else {
        return false;
    };
    assert_eq!(token.to_bytes(&mac), bytes);
    true
}

/// A `.byok` file, which other tools write with spaces of their own.
pub fn byok(bytes: &[u8]) -> bool {
    let Ok(file) = Byok::parse(bytes) else {
        return false;
    };
    assert_eq!(Byok::parse(&file.encode().unwrap()).unwrap(), file);
    true
}

/// Import parameters.
pub fn import_parameters(bytes: &[u8]) -> bool {
    let Ok(parameters) = Parameters::parse(bytes) else {
        return false;
    };
    assert_eq!(parameters.encode().unwrap(), bytes);
    true
}

/// A receipt of an import.
pub fn import_receipt(bytes: &[u8]) -> bool {
    let Ok(receipt) = Receipt::parse(bytes) else {
        return false;
    };
    assert_eq!(receipt.encode().unwrap(), bytes);
    true
}

/// An attestation of destruction.
pub fn attestation(bytes: &[u8]) -> bool {
    let Ok(statement) = Statement::parse(bytes) else {
        return false;
    };
    assert_eq!(statement.encode().unwrap(), bytes);
    true
}

/// Names of resources.
pub fn name(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let understood = [
        one_form::<Slug>(text),
        one_form::<SpaceName>(text),
        one_form::<DomainName>(text),
        one_form::<DestinationName>(text),
        one_form::<EdgeName>(text),
        one_form::<KeyName>(text),
        one_form::<VersionName>(text),
        one_form::<QuotaName>(text),
    ];
    let several = understood.iter().filter(|one| **one).count();
    assert!(several <= 1, "a text names several sorts of thing");
    several == 1
}

/// The URI of a certificate.
pub fn identity(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok_and(one_form::<Identity>)
}

fn one_form<T: FromStr + Display>(text: &str) -> bool {
    let Ok(parsed) = text.parse::<T>() else {
        return false;
    };
    assert_eq!(parsed.to_string(), text);
    true
}

/// An entry of a log.
pub fn record(bytes: &[u8]) -> bool {
    let both = is_entry(LogName::Changes, 0, bytes) && is_entry(LogName::Uses, 0, bytes);
    assert!(!both, "an entry of two logs");
    let Ok(record) = Record::decode(bytes) else {
        return false;
    };
    let again = record.encode().unwrap();
    assert_eq!(Record::decode(&again).unwrap(), record);
    true
}

/// A segment of a log, entry by entry.
pub fn frame(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut written = Vec::new();
    while let Frame::Whole { entry, rest: after } = frame::first(rest) {
        assert!(frame::push(&mut written, entry));
        assert!(after.len() < rest.len(), "no step forward");
        rest = after;
    }
    let read = bytes.len() - rest.len();
    assert_eq!(Some(written.as_slice()), bytes.get(..read));
    read > 0
}

/// The header of a sealed file.
pub fn file_header(bytes: &[u8]) -> bool {
    let slot = Header::from_slot(bytes);
    if let Ok(header) = &slot {
        assert_eq!(header.to_slot().unwrap(), bytes);
    }
    let Ok(slots) = Slots::read(bytes) else {
        return slot.is_ok();
    };
    assert_eq!(
        Header::from_slot(&slots.header.to_slot().unwrap()).unwrap(),
        slots.header
    );
    true
}

/// The header of a token, of either sort and never of both. Without the key that it names nothing
/// of it is believed.
pub fn token(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let none = Keys::read(br#"{"keys":[]}"#).unwrap();
    let understood = [Sort::Access, Sort::Identity].map(|sort| {
        let Ok(sealed) = Sealed::read(text, sort) else {
            return false;
        };
        assert!(!none.know(&sealed) && none.open(&sealed).is_err());
        true
    });
    assert_ne!(understood, [true, true], "a token of two sorts");
    understood.contains(&true)
}

/// The keys of an OpenID provider.
pub fn key_set(bytes: &[u8]) -> bool {
    Keys::read(bytes).is_some()
}
