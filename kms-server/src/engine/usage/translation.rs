//! Old pseudonyms to new, inside a renewal campaign.

use super::pseudonyms::{fits, is_current, typed};
use super::touched::Touched;
use super::{Bench, Done};
use crate::engine::{Engine, Reply, Translated};
use kms_core::command::Passage;
use kms_core::error::{Error, Result};
use kms_core::key::Version;
use kms_core::name::EdgeName;
use kms_core::pseudonym::{Identifier, Pseudonym};
use kms_core::renewal::{Mode, running};
use kms_core::space::Edge;
use kms_core::view::View;
use zeroize::Zeroizing;

/// What the HSM evaluates for each of two pseudonyms, or why there is nothing.
type Input = Result<Zeroizing<Vec<u8>>>;

impl Engine {
    pub(super) async fn translate(
        &self,
        bench: &Bench<'_>,
        name: &EdgeName,
        passages: Vec<Result<Passage>>,
    ) -> Result<Done> {
        let view = bench.view;
        let (edge, _) = view.edge(name).ok_or_else(|| Error::not_found(name))?;
        let (key, _) = view
            .key(&edge.key)
            .ok_or_else(|| Error::not_found(&edge.key))?;
        let campaign = running(key).ok_or_else(|| Error::internal("a permit without campaign"))?;
        let version = |number| -> Result<&Version> {
            let name = key.name.version(number);
            let (version, _) = view.version(&name).ok_or_else(|| Error::not_found(&name))?;
            Ok(version)
        };
        let (old, new) = (version(campaign.predecessor)?, version(campaign.successor)?);
        let pairs = match campaign.mode {
            Mode::Recompute => {
                let fit = passages
                    .into_iter()
                    .map(|p| p.and_then(|p| both(view, edge, p)));
                let (before, after) = parted(fit);
                let olds = self.evaluate(bench, (edge, old), before).await?;
                let news = self.evaluate(bench, (edge, new), after).await?;
                paired(olds, news)
            }
            Mode::Layered => {
                let olds: Vec<Result<Pseudonym>> = passages
                    .into_iter()
                    .map(|p| p.and_then(|p| own(edge, old, p)))
                    .collect();
                let news = self.layer(bench, (edge, new), &olds).await?;
                paired(olds, news)
            }
        };
        let mut versions = Touched::default();
        let mut counted = Vec::new();
        for pair in &pairs {
            counted.push(pair.as_ref().map(|p| p.new.len()).map_err(Clone::clone));
            if pair.is_ok() {
                versions.processed(&new.name);
                if campaign.mode == Mode::Recompute {
                    versions.processed(&old.name);
                }
            }
        }
        let names = [old.name.clone(), new.name.clone()];
        Ok(Done {
            reply: Reply::Translations(pairs, names),
            items: counted,
            versions,
        })
    }

    /// The successor evaluates old pseudonyms, as the last stage of what it will evaluate.
    async fn layer(
        &self,
        bench: &Bench<'_>,
        (edge, new): (&Edge, &Version),
        olds: &[Result<Pseudonym>],
    ) -> Result<Vec<Result<Pseudonym>>> {
        let input = |old: &Result<Pseudonym>| -> Input {
            let old = old.as_ref().map_err(Clone::clone)?;
            Ok(Identifier::Pseudonym(old.clone()).canonical())
        };
        let inputs = olds.iter().map(input).collect();
        self.evaluate_stage(bench, (edge, new), inputs).await
    }
}

/// What both pseudonyms are evaluated from. What the old one is evaluated from may be by a version
/// that is no longer current; what the new one is must be current, and of the same edge.
fn both(view: &View, edge: &Edge, passage: Passage) -> Result<[Zeroizing<Vec<u8>>; 2]> {
    let Passage { before, after } = passage;
    let Some(after) = after else {
        if let Some((way_in, parent)) = typed(view, edge, &before)?
            && !is_current(view, way_in, parent)
        {
            let sentence = "the parent's edge was renewed since this pseudonym was made: give the \
                            parent's new pseudonym beside the old one";
            return Err(Error::invalid("after", sentence));
        }
        return Ok([before.canonical(), before.canonical()]);
    };
    fits(view, edge, &after)?;
    let ways = (typed(view, edge, &before)?, typed(view, edge, &after)?);
    let (Some((from, old)), Some((to, _))) = ways else {
        let sentence = "only a parent's pseudonym can have become another one; give the identifier \
                        alone";
        return Err(Error::invalid("after", sentence));
    };
    if from.name != to.name {
        let sentence = "the parent's old and new pseudonym are of two different edges";
        return Err(Error::invalid("after", sentence));
    }
    let known = view
        .key(&from.key)
        .and_then(|(key, _)| view.version(&key.name.version(old.version)));
    if known.is_none() && !is_current(view, from, old) {
        let sentence = "there is no such version of the parent's edge";
        return Err(Error::invalid("before", sentence));
    }
    Ok([before.canonical(), after.canonical()])
}

/// A pseudonym that the old version made.
fn own(edge: &Edge, old: &Version, passage: Passage) -> Result<Pseudonym> {
    let wrong = |field, sentence: String| Err(Error::invalid(field, sentence));
    if passage.after.is_some() {
        let sentence = "a layered campaign evaluates the old pseudonym itself; give it alone";
        return wrong("after", sentence.to_owned());
    }
    if let Identifier::Pseudonym(made) = passage.before
        && made.code == edge.code
        && made.version == old.name.number()
    {
        return Ok(made);
    }
    let old = &old.name;
    let sentence =
        format!("this is not a pseudonym by {old}: a layered campaign translates no others");
    wrong("before", sentence)
}

fn parted(
    inputs: impl Iterator<Item = Result<[Zeroizing<Vec<u8>>; 2]>>,
) -> (Vec<Input>, Vec<Input>) {
    let parts = inputs.map(|input| match input {
        Ok([before, after]) => (Ok(before), Ok(after)),
        Err(error) => (Err(error.clone()), Err(error)),
    });
    parts.unzip()
}

fn paired(olds: Vec<Result<Pseudonym>>, news: Vec<Result<Pseudonym>>) -> Vec<Result<Translated>> {
    let pair = |(old, new): (Result<Pseudonym>, Result<Pseudonym>)| {
        Ok(Translated {
            old: old?.to_text().map(Zeroizing::new)?,
            new: new?.to_text().map(Zeroizing::new)?,
        })
    };
    olds.into_iter().zip(news).map(pair).collect()
}
