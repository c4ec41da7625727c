//! `summarize`.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_aggregate::{
    average, bit_and_or_xor, count, covariance, min_max, stddev, sum, variance,
};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use kql::{Aggregate, AggregateCall, QueryError, Relation, Type};

use super::{Query, column, project, rows_plan, types};
use crate::call::Call;
use crate::cell::{Cell, arrow_type};
use crate::error::{IntoOutcome, Outcome};
use crate::fold::{Fold, Kind, decimal_mean};
use crate::kernels::{Kernel, sketch};

/// Most elements of `make_list` and `make_set` unless the query says less.
const LIST_MAX: usize = 1_048_576;

/// Aggregates whose answer depends on the order of their rows.
pub(super) fn needs_order(aggregates: &[AggregateCall]) -> bool {
    aggregates.iter().any(|call| {
        matches!(
            call.function,
            Aggregate::MakeList
                | Aggregate::MakeListIf
                | Aggregate::MakeListWithNulls
                | Aggregate::MakeSet
                | Aggregate::MakeSetIf
                | Aggregate::MakeBag
                | Aggregate::MakeBagIf
        )
    })
}

/// Aggregates computed below, and the columns of the result made from them.
#[derive(Default)]
struct Parts {
    computed: Vec<Expr>,
    outputs: Vec<Expr>,
}

impl Parts {
    /// Adds a computed aggregate and answers the column it will be. Its name is no input column's,
    /// or the optimizer would take one for the other when it moves member access towards the scan.
    fn compute(&mut self, expr: Expr) -> Expr {
        let name = format!("a{}", self.computed.len());
        self.computed.push(expr.alias(&name));
        Expr::Column(Column::new_unqualified(name))
    }
}

impl Query {
    pub(super) fn aggregate(
        &self,
        relation: &Arc<Relation>,
        input: &Arc<Relation>,
        keys: &[kql::Expr],
        aggregates: &[AggregateCall],
    ) -> Outcome<LogicalPlan> {
        let rows = self.ready(relation);
        let sequence = rows.as_ref().map(|_| column(types(input).len()));
        let plan = match rows {
            Some(rows) => rows_plan(&rows)?,
            None => self.lower(input)?,
        };
        let groups = keys
            .iter()
            .enumerate()
            .map(|(position, key)| Ok(self.expr(key)?.alias(format!("g{position}"))))
            .collect::<Outcome<Vec<_>>>()?;
        // Names that no column of the input has: see `Parts::compute`.
        let group = |position: usize| Expr::Column(Column::new_unqualified(format!("g{position}")));
        let mut parts = Parts::default();
        parts.outputs.extend((0..keys.len()).map(group));
        let mut outputs = types(relation).into_iter().skip(keys.len());
        for call in aggregates {
            let outputs: Vec<Type> = outputs.by_ref().take(call.outputs).collect();
            self.aggregate_call(call, &outputs, sequence.as_ref(), &mut parts)?;
        }
        let builder = LogicalPlanBuilder::new(plan);
        let plan = if parts.computed.is_empty() {
            let distinct = builder.project(groups).and_then(LogicalPlanBuilder::distinct);
            distinct.and_then(LogicalPlanBuilder::build).outcome()?
        } else {
            builder
                .aggregate(groups, parts.computed)
                .and_then(LogicalPlanBuilder::build)
                .outcome()?
        };
        let exprs = parts
            .outputs
            .into_iter()
            .zip(types(relation))
            .map(|(expr, kusto)| never_null(expr, kusto))
            .collect();
        project(plan, exprs)
    }

    fn aggregate_call(
        &self,
        call: &AggregateCall,
        outputs: &[Type],
        sequence: Option<&Expr>,
        parts: &mut Parts,
    ) -> Outcome<()> {
        let (function, condition) = plain(call)?;
        let filter = match condition {
            Some(at) => Some(Box::new(self.expr(&call.args[at])?)),
            None => None,
        };
        let mut args: Vec<&kql::Expr> = call.args.iter().collect();
        if let Some(at) = condition {
            args.remove(at);
        }
        if let Some((kind, taken)) = folded(function, &args)? {
            let gathered = match function {
                Aggregate::Hll => Some(self.gathered(&args[..1], sketch::hash_of, Type::Long)?),
                Aggregate::Tdigest => Some(self.gathered(&args, sketch::pair_of, Type::Dynamic)?),
                _ => None,
            };
            if let Some((value, of)) = gathered {
                let fold = Fold::new(kind, vec![of], outputs.to_vec());
                let udaf = Arc::new(AggregateUDF::new_from_impl(fold));
                let call =
                    AggregateFunction::new_udf(udaf, vec![value], false, filter, vec![], None);
                let computed = parts.compute(Expr::AggregateFunction(call));
                parts.outputs.push(computed);
                return Ok(());
            }
            return self.fold(kind, &args[..taken], outputs, (sequence, filter), parts);
        }
        let over = |udaf: Arc<AggregateUDF>, args: Vec<Expr>, distinct: bool| {
            let call =
                AggregateFunction::new_udf(udaf, args, distinct, filter.clone(), vec![], None);
            Expr::AggregateFunction(call)
        };
        if function == Aggregate::Avg
            && args.first().is_some_and(|arg| arg.expr_type == Type::Decimal)
        {
            let value = self.expr(args[0])?;
            let total = parts.compute(over(sum::sum_udaf(), vec![value.clone()], false));
            let rows = parts.compute(over(count::count_udaf(), vec![value], false));
            let types = vec![Type::Decimal, Type::Long];
            let mean = Call::kernel("mean", |cells, _| decimal_mean(cells), types, Type::Decimal);
            parts.outputs.push(mean.on(vec![total, rows]));
            return Ok(());
        }
        let (udaf, taken) = native(function)
            .ok_or_else(|| QueryError::unsupported(format!("aggregate {}()", function.name())))?;
        let taken_args = match taken {
            Taken::Rows => vec![lit(1i64)],
            Taken::Value | Taken::Distinct => vec![self.expr(args[0])?],
            Taken::Summed => vec![self.widened(args[0])?],
            Taken::Reals(count) => {
                args[..count].iter().map(|arg| self.real(arg)).collect::<Outcome<_>>()?
            }
        };
        let out = parts.compute(over(udaf, taken_args, taken == Taken::Distinct));
        parts.outputs.push(of_nothing(function, out, outputs));
        Ok(())
    }

    /// What a sketch keeps of each row.
    fn gathered(&self, args: &[&kql::Expr], kernel: Kernel, of: Type) -> Outcome<(Expr, Type)> {
        let types = args.iter().map(|arg| arg.expr_type).collect();
        let lowered = args.iter().map(|arg| self.expr(arg)).collect::<Outcome<Vec<_>>>()?;
        Ok((Call::kernel("sketch", kernel, types, of).on(lowered), of))
    }

    /// An int as a long, so that sums have room.
    fn widened(&self, arg: &kql::Expr) -> Outcome<Expr> {
        let value = self.expr(arg)?;
        Ok(if arg.expr_type == Type::Int { cast(value, arrow_type(Type::Long)) } else { value })
    }

    fn real(&self, arg: &kql::Expr) -> Outcome<Expr> {
        let value = self.expr(arg)?;
        if arg.expr_type != Type::Decimal {
            return Ok(cast(value, arrow_type(Type::Real)));
        }
        let converter = super::expr::converter(Type::Real);
        Ok(Call::kernel("to real", converter, vec![Type::Decimal], Type::Real).on(vec![value]))
    }

    fn fold(
        &self,
        kind: Kind,
        args: &[&kql::Expr],
        outputs: &[Type],
        (sequence, filter): (Option<&Expr>, Option<Box<Expr>>),
        parts: &mut Parts,
    ) -> Outcome<()> {
        let mut types: Vec<Type> = args.iter().map(|arg| arg.expr_type).collect();
        let mut lowered = args.iter().map(|arg| self.expr(arg)).collect::<Outcome<Vec<_>>>()?;
        if let (Some(sequence), Kind::List { .. } | Kind::Bag) = (sequence, &kind) {
            types.push(Type::Long);
            lowered.push(sequence.clone());
        }
        let fold = AggregateUDF::new_from_impl(Fold::new(kind, types, outputs.to_vec()));
        let call = AggregateFunction::new_udf(Arc::new(fold), lowered, false, filter, vec![], None);
        let computed = parts.compute(Expr::AggregateFunction(call));
        if outputs.len() == 1 {
            parts.outputs.push(computed);
        } else {
            let fields = (0..outputs.len()).map(|at| get_field(computed.clone(), format!("f{at}")));
            parts.outputs.extend(fields);
        }
        Ok(())
    }
}

/// What an aggregate of DataFusion's takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// Rows, whatever is in them.
    Rows,
    /// The first argument.
    Value,
    /// The first argument, each value once.
    Distinct,
    /// The first argument, widened.
    Summed,
    /// So many arguments as reals.
    Reals(usize),
}

/// DataFusion's aggregate where it has Kusto's rules.
fn native(function: Aggregate) -> Option<(Arc<AggregateUDF>, Taken)> {
    Some(match function {
        Aggregate::Count => (count::count_udaf(), Taken::Rows),
        Aggregate::Dcount | Aggregate::CountDistinct => (count::count_udaf(), Taken::Distinct),
        Aggregate::Sum => (sum::sum_udaf(), Taken::Summed),
        Aggregate::Avg => (average::avg_udaf(), Taken::Reals(1)),
        Aggregate::Min => (min_max::min_udaf(), Taken::Value),
        Aggregate::Max => (min_max::max_udaf(), Taken::Value),
        Aggregate::Stdev => (stddev::stddev_udaf(), Taken::Reals(1)),
        Aggregate::StdevP => (stddev::stddev_pop_udaf(), Taken::Reals(1)),
        Aggregate::Variance => (variance::var_samp_udaf(), Taken::Reals(1)),
        Aggregate::VarianceP => (variance::var_pop_udaf(), Taken::Reals(1)),
        Aggregate::Covariance => (covariance::covar_samp_udaf(), Taken::Reals(2)),
        Aggregate::CovarianceP => (covariance::covar_pop_udaf(), Taken::Reals(2)),
        Aggregate::BinaryAllAnd => (bit_and_or_xor::bit_and_udaf(), Taken::Value),
        Aggregate::BinaryAllOr => (bit_and_or_xor::bit_or_udaf(), Taken::Value),
        Aggregate::BinaryAllXor => (bit_and_or_xor::bit_xor_udaf(), Taken::Value),
        _ => return None,
    })
}

/// What an aggregate answers where there is no value: sums and spreads are zero, a mean of numbers
/// is zero divided by zero.
/// <https://learn.microsoft.com/kusto/query/summarize-operator#default-values-of-aggregations>
fn of_nothing(function: Aggregate, computed: Expr, outputs: &[Type]) -> Expr {
    let Some(kusto) = outputs.first().copied() else { return computed };
    let kernel: Kernel = match function {
        Aggregate::Avg if kusto == Type::Real => |cells, _| match &cells[0] {
            Cell::Null => Cell::Real(f64::NAN),
            mean => mean.clone(),
        },
        Aggregate::Sum if kusto == Type::Decimal => |cells, _| match &cells[0] {
            Cell::Null => Cell::Decimal(crate::decimal::from_long(0)),
            sum => sum.clone(),
        },
        Aggregate::Sum
        | Aggregate::Variance
        | Aggregate::VarianceP
        | Aggregate::Stdev
        | Aggregate::StdevP => match kusto {
            Type::Real => |cells, _| Cell::Real(cells[0].as_real().unwrap_or(0.0)),
            _ => |cells, _| Cell::Long(cells[0].as_long().unwrap_or(0)),
        },
        _ => return computed,
    };
    let name = format!("{} or zero", function.name());
    Call::kernel(name, kernel, vec![kusto], kusto).on(vec![computed])
}

/// A string is never null.
pub(super) fn never_null(expr: Expr, kusto: Type) -> Expr {
    if kusto != Type::String {
        return expr;
    }
    let call = Call::kernel(
        "text or empty",
        |cells, _| cells[0].clone(),
        vec![Type::String],
        Type::String,
    );
    call.on(vec![expr])
}

/// The aggregate without its condition, and where the condition stands among the arguments.
fn plain(call: &AggregateCall) -> Outcome<(Aggregate, Option<usize>)> {
    Ok(match call.function {
        Aggregate::AvgIf => (Aggregate::Avg, Some(1)),
        Aggregate::CountDistinctIf => (Aggregate::CountDistinct, Some(1)),
        Aggregate::CountIf => (Aggregate::Count, Some(0)),
        Aggregate::CovarianceIf => (Aggregate::Covariance, Some(2)),
        Aggregate::CovariancePIf => (Aggregate::CovarianceP, Some(2)),
        Aggregate::DcountIf => (Aggregate::Dcount, Some(1)),
        Aggregate::HllIf => (Aggregate::Hll, Some(1)),
        Aggregate::MakeBagIf => (Aggregate::MakeBag, Some(1)),
        Aggregate::MakeListIf => (Aggregate::MakeList, Some(1)),
        Aggregate::MakeSetIf => (Aggregate::MakeSet, Some(1)),
        Aggregate::MaxIf => (Aggregate::Max, Some(1)),
        Aggregate::MinIf => (Aggregate::Min, Some(1)),
        Aggregate::StdevIf => (Aggregate::Stdev, Some(1)),
        Aggregate::StdevPIf => (Aggregate::StdevP, Some(1)),
        Aggregate::SumIf => (Aggregate::Sum, Some(1)),
        Aggregate::TakeAnyIf => (Aggregate::TakeAny, Some(1)),
        Aggregate::VarianceIf => (Aggregate::Variance, Some(1)),
        Aggregate::VariancePIf => (Aggregate::VarianceP, Some(1)),
        other => (other, None),
    })
}

/// The fold of an aggregate that needs one, and how many arguments it takes.
fn folded(function: Aggregate, args: &[&kql::Expr]) -> Outcome<Option<(Kind, usize)>> {
    let kusto = args.first().map(|arg| arg.expr_type);
    let list = |is_set: bool, keeps_nulls: bool| -> Outcome<_> {
        let most = match args.get(1) {
            None => LIST_MAX,
            Some(most) => match most.as_literal().and_then(kql::Value::as_long) {
                Some(most) => usize::try_from(most).unwrap_or(LIST_MAX).min(LIST_MAX),
                None => return Err(QueryError::unsupported("a size that is not a constant")),
            },
        };
        Ok(Some((Kind::List { most, keeps_nulls, is_set, flattens: !is_set }, 1)))
    };
    match function {
        Aggregate::MakeList => list(false, false),
        Aggregate::MakeListWithNulls => list(false, true),
        Aggregate::MakeSet => list(true, false),
        Aggregate::MakeBag => Ok(Some((Kind::Bag, 1))),
        Aggregate::BuildSchema => Ok(Some((Kind::Schema, 1))),
        // The sketches are exact: see `kernels::sketch`.
        Aggregate::Hll | Aggregate::HllMerge => {
            let most = usize::MAX;
            Ok(Some((Kind::List { most, keeps_nulls: false, is_set: true, flattens: false }, 1)))
        }
        Aggregate::Tdigest => {
            let most = usize::MAX;
            Ok(Some((Kind::List { most, keeps_nulls: false, is_set: false, flattens: false }, 1)))
        }
        Aggregate::TdigestMerge => Ok(Some((Kind::Concat, 1))),
        Aggregate::ArgMax => Ok(Some((Kind::Extreme { is_max: true }, args.len()))),
        Aggregate::ArgMin => Ok(Some((Kind::Extreme { is_max: false }, args.len()))),
        Aggregate::TakeAny => Ok(Some((Kind::Any, args.len()))),
        Aggregate::Max if kusto == Some(Type::Real) => {
            Ok(Some((Kind::ExtremeReal { is_max: true }, 1)))
        }
        Aggregate::Min if kusto == Some(Type::Real) => {
            Ok(Some((Kind::ExtremeReal { is_max: false }, 1)))
        }
        Aggregate::Avg if matches!(kusto, Some(Type::Timespan | Type::Datetime)) => {
            Ok(Some((Kind::MeanTicks, 1)))
        }
        Aggregate::Percentile | Aggregate::Percentiles => percentiles(args, 1, false),
        Aggregate::PercentilesArray => percentiles(args, 1, true),
        Aggregate::PercentileW | Aggregate::PercentilesW => percentiles(args, 2, false),
        Aggregate::PercentilesWArray => percentiles(args, 2, true),
        _ => Ok(None),
    }
}

fn percentiles(
    args: &[&kql::Expr],
    taken: usize,
    is_array: bool,
) -> Outcome<Option<(Kind, usize)>> {
    let mut at = Vec::new();
    for arg in args.iter().skip(taken) {
        let Some(value) = arg.as_literal() else {
            return Err(QueryError::unsupported("a percentage that is not a constant"));
        };
        match super::expr::cell(value) {
            Cell::Dynamic(json) => {
                at.extend(crate::json::elements(&json).filter_map(|p| p.parse::<f64>().ok()))
            }
            other => at.extend(other.as_real()),
        }
    }
    Ok(Some((Kind::Percentiles { at, is_array }, taken)))
}
