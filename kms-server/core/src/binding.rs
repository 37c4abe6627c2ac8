//! Which roles a person or a service has, and on what.

use crate::caller::{Principal, Sort};
use crate::error::{Error, Result};
use crate::name::{EdgeName, Slug, SpaceName};
use crate::role::{Role, Scope};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The roles of one person or service. A value that exists is well formed and holds no
/// incompatible pair (SecNumCloud 9.3.f).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Draft", into = "Draft")]
pub struct Binding {
    principal: Principal,
    aliases: Vec<Principal>,
    openid: Option<OpenId>,
    grants: Vec<Grant>,
}

/// Who a person is at the OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenId {
    /// The provider: `iss`.
    pub issuer: String,
    /// The person there: `sub`, never used again by the provider.
    pub subject: String,
}

/// One role and what it is granted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// The spaces, for a role that is granted on spaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spaces: Vec<Reach>,
    /// The edges, for a role that is granted on edges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<EdgeName>,
}

/// A space, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reach {
    /// `*`.
    All,
    /// One space, by the last part of its name.
    Space(SpaceName),
}

/// A binding as it is written, before it is believed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    principal: Principal,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<Principal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    openid: Option<OpenId>,
    roles: Vec<Grant>,
}

/// Roles that nobody may have together: whoever asks and whoever approves, whoever acts and
/// whoever audits.
const INCOMPATIBLE: [(Role, Role); 10] = [
    (Role::KeyOperator, Role::KeyCustodian),
    (Role::SpaceSteward, Role::KeyCustodian),
    (Role::HsmOfficer, Role::KeyCustodian),
    (Role::Auditor, Role::DataService),
    (Role::Auditor, Role::IngestService),
    (Role::Auditor, Role::Pseudonymiser),
    (Role::Auditor, Role::SpaceSteward),
    (Role::Auditor, Role::KeyOperator),
    (Role::Auditor, Role::KeyCustodian),
    (Role::Auditor, Role::HsmOfficer),
];

impl Binding {
    /// The person or service.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The other names in certificates of the same person: a spare card, a second machine.
    #[must_use]
    pub fn aliases(&self) -> &[Principal] {
        &self.aliases
    }

    /// Who the person is at the OpenID provider.
    #[must_use]
    pub fn openid(&self) -> Option<&OpenId> {
        self.openid.as_ref()
    }

    /// The roles, in the order granted.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Whether it has this role on anything.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.grants.iter().any(|g| g.role == role)
    }
}

impl TryFrom<Draft> for Binding {
    type Error = Error;
    fn try_from(draft: Draft) -> Result<Self> {
        let binding = Binding {
            principal: draft.principal,
            aliases: draft.aliases,
            openid: draft.openid,
            grants: draft.roles,
        };
        let who = &binding.principal;
        if who.is_scheduler() {
            let sentence = format!("{who} is the service's own name; choose another");
            return Err(Error::invalid("principal", sentence));
        }
        let service = who.sort() == Sort::Service;
        if service && !(binding.aliases.is_empty() && binding.openid.is_none()) {
            let sentence = format!("{who}: only a person has aliases and an OpenID subject");
            return Err(Error::invalid("aliases", sentence));
        }
        if let Some(wrong) = binding
            .aliases
            .iter()
            .find(|alias| *alias == who || alias.sort() == Sort::Service)
        {
            let sentence = format!("{who}: {wrong} is no alias; it is another name of a person");
            return Err(Error::invalid("aliases", sentence));
        }
        for grant in &binding.grants {
            scope_error(grant).map_or(Ok(()), |what| {
                Err(Error::invalid(
                    "roles",
                    format!("{who}: {} {what}", grant.role),
                ))
            })?;
        }
        for (one, other) in INCOMPATIBLE {
            if binding.has(one) && binding.has(other) {
                let sentence =
                    format!("{who}: {one} and {other} are incompatible; bind two people");
                return Err(Error::invalid("roles", sentence));
            }
        }
        if let Some(space) = traced_back(&binding) {
            let sentence = format!(
                "{who}: whoever evaluates an edge into {space} must not process there: that is \
                 how a pseudonym would be traced back"
            );
            return Err(Error::invalid("roles", sentence));
        }
        Ok(binding)
    }
}

/// What is wrong with what a role is granted on.
fn scope_error(grant: &Grant) -> Option<&'static str> {
    let (spaces, edges) = (!grant.spaces.is_empty(), !grant.edges.is_empty());
    match grant.role.scope() {
        Scope::Spaces if !spaces || edges => Some("needs `spaces`, and nothing else"),
        Scope::Spaces if grant.spaces.contains(&Reach::All) => {
            Some("needs each space by its name, not `*`")
        }
        Scope::SpacesOrAll if !spaces || edges => Some("needs `spaces`, by name or `*`"),
        Scope::Edges if spaces || !edges => Some("needs `edges`, each by its name"),
        Scope::Deployment if spaces || edges => Some("is granted on the deployment: name nothing"),
        Scope::Spaces | Scope::SpacesOrAll | Scope::Edges | Scope::Deployment => None,
    }
}

/// A space into which this binding evaluates an edge and in which it processes.
fn traced_back(binding: &Binding) -> Option<&SpaceName> {
    let processes = |target: &SpaceName| {
        binding
            .grants
            .iter()
            .filter(|g| matches!(g.role, Role::DataService | Role::DataReader))
            .flat_map(|g| &g.spaces)
            .any(|reach| matches!(reach, Reach::Space(space) if space == target))
    };
    let mut targets = binding
        .grants
        .iter()
        .flat_map(|g| &g.edges)
        .map(EdgeName::target);
    targets.find(|target| processes(target))
}

impl From<Binding> for Draft {
    fn from(binding: Binding) -> Draft {
        Draft {
            principal: binding.principal,
            aliases: binding.aliases,
            openid: binding.openid,
            roles: binding.grants,
        }
    }
}

impl TryFrom<String> for Reach {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        match text.as_str() {
            "*" => Ok(Reach::All),
            slug => Ok(Reach::Space(SpaceName::new(slug.parse::<Slug>()?))),
        }
    }
}

impl From<Reach> for String {
    fn from(reach: Reach) -> String {
        match reach {
            Reach::All => "*".into(),
            Reach::Space(space) => space.slug().to_string(),
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.role)?;
        let reached = self.spaces.iter().map(|s| String::from(s.clone()));
        let on: Vec<String> = reached
            .chain(self.edges.iter().map(EdgeName::to_string))
            .collect();
        if on.is_empty() {
            Ok(())
        } else {
            write!(f, " on {}", on.join(", "))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn bind(json: &str) -> std::result::Result<Binding, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn a_well_formed_binding_reads_back() {
        let text = r#"{"principal":"service/etl","roles":[{"role":"data-service","spaces":["lyon"]},{"role":"pseudonymiser","edges":["spaces/warehouse/edges/link"]}]}"#;
        assert_eq!(serde_json::to_string(&bind(text).unwrap()).unwrap(), text);
    }

    #[test]
    fn what_must_not_be_granted_is_refused() {
        for (roles, why) in [
            (r#"{"role":"boss"}"#, "unknown variant"),
            (
                r#"{"role":"data-service","spaces":["*"]}"#,
                "each space by its name",
            ),
            (r#"{"role":"data-service"}"#, "needs `spaces`"),
            (r#"{"role":"auditor","spaces":["a"]}"#, "name nothing"),
            (r#"{"role":"pseudonymiser"}"#, "needs `edges`"),
            (
                r#"{"role":"key-operator"},{"role":"key-custodian"}"#,
                "incompatible",
            ),
            (
                r#"{"role":"auditor"},{"role":"space-steward","spaces":["*"]}"#,
                "incompatible",
            ),
            (
                r#"{"role":"data-reader","spaces":["w"]},{"role":"pseudonymiser","edges":["spaces/w/edges/d"]}"#,
                "traced back",
            ),
            (r#"{"role":"auditor","nonsense":1}"#, "unknown field"),
        ] {
            let error =
                bind(&format!(r#"{{"principal":"person/p","roles":[{roles}]}}"#)).unwrap_err();
            assert!(error.contains(why), "{roles}: {error}");
        }
    }

    /// Each role with each other: those that are refused, and no more.
    #[test]
    fn each_pair_is_refused_or_is_not() {
        let on = |role: Role| match role.scope() {
            Scope::Spaces | Scope::SpacesOrAll => r#","spaces":["a"]"#,
            Scope::Edges => r#","edges":["spaces/b/edges/d"]"#,
            Scope::Deployment => "",
        };
        let mut refused = Vec::new();
        for (at, one) in Role::ALL.into_iter().enumerate() {
            for other in Role::ALL.into_iter().skip(at + 1) {
                let [first, second] =
                    [one, other].map(|role| format!(r#"{{"role":"{role}"{}}}"#, on(role)));
                let both = format!(r#"{{"principal":"person/p","roles":[{first},{second}]}}"#);
                refused.extend(bind(&both).is_err().then(|| format!("{one} {other}")));
            }
        }
        assert_eq!(
            refused,
            [
                "data-service auditor",
                "ingest-service auditor",
                "pseudonymiser auditor",
                "space-steward key-custodian",
                "space-steward auditor",
                "key-operator key-custodian",
                "key-operator auditor",
                "key-custodian hsm-officer",
                "key-custodian auditor",
                "hsm-officer auditor",
            ]
        );
    }
}
