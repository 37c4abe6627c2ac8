//! Commands that show what is.

use super::attestation::backups;
use super::rules::policy;
use super::{Call, Engine, Here, Reply, Seat};
use crate::audit::Journal;
use kms_core::action::Action;
use kms_core::caller::Caller;
use kms_core::command::{Command, LogName, Named, Read, Sort};
use kms_core::decide::{Bench, Verdict, decide, sees};
use kms_core::error::{Error, Result};
use kms_core::name::{KeyName, SpaceName};
use kms_core::record::{Counts, Record};
use kms_core::value::{Stamped, Value};
use kms_core::view::View;
use std::collections::BTreeMap;

impl Engine {
    /// Shows what is, and records that it was shown before it is.
    pub(super) async fn read(&self, call: Call, read: Read) -> Result<Reply> {
        let begun = self.parts.clock.monotonic();
        let command = Command::Read(read.clone());
        let about = (command.action(), command.resource());
        let seat = self.seat.load_full();
        let bench = self.bench(&seat, Self::no_uid());
        let decided = decide(bench, &call.caller, &command).and_then(Verdict::permit);
        let reply = match decided {
            Ok(permit) => self.show(&seat, &call, read).await.map(|r| (r, permit)),
            Err(error) => Err(error),
        };
        let (outcome, policies) = match &reply {
            Ok((_, permit)) => (Ok(()), permit.policies().to_vec()),
            Err(error) => (Err(error.clone()), vec![]),
        };
        let counts = Counts {
            items: 1,
            policies,
            ..Counts::default()
        };
        self.record_use(&call, about, outcome, counts, begun)
            .await?;
        reply.map(|(reply, _)| reply)
    }

    async fn show(&self, seat: &Seat, call: &Call, read: Read) -> Result<Reply> {
        let caller = &call.caller;
        match read {
            Read::Resource(named) => one(seat, &named),
            Read::Usage(name) => self.usage(seat, name),
            Read::Renewal(name) => self.renewal(seat, name),
            Read::List {
                sort,
                space,
                key,
                after,
                limit,
            } => {
                let filter = Filter { sort, space, key };
                let bench = self.bench(seat, Self::no_uid());
                page(bench, caller, &filter, after.as_deref(), limit)
            }
            Read::Due { horizon } => self.due(seat, caller, horizon).await,
            Read::Report { space } => self.report(seat, caller, space.as_ref()).await,
            Read::Proposal(name) => self.proposal(seat, caller, &name),
            Read::Proposals { waiting } => Ok(self.proposals(seat, caller, waiting)),
            Read::Emergencies => Ok(self.emergencies(seat)),
            Read::Backups => Ok(Reply::Backups(backups(seat))),
            Read::Destinations => {
                let destinations = seat.view.under("destinations/").cloned();
                Ok(Reply::Destinations(destinations.collect()))
            }
            Read::Policy => policy(seat),
            Read::History => self.history().await,
            Read::Access(query) => self.access(seat, caller, query).await,
            Read::Allowance { on, who } => self.allowance(seat, call, on, who).await,
            Read::Deployment => {
                let view = &seat.view;
                let peer = caller.peer();
                let who = peer.map(|peer| view.who(&peer.identity().principal));
                let now = self.latest();
                Ok(Reply::Deployment(Box::new(Here {
                    deployment: view.founded()?.clone(),
                    principal: who.cloned(),
                    binding: who.and_then(|who| view.binding(who)).cloned(),
                    emergency: view.emergencies().find(|e| e.runs(now)).cloned(),
                })))
            }
            Read::Hsm => {
                let health = self.parts.hsm.health().borrow().clone();
                Ok(Reply::Hsm(health, Box::new(self.parts.hsm.report())))
            }
            Read::Logs => Ok(Reply::Logs(
                self.parts.changes.size(),
                self.parts.uses.size(),
            )),
            Read::Entries { log, from, limit } => {
                let journal: &dyn Journal = match log {
                    LogName::Changes => &*self.parts.changes,
                    LogName::Uses => &*self.parts.uses,
                };
                let bench = self.bench(seat, Self::no_uid());
                entries(bench, caller, journal, from, limit).await
            }
        }
    }
}

fn one(seat: &Seat, named: &Named) -> Result<Reply> {
    let name = match named {
        Named::Space(name) => name.to_string(),
        Named::Domain(name) => name.to_string(),
        Named::Edge(name) => name.to_string(),
        Named::Key(name) => name.to_string(),
        Named::Version(name) => name.to_string(),
    };
    let found = seat
        .view
        .get(&name)
        .ok_or_else(|| Error::not_found(&name))?;
    Ok(Reply::Resource(Box::new(found.clone())))
}

/// What a list shows.
struct Filter {
    sort: Sort,
    space: Option<SpaceName>,
    key: Option<KeyName>,
}

fn page(
    bench: Bench<'_>,
    caller: &Caller,
    filter: &Filter,
    after: Option<&str>,
    limit: usize,
) -> Result<Reply> {
    let mut visible = Visible::new(bench, caller);
    let mut items: Vec<Stamped<Value>> = Vec::new();
    for stamped in bench.view.all() {
        let name = stamped.value.name();
        if after.is_some_and(|after| name.as_str() <= after) || !filter.takes(&stamped.value) {
            continue;
        }
        if !visible.shows(&stamped.value) {
            continue;
        }
        if items.len() == limit {
            let last = items.last().map(|s| s.value.name());
            return Ok(Reply::Page(items, last));
        }
        items.push(stamped.clone());
    }
    if items.is_empty() && after.is_none() {
        visible.demand()?;
        filter.exists(bench.view)?;
    }
    Ok(Reply::Page(items, None))
}

impl Filter {
    /// Nothing of something that is not there is a mistyped name, not an empty list.
    fn exists(&self, view: &View) -> Result<()> {
        match (&self.space, &self.key) {
            (_, Some(key)) if view.key(key).is_none() => Err(Error::not_found(key)),
            (Some(space), _) if view.space(space).is_none() => Err(Error::not_found(space)),
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn takes(&self, value: &Value) -> bool {
        let in_space = |space: &SpaceName| self.space.as_ref().is_none_or(|s| s == space);
        match (self.sort, value) {
            (Sort::Spaces, Value::Space(_)) | (Sort::Domains, Value::Domain(_)) => true,
            (Sort::Edges, Value::Edge(edge)) => in_space(edge.name.target()),
            (Sort::Keys, Value::Key(key)) => in_space(key.name.space()),
            (Sort::Versions, Value::Version(version)) => {
                let key = version.name.key();
                in_space(key.space()) && self.key.as_ref().is_none_or(|k| k == key)
            }
            (Sort::Quotas, Value::Quota(quota)) => {
                !quota.limits.is_none() && in_space(quota.name.on().space())
            }
            (
                Sort::Spaces
                | Sort::Domains
                | Sort::Edges
                | Sort::Keys
                | Sort::Versions
                | Sort::Quotas,
                _,
            ) => false,
        }
    }
}

/// The spaces that a caller may see; each is asked once.
pub(super) struct Visible<'a> {
    bench: Bench<'a>,
    caller: &'a Caller,
    spaces: BTreeMap<SpaceName, bool>,
}

impl<'a> Visible<'a> {
    pub(super) fn new(bench: Bench<'a>, caller: &'a Caller) -> Self {
        Visible {
            bench,
            caller,
            spaces: BTreeMap::new(),
        }
    }

    /// Makes sure that there is something to see.
    pub(super) fn demand(&mut self) -> Result<()> {
        if self.anything() {
            return Ok(());
        }
        Err(Error::refused(
            "none of your roles lets you read the inventory; an auditor, an operator, a custodian or a steward can",
        ))
    }

    fn shows(&mut self, value: &Value) -> bool {
        match value {
            Value::Space(space) => self.space(&space.name),
            Value::Edge(edge) => self.space(edge.name.target()),
            Value::Key(key) => self.space(key.name.space()),
            Value::Version(version) => self.space(version.name.key().space()),
            Value::Quota(quota) => self.space(quota.name.on().space()),
            Value::Domain(_) => self.anything(),
            Value::Deployment(_)
            | Value::Document(_)
            | Value::Binding(_)
            | Value::Proposal(_)
            | Value::Emergency(_)
            | Value::Backup(_)
            | Value::Destination(_)
            | Value::Chain(_)
            | Value::Rebuild(_) => false,
        }
    }

    pub(super) fn space(&mut self, space: &SpaceName) -> bool {
        if let Some(known) = self.spaces.get(space) {
            return *known;
        }
        let seen = sees(self.bench, self.caller, Action::ReadInventory, Some(space));
        self.spaces.insert(space.clone(), seen);
        seen
    }

    fn anything(&mut self) -> bool {
        let spaces: Vec<SpaceName> = self.bench.view.spaces().map(|s| s.name.clone()).collect();
        sees(self.bench, self.caller, Action::ReadInventory, None)
            || spaces.iter().any(|space| self.space(space))
    }
}

/// Whoever may read the whole log reads it all; everyone else what they did themselves, and what is
/// about the spaces whose records they may read.
async fn entries(
    bench: Bench<'_>,
    caller: &Caller,
    journal: &dyn Journal,
    from: u64,
    limit: usize,
) -> Result<Reply> {
    let all = sees(bench, caller, Action::ReadAudit, None);
    let page = journal.read(from, limit).await?;
    let next = page.last().map(|(index, _)| index.saturating_add(1));
    let next = next.filter(|next| *next < journal.size());
    let mut shown = Vec::new();
    let me = caller.to_string();
    for (index, bytes) in page {
        if all || concerns(bench, caller, &me, &Record::decode(&bytes)?) {
            shown.push((index, bytes));
        }
    }
    Ok(Reply::Entries(shown, next))
}

fn concerns(bench: Bench<'_>, caller: &Caller, me: &str, record: &Record) -> bool {
    if record.actor() == me {
        return true;
    }
    let space = record
        .resource()
        .and_then(|(_, name)| SpaceName::of_resource(name));
    space.is_some_and(|space| sees(bench, caller, Action::ReadAudit, Some(&space)))
}
