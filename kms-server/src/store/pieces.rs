//! How an entry lies in sled: in pieces so small that a page of them stays in sled's own
//! file, because what is larger goes to files that sled never makes durable.
//!
//! A piece's key is `e/`, the entry's key, a zero byte (no key holds one, so that pieces sort
//! as their entries do) and the piece's number. The first piece begins with the revision (8
//! bytes, big-endian) and the number of pieces (1 byte); what follows, in all pieces, is the
//! value.

use super::{Revision, StoreError, limits};

/// What comes before an entry's key.
const PREFIX: &[u8] = b"e/";

/// The bytes of a value in one piece: 17 of them, with the longest keys, are a third of the
/// page that sled would move to a file of its own.
const PIECE: usize = 2048;

/// Puts an entry, over the value it had before, if it was there.
pub(super) fn put(
    batch: &mut sled::Batch,
    key: &str,
    revision: Revision,
    value: &[u8],
    old: Option<&[u8]>,
) {
    let count = count(value);
    let head = [&revision.0.to_be_bytes(), [count].as_slice()].concat();
    let (first, rest) = value.split_at(value.len().min(PIECE));
    batch.insert(name(key, 0), [&head, first].concat());
    for (number, piece) in (1..).zip(rest.chunks(PIECE)) {
        batch.insert(name(key, number), piece);
    }
    for number in count..old.map_or(0, self::count) {
        batch.remove(name(key, number));
    }
}

/// Takes away an entry that had this value, if it was there.
pub(super) fn delete(batch: &mut sled::Batch, key: &str, old: Option<&[u8]>) {
    for number in 0..old.map_or(0, count) {
        batch.remove(name(key, number));
    }
}

/// Shows every entry, in order, to `visit`, until one of them is an error.
pub(super) fn scan(
    db: &sled::Db,
    mut visit: impl FnMut(String, Revision, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut pieces = db.scan_prefix(PREFIX);
    let mut next = || pieces.next().transpose().map_err(|error| damaged(&error));
    while let Some((name, first)) = next()? {
        let (key, 0) = key_and_number(&name)? else {
            return Err(damaged(&"an entry without its beginning"));
        };
        let (revision, count, mut value) =
            first_piece(&first).ok_or_else(|| damaged(&format!("`{key}` has no head")))?;
        for number in 1..count {
            match next()? {
                Some((name, piece)) if key_and_number(&name)? == (key.clone(), number) => {
                    value.extend_from_slice(&piece);
                }
                Some(_) | None => return Err(damaged(&format!("`{key}` is incomplete"))),
            }
        }
        visit(key, revision, value)?;
    }
    Ok(())
}

fn first_piece(piece: &[u8]) -> Option<(Revision, u8, Vec<u8>)> {
    let (revision, piece) = piece.split_first_chunk()?;
    let (count @ 1.., value) = piece.split_first()? else {
        return None;
    };
    let revision = Revision(u64::from_be_bytes(*revision));
    Some((revision, *count, value.to_vec()))
}

/// How many pieces a value has: one at least, and [`limits::MAX_VALUE`] allows 32.
fn count(value: &[u8]) -> u8 {
    u8::try_from(value.len().div_ceil(PIECE).max(1)).unwrap_or(u8::MAX)
}

fn name(key: &str, number: u8) -> Vec<u8> {
    [PREFIX, key.as_bytes(), &[0, number]].concat()
}

fn key_and_number(name: &[u8]) -> Result<(String, u8), StoreError> {
    let parts = name.strip_prefix(PREFIX).and_then(|name| {
        let (key, [0, number]) = name.split_last_chunk::<2>()? else {
            return None;
        };
        let key = std::str::from_utf8(key).ok()?;
        limits::key(key).ok()?;
        Some((key.to_owned(), *number))
    });
    parts.ok_or_else(|| damaged(&"the name of an entry"))
}

fn damaged(why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt(why.to_string())
}
