//! Plans that change policy and bindings. Whether they can be lived with is `decide`'s to say.

use super::{Ground, Plan, Write, written};
use crate::binding::Binding;
use crate::error::{Error, Result};
use crate::revision::Revision;
use crate::value::{DOCUMENT_MAX, Document, DocumentName, Value};
use std::collections::BTreeSet;

pub(super) fn put_policy(
    ground: Ground<'_>,
    etag: Option<Revision>,
    schema: Option<&String>,
    policy: Option<&String>,
) -> Result<Plan> {
    let revision = |name: &str| ground.view.get(name).map(|s| s.revision);
    let current = revision(DocumentName::Policy.key());
    if etag.is_some() && etag != current {
        return Err(Error::conflict(
            "the policy changed since you read it; read it again",
        ));
    }
    let mut writes = Vec::new();
    let documents = [
        (DocumentName::Policy, policy),
        (DocumentName::Schema, schema),
    ];
    for (document, text) in documents {
        let Some(text) = text else { continue };
        if text.len() > DOCUMENT_MAX {
            let sentence = format!("{} is longer than 16 KiB; make it shorter", document.key());
            return Err(Error::invalid("policy", sentence));
        }
        if ground.view.document(document) != Some(text) {
            writes.push(Write {
                replaces: revision(document.key()),
                value: Value::Document(Document {
                    document,
                    text: text.clone(),
                }),
            });
        }
    }
    if writes.is_empty() {
        return Err(Error::invalid(
            "policy",
            "this is the policy already; nothing would change",
        ));
    }
    Ok(written(writes))
}

pub(super) fn put_bindings(ground: Ground<'_>, bindings: &[Binding]) -> Result<Plan> {
    let mut seen = BTreeSet::new();
    let mut writes = Vec::new();
    for binding in bindings {
        let who = binding.principal();
        if !seen.insert(who) {
            let sentence = format!("{who} is bound twice; list all roles in one entry");
            return Err(Error::invalid("bindings", sentence));
        }
        let value = Value::Binding(binding.clone());
        let before = ground.view.get(&value.name());
        if before.map(|s| &s.value) != Some(&value) {
            writes.push(Write {
                replaces: before.map(|s| s.revision),
                value,
            });
        }
    }
    if writes.is_empty() {
        return Err(Error::invalid(
            "bindings",
            "everyone is bound like this already; nothing would change",
        ));
    }
    Ok(written(writes))
}
