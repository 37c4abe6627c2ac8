//! `kms import wrap`: offline.

use super::{read, write};
use crate::pem;
use crate::screen::Screen;
use crate::table::Table;
use clap::Args;
use kms_client::{Error, Kind, Material, Parameters, read_private};
use kms_core::key::MATERIAL;
use kms_core::time::Time;
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(Debug, Args)]
pub(crate) struct Wrap {
    /// Directory with parameters.json, parameters.sig and parameters.pem.
    #[arg(long, value_name = "DIR")]
    parameters: PathBuf,
    /// The fingerprint of the key that signed them, as you were told by another route: SHA-256,
    /// hexadecimal.
    #[arg(long, value_name = "FINGERPRINT")]
    signed_by: String,
    /// The raw key, 32 bytes as they are: a file that only its owner may read, or - for a pipe.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The exchange key to wrap under, raw, where the parameters are for one.
    #[arg(long, value_name = "FILE")]
    under: Option<PathBuf>,
    /// Where the wrapped key goes; a file that ends with .byok is written as Azure's tools do.
    #[arg(short = 'O', long = "output", value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that exists.
    #[arg(long)]
    force: bool,
}

impl Wrap {
    pub(crate) fn run(self, screen: Screen) -> Result<(), Error> {
        let file = |ending: &str| self.parameters.join(format!("parameters.{ending}"));
        let parameters = Parameters::read(
            &read(&file("json"))?,
            &read(&file("sig"))?,
            &pem::read(&file("pem"))?,
            &self.signed_by,
            now(),
        )?;
        let material = material("the raw key", &self.key)?;
        let under = self.under.as_deref();
        let under = under.map(|path| material_of("the exchange key", path));
        let under = under.transpose()?;
        let azure = self.output.extension().is_some_and(|e| e == "byok");
        let wrapped = if azure {
            parameters.wrap_byok(&material)?
        } else {
            parameters.wrap(&material, under.as_ref())?
        };
        write(&self.output, &wrapped, self.force)?;
        let said = parameters.said();
        if screen.is_json() {
            return screen.json(&json!({
                "wrapped": self.output.display().to_string(),
                "parameters": said,
            }));
        }
        let seen = &said.wrapper.attributes;
        let guarded = match (seen.sensitive && !seen.extractable, seen.local) {
            (true, true) => "made in the token, sensitive, not extractable",
            (true, false) => "sensitive, not extractable, once imported itself",
            (false, _) => "NOT protected by the token",
        };
        let table = Table::fields([
            ("wrapped for", said.key.to_string()),
            ("which will be", said.class.to_string()),
            (
                "deployment",
                format!(
                    "{} ({})",
                    said.deployment.name,
                    said.deployment.environment.name()
                ),
            ),
            (
                "token",
                format!(
                    "{}, serial {}, {}",
                    said.token.label, said.token.serial, said.token.model
                ),
            ),
            ("under", said.wrapper.version.to_string()),
            ("its private half", guarded.to_owned()),
            ("mechanism", said.mechanism.name().to_owned()),
            (
                "unwrapped",
                if said.two_steps {
                    "in two steps: WEAKER, whoever holds the token's PIN and this file could have it \
                     come in readable"
                        .to_owned()
                } else {
                    "in one step".to_owned()
                },
            ),
            ("hand it in before", said.expires.to_string()),
            ("written", self.output.display().to_string()),
        ]);
        screen.line(&table.to_string())
    }
}

fn material(what: &str, path: &Path) -> Result<Material, Error> {
    if path != Path::new("-") {
        return material_of(what, path);
    }
    // One byte more than a key, so that what is longer is noticed and no copy is left by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MATERIAL.saturating_add(1)));
    let longest = u64::try_from(MATERIAL)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    std::io::stdin()
        .lock()
        .take(longest)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::file(&format!("read {what}"), &e))?;
    Material::new(&bytes)
}

fn material_of(what: &str, path: &Path) -> Result<Material, Error> {
    Material::new(&read_private(what, path)?)
        .map_err(|e| Error::new(Kind::Invalid, format!("{}: {e}", path.display())))
}

fn now() -> Time {
    Time(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}
