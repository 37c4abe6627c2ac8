//! `kms pseudonym`.

mod chain;
mod column;
mod digest;
mod evaluation;
mod lines;
mod map;
mod part;
mod rejected;
mod renew;
mod replaced;
mod row_groups;
mod typed;

use super::edge::Input;
use crate::session::Session;
use chain::Chain;
use clap::{Args, Subcommand};
use kms_client::{Error, Kind, name, v1};
use map::{Map, Transfer};
use serde_json::json;
use std::io::BufRead;
use typed::{fields_of, typed};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Pseudonymise a few identifiers: arguments, or the lines of the standard input.
    #[command(after_help = "Examples:
  kms pseudonym eval --edge warehouse/link < identifiers.txt
  kms pseudonym eval --edge project-01/warehouse --input pseudonym WHLINK1...")]
    Eval(Eval),
    /// Pseudonymise columns of a CSV or Parquet file of any size.
    ///
    /// Lines that are rejected are left out and listed in OUT.rejected.csv: line, column, reason; the
    /// command then ends with 13. What ended early, whatever ended it, is gone on with by --resume.
    #[command(after_help = "Examples:
  kms pseudonym map patients.csv --column ID --edge warehouse/link
  kms pseudonym map visits.csv --column patient --edge warehouse/link --delimiter ';' -O out.csv
  kms pseudonym map births.parquet --column MOTHER --edge warehouse/link \\
      --column CHILD --edge warehouse/link
  kms pseudonym map - --column ID --edge warehouse/link < patients.csv > pseudonyms.csv")]
    Map(Map),
    /// Pseudonymise columns anew, from one space's pseudonyms to the next space's.
    ///
    /// As `map` with pseudonyms as input: what is none, or not one of the space that the edge comes
    /// from, or not of its key's current version, is rejected.
    #[command(after_help = "Examples:
  kms pseudonym transfer cohort.parquet --column ID --edge project-01/warehouse")]
    Transfer(Transfer),
    /// Follow one person along the edges and show their pseudonym in each space, when others have
    /// agreed; the identifier is read from the standard input.
    ///
    /// For the rights of a person: access, opposition, erasure. The first run asks for it and makes
    /// the ticket; when enough have agreed the same command again shows the pseudonyms, for an hour.
    #[command(after_help = "Examples:
  kms pseudonym chain --edge warehouse/link --ticket t42 --reason \"erasure, request 42\" < id
  kms pseudonym chain --edge warehouse/link --ticket t42 --reason \"erasure, request 42\" --wait < id")]
    Chain(Chain),
    /// Renew the pseudonyms of an edge: its secret is compromised, or its period is over.
    #[command(subcommand)]
    Renew(Box<renew::Verb>),
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// The edge, for example warehouse/link.
    #[arg(long, value_parser = name::edge)]
    edge: String,
    /// What the edge evaluates.
    #[arg(long, value_enum, default_value = "opaque")]
    input: Input,
    /// The identifiers; others on this machine can see arguments, so prefer the standard input.
    identifiers: Vec<String>,
}

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        match self {
            Self::Eval(asked) => asked.run(session).await,
            Self::Map(asked) => asked.run(session).await,
            Self::Transfer(asked) => asked.run(session).await,
            Self::Chain(asked) => asked.run(session).await,
            Self::Renew(verb) => verb.run(session).await,
        }
    }
}

impl Eval {
    async fn run(self, session: &Session) -> Result<(), Error> {
        let identifiers = if self.identifiers.is_empty() {
            let lines = std::io::stdin()
                .lock()
                .lines()
                .collect::<Result<Vec<_>, _>>();
            lines.map_err(|e| Error::file("read the identifiers", &e))?
        } else {
            self.identifiers
        };
        if identifiers.is_empty() {
            return Err(Error::new(
                Kind::Usage,
                "there is no identifier to evaluate",
            ));
        }
        if identifiers.len() > MOST {
            return Err(Error::new(
                Kind::Usage,
                format!("at most {MOST} identifiers at a time; use kms pseudonym map for a file"),
            ));
        }
        let results = evaluate(session, &self.edge, self.input, identifiers).await?;
        let mut pseudonyms = Vec::with_capacity(results.len());
        for (position, result) in results.into_iter().enumerate() {
            pseudonyms.push(result.map_err(|e| e.within(format!("identifier {}", position + 1)))?);
        }
        if session.screen.is_json() {
            return session.screen.json(&json!({ "pseudonyms": pseudonyms }));
        }
        session.screen.line(&pseudonyms.join("\n"))
    }
}

/// The most that one call takes.
const MOST: usize = 10_000;

/// One call; each identifier has its own result, in order.
async fn evaluate(
    session: &Session,
    edge: &str,
    input: Input,
    identifiers: Vec<String>,
) -> Result<Vec<Result<String, Error>>, Error> {
    use v1::pseudonymise_response::result::Result as Answer;
    let asked = identifiers.len();
    let identifiers = identifiers.iter().enumerate().map(|(at, text)| {
        let made = typed(input, &fields_of(input, text));
        let told = |e: Error| e.within(format!("identifier {}", at + 1));
        made.map(|(_identifier, sent)| sent).map_err(told)
    });
    let identifiers = identifiers.collect::<Result<_, _>>()?;
    let answer = session
        .client
        .pseudonymise(v1::PseudonymiseRequest {
            name: edge.to_owned(),
            identifiers,
            batch: None,
        })
        .await?;
    if answer.results.len() != asked {
        return Err(Error::new(
            Kind::Internal,
            format!(
                "the service gave {} results for {asked} identifiers",
                answer.results.len()
            ),
        ));
    }
    let unsaid = || Error::new(Kind::Internal, "the service gave no result");
    Ok(answer
        .results
        .into_iter()
        .map(|result| match result.result {
            Some(Answer::Pseudonym(pseudonym)) => Ok(pseudonym),
            Some(Answer::Error(error)) => Err(error.into()),
            None => Err(unsaid()),
        })
        .collect())
}
