//! `trust`: the security officer puts a destination's public key into the token, or takes it out.
//!
//! In a process of its own: the officer's session excludes the user's. The officer types what the
//! custodians agreed to, and the PIN; nothing of either is in an argument, the environment or a file.

use crate::config::Config;
use crate::hsm::{Trust, set_trust};
use kms_core::destination::WrappingKey;
use kms_core::error::Error;
use kms_core::name::DestinationName;
use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use secrecy::SecretString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Does it, and says what was done.
///
/// # Errors
/// One sentence where the file, what was typed, or the token is not as it should be.
pub fn trust(
    config: &Config,
    name: &DestinationName,
    public_key: &Path,
    trust: Trust,
) -> Result<String, String> {
    let key = read(public_key)?;
    let mut typed = Typed::open().map_err(|e| format!("standard input cannot be read: {e}"))?;
    if trust == Trust::Given {
        eprintln!(
            "The SHA-256 of the public key, as it was approved (kms export destination list):"
        );
        let approved = typed.line(Echo::Yes)?;
        let approved = approved.trim().to_ascii_lowercase();
        if approved != key.sha256() {
            return Err(format!(
                "{} is not the public key that was approved: its SHA-256 is another; nothing was done",
                public_key.display()
            ));
        }
    }
    eprintln!("The PIN of the token's security officer:");
    let pin = SecretString::from(typed.line(Echo::No)?.as_str());
    set_trust(&config.hsm, (name, &key), trust, &pin).map_err(|e| said(&e))?;
    Ok(match trust {
        Trust::Given => format!(
            "{name} is trusted: exportable keys can leave under its public key. Take it out once they \
             have (--withdraw)."
        ),
        Trust::Withdrawn => format!("{name} is not trusted any more: nothing can leave under it."),
    })
}

fn said(error: &Error) -> String {
    error.message().to_owned()
}

/// A public key in PEM, as OpenSSL writes it.
fn read(path: &Path) -> Result<WrappingKey, String> {
    let place = path.display();
    let text = fs::read(path).map_err(|e| format!("cannot read {place}: {e}"))?;
    let der = SubjectPublicKeyInfoDer::from_pem_slice(&text)
        .map_err(|_not_pem| format!("{place} is no public key in PEM"))?;
    WrappingKey::parse(der.as_ref()).map_err(|e| format!("{place}: {}", e.message()))
}

/// What somebody types, or a pipe brings: read a byte at a time, so that no buffer keeps a copy.
struct Typed(File);

/// Whether a terminal shows what is typed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    Yes,
    No,
}

impl Typed {
    fn open() -> io::Result<Self> {
        File::open("/dev/stdin").map(Self)
    }

    fn line(&mut self, echo: Echo) -> Result<Zeroizing<String>, String> {
        let before = match echo {
            Echo::No if isatty(&self.0) => Some(self.hidden()?),
            Echo::No | Echo::Yes => None,
        };
        let line = self.read();
        if let Some(before) = before {
            tcsetattr(&self.0, OptionalActions::Now, &before)
                .map_err(|e| format!("the terminal cannot be set back: {e}"))?;
        }
        line
    }

    /// Hides what is typed; gives what the terminal was like.
    fn hidden(&self) -> Result<rustix::termios::Termios, String> {
        let failed = |e| format!("the terminal would show the PIN: {e}");
        let before = tcgetattr(&self.0).map_err(failed)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&self.0, OptionalActions::Flush, &hidden).map_err(failed)?;
        Ok(before)
    }

    fn read(&mut self) -> Result<Zeroizing<String>, String> {
        let mut line = Zeroizing::new(String::with_capacity(LONGEST));
        let mut byte = Zeroizing::new([0]);
        while line.len() < LONGEST {
            match self.0.read(&mut *byte) {
                Ok(0) => break,
                Ok(_) if *byte == [b'\n'] => break,
                Ok(_) => byte.iter().for_each(|byte| line.push(char::from(*byte))),
                Err(e) => return Err(format!("standard input cannot be read: {e}")),
            }
        }
        if line.is_empty() {
            return Err("nothing was typed; nothing was done".to_owned());
        }
        Ok(line)
    }
}

/// No line that is asked for is longer.
const LONGEST: usize = 255;
