//! Operations with keys that are there already.

use kms_core::class::Algorithm;
use kms_core::error::{Error, Result};
use kms_pkcs11::{Kind, Mechanism};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::desk::Desk;
use super::fault::{Fault, Visit};
use super::{Op, Output, Work, fingerprint, trusted};

impl Desk {
    /// Carries out each operation, in order. None of them changes anything on the token, so when
    /// it is lost half-way, all of them count as not done.
    pub(super) fn apply(&mut self, work: &[Work]) -> Visit<Vec<Result<Output>>> {
        work.iter()
            .map(|work| match self.carry_out(work) {
                Ok(output) => Ok(Ok(output)),
                Err(Fault::Told(error)) => Ok(Err(error)),
                Err(lost @ Fault::Lost { .. }) => Err(lost),
            })
            .collect()
    }

    fn carry_out(&mut self, work: &Work) -> Visit<Output> {
        work.op.check()?;
        match self.run(work)? {
            Ok(output) => Ok(output),
            Err(error) if error.kind() == Kind::Stale => {
                self.forget(&work.id);
                self.run(work)?.map_err(|error| Fault::reading(&error))
            }
            Err(error) => Err(self.judge(work, &error)),
        }
    }

    fn run(&mut self, work: &Work) -> Visit<std::result::Result<Output, kms_pkcs11::Error>> {
        let key = self.key(&work.id, work.op.algorithm(), &work.fingerprint)?;
        Ok(match &work.op {
            Op::GcmEncrypt {
                nonce,
                aad,
                plaintext,
            } => self
                .session
                .encrypt(&Mechanism::AesGcm { iv: nonce, aad }, key, plaintext)
                .map(Zeroizing::new),
            Op::GcmDecrypt {
                nonce,
                aad,
                ciphertext,
            } => self
                .session
                .decrypt(&Mechanism::AesGcm { iv: nonce, aad }, key, ciphertext),
            Op::Hmac { input } => self.session.sign(&Mechanism::Sha256Hmac, key, input),
            Op::Recognise { algorithm } => {
                fingerprint::recognise(&self.session, *algorithm, key).map(Zeroizing::new)
            }
            Op::Sign { message } => self
                .session
                .sign_ecdsa(key, &Sha256::digest(message))
                .map(Zeroizing::new),
            Op::Wrap { under, mechanism } => {
                let oaep = trusted::mechanism(*mechanism)?;
                let under = self.trusted(under)?;
                self.session.wrap(&oaep, under, key).map(Zeroizing::new)
            }
        })
    }

    /// Whose fault a failure is. A tampered ciphertext and a dying token look the same on some
    /// tokens (CKR_GENERAL_ERROR on SoftHSM): the known-answer test tells them apart, so that no
    /// caller makes us reconnect by sending rubbish.
    fn judge(&mut self, work: &Work, error: &kms_pkcs11::Error) -> Fault {
        match (&work.op, error.kind()) {
            (Op::GcmDecrypt { .. }, Kind::InvalidInput) => does_not_open(error),
            (Op::GcmDecrypt { .. }, Kind::Ambiguous) => match self.prove(&work.id) {
                Ok(()) => does_not_open(error),
                Err(lost) => lost,
            },
            (
                Op::GcmEncrypt { .. }
                | Op::GcmDecrypt { .. }
                | Op::Hmac { .. }
                | Op::Recognise { .. }
                | Op::Sign { .. }
                | Op::Wrap { .. },
                _,
            ) => Fault::reading(error),
        }
    }
}

impl Op {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::GcmEncrypt { .. } | Self::GcmDecrypt { .. } => Algorithm::Aes256,
            // Of what may leave, there is one kind.
            Self::Hmac { .. } | Self::Wrap { .. } => Algorithm::HmacSha256,
            Self::Recognise { algorithm } => *algorithm,
            Self::Sign { .. } => Algorithm::EcdsaP256,
        }
    }

    /// What no token needs to be asked for, and what is reserved for the fingerprint.
    fn check(&self) -> Result<()> {
        match self {
            Self::GcmEncrypt { nonce, .. } if fingerprint::reserves(nonce) => Err(Error::internal(
                "this nonce is reserved for recognising keys",
            )),
            Self::GcmDecrypt {
                nonce, ciphertext, ..
            } if fingerprint::reserves(nonce) || ciphertext.len() < TAG => {
                Err(invalid_ciphertext())
            }
            Self::Hmac { input } if input.starts_with(fingerprint::LABEL) => Err(Error::internal(
                "an HMAC input that begins like a fingerprint's",
            )),
            Self::Sign { message } if message.starts_with(fingerprint::LABEL) => Err(
                Error::internal("a message that begins like a fingerprint's"),
            ),
            Self::GcmEncrypt { .. }
            | Self::GcmDecrypt { .. }
            | Self::Hmac { .. }
            | Self::Recognise { .. }
            | Self::Sign { .. }
            | Self::Wrap { .. } => Ok(()),
        }
    }
}

/// The length of a GCM tag, in bytes.
const TAG: usize = 16;

fn does_not_open(error: &kms_pkcs11::Error) -> Fault {
    invalid_ciphertext().because(error).into()
}

fn invalid_ciphertext() -> Error {
    Error::invalid(
        "ciphertext",
        "the ciphertext does not open: it was cut or changed, or was made with another key or \
         another encryption context",
    )
}
