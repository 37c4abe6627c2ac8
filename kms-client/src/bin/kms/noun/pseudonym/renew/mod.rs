//! `kms pseudonym renew`.

mod apply;
mod passing;
mod source;
mod table;
mod translate;
mod verify;
mod wanted;

use crate::confirm::confirm;
use crate::lifecycle::{Length, length};
use crate::noun::Move;
use crate::session::Session;
use crate::table::{Table, person, time, time_and_age, word};
use apply::Apply;
use clap::{Args, Subcommand, ValueEnum};
use kms_client::{Client, Error, name, v1};
use kms_core::quota::grouped;
use translate::Translate;
use verify::Verify;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start a campaign: make the successor version, held back, and the key that seals translation
    /// tables. Two custodians approve.
    #[command(after_help = "Examples:
  kms pseudonym renew start --edge warehouse/link --translator service/mapper \\
      --expected 2100000 --reason \"incident 43\" --wait
  kms pseudonym renew start --edge warehouse/link --mode layered --translator service/mapper \\
      --expected 2100000 --reason \"incident 43\"")]
    Start(Start),
    /// Show the latest campaign of an edge, and what has to be renewed after it.
    #[command(after_help = "Examples:\n  kms pseudonym renew show --edge warehouse/link")]
    Show {
        #[command(flatten)]
        edge: OfEdge,
    },
    /// Translate a column of a CSV file into a sealed table of old and new pseudonyms. Asked again,
    /// it goes on where it was interrupted.
    #[command(after_help = "Examples:
  kms pseudonym renew translate patients.csv --edge warehouse/link --column ID --table link.table
  kms pseudonym renew translate cohort.csv --edge project-01/warehouse --column old --after new --table p01.table")]
    Translate(Translate),
    /// Translate a sample of the table again, compare, and record it. A cutover needs it.
    #[command(after_help = "Examples:
  kms pseudonym renew verify patients.csv --edge warehouse/link --column ID --table link.table")]
    Verify(Verify),
    /// Let the new version protect from now on. Two custodians approve.
    #[command(after_help = "Examples:
  kms pseudonym renew cutover --edge warehouse/link --reason \"2,000,000 rows verified\" --wait")]
    Cutover(Step),
    /// Replace the old pseudonyms of a column by the new ones, by the table; as whoever may process
    /// in the space.
    #[command(after_help = "Examples:
  kms pseudonym renew apply visits.csv --column patient --table link.table
  kms pseudonym renew apply cohort.csv --column person --into new --table link.table")]
    Apply(Apply),
    /// End the campaign and destroy what nobody needs any more, the table's key among it. Two
    /// custodians approve.
    #[command(after_help = "Examples:
  kms pseudonym renew finish --edge warehouse/link --reason \"every column is new\" --wait
  kms pseudonym renew finish --edge warehouse/link --abandon --reason \"wrong file\"")]
    Finish {
        #[command(flatten)]
        step: Step,
        /// Give the campaign up before the cutover: the new version is destroyed.
        #[arg(long)]
        abandon: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct OfEdge {
    /// The edge, for example warehouse/link.
    #[arg(long, value_parser = name::edge)]
    edge: String,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    edge: OfEdge,
    /// What the new pseudonyms are evaluated from.
    #[arg(long, value_enum, default_value = "recompute")]
    mode: Mode,
    /// A service that may translate, for example service/mapper. May be given several times.
    #[arg(long = "translator", value_name = "SERVICE", required = true)]
    translators: Vec<String>,
    /// How many rows they will translate, all together: what the custodians agree to. Leave some room
    /// for people that are found missing later.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    expected: u64,
    /// For how long they may at the most.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = length)]
    lasting: Length,
    #[command(flatten)]
    moving: Move,
}

/// What the new pseudonyms are evaluated from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// From what the old ones were evaluated from; the old version is destroyed at the end.
    Recompute,
    /// From the old pseudonyms, where nothing else is left; the old version stays as the first stage
    /// of the new one, for as long as that lives.
    Layered,
}

#[derive(Debug, Args)]
pub(crate) struct Step {
    #[command(flatten)]
    edge: OfEdge,
    #[command(flatten)]
    moving: Move,
    /// Do not ask for a confirmation.
    #[arg(long)]
    yes: bool,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let renewal = match self {
            Self::Start(asked) => {
                session
                    .carry(asked.request(), Client::start_renewal)
                    .await?
            }
            Self::Show { edge } => of(session, edge.edge).await?,
            Self::Translate(asked) => return asked.run(session).await,
            Self::Verify(asked) => return asked.run(session).await,
            Self::Apply(asked) => return asked.run(session).await,
            Self::Cutover(step) => {
                let edge = name::short(&step.edge.edge);
                let question = format!(
                    "Every pseudonym of {edge} will be a new one from now on. This cannot be taken back."
                );
                confirm(step.yes, &question, &edge)?;
                let request = v1::CutoverRequest {
                    name: step.edge.edge,
                    etag: step.moving.etag,
                    reason: step.moving.reason,
                    request_id: step.moving.once.request_id,
                };
                session.carry(request, Client::cutover).await?
            }
            Self::Finish { step, abandon } => {
                let edge = name::short(&step.edge.edge);
                let what = if abandon {
                    "The new version and every translation table"
                } else {
                    "Every translation table, and the old version unless it is a first stage,"
                };
                let question = format!("{what} of {edge} will be destroyed for ever.");
                confirm(step.yes, &question, &edge)?;
                let request = v1::FinishRenewalRequest {
                    name: step.edge.edge,
                    etag: step.moving.etag,
                    abandon,
                    reason: step.moving.reason,
                    request_id: step.moving.once.request_id,
                };
                session.carry(request, Client::finish_renewal).await?
            }
        };
        session.screen.show(&renewal, fields)
    }
}

impl Start {
    fn request(self) -> v1::StartRenewalRequest {
        let mode = match self.mode {
            Mode::Recompute => v1::RenewalMode::Recompute,
            Mode::Layered => v1::RenewalMode::Layered,
        };
        v1::StartRenewalRequest {
            name: self.edge.edge,
            etag: self.moving.etag,
            mode: mode.into(),
            translators: self.translators,
            expected: self.expected,
            lasting: Some(self.lasting.message()),
            reason: self.moving.reason,
            request_id: self.moving.once.request_id,
        }
    }
}

/// The latest campaign of an edge.
async fn of(session: &Session, edge: String) -> Result<v1::Renewal, Error> {
    let asked = v1::GetRenewalRequest { name: edge };
    session.client.get_renewal(asked).await
}

pub(super) fn fields(renewal: &v1::Renewal) -> Table {
    let said = |moved: &Option<v1::Transition>| match moved {
        Some(moved) => {
            let (when, by) = (time(moved.time.as_ref()), person(&moved.actor));
            format!("{when} ({by}: {})", moved.reason)
        }
        None => String::new(),
    };
    let names = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|n| name::short(n)).collect();
        names.join(", ")
    };
    let mode = match renewal.mode() {
        v1::RenewalMode::Unspecified => String::new(),
        v1::RenewalMode::Recompute => "recompute: the end destroys the old version".to_owned(),
        v1::RenewalMode::Layered => {
            "layered: the old version stays as the first stage of the new one".to_owned()
        }
    };
    let verified = renewal.verification.as_ref().map(|v| {
        let when = v.recorded.as_ref();
        let (at, by) = when.map_or((String::new(), ""), |m| {
            (time(m.time.as_ref()), person(&m.actor))
        });
        format!(
            "{} rows, {} of them translated again and the same; {} translations counted ({at}, {by})",
            v.rows, v.sampled, v.counted
        )
    });
    Table::fields([
        ("edge", name::short(&renewal.edge)),
        ("state", word(renewal.state().as_str_name())),
        ("mode", mode),
        ("from", name::short(&renewal.predecessor)),
        ("to", name::short(&renewal.successor)),
        ("table key", name::short(&renewal.table_key)),
        ("translators", renewal.translators.join(", ")),
        ("until", time_and_age(renewal.end_time.as_ref())),
        ("started", said(&renewal.started)),
        ("expected", format!("{} rows", grouped(renewal.expected))),
        ("translated", renewal.translated.to_string()),
        ("verified", verified.unwrap_or_default()),
        ("cut over", said(&renewal.cutover)),
        ("finished", said(&renewal.finished)),
        ("destroyed", names(&renewal.destroyed)),
        ("first stages kept", names(&renewal.kept)),
        ("to renew next", names(&renewal.to_renew)),
        ("etag", renewal.etag.clone()),
    ])
}
