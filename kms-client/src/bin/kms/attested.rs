//! What an attestation of destruction says, for people.

use crate::difference::visible;
use crate::noun::attestation::sha256;
use crate::screen::Screen;
use crate::table::{Table, person};
use kms_client::{Error, Kind, name};
use kms_core::attestation::{Act, Destroyed, Left, Moment, Statement};

/// A statement and the key that signed it.
#[derive(Debug)]
pub(crate) struct Attested {
    pub(crate) statement: Statement,
    key: String,
}

impl Attested {
    /// Of a statement's bytes; that the key signed them is the caller's to verify.
    pub(crate) fn new(statement: &[u8], public_key: &[u8]) -> Result<Self, Error> {
        let statement = Statement::parse(statement)
            .map_err(|e| Error::new(Kind::Invalid, format!("NOT VERIFIED: {e}")))?;
        Ok(Self {
            statement,
            key: sha256(public_key),
        })
    }

    /// All of it.
    pub(crate) fn show(&self, screen: Screen) -> Result<(), Error> {
        let said = &self.statement;
        let from = said.final_from.as_ref().map(Moment::to_string);
        let fields = Table::fields([
            ("destroyed", said.subject.to_string()),
            (
                "deployment",
                format!(
                    "{} ({}, {})",
                    said.deployment.name,
                    said.deployment.trust_domain,
                    said.deployment.environment.name()
                ),
            ),
            ("issued", said.issued.to_string()),
            (
                "final",
                match from {
                    None if said.is_final => "yes".to_owned(),
                    None => "NO: it left for another HSM".to_owned(),
                    Some(from) => format!("NO, not before {from}: a backup may hold it"),
                },
            ),
            (
                "token",
                visible(&format!(
                    "{}, serial {}, {}",
                    said.token.label, said.token.serial, said.token.model
                )),
            ),
            ("signed by", format!("the key with SHA-256 {}", self.key)),
            ("says", said.says.clone()),
            ("does not prove", said.does_not_prove.clone()),
        ]);
        screen.line(&fields.to_string())?;
        screen.line("")?;
        screen.line(&versions(&said.versions).to_string())?;
        let left = said.versions.iter().flat_map(|version| {
            let row = |left: &Left| {
                [
                    name::short(&version.name.to_string()),
                    name::short(&left.destination.to_string()),
                    left.public_key_sha256.clone(),
                    left.act.time.to_string(),
                    who(&left.act),
                ]
            };
            version.exports.iter().map(row)
        });
        let left: Vec<_> = left.collect();
        if !left.is_empty() {
            screen.line("")?;
            let header = ["EXPORTED", "TO", "KEY SHA-256", "WHEN", "BY, APPROVED BY"];
            screen.line(&Table::columns(header).rows(left).to_string())?;
        }
        if said.backups.is_empty() {
            return Ok(());
        }
        screen.line("")?;
        let header = ["BACKUP", "TITLE", "TAKEN", "EXPIRES"];
        let backups = Table::columns(header).rows(said.backups.iter().map(|backup| {
            [
                name::short(&backup.name.to_string()),
                visible(&backup.title),
                backup.taken.to_string(),
                backup.expires.to_string(),
            ]
        }));
        screen.line(&backups.to_string())
    }
}

fn versions(versions: &[Destroyed]) -> Table {
    let header = [
        "VERSION",
        "ALGORITHM",
        "CREATED",
        "LAST USE",
        "DESTROYED",
        "BY, APPROVED BY",
        "REASON",
        "RECORD",
    ];
    Table::columns(header).rows(versions.iter().map(|version| {
        let decided = version.decided.iter();
        let acts: Vec<&Act> = decided.chain([&version.destroyed]).collect();
        let reason = acts.first().map(|act| visible(&act.reason));
        let last = version.last_use.as_ref().map(Moment::to_string);
        [
            name::short(&version.name.to_string()),
            version.algorithm.to_string(),
            version.created.to_string(),
            last.unwrap_or_else(|| "none known".to_owned()),
            version.destroyed.time.to_string(),
            acts.iter()
                .map(|act| who(act))
                .collect::<Vec<_>>()
                .join("; "),
            reason.unwrap_or_default(),
            format!("{} {}", version.record.log, version.record.index),
        ]
    }))
}

fn who(act: &Act) -> String {
    let mut people = vec![visible(person(&act.actor))];
    people.extend(act.approvers.iter().map(|who| visible(person(who))));
    people.join(", ")
}
