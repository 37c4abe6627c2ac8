//! What ends when: certificates, authorities, revocation lists. Told long before, because each of
//! them ends in everybody being refused.

use super::trust::Seconds;
use std::path::PathBuf;

/// What it is that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The server's certificate.
    Certificate,
    /// An authority of clients.
    Authority,
    /// A list of revoked certificates.
    RevocationList,
}

impl Subject {
    /// Every one.
    pub(super) const ALL: [Subject; 3] = [
        Subject::Certificate,
        Subject::Authority,
        Subject::RevocationList,
    ];

    /// Its word in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Subject::Certificate => "certificate",
            Subject::Authority => "authority",
            Subject::RevocationList => "revocation_list",
        }
    }

    /// What happens when it has ended.
    fn outcome(self) -> &'static str {
        match self {
            Subject::Certificate => "clients refuse a server whose certificate has expired",
            Subject::Authority => "an authority that has expired should vouch for nobody",
            Subject::RevocationList => {
                "when it has expired nobody of its issuer can connect, and who is connected is cut \
                 off"
            }
        }
    }
}

/// From when to when something holds.
#[derive(Debug, Clone)]
pub(super) struct Lifetime {
    pub(super) subject: Subject,
    pub(super) path: PathBuf,
    pub(super) from: Seconds,
    pub(super) until: Seconds,
}

impl Lifetime {
    /// Whether less than a quarter of it is left.
    fn is_ending(&self, now: Seconds) -> bool {
        let left = self.until.saturating_sub(now);
        left < self.until.saturating_sub(self.from) / 4
    }

    /// Tells the operator, if there is something to tell.
    pub(super) fn tell(&self, now: Seconds) {
        let (file, what) = (self.path.display(), self.subject.word());
        let outcome = self.subject.outcome();
        if self.until <= now {
            let since = now - self.until;
            tracing::error!(%file, what, seconds_ago = since, "has expired: {outcome}");
        } else if self.is_ending(now) {
            let left = self.until - now;
            tracing::warn!(%file, what, seconds_left = left, "expires soon: {outcome}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_the_last_quarter() {
        let lifetime = Lifetime {
            subject: Subject::RevocationList,
            path: PathBuf::new(),
            from: 1000,
            until: 1400,
        };
        assert!(!lifetime.is_ending(1300));
        assert!(lifetime.is_ending(1301));
        assert!(lifetime.is_ending(5000));
    }
}
