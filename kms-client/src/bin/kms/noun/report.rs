//! `kms report`.

use crate::lifecycle::period;
use crate::session::Session;
use crate::table::{Table, in_how_long, thing, time, word};
use clap::Subcommand;
use kms_client::{Error, Kind, name, v1};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Every key against its policy: state, age, what is due, and what is not as it should be.
    #[command(after_help = "Examples:
  kms report keys
  kms report keys ingest-lyon
  kms report keys --deviating
  kms report keys --csv > keys.csv")]
    Keys {
        /// The space; all that you may see when none is given.
        #[arg(value_parser = name::space)]
        space: Option<String>,
        /// Only keys that are not as their policy wants them.
        #[arg(long)]
        deviating: bool,
        /// As comma-separated values (RFC 4180), for a spreadsheet.
        #[arg(long)]
        csv: bool,
    },
}

const COLUMNS: [&str; 14] = [
    "name",
    "class",
    "state",
    "primary",
    "age_days",
    "cryptoperiod_days",
    "next_task",
    "next_time",
    "versions",
    "destroyed",
    "encryptions",
    "bytes",
    "last_use",
    "deviations",
];

impl Verb {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let Self::Keys {
            space,
            deviating,
            csv,
        } = self;
        if csv && session.screen.is_json() {
            let sentence = "choose one of --csv and -o json";
            return Err(Error::new(Kind::Usage, sentence));
        }
        let request = v1::ReportKeysRequest {
            parent: space.unwrap_or_default(),
        };
        let mut answer = session.client.report_keys(request).await?;
        answer
            .keys
            .retain(|key| !(deviating && key.findings.is_empty()));
        if csv {
            return session.screen.line(&written(&answer.keys)?);
        }
        session.screen.show(&answer, |answer| table(&answer.keys))?;
        if !session.screen.is_json() {
            session.screen.line("")?;
            for finding in answer.keys.iter().flat_map(findings) {
                session.screen.line(&finding)?;
            }
            session.screen.line(&summary(&answer.keys))?;
        }
        Ok(())
    }
}

fn table(keys: &[v1::KeyReport]) -> Table {
    let header = ["KEY", "CLASS", "STATE", "AGE", "OF", "NEXT", "LAST USE"];
    Table::columns(header).rows(keys.iter().map(|key| {
        [
            name::short(&key.name),
            word(key.class().as_str_name()),
            state(key),
            key.age.as_ref().map(whole_days).unwrap_or_default(),
            key.cryptoperiod.as_ref().map(period).unwrap_or_default(),
            next(key),
            time(key.last_use_time.as_ref()),
        ]
    }))
}

fn state(key: &v1::KeyReport) -> String {
    let state = if key.primary.is_empty() {
        "no primary".to_owned()
    } else {
        word(key.state().as_str_name())
    };
    match key.findings.len() {
        0 => state,
        _ => format!("{state} !"),
    }
}

fn next(key: &v1::KeyReport) -> String {
    let Some(next) = &key.next else {
        return String::new();
    };
    let task = word(next.task().as_str_name());
    format!("{task} {}", in_how_long(next.time.as_ref()))
}

fn whole_days(length: &prost_types::Duration) -> String {
    match days(length) {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

fn days(length: &prost_types::Duration) -> i64 {
    length.seconds / 86_400
}

fn findings(key: &v1::KeyReport) -> impl Iterator<Item = String> {
    key.findings
        .iter()
        .map(|finding| format!("! {}: {}", thing(&finding.resource), finding.sentence))
}

fn summary(keys: &[v1::KeyReport]) -> String {
    let deviating = keys.iter().filter(|key| !key.findings.is_empty()).count();
    match (keys.len(), deviating) {
        (all, 0) => format!("{all} keys, all as their policy wants them"),
        (all, some) => format!("{all} keys, {some} not as their policy wants them"),
    }
}

fn written(keys: &[v1::KeyReport]) -> Result<String, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let fault = |e: csv::Error| Error::new(Kind::Internal, format!("CSV: {e}"));
    writer.write_record(COLUMNS).map_err(fault)?;
    for key in keys {
        let next = key.next.as_ref();
        let number = |length: Option<&prost_types::Duration>| {
            length
                .map(|length| days(length).to_string())
                .unwrap_or_default()
        };
        let deviations = key.findings.iter().map(|finding| {
            let deviation = word(finding.deviation().as_str_name());
            format!("{}: {deviation}", thing(&finding.resource))
        });
        let row = [
            name::short(&key.name),
            word(key.class().as_str_name()),
            word(key.state().as_str_name()),
            name::short(&key.primary),
            number(key.age.as_ref()),
            number(key.cryptoperiod.as_ref()),
            next.map(|due| word(due.task().as_str_name()))
                .unwrap_or_default(),
            time(next.and_then(|due| due.time.as_ref())),
            key.versions.to_string(),
            key.destroyed.to_string(),
            key.encryptions.to_string(),
            key.bytes.to_string(),
            time(key.last_use_time.as_ref()),
            deviations.collect::<Vec<_>>().join("; "),
        ];
        writer.write_record(row).map_err(fault)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|e| Error::new(Kind::Internal, format!("CSV: {e}")))?;
    let text =
        String::from_utf8(bytes).map_err(|e| Error::new(Kind::Internal, format!("CSV: {e}")))?;
    Ok(text.trim_end().to_owned())
}
