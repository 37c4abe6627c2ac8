//! Proved, not only tested: what the shipped policy never permits, whatever the bindings. The
//! claims are in `claims/`, each with the sentence that a security officer signs; cvc5 decides.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod alive;
mod break_glass;
mod claim;
mod failing;
mod prover;
mod request;
mod rules;
mod traced_back;
mod weakened;

use claim::Claim;
use kms_core::action::Action;
use prover::Prover;
use rules::Rules;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What is proved beside the claims, each where its sentence is.
const MORE: [(&str, &str); 3] = [
    ("break-glass", break_glass::SENTENCE),
    ("traced-back", traced_back::SENTENCE),
    ("never-in-error", failing::SENTENCE),
];

#[test]
fn every_claim_is_proved() {
    let mut prover = Prover::start(rules::schema());
    let claims = Claim::all(&prover.schema);
    // Break glass only adds a permit: what is not permitted with it is not permitted without.
    let (with, without): (Vec<&Claim>, Vec<&Claim>) =
        claims.iter().partition(|claim| claim.with_break_glass);
    let shipped = Rules::shipped(&prover.schema);
    let open = Rules::with_break_glass(&prover.schema);
    for action in prover.actions() {
        for sort in prover.sorts(&action) {
            for (rules, claims) in [(&open, &with), (&shipped, &without)] {
                if let Some(found) = prover.refute(rules, claims, &sort) {
                    let refuted = found.refutes(claims, &prover.schema);
                    panic!("not true: {refuted:?}\n{found}");
                }
            }
        }
    }
}

/// The sentences, to be signed: the golden file shows one that goes, or that says less.
#[test]
fn what_is_proved_is_golden() {
    let claims = Claim::all(&rules::schema());
    let sentences = claims
        .iter()
        .map(|claim| (claim.name.as_str(), claim.sentence.as_str()))
        .chain(MORE);
    let mut signed = String::new();
    for (name, sentence) in sentences {
        let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        writeln!(signed, "{name}: {sentence}").unwrap();
    }
    println!("{signed}");
    insta::assert_snapshot!(signed);
}

/// By its name: the claims that speak of whatever is asked do not count here.
#[test]
fn every_action_is_in_a_claim() {
    let claims = Claim::all(&rules::schema());
    let named: BTreeSet<&str> = claims
        .iter()
        .flat_map(|claim| &claim.actions)
        .map(|action| action.id().unescaped())
        .collect();
    let all: BTreeSet<&str> = Action::ALL
        .iter()
        // Whoever holds the machine and the PIN, while nothing is served: no policy is asked.
        .filter(|action| !action.is_at_the_machine())
        .map(|action| action.name())
        .collect();
    assert_eq!(named, all);
}

/// A claim that is misspelt does not pass for proved.
#[test]
fn a_slip_in_a_claim_is_an_error() {
    let schema = rules::schema();
    let text = r#"@id("a") @claim("S.")
        forbid (principal, action == Kms::Action::"Decrypt", resource is Kms::Key)
        when { principal.dataReader.isEmpty() } unless { resource in principal.dataService };"#;
    assert_eq!(Claim::read(&schema, text).unwrap().len(), 1);
    for (from, to, why) in [
        ("when {", "when", "does not parse"),
        ("\"Decrypt\"", "\"Decrpyt\"", "unrecognized action"),
        ("dataReader", "datareader", "`datareader`"),
        ("is Kms::Key", "is Kms::Keys", "unrecognized entity type"),
        (
            "is Kms::Key",
            "is Kms::Space",
            "unable to find an applicable action",
        ),
        ("forbid", "permit", "a claim is a forbid"),
        ("@id(\"a\")", "", "no @id"),
        ("@claim(\"S.\")", "", "needs a sentence"),
        ("@claim", "@clam", "what is @clam"),
        (
            "principal.dataReader.isEmpty()",
            "principal has age",
            "impossible",
        ),
    ] {
        let slipped = text.replacen(from, to, 1);
        assert_ne!(slipped, text, "{from}");
        let error = Claim::read(&schema, &slipped).unwrap_err();
        assert!(error.contains(why), "{to:?}: {error}");
    }
    assert_eq!(Claim::read(&schema, "").unwrap_err(), "claims nothing");
}
