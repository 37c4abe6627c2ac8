//! What a policy or bindings would change, before anybody is asked to agree.

use super::Files;
use crate::access::{Difference, Right, changes, places, rights, together};
use crate::difference::{unified, visible};
use crate::rules;
use crate::session::Session;
use crate::waiting::approvals;
use console::{Style, style};
use kms_client::{Error, Kind, v1};
use kms_core::command::Change;
use std::collections::BTreeSet;
use std::path::Path;

/// Checks and compares; nothing is done.
pub(super) async fn run(
    session: &Session,
    candidate: v1::Rules,
    files: &Files,
) -> Result<(), Error> {
    let now = session.client.get_policy(v1::GetPolicyRequest {}).await?;
    let review = |candidate| {
        let request = v1::ReviewAccessRequest { candidate };
        session.client.review_access(request)
    };
    if session.screen.is_json() {
        let after = review(Some(candidate)).await?;
        return session.screen.message(&after);
    }
    let (before, after) = tokio::try_join!(review(None), review(Some(candidate.clone())))?;
    let texts = [
        (&files.schema, &now.schema, &candidate.schema),
        (&files.file, &now.policy, &candidate.policy),
    ];
    let mut parts: Vec<String> = texts
        .into_iter()
        .filter_map(|(path, before, after)| {
            let path = path.as_deref().map(Path::display)?;
            let diff = unified(("in force", before), (&path.to_string(), after));
            Some(match diff.as_str() {
                "" => format!("{path} is in force already"),
                _ => diff,
            })
        })
        .collect();
    if !candidate.bindings.is_empty() {
        parts.push(bindings(&now.bindings, &candidate.bindings));
    }
    let (before, after) = (rights(&before.accesses), rights(&after.accesses));
    parts.push(consequences(&before, &after));
    parts.push(format!("the policy's etag is {}", now.etag));
    session.screen.line(&parts.join("\n\n"))
}

/// What a change of policy or bindings would mean, for whoever must agree to it; `None` when it is no
/// such change, or when they may not read the policy.
pub(in crate::noun) async fn meaning(
    session: &Session,
    change: &Change,
) -> Result<Option<String>, Error> {
    let candidate = if let Change::PutPolicy { schema, policy, .. } = change {
        v1::Rules {
            schema: schema.clone().unwrap_or_default(),
            policy: policy.clone().unwrap_or_default(),
            bindings: vec![],
        }
    } else if let Change::PutBindings { bindings, .. } = change {
        v1::Rules {
            bindings: bindings.iter().map(rules::message).collect(),
            ..v1::Rules::default()
        }
    } else {
        return Ok(None);
    };
    let review = |candidate| {
        let request = v1::ReviewAccessRequest { candidate };
        session.client.review_access(request)
    };
    let now = session.client.get_policy(v1::GetPolicyRequest {});
    let reviewed = tokio::try_join!(now, review(None), review(Some(candidate.clone())));
    let (now, before, after) = match reviewed {
        Ok(reviewed) => reviewed,
        Err(e) if e.kind() == Kind::Refused => return Ok(None),
        Err(e) => return Err(e),
    };
    let consequences = consequences(&rights(&before.accesses), &rights(&after.accesses));
    Ok(Some(match candidate.bindings.as_slice() {
        [] => consequences,
        some => format!("{}\n\n{consequences}", bindings(&now.bindings, some)),
    }))
}

/// Binding by binding.
fn bindings(now: &[v1::Binding], candidate: &[v1::Binding]) -> String {
    let lines: Vec<String> = candidate
        .iter()
        .filter_map(|binding| {
            let who = &binding.principal;
            let after = style(visible(&rules::line(binding))).green();
            match now.iter().find(|bound| bound.principal == *who) {
                None => Some(format!("+ {who}: {after}")),
                Some(before) if rules::same(before, binding) => None,
                Some(before) => {
                    let before = style(visible(&rules::line(before))).red();
                    Some(format!("~ {who}: {before} -> {after}"))
                }
            }
        })
        .collect();
    if lines.is_empty() {
        "everyone in the file is bound like this already".to_owned()
    } else {
        lines.join("\n")
    }
}

/// Who gains or loses what; what makes dual control weaker is said first, and loudly.
fn consequences(before: &BTreeSet<Right>, after: &BTreeSet<Right>) -> String {
    let changes = changes(before, after);
    if changes.is_empty() {
        return "nobody gains or loses anything".to_owned();
    }
    let lines = changes.iter().flat_map(|(change, rights)| {
        together(rights).into_iter().map(|one| {
            let what = one.actions.join(", ");
            let (who, on, needed) = (&one.who, places(&one.on), one.needed);
            let with = match needed {
                0 => String::new(),
                needed => format!(", with {}", approvals(needed)),
            };
            let (look, told) = match change {
                Difference::Weaker { before } => (
                    Style::new().red().bold(),
                    format!(
                        "! WEAKER: {who} needs {} instead of {before} for {what} on {on}",
                        approvals(needed)
                    ),
                ),
                Difference::Gains => (
                    Style::new().green(),
                    format!("+ {who} gains {what} on {on}{with}"),
                ),
                Difference::Stronger { before } => (
                    Style::new(),
                    format!(
                        "~ {who} needs {} instead of {before} for {what} on {on}",
                        approvals(needed)
                    ),
                ),
                Difference::Loses => (Style::new().red(), format!("- {who} loses {what} on {on}")),
            };
            look.apply_to(told).to_string()
        })
    });
    lines.collect::<Vec<_>>().join("\n")
}
