//! A small deployment to judge by.

use kms_core::binding::Binding;
use kms_core::caller::Caller;
use kms_core::class::Class;
use kms_core::deployment::{Deployment, Environment, Side};
use kms_core::id::{KeyId, KeyUid};
use kms_core::key::{Key, Learned, Moved, Origin, Version};
use kms_core::name::KeyName;
use kms_core::policy::Policy;
use kms_core::revision::Revision;
use kms_core::role::{Role, Scope};
use kms_core::space::{Domain, Edge, InputType, Space, SpaceKind};
use kms_core::state::State;
use kms_core::time::Time;
use kms_core::value::Value;
use kms_core::view::View;
use std::sync::LazyLock;

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: Time = Time(1_767_225_600_000);

/// The policy that is shipped.
pub(crate) static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let schema = include_str!("../../../../ops/policy/schema.cedarschema");
    let policy = include_str!("../../../../ops/policy/policy.cedar");
    Policy::parse(schema, policy).unwrap()
});

pub(crate) fn caller(principal: &str) -> Caller {
    let identity = format!("spiffe://emc2.example/{principal}").parse();
    let source = "192.0.2.7:50123".parse().unwrap();
    Caller::peer(identity.unwrap(), "5a".repeat(32), Some(source))
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
            Value::Space(Space {
                name: name.parse().unwrap(),
                title: "A space".into(),
                kind: SpaceKind::Project,
                created: NOW,
            }),
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
            moved: Moved {
                time: NOW,
                actor: "someone".into(),
                reason: "created".into(),
            },
            learned: Some(learned(number)),
            imported: None,
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
    }
}
