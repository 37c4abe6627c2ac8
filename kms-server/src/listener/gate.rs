//! How many may come at once: nobody's flood is anybody else's outage.

use super::reason::Reason;
use crate::config::Limits;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// In front of a listener. What it holds is bounded by the number of connections that it lets in.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    handshakes: Arc<Semaphore>,
    sources: Mutex<BTreeMap<IpAddr, Source>>,
}

#[derive(Debug)]
struct Source {
    connections: usize,
    handshakes: Arc<Semaphore>,
}

/// One connection that was let in, until it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    source: IpAddr,
    handshakes: Arc<Semaphore>,
}

/// The right to a handshake. It is given in order, so that whoever comes waits at most for what the
/// others were allowed before, and not for everybody that one source sends.
#[derive(Debug)]
pub(super) struct Turn {
    _in_all: OwnedSemaphorePermit,
    _of_source: OwnedSemaphorePermit,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Gate {
            handshakes: Arc::new(Semaphore::new(limits.handshakes.get())),
            limits,
            sources: Mutex::default(),
        })
    }

    /// Lets one more connection in, or not.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Pass, Reason> {
        let source = source(address);
        let mut sources = self.sources();
        let in_all: usize = sources.values().map(|s| s.connections).sum();
        let of_source = sources.get(&source).map_or(0, |s| s.connections);
        if in_all >= self.limits.connections.get()
            || of_source >= self.limits.connections_per_source.get()
        {
            return Err(Reason::TooMany);
        }
        let entry = sources.entry(source).or_insert_with(|| Source {
            connections: 0,
            handshakes: Arc::new(Semaphore::new(self.limits.handshakes_per_source.get())),
        });
        entry.connections += 1;
        Ok(Pass {
            gate: Arc::clone(self),
            source,
            handshakes: Arc::clone(&entry.handshakes),
        })
    }

    fn sources(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Waits for the right to a handshake: first among those of its source, then among all.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let of_source = Arc::clone(&self.handshakes).acquire_owned().await.ok()?;
        let in_all = Arc::clone(&self.gate.handshakes).acquire_owned();
        Some(Turn {
            _in_all: in_all.await.ok()?,
            _of_source: of_source,
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut sources = self.gate.sources();
        if let Some(source) = sources.get_mut(&self.source) {
            source.connections = source.connections.saturating_sub(1);
            if source.connections == 0 {
                sources.remove(&self.source);
            }
        }
    }
}

/// Who takes turns: whoever has one IPv6 address has the 2^64 beside it too.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    fn gate(connections: usize, of_source: usize) -> Arc<Gate> {
        let at_most = |n| NonZeroUsize::new(n).unwrap();
        Gate::new(Limits {
            handshakes: at_most(2),
            handshakes_per_source: at_most(1),
            connections: at_most(connections),
            connections_per_source: at_most(of_source),
            ..Limits::default()
        })
    }

    fn enter(gate: &Arc<Gate>, address: &str) -> Result<Pass, Reason> {
        gate.enter(address.parse().unwrap())
    }

    #[test]
    fn one_source_leaves_room_for_the_others_and_gets_its_own_back() {
        let gate = gate(3, 2);
        let first = enter(&gate, "10.0.0.1").unwrap();
        let _second = enter(&gate, "::ffff:10.0.0.1").unwrap();
        assert_eq!(enter(&gate, "10.0.0.1").unwrap_err(), Reason::TooMany);
        let _other = enter(&gate, "10.0.0.2").unwrap();
        assert_eq!(enter(&gate, "10.0.0.3").unwrap_err(), Reason::TooMany);
        drop(first);
        enter(&gate, "10.0.0.1").unwrap();
        assert_eq!(gate.sources().len(), 2);
    }

    #[test]
    fn neighbours_in_ipv6_are_one_source() {
        let gate = gate(9, 1);
        let _one = enter(&gate, "2001:db8::1").unwrap();
        assert!(enter(&gate, "2001:db8::ffff:1").is_err());
        enter(&gate, "2001:db8:0:1::1").unwrap();
    }

    #[tokio::test]
    async fn a_source_that_holds_its_handshakes_holds_up_itself_alone() {
        let gate = gate(9, 9);
        let [slow, waits] = [(); 2].map(|()| enter(&gate, "10.0.0.1").unwrap());
        let held = slow.turn().await.unwrap();
        let waiting = tokio::spawn(async move { waits.turn().await.is_some() });
        let other = enter(&gate, "10.0.0.2").unwrap();
        assert!(other.turn().await.is_some());
        assert!(!waiting.is_finished());
        drop(held);
        assert!(waiting.await.unwrap());
    }
}
