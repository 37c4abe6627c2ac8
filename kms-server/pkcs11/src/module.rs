//! A PKCS#11 library: loaded once, initialised and finalised as often as it takes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};

use crate::error::{Error, Kind};
use crate::mechanism::MechanismType;
use crate::raw::Functions;
use crate::session::Session;

/// A loaded PKCS#11 library. Clones share it.
///
/// Initialisation belongs to the process, not to this value: two modules on one path
/// are one library. The library stays loaded as long as a module or a session does.
#[derive(Debug, Clone)]
pub struct Module {
    pkcs11: Pkcs11,
    functions: Arc<Functions>,
    sessions: Arc<AtomicUsize>,
}

/// A slot with a token in it, good until the library is finalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(cryptoki::slot::Slot);

/// What a token says of itself (`CK_TOKEN_INFO`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The label by which people choose it.
    pub label: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// Its firmware, as `major.minor`.
    pub firmware: String,
    /// `CKF_USER_PIN_COUNT_LOW`: someone has entered a wrong PIN since the last login.
    pub pin_count_low: bool,
    /// `CKF_USER_PIN_FINAL_TRY`: one more wrong PIN locks it.
    pub pin_final_try: bool,
    /// `CKF_USER_PIN_LOCKED`: it takes no PIN any more.
    pub pin_locked: bool,
}

impl Module {
    /// Loads the library at `path`, without initialising it. This runs the library's
    /// code: the path is as trusted as the program.
    ///
    /// # Errors
    /// [`Kind::Other`] where there is no library at `path`, or one without PKCS#11.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let functions = Arc::new(Functions::load(path)?);
        let pkcs11 = Pkcs11::new(path)?;
        Ok(Self {
            pkcs11,
            functions,
            sessions: Arc::default(),
        })
    }

    /// `C_Initialize`, for several threads that lock by the operating system's means
    /// (PKCS#11 v2.40 section 5.4).
    ///
    /// # Errors
    /// [`Kind::Other`] with `CKR_CRYPTOKI_ALREADY_INITIALIZED` where somebody in this
    /// process already has, or whatever the library says of its own start.
    pub fn initialize(&self) -> Result<(), Error> {
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        Ok(self.pkcs11.initialize(arguments)?)
    }

    /// `C_Finalize`: ends every session and login of the process at this library.
    ///
    /// A session that outlived this would, when dropped, close whichever later session
    /// got its number. So this refuses while one is open; the caller sees to it that
    /// none is opened meanwhile.
    ///
    /// # Errors
    /// [`Kind::Other`] while a [`Session`] of this module is open; [`Kind::Lost`] where
    /// the library is not initialised.
    pub fn finalize(&self) -> Result<(), Error> {
        let open = self.open_sessions();
        if open > 0 {
            let sentence = format!("{open} sessions are still open");
            return Err(Error::sentence("C_Finalize", Kind::Other, sentence));
        }
        Ok(self.pkcs11.clone().finalize()?)
    }

    /// How many sessions of this module (and its clones) are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.load(Ordering::SeqCst)
    }

    /// The slot whose token has this label.
    ///
    /// # Errors
    /// [`Kind::Lost`] where no token has it, or more than one: then nobody can say
    /// which is meant, and guessing would use another's keys.
    pub fn slot(&self, label: &str) -> Result<Slot, Error> {
        let failed = |sentence: String| Error::sentence("C_GetTokenInfo", Kind::Lost, sentence);
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for slot in self.pkcs11.get_slots_with_token()? {
            // Another token's trouble is not this one's.
            match self.pkcs11.get_token_info(slot).map_err(Error::from) {
                Ok(token) if !token.token_initialized() => {}
                Ok(token) if token.label() == label => found.push(slot),
                Ok(token) => others.push(format!("`{}`", token.label())),
                Err(error) => others.push(format!("one that does not answer ({error})")),
            }
        }
        match found.as_slice() {
            [slot] => Ok(Slot(*slot)),
            [] if others.is_empty() => Err(failed(format!(
                "no token is labelled `{label}`; there is no token at all"
            ))),
            [] => Err(failed(format!(
                "no token is labelled `{label}`; there are {}",
                others.join(", ")
            ))),
            several => Err(failed(format!(
                "{} tokens are labelled `{label}`: labels must be unique",
                several.len()
            ))),
        }
    }

    /// What the token in this slot says of itself.
    ///
    /// # Errors
    /// [`Kind::Lost`] where the token is gone.
    pub fn token(&self, slot: Slot) -> Result<Token, Error> {
        let token = self.pkcs11.get_token_info(slot.0)?;
        Ok(Token {
            label: token.label().to_owned(),
            manufacturer: token.manufacturer_id().to_owned(),
            model: token.model().to_owned(),
            serial: token.serial_number().to_owned(),
            firmware: token.firmware_version().to_string(),
            pin_count_low: token.user_pin_count_low(),
            pin_final_try: token.user_pin_final_try(),
            pin_locked: token.user_pin_locked(),
        })
    }

    /// Every mechanism that the token lists, also those we have no name for. That a
    /// mechanism is listed does not mean that it works: try it.
    ///
    /// # Errors
    /// [`Kind::Lost`] where the token is gone.
    pub fn mechanisms(&self, slot: Slot) -> Result<Vec<MechanismType>, Error> {
        self.functions.mechanisms(slot.0.id())
    }

    /// Opens a read-write session, not logged in (or as logged in as the token's other
    /// sessions of this process are: a login is the process's, not the session's).
    ///
    /// # Errors
    /// [`Kind::Lost`] where the token or the initialisation is gone, [`Kind::Full`]
    /// where it has no room for another session.
    pub fn open_session(&self, slot: Slot) -> Result<Session, Error> {
        let session = self.pkcs11.open_rw_session(slot.0)?;
        Ok(Session::new(
            session,
            Arc::clone(&self.functions),
            Open::new(&self.sessions),
        ))
    }
}

/// Counts one open session for as long as it lives.
#[derive(Debug)]
pub(crate) struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
