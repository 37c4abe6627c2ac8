//! An outside solution that hands a key in, with nothing but stock OpenSSL at its side.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Deployment, Finished, cli::finish, pki::write_private, token::Make};

/// What a partner was given, and what it wrapped: the files of one transfer.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// The import token.
    pub token: PathBuf,
    /// The wrapped material.
    pub wrapped: PathBuf,
}

/// Asks for import parameters for `key` as `who` and wraps `material` with them. OAEP is
/// with SHA-256, or with SHA-1 for `SoftHSM` 2.6.1, which has no other.
///
/// # Panics
/// When the parameters are refused, or OpenSSL cannot wrap.
pub fn wrap(
    kms: &Deployment,
    who: &str,
    key: &str,
    wrapping_key: &str,
    material: &[u8],
) -> Transfer {
    let transfer = tempfile::tempdir_in(kms.directory())
        .expect("a directory for the transfer")
        .keep();
    let directory = transfer.to_str().expect("a path of text");
    let (mechanism, hash) = match kms.token().make() {
        Make::SoftHsm => ("oaep-sha1", "sha1"),
        Make::Kryoptic => ("oaep-sha256", "sha256"),
    };
    let rest = [
        "--wrapping-key",
        wrapping_key,
        "--mechanism",
        mechanism,
        "-O",
        directory,
    ];
    kms.cli(who)
        .run(["import", "params", key].into_iter().chain(rest))
        .succeeds();
    let (plain, wrapped) = (transfer.join("material"), transfer.join("wrapped"));
    write_private(&plain, material).unwrap_or_else(|cause| panic!("{cause}"));
    let public = transfer.join("public.pem");
    finish(openssl(&public, hash, &plain, &wrapped)).succeeds();
    fs::remove_file(&plain).expect("the material can be removed");
    Transfer {
        token: transfer.join("import-token"),
        wrapped,
    }
}

/// Hands a transfer in.
///
/// # Panics
/// When `kms` cannot be run; what it said is returned.
pub fn submit(kms: &Deployment, who: &str, key: &str, transfer: &Transfer) -> Finished {
    let [token, wrapped] =
        [&transfer.token, &transfer.wrapped].map(|path| path.to_str().expect("a path of text"));
    let files = ["--token", token, "--wrapped", wrapped];
    let reason = ["--reason", "moved from a partner"];
    kms.cli(who).run(
        ["import", "submit", key]
            .into_iter()
            .chain(files)
            .chain(reason),
    )
}

fn openssl(public: &Path, hash: &str, plain: &Path, wrapped: &Path) -> Command {
    let mut command = Command::new("openssl");
    command
        .args(["pkeyutl", "-encrypt", "-pubin", "-inkey"])
        .arg(public)
        .args(["-pkeyopt", "rsa_padding_mode:oaep"])
        .args(["-pkeyopt", &format!("rsa_oaep_md:{hash}")])
        .args(["-pkeyopt", &format!("rsa_mgf1_md:{hash}"), "-in"])
        .arg(plain)
        .arg("-out")
        .arg(wrapped);
    command
}
