//! A small deployment to judge by.

use data_encoding::BASE64;
use kms_core::binding::Binding;
use kms_core::caller::{Caller, Peer};
use kms_core::certificate::Certificate;
use kms_core::class::Class;
use kms_core::decide::Bench;
use kms_core::deployment::{Deployment, Environment, Side};
use kms_core::due::Steady;
use kms_core::id::{KeyId, KeyUid};
use kms_core::key::{Key, Learned, Moved, Origin, Version};
use kms_core::lifecycle::{Lifecycle, Unused};
use kms_core::name::KeyName;
use kms_core::plan::Ground;
use kms_core::plane::Plane;
use kms_core::policy::Policy;
use kms_core::revision::Revision;
use kms_core::role::{Role, Scope};
use kms_core::space::{Domain, Edge, InputType, Space, SpaceKind};
use kms_core::state::State;
use kms_core::time::Time;
use kms_core::value::Value;
use kms_core::view::View;
use rcgen::KeyPair;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: Time = Time(1_767_225_600_000);

/// The policy that is shipped.
pub(crate) static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let schema = include_str!("../../../../ops/policy/schema.cedarschema");
    let policy = include_str!("../../../../ops/policy/policy.cedar");
    Policy::parse(schema, policy).unwrap()
});

/// The key of every certificate here: Ed25519, whose signatures are the same each time.
pub(crate) static KEY: LazyLock<KeyPair> = LazyLock::new(|| {
    let der = BASE64
        .decode(b"MC4CAQAwBQYDK2VwBCIEIEwd3Ie2q6JH+F03XeMgv0q16FqTPfVLI2CxxhePn4jk")
        .unwrap();
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from(der);
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).unwrap()
});

/// A certificate of this person or service, by this key.
pub(crate) fn certificate_by(principal: &str, key: &KeyPair) -> Certificate {
    let mut params = rcgen::CertificateParams::default();
    let uri = format!("spiffe://emc2.example/{principal}");
    params.subject_alt_names = vec![rcgen::SanType::URI(uri.try_into().unwrap())];
    params.serial_number = Some(7_u64.into());
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2035, 1, 1);
    Certificate::parse(params.self_signed(key).unwrap().der()).unwrap()
}

/// Made once for each: a property asks thousands of times.
pub(crate) fn certificate(principal: &str) -> Certificate {
    static MADE: Mutex<BTreeMap<String, Certificate>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap();
    let made = made.entry(principal.to_owned());
    made.or_insert_with(|| certificate_by(principal, &KEY))
        .clone()
}

pub(crate) fn peer(principal: &str) -> Peer {
    Peer {
        certificate: certificate(principal),
        source: Some("192.0.2.7:50123".parse().unwrap()),
        planes: &Plane::ALL,
        sign_in: None,
        purpose: None,
    }
}

pub(crate) fn caller(principal: &str) -> Caller {
    Caller::Peer(Arc::new(peer(principal)))
}

/// The policy that is shipped judges this view.
pub(crate) fn bench(view: &View, fresh: KeyUid) -> Bench<'_> {
    Bench {
        policy: Some(&*POLICY),
        view,
        now: NOW,
        wall: NOW,
        provider: false,
        fresh,
    }
}

pub(crate) fn ground<'a>(view: &'a View, caller: &'a Caller, fresh: KeyUid) -> Ground<'a> {
    Ground {
        view,
        steady: Steady::default(),
        uses: &Unused,
        caller,
        now: NOW,
        fresh,
        carried: None,
    }
}

/// These roles, each on the space `lab` and its edge, or on the deployment.
pub(crate) fn binding(principal: &str, roles: &[Role]) -> Result<Binding, String> {
    let grants: Vec<String> = roles
        .iter()
        .map(|role| {
            let on = match role.scope() {
                Scope::Spaces | Scope::SpacesOrAll => r#","spaces":["lab"]"#,
                Scope::Edges => r#","edges":["spaces/lab/edges/link"]"#,
                Scope::Deployment => "",
            };
            format!(r#"{{"role":"{role}"{on}}}"#)
        })
        .collect();
    let json = format!(
        r#"{{"principal":"{principal}","roles":[{}]}}"#,
        grants.join(",")
    );
    serde_json::from_str(&json).map_err(|error| error.to_string())
}

/// A deployment with the spaces `lab` and `elsewhere`, a domain `link`, and nobody in it.
pub(crate) fn deployment(environment: Environment) -> View {
    let mut view = View::default();
    put(
        &mut view,
        Value::Deployment(Deployment {
            name: "sample".parse().unwrap(),
            trust_domain: "emc2.example".parse().unwrap(),
            environment,
            side: Side::Warehouse,
            created: NOW,
        }),
    );
    for name in ["spaces/lab", "spaces/elsewhere"] {
        put(
            &mut view,
            Value::Space(Space::new(
                name.parse().unwrap(),
                "A space".into(),
                SpaceKind::Project,
                NOW,
            )),
        );
    }
    put(
        &mut view,
        Value::Domain(Domain {
            name: "domains/link".parse().unwrap(),
            title: "Identifiers".into(),
            source: None,
            created: NOW,
        }),
    );
    put(
        &mut view,
        Value::Edge(Edge {
            name: "spaces/lab/edges/link".parse().unwrap(),
            code: "link".parse().unwrap(),
            input: InputType::Opaque,
            exportable: false,
            key: "spaces/lab/keys/edge-link".parse().unwrap(),
            created: NOW,
        }),
    );
    view
}

/// Puts a value in, at the next revision.
pub(crate) fn put(view: &mut View, value: Value) {
    let next = Revision(view.revision().0 + 1);
    view.put(value, next);
}

/// A key with versions in these states; the last active or suspended one is primary.
pub(crate) fn key(view: &mut View, name: &KeyName, class: Class, states: &[(State, bool)]) {
    let uid = KeyUid([u8::try_from(view.len()).unwrap(); 16]);
    let mut primary = None;
    for (number, (state, kept)) in (1_u32..).zip(states) {
        if matches!(state, State::Active | State::Suspended) {
            primary = Some(number);
        }
        let version = Version {
            name: name.version(number),
            id: KeyId {
                uid,
                version: number,
            },
            state: *state,
            compromised: (*state == State::Compromised).then_some(NOW),
            suspended_processing: *state == State::Suspended && *kept,
            algorithm: class.algorithm(),
            origin: Origin::Generated,
            created: NOW,
            activated: (*state != State::PreActive).then_some(NOW),
            retired: matches!(
                state,
                State::Deactivated | State::Compromised | State::Destroyed
            )
            .then_some(NOW),
            moved: Moved {
                time: NOW,
                actor: "someone".into(),
                reason: "created".into(),
            },
            destruction: None,
            learned: Some(learned(number)),
            imported: None,
            exports: vec![],
            layered_on: None,
            stage_of: None,
        };
        put(view, Value::Version(version));
    }
    put(
        view,
        Value::Key(Key {
            name: name.clone(),
            uid,
            class,
            title: "A key".into(),
            origin: Origin::Generated,
            exportable: false,
            primary,
            latest: u32::try_from(states.len()).unwrap(),
            labels: [].into(),
            study: None,
            lifecycle: Lifecycle::default(),
            rewrap: None,
            renewal: None,
            seals: None,
            intake: None,
            created: NOW,
            updated: NOW,
        }),
    );
}

/// What an HSM would tell of new material.
pub(crate) fn learned(number: u32) -> Learned {
    Learned {
        fingerprint: format!("{number:032x}"),
        public_key: None,
        recognised: None,
    }
}
