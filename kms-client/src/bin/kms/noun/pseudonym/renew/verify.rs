//! `kms pseudonym renew verify`: whether the table has a row for each row of the file, and whether
//! parts of it, taken at random, come out the same when they are translated again.

use super::passing::Passing;
use super::source::From;
use super::table::{Part, TranslationTable};
use super::{fields, of};
use crate::session::Session;
use clap::Args;
use kms_client::{Client, Error, Kind, name, v1};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use uuid::Uuid;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    from: From,
    /// The edge, for example warehouse/link.
    #[arg(long, value_parser = name::edge)]
    edge: String,
    /// The directory of the table.
    #[arg(long, value_name = "DIRECTORY")]
    table: PathBuf,
    /// How many rows to translate again, at the least.
    #[arg(long, value_name = "N", default_value = "20000", value_parser = clap::value_parser!(u64).range(1000..))]
    sample: u64,
    /// How long to wait for a service that went away, before giving up.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    patience: u64,
}

impl Verify {
    pub(super) async fn run(self, session: &Session) -> Result<(), Error> {
        let renewal = of(session, self.edge.clone()).await?;
        let table = TranslationTable::open(&self.table)?;
        if !table.label.is_of(&renewal) {
            let (table, edge) = (self.table.display(), name::short(&self.edge));
            let sentence = format!("{table} is not a table of the campaign that runs on {edge}");
            return Err(Error::new(Kind::Invalid, sentence));
        }
        let mut source = self.from.open(renewal.mode())?;
        let chosen = self.chosen(&table);
        let mut passing = Passing::of(session, &table.label, self.patience);
        let mut again = VecDeque::new();
        let mut sampled = 0;
        for (number, part) in table.parts.iter().enumerate() {
            let rows = source.next(part.rows)?;
            if rows.count() != part.rows {
                return Err(self.differs(format!("the file ends within part {number}")));
            }
            if chosen.contains(&number) {
                if !passing.has_room() {
                    sampled += self.same(&mut passing, &mut again).await?;
                }
                passing.ask(rows)?;
                again.push_back((number, part));
            }
        }
        while !again.is_empty() {
            sampled += self.same(&mut passing, &mut again).await?;
        }
        if source.next(1)?.count() > 0 {
            let sentence = "the file has more rows; translate the rest of it (kms pseudonym renew \
                            translate)";
            return Err(self.differs(sentence.to_owned()));
        }
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let request = v1::VerifyRenewalRequest {
            name: self.edge.clone(),
            etag: String::new(),
            rows: signed(table.rows()),
            sampled: signed(sampled),
            request_id: String::new(),
        };
        let renewal = session.carry(request, Client::verify_renewal).await?;
        session.screen.show(&renewal, fields)
    }

    /// How many rows the first part has that was asked again, if it comes out the same.
    async fn same(
        &self,
        passing: &mut Passing,
        again: &mut VecDeque<(usize, &Part)>,
    ) -> Result<u64, Error> {
        let passed = passing.next().await?;
        match (passed, again.pop_front()) {
            (Some(passed), Some((_, part))) if part.is(&passed.pairs) => Ok(passed.rows),
            (_, first) => {
                let number = first.map(|(number, _)| number).unwrap_or_default();
                Err(self.differs(format!("part {number} comes out otherwise")))
            }
        }
    }

    /// Parts, taken at random until they have enough rows.
    fn chosen(&self, table: &TranslationTable) -> BTreeSet<usize> {
        let mut all: Vec<(Uuid, usize)> = (0..table.parts.len())
            .map(|number| (Uuid::new_v4(), number))
            .collect();
        all.sort();
        let mut rows = 0;
        let mut chosen = BTreeSet::new();
        for (_, number) in all {
            if rows >= self.sample {
                break;
            }
            rows += table.parts.get(number).map_or(0, |part| part.rows);
            chosen.insert(number);
        }
        chosen
    }

    fn differs(&self, why: String) -> Error {
        let table = self.table.display();
        Error::new(
            Kind::Invalid,
            format!("{table} is not the translation of this file: {why}; nothing was recorded"),
        )
    }
}
