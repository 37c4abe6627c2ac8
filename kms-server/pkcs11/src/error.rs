//! A failed PKCS#11 call, and what its caller can do about it.

use std::borrow::Cow;
use std::fmt;

use cryptoki::error::RvError;

/// A PKCS#11 call that failed: the function, the return value's name (`CKR_...`)
/// and its [`Kind`]. It never holds a PIN, a key or a byte of what was processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    function: Cow<'static, str>,
    reason: Reason,
}

/// What a failure means for whoever made the call. PKCS#11 v2.40 section 5.1 lists
/// the return values; tokens differ in which one they choose, so a kind is a first
/// reading, and `Ambiguous` asks for a second look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The session, the login, the token or the library's initialisation is gone:
    /// every handle is worthless, connect again.
    Lost,
    /// A dying token or a bad ciphertext, the token does not say which: try
    /// something whose answer is known.
    Ambiguous,
    /// The handle names nothing (any more): find the object again.
    Stale,
    /// The bytes handed in are not what the mechanism takes.
    InvalidInput,
    /// This token does not do this: no such function, mechanism or parameter. Some
    /// tokens (SoftHSM) also answer `CKR_MECHANISM_INVALID` when
    /// `CKA_ALLOWED_MECHANISMS` forbids a mechanism to a key.
    Unsupported,
    /// The token could, and will not: the key's attributes forbid it.
    Refused,
    /// No room for another object or session.
    Full,
    /// The PIN is wrong. Never try again by itself: it would lock the token.
    WrongPin,
    /// The token takes no PIN until a person has dealt with it (locked, expired, or
    /// never set).
    PinLocked,
    /// Anything else: a defect here or in the token's library.
    Other,
}

impl Error {
    /// What the failure means for the caller.
    pub fn kind(&self) -> Kind {
        match &self.reason {
            Reason::Code(code) => kind(*code),
            Reason::Absent => Kind::Unsupported,
            Reason::Sentence(kind, _) => *kind,
        }
    }

    /// The PKCS#11 function that failed, e.g. `C_Decrypt`.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The return value's standard name, e.g. `CKR_GENERAL_ERROR`; `None` where the
    /// failure did not come from a return value.
    pub fn code(&self) -> Option<String> {
        match &self.reason {
            Reason::Code(code) => Some(name(*code)),
            Reason::Absent | Reason::Sentence(..) => None,
        }
    }

    pub(crate) fn returned(function: &'static str, code: RvError) -> Self {
        Self {
            function: Cow::Borrowed(function),
            reason: Reason::Code(code),
        }
    }

    pub(crate) fn absent(function: &'static str) -> Self {
        Self {
            function: Cow::Borrowed(function),
            reason: Reason::Absent,
        }
    }

    /// A call succeeded, and what it gave is not what it must be: one sentence says why.
    pub fn wrong(function: &'static str, why: &'static str) -> Self {
        Self::sentence(function, Kind::Other, why.to_owned())
    }

    pub(crate) fn sentence(function: &'static str, kind: Kind, sentence: String) -> Self {
        Self {
            function: Cow::Borrowed(function),
            reason: Reason::Sentence(kind, sentence),
        }
    }

    pub(crate) fn is(&self, code: RvError) -> bool {
        self.reason == Reason::Code(code)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Code(code) => write!(f, "{}: {}", self.function, name(*code)),
            Reason::Absent => write!(f, "{}: the library does not have it", self.function),
            Reason::Sentence(_, sentence) => write!(f, "{}: {sentence}", self.function),
        }
    }
}

impl std::error::Error for Error {}

impl From<cryptoki::error::Error> for Error {
    fn from(error: cryptoki::error::Error) -> Self {
        match error {
            cryptoki::error::Error::Pkcs11(code, function) => Self {
                function: format!("C_{function:?}").into(),
                reason: Reason::Code(code),
            },
            other @ (cryptoki::error::Error::NullFunctionPointer
            | cryptoki::error::Error::NotSupported) => {
                Self::sentence("cryptoki", Kind::Unsupported, other.to_string())
            }
            other @ (cryptoki::error::Error::LibraryLoading(_)
            | cryptoki::error::Error::MissingSymbol(_)
            | cryptoki::error::Error::TryFromInt(_)
            | cryptoki::error::Error::TryFromSlice(_)
            | cryptoki::error::Error::ParseInt(_)
            | cryptoki::error::Error::Utf8(_)
            | cryptoki::error::Error::NulError(_)
            | cryptoki::error::Error::InvalidValue
            | cryptoki::error::Error::PinNotSet) => {
                Self::sentence("cryptoki", Kind::Other, other.to_string())
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Code(RvError),
    Absent,
    Sentence(Kind, String),
}

/// The one table from return values to kinds. No wildcard: a new return value in
/// `cryptoki` is a decision to take here.
fn kind(code: RvError) -> Kind {
    match code {
        RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::SessionClosed
        | RvError::SessionHandleInvalid
        | RvError::UserNotLoggedIn
        | RvError::CryptokiNotInitialized
        // A session whose idea of the current operation differs from ours is as good
        // as lost: only a new one is known to be clean.
        | RvError::OperationActive
        | RvError::OperationNotInitialized => Kind::Lost,

        RvError::GeneralError
        | RvError::FunctionFailed
        | RvError::DeviceError
        | RvError::FunctionCanceled
        | RvError::Cancel
        | RvError::FipsSelfTestFailed
        | RvError::VendorDefined(_)
        | RvError::UnknownErrorCode(_) => Kind::Ambiguous,

        RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::WrappingKeyHandleInvalid
        | RvError::UnwrappingKeyHandleInvalid => Kind::Stale,

        RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        // kryoptic's answer to a wrapped key of another length than its type takes.
        | RvError::KeySizeRange
        | RvError::WrappedKeyInvalid
        | RvError::WrappedKeyLenRange
        | RvError::SignatureInvalid
        | RvError::SignatureLenRange
        | RvError::PublicKeyInvalid
        | RvError::DomainParamsInvalid => Kind::InvalidInput,

        RvError::FunctionNotSupported
        | RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        // SoftHSM's answer to OAEP with SHA-256.
        | RvError::ArgumentsBad
        | RvError::CurveNotSupported
        | RvError::WrappingKeySizeRange
        | RvError::UnwrappingKeySizeRange
        | RvError::RandomNoRng
        | RvError::RandomSeedNotSupported
        | RvError::SessionParallelNotSupported => Kind::Unsupported,

        RvError::ActionProhibited
        | RvError::AttributeReadOnly
        | RvError::AttributeSensitive
        | RvError::AttributeTypeInvalid
        | RvError::AttributeValueInvalid
        | RvError::FunctionRejected
        | RvError::InformationSensitive
        | RvError::KeyFunctionNotPermitted
        | RvError::KeyIndigestible
        | RvError::KeyNotWrappable
        | RvError::KeyTypeInconsistent
        | RvError::KeyUnextractable
        | RvError::SessionReadOnly
        | RvError::TemplateIncomplete
        | RvError::TemplateInconsistent
        | RvError::TokenWriteProtected
        | RvError::UnwrappingKeyTypeInconsistent
        | RvError::WrappingKeyTypeInconsistent => Kind::Refused,

        RvError::DeviceMemory | RvError::HostMemory | RvError::SessionCount => Kind::Full,

        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinTooWeak => Kind::WrongPin,

        RvError::PinLocked | RvError::PinExpired | RvError::UserPinNotInitialized => {
            Kind::PinLocked
        }

        RvError::BufferTooSmall
        | RvError::CantLock
        | RvError::CryptokiAlreadyInitialized
        | RvError::ExceededMaxIterations
        | RvError::FunctionNotParallel
        | RvError::KeyChanged
        | RvError::KeyNeeded
        | RvError::KeyNotNeeded
        | RvError::LibraryLoadFailed
        | RvError::MutexBad
        | RvError::MutexNotLocked
        | RvError::NeedToCreateThreads
        | RvError::NewPinMode
        | RvError::NextOtp
        | RvError::NoEvent
        | RvError::SavedStateInvalid
        | RvError::SessionExists
        | RvError::SessionReadOnlyExists
        | RvError::SessionReadWriteSoExists
        | RvError::StateUnsaveable
        | RvError::UserAlreadyLoggedIn
        | RvError::UserAnotherAlreadyLoggedIn
        | RvError::UserTooManyTypes
        | RvError::UserTypeInvalid => Kind::Other,
    }
}

/// `GeneralError` becomes `CKR_GENERAL_ERROR`: cryptoki derives its names from the
/// standard's, word for word.
fn name(code: RvError) -> String {
    if let RvError::VendorDefined(value) | RvError::UnknownErrorCode(value) = code {
        return format!("CKR_{value:#010x}");
    }
    let mut name = String::from("CKR");
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_function_and_the_standard_code() {
        let error = Error::returned("C_Decrypt", RvError::GeneralError);
        assert_eq!(error.to_string(), "C_Decrypt: CKR_GENERAL_ERROR");
        assert_eq!(error.kind(), Kind::Ambiguous);
        assert_eq!(
            name(RvError::UserPinNotInitialized),
            "CKR_USER_PIN_NOT_INITIALIZED"
        );
        assert_eq!(name(RvError::VendorDefined(0x8000_0001)), "CKR_0x80000001");
    }

    #[test]
    fn cryptokis_own_errors_keep_their_function() {
        let error = Error::from(cryptoki::error::Error::Pkcs11(
            RvError::PinIncorrect,
            cryptoki::context::Function::Login,
        ));
        assert_eq!(error.to_string(), "C_Login: CKR_PIN_INCORRECT");
        assert_eq!(error.kind(), Kind::WrongPin);
    }
}
