//! Data keys: what seals content here, itself sealed by a key in the HSM; and their cache.

use crate::{Error, Kind};
use age::secrecy::SecretString;
use data_encoding::BASE64_NOPAD;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How far one data key may go before the service is asked for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From when the service gave it.
    pub age: Duration,
    /// Files or streams begun with it.
    pub messages: u64,
    /// Of content, in all. A stream that is under way is not cut; the next one gets another key.
    pub bytes: u64,
}

impl Default for Bounds {
    /// Five minutes, 1,000 messages, 64 GiB.
    fn default() -> Self {
        Self {
            age: Duration::from_secs(300),
            messages: 1_000,
            bytes: 1 << 36,
        }
    }
}

/// The encryption context: names and values that are bound to a sealed file and stored nowhere, so
/// that whoever opens it must know them. It says what the content is and where it belongs; it is no
/// secret, and no password.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Context {
    pairs: BTreeMap<String, String>,
}

impl Context {
    /// Nothing beside what this library always binds.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The context with one more pair.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that is empty, is given twice, or begins with `kms.`, which is
    /// reserved.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::new(Kind::Usage, format!("the context name {name:?} {why}"));
        if name.is_empty() {
            return Err(wrong("is empty"));
        }
        if name.starts_with("kms.") {
            return Err(wrong(
                "is reserved: names that begin with kms. are the program's own",
            ));
        }
        if self
            .pairs
            .insert(name.to_owned(), value.to_owned())
            .is_some()
        {
            return Err(wrong("is given twice"));
        }
        Ok(self)
    }

    /// The pairs as they were given.
    #[must_use]
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.pairs
    }

    /// As the service gets it with the data key of a file: with `kms.file`, so that it opens as
    /// nothing else, and nothing else as the data key of a file.
    #[must_use]
    pub fn of_file(&self) -> BTreeMap<String, String> {
        let mut pairs = self.pairs.clone();
        pairs.insert("kms.file".to_owned(), "1".to_owned());
        pairs
    }
}

/// A data key in clear, in memory only, and its wrapped form.
pub(crate) struct DataKey {
    passphrase: SecretString,
    wrapped: Vec<u8>,
    version: String,
    bytes: AtomicU64,
}

impl DataKey {
    /// From what the service gave: 32 bytes.
    pub(crate) fn new(
        plaintext: Vec<u8>,
        wrapped: Vec<u8>,
        version: String,
    ) -> Result<Self, Error> {
        let plaintext = Zeroizing::new(plaintext);
        if plaintext.len() != 32 {
            return Err(Error::new(
                Kind::Invalid,
                "what the header wraps is not the data key of a file",
            ));
        }
        Ok(Self {
            passphrase: BASE64_NOPAD.encode(&plaintext).into(),
            wrapped,
            version,
            bytes: AtomicU64::new(0),
        })
    }

    /// The 32 bytes in unpadded base64, 43 characters: the passphrase of the age file.
    pub(crate) fn passphrase(&self) -> SecretString {
        self.passphrase.clone()
    }

    pub(crate) fn wrapped(&self) -> &[u8] {
        &self.wrapped
    }

    /// The version of the key that wraps it.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Counts content that went through.
    pub(crate) fn spend(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Data keys in use, each within its bounds. Dropping a key erases it.
#[derive(Debug)]
pub(crate) struct Cache<K> {
    bounds: Bounds,
    held: Mutex<BTreeMap<K, Held>>,
}

#[derive(Debug)]
struct Held {
    key: Arc<DataKey>,
    since: Instant,
    messages: u64,
}

impl<K: Ord> Cache<K> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            held: Mutex::new(BTreeMap::new()),
        }
    }

    /// A key for one more message, if there is one within its bounds.
    pub(crate) fn take(&self, of: &K) -> Option<Arc<DataKey>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, one| one.within(self.bounds));
        let one = held.get_mut(of)?;
        one.messages += 1;
        Some(Arc::clone(&one.key))
    }

    /// Keeps a key that was just used for its first message. At most [`MOST`] are kept: the one
    /// that was there longest makes room.
    pub(crate) fn keep(&self, of: K, key: &Arc<DataKey>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(
            of,
            Held {
                key: Arc::clone(key),
                since: Instant::now(),
                messages: 1,
            },
        );
        if held.len() > MOST
            && let Some(oldest) = held.values().map(|one| one.since).min()
        {
            held.retain(|_, one| one.since > oldest);
        }
    }
}

const MOST: usize = 1_000;

impl Held {
    fn within(&self, bounds: Bounds) -> bool {
        self.since.elapsed() < bounds.age
            && self.messages < bounds.messages
            && self.key.bytes.load(Ordering::Relaxed) < bounds.bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn key() -> Arc<DataKey> {
        Arc::new(DataKey::new(vec![7; 32], vec![1], "v".into()).unwrap())
    }

    fn bounds(messages: u64, bytes: u64) -> Bounds {
        Bounds {
            age: Duration::from_secs(60),
            messages,
            bytes,
        }
    }

    #[test]
    fn a_key_serves_as_many_messages_as_allowed() {
        let cache = Cache::new(bounds(3, 100));
        cache.keep("a", &key());
        assert!(cache.take(&"b").is_none());
        assert!(cache.take(&"a").is_some());
        assert!(cache.take(&"a").is_some());
        assert!(cache.take(&"a").is_none());
        let single = Cache::new(bounds(1, 100));
        single.keep("a", &key());
        assert!(single.take(&"a").is_none());
    }

    #[test]
    fn a_key_serves_as_many_bytes_as_allowed() {
        let cache = Cache::new(bounds(100, 10));
        let key = key();
        cache.keep("a", &key);
        key.spend(9);
        assert!(cache.take(&"a").is_some());
        key.spend(1);
        assert!(cache.take(&"a").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_grows_old() {
        let cache = Cache::new(bounds(100, 100));
        cache.keep("a", &key());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(cache.take(&"a").is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(cache.take(&"a").is_none());
    }

    #[test]
    fn a_key_shows_nothing_of_itself() {
        let shown = format!("{:?}", key());
        assert!(
            !shown.contains("BwcH") && !shown.contains("7, 7"),
            "{shown}"
        );
    }

    #[test]
    fn reserved_and_repeated_names_are_refused() {
        assert!(Context::none().with("kms.file", "2").is_err());
        assert!(Context::none().with("", "2").is_err());
        let one = Context::none().with("study", "p01").unwrap();
        assert!(one.clone().with("study", "p02").is_err());
        assert_eq!(one.of_file().len(), 2);
    }
}
