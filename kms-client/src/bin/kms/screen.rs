//! Answers go to the standard output, everything else to the standard error.

use crate::table::Table;
use kms_client::{Error, Kind, to_json};
use std::io::{self, IsTerminal, Write};

/// How answers look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// A picture in Graphviz's language.
    Dot,
    /// A picture.
    Svg,
}

impl Form {
    /// Whether only what has a picture can be shown so.
    pub(crate) fn is_picture(self) -> bool {
        match self {
            Form::Dot | Form::Svg => true,
            Form::Table | Form::Json => false,
        }
    }
}

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    form: Form,
}

impl Screen {
    pub(crate) fn new(form: Form) -> Self {
        Self { form }
    }

    pub(crate) fn form(self) -> Form {
        self.form
    }

    pub(crate) fn is_json(self) -> bool {
        self.form == Form::Json
    }

    /// A message of the interface: canonical JSON, or a table made of it.
    pub(crate) fn show<M: prost::Message + prost::Name>(
        self,
        message: &M,
        table: impl FnOnce(&M) -> Table,
    ) -> Result<(), Error> {
        match self.form {
            Form::Table => self.line(&table(message).to_string()),
            Form::Json => self.message(message),
            Form::Dot | Form::Svg => Err(Error::new(Kind::Usage, NO_PICTURE)),
        }
    }

    /// A message of the interface, in canonical JSON.
    pub(crate) fn message<M: prost::Message + prost::Name>(self, message: &M) -> Result<(), Error> {
        self.json(&canonical(message)?)
    }

    /// Any JSON, indented.
    pub(crate) fn json(self, value: &impl serde::Serialize) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Error::new(Kind::Internal, format!("the answer has no JSON form: {e}")))?;
        self.line(&text)
    }

    /// One line, or several.
    pub(crate) fn line(self, text: &str) -> Result<(), Error> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        written(&format!("{text}\n"))
    }

    /// A text as it is.
    pub(crate) fn text(self, text: &str) -> Result<(), Error> {
        written(text)
    }

    /// What a person must do now, whoever reads the answer.
    pub(crate) fn ask(self, text: &str) {
        // A closed standard error: then nobody does it, and that is told in the end.
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// A remark for a person; none where a program reads.
    pub(crate) fn remark(self, text: &str) {
        if self.form == Form::Table {
            aside(text);
        }
    }
}

/// What only [`Form::is_picture`] can show, asked of something else.
pub(crate) const NO_PICTURE: &str =
    "this has no picture; use -o table or -o json (kms edge graph has one)";

fn written(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        // The reader has seen enough, as `head` does.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(Error::file("write the answer", &e)),
    }
}

/// A message of the interface in canonical JSON.
pub(crate) fn canonical<M: prost::Message + prost::Name>(
    message: &M,
) -> Result<serde_json::Value, Error> {
    to_json(message).map_err(|e| Error::new(Kind::Internal, e.to_string()))
}

/// The one sentence of a failure.
pub(crate) fn complain(text: &str) {
    tell(&console::style("error").red().bold(), text);
}

/// What waits for others: no failure of anybody, and yet not done.
pub(crate) fn wait_for_others(text: &str) {
    tell(&console::style("waiting").yellow().bold(), text);
}

fn tell(label: &console::StyledObject<&str>, text: &str) {
    // The exit code says it too.
    drop(writeln!(
        io::stderr().lock(),
        "{}: {text}",
        label.clone().for_stderr()
    ));
}

/// For a person, beside the answer.
pub(crate) fn aside(text: &str) {
    let mut stderr = io::stderr().lock();
    let plain = console::strip_ansi_codes(text);
    let text = if stderr.is_terminal() { text } else { &plain };
    // A closed standard error is no reason to fail.
    drop(writeln!(stderr, "{text}"));
}
