//! How a log's entries lie behind each other in a file: exactly as in a C2SP tlog-tiles entry
//! bundle, each led by its length in two bytes, big-endian. Pure functions on bytes.

/// The longest entry, in bytes: what the length can say.
pub const MAX_ENTRY: usize = 65_535;

/// The bytes that lead an entry.
pub const HEADER: usize = 2;

/// What a run of bytes begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// An entry, and what comes behind it.
    Whole {
        /// The entry, without its length.
        entry: &'a [u8],
        /// The bytes behind it.
        rest: &'a [u8],
    },
    /// Not enough bytes for an entry: it was cut off, or goes on in what was not read yet.
    Short,
    /// An entry of length 0. There is none: this was never written, it is a torn write.
    Empty,
}

/// Takes the first entry off `bytes`.
#[must_use]
pub fn first(bytes: &[u8]) -> Frame<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Frame::Short;
    };
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 {
        return Frame::Empty;
    }
    match rest.split_at_checked(length) {
        Some((entry, rest)) => Frame::Whole { entry, rest },
        None => Frame::Short,
    }
}

/// Appends `entry` to `bytes`, framed. An entry that is empty or longer than [`MAX_ENTRY`]
/// cannot be framed: `false`, and `bytes` is as before.
#[must_use]
pub fn push(bytes: &mut Vec<u8>, entry: &[u8]) -> bool {
    match u16::try_from(entry.len()) {
        Ok(length @ 1..) => {
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(entry);
            true
        }
        Ok(0) | Err(_) => false,
    }
}
