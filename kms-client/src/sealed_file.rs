//! A sealed file in its place: what its header says, and another header in its stead.

use crate::header::{HEADER_LENGTH, Header, SLOT_LENGTH, Slots};
use crate::{Error, Kind};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A sealed file, opened to be re-wrapped: its content is not read. Blocks, as files do.
#[derive(Debug)]
pub struct SealedFile {
    file: File,
    slots: Slots,
}

impl SealedFile {
    /// Opens it and reads its header.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is no sealed file; [`Kind::Io`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| Error::file(DOING, &e))?;
        let slots = read_slots(&mut &file)?;
        Ok(Self { file, slots })
    }

    /// `spaces/{space}/keys/{key}`.
    #[must_use]
    pub fn key(&self) -> &str {
        self.slots.header.key()
    }

    /// The data key, wrapped by that key.
    #[must_use]
    pub fn wrapped(&self) -> &[u8] {
        self.slots.header.wrapped()
    }

    /// Whether both slots of the header are whole and say the same.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.slots.agree
    }

    /// Puts a header with this wrapped data key in its place, durably. Whenever this is interrupted,
    /// the file opens.
    ///
    /// # Errors
    /// [`Kind::Io`].
    pub fn replace(&self, wrapped: &[u8]) -> Result<(), Error> {
        let slot = Header::new(self.key(), wrapped)
            .and_then(|header| header.to_slot())
            .map_err(|e| Error::new(Kind::Internal, format!("cannot {DOING}: {e}")))?;
        replace_slots(&self.file, &slot, self.slots.first_is_whole)
            .map_err(|e| Error::file(DOING, &e))
    }
}

const DOING: &str = "re-wrap the file";

/// The slot that is not whole, or not the one that is read, goes first: at every moment one slot
/// is whole on the disk.
fn replace_slots(file: &File, slot: &[u8], first_is_whole: bool) -> io::Result<()> {
    let second = u64::try_from(SLOT_LENGTH).unwrap_or(u64::MAX);
    let order = if first_is_whole {
        [second, 0]
    } else {
        [0, second]
    };
    for offset in order {
        file.write_all_at(slot, offset)?;
        file.sync_data()?;
    }
    Ok(())
}

pub(crate) fn read_slots(input: &mut impl Read) -> Result<Slots, Error> {
    let mut bytes = Vec::with_capacity(HEADER_LENGTH);
    input
        .take(u64::try_from(HEADER_LENGTH).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)
        .map_err(|e| Error::file("read the sealed content", &e))?;
    Slots::read(&bytes).map_err(|e| Error::new(Kind::Invalid, e.to_string()))
}
