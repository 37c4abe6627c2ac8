//! Plans that set quotas.

use super::{Ground, Plan, Write, written};
use crate::class::Class;
use crate::error::{Error, Result};
use crate::quota::{Limits, Metered, Quota, QuotaName};
use crate::revision::Revision;
use crate::value::Value;
use crate::view::View;

pub(super) fn put(
    ground: Ground<'_>,
    name: &QuotaName,
    etag: Option<Revision>,
    limits: &Limits,
    reason: &str,
) -> Result<Plan> {
    metered(ground, name.on())?;
    name.on().may_be(limits)?;
    somebody(ground, name)?;
    let before = ground.view.quota(name);
    let revision = before.map(|(_, revision)| revision);
    // No resource has the revision 0: whoever gives it means that there is none.
    if etag.is_some() && etag.unwrap_or_default() != revision.unwrap_or_default() {
        return Err(Error::conflict(format!(
            "{name} changed since you read it; read it again"
        )));
    }
    let set = before.map(|(quota, _)| quota.limits).unwrap_or_default();
    if set == *limits {
        return Err(Error::invalid(
            "limits",
            "this is what was set already; nothing would change",
        ));
    }
    let quota = Quota {
        name: name.clone(),
        limits: *limits,
        moved: ground.moved(reason),
    };
    Ok(written(vec![Write {
        value: Value::Quota(quota),
        replaces: revision,
    }]))
}

/// A quota as it holds now and as it would: what is set stands in the place of all that holds without
/// it, and what is taken back lets that hold again.
pub(super) fn holding(view: &View, quota: &Quota) -> (Quota, Quota) {
    let name = &quota.name;
    let set = |name: &QuotaName| view.quota(name).map(|(quota, _)| quota.limits);
    let limiting = |limits: &Limits| !limits.is_none();
    let each = name.who().map(|_| QuotaName::new(name.on().clone(), None));
    let without = each.as_ref().and_then(set).filter(limiting);
    let without = without.unwrap_or(*name.on().by_default());
    let of = |limits: Option<Limits>| Quota {
        limits: limits.filter(limiting).unwrap_or(without),
        ..quota.clone()
    };
    (of(set(name)), of(Some(quota.limits)))
}

/// Whether callers name this when they use it.
fn metered(ground: Ground<'_>, on: &Metered) -> Result<()> {
    let view = ground.view;
    let class = match on {
        Metered::Edge(edge) => {
            view.edge(edge).ok_or_else(|| Error::not_found(edge))?;
            return Ok(());
        }
        Metered::Key(key) => {
            let found = view.key(key).ok_or_else(|| Error::not_found(key))?;
            found.0.class
        }
    };
    let wrong = match class {
        Class::DataAtRest => return Ok(()),
        Class::ImportWrapping => {
            "imports count with the key that receives them: set its quota on that one"
        }
        Class::Pseudonymisation => "this is an edge's own key: set the quota on the edge",
        Class::ServiceImportToken
        | Class::ServiceAttestation
        | Class::ServiceExchange
        | Class::ServiceDigest
        | Class::ServiceImportParameters => "this is the deployment's own key: no caller uses it",
    };
    Err(Error::invalid("name", wrong))
}

/// Whether it is somebody's, by the name that their uses are counted under.
fn somebody(ground: Ground<'_>, name: &QuotaName) -> Result<()> {
    let Some(who) = name.who() else {
        return Ok(());
    };
    let known = ground.view.who(who);
    if known != who {
        let sentence = format!("{who} is another name of {known}: set the quota of {known}");
        return Err(Error::invalid("name", sentence));
    }
    match ground.view.binding(who) {
        Some(_) => Ok(()),
        None => Err(Error::invalid(
            "name",
            format!("nobody of the name {who} is bound here; check the name"),
        )),
    }
}
