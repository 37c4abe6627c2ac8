//! What a policy is asked, and what it says.

use crate::action::Action;
use crate::binding::Binding;
use crate::caller::Principal;
use crate::class::Class;
use crate::deployment::Environment;
use crate::key::{Key, Study, Wrapping};
use crate::name::{DomainName, EdgeName, KeyName, Slug, SpaceName};
use crate::renewal::{campaign_of_table, running};
use crate::space::SpaceKind;
use crate::time::Time;
use crate::view::View;
use std::net::IpAddr;

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// Every space: the deployment.
    Deployment,
    /// A space.
    Space(&'a SpaceName, SpaceKind),
    /// An identifier domain.
    Domain(&'a DomainName),
    /// An edge, and what is said of its key.
    Edge(&'a EdgeName, Traits<'a>),
    /// A key of a class, and what is said of it.
    Key(&'a KeyName, Class, Traits<'a>),
}

/// What is said of a key that a policy looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traits<'a> {
    /// The study that it serves.
    pub study: Option<&'a Study>,
    /// The services bound to the renewal campaign that runs on it, or that it seals the tables of.
    pub translators: &'a [Principal],
    /// The edge of the campaign whose tables it seals.
    pub seals: Option<&'a EdgeName>,
}

impl<'a> Traits<'a> {
    /// Of this key.
    #[must_use]
    pub fn of(view: &'a View, key: &'a Key) -> Self {
        let sealed = campaign_of_table(view, key);
        let campaign = running(key).or(sealed);
        Traits {
            study: key.study.as_ref(),
            translators: campaign.map_or(&[], |campaign| &campaign.translators),
            seals: key.seals.as_ref().filter(|_| sealed.is_some()),
        }
    }

    /// Of the key of this name, if it is there.
    #[must_use]
    pub fn named(view: &'a View, key: &KeyName) -> Self {
        let key = view.key(key);
        key.map_or_else(Traits::default, |(key, _)| Traits::of(view, key))
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        *self == Traits::default()
    }
}

/// May this principal, with these roles, do this to that?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// With which roles.
    pub binding: Option<&'a Binding>,
    /// What.
    pub action: Action,
    /// To what.
    pub target: Target<'a>,
    /// In which circumstances.
    pub circumstances: Circumstances<'a>,
}

/// What the policy may look at beside who, what and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// What the deployment is.
    pub environment: Environment,
    /// How many distinct people have approved this very command.
    pub approvals: u8,
    /// Whether a declared emergency is under way.
    pub emergency: bool,
    /// Now.
    pub now: Time,
    /// Where the connection comes from.
    pub source: Option<IpAddr>,
    /// What the caller says that this is for.
    pub purpose: Option<&'a Slug>,
    /// Whether the deployment has an OpenID provider.
    pub provider: bool,
    /// When the person signed in there.
    pub authenticated: Option<Time>,
    /// Whether with strong authentication.
    pub strong: bool,
    /// For an approval or a rejection: the action that waits.
    pub proposed: Option<Action>,
    /// For a destruction to be scheduled: how long it waits, in milliseconds.
    pub waiting: Option<u64>,
    /// For material that comes in: how.
    pub intake: Option<Coming<'a>>,
}

/// How material comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coming<'a> {
    /// How it is wrapped.
    pub mechanism: Wrapping,
    /// Whether it is unwrapped in two steps.
    pub two_steps: bool,
    /// The source that the wrapping key is for.
    pub source: Option<&'a Slug>,
}

impl<'a> Coming<'a> {
    /// Under this wrapping key.
    #[must_use]
    pub fn under(key: &'a Key, mechanism: Wrapping) -> Self {
        Coming {
            mechanism,
            two_steps: key.in_two_steps(),
            source: key.source(),
        }
    }
}

/// What the policy says, and the policies that made it say so: those that permit, or for no those
/// that forbid (none: nothing permits).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Yes or no.
    pub allowed: bool,
    /// The names of the policies, in order.
    pub policies: Vec<String>,
}

impl Target<'_> {
    /// Its sort in the schema.
    pub(super) fn sort(&self) -> &'static str {
        match self {
            Target::Deployment | Target::Space(..) => "Space",
            Target::Domain(_) => "Domain",
            Target::Edge(..) => "Edge",
            Target::Key(..) => "Key",
        }
    }
}
