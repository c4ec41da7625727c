//! Merging small extents of a day into larger ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use event::{Table, Timestamp};

use crate::copy::copy;
use crate::encode::ExtentWriter;
use crate::extent::{Day, Extent, TABLES};
use crate::join::{LARGE_BYTES, join};
use crate::schema::written_schema;
use crate::shared::{Remembered, Shared, lock};
use crate::{Error, ErrorKind};

/// Which days that are over are put together.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Merge {
    All,
    /// Those that got nothing since the last round.
    AtRest,
}

/// Extents to be merged into one.
type Group = Vec<Arc<Extent>>;

impl Shared {
    /// Merges what is worth merging, oldest days first. Readers go on; a file that was merged goes
    /// when its last reader does. Answers how many extents were merged.
    pub(crate) fn compact(
        &self,
        now: Timestamp,
        wanted: Merge,
        remembered: &mut Remembered,
    ) -> Result<u64, Error> {
        let today = Day::of_micros(now.unix_micros());
        let last_round = std::mem::replace(
            &mut remembered.first_new,
            self.next_extent_id.load(Ordering::Relaxed),
        );
        let first_new = match wanted {
            Merge::All => u64::MAX,
            Merge::AtRest => last_round,
        };
        let extents = lock(&self.state).extents.clone();
        let mut merged = 0;
        for (table, extents) in TABLES.iter().zip(&extents.tables) {
            let mergeable: Vec<_> = extents
                .iter()
                .filter(|extent| !remembered.unmergeable.contains(&extent.record.id))
                .cloned()
                .collect();
            for group in self.groups(&mergeable, today, first_new) {
                if self.is_stopping() {
                    return Ok(merged);
                }
                merged += self.merge_or_leave(table, &group, remembered)?;
                if self.is_seal_due() {
                    self.seal()?;
                }
            }
        }
        Ok(merged)
    }

    /// What to merge of a table. A day that is over and has no extent from `first_new` on is put together as
    /// far as sizes allow; of others, only extents of about one size are, when there are enough, so that a
    /// row is copied few times.
    fn groups(&self, extents: &[Arc<Extent>], today: Day, first_new: u64) -> Vec<Group> {
        let mut days: BTreeMap<Day, Group> = BTreeMap::new();
        for extent in extents {
            if extent.record.bytes < self.config.load().compact_bytes_max {
                days.entry(extent.record.day).or_default().push(extent.clone());
            }
        }
        let mut groups = Vec::new();
        for (day, group) in days {
            let is_at_rest = group.iter().all(|extent| extent.record.id < first_new);
            if day < today && is_at_rest {
                let (large, small) = group.into_iter().partition(|extent| is_large(extent));
                let parts = [large, small].map(|extents| self.split_by_size(extents));
                groups.extend(parts.into_iter().flatten().filter(|g| g.len() >= 2));
                continue;
            }
            let mut tiers: BTreeMap<u32, Group> = BTreeMap::new();
            for extent in group {
                // None has both large ones and others.
                let tier = extent.record.bytes.max(1).ilog2() / 3;
                tiers.entry(tier).or_default().push(extent);
            }
            let enough = self.config.load().compact_extents as usize;
            let full = tiers.into_values().filter(|tier| tier.len() >= enough);
            groups.extend(full.flat_map(|tier| self.split_by_size(tier)).filter(|g| g.len() >= 2));
        }
        groups
    }

    /// Neighbours in time, as many as fit into one extent.
    fn split_by_size(&self, extents: Group) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut room = 0;
        for extent in extents {
            let bytes = extent.record.bytes;
            match groups.last_mut() {
                Some(group) if bytes <= room => {
                    room -= bytes;
                    group.push(extent);
                }
                _ => {
                    room = self.config.load().compact_bytes_max.saturating_sub(bytes);
                    groups.push(vec![extent]);
                }
            }
        }
        groups
    }

    /// Merges a group. An extent that cannot be is left from then on, so that the next round merges the
    /// others instead of copying them in vain.
    fn merge_or_leave(
        &self,
        table: &Table,
        group: &[Arc<Extent>],
        remembered: &mut Remembered,
    ) -> Result<u64, Error> {
        let schema = written_schema(table);
        let Some(first) = group.first() else { return Ok(0) };
        let id = self.next_extent_id();
        let blobs = self.manifest.blobs_of(group)?;
        let mut writer = ExtentWriter::create(&self.folder, &blobs, table, first.record.day, id)?;
        let is_joined = group.iter().all(|extent| is_large(extent));
        if is_joined {
            writer = writer.of_groups()?;
        }
        for extent in group {
            let copied = match is_joined {
                true => join(extent, &mut writer),
                false => copy(extent, &schema, &mut writer, Ok),
            };
            let is_copied = match copied {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(%error, "an extent cannot be read: restore it or rebuild the tables");
                    false
                }
                outcome => outcome?,
            };
            if !is_copied {
                // Damaged, or another version wrote it: columns this one does not know must not get lost.
                remembered.unmergeable.insert(extent.record.id);
                return Ok(0);
            }
        }
        let sealed = writer.finish()?;
        self.replace(group, vec![sealed])?;
        tracing::debug!(extents = group.len(), table = table.name, "merged");
        Ok(group.len() as u64)
    }
}

/// Whether its row groups stay as they are; not where no hash tells whether it is whole.
fn is_large(extent: &Extent) -> bool {
    extent.record.bytes >= LARGE_BYTES && !extent.record.sha256.is_empty()
}
