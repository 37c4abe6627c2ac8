//! A translation table, opened in memory: 40 bytes a row, erased when it is dropped.

use super::table::{Pairs, TranslationTable, envelopes};
use kms_client::{Client, Error, Kind};
use kms_core::name::VersionName;
use kms_core::pseudonym::{Pseudonym, VALUE_LEN};
use kms_core::space::EdgeCode;
use zeroize::Zeroizing;

type Value = [u8; VALUE_LEN];

/// Old values and new ones, in the order of the old.
pub(super) struct Opened {
    rows: Zeroizing<Vec<[Value; 2]>>,
    code: Option<EdgeCode>,
    versions: [u32; 2],
}

/// What a table says of a pseudonym.
pub(super) enum Said {
    /// Its new one.
    New(Pseudonym),
    /// It is a new one already.
    Already,
    /// Nothing: why not.
    Nothing(&'static str),
}

impl Opened {
    /// All parts of it.
    pub(super) async fn of(client: &Client, table: &TranslationTable) -> Result<Self, Error> {
        let number = |version: &str| -> Result<u32, Error> {
            let version = version.parse::<VersionName>();
            let wrong = |_named| Error::new(Kind::Invalid, "the table's label names no versions");
            Ok(version.map_err(wrong)?.number())
        };
        let versions = [
            number(&table.label.predecessor)?,
            number(&table.label.successor)?,
        ];
        let count = usize::try_from(table.rows()).unwrap_or(usize::MAX);
        // All room at once: what grows leaves copies behind.
        let mut opened = Self {
            rows: Zeroizing::new(Vec::with_capacity(count)),
            code: None,
            versions,
        };
        let envelopes = envelopes(client);
        for (number, part) in table.parts.iter().enumerate() {
            let pairs = table.opened(&envelopes, number).await?;
            let before = opened.rows.len();
            opened.take(&pairs)?;
            let taken = opened.rows.len().saturating_sub(before);
            if u64::try_from(taken) != Ok(part.rows) {
                return Err(broken());
            }
        }
        opened.rows.sort_unstable();
        opened.rows.dedup();
        let twice = opened.rows.windows(2).any(|two| match two {
            [[one, _], [other, _]] => one == other,
            _ => false,
        });
        if twice {
            let sentence = "the table gives two new pseudonyms to one old one";
            return Err(Error::new(Kind::Invalid, sentence));
        }
        Ok(opened)
    }

    fn take(&mut self, pairs: &Pairs) -> Result<(), Error> {
        let text = str::from_utf8(pairs).map_err(|_bytes| broken())?;
        for line in text.lines() {
            let (old, new) = line.split_once(',').ok_or_else(broken)?;
            let parse = |text: &str| Pseudonym::parse(text).map_err(|_text| broken());
            let (old, new) = (parse(old)?, parse(new)?);
            let code = self.code.get_or_insert_with(|| old.code.clone());
            let fits = [&old.code, &new.code] == [&*code, &*code]
                && [old.version, new.version] == self.versions;
            if !fits {
                return Err(broken());
            }
            self.rows.push([old.value, new.value]);
        }
        Ok(())
    }

    /// What it says of a pseudonym.
    pub(super) fn translated(&self, text: &str) -> Said {
        let Ok(pseudonym) = Pseudonym::parse(text) else {
            return Said::Nothing("is no pseudonym");
        };
        let [old, new] = self.versions;
        if self.code.as_ref() != Some(&pseudonym.code) {
            return Said::Nothing("is a pseudonym of another edge");
        }
        if pseudonym.version == new {
            return Said::Already;
        }
        if pseudonym.version != old {
            return Said::Nothing("is a pseudonym by another version than the table's");
        }
        let found = self
            .rows
            .binary_search_by(|[value, _]| value.cmp(&pseudonym.value));
        let value = found.ok().and_then(|at| self.rows.get(at));
        match value {
            Some([_, value]) => Said::New(Pseudonym {
                code: pseudonym.code.clone(),
                version: new,
                value: *value,
            }),
            None => Said::Nothing("is a pseudonym that the table does not have"),
        }
    }
}

fn broken() -> Error {
    Error::new(
        Kind::Invalid,
        "the table holds something else than pairs of pseudonyms",
    )
}
