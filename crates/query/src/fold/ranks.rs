//! Percentiles of plain numbers, kept as numbers: the fold of `percentile` without weights.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::Accumulator;
use kql::Type;

use super::{answer, list};
use crate::cell::Cell;

/// Values by keys that are ordered as they are.
#[derive(Debug)]
pub(super) struct Ranks {
    of: Type,
    at: Vec<f64>,
    is_array: bool,
    outputs: Vec<Type>,
    keys: Vec<i64>,
}

impl Ranks {
    /// None for a type whose values are no plain numbers.
    pub(super) fn new(of: Type, at: Vec<f64>, is_array: bool, outputs: Vec<Type>) -> Option<Self> {
        let is_plain =
            matches!(of, Type::Int | Type::Long | Type::Datetime | Type::Timespan | Type::Real);
        is_plain.then(|| Self { of, at, is_array, outputs, keys: Vec::new() })
    }

    /// The smallest value with at least the percentage of all at or below it.
    fn value_at(&mut self, percentage: f64) -> Cell<'static> {
        let wanted = (self.keys.len() as f64 * percentage / 100.0 - 1e-9).ceil();
        let rank = (wanted.max(1.0) as usize).saturating_sub(1);
        if rank >= self.keys.len() {
            return Cell::Null;
        }
        let (_, key, _) = self.keys.select_nth_unstable(rank);
        match self.of {
            Type::Real => Cell::Real(real_of(*key)),
            Type::Datetime => Cell::Datetime(*key),
            Type::Timespan => Cell::Timespan(*key),
            _ => Cell::Long(*key),
        }
    }
}

/// Negative numbers have their order turned round; what is no number comes last.
fn key_of(real: f64) -> i64 {
    let bits = real.to_bits().cast_signed();
    bits ^ (((bits >> 63).cast_unsigned() >> 1).cast_signed())
}

fn real_of(key: i64) -> f64 {
    let bits = key ^ (((key >> 63).cast_unsigned() >> 1).cast_signed());
    f64::from_bits(bits.cast_unsigned())
}

impl Accumulator for Ranks {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        match values.data_type() {
            DataType::Int32 => {
                let numbers = values.as_primitive::<Int32Type>().iter().flatten();
                self.keys.extend(numbers.map(i64::from));
            }
            DataType::Int64 if values.null_count() == 0 => {
                self.keys.extend_from_slice(values.as_primitive::<Int64Type>().values());
            }
            DataType::Int64 => {
                self.keys.extend(values.as_primitive::<Int64Type>().iter().flatten());
            }
            DataType::Float64 => {
                let numbers = values.as_primitive::<Float64Type>().iter().flatten();
                self.keys.extend(numbers.map(key_of));
            }
            DataType::Null => {}
            other => return exec_err!("{other} has no percentiles"),
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let at = std::mem::take(&mut self.at);
        let found: Vec<_> = at.iter().map(|percentage| self.value_at(*percentage)).collect();
        self.at = at;
        if self.is_array {
            return answer(&[list(&found)], &self.outputs);
        }
        answer(&found, &self.outputs)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.keys.capacity() * size_of::<i64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let bytes = self.keys.iter().flat_map(|key| key.to_le_bytes()).collect();
        self.keys = Vec::new();
        Ok(vec![ScalarValue::Binary(Some(bytes))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first().and_then(|array| array.as_binary_opt::<i32>()) else {
            return exec_err!("the state of percentiles is binary");
        };
        for state in states.iter().flatten() {
            let (keys, []) = state.as_chunks() else {
                return exec_err!("the state of percentiles is damaged");
            };
            self.keys.extend(keys.iter().map(|key| i64::from_le_bytes(*key)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_reals_are_ordered_as_they_are_and_lead_back() {
        let reals =
            [f64::NEG_INFINITY, -2.5, -1e-300, -0.0, 0.0, 1e-300, 3.0, f64::INFINITY, f64::NAN];
        let keys: Vec<i64> = reals.iter().map(|real| key_of(*real)).collect();
        assert!(keys.is_sorted());
        let back: Vec<u64> = keys.iter().map(|key| real_of(*key).to_bits()).collect();
        assert_eq!(back, reals.map(f64::to_bits));
    }

    #[test]
    fn ranks_are_the_nearest_and_survive_being_handed_on() {
        let mut parts: Vec<Ranks> = (0..2)
            .map(|_| Ranks::new(Type::Long, vec![0.0, 50.0, 100.0], true, vec![Type::Dynamic]))
            .map(|ranks| ranks.unwrap())
            .collect();
        let numbers = |list: &[Option<i64>]| -> ArrayRef {
            std::sync::Arc::new(arrow::array::Int64Array::from(list.to_vec()))
        };
        parts[0].update_batch(&[numbers(&[Some(9), None, Some(3)])]).unwrap();
        parts[1].update_batch(&[numbers(&[Some(1), Some(7)])]).unwrap();
        let state = parts[1].state().unwrap()[0].to_array().unwrap();
        parts[0].merge_batch(&[state]).unwrap();
        let found = parts[0].evaluate().unwrap();
        assert_eq!(found.try_as_str().flatten(), Some("[1,3,9]"));
    }
}
