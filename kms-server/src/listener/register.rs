//! The open connections of a listener: who could not connect now does not stay.

use super::reason::Reason;
use super::trust::{Seconds, Trust};
use rustls::pki_types::CertificateDer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The certificates that a client showed, its own first.
pub(super) type Chain = Arc<[CertificateDer<'static>]>;

/// Every open connection, with what is needed to judge it again and to end it.
#[derive(Debug, Default)]
pub(super) struct Register {
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, Place>,
}

#[derive(Debug)]
struct Place {
    chain: Chain,
    source: SocketAddr,
    /// When the certificates have to be judged again, if nothing else happens.
    due: Seconds,
    heard: Arc<AtomicBool>,
    /// For how long nothing arrived.
    silent: Duration,
    /// Dropped, it ends the connection.
    _end: oneshot::Sender<()>,
}

/// A connection's own end of it.
#[derive(Debug)]
pub(super) struct Seat {
    register: Arc<Register>,
    number: u64,
    /// Resolves when the connection must end.
    pub(super) ended: oneshot::Receiver<()>,
    /// Set whenever something arrives.
    pub(super) heard: Arc<AtomicBool>,
}

impl Register {
    /// Takes in a connection whose handshake this trust let through.
    pub(super) fn admit(
        self: &Arc<Self>,
        chain: Chain,
        source: SocketAddr,
        trust: &Trust,
        now: Seconds,
    ) -> Seat {
        let (end, ended) = oneshot::channel();
        let heard = Arc::new(AtomicBool::new(true));
        let place = Place {
            due: trust.due(&chain, now),
            chain,
            source,
            heard: Arc::clone(&heard),
            silent: Duration::ZERO,
            _end: end,
        };
        let mut places = self.places();
        let number = places.next;
        places.next += 1;
        places.taken.insert(number, place);
        Seat {
            register: Arc::clone(self),
            number,
            ended,
            heard,
        }
    }

    /// Judges every connection again, and ends those that this trust does not let in now. Each is
    /// told of before it is ended, as in the others below.
    pub(super) fn judge_all(&self, trust: &Trust, now: Seconds, tell: impl Fn(SocketAddr, Reason)) {
        self.judge(trust, now, |_| true, tell);
    }

    /// Judges those for which a date has passed.
    pub(super) fn judge_due(&self, trust: &Trust, now: Seconds, tell: impl Fn(SocketAddr, Reason)) {
        self.judge(trust, now, |place| place.due <= now, tell);
    }

    fn judge(
        &self,
        trust: &Trust,
        now: Seconds,
        which: impl Fn(&Place) -> bool,
        tell: impl Fn(SocketAddr, Reason),
    ) {
        // Thousands of signatures take a while: others come and go meanwhile.
        let chains: Vec<(u64, Chain)> = self
            .places()
            .taken
            .iter()
            .filter(|(_, place)| which(place))
            .map(|(number, place)| (*number, Arc::clone(&place.chain)))
            .collect();
        for (number, chain) in chains {
            match trust.judge(&chain, now) {
                Ok(()) => {
                    if let Some(place) = self.places().taken.get_mut(&number) {
                        place.due = trust.due(&chain, now);
                    }
                }
                Err(reason) => {
                    let gone = self.places().taken.remove(&number);
                    if let Some(place) = gone {
                        tell(place.source, reason);
                    }
                }
            }
        }
    }

    /// Ends the connections on which nothing arrived for this long. It is asked once every `pace`.
    pub(super) fn hush(
        &self,
        pace: Duration,
        longest: Duration,
        tell: impl Fn(SocketAddr, Reason),
    ) {
        let mut places = self.places();
        for place in places.taken.values_mut() {
            let heard = place.heard.swap(false, Ordering::Relaxed);
            place.silent = if heard {
                Duration::ZERO
            } else {
                place.silent.saturating_add(pace)
            };
        }
        let silent = places
            .taken
            .extract_if(.., |_, place| place.silent >= longest);
        for (_, place) in silent {
            tell(place.source, Reason::Idle);
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.register.places().taken.remove(&self.number);
    }
}
