//! The header of a sealed file: which key, and the data key that it wraps.
//!
//! A sealed file is this header, always [`HEADER_LENGTH`] bytes, then an ordinary `age` file. The
//! header is two **slots** of [`SLOT_LENGTH`] bytes with the same content; a slot is
//!
//! | bytes | what |
//! | --- | --- |
//! | 7 | magic `EMC2KMS` |
//! | 1 | format, 0x01 |
//! | 2 | length of the key's name, big-endian |
//! | … | the key's name, `spaces/{space}/keys/{key}`, ASCII |
//! | 2 | length of the wrapped data key, big-endian |
//! | … | the wrapped data key, as the service made it |
//! | … | zeros |
//! | 32 | SHA-256 of all the bytes of the slot before it |
//!
//! Re-wrapping a file replaces the header in place and leaves the content alone, whatever its size.
//! It writes one slot, forces it to the disk, then the other: whenever the power fails, one slot is
//! whole, wraps the same data key, and opens the file. A slot has the size of a page, which is what
//! disks and file systems write at once, so that a torn write of one does not reach the other; the
//! checksum notices a torn slot (it is no protection against forgery: the service authenticates the
//! wrapped data key, and the data key authenticates the content). Afterwards both slots are new, so
//! that nothing wrapped under the former version stays behind.

use sha2::{Digest, Sha256};

/// Of one slot, in bytes.
pub const SLOT_LENGTH: usize = 4096;

/// Of the header, in bytes: where the `age` file begins.
pub const HEADER_LENGTH: usize = 2 * SLOT_LENGTH;

/// What a header says.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    key: String,
    wrapped: Vec<u8>,
}

/// The two slots of a file as they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The content of the first whole slot.
    pub header: Header,
    /// Whether the first slot is the one that is whole.
    pub first_is_whole: bool,
    /// Whether both slots are whole and say the same.
    pub agree: bool,
}

/// Why bytes are not a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Another kind of file.
    #[error("it is not a file that kms sealed")]
    Foreign,
    /// A format from after this program.
    #[error("it has format {0}, which this version of kms does not know; use a newer one")]
    Format(u8),
    /// The file ends inside the header.
    #[error("it is truncated: it ends inside its header")]
    Truncated,
    /// Neither slot has the checksum of its bytes.
    #[error("its header is damaged: its checksum does not match")]
    Checksum,
    /// A length points outside the slot, a name is not ASCII, or padding is not zero.
    #[error("its header is malformed: {0}")]
    Malformed(&'static str),
    /// Name and wrapped data key do not fit.
    #[error("the key's name and the wrapped data key do not fit in a header")]
    TooLong,
}

impl Header {
    /// A header for a data key that `key` wraps.
    ///
    /// # Errors
    /// [`HeaderError::TooLong`] when both do not fit in a slot, [`HeaderError::Malformed`] when
    /// either is empty or the name is not printable ASCII.
    pub fn new(key: &str, wrapped: &[u8]) -> Result<Self, HeaderError> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HeaderError::Malformed(
                "the key's name is not printable ASCII",
            ));
        }
        if wrapped.is_empty() {
            return Err(HeaderError::Malformed("it holds no data key"));
        }
        if key.len() + wrapped.len() > ROOM {
            return Err(HeaderError::TooLong);
        }
        Ok(Self {
            key: key.to_owned(),
            wrapped: wrapped.to_vec(),
        })
    }

    /// `spaces/{space}/keys/{key}`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The data key, wrapped by that key.
    #[must_use]
    pub fn wrapped(&self) -> &[u8] {
        &self.wrapped
    }

    /// One slot, [`SLOT_LENGTH`] bytes.
    ///
    /// # Errors
    /// [`HeaderError::TooLong`], which [`Header::new`] excludes.
    pub fn to_slot(&self) -> Result<Vec<u8>, HeaderError> {
        let mut slot = Vec::with_capacity(SLOT_LENGTH);
        slot.extend_from_slice(MAGIC);
        slot.push(FORMAT);
        for field in [self.key.as_bytes(), self.wrapped.as_slice()] {
            let length = u16::try_from(field.len()).map_err(|_too_long| HeaderError::TooLong)?;
            slot.extend_from_slice(&length.to_be_bytes());
            slot.extend_from_slice(field);
        }
        slot.resize(SLOT_LENGTH - CHECKSUM, 0);
        slot.extend_from_slice(&Sha256::digest(&slot));
        Ok(slot)
    }

    /// The whole header: the slot, twice.
    ///
    /// # Errors
    /// As [`Header::to_slot`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, HeaderError> {
        Ok(self.to_slot()?.repeat(2))
    }

    /// Reads one slot, strictly: what it accepts, [`Header::to_slot`] writes back bit by bit.
    ///
    /// # Errors
    /// Any [`HeaderError`].
    pub fn from_slot(slot: &[u8]) -> Result<Self, HeaderError> {
        let rest = slot.strip_prefix(MAGIC).ok_or_else(|| {
            if MAGIC.starts_with(slot) {
                HeaderError::Truncated
            } else {
                HeaderError::Foreign
            }
        })?;
        let (format, _) = rest.split_first().ok_or(HeaderError::Truncated)?;
        if *format != FORMAT {
            return Err(HeaderError::Format(*format));
        }
        if slot.len() < SLOT_LENGTH {
            return Err(HeaderError::Truncated);
        }
        let (content, sum) = slot
            .split_at_checked(SLOT_LENGTH - CHECKSUM)
            .ok_or(HeaderError::Truncated)?;
        if Sha256::digest(content).as_slice() != sum {
            return Err(HeaderError::Checksum);
        }
        let fields = content.get(MAGIC.len() + 1..).unwrap_or_default();
        let (key, fields) = field(fields)?;
        let (wrapped, padding) = field(fields)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(HeaderError::Malformed("its padding is not zero"));
        }
        let key = std::str::from_utf8(key)
            .map_err(|_not_text| HeaderError::Malformed("the key's name is not printable ASCII"))?;
        Self::new(key, wrapped)
    }
}

impl Slots {
    /// Reads the beginning of a file: its first [`HEADER_LENGTH`] bytes, or all of a shorter one.
    ///
    /// # Errors
    /// When neither slot can be read, what is wrong with the first.
    pub fn read(bytes: &[u8]) -> Result<Self, HeaderError> {
        let first = bytes.get(..SLOT_LENGTH).unwrap_or(bytes);
        let second = bytes.get(SLOT_LENGTH..HEADER_LENGTH);
        match (Header::from_slot(first), second.map(Header::from_slot)) {
            (_, None) => Err(Header::from_slot(first)
                .err()
                .unwrap_or(HeaderError::Truncated)),
            (Ok(header), Some(second)) => Ok(Self {
                agree: second.as_ref() == Ok(&header),
                header,
                first_is_whole: true,
            }),
            (Err(_), Some(Ok(header))) => Ok(Self {
                header,
                first_is_whole: false,
                agree: false,
            }),
            (Err(wrong), Some(Err(_))) => Err(wrong),
        }
    }
}

/// A wrapped data key is no secret, but nobody reads it either.
impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

const MAGIC: &[u8] = b"EMC2KMS";
const FORMAT: u8 = 1;
const CHECKSUM: usize = 32;
/// For name and wrapped data key together.
const ROOM: usize = SLOT_LENGTH - CHECKSUM - MAGIC.len() - 1 - 2 * LENGTH;
const LENGTH: usize = 2;

/// A length and that many bytes; then what follows.
fn field(bytes: &[u8]) -> Result<(&[u8], &[u8]), HeaderError> {
    let (length, rest) = bytes
        .split_first_chunk::<LENGTH>()
        .ok_or(HeaderError::Malformed("a length is missing"))?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        .ok_or(HeaderError::Malformed("a length points outside it"))
}
