//! R-093, property by property, through the service.

use crate::{CALL, LINK, LOCAL, allow, also, declare, evaluate, parsed};
use kms_core::pseudonym::Pseudonym;
use kms_proto::v1::{
    self, crypto_service_client::CryptoServiceClient, identifier::Identifier::Pseudonym as Given,
};
use sha2::{Digest, Sha256};
use softhsm_tests::gateway::{Gateway, identifier};
use softhsm_tests::{Deployment, setting::scaled};

const WHO: &str = "measurer";

/// Two edges into the warehouse, of two domains; one service evaluates both.
fn deployment() -> Deployment {
    let kms = Deployment::emc2()
        .bindings(&also(WHO, &[LINK, LOCAL]))
        .start();
    kms.furnish();
    declare(
        &kms,
        "domains:
  - {name: local, title: One hospital's own}
edges:
  - {target: warehouse, domain: local, code: whlocal, input: opaque, exportable: false}
",
    );
    for edge in ["warehouse/link", "warehouse/local"] {
        allow(&kms, edge, 100_000_000);
    }
    kms
}

fn number(number: usize) -> String {
    format!("{number:012}")
}

/// Deterministic: the same for ever, also behind a restart and a crash.
#[test]
fn the_same_identifier_has_the_same_pseudonym() {
    let mut kms = deployment();
    let people = scaled(1_000_000);
    let digest = |kms: &mut Deployment| {
        let gateway = Gateway::connect(kms, WHO);
        let mut digest = Sha256::new();
        for first in (0..people).step_by(CALL) {
            let those = (first..people.min(first + CALL)).map(number);
            for pseudonym in evaluate(&gateway, LINK, those) {
                digest.update(pseudonym.to_text().unwrap());
            }
        }
        digest.finalize()
    };
    let first = digest(&mut kms);
    assert!(kms.terminate().success());
    kms.restart();
    assert_eq!(digest(&mut kms), first);
    kms.kill();
    kms.restart();
    assert_eq!(digest(&mut kms), first);
}

/// Free of collisions: as many pseudonyms as people.
#[test]
fn no_two_identifiers_share_a_pseudonym() {
    let mut kms = deployment();
    let people = scaled(10_000_000);
    let gateway = Gateway::connect(&mut kms, WHO);
    let mut values = Vec::with_capacity(people);
    for first in (0..people).step_by(CALL) {
        let those = (first..people.min(first + CALL)).map(number);
        let made = evaluate(&gateway, LINK, those);
        values.extend(made.iter().map(|pseudonym| pseudonym.value));
    }
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), people);
}

/// Avalanche: one bit of the identifier changes half of the pseudonym's, wherever.
#[test]
fn one_bit_changes_half_of_them() {
    let mut kms = deployment();
    let gateway = Gateway::connect(&mut kms, WHO);
    let pairs = scaled(1_000_000);
    let (mut flipped, mut by_bit) = (0_u64, [0_u64; 160]);
    for first in (0..pairs).step_by(CALL) {
        let those = || first..pairs.min(first + CALL);
        let one = evaluate(&gateway, LINK, those().map(number));
        // One of the four low bits of one of the twelve digits: it stays printable.
        let other = those().map(|at| {
            let mut text = number(at).into_bytes();
            text[at % 12] ^= 1 << (at / 12 % 4);
            String::from_utf8(text).unwrap()
        });
        let other = evaluate(&gateway, LINK, other);
        for (one, other) in one.iter().zip(&other) {
            for (bit, count) in by_bit.iter_mut().enumerate() {
                let differs = (one.value[bit / 8] ^ other.value[bit / 8]) >> (bit % 8) & 1;
                *count += u64::from(differs);
                flipped += u64::from(differs);
            }
        }
    }
    let share = |count: u64, of: u64| 100.0 * to_float(count) / to_float(of);
    let mean = share(flipped, counted(pairs) * 160);
    assert!((49.5..=50.5).contains(&mean), "{mean} % of the bits change");
    // Each bit alone within six standard deviations of a fair coin's.
    let six = 6.0 * 50.0 / to_float(counted(pairs)).sqrt();
    for (bit, count) in by_bit.iter().enumerate() {
        let share = share(*count, counted(pairs));
        assert!((share - 50.0).abs() < six, "bit {bit} changes in {share} %");
    }
}

/// Parameterised by a secret: two keys have nothing to do with each other.
#[test]
fn two_keys_are_two_functions() {
    let mut kms = deployment();
    let gateway = Gateway::connect(&mut kms, WHO);
    let people = scaled(100_000);
    let (mut same, mut by_link, mut by_local) = (0_u64, vec![], vec![]);
    for first in (0..people).step_by(CALL) {
        let those = || (first..people.min(first + CALL)).map(number);
        by_link.extend(evaluate(&gateway, LINK, those()));
        by_local.extend(evaluate(&gateway, LOCAL, those()));
    }
    for (one, other) in by_link.iter().zip(&by_local) {
        let bits = one.value.iter().zip(&other.value);
        same += bits
            .map(|(a, b)| u64::from((!(a ^ b)).count_ones()))
            .sum::<u64>();
    }
    let mean = 100.0 * to_float(same) / to_float(160 * counted(people));
    assert!((49.5..=50.5).contains(&mean), "{mean} % of the bits agree");
    let mut all: Vec<_> = by_link.iter().chain(&by_local).map(|p| p.value).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 2 * people);
}

/// Identifiable: it says which function, edge and version made it, and a mistyped one is noticed.
/// Irreversible: no call takes it back, whoever asks.
#[test]
fn a_pseudonym_says_what_made_it_and_nothing_takes_it_back() {
    let mut kms = deployment();
    let gateway = Gateway::connect(&mut kms, WHO);
    let made = evaluate(&gateway, LINK, std::iter::once(number(1))).remove(0);
    let text = made.to_text().unwrap();
    assert!(text.starts_with("h1-whlink-v1-1"), "{text}");
    assert_eq!((made.code.as_str(), made.version), ("whlink", 1));
    let last = if text.ends_with('q') { 'p' } else { 'q' };
    let mistyped = format!("{}{last}", &text[..text.len() - 1]);
    assert!(Pseudonym::parse(&mistyped).is_err());

    // What was made along an edge is nothing that the edge takes, nor does it come out again where it
    // is taken: twice evaluated is not the identifier.
    let own = vec![identifier(Given(text.clone()))];
    let refused = gateway.evaluate(LINK, own).unwrap().remove(0).unwrap_err();
    assert!(refused.message().contains("opaque"), "{refused:?}");
    let again = evaluate(&gateway, LINK, std::iter::once(text.clone())).remove(0);
    assert_ne!(again.value, made.value);

    // Every call that gives back what went in, with the edge's key.
    let name = format!("spaces/warehouse/keys/edge-{}", "link");
    for id in ["olivia", "hugo", "warehouse-etl", "stella", WHO] {
        let asker = Gateway::connect(&mut kms, id);
        assert!(asker.decrypt(&name, text.as_bytes(), &[]).is_err(), "{id}");
        assert!(asker.decrypt(&name, &made.value, &[]).is_err(), "{id}");
        let moved = asker.call(async |channel| {
            let request = v1::ReEncryptRequest {
                name: name.clone(),
                ciphertext: made.value.to_vec(),
                context: [].into(),
            };
            CryptoServiceClient::new(channel).re_encrypt(request).await
        });
        assert!(moved.is_err(), "{id}");
    }
}

/// The other edge out of the same graph takes a parent's pseudonym by what it stands for: capitals
/// are the same person.
#[test]
fn a_parents_pseudonym_is_taken_by_its_value() {
    let project = "spaces/project-01/edges/warehouse";
    let mut kms = deployment();
    let parent = Gateway::connect(&mut kms, WHO);
    let parent = evaluate(&parent, LINK, std::iter::once(number(7))).remove(0);
    let text = parent.to_text().unwrap();
    let child = Gateway::connect(&mut kms, "project-01-pseudonymiser");
    let both = [text.to_ascii_uppercase(), text].map(|text| identifier(Given(text)));
    let both = parsed(&child, project, both.to_vec());
    assert_eq!(both[0], both[1]);
    assert_ne!(both[0].value, parent.value);
}

fn counted(count: usize) -> u64 {
    u64::try_from(count).unwrap()
}

#[allow(clippy::as_conversions, reason = "counts of a test are far below 2^52")]
fn to_float(count: u64) -> f64 {
    count as f64
}
