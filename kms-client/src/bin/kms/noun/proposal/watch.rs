//! Proposals as they change: redrawn on a terminal, a line each elsewhere.

use super::deployment;
use super::shown::{list, shown, verdict};
use crate::screen::canonical;
use crate::session::Session;
use console::Term;
use kms_client::{Error, v1};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

/// How often ages and remaining times are drawn anew.
const REDRAW: Duration = Duration::from_secs(30);

/// All that we may see, until interrupted; the latest first.
pub(super) async fn all(session: &Session, over_too: bool) -> Result<(), Error> {
    let mut changes = session.client.watch_proposals("").await?;
    let mut known: BTreeMap<String, v1::Proposal> = BTreeMap::new();
    let draws = draws(session);
    let mut settled = false;
    loop {
        tokio::select! {
            changed = changes.next() => {
                let proposal = changed?;
                let wanted = over_too || waits(&proposal) || known.contains_key(&proposal.name);
                if !draws && wanted && known.get(&proposal.name) != Some(&proposal) {
                    tell(session, &proposal)?;
                }
                if wanted {
                    known.insert(proposal.name.clone(), proposal);
                }
                settled = false;
            }
            // What comes together is drawn once.
            () = tokio::time::sleep(if settled { REDRAW } else { TOGETHER }), if draws => {
                settled = true;
                let mut latest: Vec<v1::Proposal> = known.values().cloned().collect();
                latest.retain(|proposal| over_too || waits(proposal));
                let filed = |p: &v1::Proposal| p.create_time.map(|at| (at.seconds, at.nanos));
                latest.sort_by_key(|proposal| std::cmp::Reverse(filed(proposal)));
                draw(&format!("{}\n\nCtrl-C ends this.", list(&latest)))?;
            }
        }
    }
}

/// One, until it is over.
pub(super) async fn one(session: &Session, name: &str) -> Result<(), Error> {
    // Who may not see it is told so, instead of waiting for ever.
    let mut proposal = session.proposal(name).await?;
    let deployment = deployment(session).await?;
    let mut changes = session.client.watch_proposals(name).await?;
    let draws = draws(session);
    let mut told = None;
    loop {
        let state = (proposal.state, proposal.approvals.len());
        if draws {
            draw(&shown(&proposal, &deployment, None)?)?;
        } else if told != Some(state) {
            tell(session, &proposal)?;
        }
        told = Some(state);
        if !waits(&proposal) {
            return Ok(());
        }
        tokio::select! {
            changed = changes.next() => { changed?; }
            () = tokio::time::sleep(REDRAW) => {}
        }
        proposal = session.proposal(name).await?;
    }
}

const TOGETHER: Duration = Duration::from_millis(50);

fn waits(proposal: &v1::Proposal) -> bool {
    proposal.state() == v1::ProposalState::Waiting
}

fn draws(session: &Session) -> bool {
    !session.screen.is_json() && std::io::stdout().is_terminal()
}

fn draw(text: &str) -> Result<(), Error> {
    let terminal = Term::stdout();
    terminal
        .clear_screen()
        .and_then(|()| terminal.write_line(text))
        .map_err(|e| Error::file("write the answer", &e))
}

/// A change in one line.
fn tell(session: &Session, proposal: &v1::Proposal) -> Result<(), Error> {
    let line = if session.screen.is_json() {
        canonical(proposal)?.to_string()
    } else {
        format!(
            "{} {} {}",
            jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            proposal.action,
            verdict(proposal)
        )
    };
    session.screen.line(&line)
}
