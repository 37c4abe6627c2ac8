//! Azure's `.byok` file: `RSA_AES_KEY_WRAP` with SHA-1, in JSON with base64url.
//!
//! ```text
//! {"schema_version":"1.0.0","header":{"kid":"...","alg":"dir","enc":"CKM_RSA_AES_KEY_WRAP"},
//!  "ciphertext":"<base64url, unpadded>","generator":"..."}
//! ```

use crate::error::{Error, Result};
use crate::key::Wrapping;
use crate::name::VersionName;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// The longest file that is looked at, in bytes: RSA-4096 and a private key fit several times.
const LONGEST: usize = 64 * 1024;

/// A `.byok` file of the only form that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Byok {
    /// The version that unwraps: what Azure calls the key exchange key's identifier.
    pub kid: VersionName,
    /// The wrapped material, as [`Wrapping::RsaAesSha1`] gives it.
    pub ciphertext: Vec<u8>,
    /// What wrote the file.
    pub generator: String,
}

#[derive(Serialize, Deserialize)]
struct File {
    schema_version: String,
    header: Header,
    ciphertext: String,
    #[serde(default)]
    generator: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    kid: String,
    alg: String,
    enc: String,
}

const SCHEMA: &str = "1.0.0";
const ALG: &str = "dir";
const ENC: &str = "CKM_RSA_AES_KEY_WRAP";

impl Byok {
    /// How what it carries is wrapped.
    pub const MECHANISM: Wrapping = Wrapping::RsaAesSha1;

    /// Reads a file.
    ///
    /// # Errors
    /// `Invalid`, naming the field that is not as it must be.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = |field: &str, what: String| Err(Error::invalid(field, what));
        if bytes.len() > LONGEST {
            return wrong("byok", format!("a .byok file has at most {LONGEST} bytes"));
        }
        let file: File = serde_json::from_slice(bytes).map_err(|e| {
            Error::invalid(
                "byok",
                "this is not a .byok file: JSON with schema_version, header and ciphertext",
            )
            .because(e)
        })?;
        for (field, there, wanted) in [
            ("schema_version", &file.schema_version, SCHEMA),
            ("header.alg", &file.header.alg, ALG),
            ("header.enc", &file.header.enc, ENC),
        ] {
            if there != wanted {
                return wrong(field, format!("{field} of a .byok file is {wanted}"));
            }
        }
        let kid = file.header.kid.parse().map_err(|e: Error| {
            let sentence = "header.kid of a .byok file is the wrapping version that the import \
                            parameters name: spaces/{space}/keys/{key}/versions/{n}";
            Error::invalid("header.kid", sentence).because(e.message())
        })?;
        let ciphertext = BASE64URL_NOPAD.decode(file.ciphertext.as_bytes());
        let ciphertext = ciphertext.map_err(|e| {
            let sentence = "ciphertext of a .byok file is base64url without padding";
            Error::invalid("ciphertext", sentence).because(e)
        })?;
        Self::MECHANISM.fits(&ciphertext)?;
        Ok(Byok {
            kid,
            ciphertext,
            generator: file.generator,
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// `Internal` when it has no JSON form.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let file = File {
            schema_version: SCHEMA.into(),
            header: Header {
                kid: self.kid.to_string(),
                alg: ALG.into(),
                enc: ENC.into(),
            },
            ciphertext: BASE64URL_NOPAD.encode(&self.ciphertext),
            generator: self.generator.clone(),
        };
        let text = serde_json::to_string(&file);
        let text = text.map_err(|e| Error::internal(format!("a .byok file: {e}")))?;
        Ok((text + "\n").into_bytes())
    }
}
