//! The old pseudonyms of a stretch of a file, and the new ones that translation tables have for them.
//! So many at the most are in memory, and are erased when they are dropped: a table of any size is
//! read past them, part by part, and is never in memory, nor in clear on a disk.

use super::table::{Label, Pairs, TranslationTable, envelopes};
use kms_client::{Client, Error, Kind};
use kms_core::name::{KeyName, TABLE_PREFIX, VersionName};
use kms_core::pseudonym::{Pseudonym, VALUE_LEN};
use kms_core::space::EdgeCode;
use zeroize::Zeroizing;

type Value = [u8; VALUE_LEN];

/// What one of them takes, in bytes.
pub(super) const EACH: usize = 2 * VALUE_LEN + 1;

/// Old values, each once, and the new ones beside them.
pub(super) struct Wanted {
    code: EdgeCode,
    old: u32,
    new: u32,
    most: usize,
    olds: Zeroizing<Vec<Value>>,
    news: Zeroizing<Vec<Value>>,
    found: Vec<bool>,
}

/// What tables say of a pseudonym.
pub(super) enum Said {
    /// Its new one.
    New(Pseudonym),
    /// It is a new one already.
    Already,
}

impl Wanted {
    /// None yet, and so many at the most, of the campaign that this table is of.
    pub(super) fn of(label: &Label, most: usize) -> Result<Self, Error> {
        let wrong = || Error::new(Kind::Invalid, "the table's label names no campaign");
        let number = |version: &str| -> Result<u32, Error> {
            let version = version.parse::<VersionName>();
            Ok(version.map_err(|_named| wrong())?.number())
        };
        let key: KeyName = label.key.parse().map_err(|_named| wrong())?;
        let code = key.slug().as_str().strip_prefix(TABLE_PREFIX);
        let code = code.and_then(|code| code.rsplit_once('-'));
        let code = code.and_then(|(code, _successor)| code.parse().ok());
        Ok(Self {
            code: code.ok_or_else(wrong)?,
            old: number(&label.predecessor)?,
            new: number(&label.successor)?,
            most,
            // All room at once: what grows leaves copies behind.
            olds: Zeroizing::new(Vec::with_capacity(most)),
            news: Zeroizing::new(Vec::with_capacity(most)),
            found: Vec::with_capacity(most),
        })
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.olds.clear();
        self.news.clear();
        self.found.clear();
    }

    /// Whether there is no room for another one.
    pub(super) fn is_full(&mut self) -> bool {
        if self.olds.len() < self.most {
            return false;
        }
        self.ordered();
        // Where most of them were the same, it goes on.
        self.olds.len() > self.most / 4 * 3
    }

    /// One more, if it is an old one.
    ///
    /// # Errors
    /// What is wrong with it, without the value.
    pub(super) fn add(&mut self, text: &str) -> Result<(), &'static str> {
        if let Some(old) = self.old_one(text)? {
            self.olds.push(old.value);
        }
        Ok(())
    }

    /// Reads tables past them.
    pub(super) async fn look_up(
        &mut self,
        client: &Client,
        tables: &[TranslationTable],
    ) -> Result<(), Error> {
        self.ordered();
        self.news.resize(self.olds.len(), [0; VALUE_LEN]);
        self.found.resize(self.olds.len(), false);
        if self.olds.is_empty() {
            return Ok(());
        }
        let envelopes = envelopes(client);
        for table in tables {
            for (number, part) in table.parts.iter().enumerate() {
                let pairs = table.opened(&envelopes, number).await?;
                if self.take(&pairs)? != part.rows {
                    return Err(broken());
                }
            }
        }
        Ok(())
    }

    /// What the tables say of a pseudonym.
    ///
    /// # Errors
    /// Why they say nothing.
    pub(super) fn translated(&self, text: &str) -> Result<Said, &'static str> {
        let Some(old) = self.old_one(text)? else {
            return Ok(Said::Already);
        };
        let at = self.olds.binary_search(&old.value);
        let at = at.map_err(|_place| "was not there when the file was read first")?;
        match (self.found.get(at), self.news.get(at)) {
            (Some(true), Some(value)) => Ok(Said::New(Pseudonym {
                code: old.code.clone(),
                version: self.new,
                value: *value,
            })),
            (_, _) => Err("is a pseudonym that the table does not have"),
        }
    }

    /// The old pseudonym that this is; nothing for a new one.
    fn old_one(&self, text: &str) -> Result<Option<Pseudonym>, &'static str> {
        let pseudonym = Pseudonym::parse(text).map_err(|_text| "is no pseudonym")?;
        if pseudonym.code != self.code {
            return Err("is a pseudonym of another edge");
        }
        if pseudonym.version == self.new {
            return Ok(None);
        }
        if pseudonym.version != self.old {
            return Err("is a pseudonym by another version than the table's");
        }
        Ok(Some(pseudonym))
    }

    fn ordered(&mut self) {
        self.olds.sort_unstable();
        self.olds.dedup();
    }

    /// Takes what is wanted of a part; how many rows it has.
    fn take(&mut self, pairs: &Pairs) -> Result<u64, Error> {
        let text = str::from_utf8(pairs).map_err(|_bytes| broken())?;
        let mut rows = 0;
        for line in text.lines() {
            let (old, new) = line.split_once(',').ok_or_else(broken)?;
            let old = self.old_one(old).ok().flatten().ok_or_else(broken)?;
            rows += 1;
            let Ok(at) = self.olds.binary_search(&old.value) else {
                continue;
            };
            let new = Pseudonym::parse(new).map_err(|_text| broken())?;
            if new.code != self.code || new.version != self.new {
                return Err(broken());
            }
            if let (Some(found), Some(value)) = (self.found.get_mut(at), self.news.get_mut(at)) {
                if *found && *value != new.value {
                    let sentence = "the table gives two new pseudonyms to one old one";
                    return Err(Error::new(Kind::Invalid, sentence));
                }
                (*found, *value) = (true, new.value);
            }
        }
        Ok(rows)
    }
}

fn broken() -> Error {
    Error::new(
        Kind::Invalid,
        "the table holds something else than pairs of pseudonyms",
    )
}
