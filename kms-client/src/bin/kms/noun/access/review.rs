//! Everything that everyone may do, in three groupings.

use super::{By, bound};
use crate::access::{Right, places, rights, together};
use crate::rules;
use crate::session::Session;
use crate::table::Table;
use kms_client::{Error, v1};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn run(session: &Session, by: By, csv: bool) -> Result<(), Error> {
    let request = v1::ReviewAccessRequest { candidate: None };
    let answer = session.client.review_access(request).await?;
    let rights = rights(&answer.accesses);
    match by {
        By::Person if csv => {
            let rows = rights.iter().map(|right| {
                [&right.who, &right.action, &right.on]
                    .map(Clone::clone)
                    .into_iter()
                    .chain([right.needed.to_string()])
                    .collect()
            });
            written(session, &["person", "action", "on", "approvals"], rows)
        }
        By::Person => session.screen.show(&answer, |_| by_person(&rights)),
        By::Key => by_key(session, &rights, csv),
        By::Role => by_role(session, &rights, csv).await,
    }
}

fn by_person(rights: &BTreeSet<Right>) -> Table {
    let rows = together(rights).into_iter().flat_map(|one| {
        let on = places(&one.on);
        let needed = approvals(one.needed);
        lines(one.who, wrapped(&one.actions), on, needed)
    });
    Table::columns(["WHO", "MAY", "ON", "APPROVALS"]).rows(rows)
}

/// The actions over several lines; the rest on the first of them.
fn lines(
    who: String,
    actions: Vec<String>,
    on: String,
    needed: String,
) -> impl Iterator<Item = [String; 4]> {
    let mut first = Some((who, on, needed));
    actions.into_iter().map(move |line| {
        let (who, on, needed) = first.take().unwrap_or_default();
        [who, line, on, needed]
    })
}

/// Words in lines of a readable length.
fn wrapped(words: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in words {
        match out.last_mut() {
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push_str(", ");
                line.push_str(word);
            }
            Some(_) | None => out.push(word.clone()),
        }
    }
    out
}

const WIDTH: usize = 48;

/// What may be done to a resource, and by whom.
struct Done {
    on: String,
    action: String,
    needed: u32,
    people: Vec<String>,
}

fn by_key(session: &Session, rights: &BTreeSet<Right>, csv: bool) -> Result<(), Error> {
    let mut people: BTreeMap<(&str, &str, u32), Vec<String>> = BTreeMap::new();
    for right in rights {
        let what = (right.on.as_str(), right.action.as_str(), right.needed);
        people.entry(what).or_default().push(right.who.clone());
    }
    let all = people
        .into_iter()
        .map(|((on, action, needed), people)| Done {
            on: on.to_owned(),
            action: action.to_owned(),
            needed,
            people,
        });
    if csv {
        let rows = all.flat_map(|done| {
            let needed = done.needed.to_string();
            let row = move |who| vec![done.on.clone(), done.action.clone(), who, needed.clone()];
            done.people.clone().into_iter().map(row).collect::<Vec<_>>()
        });
        return written(session, &["on", "action", "person", "approvals"], rows);
    }
    if session.screen.is_json() {
        let rows: Vec<_> = all
            .map(|done| {
                json!({
                    "on": done.on,
                    "action": done.action,
                    "approvalsNeeded": done.needed,
                    "principals": done.people,
                })
            })
            .collect();
        return session.screen.json(&json!({ "resources": rows }));
    }
    let mut table = Table::columns(["ON", "ACTION", "WHO", "APPROVALS"]);
    let mut before = String::new();
    for done in all {
        let name = if done.on == before {
            String::new()
        } else {
            places(std::slice::from_ref(&done.on))
        };
        let people = wrapped(&done.people);
        for (at, line) in people.into_iter().enumerate() {
            let [name, action, needed] = match at {
                0 => [name.clone(), done.action.clone(), approvals(done.needed)],
                _ => [const { String::new() }; 3],
            };
            table.row([name, action, line, needed]);
        }
        before = done.on;
    }
    session.screen.line(&table.to_string())
}

async fn by_role(session: &Session, rights: &BTreeSet<Right>, csv: bool) -> Result<(), Error> {
    let mut roles: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for bound in bound(session).await? {
        for grant in &bound.roles {
            let held = (bound.principal.clone(), rules::on(grant));
            roles.entry(grant.role.clone()).or_default().push(held);
        }
    }
    if csv {
        let rows = roles.into_iter().flat_map(|(role, holders)| {
            let row = move |(who, on): (String, String)| vec![role.clone(), who, on];
            holders.into_iter().map(row).collect::<Vec<_>>()
        });
        return written(session, &["role", "person", "granted_on"], rows);
    }
    let mut told = Vec::new();
    for (role, holders) in roles {
        let may = shared(rights, holders.iter().map(|(who, _)| who));
        told.push((role, holders, may));
    }
    if session.screen.is_json() {
        let all: Vec<_> = told
            .iter()
            .map(|(role, holders, may)| {
                let holders: Vec<_> = holders
                    .iter()
                    .map(|(who, on)| json!({ "principal": who, "on": on }))
                    .collect();
                json!({ "role": role, "holders": holders, "everyHolderMay": may })
            })
            .collect();
        return session.screen.json(&json!({ "roles": all }));
    }
    let mut table = Table::columns(["ROLE", "WHO", "ON", "EVERY HOLDER MAY"]);
    for (role, holders, may) in told {
        let may = wrapped(&may);
        for at in 0..holders.len().max(may.len()) {
            let (who, on) = holders.get(at).cloned().unwrap_or_default();
            let role = if at == 0 { role.clone() } else { String::new() };
            let may = may.get(at).cloned().unwrap_or_default();
            table.row([role, who, on, may]);
        }
    }
    session.screen.line(&table.to_string())
}

/// What all of these may do somewhere.
fn shared<'a>(rights: &BTreeSet<Right>, people: impl Iterator<Item = &'a String>) -> Vec<String> {
    let actions = people.map(|who| -> BTreeSet<&str> {
        let theirs = rights.iter().filter(|right| right.who == *who);
        theirs.map(|right| right.action.as_str()).collect()
    });
    let all = actions.reduce(|one, other| one.intersection(&other).copied().collect());
    all.into_iter().flatten().map(str::to_owned).collect()
}

fn approvals(needed: u32) -> String {
    match needed {
        0 => String::new(),
        needed => format!("+{needed}"),
    }
}

fn written(
    session: &Session,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<(), Error> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let failed = |e: &dyn std::fmt::Display| {
        Error::new(
            kms_client::Kind::Internal,
            format!("the review has no CSV form: {e}"),
        )
    };
    csv.write_record(header).map_err(|e| failed(&e))?;
    for row in rows {
        csv.write_record(row).map_err(|e| failed(&e))?;
    }
    let bytes = csv.into_inner().map_err(|e| failed(&e))?;
    session
        .screen
        .line(String::from_utf8_lossy(&bytes).trim_end())
}
