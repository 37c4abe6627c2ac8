//! Takes the steps of a plan, in order, each under its own check.

use super::document::{Class, Domain, Edge, Input, Key, Origin, Space, SpaceKind, Study};
use super::plan::{Plan, PutQuota, Step, Update, UpdateSpace};
use crate::intake::Intake;
use crate::lifecycle::Written;
use crate::limits;
use crate::progress;
use crate::session::Session;
use crate::waiting::Asked;
use kms_client::{Client, Error, Kind, v1};

/// Applies all of it; returns how many steps were taken. A failure leaves the steps before it
/// done, names its own step, and is mended by planning and applying again. Steps that others must
/// agree to keep nobody waiting: all of them are put before the custodians first, and then waited
/// for, if that was asked.
pub(crate) async fn apply(session: &Session, plan: &Plan) -> Result<usize, Error> {
    let bar = progress::steps(plan.steps.len());
    let all = plan.steps.len();
    let mut taken = 0;
    let (mut waiting, mut behind) = (Vec::<(&Step, v1::Proposal)>::new(), Vec::new());
    for step in &plan.steps {
        bar.set_message(format!("{} {}", step.kind(), step.name()));
        if waiting.iter().any(|(first, _)| step.follows(first)) {
            behind.push(step);
            bar.inc(1);
            continue;
        }
        let asked = session.ask(step, take);
        match asked.await.map_err(|e| of_step(e, step, taken, all))? {
            Asked::Done(()) => taken += 1,
            Asked::Waits(proposal) => waiting.push((step, *proposal)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !waiting.is_empty() && session.patience.is_none() {
        let proposals: Vec<_> = waiting.into_iter().map(|(_, proposal)| proposal).collect();
        let behind = match behind.len() {
            0 => String::new(),
            behind => format!(", and {behind} behind them"),
        };
        session.screen.remark(&format!(
            "{taken} of {all} steps are done, {} wait for others{behind}; apply again once they \
             agreed",
            proposals.len()
        ));
        return Err(session.pending(&proposals));
    }
    let waiting = waiting.into_iter().map(|(step, _)| step);
    for step in waiting.chain(behind) {
        let carried = session.carry(step, take).await;
        carried.map_err(|e| of_step(e, step, taken, all))?;
        taken += 1;
    }
    Ok(taken)
}

/// The failure of a step.
fn of_step(e: Error, step: &Step, taken: usize, all: usize) -> Error {
    let stale = match e.kind() {
        Kind::Conflict => "the plan is stale, plan again: ",
        Kind::Invalid
        | Kind::Rejected
        | Kind::Refused
        | Kind::NotFound
        | Kind::State
        | Kind::Pending
        | Kind::Exhausted
        | Kind::Unavailable
        | Kind::Unknown
        | Kind::Internal
        | Kind::Tls
        | Kind::Usage
        | Kind::Io => "",
    };
    let (kind, name) = (step.kind(), step.name());
    e.within(format!(
        "{stale}{kind} {name} ({taken} of {all} steps are done)"
    ))
}

async fn take(client: &Client, step: &Step) -> Result<(), Error> {
    let request_id = String::new();
    match step {
        Step::CreateSpace(space) => {
            let space = Some(made_space(space));
            client
                .create_space(v1::CreateSpaceRequest { space, request_id })
                .await
                .map(drop)
        }
        Step::CreateDomain(domain) => {
            let domain = Some(made_domain(domain));
            client
                .create_domain(v1::CreateDomainRequest { domain, request_id })
                .await
                .map(drop)
        }
        Step::CreateKey(key) => {
            let key = Some(made_key(key)?);
            client
                .create_key(v1::CreateKeyRequest { key, request_id })
                .await
                .map(drop)
        }
        Step::CreateEdge(edge) => {
            let edge = Some(made_edge(edge));
            client
                .create_edge(v1::CreateEdgeRequest { edge, request_id })
                .await
                .map(drop)
        }
        Step::UpdateKey(update) => client.update_key(updated(update)?).await.map(drop),
        Step::UpdateSpace(update) => client.update_space(said(update)).await.map(drop),
        Step::PutQuota(put) => client.put_quota(set(put)).await.map(drop),
    }
}

fn made_space(space: &Space) -> v1::Space {
    let kind = match space.kind {
        SpaceKind::Ingest => v1::SpaceKind::Ingest,
        SpaceKind::Warehouse => v1::SpaceKind::Warehouse,
        SpaceKind::Project => v1::SpaceKind::Project,
        SpaceKind::Platform => v1::SpaceKind::Platform,
        SpaceKind::Outside => v1::SpaceKind::Outside,
    };
    v1::Space {
        name: format!("spaces/{}", space.name),
        title: space.title.clone().unwrap_or_default(),
        kind: kind.into(),
        lifecycle: space.lifecycle.clone().map(Written::message),
        ..v1::Space::default()
    }
}

fn made_domain(domain: &Domain) -> v1::Domain {
    let source = domain
        .source
        .as_ref()
        .map(|space| format!("spaces/{space}"));
    v1::Domain {
        name: format!("domains/{}", domain.name),
        title: domain.title.clone().unwrap_or_default(),
        source: source.unwrap_or_default(),
        ..v1::Domain::default()
    }
}

fn made_key(key: &Key) -> Result<v1::Key, Error> {
    let class = match key.class {
        Class::DataAtRest => v1::KeyClass::DataAtRest,
        Class::ImportWrapping => v1::KeyClass::ImportWrapping,
        Class::Exchange => v1::KeyClass::Exchange,
    };
    let origin = match key.origin {
        Origin::Generated => v1::Origin::Generated,
        Origin::External => v1::Origin::External,
    };
    Ok(v1::Key {
        name: kms_client::name::key(&key.name)?,
        class: class.into(),
        title: key.title.clone().unwrap_or_default(),
        origin: origin.into(),
        exportable: key.exportable,
        labels: key.labels.clone().unwrap_or_default(),
        study: key.study.as_ref().map(Study::message),
        lifecycle: key.lifecycle.clone().map(Written::message),
        intake: key.intake.as_ref().map(Intake::message),
        ..v1::Key::default()
    })
}

fn made_edge(edge: &Edge) -> v1::Edge {
    let input = match edge.input {
        Input::Opaque => v1::InputType::Opaque,
        Input::Pseudonym => v1::InputType::Pseudonym,
        Input::Nir => v1::InputType::Nir,
    };
    v1::Edge {
        name: format!("spaces/{}/edges/{}", edge.target, edge.domain),
        code: edge.code.clone(),
        input: input.into(),
        exportable: edge.exportable,
        ..v1::Edge::default()
    }
}

fn updated(update: &Update) -> Result<v1::UpdateKeyRequest, Error> {
    let mut paths = Vec::new();
    let mut key = v1::Key {
        name: kms_client::name::key(&update.name)?,
        etag: update.etag.clone(),
        ..v1::Key::default()
    };
    if let Some(title) = &update.title {
        paths.push("title".to_owned());
        key.title.clone_from(&title.to);
    }
    if let Some(labels) = &update.labels {
        paths.push("labels".to_owned());
        key.labels.clone_from(&labels.to);
    }
    if let Some(study) = &update.study {
        paths.push("study".to_owned());
        key.study = study.to.as_ref().map(Study::message);
    }
    if let Some(lifecycle) = &update.lifecycle {
        paths.push("lifecycle".to_owned());
        key.lifecycle = Some(lifecycle.to.clone().message());
    }
    Ok(v1::UpdateKeyRequest {
        key: Some(key),
        update_mask: Some(prost_types::FieldMask { paths }),
        request_id: String::new(),
    })
}

fn set(put: &PutQuota) -> v1::PutQuotaRequest {
    v1::PutQuotaRequest {
        quota: Some(v1::Quota {
            name: put.name.clone(),
            limits: limits::messages(&put.quota.limits),
            etag: put.etag.clone(),
            ..v1::Quota::default()
        }),
        reason: put.quota.reason.clone(),
        request_id: String::new(),
    }
}

fn said(update: &UpdateSpace) -> v1::UpdateSpaceRequest {
    let mut paths = Vec::new();
    let mut space = v1::Space {
        name: format!("spaces/{}", update.name),
        etag: update.etag.clone(),
        ..v1::Space::default()
    };
    if let Some(title) = &update.title {
        paths.push("title".to_owned());
        space.title.clone_from(&title.to);
    }
    if let Some(lifecycle) = &update.lifecycle {
        paths.push("lifecycle".to_owned());
        space.lifecycle = Some(lifecycle.to.clone().message());
    }
    v1::UpdateSpaceRequest {
        space: Some(space),
        update_mask: Some(prost_types::FieldMask { paths }),
        request_id: String::new(),
    }
}
