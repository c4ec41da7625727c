//! Scalar expressions.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator, cast};
use kql::{
    BinaryOp, ExprKind, Function, PathStep, QueryError, QueryErrorKind, TextOp, Type, Value,
};

use super::{Query, column, literal};
use crate::call::{Call, Compute};
use crate::cell::{Cell, Reader, arrow_type};
use crate::convert::{compare, convert, scalar};
use crate::error::{IntoOutcome, Outcome};
use crate::json::{self, Step};
use crate::kernels::{self, Scratch};
use crate::search::Search;
use crate::{decimal, text};

/// Most terms of `has_any` that are looked for one by one.
const SEARCHES_MAX: usize = 32;

/// A constant of the query as a cell.
pub(crate) fn cell(value: &Value) -> Cell<'_> {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Bool(*value),
        Value::Int(value) => Cell::Long(i64::from(*value)),
        Value::Long(value) => Cell::Long(*value),
        Value::Real(value) => Cell::Real(*value),
        Value::Decimal(value) => Cell::or_null(decimal::from_value(*value), Cell::Decimal),
        Value::Datetime(ticks) => Cell::Datetime(*ticks),
        Value::Timespan(ticks) => Cell::Timespan(*ticks),
        Value::Guid(bits) => Cell::Guid(kql::format_guid(*bits).into()),
        Value::String(text) => Cell::text(text.as_str()),
        Value::Dynamic(json) => Cell::dynamic(json.as_str()),
    }
}

/// A random whole number, at least zero and below the argument.
fn random_below() -> Call {
    let compute: Compute = Arc::new(|args: &[Cell<'_>], _: &Scratch| {
        let below = args[0].as_real().filter(|below| *below >= 1.0);
        Cell::or_null(below, |below| Cell::Real((unit_random() * below).floor()))
    });
    Call::new("rand_below", compute, vec![Type::Long], Type::Real).volatile()
}

/// A random number below one.
pub(super) fn random() -> Call {
    let compute: Compute = Arc::new(|_: &[Cell<'_>], _: &Scratch| Cell::Real(unit_random()));
    Call::new("rand", compute, Vec::new(), Type::Real).volatile()
}

/// The hasher of the standard library is seeded anew each time.
fn random_bits() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0u8)
}

fn unit_random() -> f64 {
    (random_bits() >> 11) as f64 / (1u64 << 53) as f64
}

impl Query {
    /// An expression whose null counts as false, so that it can be pushed down.
    pub(super) fn predicate(&self, expr: &kql::Expr) -> Outcome<Expr> {
        if let ExprKind::Binary(op, left, right) = &expr.kind {
            let is_plain = !matches!(left.expr_type, Type::Real | Type::Dynamic);
            match op {
                BinaryOp::And => return Ok(self.predicate(left)?.and(self.predicate(right)?)),
                BinaryOp::Or => return Ok(self.predicate(left)?.or(self.predicate(right)?)),
                BinaryOp::Equal if is_plain => {
                    return Ok(native(self.expr(left)?, Operator::Eq, self.expr(right)?));
                }
                BinaryOp::NotEqual if is_plain => {
                    let (left, right) = (self.expr(left)?, self.expr(right)?);
                    return Ok(native(left, Operator::IsDistinctFrom, right));
                }
                _ => {}
            }
        }
        self.expr(expr)
    }

    /// An expression.
    pub(super) fn expr(&self, expr: &kql::Expr) -> Outcome<Expr> {
        let result = expr.expr_type;
        match &expr.kind {
            ExprKind::Literal(value) => literal(&cell(value), result),
            ExprKind::Column(position) => Ok(column(*position)),
            ExprKind::Convert(inner) => self.conversion(inner, result),
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right, result),
            ExprKind::Negate(inner) => {
                let call = Call::kernel("negate", kernels::negate, vec![inner.expr_type], result);
                Ok(call.on(vec![self.expr(inner)?]))
            }
            ExprKind::Text { op, case_sensitive, negated, left, right } => {
                if let Some(search) = search(*op, *case_sensitive, *negated, (left, right)) {
                    return Ok(search.of(self.expr(left)?));
                }
                let compute = text_compute(*op, *case_sensitive, *negated, right)?;
                let name = format!("{op:?} {case_sensitive} {negated} {:?}", right.as_literal());
                self.call_on(name, compute, &[left, right], Type::Bool)
            }
            ExprKind::In { expr, items, case_sensitive, negated } => {
                self.in_list(expr, items, *case_sensitive, *negated)
            }
            ExprKind::InRelation { expr, relation, case_sensitive, negated } => {
                let set = self.set(relation, *case_sensitive)?;
                self.in_set(expr, set, *case_sensitive, *negated)
            }
            ExprKind::HasAny { expr, items, all } => {
                if let Some(searches) = searches(expr, items) {
                    return self.each_of(expr, searches, *all);
                }
                let all = *all;
                let compute: Compute = Arc::new(move |cells: &[Cell<'_>], _: &Scratch| {
                    let text = cells[0].str();
                    let has = |term: &str| text::test(TextOp::Has, false, text, term);
                    let terms = expanded(&cells[1..]);
                    let mut found = terms.iter().map(|term| has(&crate::convert::to_text(term)));
                    Cell::Bool(if all { found.all(|hit| hit) } else { found.any(|hit| hit) })
                });
                let args: Vec<&kql::Expr> = std::iter::once(&**expr).chain(items).collect();
                self.call_on(format!("has_any {all}"), compute, &args, Type::Bool)
            }
            ExprKind::Between { expr, low, high, negated } => {
                let inside = self
                    .binary(BinaryOp::GreaterOrEqual, expr, low, Type::Bool)?
                    .and(self.binary(BinaryOp::LessOrEqual, expr, high, Type::Bool)?);
                Ok(if *negated { Expr::Not(Box::new(inside)) } else { inside })
            }
            ExprKind::Member { object, path } => self.member(object, path),
            ExprKind::Case { branches, otherwise } => {
                let mut when_then = Vec::with_capacity(branches.len());
                for (when, then) in branches {
                    when_then.push((Box::new(self.expr(when)?), Box::new(self.expr(then)?)));
                }
                let otherwise = Some(Box::new(self.expr(otherwise)?));
                Ok(Expr::Case(Case::new(None, when_then, otherwise)))
            }
            ExprKind::Call { function, args } => self.function(*function, args, result),
            ExprKind::Scalar(relation) => {
                let rows = self.subquery(relation)?;
                let first = rows.batches.iter().find(|batch| batch.num_rows() > 0);
                let Some(batch) = first else { return literal(&Cell::Null, result) };
                let cell = Reader::new(batch.column(0), result).outcome()?.get(0);
                literal(&cell, result)
            }
            _ => Err(QueryError::unsupported("this kind of expression")),
        }
    }

    /// All or any of some searches of one text.
    fn each_of(&self, expr: &kql::Expr, searches: Vec<Search>, all: bool) -> Outcome<Expr> {
        let text = self.expr(expr)?;
        let searches = searches.into_iter().map(|search| search.of(text.clone()));
        let whole = searches.reduce(|one, other| if all { one.and(other) } else { one.or(other) });
        whole.map_or_else(|| literal(&Cell::Bool(all), Type::Bool), Ok)
    }

    fn call_on(
        &self,
        name: String,
        compute: Compute,
        args: &[&kql::Expr],
        result: Type,
    ) -> Outcome<Expr> {
        let types = args.iter().map(|arg| arg.expr_type).collect();
        let args = args.iter().map(|arg| self.expr(arg)).collect::<Outcome<Vec<_>>>()?;
        Ok(Call::new(name, compute, types, result).on(args))
    }

    fn conversion(&self, inner: &kql::Expr, to: Type) -> Outcome<Expr> {
        let from = inner.expr_type;
        let arg = self.expr(inner)?;
        Ok(match (from, to) {
            (from, to) if from == to => arg,
            (Type::Int, Type::Long) | (Type::Int | Type::Long, Type::Real) => {
                cast(arg, arrow_type(to))
            }
            _ => Call::kernel(format!("to {to}"), converter(to), vec![from], to).on(vec![arg]),
        })
    }

    fn binary(
        &self,
        op: BinaryOp,
        left: &kql::Expr,
        right: &kql::Expr,
        result: Type,
    ) -> Outcome<Expr> {
        let (a, b) = (self.expr(left)?, self.expr(right)?);
        let kusto = left.expr_type;
        let is_same = kusto == right.expr_type;
        let is_exact = is_same && !matches!(kusto, Type::Real | Type::Dynamic);
        let is_number = is_same && kusto == result && matches!(kusto, Type::Long | Type::Real);
        Ok(match op {
            BinaryOp::And => a.and(b),
            BinaryOp::Or => a.or(b),
            BinaryOp::Equal if is_same && kusto == Type::String => native(a, Operator::Eq, b),
            BinaryOp::NotEqual if is_same && kusto == Type::String => native(a, Operator::NotEq, b),
            BinaryOp::Less if is_exact => native(a, Operator::Lt, b),
            BinaryOp::LessOrEqual if is_exact => native(a, Operator::LtEq, b),
            BinaryOp::Greater if is_exact => native(a, Operator::Gt, b),
            BinaryOp::GreaterOrEqual if is_exact => native(a, Operator::GtEq, b),
            BinaryOp::Add if is_number => native(a, Operator::Plus, b),
            BinaryOp::Subtract if is_number => native(a, Operator::Minus, b),
            BinaryOp::Multiply if is_number => native(a, Operator::Multiply, b),
            _ => {
                let kernel = kernels::binary(op)
                    .ok_or_else(|| QueryError::unsupported(format!("operator {op:?}")))?;
                let types = vec![kusto, right.expr_type];
                Call::kernel(format!("{op:?}"), kernel, types, result).on(vec![a, b])
            }
        })
    }

    fn in_list(
        &self,
        expr: &kql::Expr,
        items: &[kql::Expr],
        case_sensitive: bool,
        negated: bool,
    ) -> Outcome<Expr> {
        let constants: Option<Vec<Cell<'static>>> = items
            .iter()
            .map(|item| item.as_literal().map(|value| cell(value).into_owned()))
            .collect();
        if let Some(constants) = constants {
            let constants = expanded(&constants);
            if expr.expr_type == Type::String && case_sensitive {
                let list = constants
                    .iter()
                    .map(|item| literal(&Cell::Text(crate::convert::to_text(item)), Type::String))
                    .collect::<Outcome<Vec<_>>>()?;
                return Ok(self.expr(expr)?.in_list(list, negated));
            }
            let set = Arc::new(Set::new(constants.into_iter(), case_sensitive));
            return self.in_set(expr, set, case_sensitive, negated);
        }
        let compute: Compute = Arc::new(move |cells: &[Cell<'_>], _: &Scratch| {
            let set = Set::new(expanded(&cells[1..]).into_iter(), case_sensitive);
            Cell::Bool(set.contains(&cells[0], case_sensitive) != negated)
        });
        let args: Vec<&kql::Expr> = std::iter::once(expr).chain(items).collect();
        self.call_on(format!("in {case_sensitive} {negated}"), compute, &args, Type::Bool)
    }

    fn in_set(
        &self,
        expr: &kql::Expr,
        set: Arc<Set>,
        case_sensitive: bool,
        negated: bool,
    ) -> Outcome<Expr> {
        let name = format!("in {case_sensitive} {negated} {:p}", Arc::as_ptr(&set));
        let compute: Compute = Arc::new(move |cells: &[Cell<'_>], _: &Scratch| {
            Cell::Bool(set.contains(&cells[0], case_sensitive) != negated)
        });
        self.call_on(name, compute, &[expr], Type::Bool)
    }

    /// The values of a subquery of one column.
    fn set(&self, relation: &Arc<kql::Relation>, case_sensitive: bool) -> Outcome<Arc<Set>> {
        let rows = self.subquery(relation)?;
        let kusto =
            relation.schema.columns.first().map_or(Type::Dynamic, |column| column.column_type);
        let mut cells = Vec::new();
        for batch in &rows.batches {
            let reader = Reader::new(batch.column(0), kusto).outcome()?;
            cells.extend((0..batch.num_rows()).map(|row| reader.get(row).into_owned()));
        }
        Ok(Arc::new(Set::new(expanded(&cells).into_iter(), case_sensitive)))
    }

    fn subquery(&self, relation: &Arc<kql::Relation>) -> Outcome<Arc<super::Rows>> {
        self.subrows(relation).ok_or_else(|| {
            QueryError::new(QueryErrorKind::Internal, "a subquery was not run before the query")
        })
    }

    /// Static steps through the text of `parse_json` become one scan of it.
    fn member(&self, object: &kql::Expr, path: &[PathStep]) -> Outcome<Expr> {
        let Some((source, steps)) = fused(object, path) else {
            return self.computed_member(object, path);
        };
        if source.expr_type == Type::String {
            let source = self.expr(source)?;
            let group = self.group(&source);
            return Ok(group.extract(source, steps));
        }
        let compute: Compute = {
            let steps = steps.clone();
            Arc::new(move |cells: &[Cell<'_>], _: &Scratch| follow(&cells[0], &steps).into_owned())
        };
        self.call_on(format!("member {steps:?}"), compute, &[source], Type::Dynamic)
    }

    fn computed_member(&self, object: &kql::Expr, path: &[PathStep]) -> Outcome<Expr> {
        let mut args = vec![object];
        let mut plan: Vec<Option<Step>> = Vec::new();
        for step in path {
            match step {
                PathStep::Key(key) => plan.push(Some(Step::Member(key.to_string()))),
                PathStep::Index(index) => plan.push(Some(Step::Element(*index))),
                PathStep::Computed(expr) => {
                    plan.push(None);
                    args.push(expr);
                }
            }
        }
        let name = format!("member {plan:?}");
        let compute: Compute = Arc::new(move |cells: &[Cell<'_>], _: &Scratch| {
            let mut computed = cells[1..].iter();
            let mut steps = Vec::with_capacity(plan.len());
            for step in &plan {
                let step = match step {
                    Some(step) => Some(step.clone()),
                    None => computed.next().and_then(dynamic_step),
                };
                let Some(step) = step else { return Cell::Null };
                steps.push(step);
            }
            follow(&cells[0], &steps).into_owned()
        });
        self.call_on(name, compute, &args, Type::Dynamic)
    }

    fn function(&self, function: Function, args: &[kql::Expr], result: Type) -> Outcome<Expr> {
        if let Some(constant) = self.context(function, args)? {
            return Ok(constant);
        }
        let kernel = kernels::kernel(function).ok_or_else(|| refused(function))?;
        if let Some(pattern) = kernels::is_pattern(function).and_then(|at| args.get(at))
            && let Some(text) = pattern.as_literal().and_then(Value::as_str)
        {
            check_regex(text)?;
        }
        self.check_words(function, args)?;
        let named = args.iter().skip(1).filter_map(|arg| arg.as_literal().and_then(Value::as_str));
        if let Some(unit) = named.into_iter().find(|unit| !kernels::units::knows(function, unit)) {
            let what = format!("the unit '{unit}' of {}()", function.name());
            return Err(QueryError::unsupported(what));
        }
        let types: Vec<Type> = args.iter().map(|arg| arg.expr_type).collect();
        let lowered = args.iter().map(|arg| self.expr(arg)).collect::<Outcome<Vec<_>>>()?;
        let is_text =
            matches!(function, Function::Extract | Function::ExtractJson) && result != Type::String;
        let own = if is_text { Type::String } else { result };
        let mut call = Call::kernel(function.name(), kernel, types, own);
        if function.propagates_null() {
            call = call.propagating_null();
        }
        let value = call.on(lowered);
        if is_text {
            let call =
                Call::kernel(format!("to {result}"), converter(result), vec![Type::String], result);
            return Ok(call.on(vec![value]));
        }
        Ok(value)
    }

    /// What depends on the query rather than on rows.
    fn context(&self, function: Function, args: &[kql::Expr]) -> Outcome<Option<Expr>> {
        let now = literal(&Cell::Datetime(self.surroundings.now_ticks), Type::Datetime)?;
        let shifted = |op: BinaryOp, by: &kql::Expr| -> Outcome<Option<Expr>> {
            let kernel = kernels::binary(op).ok_or_else(|| QueryError::unsupported("ago()"))?;
            let call = Call::kernel(
                format!("{op:?}"),
                kernel,
                vec![Type::Datetime, Type::Timespan],
                Type::Datetime,
            );
            Ok(Some(call.on(vec![now.clone(), self.expr(by)?])))
        };
        let text = |text: &str| literal(&Cell::text(text.to_owned()), Type::String).map(Some);
        match (function, args) {
            (Function::Now, []) => Ok(Some(now)),
            (Function::Now, [by]) => shifted(BinaryOp::Add, by),
            (Function::Ago, [by]) => shifted(BinaryOp::Subtract, by),
            (Function::Assert, [condition, message]) => {
                self.assertion(condition, message)?;
                literal(&Cell::Bool(true), Type::Bool).map(Some)
            }
            (Function::CurrentDatabase, _) => text(&self.surroundings.database),
            (Function::CurrentPrincipal, _) => text(&self.surroundings.principal),
            (Function::Rand, []) => Ok(Some(random().on(Vec::new()))),
            (Function::Rand, [below]) => Ok(Some(random_below().on(vec![self.expr(below)?]))),
            (Function::NewGuid, _) => {
                let compute: Compute = Arc::new(|_: &[Cell<'_>], _: &Scratch| {
                    let bits = u128::from(random_bits()) << 64 | u128::from(random_bits());
                    let version = bits & !(0xF000 << 64) & !(0xC << 60) | 0x4000 << 64 | 0x8 << 60;
                    Cell::Guid(kql::format_guid(version).into())
                });
                Ok(Some(
                    Call::new("new_guid", compute, Vec::new(), Type::Guid)
                        .volatile()
                        .on(Vec::new()),
                ))
            }
            _ => Ok(None),
        }
    }
}

/// A function without a kernel; the one most like it may be meant.
fn refused(function: Function) -> QueryError {
    let name = function.name();
    let mut text = format!("function {name}() is not supported by this engine");
    if let Some(near) = kql::nearest_function(name, crate::reference::runs) {
        text.push_str(&format!("; the nearest that is: {near}()"));
    }
    QueryError::new(QueryErrorKind::Unsupported, text)
}

fn native(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// The kernel that converts to a type.
pub(super) fn converter(to: Type) -> kernels::Kernel {
    match to {
        Type::Bool => |cells, _| convert(&cells[0], Type::Bool),
        Type::Int => |cells, _| convert(&cells[0], Type::Int),
        Type::Long => |cells, _| convert(&cells[0], Type::Long),
        Type::Real => |cells, _| convert(&cells[0], Type::Real),
        Type::Decimal => |cells, _| convert(&cells[0], Type::Decimal),
        Type::Datetime => |cells, _| convert(&cells[0], Type::Datetime),
        Type::Timespan => |cells, _| convert(&cells[0], Type::Timespan),
        Type::Guid => |cells, _| convert(&cells[0], Type::Guid),
        Type::String => |cells, _| convert(&cells[0], Type::String),
        Type::Dynamic => |cells, _| convert(&cells[0], Type::Dynamic),
    }
}

/// Fails for what is not a regular expression.
pub(super) fn check_regex(pattern: &str) -> Outcome<regex::Regex> {
    kernels::compile(pattern).map_err(|error| {
        let text = format!("invalid regular expression '{pattern}': {error}");
        QueryError::new(QueryErrorKind::Evaluation, text)
    })
}

/// The search for a constant in a string.
fn search(
    op: TextOp,
    case_sensitive: bool,
    negated: bool,
    (left, right): (&kql::Expr, &kql::Expr),
) -> Option<Search> {
    let pattern = right.as_literal().and_then(Value::as_str)?;
    let is_plain = !matches!(op, TextOp::MatchesRegex | TextOp::Like);
    (is_plain && left.expr_type == Type::String)
        .then(|| Search::new(op, case_sensitive, negated, pattern.to_owned()))
}

/// The searches of `has_any` and `has_all` for a few constants.
fn searches(expr: &kql::Expr, items: &[kql::Expr]) -> Option<Vec<Search>> {
    let constants: Option<Vec<Cell<'_>>> =
        items.iter().map(|item| item.as_literal().map(cell)).collect();
    let constants = constants.filter(|_| expr.expr_type == Type::String)?;
    let terms = expanded(&constants);
    (terms.len() <= SEARCHES_MAX).then(|| {
        let term = |term: &Cell<'_>| crate::convert::to_text(term).into_owned();
        terms.iter().map(|found| Search::new(TextOp::Has, false, false, term(found))).collect()
    })
}

fn text_compute(
    op: TextOp,
    case_sensitive: bool,
    negated: bool,
    right: &kql::Expr,
) -> Outcome<Compute> {
    let constant = right.as_literal().and_then(Value::as_str);
    let pattern_of = move |pattern: &str| match op {
        TextOp::Like => text::like_pattern(pattern, case_sensitive),
        _ => pattern.to_owned(),
    };
    if !matches!(op, TextOp::MatchesRegex | TextOp::Like) {
        return Ok(Arc::new(move |cells: &[Cell<'_>], _: &Scratch| {
            Cell::Bool(text::test(op, case_sensitive, cells[0].str(), cells[1].str()) != negated)
        }));
    }
    if let Some(constant) = constant {
        let regex = check_regex(&pattern_of(constant))?;
        return Ok(Arc::new(move |cells: &[Cell<'_>], _: &Scratch| {
            Cell::Bool(regex.is_match(cells[0].str()) != negated)
        }));
    }
    Ok(Arc::new(move |cells: &[Cell<'_>], scratch: &Scratch| {
        let regex = scratch.regex(&pattern_of(cells[1].str()));
        Cell::Bool(regex.is_some_and(|regex| regex.is_match(cells[0].str())) != negated)
    }))
}

/// The source of a path through nested members and `parse_json` calls, and its steps.
fn fused<'e>(object: &'e kql::Expr, path: &[PathStep]) -> Option<(&'e kql::Expr, Vec<Step>)> {
    let mut steps = Vec::with_capacity(path.len());
    for step in path {
        steps.push(match step {
            PathStep::Key(key) => Step::Member(key.to_string()),
            PathStep::Index(index) if *index >= 0 => Step::Element(*index),
            _ => return None,
        });
    }
    match &object.kind {
        ExprKind::Member { object: inner, path } => {
            let (source, mut all) = fused(inner, path)?;
            all.extend(steps);
            Some((source, all))
        }
        ExprKind::Call { function: Function::ParseJson, args } => match args.first()? {
            // parse_json of a dynamic value is that value.
            arg if arg.expr_type == Type::Dynamic => match &arg.kind {
                ExprKind::Member { object, path } => {
                    let (source, mut all) = fused(object, path)?;
                    all.extend(steps);
                    Some((source, all))
                }
                _ => Some((arg, steps)),
            },
            arg => Some((arg, steps)),
        },
        _ => Some((object, steps)),
    }
}

fn follow<'a>(cell: &Cell<'a>, steps: &[Step]) -> Cell<'a> {
    let Cell::Dynamic(text) = cell else { return Cell::Null };
    match json::follow(text, steps) {
        Some(found) => Cell::dynamic(found.to_owned()),
        None => Cell::Null,
    }
}

fn dynamic_step(cell: &Cell<'_>) -> Option<Step> {
    match cell {
        Cell::Text(key) => Some(Step::Member(key.to_string())),
        Cell::Dynamic(json) => match scalar(json) {
            Cell::Dynamic(_) => None,
            inner => dynamic_step(&inner),
        },
        other => other.as_long().map(Step::Element),
    }
}

/// Dynamic arrays among the cells are replaced by their elements.
fn expanded<'s>(cells: &'s [Cell<'_>]) -> Vec<Cell<'s>> {
    let mut out = Vec::with_capacity(cells.len());
    for cell in cells {
        match cell {
            Cell::Dynamic(json) if json::shape(json) == json::Shape::Array => {
                out.extend(json::elements(json).map(scalar));
            }
            Cell::Dynamic(json) => out.push(scalar(json)),
            other => out.push(other.clone()),
        }
    }
    out
}

/// Values to be found again: texts by hash, others by comparison.
#[derive(Debug, Default)]
pub(super) struct Set {
    texts: HashSet<String>,
    longs: HashSet<i64>,
    others: Vec<Cell<'static>>,
}

impl Set {
    fn new<'s>(cells: impl Iterator<Item = Cell<'s>>, case_sensitive: bool) -> Self {
        let mut set = Self::default();
        for cell in cells {
            match &cell {
                Cell::Null => {}
                Cell::Text(text) | Cell::Guid(text) if case_sensitive => {
                    set.texts.insert(text.to_string());
                }
                Cell::Text(text) | Cell::Guid(text) => {
                    set.texts.insert(text::lower(text).into_owned());
                }
                Cell::Long(number) | Cell::Datetime(number) | Cell::Timespan(number) => {
                    set.longs.insert(*number);
                }
                other => set.others.push(other.clone().into_owned()),
            }
        }
        set
    }

    fn contains(&self, cell: &Cell<'_>, case_sensitive: bool) -> bool {
        match cell {
            Cell::Null => false,
            Cell::Text(text) | Cell::Guid(text) if case_sensitive => self.texts.contains(&**text),
            Cell::Text(text) | Cell::Guid(text) => self.texts.contains(&*text::lower(text)),
            Cell::Long(number) | Cell::Datetime(number) | Cell::Timespan(number) => {
                self.longs.contains(number)
                    || self
                        .others
                        .iter()
                        .any(|other| compare(cell, other) == Some(std::cmp::Ordering::Equal))
            }
            Cell::Dynamic(json) => match scalar(json) {
                Cell::Dynamic(_) => self
                    .others
                    .iter()
                    .any(|other| matches!(other, Cell::Dynamic(known) if known == json)),
                inner => self.contains(&inner, case_sensitive),
            },
            other => {
                let number = other.as_real().filter(|number| number.fract() == 0.0);
                number.is_some_and(|number| self.longs.contains(&(number as i64)))
                    || self
                        .others
                        .iter()
                        .any(|known| compare(other, known) == Some(std::cmp::Ordering::Equal))
            }
        }
    }
}
