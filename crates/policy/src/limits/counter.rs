//! What has been used of one limit under one key.

use event::Timestamp;

use super::Window;

/// What has been used, slot by slot of its window: a bounded number of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    window: Window,
    /// In order of time; the first microsecond of each and what was used in it, never zero.
    slots: Vec<(i64, u64)>,
}

impl Counter {
    /// Nothing used yet.
    pub fn new(window: Window) -> Self {
        Self { window, slots: Vec::new() }
    }

    /// Its window.
    pub fn window(&self) -> Window {
        self.window
    }

    /// What counts at this moment.
    pub fn used(&mut self, now: Timestamp) -> u64 {
        self.expire(now);
        self.slots.iter().fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    /// Counts `amount` as used at this instant.
    pub fn add(&mut self, at: Timestamp, amount: u64) {
        self.expire(at);
        if amount == 0 {
            return;
        }
        let slot = self.window.slot(at);
        let place = self.slots.partition_point(|(start, _)| *start < slot);
        match self.slots.get_mut(place).filter(|(start, _)| *start == slot) {
            Some((_, held)) => *held = held.saturating_add(amount),
            None => self.slots.insert(place, (slot, amount)),
        }
    }

    /// Takes `amount` back from what was used at this instant. What has left the window since is not
    /// given back twice.
    pub fn take_back(&mut self, at: Timestamp, amount: u64) {
        let slot = self.window.slot(at);
        if let Ok(place) = self.slots.binary_search_by_key(&slot, |(start, _)| *start) {
            let held = &mut self.slots[place].1;
            *held = held.saturating_sub(amount);
            if *held == 0 {
                self.slots.remove(place);
            }
        }
    }

    /// Corrects a reservation to what was really used: what it did not need goes back to the moment it
    /// was made, what it lacked counts from the moment that this is known.
    pub fn settle(&mut self, (at, reserved): (Timestamp, u64), now: Timestamp, used: u64) {
        if used < reserved {
            self.take_back(at, reserved - used);
        } else {
            self.add(now, used - reserved);
        }
    }

    /// When at most `room` is used, if nothing more is added.
    pub fn at_most_from(&mut self, room: u64, now: Timestamp) -> Timestamp {
        let mut used = self.used(now);
        let mut at = now;
        for (slot, amount) in &self.slots {
            if used <= room {
                break;
            }
            used = used.saturating_sub(*amount);
            at = self.window.leaves_at(*slot);
        }
        at
    }

    /// Nothing of it counts any more.
    pub fn is_unused(&mut self, now: Timestamp) -> bool {
        self.used(now) == 0
    }

    /// Its slots as they are stored.
    pub fn slots(&self) -> &[(i64, u64)] {
        &self.slots
    }

    /// From stored slots.
    pub fn from_slots(window: Window, mut slots: Vec<(i64, u64)>) -> Self {
        slots.retain(|(_, amount)| *amount > 0);
        slots.sort_unstable();
        slots.dedup_by_key(|(start, _)| *start);
        Self { window, slots }
    }

    fn expire(&mut self, now: Timestamp) {
        let window = self.window;
        let gone = self.slots.partition_point(|(slot, _)| window.leaves_at(*slot) <= now);
        self.slots.drain(..gone);
    }
}
