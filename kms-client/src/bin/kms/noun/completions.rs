//! `kms completions`.

use crate::cli::Cli;
use crate::screen::Screen;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use kms_client::Error;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  kms completions bash > ~/.local/share/bash-completion/completions/kms"
)]
pub(crate) struct Completions {
    /// For which shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, screen: Screen) -> Result<(), Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "kms", &mut script);
        screen.line(&String::from_utf8_lossy(&script))
    }
}
