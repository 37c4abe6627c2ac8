//! What goes wrong: outside calls fail, processes die, the HSM is away, the disk is full, somebody
//! sets the clock.

use crate::dice::Dice;
use crate::tally::Tally;
use crate::world::{Answer, World};
use kms_core::time::DAY;
use softhsm_tests::script::Fault;

/// How long what is amiss goes on, in days.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    away: usize,
    full: usize,
    wrong: usize,
    /// By how much the clock is wrong, in milliseconds.
    by: i64,
}

impl Weather {
    /// A day begins.
    pub(crate) fn dawns(&mut self, world: &mut World, dice: &mut Dice, tally: &mut Tally) {
        world.clock.goes_on(DAY);
        self.of_the_hsm(world, dice, tally);
        self.of_the_disk(world, dice, tally);
        self.of_the_clock(world, dice, tally);
        if dice.one_in(30) {
            starts(world, tally);
        }
    }

    /// It is fine from now on.
    pub(crate) fn clears(&mut self, world: &mut World) {
        world.clock.jumps(-self.by);
        *self = Weather::default();
        hsm(world, false);
        disk(world, false);
    }

    fn of_the_hsm(&mut self, world: &mut World, dice: &mut Dice, tally: &mut Tally) {
        if self.away == 0 && dice.one_in(25) {
            self.away = 1 + dice.below(3);
        }
        let away = self.away > 0;
        self.away = self.away.saturating_sub(1);
        tally.days_without_hsm += usize::from(away);
        hsm(world, away);
    }

    fn of_the_disk(&mut self, world: &mut World, dice: &mut Dice, tally: &mut Tally) {
        if self.full == 0 && dice.one_in(50) {
            self.full = 1 + dice.below(2);
        }
        let full = self.full > 0;
        self.full = self.full.saturating_sub(1);
        tally.days_without_room += usize::from(full);
        disk(world, full);
    }

    /// Forward or back by up to a fortnight, and right again some days later.
    fn of_the_clock(&mut self, world: &mut World, dice: &mut Dice, tally: &mut Tally) {
        if self.wrong > 0 {
            self.wrong -= 1;
            if self.wrong == 0 {
                world.clock.jumps(-self.by);
                self.by = 0;
            }
        } else if dice.one_in(40) {
            let days = i64::try_from(1 + dice.below(14)).unwrap();
            let sign = if dice.one_in(2) { 1 } else { -1 };
            self.by = sign * days * i64::try_from(DAY).unwrap();
            self.wrong = 1 + dice.below(3);
            world.clock.jumps(self.by);
            tally.jumps += 1;
        }
    }
}

fn hsm(world: &mut World, away: bool) {
    world.hsm_away = away;
    world.life().hsm.goes(away);
}

fn disk(world: &mut World, full: bool) {
    world.disk_full = full;
    world.life().store.fills(full);
}

fn starts(world: &mut World, tally: &mut Tally) {
    world.starts();
    tally.restarts += 1;
}

/// Outside calls of one act, of which one may fail.
const CALLS: usize = 9;

/// Does something, while one outside call of it may fail. Gives what the caller was told, and whether
/// nothing was amiss; afterwards the service runs.
pub(crate) fn through<T>(
    world: &mut World,
    dice: &mut Dice,
    tally: &mut Tally,
    act: impl FnOnce(&World) -> Answer<T>,
) -> (Option<T>, bool) {
    let planned = dice.one_in(25);
    let (at, fault) = (dice.below(CALLS), *dice.pick(&Fault::ALL).unwrap());
    let script = &world.life().script;
    script.start(planned.then_some((at, fault)));
    let answer = act(world);
    let made = world.life().script.stop().len();
    let struck = planned && made > at;
    tally.faults += usize::from(struck);
    let told = match answer {
        Answer::Told(told) => Some(told),
        Answer::Died => {
            tally.deaths += 1;
            None
        }
    };
    // A log in doubt takes nothing more before a start.
    if struck && fault != Fault::NotDone {
        starts(world, tally);
    }
    (told, !struck && !world.hsm_away && !world.disk_full)
}
