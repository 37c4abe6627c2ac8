//! `kms ceremony new`: offline.

use super::minutes::Minutes;
use super::sheet::sheet;
use super::{now, shares};
use crate::screen::Screen;
use crate::table::Table;
use clap::Args;
use kms_client::{Error, Kind, Output};
use kms_core::component::HOLDERS_MAX;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct New {
    /// What the key is for, for the sheets and the minutes.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    title: String,
    /// A holder of a component; give it again for each, 2 to 16.
    #[arg(long = "holder", value_name = "NAME", required = true, value_parser = words)]
    holders: Vec<String>,
    /// How many of them make the key.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=16))]
    threshold: u8,
    /// A directory for sheet-1.txt and so on, and minutes.json; made if it does not exist, for its
    /// owner alone.
    #[arg(short = 'O', long = "output", value_name = "DIR")]
    directory: PathBuf,
}

impl New {
    pub(crate) fn run(self, screen: Screen) -> Result<(), Error> {
        let usage = |sentence: &str| Err(Error::new(Kind::Usage, sentence));
        let different: BTreeSet<&String> = self.holders.iter().collect();
        if different.len() != self.holders.len() {
            return usage("each holder has one component: name each once");
        }
        let count = u8::try_from(self.holders.len()).unwrap_or(u8::MAX);
        if !(self.threshold..=HOLDERS_MAX).contains(&count) {
            return usage("a key has 2 to 16 holders, and not more make it than there are");
        }
        let key = shares::fresh()?;
        let components = shares::split(&key, self.threshold, count)?;
        drop(key);
        let minutes = Minutes::begin(self.title.clone(), &components, &self.holders, now())?;
        self.prepare()?;
        let mut written = Vec::new();
        for (component, holder) in components.iter().zip(&minutes.holders) {
            let path = self.directory.join(format!("sheet-{}.txt", holder.number));
            let mut output = Output::file(&path, false)?;
            let text = sheet(&minutes, holder, component);
            let failed = |e| Error::file(&format!("write {}", path.display()), &e);
            output.write_all(text.as_bytes()).map_err(failed)?;
            output.commit()?;
            written.push(path);
        }
        let path = self.directory.join("minutes.json");
        minutes.write(&path, false)?;
        if screen.is_json() {
            return screen.json(&json!({ "minutes": minutes, "sheets": written }));
        }
        let mut table = Table::columns(["HOLDER", "NAME", "CHECK", "SHEET"]);
        for (holder, path) in minutes.holders.iter().zip(&written) {
            table.row([
                holder.number.to_string(),
                holder.name.clone(),
                holder.check.clone(),
                path.display().to_string(),
            ]);
        }
        screen.line(&table.to_string())?;
        screen.line(&format!(
            "\nkey check {}, any {} of {count} make it; minutes in {}\nPrint each sheet for its holder, \
             then destroy {}",
            minutes.set,
            minutes.threshold,
            path.display(),
            self.directory.display()
        ))
    }

    fn prepare(&self) -> Result<(), Error> {
        use std::os::unix::fs::DirBuilderExt;
        let failed = |e| Error::file(&format!("make {}", self.directory.display()), &e);
        let mut maker = fs::DirBuilder::new();
        maker.recursive(true).mode(0o700);
        maker.create(&self.directory).map_err(failed)
    }
}

/// Words that fit on a sheet.
fn words(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits && text.trim() == text {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 characters, no space at either end".to_owned())
    }
}
