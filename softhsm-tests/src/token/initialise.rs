//! A token is initialised as any PKCS#11 program does it (v2.40 sections 5.5 and 5.7).

use std::{
    io::{self, BufRead as _, Write},
    path::Path,
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::Error,
    session::UserType,
    slot::Slot,
    types::AuthPin,
};
use zeroize::Zeroizing;

use super::Pins;
use crate::Failure;

/// Initialises the one token of `module` that is not yet, with a label, and with the PINs that
/// `send` wrote to standard input. The environment says where the module's tokens are.
///
/// # Errors
/// When there is no module, no such token, or it fails.
pub fn initialise_here(module: &Path, label: &str) -> Result<(), Failure> {
    let pins = receive()?;
    let failed = |cause: Error| Failure::because("the module does not make a token", cause);
    let pkcs11 = Pkcs11::new(module).map_err(|cause| {
        let place = module.display();
        Failure::because(format!("{place} is not there, or is no module"), cause)
    })?;
    pkcs11
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .map_err(failed)?;
    let slot = empty(&pkcs11)
        .map_err(failed)?
        .ok_or_else(|| Failure::new("every token of the module is initialised already"))?;
    let [officer, user] = [&pins.officer, &pins.user].map(|pin| AuthPin::from(pin.as_str()));
    pkcs11.init_token(slot, &officer, label).map_err(failed)?;
    let session = pkcs11.open_rw_session(slot).map_err(failed)?;
    session
        .login(UserType::So, Some(&officer))
        .map_err(failed)?;
    session.init_pin(&user).map_err(failed)
}

/// The officer's PIN and the user's, a line each.
pub(super) fn send(mut to: impl Write, pins: &Pins) -> io::Result<()> {
    let both = Zeroizing::new(format!("{}\n{}\n", *pins.officer, *pins.user));
    to.write_all(both.as_bytes())
}

fn receive() -> Result<Pins, Failure> {
    let mut lines = io::stdin().lock().lines();
    let mut next = || match lines.next() {
        Some(Ok(line)) => Ok(Zeroizing::new(line)),
        Some(Err(_)) | None => Err(Failure::new("two PINs are awaited, a line each")),
    };
    Ok(Pins {
        officer: next()?,
        user: next()?,
    })
}

fn empty(pkcs11: &Pkcs11) -> Result<Option<Slot>, Error> {
    for slot in pkcs11.get_slots_with_token()? {
        if !pkcs11.get_token_info(slot)?.token_initialized() {
            return Ok(Some(slot));
        }
    }
    Ok(None)
}
