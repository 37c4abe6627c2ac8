//! The token's PIN, from a file and nowhere else: not the command line, not the environment, not
//! the configuration.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use kms_core::error::{Error, Result};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// Reads the PIN from the file at `path` and trims one newline at its end.
///
/// # Errors
/// `Invalid` where the file is missing, empty, not text, too long to be a PIN, or can be read by
/// anyone but its owner. The one exception: below `/run/credentials/` systemd lets the unit's
/// user in by an access control list, which shows as a group's right to read.
pub fn read(path: &Path) -> Result<SecretString> {
    let refuse = |why: String| {
        let sentence = format!("the PIN file {}: {why}", path.display());
        Error::invalid("hsm.pin_file", sentence)
    };
    let file = File::open(path).map_err(|why| refuse(format!("cannot be opened ({why})")))?;
    let metadata = file
        .metadata()
        .map_err(|why| refuse(format!("cannot be examined ({why})")))?;
    if !metadata.is_file() {
        return Err(refuse("is not a file".to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    let credential = path.starts_with("/run/credentials/");
    if mode & if credential { 0o037 } else { 0o077 } != 0 {
        return Err(refuse(format!(
            "others than its owner (user {}) can read or change it (mode {mode:03o}); chmod it \
             to 600",
            metadata.uid(),
        )));
    }
    // Room for one read of everything: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT + 1));
    let length = u64::try_from(LIMIT + 1).unwrap_or(u64::MAX);
    file.take(length)
        .read_to_end(&mut bytes)
        .map_err(|why| refuse(format!("cannot be read ({why})")))?;
    if bytes.len() > LIMIT {
        return Err(refuse(format!(
            "holds more than {LIMIT} bytes: that is no PIN"
        )));
    }
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    match std::str::from_utf8(line) {
        Ok("") => Err(refuse("is empty".to_owned())),
        Ok(pin) if pin.contains('\n') => Err(refuse("holds more than one line".to_owned())),
        Ok(pin) => Ok(SecretString::from(pin)),
        Err(why) => Err(refuse("is not UTF-8 text".to_owned()).because(why)),
    }
}

const LIMIT: usize = 255;

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a test says what it expects and fails loudly"
    )]

    use super::*;
    use secrecy::ExposeSecret;
    use std::fs;
    use tempfile::TempDir;

    fn file(content: &[u8], mode: u32) -> (TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn one_newline_is_trimmed_and_nothing_else() {
        for (content, pin) in [
            (&b"1234"[..], "1234"),
            (b"1234\n", "1234"),
            (b" 12 34 \n", " 12 34 "),
            (b"1234\r\n", "1234\r"),
        ] {
            let (_directory, path) = file(content, 0o400);
            assert_eq!(read(&path).unwrap().expose_secret(), pin);
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o660, 0o601] {
            let (_directory, path) = file(b"1234", mode);
            let error = read(&path).unwrap_err();
            assert!(error.message().contains("chmod"), "{error}");
            assert!(!error.message().contains("1234"), "{error}");
        }
    }

    #[test]
    fn what_is_no_pin_is_refused_without_being_shown() {
        for content in [&b""[..], b"\n", b"12\n34\n", b"\xff\xfe", &[b'1'; 256]] {
            let (_directory, path) = file(content, 0o600);
            let error = read(&path).unwrap_err();
            let names = format!("the PIN file {}: ", path.display());
            assert!(error.message().starts_with(&names), "{error}");
            assert!(!format!("{error:?}").contains("12"), "{error:?}");
        }
        let absent = read(Path::new("/nonexistent/pin")).unwrap_err();
        assert!(absent.message().contains("/nonexistent/pin"));
        assert!(read(Path::new("/")).is_err());
    }
}
