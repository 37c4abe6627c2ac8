//! What cannot be undone is asked for twice.

use kms_client::{Error, Kind};
use std::io::{self, BufRead, IsTerminal, Write};

/// Lets a person type `word` to go on; without a terminal, `--yes` must have been given.
pub(crate) fn confirm(yes: bool, question: &str, word: &str) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Error::new(
            Kind::Usage,
            format!("{question} Without a terminal to ask on, give --yes to go on"),
        ));
    }
    let mut stderr = io::stderr().lock();
    let mut typed = String::new();
    write!(stderr, "{question}\nType {word} to go on: ")
        .and_then(|()| stderr.flush())
        .and_then(|()| io::stdin().lock().read_line(&mut typed))
        .map_err(|e| Error::file("ask for a confirmation", &e))?;
    if typed.trim() == word {
        Ok(())
    } else {
        Err(Error::new(Kind::Usage, "not confirmed; nothing was done"))
    }
}
