//! What is in the token after EMC2's inventory was applied, read back by code that is not the
//! server's; and what the token refuses to whoever holds the PIN.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use softhsm_tests::{
    Deployment,
    cli::finish,
    partner,
    pin_holder::{Attempt, Object},
    program::{find, repository},
    token::Make,
};

#[test]
fn every_key_of_the_inventory_is_in_the_token_and_can_never_leave_it() {
    let kms = Deployment::emc2().start();
    every_key_is_there_and_can_never_leave(&kms, &apply_inventory(&kms));
}

#[test]
fn the_token_refuses_whoever_holds_the_pin_what_the_service_would_not_do() {
    let kms = Deployment::emc2().start();
    apply_inventory(&kms);
    let attempts = abuse(&kms);
    for attempt in &attempts {
        assert_eq!(attempt.control, None, "proves nothing: {attempt:?}");
    }
}

/// One deployment for both: what it takes is the making of 120 keys.
#[test]
fn the_same_holds_on_the_other_token() {
    let kms = Deployment::emc2().token(Make::Kryoptic).start();
    every_key_is_there_and_can_never_leave(&kms, &apply_inventory(&kms));
    let attempts = abuse(&kms);
    let out = "take it out under a key of one's own";
    // What this token does for nobody proves nothing. It changes no such attribute in a copy, has
    // no raw RSA, and pads no private key in the way that this program can ask for.
    let idle: BTreeSet<_> = attempts
        .iter()
        .filter(|attempt| attempt.control.is_some())
        .map(|attempt| attempt.what.as_str())
        .collect();
    let known = [
        "make a copy that may be extracted",
        "open a partner's blob by raw RSA",
        out,
    ];
    assert_eq!(idle, known.into());
    let taken = |attempt: &&Attempt| attempt.what == out && attempt.control.is_none();
    assert!(attempts.iter().filter(taken).count() >= 2, "{attempts:?}");
}

fn every_key_is_there_and_can_never_leave(kms: &Deployment, inventory: &Path) {
    let (key, wrapping) = ("ingest-lyon/partner", "ingest-lyon/import");
    let transfer = partner::wrap(kms, "lyon-ingest", key, wrapping, &[0x42; 32]);
    partner::submit(kms, "lyon-ingest", key, &transfer).succeeds();

    let declared = declared(inventory);
    assert!(
        declared.len() >= 120,
        "{} keys are declared",
        declared.len()
    );
    let objects: Vec<Object> = read(kms, "objects");
    let keys: BTreeMap<&str, &Object> = objects
        .iter()
        .filter(|object| object.class != "public")
        .map(|object| (object.label.as_str(), object))
        .collect();
    for (name, class) in &declared {
        let key = keys.get(format!("{name}/versions/1").as_str());
        let key = key.unwrap_or_else(|| panic!("{name} is not in the token"));
        assert_eq!(protection(key), PROTECTED, "{name}");
        assert_eq!(key.local, Some(true), "{name}");
        assert_eq!(key.always_sensitive, Some(true), "{name}");
        assert_eq!(key.never_extractable, Some(true), "{name}");
        let (uses, mechanisms) = class.may();
        assert_eq!(key.uses, uses, "{name}");
        assert_eq!(key.mechanisms, mechanisms, "{name}");
        // a pseudonymisation key is generated, never derived.
        assert_eq!(key.made_by.as_deref(), Some(class.made_by()), "{name}");
    }

    let imported = keys["spaces/ingest-lyon/keys/partner/versions/1"];
    assert_eq!(protection(imported), PROTECTED);
    let (uses, mechanisms) = Class::DataAtRest.may();
    assert_eq!(
        (imported.uses.as_slice(), imported.mechanisms.as_slice()),
        (&uses[..], &mechanisms[..])
    );
    // It has been outside, and says so for ever.
    assert_eq!(imported.local, Some(false));
    assert_ne!(imported.always_sensitive, Some(true));
    assert_ne!(imported.never_extractable, Some(true));

    // Nothing else: no helper key, no half of a pair, nothing without protection.
    let known = |key: &&&Object| {
        let name = key
            .label
            .rsplit_once("/versions/")
            .map_or("", |(name, _)| name);
        declared.contains_key(name)
            || name.starts_with("spaces/kms/")
            || *key.label == imported.label
    };
    let strangers: Vec<_> = keys.values().filter(|key| !known(key)).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    for key in keys.values() {
        assert_eq!(protection(key), PROTECTED, "{}", key.label);
        assert!(
            !key.mechanisms.is_empty(),
            "{} takes any mechanism",
            key.label
        );
    }
    for public in objects.iter().filter(|object| object.class == "public") {
        assert_eq!(
            public.uses,
            Vec::<String>::new(),
            "{}: wrapping is done outside",
            public.label
        );
        assert_eq!(public.modifiable, Some(false), "{}", public.label);
    }
}

/// Everything that the kit tries; each was refused, and left nothing.
fn abuse(kms: &Deployment) -> Vec<Attempt> {
    let before: Vec<Object> = read(kms, "objects");
    let attempts: Vec<Attempt> = read(kms, "abuse");
    assert!(attempts.len() >= 25, "{attempts:?}");
    for attempt in &attempts {
        assert!(attempt.refusal.is_some(), "the token did it: {attempt:?}");
    }
    for what in [
        "decrypt by AES-ECB",
        "wrap another key under it",
        "make a copy that may be extracted",
        "agree on a secret with it",
    ] {
        assert!(
            attempts.iter().any(|attempt| attempt.what == what),
            "{what} was not tried"
        );
    }
    assert_eq!(
        read::<Vec<Object>>(kms, "objects"),
        before,
        "the attempts left a trace"
    );
    attempts
}

fn apply_inventory(kms: &Deployment) -> PathBuf {
    let inventory = repository().join("ops/emc2/inventory.yaml");
    let path = inventory.to_str().unwrap();
    kms.cli("stella")
        .run(["inventory", "apply", "-f", path])
        .succeeds();
    inventory
}

/// Runs `kms-dev` on the deployment's token, from outside the server.
fn read<T: DeserializeOwned>(kms: &Deployment, verb: &str) -> T {
    let mut command = Command::new(find("kms-dev").unwrap());
    command.args([verb, "--json"]).arg(kms.directory());
    let finished = finish(command);
    serde_json::from_slice(&finished.stdout).unwrap_or_else(|cause| panic!("{cause}: {finished}"))
}

/// Private, sensitive, extractable, modifiable, copyable.
type Protection = [Option<bool>; 5];

const PROTECTED: Protection = [
    Some(true),
    Some(true),
    Some(false),
    Some(false),
    Some(false),
];

fn protection(key: &Object) -> Protection {
    [
        key.private,
        key.sensitive,
        key.extractable,
        key.modifiable,
        key.copyable,
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Class {
    DataAtRest,
    ImportWrapping,
    Pseudonymisation,
}

impl Class {
    /// How the token makes them.
    fn made_by(self) -> &'static str {
        match self {
            Self::DataAtRest => "CKM_AES_KEY_GEN",
            Self::ImportWrapping => "CKM_RSA_PKCS_KEY_PAIR_GEN",
            Self::Pseudonymisation => "CKM_GENERIC_SECRET_KEY_GEN",
        }
    }

    /// The uses and the mechanisms of its keys. Written here once more, on purpose.
    fn may(self) -> (Vec<String>, Vec<String>) {
        let (uses, mechanisms): (&[&str], &[&str]) = match self {
            Self::DataAtRest => (&["encrypt", "decrypt"], &["CKM_AES_GCM"]),
            Self::ImportWrapping => (&["unwrap"], &["CKM_RSA_PKCS_OAEP"]),
            Self::Pseudonymisation => (&["sign"], &["CKM_SHA256_HMAC"]),
        };
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        (owned(uses), owned(mechanisms))
    }
}

#[derive(Deserialize)]
struct Inventory {
    edges: Vec<Edge>,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Edge {
    target: String,
    domain: String,
}

#[derive(Deserialize)]
struct Key {
    name: String,
    class: Class,
    #[serde(default)]
    origin: Origin,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Origin {
    #[default]
    Generated,
    External,
}

/// What the inventory has the token make, by full name: its keys and those of its edges.
fn declared(path: &Path) -> BTreeMap<String, Class> {
    let text = fs::read_to_string(path).unwrap();
    let inventory: Inventory = serde_saphyr::from_str(&text).unwrap();
    let made = |key: &&Key| key.origin == Origin::Generated;
    let keys = inventory.keys.iter().filter(made).map(|key| {
        let (space, slug) = key.name.split_once('/').unwrap();
        (format!("spaces/{space}/keys/{slug}"), key.class)
    });
    let edges = inventory.edges.iter().map(|edge| {
        let name = format!("spaces/{}/keys/edge-{}", edge.target, edge.domain);
        (name, Class::Pseudonymisation)
    });
    keys.chain(edges).collect()
}
