//! What uses are charged to.

use super::{Account, Amounts, Exceeded, Limits, Metered, RUN_LIFE, grouped};
use crate::caller::Principal;
use crate::command::Use;
use crate::error::{Error, Result};
use crate::name::EdgeName;
use crate::renewal::{Renewal, running};
use crate::view::View;
use std::fmt;

/// What a use is charged to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charged {
    /// A caller's quota on a key or an edge.
    Quota(Metered),
    /// The count of a renewal campaign.
    Campaign(Campaign),
}

/// A renewal campaign that translations are charged to: whoever approved it agreed to so many rows,
/// whoever of its translators asks for them, and no ordinary quota has to be raised for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    edge: EdgeName,
    successor: u32,
    expected: u64,
}

impl Charged {
    /// What this use is charged to; `None` for what nothing limits.
    ///
    /// # Errors
    /// `Internal` for a translation without a campaign, which nobody permits.
    pub fn of(view: &View, usage: &Use) -> Result<Option<Self>> {
        let Use::Translate { edge, .. } = usage else {
            return Ok(usage.metered().map(Charged::Quota));
        };
        let campaign = Campaign::on(view, edge);
        let campaign = campaign.ok_or_else(|| Error::internal("a permit without campaign"))?;
        Ok(Some(Charged::Campaign(campaign)))
    }

    /// The campaigns that run.
    pub fn campaigns(view: &View) -> impl Iterator<Item = Self> {
        let edges = view.edges();
        edges.filter_map(|edge| Some(Charged::Campaign(Campaign::on(view, &edge.name)?)))
    }

    /// How much there may be.
    #[must_use]
    pub fn limits(&self, view: &View, who: &Principal) -> Limits {
        match self {
            Charged::Quota(on) => *view.limits(on, who).0,
            // A campaign is over long before a year is.
            Charged::Campaign(campaign) => Limits {
                year: Amounts::items(campaign.expected),
                ..Limits::default()
            },
        }
    }

    /// Whether it is a security control: then what was spent outlives the process.
    #[must_use]
    pub fn is_control(&self) -> bool {
        match self {
            Charged::Quota(on) => on.is_control(),
            Charged::Campaign(_) => true,
        }
    }

    /// Where what was spent is kept: a quota's account is one caller's, a campaign has one.
    #[must_use]
    pub fn account(&self, who: &Principal) -> String {
        match self {
            Charged::Quota(on) => format!("local/quotas/{on}/{who}"),
            Charged::Campaign(campaign) => format!("local/campaigns/{campaign}"),
        }
    }

    /// What is written down before this much is spent: of a quota a block more ([`Account::ahead`]).
    /// A campaign is charged seldom, by runs, and to the last row.
    #[must_use]
    pub fn ahead(&self, spent: &Account, limits: &Limits) -> Account {
        match self {
            Charged::Quota(_) => spent.ahead(limits),
            Charged::Campaign(_) => spent.clone(),
        }
    }

    /// Below which name the runs of a caller are kept.
    #[must_use]
    pub fn runs(&self, who: &Principal) -> String {
        match self {
            Charged::Quota(on) => format!("{RUNS}{on}/{who}/"),
            Charged::Campaign(campaign) => format!("{TRANSLATIONS}{campaign}/{who}/"),
        }
    }

    /// For how long a run is remembered, in milliseconds.
    #[must_use]
    pub fn run_life(&self) -> u64 {
        match self {
            Charged::Quota(_) => RUN_LIFE,
            Charged::Campaign(_) => Renewal::LONGEST,
        }
    }

    /// Below which names there are runs, and how long those are remembered.
    pub const KEPT: [(&'static str, u64); 2] = [(RUNS, RUN_LIFE), (TRANSLATIONS, Renewal::LONGEST)];

    /// What this caller is told of one call, or of a run of many, that would go beyond it.
    #[must_use]
    pub fn refused(&self, over: &Exceeded, who: &Principal, run: bool) -> Error {
        match self {
            Charged::Quota(on) => over.error(on, who, run),
            Charged::Campaign(campaign) => campaign.refused(over, run),
        }
    }
}

impl Campaign {
    fn on(view: &View, edge: &EdgeName) -> Option<Self> {
        let (found, _) = view.edge(edge)?;
        let campaign = running(view.key(&found.key)?.0)?;
        Some(Campaign {
            edge: edge.clone(),
            successor: campaign.successor,
            expected: campaign.expected,
        })
    }

    /// The number of the version that it makes.
    #[must_use]
    pub fn successor(&self) -> u32 {
        self.successor
    }

    fn refused(&self, over: &Exceeded, run: bool) -> Error {
        let this = if run { "this run" } else { "this call" };
        let [most, left, wanted] = [over.most, over.left, over.wanted].map(grouped);
        Error::state(format!(
            "the renewal campaign of {} was started for {most} translations, {left} are left, and \
             {this} has {wanted}: end it, and start one that expects enough",
            self.edge
        ))
    }
}

impl fmt::Display for Charged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Charged::Quota(on) => on.fmt(f),
            Charged::Campaign(campaign) => campaign.fmt(f),
        }
    }
}

/// Its edge, and the number of the version that it makes, which no other campaign has.
impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.edge, self.successor)
    }
}

const RUNS: &str = "local/runs/";
const TRANSLATIONS: &str = "local/translations/";
