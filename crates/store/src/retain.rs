//! Giving up what is too old or too much, and the blobs that no row names any more.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event::Timestamp;

use crate::Error;
use crate::blobs::Hash;
use crate::compact::Merge;
use crate::encode::{Sealed, referenced_blobs};
use crate::extent::{Day, Extent, Extents, TABLES, index_of};
use crate::given_up::GivenUp;
use crate::manifest::Change;
use crate::shared::{Shared, lock};

/// The folder of blobs is looked through at least this often.
const SWEEP_EVERY_MS: i64 = 60 * 60 * 1_000;

/// What a round of upkeep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Extents that were merged into others.
    pub extents_merged: u64,
    /// Extents given up, being too old or too much.
    pub extents_dropped: u64,
    /// Blobs removed, as no row names them.
    pub blobs_removed: u64,
}

/// The blobs on disk, as a sweep finds them.
#[derive(Default)]
struct Found {
    blobs: u64,
    bytes: u64,
    /// Those old enough to be judged, with their size.
    old: HashMap<Hash, u64>,
}

impl Shared {
    pub(crate) fn maintain(&self, now: Timestamp, wanted: Merge) -> Result<Maintenance, Error> {
        // One at a time.
        let mut remembered = lock(&self.maintaining);
        let mut extents_dropped = self.give_up_old_days(now)?;
        extents_dropped += self.give_up_beyond_bytes(now)?;
        let blobs_removed =
            if extents_dropped > 0 || self.is_sweep_due(now) { self.sweep(now)? } else { 0 };
        let extents_merged = self.compact(now, wanted, &mut remembered)?;
        Ok(Maintenance { extents_merged, extents_dropped, blobs_removed })
    }

    /// Gives up the days that ended longer ago than the retention.
    pub(crate) fn give_up_old_days(&self, now: Timestamp) -> Result<u64, Error> {
        let days = i64::from(self.config.load().retention_days);
        if days == 0 {
            return Ok(0);
        }
        let first_kept = Day(Day::of_micros(now.unix_micros()).0 - days);
        self.give_up(|extent| extent.record.day < first_kept)
    }

    /// Gives up the oldest days until the rest is within the limit; the newest day always stays.
    fn give_up_beyond_bytes(&self, now: Timestamp) -> Result<u64, Error> {
        let limit = self.config.load().retention_bytes;
        if limit == 0 {
            return Ok(0);
        }
        let extents = lock(&self.state).extents.clone();
        let mut by_day: BTreeMap<Day, u64> = BTreeMap::new();
        for extent in extents.iter() {
            *by_day.entry(extent.record.day).or_default() += extent.record.bytes;
        }
        let blobs = self.find_blobs(now)?;
        let mut total = by_day.values().sum::<u64>() + blobs.bytes;
        if total <= limit {
            return Ok(0);
        }
        for (hash, day) in self.last_day_of_blobs(&extents)? {
            *by_day.entry(day).or_default() += self.blobs.bytes_on_disk(&hash);
        }
        let Some(newest) = by_day.keys().next_back().copied() else { return Ok(0) };
        let mut first_kept = newest;
        for (day, bytes) in by_day {
            if total <= limit || day == newest {
                first_kept = day;
                break;
            }
            total -= bytes.min(total);
        }
        self.give_up(|extent| extent.record.day < first_kept)
    }

    /// For each blob the newest day that names it: with that day it may go.
    fn last_day_of_blobs(&self, extents: &Extents) -> Result<HashMap<Hash, Day>, Error> {
        let days: HashMap<u64, Day> =
            extents.iter().map(|extent| (extent.record.id, extent.record.day)).collect();
        let mut last = HashMap::new();
        for (id, hashes) in self.manifest.blobs_by_extent()? {
            let Some(&day) = days.get(&id) else { continue };
            for hash in hashes {
                let known = last.entry(hash).or_insert(day);
                *known = day.max(*known);
            }
        }
        Ok(last)
    }

    fn give_up(&self, is_old: impl Fn(&Extent) -> bool) -> Result<u64, Error> {
        let extents = lock(&self.state).extents.clone();
        let old: Vec<_> = extents.iter().filter(|extent| is_old(extent)).cloned().collect();
        drop(extents);
        if old.is_empty() {
            return Ok(0);
        }
        let given_up = self.given_up_with(&old);
        self.exchange(&old, Vec::new(), given_up.clone())?;
        for (table, place) in given_up {
            lock(&self.given_up)[index_of(table)?] = place;
        }
        tracing::info!(extents = old.len(), "gave up old rows");
        Ok(old.len() as u64)
    }

    /// Up to where rows are gone once these extents are, for each table that has some of them.
    fn given_up_with(&self, old: &[Arc<Extent>]) -> Vec<(&'static str, GivenUp)> {
        // What an older version wrote may hold any row there is.
        let applied = lock(&self.state).cursor.applied;
        let so_far = *lock(&self.given_up);
        let mut given_up = Vec::new();
        for (table, mut place) in TABLES.iter().zip(so_far) {
            let of_table = |extent: &&Arc<Extent>| extent.record.table == table.name;
            let mut has_some = false;
            for record in old.iter().filter(of_table).map(|extent| &extent.record) {
                let last = record.sequences.map(|(_, last)| last.max(0).cast_unsigned());
                place.sequence = place.sequence.max(last.unwrap_or(applied));
                place.time = place.time.max(Timestamp::from_unix_micros(record.time_max));
                has_some = true;
            }
            if has_some {
                given_up.push((table.name, place));
            }
        }
        given_up
    }

    /// Puts `sealed` in the place of `removed`, whose files go once nobody reads them.
    pub(crate) fn replace(
        &self,
        removed: &[Arc<Extent>],
        sealed: Vec<Sealed>,
    ) -> Result<(), Error> {
        self.exchange(removed, sealed, Vec::new())
    }

    fn exchange(
        &self,
        removed: &[Arc<Extent>],
        sealed: Vec<Sealed>,
        given_up: Vec<(&'static str, GivenUp)>,
    ) -> Result<(), Error> {
        let change = Change {
            added: sealed.iter().map(|sealed| sealed.written.clone()).collect(),
            removed: removed.iter().map(|extent| extent.record.id).collect(),
            given_up,
            ..Change::default()
        };
        let added = self.commit(&change, sealed)?;
        let mut state = lock(&self.state);
        state.extents = Arc::new(state.extents.changed(removed, &added));
        drop(state);
        for extent in removed {
            self.files.forget(extent);
            extent.retire();
        }
        Ok(())
    }

    fn is_sweep_due(&self, now: Timestamp) -> bool {
        let last = *lock(&self.swept_at);
        last.is_none_or(|last| now.millis_since(last) >= SWEEP_EVERY_MS)
    }

    /// Removes blobs that no row names and that were not written lately. Blobs written since are
    /// protected by their age.
    fn sweep(&self, now: Timestamp) -> Result<u64, Error> {
        let mut found = self.find_blobs(now)?;
        if !found.old.is_empty() {
            self.each_named_blob(|hash| {
                found.old.remove(hash);
            })?;
        }
        let mut removed = 0;
        for (hash, bytes) in &found.old {
            if self.blobs.remove_if_older(hash, self.grace_start(now))? {
                removed += 1;
                found.blobs -= 1;
                found.bytes -= bytes;
            }
        }
        *lock(&self.blob_totals) = Some((found.blobs, found.bytes));
        *lock(&self.swept_at) = Some(now);
        Ok(removed)
    }

    /// Removes all blobs that no row names, but for those that a row to come may name.
    pub(crate) fn remove_unnamed_blobs(&self) -> Result<u64, Error> {
        let mut found = HashSet::new();
        self.blobs.walk(|blob| {
            found.insert(blob.hash);
        })?;
        self.blobs.remove_unnamed(found, |blobs| {
            self.each_named_blob(|hash| {
                blobs.remove(hash);
            })
        })
    }

    /// Shows every blob that a row names. Rows are looked at in memory first and on disk second: a row
    /// that is sealed in between is seen twice rather than missed.
    fn each_named_blob(&self, mut show: impl FnMut(&Hash)) -> Result<(), Error> {
        self.blobs_in_memory().iter().for_each(&mut show);
        for (_, hashes) in self.manifest.blobs_by_extent()? {
            hashes.iter().for_each(&mut show);
        }
        Ok(())
    }

    fn find_blobs(&self, now: Timestamp) -> Result<Found, Error> {
        let grace_start = self.grace_start(now);
        let mut found = Found::default();
        self.blobs.walk(|blob| {
            found.blobs += 1;
            found.bytes += blob.bytes;
            if blob.written_at < grace_start {
                found.old.insert(blob.hash, blob.bytes);
            }
        })?;
        Ok(found)
    }

    /// What rows in memory name, and the hashes of their bodies, which may be blobs.
    fn blobs_in_memory(&self) -> BTreeSet<Hash> {
        let snapshot = self.snapshot();
        let mut hashes = BTreeSet::new();
        for chunk in snapshot.chunks() {
            referenced_blobs(&chunk.batch, |_| true, &mut hashes);
        }
        hashes
    }

    /// Blobs written before this moment may be judged.
    fn grace_start(&self, now: Timestamp) -> SystemTime {
        let micros = u64::try_from(now.unix_micros()).unwrap_or(0);
        let grace = Duration::from_secs(self.config.load().blob_grace_seconds);
        UNIX_EPOCH + Duration::from_micros(micros).saturating_sub(grace)
    }
}
