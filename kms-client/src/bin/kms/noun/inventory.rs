//! `kms inventory`.

use crate::inventory::document::{Document, Study};
use crate::inventory::plan::{Change, Plan, PutQuota, Step, Update, UpdateSpace};
use crate::inventory::{State, apply, export, shown};
use crate::lifecycle::{self, Written};
use crate::limits;
use crate::screen::Screen;
use crate::session::{Session, Setting};
use crate::table::Table;
use clap::{Args, Subcommand};
use kms_client::{Error, Kind, Output, v1};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show what `apply` would make or change; nothing is done.
    #[command(after_help = "\
In the answer: + is made, ~ is changed, ? exists without being declared and is kept.

Examples:
  kms inventory plan -f inventory.yaml
  kms inventory plan -f inventory.yaml --out plan.json")]
    Plan {
        /// The inventory, YAML.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Keep the plan in a file, for `apply`.
        #[arg(long, value_name = "PLAN")]
        out: Option<PathBuf>,
    },
    /// Make and change what is declared; nothing is ever destroyed by omission.
    ///
    /// Steps that others must agree to are put before them, all at once; applying again carries out
    /// those that have been approved.
    #[command(after_help = "Examples:
  kms inventory apply -f inventory.yaml
  kms inventory apply -f inventory.yaml --wait
  kms inventory apply plan.json")]
    Apply(Apply),
    /// Write what there is in the same form.
    #[command(after_help = "Examples:\n  kms inventory export > inventory.yaml")]
    Export,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false, args = ["file", "plan"])]
pub(crate) struct Apply {
    /// The inventory, YAML: plan and apply at once.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A plan that `kms inventory plan --out` kept; refused if the state has changed since.
    plan: Option<PathBuf>,
}

impl Verb {
    pub(crate) async fn run(self, setting: &Setting) -> Result<(), Error> {
        match self {
            Self::Plan { file, out } => {
                // A file that cannot be read is told before anybody is connected to.
                let document = Document::read(&file)?;
                let session = setting.session().await?;
                let plan = planned(&session, &document, &file).await?;
                if let Some(out) = out {
                    keep(&plan, &out)?;
                }
                if session.screen.is_json() {
                    return session.screen.json(&plan);
                }
                show(session.screen, &plan)
            }
            Self::Apply(asked) => asked.run(setting).await,
            Self::Export => {
                let session = setting.session().await?;
                let state = State::read(&session.client).await?;
                session.screen.line(export::yaml(state)?.trim_end())
            }
        }
    }
}

impl Apply {
    async fn run(self, setting: &Setting) -> Result<(), Error> {
        let (session, plan) = match (self.file, self.plan) {
            (Some(file), _) => {
                let document = Document::read(&file)?;
                let session = setting.session().await?;
                let plan = planned(&session, &document, &file).await?;
                (session, plan)
            }
            (None, Some(path)) => {
                let plan = kept(&path)?;
                let session = setting.session().await?;
                let state = State::read(&session.client).await?;
                plan.check(&deployment(&session).await?, &state)?;
                (session, plan)
            }
            (None, None) => {
                return Err(Error::new(
                    Kind::Usage,
                    "name an inventory with -f, or a plan",
                ));
            }
        };
        let taken = apply::apply(&session, &plan).await?;
        if session.screen.is_json() {
            return session
                .screen
                .json(&json!({ "applied": taken, "unchanged": plan.unchanged }));
        }
        if taken == 0 {
            return session
                .screen
                .line(&format!("nothing to do: {} as declared", plan.unchanged));
        }
        session.screen.line(&format!(
            "{taken} steps taken, {} as declared before",
            plan.unchanged
        ))
    }
}

async fn planned(session: &Session, document: &Document, file: &Path) -> Result<Plan, Error> {
    let state = State::read(&session.client).await?;
    Plan::new(&deployment(session).await?, document, &state).map_err(|e| e.within(file.display()))
}

async fn deployment(session: &Session) -> Result<String, Error> {
    Ok(session
        .client
        .get_deployment(v1::GetDeploymentRequest {})
        .await?
        .name)
}

fn keep(plan: &Plan, path: &Path) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(plan)
        .map_err(|e| Error::new(Kind::Internal, format!("the plan has no JSON form: {e}")))?;
    let mut output = Output::file(path, true)?;
    writeln!(output, "{text}")
        .map_err(|e| Error::file(&format!("write {}", path.display()), &e))?;
    output.commit()
}

fn kept(path: &Path) -> Result<Plan, Error> {
    let text =
        std::fs::read(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))?;
    serde_json::from_slice(&text).map_err(|e| {
        Error::new(
            Kind::Invalid,
            format!("{} is not a plan: {e}", path.display()),
        )
    })
}

fn show(screen: Screen, plan: &Plan) -> Result<(), Error> {
    let mut table = Table::bare();
    for step in &plan.steps {
        let mark = if step.changes() { "~" } else { "+" };
        let told = match step {
            Step::CreateSpace(space) => written(&space.kind, space.title.as_deref()),
            Step::CreateDomain(domain) => domain.title.clone().unwrap_or_default(),
            Step::CreateKey(key) => written(&key.class, key.title.as_deref()),
            Step::CreateEdge(edge) => written(&edge.input, Some(&edge.code)),
            Step::UpdateKey(update) => changes(update),
            Step::UpdateSpace(update) => space_changes(update),
            Step::PutQuota(put) => quota_changes(put),
        };
        table.row([mark.to_owned(), step.kind().to_owned(), step.name(), told]);
    }
    for thing in &plan.undeclared {
        let (kind, name) = thing.split_once(' ').unwrap_or((thing, ""));
        table.row(["?", kind, name, "is not declared; kept"].map(str::to_owned));
    }
    if !plan.steps.is_empty() || !plan.undeclared.is_empty() {
        screen.line(&table.to_string())?;
    }
    let updates = plan.steps.iter().filter(|step| step.changes()).count();
    screen.line(&format!(
        "{} to make, {updates} to change, {} not declared, {} as declared",
        plan.steps.len() - updates,
        plan.undeclared.len(),
        plan.unchanged
    ))
}

/// A value as the document writes it, and what follows it.
fn written(value: &impl serde::Serialize, after: Option<&str>) -> String {
    let word = shown(value);
    match after {
        Some(after) if !after.is_empty() => format!("{word}, {after}"),
        Some(_) | None => word,
    }
}

fn changes(update: &Update) -> String {
    let labels = update
        .labels
        .as_ref()
        .map(|Change { from, to }| format!("labels {from:?} -> {to:?}"));
    let study = update.study.as_ref().map(|Change { from, to }| {
        let told = |study: &Option<Study>| {
            let study = study.as_ref().map(ToString::to_string);
            study.unwrap_or_else(|| "(none)".to_owned())
        };
        format!("study {} -> {}", told(from), told(to))
    });
    let all = [
        title_changes(update.title.as_ref()),
        labels,
        study,
        lifecycle_changes(update.lifecycle.as_ref()),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn space_changes(update: &UpdateSpace) -> String {
    let all = [
        title_changes(update.title.as_ref()),
        lifecycle_changes(update.lifecycle.as_ref()),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn quota_changes(put: &PutQuota) -> String {
    let to = limits::told(&put.quota.limits);
    if put.from.is_empty() {
        to
    } else {
        format!("{} -> {to}", limits::told(&put.from))
    }
}

fn title_changes(title: Option<&Change<String>>) -> Option<String> {
    title.map(|Change { from, to }| format!("title {from:?} -> {to:?}"))
}

fn lifecycle_changes(lifecycle: Option<&Change<Written>>) -> Option<String> {
    let told = |written: &Written| {
        let told = lifecycle::told(Some(&written.clone().message()));
        if told.is_empty() {
            "inherited".to_owned()
        } else {
            told
        }
    };
    lifecycle.map(|Change { from, to }| format!("lifecycle {} -> {}", told(from), told(to)))
}
