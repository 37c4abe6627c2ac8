//! A proposal, as people read it before they agree to it.
//!
//! What is asked is told from the command itself, which is what a custodian signs; what it would
//! change is the service's word, and stands apart.

use crate::difference::{field, unified, visible};
use crate::rules;
use crate::table::{Table, in_how_long, thing, time_and_age, word};
use crate::waiting::{given, lacks, missing, outcome};
use console::style;
use jiff::Timestamp;
use kms_client::{Error, Kind, name, terms, v1};
use kms_core::certificate::{Certificate, Scheme};
use kms_core::command::Change;
use kms_core::name::Slug;
use kms_core::proposal::Terms;
use kms_core::value::DocumentName;
use serde_json::Value;

/// One line for each.
pub(super) fn list(proposals: &[v1::Proposal]) -> Table {
    let header = [
        "PROPOSAL",
        "STATE",
        "APPROVALS",
        "BY",
        "ACTION",
        "ON",
        "EXPIRES",
        "REASON",
    ];
    Table::columns(header).rows(proposals.iter().map(|proposal| {
        let waits = proposal.state() == v1::ProposalState::Waiting;
        let expires = in_how_long(proposal.expire_time.as_ref());
        [
            name::short(&proposal.name),
            word(proposal.state().as_str_name()),
            count(proposal),
            proposal.proposer.clone(),
            proposal.action.clone(),
            thing(&proposal.resource),
            if waits { expires } else { String::new() },
            visible(&reason(&proposal.command)),
        ]
    }))
}

/// What became of it, in one line.
pub(super) fn verdict(proposal: &v1::Proposal) -> String {
    let (name, who) = (&proposal.name, &proposal.proposer);
    let id = name::short(name);
    match proposal.state() {
        v1::ProposalState::Waiting if lacks(proposal) == 0 => {
            let given = given(proposal);
            format!("{name} has {given}: {who} can carry it out (kms proposal execute {id})")
        }
        v1::ProposalState::Waiting => {
            format!("{name} has {}: {}", given(proposal), missing(proposal))
        }
        v1::ProposalState::Unspecified
        | v1::ProposalState::Executed
        | v1::ProposalState::Rejected
        | v1::ProposalState::Withdrawn
        | v1::ProposalState::Expired
        | v1::ProposalState::Overtaken => format!("{name} {}", visible(&outcome(proposal))),
    }
}

/// The command of a proposal that waits.
pub(super) fn waiting_change(proposal: &v1::Proposal) -> Result<Option<Change>, Error> {
    let waits = proposal.state() == v1::ProposalState::Waiting;
    waits.then(|| change(&terms(proposal)?)).transpose()
}

fn change(terms: &Terms) -> Result<Change, Error> {
    let change = terms.change();
    change.map_err(|e| Error::new(Kind::Invalid, e.to_string()))
}

/// All of it; `meaning` is what a change of the rules would mean.
pub(super) fn shown(
    proposal: &v1::Proposal,
    deployment: &str,
    meaning: Option<&str>,
) -> Result<String, Error> {
    let terms = terms(proposal)?;
    let change = change(&terms)?;
    let head = Table::fields([
        ("proposal", proposal.name.clone()),
        ("deployment", deployment.to_owned()),
        ("asked by", terms.proposer.to_string()),
        ("action", terms.action.to_string()),
        ("on", thing(&change.resource().1)),
        ("reason", visible(&reason(&terms.command))),
        ("filed", time_and_age(proposal.create_time.as_ref())),
        ("expires", time_and_age(proposal.expire_time.as_ref())),
        ("approvals", count(proposal)),
        ("state", visible(&outcome(proposal))),
    ]);
    let mut parts = vec![head.to_string()];
    for approval in &proposal.approvals {
        parts.push(approved(approval, &terms, deployment));
    }
    let asked = asked(&terms.command, &change);
    if !asked.is_empty() {
        parts.push(heading("What is asked (what an approval signs)"));
        parts.extend(asked);
    }
    let changes = changes(proposal, &terms, &change)?;
    if !changes.is_empty() {
        parts.push(heading("What would change, as things are now"));
        parts.extend(changes);
    }
    if let Some(meaning) = meaning {
        parts.push(heading("What that would mean"));
        parts.push(meaning.to_owned());
    }
    Ok(parts.join("\n"))
}

fn count(proposal: &v1::Proposal) -> String {
    let (given, needed) = (proposal.approvals.len(), proposal.approvals_needed);
    format!("{given} of {needed}")
}

fn heading(text: &str) -> String {
    format!("\n{}", style(text).bold())
}

/// Who agreed, and whether it is their certificate's signature over these very terms.
fn approved(approval: &v1::Approval, terms: &Terms, deployment: &str) -> String {
    let holds = || -> kms_core::Result<()> {
        let deployment: Slug = deployment.parse()?;
        let message = terms.message(&deployment, &approval.custodian.parse()?);
        let certificate = Certificate::parse(&approval.certificate)?;
        let scheme = Scheme::try_from(approval.scheme)?;
        certificate.verify(scheme, &message, &approval.signature)
    };
    let signed = match holds() {
        Ok(()) => "signed".to_owned(),
        Err(_told) => style("THE SIGNATURE DOES NOT VERIFY")
            .red()
            .bold()
            .to_string(),
    };
    format!(
        "  {} {}, {signed}: {}",
        approval.custodian,
        time_and_age(approval.time.as_ref()),
        visible(&approval.reason)
    )
}

/// The fields of the command, but for what is told elsewhere; documents are told by their size.
fn asked(command: &str, change: &Change) -> Vec<String> {
    let mut out = Vec::new();
    if let Change::PutBindings { bindings, .. } = change {
        let bound = bindings.iter().map(rules::message);
        out.extend(bound.map(|b| format!("  {}: {}", b.principal, visible(&rules::line(&b)))));
        return out;
    }
    flatten(&mut out, "", &content(command));
    out
}

/// Told in the head, or by the signature.
const ELSEWHERE: [&str; 3] = ["name", "reason", "etag"];

fn flatten(out: &mut Vec<String>, name: &str, value: &Value) {
    let mut put = |text: String| out.push(format!("  {}: {text}", name.replace('_', " ")));
    match value {
        Value::Null => {}
        Value::Bool(yes) => put(crate::table::yes(*yes)),
        Value::Number(number) => put(plain(name, &number.to_string())),
        Value::String(text) if matches!(name, "policy" | "schema") => {
            put(format!("{} lines, below", text.lines().count()));
        }
        Value::String(text) => put(visible(text)),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                flatten(out, &format!("{name} {}", at + 1), item);
            }
        }
        Value::Object(fields) => {
            for (field, value) in fields {
                if name.is_empty() && ELSEWHERE.contains(&field.as_str()) {
                    continue;
                }
                let path = if name.is_empty() {
                    field.clone()
                } else {
                    format!("{name} {field}")
                };
                flatten(out, &path, value);
            }
        }
    }
}

/// A value as people read it: a time, which the service keeps in milliseconds since 1970, as a time.
fn plain(field: &str, value: &str) -> String {
    let word = field.rsplit(['.', ' ']).next().unwrap_or(field);
    let moment = TIMES
        .contains(&word)
        .then(|| value.parse().ok())
        .flatten()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    moment.map_or_else(|| value.to_owned(), |at| at.to_string())
}

/// What fields that hold a time are called.
const TIMES: [&str; 6] = ["compromised", "ends", "expires", "from", "time", "until"];

/// What the service says would change. What the command itself says of a document is believed
/// before what the service says of it.
fn changes(proposal: &v1::Proposal, terms: &Terms, change: &Change) -> Result<Vec<String>, Error> {
    let is_new = |name: &str| {
        let seen = terms.seen.iter().find(|seen| seen.name == name);
        seen.is_some_and(|seen| seen.revision.is_none())
    };
    let mut out = Vec::new();
    let mut resource = "";
    for difference in &proposal.differences {
        let document = [DocumentName::Schema, DocumentName::Policy]
            .into_iter()
            .find(|name| difference.resource == name.key() && difference.field == "text");
        if difference.resource != resource {
            resource = &difference.resource;
            let mark = if is_new(resource) { "new: " } else { "" };
            out.push(format!("  {mark}{}", visible(&thing(resource))));
        }
        let Some(document) = document else {
            let name = &difference.field;
            let before = plain(name, &difference.before);
            let told = field(
                &visible(name),
                (!is_new(resource)).then_some(before.as_str()),
                &plain(name, &difference.after),
            );
            out.push(format!("    {told}"));
            continue;
        };
        let asked = match (document, change) {
            (DocumentName::Policy, Change::PutPolicy { policy, .. }) => policy.as_ref(),
            (DocumentName::Schema, Change::PutPolicy { schema, .. }) => schema.as_ref(),
            (DocumentName::Schema | DocumentName::Policy, _) => None,
        };
        if asked != Some(&difference.after) {
            return Err(Error::new(
                Kind::Invalid,
                format!(
                    "{} must not be signed: the service shows another {resource} than the command holds",
                    proposal.name
                ),
            ));
        }
        let texts = (difference.before.as_str(), difference.after.as_str());
        out.push(unified(("in force", texts.0), ("proposed", texts.1)));
    }
    Ok(out)
}

/// Why it is asked, in the words of who asks.
fn reason(command: &str) -> String {
    let content = content(command);
    let said = content.get("reason").or_else(|| content.get("findings"));
    said.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What stands in the command's one variant.
fn content(command: &str) -> Value {
    match serde_json::from_str(command) {
        Ok(Value::Object(variant)) => variant
            .into_iter()
            .next()
            .map_or(Value::Null, |(_, content)| content),
        Ok(_) | Err(_) => Value::Null,
    }
}
