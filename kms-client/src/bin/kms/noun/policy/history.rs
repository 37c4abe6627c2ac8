//! Every policy and binding that there was.

use crate::difference::unified;
use crate::rules;
use crate::session::Session;
use crate::table::{Table, person, time};
use console::style;
use kms_client::{Error, name, v1};
use std::collections::BTreeMap;
use v1::list_policy_history_response::Revision;

pub(super) async fn run(session: &Session, diff: bool) -> Result<(), Error> {
    let request = v1::ListPolicyHistoryRequest {};
    let answer = session.client.list_policy_history(request).await?;
    if !diff || session.screen.is_json() {
        return session.screen.show(&answer, |answer| {
            let header = ["RECORD", "TIME", "WHAT", "BY", "PROPOSAL", "ETAG"];
            Table::columns(header).rows(answer.revisions.iter().map(|revision| {
                [
                    revision.index.to_string(),
                    time(revision.time.as_ref()),
                    revision.name.clone(),
                    person(&revision.actor).to_owned(),
                    name::short(&revision.proposal),
                    revision.etag.clone(),
                ]
            }))
        });
    }
    let mut before: BTreeMap<&str, String> = BTreeMap::new();
    for revision in &answer.revisions {
        let text = readable(revision);
        let old = before
            .insert(&revision.name, text.clone())
            .unwrap_or_default();
        session.screen.line(&head(revision))?;
        let texts = (("before", old.as_str()), ("after", text.as_str()));
        session.screen.line(&unified(texts.0, texts.1))?;
        session.screen.line("")?;
    }
    Ok(())
}

fn head(revision: &Revision) -> String {
    let carried = match revision.proposal.as_str() {
        "" => String::new(),
        proposal => format!(", carried by {proposal}"),
    };
    let head = format!(
        "{} on {} by {} (record {}{carried})",
        revision.name,
        time(revision.time.as_ref()),
        person(&revision.actor),
        revision.index,
    );
    style(head).bold().to_string()
}

/// A document as it is; a binding, which is kept as JSON, as people write it.
fn readable(revision: &Revision) -> String {
    let binding = serde_json::from_str(&revision.text).ok();
    let written = binding.and_then(|bound| rules::yaml(&[rules::message(&bound)]).ok());
    match written.filter(|_| revision.name.starts_with("bindings/")) {
        Some(text) => text.trim_start_matches("bindings:\n").to_owned(),
        None => revision.text.clone(),
    }
}
