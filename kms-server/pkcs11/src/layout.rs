//! The C form of what we hand to the library: mechanisms, templates and values, each
//! together with everything that it points to.
//!
//! Nothing here is unsafe: pointers are made, never followed. That what they point to
//! outlives the call is the promise that `raw` leans on. Sizes are `CK_ULONG`, taken to
//! be 64 bits wide (64-bit Unix): elsewhere this crate does not compile.

use std::ffi::c_void;
use std::ptr;

use cryptoki_sys as sys;
use cryptoki_sys::{CK_ATTRIBUTE, CK_MECHANISM, CK_ULONG};
use zeroize::Zeroizing;

use crate::attribute::{Encoded, Template};
use crate::error::{Error, Kind};
use crate::mechanism::{Mechanism, MechanismType, OaepHash};

/// A length of ours for the library. Lossless: `usize` is never wider than `CK_ULONG`.
pub(crate) fn ulong(length: usize) -> CK_ULONG {
    CK_ULONG::try_from(length).unwrap_or(CK_ULONG::MAX)
}

/// A length of the library's for us: nothing that we ask for is above 16 MiB, so more
/// is a defect of the library and not worth an allocation.
pub(crate) fn size(function: &'static str, length: CK_ULONG) -> Result<usize, Error> {
    const LIMIT: usize = 16 << 20;
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= LIMIT)
        .ok_or_else(|| {
            Error::sentence(function, Kind::Other, format!("impossible length {length}"))
        })
}

/// Builds the C form of a mechanism for the length of one call.
pub(crate) fn with_mechanism<T>(
    mechanism: &Mechanism<'_>,
    call: impl FnOnce(*mut CK_MECHANISM) -> T,
) -> T {
    let mut raw = CK_MECHANISM {
        mechanism: mechanism.mechanism_type().0,
        pParameter: ptr::null_mut(),
        ulParameterLen: 0,
    };
    match mechanism {
        Mechanism::AesGcm { iv, aad } => {
            // Tokens that make the IV write it here: on a copy, never in the caller's.
            let mut iv = **iv;
            let mut parameters = sys::CK_GCM_PARAMS {
                pIv: iv.as_mut_ptr(),
                ulIvLen: 12,
                ulIvBits: 96,
                pAAD: aad.as_ptr().cast_mut(),
                ulAADLen: ulong(aad.len()),
                ulTagBits: 128,
            };
            raw.pParameter = (&raw mut parameters).cast();
            raw.ulParameterLen = ulong(size_of_val(&parameters));
            call(&raw mut raw)
        }
        Mechanism::RsaOaep(hash) => {
            let mut parameters = oaep(*hash);
            raw.pParameter = (&raw mut parameters).cast();
            raw.ulParameterLen = ulong(size_of_val(&parameters));
            call(&raw mut raw)
        }
        Mechanism::RsaAesKeyWrap(hash) => {
            let mut oaep = oaep(*hash);
            let mut parameters = sys::CK_RSA_AES_KEY_WRAP_PARAMS {
                ulAESKeyBits: 256,
                pOAEPParams: &raw mut oaep,
            };
            raw.pParameter = (&raw mut parameters).cast();
            raw.ulParameterLen = ulong(size_of_val(&parameters));
            call(&raw mut raw)
        }
        Mechanism::Sha256Hmac
        | Mechanism::Ecdsa
        | Mechanism::AesKeyWrap
        | Mechanism::AesKeyWrapPad
        | Mechanism::AesKeyWrapKwp
        | Mechanism::Plain(_) => call(&raw mut raw),
    }
}

fn oaep(hash: OaepHash) -> sys::CK_RSA_PKCS_OAEP_PARAMS {
    let (hash, mgf) = match hash {
        OaepHash::Sha1 => (MechanismType::SHA_1, sys::CKG_MGF1_SHA1),
        OaepHash::Sha256 => (MechanismType::SHA256, sys::CKG_MGF1_SHA256),
    };
    sys::CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: hash.0,
        mgf,
        source: sys::CKZ_DATA_SPECIFIED,
        pSourceData: ptr::null_mut(),
        ulSourceDataLen: 0,
    }
}

/// A template in the form that the library reads, with everything that it points to.
/// The heap blocks stay where they are when this value moves.
pub(crate) struct Attributes {
    list: Vec<CK_ATTRIBUTE>,
    _words: Vec<Words>,
    _templates: Vec<Self>,
}

impl Attributes {
    pub(crate) fn of(template: &Template) -> Self {
        let (mut list, mut words, mut templates) = (Vec::new(), Vec::new(), Vec::new());
        for attribute in template.attributes() {
            let (value, length) = match attribute.encode() {
                Encoded::Flag(flag) => push(&mut words, Words::from_bytes(&[u8::from(flag)])),
                Encoded::Bytes(bytes) => push(&mut words, Words::from_bytes(bytes)),
                Encoded::Numbers(numbers) => push(&mut words, Words::from_numbers(numbers)),
                Encoded::Template(template) => {
                    let mut inner = Self::of(template);
                    let length = inner.list.len() * size_of::<CK_ATTRIBUTE>();
                    let value = inner.list.as_mut_ptr().cast();
                    templates.push(inner);
                    (value, length)
                }
            };
            list.push(CK_ATTRIBUTE {
                type_: attribute.name().code(),
                pValue: value,
                ulValueLen: ulong(length),
            });
        }
        Self {
            list,
            _words: words,
            _templates: templates,
        }
    }

    pub(crate) fn parts(&mut self) -> (*mut CK_ATTRIBUTE, CK_ULONG) {
        (self.list.as_mut_ptr(), ulong(self.list.len()))
    }
}

fn push(words: &mut Vec<Words>, mut value: Words) -> (*mut c_void, usize) {
    let parts = (value.pointer(), value.length);
    words.push(value);
    parts
}

/// An attribute's value, aligned for the widest thing that the library reads there.
pub(crate) struct Words {
    words: Zeroizing<Vec<u64>>,
    length: usize,
}

impl Words {
    pub(crate) fn of_bytes(length: usize) -> Self {
        Self {
            words: Zeroizing::new(vec![0; length.div_ceil(size_of::<u64>())]),
            length,
        }
    }

    fn from_numbers(numbers: Vec<u64>) -> Self {
        let length = numbers.len() * size_of::<u64>();
        Self {
            words: Zeroizing::new(numbers),
            length,
        }
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let words = bytes
            .chunks(size_of::<u64>())
            .map(|chunk| {
                let mut word = [0; size_of::<u64>()];
                word.iter_mut()
                    .zip(chunk)
                    .for_each(|(to, from)| *to = *from);
                u64::from_ne_bytes(word)
            })
            .collect();
        Self {
            words: Zeroizing::new(words),
            length: bytes.len(),
        }
    }

    pub(crate) fn pointer(&mut self) -> *mut c_void {
        self.words.as_mut_ptr().cast()
    }

    /// The first `length` bytes, at most those that were asked for.
    pub(crate) fn bytes(&self, length: usize) -> Zeroizing<Vec<u8>> {
        let bytes = self.words.iter().flat_map(|word| word.to_ne_bytes());
        Zeroizing::new(bytes.take(length.min(self.length)).collect())
    }
}
