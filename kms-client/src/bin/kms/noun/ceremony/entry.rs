//! How holders enter components: typed without being shown, or from a file or a pipe.

use console::Term;
use kms_client::{Error, Kind, read_private};
use kms_core::component::{self, Component, LINE, LINES, read_line};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;
use zeroize::Zeroizing;

/// A component from a file that only its owner may read.
pub(super) fn of_file(path: &Path) -> Result<Component, Error> {
    let bytes = read_private("the component", path)?;
    let text = str::from_utf8(&bytes).map_err(|_bytes| {
        let sentence = format!("{} holds no component: it is not text", path.display());
        Error::new(Kind::Invalid, sentence)
    })?;
    Component::parse(text).map_err(|e| Error::from(e).within(path.display()))
}

/// Components that are typed, or come through a pipe, line by line.
pub(super) enum Typed {
    /// What is typed is not shown, and a line that is wrong is asked for again.
    Terminal(Term),
    /// Unbuffered: nothing of it is left behind.
    Pipe(File),
}

impl Typed {
    pub(super) fn begin() -> Result<Self, Error> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return Ok(Self::Terminal(Term::stderr()));
        }
        let input = stdin.as_fd().try_clone_to_owned();
        let input = input.map_err(|e| Error::file("read the components", &e))?;
        Ok(Self::Pipe(File::from(input)))
    }

    /// The next component.
    pub(super) fn next(&mut self, nth: usize, of: u8) -> Result<Component, Error> {
        if let Self::Terminal(terminal) = self {
            let words = format!("Component {nth} of {of}. What is typed is not shown.");
            asked(terminal.write_line(&words))?;
        }
        let mut lines = Vec::with_capacity(LINES);
        for number in (1_u8..).take(LINES) {
            lines.push(self.line(number, nth)?);
        }
        let lines = lines.try_into().map_err(|_lines| {
            Error::new(Kind::Internal, "a component has another number of lines")
        })?;
        Ok(component::of_lines(&lines)?)
    }

    fn line(&mut self, number: u8, nth: usize) -> Result<Zeroizing<[u8; LINE]>, Error> {
        match self {
            Self::Terminal(terminal) => loop {
                asked(terminal.write_str(&format!("line {number}: ")))?;
                let typed = Zeroizing::new(asked(terminal.read_secure_line())?);
                match read_line(number, &typed) {
                    Ok(line) => return Ok(line),
                    Err(wrong) => asked(terminal.write_line(wrong.message()))?,
                }
            },
            Self::Pipe(input) => {
                let line = read_line(number, &next_line(input)?);
                line.map_err(|wrong| Error::from(wrong).within(format!("component {nth}")))
            }
        }
    }
}

fn asked<T>(done: io::Result<T>) -> Result<T, Error> {
    done.map_err(|e| Error::file("ask at the terminal", &e))
}

/// The next line that is not empty, byte by byte.
fn next_line(input: &mut File) -> Result<Zeroizing<String>, Error> {
    let mut line = Zeroizing::new(String::with_capacity(LONGEST));
    let mut byte = Zeroizing::new([0; 1]);
    loop {
        let read = input.read(&mut *byte);
        let read = read.map_err(|e| Error::file("read the components", &e))?;
        let [one] = *byte;
        if (read == 0 || one == b'\n') && !line.trim().is_empty() {
            return Ok(line);
        }
        if read == 0 {
            let sentence = "there are fewer components than make the key";
            return Err(Error::new(Kind::Invalid, sentence));
        }
        if one != b'\n' {
            line.push(char::from(one));
        }
        if line.len() >= LONGEST {
            let sentence = "a line of a component is not as long as this";
            return Err(Error::new(Kind::Invalid, sentence));
        }
    }
}

/// More than a line has, whatever stands between its groups.
const LONGEST: usize = 256;
