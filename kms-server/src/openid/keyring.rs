//! The provider's public keys, as we know them: fetched when they are needed, never believed for
//! long, and never asked for more often than a stranger's token could make us.

use crate::clock::Clock;
use arc_swap::ArcSwapOption;
use kms_core::error::{Error, Result};
use kms_openid::{Claims, Https, HttpsUrl, Keys, Provider, Sealed};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Keys that are older are fetched again before they are used: a key that the provider has dropped
/// ends here within this time.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// When the provider cannot be reached its last known keys serve this long, and then no token is
/// accepted any more.
const TRUSTED: Duration = Duration::from_secs(60 * 60);

/// The provider is asked at most this often, whatever keys tokens name.
const PAUSE: Duration = Duration::from_secs(10);

/// The keys of one provider.
#[derive(Debug)]
pub(super) struct Keyring {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    https: Https,
    issuer: HttpsUrl,
    clock: Arc<dyn Clock>,
    known: ArcSwapOption<Known>,
    /// When the provider was last asked, with whatever success. Whoever holds it asks.
    asked: Arc<Mutex<Option<Duration>>>,
}

#[derive(Debug)]
struct Known {
    keys: Keys,
    since: Duration,
}

impl Keyring {
    /// Empty, until the provider is asked.
    pub(super) fn new(https: Https, issuer: HttpsUrl, clock: Arc<dyn Clock>) -> Self {
        Keyring {
            inner: Arc::new(Inner {
                https,
                issuer,
                clock,
                known: ArcSwapOption::empty(),
                asked: Arc::new(Mutex::new(None)),
            }),
        }
    }

    /// Asks the provider, as the first token would.
    pub(super) async fn fetch(&self) {
        if let Err(error) = self.renew(FRESH).await {
            tracing::warn!(%error, "the OpenID provider's keys could not be fetched");
        }
    }

    /// Judges a token's signature.
    ///
    /// # Errors
    /// `Refused`; `Unavailable` when there are no keys that can be trusted any more.
    pub(super) async fn open(&self, token: &Sealed<'_>) -> Result<Claims> {
        let known = match self.known(FRESH) {
            Some(known) => known,
            None => {
                self.renew(FRESH).await?;
                self.known(TRUSTED).ok_or_else(away)?
            }
        };
        if known.keys.know(token) {
            return known.keys.open(token);
        }
        // Perhaps a new key: one that we cannot know yet.
        self.renew(PAUSE).await?;
        self.known(TRUSTED).ok_or_else(away)?.keys.open(token)
    }

    /// What is known, if it is younger than that.
    fn known(&self, age: Duration) -> Option<Arc<Known>> {
        self.inner.known(age)
    }

    /// Asks the provider, unless somebody just did. Failing is no error: what is known may do.
    async fn renew(&self, age: Duration) -> Result<()> {
        let mut asked = Arc::clone(&self.inner.asked).lock_owned().await;
        let now = self.inner.clock.monotonic();
        // Somebody who was before us in the queue has done it.
        let recently = asked.is_some_and(|before| now.saturating_sub(before) < PAUSE);
        if recently || self.known(age).is_some() {
            return Ok(());
        }
        *asked = Some(now);
        let inner = Arc::clone(&self.inner);
        // On its own, so that a caller who goes away does not stop it half way, again and again.
        let asking = tokio::spawn(async move {
            inner.ask(now).await;
            drop(asked);
        });
        asking.await.map_err(|e| Error::internal(e.to_string()))
    }
}

impl Inner {
    fn known(&self, age: Duration) -> Option<Arc<Known>> {
        let known = self.known.load_full()?;
        (self.clock.monotonic().saturating_sub(known.since) < age).then_some(known)
    }

    async fn ask(&self, since: Duration) {
        let asking = async {
            let provider = Provider::discover(&self.https, &self.issuer).await?;
            provider.keys(&self.https).await
        };
        match asking.await {
            Ok(keys) => self.known.store(Some(Arc::new(Known { keys, since }))),
            Err(error) => {
                let cause = error.cause().map(tracing::field::display);
                tracing::warn!(%error, cause, "the OpenID provider's keys could not be fetched");
            }
        }
    }
}

fn away() -> Error {
    Error::unavailable(
        "the OpenID provider cannot be reached, so that no sign-in can be checked; try again, and \
         tell the service's operator",
    )
}
