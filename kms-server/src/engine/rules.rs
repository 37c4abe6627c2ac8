//! Policy, bindings and what they mean, shown.

use super::{Engine, Reply, Revised, Seat};
use crate::audit::Journal;
use kms_core::caller::Caller;
use kms_core::command::{AccessQuery, Asked, Rules};
use kms_core::decide::{access, explain, sound, with};
use kms_core::error::{Error, Result};
use kms_core::record::{Detail, Intention, Record, Settled};
use kms_core::value::{DocumentName, Stamped, Value};

/// Entries read at a time.
const CHUNK: usize = 4096;

/// The documents in force and every binding.
pub(super) fn policy(seat: &Seat) -> Result<Reply> {
    let text = |name| seat.view.document(name).map(ToOwned::to_owned);
    let rules = Rules {
        schema: text(DocumentName::Schema),
        policy: text(DocumentName::Policy),
        bindings: vec![],
    };
    let revision = seat.view.get(DocumentName::Policy.key());
    let revision = revision.map(|s| s.revision);
    let bindings: Vec<Stamped<Value>> = seat.view.under("bindings/").cloned().collect();
    Ok(Reply::Policy(Box::new(rules), revision, bindings))
}

impl Engine {
    /// Who may do what: apart, because the policy is asked many questions.
    pub(super) async fn access(
        &self,
        seat: &Seat,
        caller: &Caller,
        query: AccessQuery,
    ) -> Result<Reply> {
        let view = seat.view.clone();
        let environment = view.founded()?.environment;
        let now = self.latest();
        let source = caller.peer().and_then(|peer| peer.source);
        let source = source.map(|source| source.ip());
        let answered = tokio::task::spawn_blocking(move || {
            let judged = match &query.candidate {
                Some(rules) => {
                    let judged = with(&view, rules);
                    sound(&judged, environment, now, source)?;
                    judged
                }
                None => view,
            };
            match query.asked {
                Asked::May(questions) => questions
                    .iter()
                    .map(|question| explain(&judged, environment, now, question))
                    .collect::<Result<Vec<_>>>()
                    .map(Reply::Explained),
                Asked::Review => access(&judged, environment, now).map(Reply::Access),
            }
        });
        answered.await.map_err(|e| Error::internal(e.to_string()))?
    }

    /// Every policy and binding that there was, from the changes log.
    pub(super) async fn history(&self) -> Result<Reply> {
        let journal: &dyn Journal = &*self.parts.changes;
        let mut found = Vec::new();
        let mut open: Option<(Record, Box<Intention>)> = None;
        let mut next = 0;
        loop {
            let page = journal.read(next, CHUNK).await?;
            let Some((last, _)) = page.last() else {
                return Ok(Reply::History(found));
            };
            next = last.saturating_add(1);
            for (_, bytes) in page {
                let record = Record::decode(&bytes)?;
                match record.detail().clone() {
                    Detail::Intention(intention) => open = Some((record, intention)),
                    Detail::Outcome(outcome) => {
                        if let (Some((record, intention)), Settled::Committed { revision, .. }) =
                            (open.take(), outcome.settled)
                        {
                            found.extend(revised(&record, &intention, revision));
                        }
                    }
                    Detail::Use(_) => {}
                }
            }
        }
    }
}

fn revised<'a>(
    record: &'a Record,
    intention: &'a Intention,
    revision: kms_core::revision::Revision,
) -> impl Iterator<Item = Revised> + 'a {
    let values = intention.plan.writes.iter().map(|write| &write.value);
    let rules = values.filter(|v| matches!(v, Value::Document(_) | Value::Binding(_)));
    rules.map(move |value| Revised {
        index: record.index(),
        time: record.time(),
        actor: record.actor().to_owned(),
        proposal: intention.proposal.clone(),
        revision,
        value: value.clone(),
    })
}
