//! `kms encrypt`, `kms decrypt`.

use super::key::pair;
use crate::progress::{self, Counted};
use crate::session::Session;
use clap::Args;
use indicatif::ProgressBar;
use kms_client::{Bounds, Context, Envelopes, Error, Kind, Output, Sealed, name};
use serde_json::json;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

/// Seals a file of any size with a data key, and the data key with a key in the HSM. The result is
/// a header of 8,192 bytes, which names the key and holds the wrapped data key, then an ordinary
/// age file (scrypt recipient; the passphrase is the data key in unpadded base64).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kms encrypt visits.parquet --key ingest-lyon/object
  kms encrypt visits.parquet --key ingest-lyon/object --context dataset=visits -O visits.kms
  tar c visits | kms encrypt - --key ingest-lyon/backup > visits.tar.kms")]
pub(crate) struct Encrypt {
    /// The file to seal; `-` is the standard input.
    file: PathBuf,
    /// The data-at-rest key, for example ingest-lyon/object.
    #[arg(long, value_parser = name::key)]
    key: String,
    #[command(flatten)]
    binding: Binding,
    #[command(flatten)]
    place: Place,
}

/// Opens a file that `kms encrypt` sealed. The output file appears only if all of it is authentic;
/// what goes to the standard output cannot be taken back: look at the exit code.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kms decrypt visits.parquet.kms
  kms decrypt visits.parquet.kms --key ingest-lyon/object --context dataset=visits
  kms decrypt - < visits.tar.kms | tar x")]
pub(crate) struct Decrypt {
    /// The file to open; `-` is the standard input.
    file: PathBuf,
    /// Refuse a file that is sealed under another key than this.
    #[arg(long, value_parser = name::key)]
    key: Option<String>,
    #[command(flatten)]
    binding: Binding,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(super) struct Binding {
    /// The encryption context: bound to the file, stored nowhere, and asked again to open it. May
    /// be given several times.
    #[arg(long = "context", id = "pairs", value_name = "NAME=VALUE", value_parser = pair)]
    pairs: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct Place {
    /// Where to; `-` is the standard output. By default `.kms` is added to the file's name, or
    /// taken away.
    #[arg(short = 'O', long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace the output if it exists.
    #[arg(long)]
    force: bool,
}

impl Encrypt {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let context = self.binding.context()?;
        let path = self.place.path(&self.file, || {
            let mut named = self.file.clone().into_os_string();
            named.push(SUFFIX);
            Ok(named.into())
        })?;
        if is_standard(&path) && io::stdout().is_terminal() {
            return Err(Error::new(
                Kind::Usage,
                "a sealed file is nothing for a terminal; name one with -O, or redirect",
            ));
        }
        let (input, bar) = read(&self.file)?;
        let output = self.place.begin(&path)?;
        let envelopes = Envelopes::new(session.client.clone(), Bounds::default());
        let (sealed, output) = envelopes
            .seal(&self.key, &context, input, output)
            .await
            .map_err(|e| e.within(self.file.display()))?;
        output.commit()?;
        bar.finish_and_clear();
        tell(session, &path, &sealed, "sealed")
    }
}

impl Decrypt {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let context = self.binding.context()?;
        let path = self.place.path(&self.file, || {
            let text = self.file.as_os_str().to_str();
            text.and_then(|name| name.strip_suffix(SUFFIX))
                .map(PathBuf::from)
                .ok_or_else(|| {
                    let file = self.file.display();
                    Error::new(
                        Kind::Usage,
                        format!("{file} does not end in {SUFFIX}; name the output with -O"),
                    )
                })
        })?;
        let (input, bar) = read(&self.file)?;
        let output = self.place.begin(&path)?;
        let envelopes = Envelopes::new(session.client.clone(), Bounds::default());
        let (opened, output) = envelopes
            .open(self.key.as_deref(), &context, input, output)
            .await
            .map_err(|e| e.within(self.file.display()))?;
        output.commit()?;
        bar.finish_and_clear();
        tell(session, &path, &opened, "opened")
    }
}

impl Binding {
    pub(super) fn context(&self) -> Result<Context, Error> {
        let begin = Context::none();
        self.pairs
            .iter()
            .try_fold(begin, |context, (name, value)| context.with(name, value))
    }
}

impl Place {
    fn path(
        &self,
        input: &Path,
        default: impl FnOnce() -> Result<PathBuf, Error>,
    ) -> Result<PathBuf, Error> {
        match &self.output {
            Some(path) => Ok(path.clone()),
            None if is_standard(input) => Ok(PathBuf::from(STANDARD)),
            None => default(),
        }
    }

    fn begin(&self, path: &Path) -> Result<Output, Error> {
        if is_standard(path) {
            Ok(Output::standard())
        } else {
            Output::file(path, self.force)
        }
    }
}

const SUFFIX: &str = ".kms";
const STANDARD: &str = "-";

fn is_standard(path: &Path) -> bool {
    path == Path::new(STANDARD)
}

fn read(path: &Path) -> Result<(Counted<Box<dyn Read + Send>>, ProgressBar), Error> {
    if is_standard(path) {
        let bar = progress::bytes(None);
        let inner: Box<dyn Read + Send> = Box::new(io::stdin());
        return Ok((
            Counted {
                inner,
                bar: bar.clone(),
            },
            bar,
        ));
    }
    let unread = |e: io::Error| Error::file(&format!("read {}", path.display()), &e);
    let file = File::open(path).map_err(unread)?;
    let about = file.metadata().map_err(unread)?;
    if about.is_dir() {
        return Err(Error::new(
            Kind::Io,
            format!("{} is a directory", path.display()),
        ));
    }
    let bar = progress::bytes(about.is_file().then_some(about.len()));
    let inner: Box<dyn Read + Send> = Box::new(file);
    Ok((
        Counted {
            inner,
            bar: bar.clone(),
        },
        bar,
    ))
}

/// To the standard error when the standard output carries the content.
fn tell(session: &Session, path: &Path, sealed: &Sealed, what: &str) -> Result<(), Error> {
    let Sealed { version, bytes } = sealed;
    let short = name::short(version);
    if is_standard(path) {
        session
            .screen
            .remark(&format!("{what} {bytes} bytes, under {short}"));
        return Ok(());
    }
    if session.screen.is_json() {
        return session
            .screen
            .json(&json!({ "file": path, "version": version, "bytes": bytes }));
    }
    session.screen.line(&format!(
        "{}: {what} {bytes} bytes, under {short}",
        path.display()
    ))
}
