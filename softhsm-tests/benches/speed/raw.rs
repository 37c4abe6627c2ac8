//! The token by itself: a loop over PKCS#11, with handles found before.

use crate::{Figure, Operation, median};
use kms_core::class::Class;
use kms_core::id::KeyId;
use kms_pkcs11::{Attribute, Handle, Mechanism, Session, Template};
use kms_server::hsm::{Hsm, Pool};
use softhsm_tests::InProcessToken;
use softhsm_tests::hsm_bench::{any, spec};
use std::time::{Duration, Instant};

/// Which object is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// The key itself.
    Token,
    /// Its copy in the session, which is not in a file.
    Copy,
}

impl Object {
    pub(crate) const ALL: [Object; 2] = [Object::Token, Object::Copy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Object::Token => "token object",
            Object::Copy => "session copy",
        }
    }
}

/// A token with one key for each operation, made as the service makes them.
pub(crate) struct Raw {
    token: InProcessToken,
    pool: Pool,
    gcm: KeyId,
    hmac: KeyId,
}

impl Raw {
    pub(crate) fn new() -> Self {
        let token = InProcessToken::empty("speed");
        let pool = token.pool();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let made = |class| {
            let spec = spec(class);
            runtime.block_on(pool.generate(&any(), &spec)).unwrap();
            spec.id
        };
        let (gcm, hmac) = (made(Class::DataAtRest), made(Class::Pseudonymisation));
        Raw {
            token,
            pool,
            gcm,
            hmac,
        }
    }

    /// `None` where the token refuses the object: keys that may not be copied have no copies.
    pub(crate) fn measure(
        &self,
        operation: Operation,
        object: Object,
        threads: usize,
        time: Duration,
    ) -> Option<Figure> {
        let id = match operation {
            Operation::Gcm => self.gcm,
            Operation::Hmac => self.hmac,
        };
        let desks: Vec<(Session, Handle)> = (0..threads)
            .map(|_| self.desk(id, object))
            .collect::<Option<_>>()?;
        let begun = Instant::now();
        let samples: Vec<Duration> = std::thread::scope(|scope| {
            let threads: Vec<_> = desks
                .into_iter()
                .map(|(session, key)| {
                    scope.spawn(move || work(&session, key, operation, begun + time))
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.flatten().collect()
        });
        let took = begun.elapsed();
        Some(Figure {
            rate: samples.len() as f64 / took.as_secs_f64(),
            median: median(samples),
        })
    }

    fn desk(&self, id: KeyId, object: Object) -> Option<(Session, Handle)> {
        let session = self.token.outsider().session;
        let by_id = Template::from([
            Attribute::Token(true),
            Attribute::Id(id.to_bytes().to_vec()),
        ]);
        let found = session.find(&by_id, 2).unwrap();
        let [key] = found.as_slice() else {
            panic!("one key of an id");
        };
        let key = match object {
            Object::Token => *key,
            Object::Copy => {
                let here = Template::from([Attribute::Token(false)]);
                session.copy(*key, &here).ok()?
            }
        };
        Some((session, key))
    }
}

/// One thread's calls until the end, each with the time that it took.
fn work(session: &Session, key: Handle, operation: Operation, end: Instant) -> Vec<Duration> {
    let mut samples = Vec::new();
    let mut nonce = [0; 12];
    session.random(&mut nonce).unwrap();
    let mut last = Instant::now();
    while last < end {
        match operation {
            Operation::Gcm => {
                // Never twice, which is all that the token asks here.
                let count = u64::try_from(samples.len()).unwrap();
                nonce[4..].copy_from_slice(&count.to_be_bytes());
                let mechanism = Mechanism::AesGcm {
                    iv: &nonce,
                    aad: b"speed",
                };
                drop(session.encrypt(&mechanism, key, &[7; 32]).unwrap());
            }
            Operation::Hmac => {
                drop(session.sign(&Mechanism::Sha256Hmac, key, &[7; 32]).unwrap());
            }
        }
        let now = Instant::now();
        samples.push(now - last);
        last = now;
    }
    samples
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.pool.stop();
    }
}
