//! Bindings, as messages and back.

use kms_core::binding::{Binding, Reach};
use kms_core::command::Rules;
use kms_core::error::{Error, Result};
use kms_core::value::{Stamped, Value};
use kms_proto::v1;
use serde_json::json;

/// The message of a binding.
pub(super) fn binding(stamped: &Stamped<Value>) -> Option<v1::Binding> {
    let bound: &Binding = stamped.value.as_binding()?;
    let reached = |reach: &Reach| String::from(reach.clone());
    Some(v1::Binding {
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
        etag: stamped.revision.to_string(),
    })
}

/// Bindings, as they come: what a file may say, a message may, and nothing else.
///
/// # Errors
/// `Invalid`, naming the binding.
pub(super) fn bindings(messages: Vec<v1::Binding>) -> Result<Vec<Binding>> {
    messages.into_iter().map(bound).collect()
}

fn bound(message: v1::Binding) -> Result<Binding> {
    let who = message.principal.clone();
    let roles: Vec<_> = message
        .roles
        .into_iter()
        .map(|grant| json!({"role": grant.role, "spaces": grant.spaces, "edges": grant.edges}))
        .collect();
    let openid = message
        .openid
        .map(|openid| json!({"issuer": openid.issuer, "subject": openid.subject}));
    let draft = json!({
        "principal": message.principal,
        "aliases": message.aliases,
        "openid": openid,
        "roles": roles,
    });
    serde_json::from_value(draft)
        .map_err(|e| Error::invalid("bindings", format!("the binding of {who}: {e}")))
}

/// Documents that are not in force.
///
/// # Errors
/// `Invalid`, naming what is wrong.
pub(super) fn rules(message: v1::Rules) -> Result<Rules> {
    let given = |text: String| (!text.is_empty()).then_some(text);
    Ok(Rules {
        schema: given(message.schema),
        policy: given(message.policy),
        bindings: bindings(message.bindings)?,
    })
}
