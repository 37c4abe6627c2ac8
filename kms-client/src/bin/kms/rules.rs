//! Policy and bindings, in files and in words.

use crate::yaml;
use kms_client::{Error, Kind, v1};
use kms_core::binding::{Binding, Reach};
use serde::{Deserialize, Serialize};
use serde_saphyr::{FlowMap, FlowSeq};
use std::path::Path;

/// Reads what is not in force yet; what is not given is as it is now.
pub(crate) fn candidate(
    schema: Option<&Path>,
    policy: Option<&Path>,
    bindings: Option<&Path>,
) -> Result<v1::Rules, Error> {
    let text = |path: Option<&Path>| match path {
        None => Ok(String::new()),
        Some(path) => {
            let text = yaml::text(path)?;
            if text.is_empty() {
                let sentence = format!("{} is empty", path.display());
                return Err(Error::new(Kind::Invalid, sentence));
            }
            Ok(text)
        }
    };
    Ok(v1::Rules {
        schema: text(schema)?,
        policy: text(policy)?,
        bindings: bindings
            .map(self::bindings)
            .transpose()?
            .unwrap_or_default(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bindings {
    bindings: Vec<Binding>,
}

/// Reads a bindings file, in the form that `kms-server init` reads too.
pub(crate) fn bindings(path: &Path) -> Result<Vec<v1::Binding>, Error> {
    let file: Bindings = yaml::read(path)?;
    if file.bindings.is_empty() {
        let sentence = format!("{} binds nobody", path.display());
        return Err(Error::new(Kind::Invalid, sentence));
    }
    Ok(file.bindings.iter().map(message).collect())
}

/// As the service takes it.
pub(crate) fn message(bound: &Binding) -> v1::Binding {
    let reached = |reach: &Reach| String::from(reach.clone());
    v1::Binding {
        principal: bound.principal().to_string(),
        aliases: bound.aliases().iter().map(ToString::to_string).collect(),
        openid: bound.openid().map(|openid| v1::binding::OpenId {
            issuer: openid.issuer.clone(),
            subject: openid.subject.clone(),
        }),
        roles: bound
            .grants()
            .iter()
            .map(|grant| v1::binding::Grant {
                role: grant.role.to_string(),
                spaces: grant.spaces.iter().map(reached).collect(),
                edges: grant.edges.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        etag: String::new(),
    }
}

/// Whether both bind the same person to the same roles under the same names.
pub(crate) fn same(one: &v1::Binding, other: &v1::Binding) -> bool {
    let plain = |binding: &v1::Binding| v1::Binding {
        etag: String::new(),
        ..binding.clone()
    };
    plain(one) == plain(other)
}

/// The roles of a binding: `key-operator; data-service on lyon`.
pub(crate) fn roles(bound: &v1::Binding) -> String {
    let granted = bound.roles.iter().map(grant);
    match granted.collect::<Vec<_>>() {
        none if none.is_empty() => "no role".to_owned(),
        granted => granted.join("; "),
    }
}

/// A role and what it is granted on.
pub(crate) fn grant(grant: &v1::binding::Grant) -> String {
    match on(grant) {
        on if on.is_empty() => grant.role.clone(),
        on => format!("{} on {on}", grant.role),
    }
}

/// What a role is granted on; empty for the deployment.
pub(crate) fn on(grant: &v1::binding::Grant) -> String {
    let on = grant.spaces.iter().chain(&grant.edges);
    on.cloned().collect::<Vec<_>>().join(", ")
}

/// A binding in one line, with the person's other names.
pub(crate) fn line(bound: &v1::Binding) -> String {
    let mut line = roles(bound);
    if !bound.aliases.is_empty() {
        line.push_str(&format!("; also called {}", bound.aliases.join(", ")));
    }
    if let Some(openid) = &bound.openid {
        line.push_str(&format!(
            "; signs in as {} at {}",
            openid.subject, openid.issuer
        ));
    }
    line
}

#[derive(Serialize)]
struct Written {
    bindings: Vec<WrittenBinding>,
}

#[derive(Serialize)]
struct WrittenBinding {
    principal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    aliases: Option<FlowSeq<Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    openid: Option<FlowMap<WrittenOpenId>>,
    roles: FlowSeq<Vec<WrittenGrant>>,
}

#[derive(Serialize)]
struct WrittenOpenId {
    issuer: String,
    subject: String,
}

#[derive(Serialize)]
struct WrittenGrant {
    role: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spaces: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edges: Vec<String>,
}

/// A bindings file of these.
pub(crate) fn yaml(bindings: &[v1::Binding]) -> Result<String, Error> {
    let bindings = bindings.iter().cloned().map(|bound| WrittenBinding {
        principal: bound.principal,
        aliases: (!bound.aliases.is_empty()).then(|| FlowSeq(bound.aliases.clone())),
        openid: bound.openid.map(|openid| {
            FlowMap(WrittenOpenId {
                issuer: openid.issuer,
                subject: openid.subject,
            })
        }),
        roles: FlowSeq(
            bound
                .roles
                .into_iter()
                .map(|grant| WrittenGrant {
                    role: grant.role,
                    spaces: grant.spaces,
                    edges: grant.edges,
                })
                .collect(),
        ),
    });
    let written = Written {
        bindings: bindings.collect(),
    };
    serde_saphyr::to_string(&written).map_err(|e| {
        let sentence = format!("the bindings have no YAML form: {e}");
        Error::new(Kind::Internal, sentence)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const FILE: &str = "\
bindings:
  - principal: person/zoe
    aliases: [person/zoe-spare]
    openid: {issuer: https://id.example, subject: \"42\"}
    roles: [{role: key-operator}, {role: data-service, spaces: [lyon, nancy]}]
  - principal: service/link
    roles: [{role: pseudonymiser, edges: [spaces/warehouse/edges/link]}]
  - principal: person/gone
    roles: []
";

    fn read(text: &str) -> Result<Vec<v1::Binding>, Error> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("bindings.yaml");
        std::fs::write(&path, text).unwrap();
        bindings(&path)
    }

    #[test]
    fn bindings_are_read_as_they_are_written() {
        let read_once = read(FILE).unwrap();
        let again = read(&yaml(&read_once).unwrap()).unwrap();
        assert_eq!(again, read_once);
        let lines: Vec<String> = read_once.iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "key-operator; data-service on lyon, nancy; also called person/zoe-spare; \
                 signs in as 42 at https://id.example",
                "pseudonymiser on spaces/warehouse/edges/link",
                "no role",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line() {
        let told = |text| read(text).unwrap_err().to_string();
        let wrong = FILE.replace("key-operator}", "key-operator, spaces: [a]}");
        assert!(told(&wrong).contains("line 2"), "{}", told(&wrong));
        assert!(told(&wrong).contains("name nothing"), "{}", told(&wrong));
        assert!(told("bindings: []").contains("binds nobody"));
        assert!(told("binding: []").contains("line 1"));
    }
}
