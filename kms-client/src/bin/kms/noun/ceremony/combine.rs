//! `kms ceremony combine`: offline.

use super::entry::{Typed, of_file};
use super::minutes::{Combined, Holder, Minutes};
use super::{digest, now, shares};
use crate::pem;
use crate::screen::Screen;
use crate::table::Table;
use clap::Args;
use kms_client::{Error, Kind, Material, Output, Parameters};
use kms_core::component::Component;
use kms_core::time::Time;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Combine {
    /// The minutes of the ceremony that made the components. What is done is added to them.
    minutes: PathBuf,
    /// Directory with parameters.json, parameters.sig and parameters.pem (kms import params).
    #[arg(long, value_name = "DIR")]
    parameters: PathBuf,
    /// The fingerprint of the key that signed them, as you were told by another route: SHA-256,
    /// hexadecimal.
    #[arg(long, value_name = "FINGERPRINT")]
    signed_by: String,
    /// A component in a file that only its owner may read, for example a sheet; give it again for
    /// another one. Without any, components are typed, or come through a pipe.
    #[arg(long = "component", value_name = "FILE")]
    components: Vec<PathBuf>,
    /// Where the wrapped key goes.
    #[arg(short = 'O', long = "output", value_name = "FILE")]
    output: PathBuf,
    /// Replace a wrapped key that exists.
    #[arg(long)]
    force: bool,
}

impl Combine {
    pub(crate) fn run(self, screen: Screen) -> Result<(), Error> {
        let mut minutes = Minutes::read(&self.minutes)?;
        let statement = self.read("json")?;
        let parameters = Parameters::read(
            &statement,
            &self.read("sig")?,
            &pem::read(&self.parameters.join("parameters.pem"))?,
            &self.signed_by,
            Time(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)),
        )?;
        // Before anybody opens an envelope.
        let mut output = Output::file(&self.output, self.force)?;
        let (components, holders) = self.entered(&minutes, screen)?;
        let key = shares::combine(&components.iter().collect::<Vec<_>>())?;
        drop(components);
        let material = Material::new(&*key)?;
        drop(key);
        let wrapped = parameters.wrap(&material, None)?;
        drop(material);
        let said = parameters.said();
        let combined = Combined {
            at: now(),
            holders,
            key: said.key.to_string(),
            wrapper: said.wrapper.version.to_string(),
            mechanism: said.mechanism.name().to_owned(),
            parameters_sha256: digest(&statement),
            signed_by: self.signed_by.clone(),
            wrapped_sha256: digest(&wrapped),
        };
        minutes.combined.push(combined.clone());
        let failed = |e| Error::file(&format!("write {}", self.output.display()), &e);
        output.write_all(&wrapped).map_err(failed)?;
        output.commit()?;
        minutes.write(&self.minutes, true)?;
        if screen.is_json() {
            return screen.json(&json!({ "wrapped": self.output, "combined": combined }));
        }
        let names: Vec<&str> = combined.holders.iter().map(|h| h.name.as_str()).collect();
        let table = Table::fields([
            ("wrapped for", combined.key.clone()),
            ("under", combined.wrapper.clone()),
            ("mechanism", combined.mechanism.clone()),
            ("hand it in before", said.expires.to_string()),
            ("components of", names.join(", ")),
            ("check of the key", minutes.set.clone()),
            ("wrapped, SHA-256", combined.wrapped_sha256.clone()),
            ("written", self.output.display().to_string()),
        ]);
        screen.line(&table.to_string())?;
        screen.line("\nHand it in (kms import submit), then compare: kms ceremony confirm")
    }

    /// As many components as make the key, each of another holder, as the minutes have them.
    fn entered(
        &self,
        minutes: &Minutes,
        screen: Screen,
    ) -> Result<(Vec<Component>, Vec<Holder>), Error> {
        let least = usize::from(minutes.threshold);
        if !self.components.is_empty() && self.components.len() != least {
            let given = self.components.len();
            let sentence = format!("{least} components make this key, and {given} were given");
            return Err(Error::new(Kind::Invalid, sentence));
        }
        let mut typed = None;
        let (mut components, mut holders) = (Vec::new(), Vec::<Holder>::new());
        for at in 0..least {
            let component = match self.components.get(at) {
                Some(path) => of_file(path)?,
                None => {
                    let typed = match &mut typed {
                        Some(typed) => typed,
                        None => typed.insert(Typed::begin()?),
                    };
                    typed.next(at + 1, minutes.threshold)?
                }
            };
            let holder = minutes.holder(&component)?.clone();
            if holders.contains(&holder) {
                return Err(Error::new(
                    Kind::Invalid,
                    format!(
                        "the component of holder {} ({}) was given twice: {least} different ones make \
                         the key",
                        holder.number, holder.name
                    ),
                ));
            }
            screen.remark(&format!(
                "holder {} ({}): check {}, as in the minutes",
                holder.number, holder.name, holder.check
            ));
            components.push(component);
            holders.push(holder);
        }
        Ok((components, holders))
    }

    fn read(&self, ending: &str) -> Result<Vec<u8>, Error> {
        let path = self.parameters.join(format!("parameters.{ending}"));
        read(&path)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))
}
