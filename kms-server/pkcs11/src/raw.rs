//! The PKCS#11 calls that `cryptoki` lacks or makes twice: the only unsafe code of
//! the product, kept small enough to be read in one sitting.
//!
//! What holds everywhere below, and what each SAFETY line leans on:
//! - the function pointers come from the library's own `C_GetFunctionList` and live
//!   as long as `Functions`, which never unloads the library before itself;
//! - PKCS#11 v2.40 only reads through its non-const input pointers (`pData`,
//!   `pTemplate`, `pParameter`), except where this file says otherwise;
//! - every pointer handed over is derived from a live slice, vector or local that
//!   outlives the call, and comes with that thing's true length; the library keeps
//!   no pointer after it returns (section 5.1 gives it no right to);
//! - a wrong session or object handle is a return value, not undefined behaviour.
#![allow(
    unsafe_code,
    reason = "PKCS#11 is a C interface; every call by hand is in this file and nowhere else"
)]

use std::ffi::c_void;
use std::fmt;
use std::path::Path;
use std::ptr;

use cryptoki::error::{Rv, RvError};
use cryptoki_sys as sys;
use cryptoki_sys::{CK_ATTRIBUTE, CK_FUNCTION_LIST, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG};
use zeroize::Zeroizing;

use crate::attribute::{AttributeName, Reading, Template};
use crate::error::{Error, Kind};
use crate::layout::{Attributes, Words, size, ulong, with_mechanism};
use crate::mechanism::{Mechanism, MechanismType};

/// An object as one session sees it: good until the session, the login or the token
/// is lost, or the object is destroyed. Then calls answer [`Kind::Stale`], or worse,
/// the number means another object: never keep one across a reconnection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(CK_OBJECT_HANDLE);

/// What [`Functions::process`] does with its input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Encrypt,
    Decrypt,
    Sign,
}

/// The function list of a loaded library.
pub(crate) struct Functions {
    list: CK_FUNCTION_LIST,
    /// Keeps the library loaded: `list` points into it.
    _library: sys::Pkcs11,
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions").finish_non_exhaustive()
    }
}

/// The call of one function of the list: absent functions and return values other
/// than `CKR_OK` become errors that carry its name.
macro_rules! call {
    ($functions:expr => $function:ident($($argument:expr),*)) => {
        match $functions.list.$function {
            None => Err(Error::absent(stringify!($function))),
            Some(function) => check(stringify!($function), function($($argument),*)),
        }
    };
}

impl Functions {
    /// Loads the library at `path`; loading one that is already loaded gives the same
    /// instance (`dlopen` counts).
    pub(crate) fn load(path: &Path) -> Result<Self, Error> {
        const NAME: &str = "C_GetFunctionList";
        let failed = |why: String| {
            Error::sentence(
                NAME,
                Kind::Other,
                format!("cannot load {}: {why}", path.display()),
            )
        };
        // SAFETY: runs the library's initialisers: the operator names a PKCS#11 module
        // in the configuration, which is trusted like the program itself.
        let library = unsafe { sys::Pkcs11::new(path) }.map_err(|why| failed(why.to_string()))?;
        if library.C_GetFunctionList.is_err() {
            return Err(failed("it is not a PKCS#11 module".to_owned()));
        }
        let mut list = ptr::null_mut();
        // SAFETY: the symbol is there (checked above), so the wrapper does not panic;
        // `list` is a live local.
        check(NAME, unsafe { library.C_GetFunctionList(&raw mut list) })?;
        if list.is_null() {
            return Err(failed("it gives no function list".to_owned()));
        }
        // SAFETY: not null, and the standard demands a static CK_FUNCTION_LIST there.
        let list = unsafe { *list };
        Ok(Self {
            list,
            _library: library,
        })
    }

    /// `C_GetMechanismList`, unfiltered: also the types that we have no name for.
    pub(crate) fn mechanisms(&self, slot: u64) -> Result<Vec<MechanismType>, Error> {
        let mut count: CK_ULONG = 0;
        // SAFETY: a null list asks for the count alone, which is a live local.
        unsafe { call!(self => C_GetMechanismList(slot, ptr::null_mut(), &raw mut count)) }?;
        let mut mechanisms = vec![0; size("C_GetMechanismList", count)?];
        // SAFETY: `count` is the vector's length.
        unsafe {
            call!(self => C_GetMechanismList(slot, mechanisms.as_mut_ptr(), &raw mut count))
        }?;
        mechanisms.truncate(size("C_GetMechanismList", count)?);
        Ok(mechanisms.into_iter().map(MechanismType).collect())
    }

    /// `C_FindObjects` to the end, at most `limit` handles.
    pub(crate) fn find(
        &self,
        session: CK_SESSION_HANDLE,
        template: &Template,
        limit: usize,
    ) -> Result<Vec<Handle>, Error> {
        let mut template = Attributes::of(template);
        let (attributes, count) = template.parts();
        // SAFETY: the template and all that it points to live to the end of this body.
        unsafe { call!(self => C_FindObjectsInit(session, attributes, count)) }?;
        let found = self.found(session, limit);
        // SAFETY: no pointer involved. The search is ended whatever became of it: an
        // open one would block the session.
        let ended = unsafe { call!(self => C_FindObjectsFinal(session)) };
        let found = found?;
        ended.map(|()| found)
    }

    fn found(&self, session: CK_SESSION_HANDLE, limit: usize) -> Result<Vec<Handle>, Error> {
        let mut found = Vec::new();
        while found.len() < limit {
            let mut batch = [0; 64];
            const BATCH: CK_ULONG = 64;
            let mut count: CK_ULONG = 0;
            // SAFETY: `batch` and `count` are live locals, with the array's own length.
            unsafe {
                call!(self => C_FindObjects(session, batch.as_mut_ptr(), BATCH, &raw mut count))
            }?;
            let count = size("C_FindObjects", count)?;
            if count == 0 {
                break;
            }
            found.extend(batch.iter().take(count).copied().map(Handle));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// `C_GetAttributeValue` of one attribute: its length, then its value.
    pub(crate) fn read(
        &self,
        session: CK_SESSION_HANDLE,
        object: Handle,
        name: AttributeName,
    ) -> Result<Reading, Error> {
        let mut attribute = attribute(name.code(), ptr::null_mut(), 0);
        match self.get(session, object, &mut attribute) {
            Ok(()) => {}
            Err(error) if error.is(RvError::AttributeSensitive) => return Ok(Reading::Sensitive),
            Err(error) if error.is(RvError::AttributeTypeInvalid) => return Ok(Reading::Absent),
            Err(error) => return Err(error),
        }
        if attribute.ulValueLen == sys::CK_UNAVAILABLE_INFORMATION {
            return Ok(Reading::Absent);
        }
        let length = size(GET, attribute.ulValueLen)?;
        if name == AttributeName::UnwrapTemplate {
            let template = self.read_template(session, object, name, length)?;
            return Ok(Reading::Value(crate::Attribute::UnwrapTemplate(template)));
        }
        let mut value = Words::of_bytes(length);
        attribute.pValue = value.pointer();
        self.get(session, object, &mut attribute)?;
        let value = value.bytes(size(GET, attribute.ulValueLen)?.min(length));
        name.decode(&value)
            .map(Reading::Value)
            .ok_or_else(|| misshapen(name))
    }

    /// A template inside an attribute takes three calls: how many attributes, their
    /// types and lengths, their values. That the second asks for the types, some tokens (kryoptic)
    /// want to be told by a type that there is not.
    fn read_template(
        &self,
        session: CK_SESSION_HANDLE,
        object: Handle,
        name: AttributeName,
        length: usize,
    ) -> Result<Template, Error> {
        let unknown = attribute(sys::CK_UNAVAILABLE_INFORMATION, ptr::null_mut(), 0);
        let mut inner = vec![unknown; length / size_of::<CK_ATTRIBUTE>()];
        let bytes = ulong(inner.len() * size_of::<CK_ATTRIBUTE>());
        if inner.is_empty() {
            return Ok(Template::default());
        }
        let mut outer = attribute(name.code(), inner.as_mut_ptr().cast(), bytes);
        self.get(session, object, &mut outer)?;
        let mut values = Vec::with_capacity(inner.len());
        for attribute in &mut inner {
            let mut value = Words::of_bytes(size(GET, attribute.ulValueLen)?);
            attribute.pValue = value.pointer();
            values.push(value);
        }
        outer.pValue = inner.as_mut_ptr().cast();
        outer.ulValueLen = bytes;
        self.get(session, object, &mut outer)?;
        inner
            .iter()
            .zip(values)
            .map(|(attribute, value)| {
                let bytes = value.bytes(size(GET, attribute.ulValueLen)?);
                AttributeName::of(attribute.type_)
                    .and_then(|name| name.decode(&bytes))
                    .ok_or_else(|| misshapen(name))
            })
            .collect()
    }

    fn get(
        &self,
        session: CK_SESSION_HANDLE,
        object: Handle,
        attribute: &mut CK_ATTRIBUTE,
    ) -> Result<(), Error> {
        // SAFETY: one attribute, exclusively borrowed; its `pValue` is null or points to
        // `ulValueLen` writable bytes (for a template: attributes of which the same
        // holds), as both callers see to.
        unsafe { call!(self => C_GetAttributeValue(session, object.0, attribute, 1)) }
    }

    /// `C_GenerateKey`.
    pub(crate) fn generate(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Mechanism<'_>,
        template: &Template,
    ) -> Result<Handle, Error> {
        let mut template = Attributes::of(template);
        let (attributes, count) = template.parts();
        let mut key = 0;
        with_mechanism(mechanism, |mechanism| {
            // SAFETY: mechanism and template live to the end of the call, `key` is a local.
            unsafe {
                call!(self => C_GenerateKey(session, mechanism, attributes, count, &raw mut key))
            }
        })?;
        Ok(Handle(key))
    }

    /// `C_GenerateKeyPair`: the public key, then the private one.
    pub(crate) fn generate_pair(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Mechanism<'_>,
        public: &Template,
        private: &Template,
    ) -> Result<(Handle, Handle), Error> {
        let mut public = Attributes::of(public);
        let mut private = Attributes::of(private);
        let (public, public_count) = public.parts();
        let (private, private_count) = private.parts();
        let (mut public_key, mut private_key) = (0, 0);
        with_mechanism(mechanism, |mechanism| {
            // SAFETY: mechanism and templates live to the end of the call, the two
            // handles are locals.
            unsafe {
                call!(self => C_GenerateKeyPair(
                    session, mechanism, public, public_count, private, private_count,
                    &raw mut public_key, &raw mut private_key
                ))
            }
        })?;
        Ok((Handle(public_key), Handle(private_key)))
    }

    /// `C_CreateObject`.
    pub(crate) fn create(
        &self,
        session: CK_SESSION_HANDLE,
        template: &Template,
    ) -> Result<Handle, Error> {
        let mut template = Attributes::of(template);
        let (attributes, count) = template.parts();
        let mut object = 0;
        // SAFETY: the template lives to the end of the call, `object` is a local.
        unsafe { call!(self => C_CreateObject(session, attributes, count, &raw mut object)) }?;
        Ok(Handle(object))
    }

    /// `C_CopyObject`.
    pub(crate) fn copy(
        &self,
        session: CK_SESSION_HANDLE,
        object: Handle,
        template: &Template,
    ) -> Result<Handle, Error> {
        let mut template = Attributes::of(template);
        let (attributes, count) = template.parts();
        let mut copy = 0;
        // SAFETY: the template lives to the end of the call, `copy` is a local.
        unsafe {
            call!(self => C_CopyObject(session, object.0, attributes, count, &raw mut copy))
        }?;
        Ok(Handle(copy))
    }

    /// `C_DestroyObject`.
    pub(crate) fn destroy(&self, session: CK_SESSION_HANDLE, object: Handle) -> Result<(), Error> {
        // SAFETY: no pointer involved.
        unsafe { call!(self => C_DestroyObject(session, object.0)) }
    }

    /// Initialises an operation and runs it on its whole input: two calls, the second
    /// with a buffer that is large enough.
    pub(crate) fn process(
        &self,
        session: CK_SESSION_HANDLE,
        operation: Operation,
        mechanism: &Mechanism<'_>,
        key: Handle,
        input: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let list = &self.list;
        let ((begin, begin_name), (run, name), capacity) = match operation {
            Operation::Encrypt => (
                (list.C_EncryptInit, "C_EncryptInit"),
                (list.C_Encrypt, "C_Encrypt"),
                input.len() + SPARE,
            ),
            Operation::Decrypt => (
                (list.C_DecryptInit, "C_DecryptInit"),
                (list.C_Decrypt, "C_Decrypt"),
                input.len() + SPARE,
            ),
            Operation::Sign => (
                (list.C_SignInit, "C_SignInit"),
                (list.C_Sign, "C_Sign"),
                SIGNATURE,
            ),
        };
        let begin = begin.ok_or(Error::absent(begin_name))?;
        let run = run.ok_or(Error::absent(name))?;
        with_mechanism(mechanism, |mechanism| {
            // SAFETY: the mechanism and what it points to live to the end of this closure,
            // beyond the second call: some libraries write the IV there only then.
            check(begin_name, unsafe { begin(session, mechanism, key.0) })?;
            output(name, capacity, |buffer, length| {
                let (data, count) = (input.as_ptr().cast_mut(), ulong(input.len()));
                // SAFETY: `output` gives a buffer with its length; the input is a live slice.
                check(name, unsafe { run(session, data, count, buffer, length) })
            })
        })
    }

    /// `C_WrapKey` into a buffer that is large enough for any key: the query for the
    /// length would cost as much as the wrapping.
    pub(crate) fn wrap(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Mechanism<'_>,
        wrapping_key: Handle,
        key: Handle,
    ) -> Result<Vec<u8>, Error> {
        with_mechanism(mechanism, |mechanism| {
            output("C_WrapKey", WRAPPED_KEY, |buffer, length| {
                // SAFETY: `output` gives a buffer with its length; the mechanism lives to
                // the end of the call.
                unsafe {
                    call!(self => C_WrapKey(
                        session, mechanism, wrapping_key.0, key.0, buffer, length
                    ))
                }
            })
        })
        .map(|mut wrapped| std::mem::take(&mut *wrapped))
    }

    /// `C_UnwrapKey`.
    pub(crate) fn unwrap(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Mechanism<'_>,
        unwrapping_key: Handle,
        wrapped: &[u8],
        template: &Template,
    ) -> Result<Handle, Error> {
        let mut template = Attributes::of(template);
        let (attributes, count) = template.parts();
        let (blob, blob_length) = (wrapped.as_ptr().cast_mut(), ulong(wrapped.len()));
        let mut key = 0;
        with_mechanism(mechanism, |mechanism| {
            // SAFETY: mechanism and template live to the end of the call, the wrapped key
            // is a live slice, `key` a local.
            unsafe {
                call!(self => C_UnwrapKey(
                    session, mechanism, unwrapping_key.0, blob, blob_length,
                    attributes, count, &raw mut key
                ))
            }
        })?;
        Ok(Handle(key))
    }
}

const GET: &str = "C_GetAttributeValue";
/// More than any mechanism here adds to its input (a tag, a block of padding).
const SPARE: usize = 64;
/// The longest signature or tag: RSA-8192.
const SIGNATURE: usize = 1024;
/// The longest wrapped key: an RSA-8192 private key in PKCS#8, and its padding.
const WRAPPED_KEY: usize = 8192;

fn check(function: &'static str, value: sys::CK_RV) -> Result<(), Error> {
    match Rv::from(value) {
        Rv::Ok => Ok(()),
        Rv::Error(code) => Err(Error::returned(function, code)),
    }
}

/// Runs a call that fills a buffer. A buffer that is too small leaves the operation
/// open (v2.40 section 5.2), so it is made once more with the length that the library
/// asked for. Wiped when dropped, also when the call fails half-way.
fn output(
    function: &'static str,
    capacity: usize,
    mut call: impl FnMut(*mut u8, *mut CK_ULONG) -> Result<(), Error>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut buffer = Zeroizing::new(vec![0; capacity]);
    let mut length = ulong(capacity);
    let outcome = match call(buffer.as_mut_ptr(), &raw mut length) {
        Err(error) if error.is(RvError::BufferTooSmall) => {
            buffer = Zeroizing::new(vec![0; size(function, length)?]);
            length = ulong(buffer.len());
            call(buffer.as_mut_ptr(), &raw mut length)
        }
        other => other,
    };
    outcome?;
    buffer.truncate(size(function, length)?);
    Ok(buffer)
}

fn attribute(type_: CK_ULONG, value: *mut c_void, length: CK_ULONG) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_,
        pValue: value,
        ulValueLen: length,
    }
}

fn misshapen(name: AttributeName) -> Error {
    Error::sentence(
        GET,
        Kind::Other,
        format!("{name} does not have its standard shape"),
    )
}
