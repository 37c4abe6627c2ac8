//! Somebody who holds the PIN and the vendor's module, and nothing of ours: what such a
//! person sees in the token, and what the token refuses them.
//!
//! Written on the crate `cryptoki` alone, so that it is a second opinion: what the server
//! believes of its keys is read back here by other code.

mod abuse;
mod curve;
mod objects;

use std::{fs, path::Path};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    session::{Session, UserType},
    types::AuthPin,
};

pub use abuse::Attempt;
pub use objects::Object;

use crate::{Failure, Token};

/// A session of the token's user. The module reads where its tokens are from the environment
/// of the process: it must name this one ([`Token::told_to`]).
#[derive(Debug)]
pub struct PinHolder {
    session: Session,
}

impl PinHolder {
    /// Logs in. Concurrent logins are unsafe on a soft token: `lock` is the file that the
    /// server takes around its own.
    ///
    /// # Errors
    /// When the module, the token or its PIN cannot be used.
    pub fn log_in(token: &Token, lock: &Path) -> Result<Self, Failure> {
        let failed = |cause: cryptoki::error::Error| {
            Failure::because(
                "cannot log in to the token (the environment must name it)",
                cause,
            )
        };
        let held = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(lock)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(Failure::with_file("lock", lock))?;
        let pin = token.pin_file();
        let pin = fs::read_to_string(&pin).map_err(Failure::with_file("read", &pin))?;
        let module = Pkcs11::new(token.make().module()).map_err(failed)?;
        module
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .map_err(failed)?;
        for slot in module.get_slots_with_token().map_err(failed)? {
            let found = module.get_token_info(slot).map_err(failed)?;
            if found.label() == token.label() {
                let session = module.open_rw_session(slot).map_err(failed)?;
                let pin = AuthPin::from(pin.trim_end());
                session.login(UserType::User, Some(&pin)).map_err(failed)?;
                drop(held);
                return Ok(Self { session });
            }
        }
        Err(Failure::new(format!(
            "there is no token labelled {:?}: the environment must name its configuration",
            token.label()
        )))
    }

    /// Every key object of the token.
    ///
    /// # Errors
    /// When the token fails.
    pub fn objects(&self) -> Result<Vec<Object>, Failure> {
        objects::all(&self.session)
    }

    /// Tries everything that a key of the service must not lend itself to, on the first
    /// generated version of each algorithm, and on a key of one's own without any
    /// restriction, where each must succeed: else the refusal would prove nothing. Leaves
    /// nothing in the token.
    ///
    /// # Errors
    /// When the token has no such keys, or fails.
    pub fn abuse(&self) -> Result<Vec<Attempt>, Failure> {
        abuse::all(&self.session)
    }
}
