//! What a policy is asked, and what it says.

use crate::action::Action;
use crate::binding::Binding;
use crate::caller::Principal;
use crate::class::Class;
use crate::deployment::Environment;
use crate::key::Study;
use crate::name::{DomainName, EdgeName, KeyName, Slug, SpaceName};
use crate::space::SpaceKind;
use crate::time::Time;
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
    /// An edge, and the study that its key serves.
    Edge(&'a EdgeName, Option<&'a Study>),
    /// A key of a class, and the study that it serves.
    Key(&'a KeyName, Class, Option<&'a Study>),
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
