//! A SoftHSM token for one test, logged in.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use kms_pkcs11::{
    Attribute, Handle, KeyType, Login, Mechanism, MechanismType, Module, ObjectClass, Session,
    Slot, Template,
};
use secrecy::SecretString;

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "87654321";

/// A token of the test's own, empty at the start, on the shared token store.
pub(crate) struct TestToken {
    pub(crate) module: Module,
    pub(crate) slot: Slot,
    label: String,
}

impl TestToken {
    /// Makes the token if it is not there yet, and initialises the library.
    pub(crate) fn new(label: &str) -> Self {
        let _lock = lock();
        let module = Module::load(Path::new(MODULE)).unwrap();
        module.initialize().unwrap();
        if module.slot(label).is_err() {
            module.finalize().unwrap();
            initialise(label);
            module.initialize().unwrap();
        }
        let slot = module.slot(label).unwrap();
        let token = Self {
            module,
            slot,
            label: label.to_owned(),
        };
        let session = token.module.open_session(slot).unwrap();
        assert_eq!(session.login(&pin()).unwrap(), Login::New);
        for left_over in session.find(&Template::default(), 1000).unwrap() {
            session.destroy(left_over).unwrap();
        }
        session.logout().unwrap();
        token
    }

    /// A logged-in session.
    pub(crate) fn session(&self) -> Session {
        let session = self.module.open_session(self.slot).unwrap();
        let _lock = lock();
        session.login(&pin()).unwrap();
        session
    }

    /// The library finalised and initialised again.
    pub(crate) fn restart(&mut self) {
        let _lock = lock();
        self.module.finalize().unwrap();
        self.module.initialize().unwrap();
        self.slot = self.module.slot(&self.label).unwrap();
    }
}

pub(crate) fn pin() -> SecretString {
    SecretString::from(PIN)
}

/// A template of everything that a protected session key has, and what is added.
pub(crate) fn protected(extra: impl IntoIterator<Item = Attribute>) -> Template {
    let mut template = Template::from([
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ]);
    template.extend(extra);
    template
}

pub(crate) fn aes(extra: impl IntoIterator<Item = Attribute>) -> Template {
    let mut template = protected([
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::KeyType(KeyType::Aes),
        Attribute::ValueLen(32),
    ]);
    template.extend(extra);
    template
}

pub(crate) fn gcm_key(session: &Session, extra: impl IntoIterator<Item = Attribute>) -> Handle {
    let mut template = aes([
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM]),
    ]);
    template.extend(extra);
    session
        .generate(&Mechanism::Plain(MechanismType::AES_KEY_GEN), &template)
        .unwrap()
}

/// An RSA pair to unwrap with, and its public key as SubjectPublicKeyInfo.
pub(crate) fn unwrapping_pair(session: &Session, unwrap_template: Template) -> (Handle, Vec<u8>) {
    let public = Template::from([
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::ModulusBits(3072),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::Wrap(true),
    ]);
    let private = protected([
        Attribute::Unwrap(true),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::AllowedMechanisms(vec![MechanismType::RSA_OAEP]),
        Attribute::UnwrapTemplate(unwrap_template),
    ]);
    let pair = Mechanism::Plain(MechanismType::RSA_KEY_PAIR_GEN);
    let (public, private) = session.generate_pair(&pair, &public, &private).unwrap();
    (private, session.public_key(public).unwrap())
}

/// Held by whoever initialises or logs in: SoftHSM rewrites the token's file at each
/// login, and concurrent starts fail on a half-written one.
fn lock() -> File {
    let conf = configuration();
    let store = conf.parent().unwrap();
    fs::create_dir_all(store.join("tokens")).unwrap();
    let lock = File::create(store.join("lock")).unwrap();
    lock.lock().unwrap();
    if !conf.exists() {
        let tokens = store.join("tokens");
        fs::write(
            &conf,
            format!("directories.tokendir = {}\n", tokens.display()),
        )
        .unwrap();
    }
    lock
}

/// `.cargo/config.toml` says where.
fn configuration() -> PathBuf {
    std::env::var_os("SOFTHSM2_CONF")
        .expect("run under cargo, which sets SOFTHSM2_CONF")
        .into()
}

/// Makes the token on a store of its own and moves it in whole: `softhsm2-util` looks at every
/// token of its store, and fails where another test has just taken one away.
fn initialise(label: &str) {
    let conf = configuration();
    let store = conf.parent().unwrap();
    let own = tempfile::tempdir_in(store).unwrap();
    let (tokens, conf) = (own.path().join("tokens"), own.path().join("softhsm2.conf"));
    fs::create_dir(&tokens).unwrap();
    fs::write(
        &conf,
        format!("directories.tokendir = {}\n", tokens.display()),
    )
    .unwrap();
    let output = Command::new("softhsm2-util")
        .env("SOFTHSM2_CONF", &conf)
        .args(["--init-token", "--free", "--so-pin", "12345678"])
        .args(["--pin", PIN, "--label", label])
        .output()
        .expect("softhsm2-util is installed (Debian package softhsm2)");
    assert!(output.status.success(), "softhsm2-util: {output:?}");
    for token in fs::read_dir(&tokens).unwrap() {
        let token = token.unwrap();
        let place = store.join("tokens").join(token.file_name());
        fs::rename(token.path(), place).unwrap();
    }
}
