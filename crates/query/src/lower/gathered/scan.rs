//! `scan`: a row at a time against its steps, last to first, with the state of each.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;
use kql::{QueryError, QueryErrorKind, Relation, ScanOutput, ScanWork, Type};

use super::super::{Query, Rows, schema_of, types};
use super::{Row, cells};
use crate::cell::{Cell, Reader, Writer};
use crate::error::{IntoOutcome, Outcome};

/// Rows after which other queries get their turn.
const ROWS_BEFORE_YIELD: usize = 256;
/// Most cells of the row that conditions are over.
const CELLS_MAX: usize = 4_096;

/// An expression ready to be evaluated.
type Ready = (Arc<dyn PhysicalExpr>, Type);

/// A step with its expressions ready.
struct Step {
    output: ScanOutput,
    condition: Ready,
    assignments: Vec<(usize, Ready)>,
}

/// A match sequence that has reached a step: the rows of the steps so far.
#[derive(Clone)]
struct State {
    id: i64,
    rows: Vec<Option<Row>>,
    /// The last row that matched, for `output=last`.
    pending: Option<Row>,
}

struct Machine {
    steps: Vec<Step>,
    defaults: Row,
    /// Types of the input's and declared columns.
    own: Vec<Type>,
    /// Types of the row that conditions are over.
    over: Vec<Type>,
    inputs: usize,
    states: Vec<Option<State>>,
    next_id: i64,
    with_id: bool,
    out: Vec<Row>,
}

impl Query {
    pub(super) async fn scan_rows(
        &self,
        relation: &Relation,
        input: &Arc<Relation>,
        rows: &Rows,
        work: &ScanWork,
    ) -> Outcome<Vec<Row>> {
        let inputs = types(input);
        let declared = work.defaults.len();
        let own: Vec<Type> = types(relation).into_iter().take(inputs.len() + declared).collect();
        let mut over = inputs.clone();
        (0..work.steps.len()).for_each(|_| over.extend(&own));
        if over.len() > CELLS_MAX {
            let text =
                format!("scan: {} columns in all states are more than {CELLS_MAX}", over.len());
            return Err(QueryError::new(QueryErrorKind::LimitExceeded, text));
        }
        let schema = DFSchema::try_from(schema_of(over.iter().copied())).outcome()?;
        let ready = |expr: &kql::Expr| -> Outcome<Ready> {
            let lowered = self.expr(expr)?;
            let physical = self.session.create_physical_expr(lowered, &schema).outcome()?;
            Ok((physical, expr.expr_type))
        };
        let mut steps = Vec::new();
        for step in &work.steps {
            let assignments = step.assignments.iter().map(|(at, value)| Ok((*at, ready(value)?)));
            steps.push(Step {
                output: step.output,
                condition: ready(&step.condition)?,
                assignments: assignments.collect::<Outcome<_>>()?,
            });
        }
        let exprs: Vec<&kql::Expr> = work.defaults.iter().collect();
        let defaults = if exprs.is_empty() { Row::new() } else { self.constants(&exprs).await? };
        let mut machine = Machine {
            states: vec![None; steps.len()],
            steps,
            defaults,
            own,
            over,
            inputs: inputs.len(),
            next_id: 0,
            with_id: work.match_id,
            out: Vec::new(),
        };
        let reservation = self.reservation();
        for (at, row) in cells(rows, &inputs, &reservation)?.into_iter().enumerate() {
            machine.take(&row)?;
            if at % ROWS_BEFORE_YIELD == 0 {
                tokio::task::yield_now().await;
            }
        }
        machine.finish();
        Ok(machine.out)
    }
}

impl Machine {
    fn take(&mut self, row: &Row) -> Outcome<()> {
        for at in (0..self.steps.len()).rev() {
            // The sequence of the step before may go on here.
            if at > 0
                && let Some(before) = self.states[at - 1].clone()
                && self.holds(at, row, Some(&before))?
            {
                self.states[at - 1] = None;
                self.flush(at);
                self.reached(at, row, before)?;
                continue;
            }
            let own = self.states[at].clone();
            if (at == 0 || own.is_some()) && self.holds(at, row, own.as_ref())? {
                let state = own.unwrap_or_else(|| {
                    let id = self.next_id;
                    self.next_id += 1;
                    State { id, rows: vec![None; self.steps.len()], pending: None }
                });
                self.reached(at, row, state)?;
            }
        }
        Ok(())
    }

    /// The row belongs to the step, in this sequence.
    fn reached(&mut self, at: usize, row: &Row, mut state: State) -> Outcome<()> {
        let extended = self.extended(at, row, &state)?;
        state.rows[at] = Some(extended.clone());
        let mut shown = extended;
        if self.with_id {
            shown.push(Cell::Long(state.id));
        }
        match self.steps[at].output {
            ScanOutput::All => self.out.push(shown),
            ScanOutput::Last => state.pending = Some(shown),
            ScanOutput::None => {}
        }
        if self.steps[at].output != ScanOutput::Last {
            state.pending = None;
        }
        self.states[at] = Some(state);
        Ok(())
    }

    /// Shows what a step held back, before its state is replaced.
    fn flush(&mut self, at: usize) {
        if let Some(state) = &mut self.states[at] {
            self.out.extend(state.pending.take());
        }
    }

    fn finish(&mut self) {
        for at in 0..self.states.len() {
            self.flush(at);
        }
    }

    fn extended(&self, at: usize, row: &Row, state: &State) -> Outcome<Row> {
        let mut extended = row.clone();
        extended.extend(self.defaults.iter().cloned());
        let batch = self.batch(row, Some(state))?;
        for (column, value) in &self.steps[at].assignments {
            extended[*column] = evaluated(value, &batch)?;
        }
        Ok(extended)
    }

    fn holds(&self, at: usize, row: &Row, state: Option<&State>) -> Outcome<bool> {
        let batch = self.batch(row, state)?;
        Ok(evaluated(&self.steps[at].condition, &batch)? == Cell::Bool(true))
    }

    /// The row and the states as conditions see them: without a row, declared columns have their
    /// defaults.
    fn batch(&self, row: &Row, state: Option<&State>) -> Outcome<RecordBatch> {
        let mut all: Vec<&Cell<'static>> = row.iter().collect();
        for step in 0..self.steps.len() {
            match state.and_then(|state| state.rows[step].as_ref()) {
                Some(held) => all.extend(held),
                None => {
                    all.extend((0..self.inputs).map(|_| &Cell::Null));
                    all.extend(&self.defaults);
                }
            }
        }
        debug_assert_eq!(all.len(), self.inputs + self.steps.len() * self.own.len());
        let arrays = all.into_iter().zip(&self.over).map(|(cell, kusto)| {
            let mut writer = Writer::new(*kusto, 1);
            writer.push(cell);
            writer.finish()
        });
        RecordBatch::try_new(schema_of(self.over.iter().copied()), arrays.collect())
            .map_err(|error| crate::error::from_datafusion(error.into()))
    }
}

fn evaluated((expr, kusto): &Ready, batch: &RecordBatch) -> Outcome<Cell<'static>> {
    let array = expr.evaluate(batch).and_then(|value| value.into_array(1)).outcome()?;
    Ok(Reader::new(&array, *kusto).outcome()?.get(0).into_owned())
}
