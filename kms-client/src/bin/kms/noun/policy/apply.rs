//! Putting policy and bindings into force.

use crate::rules;
use crate::session::Session;
use crate::waiting::Asked;
use kms_client::{Client, Error, v1};
use serde_json::json;

/// Policy, bindings or both: each is a change of its own, and both are put before the custodians
/// before either is waited for.
pub(crate) async fn apply(
    session: &Session,
    candidate: v1::Rules,
    etag: Option<String>,
    reason: String,
) -> Result<(), Error> {
    let now = session.client.get_policy(v1::GetPolicyRequest {}).await?;
    let policy = new_policy(&now, &candidate).map(|rules| v1::PutPolicyRequest {
        schema: rules.schema,
        policy: rules.policy,
        // Whoever gave none means the policy that there is now.
        etag: etag.unwrap_or_else(|| now.etag.clone()),
        reason: reason.clone(),
        request_id: String::new(),
    });
    let bindings = new_bindings(&now, candidate.bindings);
    let bindings = (!bindings.is_empty()).then(|| v1::PutBindingsRequest {
        bindings,
        reason,
        request_id: String::new(),
    });
    if policy.is_none() && bindings.is_none() {
        return told(session, &[], "nothing to do: all of it is in force");
    }
    let mut done = Vec::new();
    let mut waiting = Vec::new();
    if let Some(request) = policy.clone() {
        match session.ask(request, Client::put_policy).await? {
            Asked::Done(_) => done.push("policy"),
            Asked::Waits(proposal) => waiting.push(*proposal),
        }
    }
    let policy_waits = !waiting.is_empty();
    if let Some(request) = bindings.clone() {
        match session.ask(request, Client::put_bindings).await? {
            Asked::Done(_) => done.push("bindings"),
            Asked::Waits(proposal) => waiting.push(*proposal),
        }
    }
    if !waiting.is_empty() && session.patience.is_none() {
        return Err(session.pending(&waiting));
    }
    if let Some(request) = policy.filter(|_| policy_waits) {
        session.carry(request, Client::put_policy).await?;
        done.push("policy");
    }
    if let Some(request) = bindings.filter(|_| waiting.len() > usize::from(policy_waits)) {
        session.carry(request, Client::put_bindings).await?;
        done.push("bindings");
    }
    told(session, &done, &format!("in force: {}", done.join(" and ")))
}

fn told(session: &Session, done: &[&str], sentence: &str) -> Result<(), Error> {
    if session.screen.is_json() {
        return session.screen.json(&json!({ "applied": done }));
    }
    session.screen.line(sentence)
}

/// What of the documents is not in force yet.
fn new_policy(now: &v1::Policy, candidate: &v1::Rules) -> Option<v1::Rules> {
    let new = |text: &String, in_force: &String| {
        if text == in_force {
            String::new()
        } else {
            text.clone()
        }
    };
    let rules = v1::Rules {
        schema: new(&candidate.schema, &now.schema),
        policy: new(&candidate.policy, &now.policy),
        bindings: vec![],
    };
    (!rules.schema.is_empty() || !rules.policy.is_empty()).then_some(rules)
}

fn new_bindings(now: &v1::Policy, candidate: Vec<v1::Binding>) -> Vec<v1::Binding> {
    let in_force = |binding: &v1::Binding| now.bindings.iter().any(|b| rules::same(b, binding));
    candidate.into_iter().filter(|b| !in_force(b)).collect()
}
