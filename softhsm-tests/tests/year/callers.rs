//! Those who use keys, and know what must come of it.

use crate::dice::Dice;
use crate::tally::Tally;
use crate::weather::through;
use crate::world::{Answer, World};
use kms_core::command::{Command, Plain, Sealed, Use};
use kms_core::envelope::EncryptionContext;
use kms_core::error::{Kind, Result};
use kms_core::key::{Key, Version};
use kms_core::name::{EdgeName, KeyName, VersionName};
use kms_core::pseudonym::Identifier;
use kms_core::state::{self, State};
use kms_core::time::Time;
use kms_core::view::View;
use kms_server::engine::Reply;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What was protected, by which version, and what the same identifier gave along each edge.
#[derive(Debug, Default)]
pub(crate) struct Vault {
    held: Vec<Held>,
    pseudonyms: BTreeMap<VersionName, String>,
}

#[derive(Debug, Clone)]
struct Held {
    version: VersionName,
    ciphertext: Vec<u8>,
    text: String,
}

impl Vault {
    /// How much is held.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Some of what callers do in a day.
    pub(crate) fn day(&mut self, world: &mut World, now: Time, dice: &mut Dice, tally: &mut Tally) {
        self.protect(world, dice, tally);
        self.process(world, dice, tally);
        if dice.one_in(2) {
            self.re_wrap(world, now, dice, tally);
        }
        if dice.one_in(3) {
            self.evaluate(world, dice, tally);
        }
    }

    fn protect(&mut self, world: &mut World, dice: &mut Dice, tally: &mut Tally) {
        let view = world.view();
        let keys = data_keys(&view);
        let Some(key) = dice.pick(&keys) else { return };
        let text = format!("text {}", self.held.len());
        let usage = || encrypt(&key.name, &text);
        let (told, calm) = through(world, dice, tally, |w| w.ask("service/etl", usage()));
        let sealed = told.map(|told| {
            only(told, |reply| match reply {
                Reply::Encrypted(mut items) => items.pop(),
                _ => None,
            })
        });
        let may = protects(&view, key);
        if judged(
            tally,
            may,
            calm,
            &sealed,
            &format!("{}: to protect", key.name),
        ) && let Some(Ok(sealed)) = sealed
        {
            assert_eq!(Some(sealed.version.number()), key.primary, "{}", key.name);
            self.held.push(Held {
                version: sealed.version,
                ciphertext: sealed.ciphertext,
                text,
            });
        }
    }

    fn process(&mut self, world: &mut World, dice: &mut Dice, tally: &mut Tally) {
        if let Some(held) = dice.pick(&self.held) {
            let view = world.view();
            let (told, calm) = through(world, dice, tally, |w| w.ask("service/etl", decrypt(held)));
            opened(&view, held, told, calm, tally);
        }
    }

    fn re_wrap(&mut self, world: &mut World, now: Time, dice: &mut Dice, tally: &mut Tally) {
        // Those whose version is compromised are the ones that need it.
        let view = world.view();
        let state = |held: &Held| view.version(&held.version).unwrap().0.state;
        let harmed = self
            .held
            .iter()
            .position(|held| state(held) == State::Compromised);
        let at = harmed
            .filter(|_| dice.one_in(2))
            .unwrap_or(dice.below(self.held.len()));
        let Some(held) = self.held.get(at) else {
            return;
        };
        let usage = Command::Use(Use::ReEncrypt {
            key: held.version.key().clone(),
            items: vec![sealed(held)],
        });
        let (told, calm) = through(world, dice, tally, |w| w.ask("service/etl", usage));
        let moved = told.map(|told| {
            only(told, |reply| match reply {
                Reply::ReEncrypted(mut items) => items.pop(),
                _ => None,
            })
        });
        let may = re_wraps(&view, held, now);
        let what = format!("{}: to re-wrap", held.version);
        if judged(tally, may, calm, &moved, &what)
            && let Some(Ok(moved)) = moved
        {
            assert_eq!(moved.former, held.version);
            self.held[at] = Held {
                version: moved.version,
                ciphertext: moved.ciphertext,
                text: held.text.clone(),
            };
        }
    }

    /// One person, along an edge, and on along the next.
    fn evaluate(&mut self, world: &mut World, dice: &mut Dice, tally: &mut Tally) {
        let view = world.view();
        let edges: Vec<EdgeName> = view.edges().map(|edge| edge.name.clone()).collect();
        let (first, second): (Vec<_>, Vec<_>) = edges
            .into_iter()
            .partition(|edge| edge.target().to_string() == "spaces/warehouse");
        let person = Identifier::opaque(Zeroizing::new("SYNTHETIC-1".to_owned()));
        let edge = dice.pick(&first).unwrap();
        let found = self.along(world, dice, tally, ("service/first", edge), person);
        if let Some(found) = found {
            let edge = dice.pick(&second).unwrap();
            let found = Identifier::pseudonym(&found);
            self.along(world, dice, tally, ("service/second", edge), found);
        }
    }

    fn along(
        &mut self,
        world: &mut World,
        dice: &mut Dice,
        tally: &mut Tally,
        (who, edge): (&str, &EdgeName),
        identifier: Result<Identifier>,
    ) -> Option<String> {
        let view = world.view();
        let usage = Command::Use(Use::Pseudonymise {
            batch: None,
            edge: edge.clone(),
            identifiers: vec![identifier],
        });
        let (told, calm) = through(world, dice, tally, |w| w.ask(who, usage));
        let made = told.map(|told| {
            only(told, |reply| match reply {
                Reply::Pseudonyms(mut items, version) => items
                    .pop()
                    .map(|item| item.map(|text| (text.to_string(), version))),
                _ => None,
            })
        });
        let (key, _) = view.key(&edge.key().unwrap()).unwrap();
        let may = protects(&view, key);
        // Each way into the warehouse gives another pseudonym: what it gave is per pair of edges.
        judged(tally, may, calm, &made, &format!("{edge}: to evaluate"));
        let (text, version) = made?.ok()?;
        if who == "service/first" {
            let before = self.pseudonyms.insert(version.clone(), text.clone());
            assert!(
                before.is_none_or(|before| before == text),
                "{version}: another pseudonym"
            );
        }
        Some(text)
    }

    /// At the end: whatever may be opened opens, and nothing else does.
    pub(crate) fn all_is_as_it_should(&self, world: &World, tally: &mut Tally) {
        let view = world.view();
        for held in &self.held {
            let Answer::Told(told) = world.ask("service/etl", decrypt(held)) else {
                panic!("nothing dies at the end");
            };
            opened(&view, held, Some(told), true, tally);
        }
    }
}

fn opened(view: &View, held: &Held, told: Option<Result<Reply>>, calm: bool, tally: &mut Tally) {
    let (version, _) = view.version(&held.version).unwrap();
    let may = version.allows(state::Use::Process) && !view.is_burnt(&version.id);
    let text = told.map(|told| {
        only(told, |reply| match reply {
            Reply::Decrypted(mut items) => items.pop(),
            _ => None,
        })
    });
    let what = format!("{} ({}): to process", held.version, version.state);
    if judged(tally, may, calm, &text, &what)
        && let Some(Ok(opened)) = text
    {
        assert_eq!(*opened.plaintext, held.text.as_bytes(), "{}", held.version);
        assert_eq!(opened.version, held.version);
    }
}

/// A use is answered only where it is allowed, and where it is allowed and nothing is amiss, it is
/// answered. Whether it was.
fn judged<T>(
    tally: &mut Tally,
    may: bool,
    calm: bool,
    told: &Option<Result<T>>,
    what: &str,
) -> bool {
    match told {
        Some(Ok(_)) => {
            assert!(may, "{what}: it is not allowed, and was done");
            tally.uses += 1;
            true
        }
        Some(Err(error)) => {
            let fair = !may || !calm;
            assert!(fair, "{what}: {error} ({:?})", error.cause());
            assert_ne!(
                error.kind(),
                Kind::Internal,
                "{what}: {error} ({:?})",
                error.cause()
            );
            tally.uses_refused += 1;
            false
        }
        None => false,
    }
}

/// The one item of a batch of one.
fn only<T>(told: Result<Reply>, item: impl Fn(Reply) -> Option<Result<T>>) -> Result<T> {
    item(told?).expect("one item was asked for")
}

fn data_keys(view: &View) -> Vec<Key> {
    use kms_core::class::Class;
    let keys = view.all().filter_map(|s| s.value.as_key());
    keys.filter(|key| key.class == Class::DataAtRest)
        .cloned()
        .collect()
}

fn archived(view: &View, key: &KeyName) -> bool {
    view.space(key.space()).unwrap().0.archived.is_some()
}

fn protects(view: &View, key: &Key) -> bool {
    let fit = |primary: &Version| primary.allows(state::Use::Protect);
    !archived(view, &key.name) && view.primary(key).is_some_and(fit)
}

fn re_wraps(view: &View, held: &Held, now: Time) -> bool {
    let (key, _) = view.key(held.version.key()).unwrap();
    let (version, _) = view.version(&held.version).unwrap();
    let campaign = key.rewrap.as_ref().is_some_and(|rewrap| {
        rewrap.covers(version.name.number(), now)
            && version.state == State::Compromised
            && version.destruction.is_none()
    });
    let fit = |primary: &Version| primary.allows(state::Use::Protect);
    (version.allows(state::Use::Process) || campaign) && view.primary(key).is_some_and(fit)
}

fn encrypt(key: &KeyName, text: &str) -> Command {
    Command::Use(Use::Encrypt {
        key: key.clone(),
        items: vec![Plain {
            plaintext: Zeroizing::new(text.as_bytes().to_vec()),
            context: Ok(EncryptionContext::default()),
        }],
    })
}

fn decrypt(held: &Held) -> Command {
    Command::Use(Use::Decrypt {
        key: held.version.key().clone(),
        items: vec![sealed(held)],
    })
}

fn sealed(held: &Held) -> Sealed {
    Sealed {
        ciphertext: held.ciphertext.clone(),
        context: Ok(EncryptionContext::default()),
    }
}
