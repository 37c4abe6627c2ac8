//! `kms completions`.

use crate::cli::Cli;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use kms_client::Error;
use std::io::Write;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  kms completions bash > ~/.local/share/bash-completion/completions/kms"
)]
pub(crate) struct Completions {
    /// For which shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<(), Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kms", &mut script);
        std::io::stdout()
            .write_all(&script)
            .map_err(|e| Error::file("write the script", &e))
    }
}
