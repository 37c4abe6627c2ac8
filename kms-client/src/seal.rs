//! Content, sealed and opened with a data key: an `age` file (C2SP age, version 1).
//!
//! The recipient is age's scrypt stanza, whose passphrase is the data key in unpadded base64. Two
//! reasons. It is symmetric: nothing here rests on a curve that a quantum computer would break
//! while health data are still sensitive. And it is stock: `age -d` opens the file for whoever
//! holds the data key. The work factor is 2^1, the least there is, because the passphrase is 256
//! random bits: there is nothing to stretch.

use crate::{Error, Kind};
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, scrypt};
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// Seals all of `input` into `output`; returns how many bytes went in. Memory does not grow with
/// the size.
pub(crate) fn seal(
    passphrase: SecretString,
    mut input: impl Read,
    output: impl Write,
) -> Result<u64, Error> {
    let mut recipient = scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(WORK);
    let recipients: [&dyn age::Recipient; 1] = [&recipient];
    let encryptor = Encryptor::with_recipients(recipients.into_iter())
        .map_err(|e| Error::new(Kind::Internal, format!("the content cannot be sealed: {e}")))?;
    let written = |e: io::Error| Error::file("write the sealed content", &e);
    let mut sealed = encryptor.wrap_output(output).map_err(written)?;
    let read = copy(&mut input, &mut sealed, |e| {
        Error::file("read the content", e)
    })?;
    sealed
        .finish()
        .and_then(|mut output| output.flush())
        .map_err(written)?;
    Ok(read)
}

/// Opens all of `input`, an age file, into `output`; returns how many bytes came out. What comes
/// out before an error is authentic but not complete: throw it away.
pub(crate) fn open(
    passphrase: SecretString,
    input: impl Read,
    mut output: impl Write,
) -> Result<u64, Error> {
    let decryptor = Decryptor::new_buffered(io::BufReader::new(input)).map_err(|e| unopened(&e))?;
    if !decryptor.is_scrypt() {
        return Err(Error::new(
            Kind::Invalid,
            "the content is not sealed with a data key",
        ));
    }
    let mut identity = scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MOST_WORK);
    let identities: [&dyn age::Identity; 1] = [&identity];
    let mut content = decryptor
        .decrypt(identities.into_iter())
        .map_err(|e| unopened(&e))?;
    copy(&mut content, &mut output, damaged)
}

/// log2 of scrypt's N.
const WORK: u8 = 1;
/// What a foreign file may make us do.
const MOST_WORK: u8 = 10;
/// One chunk of age.
const CHUNK: usize = 64 * 1024;

fn copy(
    input: &mut impl Read,
    output: &mut impl Write,
    unread: impl Fn(&io::Error) -> Error,
) -> Result<u64, Error> {
    let mut buffer = Zeroizing::new(vec![0; CHUNK]);
    let mut copied = 0_u64;
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(unread(&e)),
        };
        let read = buffer.get(..length).unwrap_or_default();
        output
            .write_all(read)
            .map_err(|e| Error::file("write the output", &e))?;
        copied += u64::try_from(length).unwrap_or(u64::MAX);
    }
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "age marks its enum non-exhaustive"
)]
fn unopened(error: &DecryptError) -> Error {
    let why = match error {
        DecryptError::Io(e) => return damaged(e),
        DecryptError::ExcessiveWork { .. } => "it asks for too much work and is not ours",
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => {
            "what follows its header is damaged"
        }
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "age marks it non-exhaustive"
        )]
        _ => "its data key does not open it: it is damaged, or its header belongs to another file",
    };
    Error::new(Kind::Invalid, format!("the content does not open: {why}"))
}

/// What age's stream says through `io::Error`.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "std marks its enum non-exhaustive"
)]
fn damaged(error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is truncated",
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => "it is damaged",
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "std marks it non-exhaustive"
        )]
        _ => return Error::file("read the sealed content", error),
    };
    Error::new(Kind::Invalid, format!("the content does not open: {why}"))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    fn passphrase() -> SecretString {
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
            .to_owned()
            .into()
    }

    fn sealed(content: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        assert_eq!(
            seal(passphrase(), content, &mut output).unwrap(),
            u64::try_from(content.len()).unwrap()
        );
        output
    }

    fn opened(sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let mut output = Vec::new();
        open(passphrase(), sealed, &mut output)?;
        Ok(output)
    }

    #[test]
    fn what_goes_in_comes_out() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let content: Vec<u8> = (0..=255).cycle().take(length).collect();
            assert!(
                opened(&sealed(&content)).unwrap() == content,
                "{length} bytes"
            );
        }
    }

    #[test]
    fn what_was_touched_or_cut_does_not_open() {
        // A sample: age measures this machine at each opening, a tenth of a second unoptimised.
        let whole = sealed(&[7; 300]);
        for at in (0..whole.len()).step_by(13) {
            let mut touched = whole.clone();
            touched[at] ^= 1;
            assert_eq!(
                opened(&touched).unwrap_err().kind(),
                Kind::Invalid,
                "byte {at}"
            );
            assert_eq!(
                opened(&whole[..at]).unwrap_err().kind(),
                Kind::Invalid,
                "cut at {at}"
            );
        }
        let mut longer = whole;
        longer.push(0);
        assert_eq!(opened(&longer).unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn another_data_key_does_not_open() {
        let mut output = Vec::new();
        let other = "BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
            .to_owned()
            .into();
        let refused = open(other, sealed(b"content").as_slice(), &mut output).unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid);
        assert!(output.is_empty());
    }

    #[test]
    fn a_file_that_asks_for_much_work_is_refused_at_once() {
        let mut recipient = scrypt::Recipient::new(passphrase());
        recipient.set_work_factor(MOST_WORK + 1);
        let recipients: [&dyn age::Recipient; 1] = [&recipient];
        let mut heavy = Vec::new();
        Encryptor::with_recipients(recipients.into_iter())
            .unwrap()
            .wrap_output(&mut heavy)
            .unwrap()
            .finish()
            .unwrap();
        let refused = opened(&heavy).unwrap_err();
        assert!(refused.to_string().contains("too much work"), "{refused}");
    }
}
