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
            Form::Json => {
                let json =
                    to_json(message).map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
                self.json(&json)
            }
        }
    }

    /// Any JSON, indented.
    pub(crate) fn json(self, value: &impl serde::Serialize) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Error::new(Kind::Internal, format!("the answer has no JSON form: {e}")))?;
        self.line(&text)
    }

    /// One line, or several.
    pub(crate) fn line(self, text: &str) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            // The reader has seen enough, as `head` does.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(e) => Err(Error::file("write the answer", &e)),
        }
    }

    /// What a person must do now, whoever reads the answer.
    pub(crate) fn ask(self, text: &str) {
        // A closed standard error: then nobody does it, and that is told in the end.
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// A remark for a person; none where a program reads.
    pub(crate) fn remark(self, text: &str) {
        if self.form == Form::Table {
            // A closed standard error is no reason to fail.
            drop(writeln!(io::stderr().lock(), "{text}"));
        }
    }
}

/// The one sentence of a failure.
pub(crate) fn complain(text: &str) {
    let mut stderr = io::stderr().lock();
    let label = if stderr.is_terminal() {
        "\u{1b}[1;31merror\u{1b}[0m"
    } else {
        "error"
    };
    // The exit code says it too.
    drop(writeln!(stderr, "{label}: {text}"));
}
