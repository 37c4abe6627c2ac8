//! A file that only its owner may read.

use crate::{Error, Kind};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads a file that holds a secret; `what` names it in a sentence, for example `the private key`.
///
/// # Errors
/// [`Kind::Io`] when it cannot be read, or when it is open to others (mode with any permission for
/// group or others, as `ssh` refuses it).
pub fn read_private(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |e: std::io::Error| Error::file(&format!("read {}", path.display()), &e);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    // Of the file that was opened: its name may mean another one by now.
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & 0o077 != 0 {
        return Err(Error::new(
            Kind::Io,
            format!(
                "others can read {what} {path} (mode {:o}); close it: chmod 600 {path}",
                mode & 0o777,
                path = path.display()
            ),
        ));
    }
    let mut content = Zeroizing::new(Vec::new());
    file.read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}
