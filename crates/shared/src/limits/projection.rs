//! Counters made from the ledger, so that a restart neither forgets nor doubles.
//!
//! A reservation stands in a table of its own until it is settled. One whose process died never is:
//! what it set aside stays counted.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use event::{ChargeStep, Charges, InteractionId, Kind, Record, Timestamp};
use ledger::Entry;
use policy::{Applied, Counter, Window};
use redb::{ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::COUNTERS_MAX;
use crate::{Error, ErrorKind, Projection, Snapshot};

/// Counter's name to its slots: pairs of little-endian start (microseconds) and amount.
const COUNTERS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("limit-counters");
/// Interaction to its reservation, as it stands in the ledger.
const RESERVED: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("limit-reservations");
/// The name by which other nodes know this one.
const NODE: TableDefinition<'static, &str, &str> = TableDefinition::new("limit-node");
/// How often, by the ledger's time, what counts no more is removed from the tables.
const SWEEP_MS: i64 = 600_000;
/// No call is in flight for longer: its process has died.
const RESERVED_MS_MAX: i64 = 7 * 86_400_000;

/// Makes counters from [`Charges`].
#[derive(Debug, Default)]
pub struct LimitProjection {
    swept_at: Timestamp,
}

impl Projection for LimitProjection {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Charges]
    }

    fn apply(&mut self, frames: &[Entry], transaction: &WriteTransaction) -> Result<(), Error> {
        self.fold(frames, transaction).map_err(failed)
    }

    fn committed(&mut self, _sequence: u64) {}
}

impl LimitProjection {
    /// Begins with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    fn fold(&mut self, frames: &[Entry], to: &WriteTransaction) -> Result<(), redb::Error> {
        let mut node = to.open_table(NODE)?;
        if node.get("name")?.is_none() {
            node.insert("name", format!("{:032x}", rand::random::<u128>()).as_str())?;
        }
        let mut tables = Tables {
            counters: to.open_table(COUNTERS)?,
            reserved: to.open_table(RESERVED)?,
            touched: HashMap::new(),
        };
        let mut last = None;
        for Entry { sequence, frame, .. } in frames {
            let charges = match Record::decode(frame.kind, &frame.payload) {
                Ok(Record::Charges(charges)) => charges,
                Ok(_) => continue,
                Err(error) => {
                    tracing::error!(sequence, %error, "what limits count cannot be read; passed over");
                    continue;
                }
            };
            tables.fold(frame.interaction, &frame.payload, &charges)?;
            last = Some(charges.charged_at);
        }
        tables.write()?;
        if let Some(now) = last.filter(|now| now.millis_since(self.swept_at) >= SWEEP_MS) {
            self.swept_at = now;
            tables.sweep(now)?;
        }
        Ok(())
    }
}

struct Tables<'t> {
    counters: Table<'t, &'static str, &'static [u8]>,
    reserved: Table<'t, &'static [u8], &'static [u8]>,
    /// Counters of this batch.
    touched: HashMap<String, Counter>,
}

impl Tables<'_> {
    fn fold(
        &mut self,
        id: InteractionId,
        payload: &[u8],
        charges: &Charges,
    ) -> Result<(), redb::Error> {
        let at = charges.charged_at;
        let reservation = match charges.step {
            ChargeStep::Reserved => {
                self.reserved.insert(&id.to_bytes()[..], payload)?;
                None
            }
            ChargeStep::Added => None,
            ChargeStep::Settled => {
                let row = self.reserved.remove(&id.to_bytes()[..])?;
                row.and_then(|row| serde_json::from_slice::<Charges>(row.value()).ok())
            }
        };
        for charge in &charges.charges {
            let reserved = reservation.as_ref().and_then(|of| {
                let held = of.charges.iter().find(|held| held.counter == charge.counter)?;
                Some((of.charged_at, held.amount))
            });
            let Some(counter) = self.counter(&charge.counter)? else { continue };
            match reserved {
                Some(reserved) => counter.settle(reserved, at, charge.amount),
                None => counter.add(at, charge.amount),
            }
        }
        Ok(())
    }

    /// None if the name is no counter's: of a later version, perhaps.
    fn counter(&mut self, name: &str) -> Result<Option<&mut Counter>, redb::Error> {
        let place = match self.touched.entry(name.to_owned()) {
            Slot::Occupied(place) => return Ok(Some(place.into_mut())),
            Slot::Vacant(place) => place,
        };
        let Some((_, window)) = Applied::parse(name) else { return Ok(None) };
        let stored = self.counters.get(name)?;
        let counter = match stored {
            Some(stored) => decode(window, stored.value()),
            None => Counter::new(window),
        };
        Ok(Some(place.insert(counter)))
    }

    fn write(&mut self) -> Result<(), redb::Error> {
        for (name, counter) in self.touched.drain() {
            if counter.slots().is_empty() {
                self.counters.remove(name.as_str())?;
            } else {
                self.counters.insert(name.as_str(), encode(&counter).as_slice())?;
            }
        }
        Ok(())
    }

    /// Removes what counts no more.
    fn sweep(&mut self, now: Timestamp) -> Result<(), redb::Error> {
        self.counters.retain(|name, slots| {
            let window = Applied::parse(name).map(|(_, window)| window);
            window.is_some_and(|window| !decode(window, slots).is_unused(now))
        })?;
        self.reserved.retain(|_, payload| {
            let charges = serde_json::from_slice::<Charges>(payload);
            charges.is_ok_and(|charges| now.millis_since(charges.charged_at) < RESERVED_MS_MAX)
        })?;
        Ok(())
    }
}

/// The name by which other nodes know this one; it is in the snapshot once that has been followed.
pub fn node_name(snapshot: &Snapshot) -> Result<String, Error> {
    snapshot.read(|read| {
        let name = read.open_table(NODE)?.get("name")?.map(|name| name.value().to_owned());
        Ok(name.unwrap_or_default())
    })
}

/// The counters of which something counts.
pub(super) fn load(snapshot: &Snapshot, now: Timestamp) -> Result<Vec<(String, Counter)>, Error> {
    snapshot.read(|read| {
        let table = match read.open_table(COUNTERS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut counters = Vec::new();
        for row in table.iter()? {
            let (name, slots) = row?;
            let Some((_, window)) = Applied::parse(name.value()) else { continue };
            let mut counter = decode(window, slots.value());
            if !counter.is_unused(now) && counters.len() < COUNTERS_MAX {
                counters.push((name.value().to_owned(), counter));
            }
        }
        Ok(counters)
    })
}

fn encode(counter: &Counter) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(counter.slots().len() * 16);
    for (start, amount) in counter.slots() {
        bytes.extend_from_slice(&start.to_le_bytes());
        bytes.extend_from_slice(&amount.to_le_bytes());
    }
    bytes
}

fn decode(window: Window, bytes: &[u8]) -> Counter {
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let slots = bytes.chunks_exact(16).map(|pair| (word(&pair[..8]) as i64, word(&pair[8..])));
    Counter::from_slots(window, slots.collect())
}

fn failed(error: redb::Error) -> Error {
    Error::new(ErrorKind::Io, "cannot keep what limits count").with_source(error)
}
