//! Whatever binds yields a plan that keeps its promises: columns are there, types fit, names are
//! unique. Shown on every public example, and on examples with words taken out, doubled and moved.

use std::collections::HashSet;
use std::sync::Arc;

use super::conformance::{examples, tables};
use crate::lexer::{Token, lex};
use crate::{
    Compiled, Expr, ExprKind, FoundColumn, Gathering, Options, Plan, RelKind, Relation, Schema,
    Type, compile, compile_with,
};

/// Changed texts made of each example; `KQL_CHANGES=1000` makes more.
const CHANGES: u64 = 12;

fn check_plan(plan: &Plan) -> Result<(), String> {
    plan.results.iter().try_for_each(|result| check(&result.relation))
}

fn check(relation: &Arc<Relation>) -> Result<(), String> {
    let schema = &relation.schema;
    let mut names = HashSet::new();
    if let Some(twice) = schema.columns.iter().find(|column| !names.insert(&column.name)) {
        return Err(format!("the column {} stands twice", twice.name));
    }
    for input in inputs(&relation.kind) {
        check(input)?;
    }
    match &relation.kind {
        RelKind::Project { input, columns } => {
            let wanted = schema.columns.iter().map(|column| column.column_type);
            if !columns.iter().map(|expr| expr.expr_type).eq(wanted) {
                return Err(format!("a projection has other types than {schema}"));
            }
            columns.iter().try_for_each(|expr| check_expr(expr, &input.schema))
        }
        RelKind::Filter { input, predicate } => {
            if predicate.expr_type != Type::Bool || input.schema != *schema {
                return Err("a filter changes its rows".to_owned());
            }
            check_expr(predicate, &input.schema)
        }
        RelKind::Aggregate { input, keys, aggregates } => {
            let outputs: usize = aggregates.iter().map(|call| call.outputs).sum();
            if keys.len() + outputs != schema.len() {
                return Err(format!("an aggregate has other columns than {schema}"));
            }
            let args = aggregates.iter().flat_map(|call| &call.args);
            keys.iter().chain(args).try_for_each(|expr| check_expr(expr, &input.schema))
        }
        RelKind::Sort { input, keys } => {
            keys.iter().try_for_each(|key| check_expr(&key.expr, &input.schema))
        }
        RelKind::Join { left, right, on, .. } => on.iter().try_for_each(|pair| {
            check_expr(&pair.left, &left.schema)?;
            check_expr(&pair.right, &right.schema)?;
            let same = pair.left.expr_type == pair.right.expr_type;
            if same { Ok(()) } else { Err("a join of different types".to_owned()) }
        }),
        RelKind::Union { inputs } => {
            let same = inputs.iter().all(|input| input.schema == *schema);
            if same { Ok(()) } else { Err("a union of different rows".to_owned()) }
        }
        RelKind::Values { rows } => {
            let fits = rows.iter().all(|row| row.len() == schema.len());
            if fits { Ok(()) } else { Err("constant rows of another width".to_owned()) }
        }
        RelKind::Gathered { inputs, work: Gathering::Series(work) } => {
            let arrays = inputs[0].schema.len() - work.keys - 1;
            if work.defaults.len() != arrays || schema.len() != work.keys + arrays + 1 {
                return Err(format!("a series has other columns than {schema}"));
            }
            work_exprs(&relation.kind)
                .iter()
                .try_for_each(|expr| check_expr(expr, &Schema::default()))
        }
        RelKind::Gathered { inputs, work: Gathering::GraphMatch(work) } => {
            let [nodes, edges] = &inputs[..] else { return Err("a graph of two tables".into()) };
            let fits = work.outputs.len() == schema.len()
                && work.nodes.iter().flatten().all(|at| *at < nodes.schema.len())
                && work
                    .edges
                    .iter()
                    .flat_map(|edge| &edge.filters)
                    .all(|at| *at < edges.schema.len());
            if fits { Ok(()) } else { Err("a pattern over columns that are not there".to_owned()) }
        }
        _ => Ok(()),
    }
}

fn work_exprs(kind: &RelKind) -> Vec<&Expr> {
    match kind {
        RelKind::Gathered { work, .. } => work.expressions(),
        _ => Vec::new(),
    }
}

fn inputs(kind: &RelKind) -> Vec<&Arc<Relation>> {
    match kind {
        RelKind::Filter { input, .. }
        | RelKind::Project { input, .. }
        | RelKind::Aggregate { input, .. }
        | RelKind::Distinct { input }
        | RelKind::Sort { input, .. }
        | RelKind::Take { input, .. }
        | RelKind::Sample { input, .. }
        | RelKind::MvExpand { input, .. }
        | RelKind::Parse { input, .. }
        | RelKind::Foreign { input, .. }
        | RelKind::Materialize { input, .. } => vec![input],
        RelKind::Apply { input, subquery, .. } | RelKind::Partition { input, subquery, .. } => {
            vec![input, subquery]
        }
        RelKind::Union { inputs } | RelKind::Gathered { inputs, .. } => inputs.iter().collect(),
        RelKind::Join { left, right, .. } => vec![left, right],
        _ => Vec::new(),
    }
}

fn check_expr(expr: &Expr, row: &Schema) -> Result<(), String> {
    let mut problem = None;
    crate::binder::visit(expr, &mut |inner| {
        if let ExprKind::Column(at) = inner.kind {
            let column = row.columns.get(at);
            if column.is_none_or(|column| column.column_type != inner.expr_type) {
                problem.get_or_insert_with(|| {
                    format!("column {at} of type {} is not in {row}", inner.expr_type)
                });
            }
        }
    });
    problem.map_or(Ok(()), Err)
}

#[test]
fn plans_of_examples_keep_their_promises() {
    let mut bound = 0;
    for (query, tables) in
        examples().iter().map(|case| (case["query"].as_str().unwrap(), tables(case)))
    {
        if let Ok(plan) = compile(query, &tables, &Options::default()) {
            bound += 1;
            check_plan(&plan).unwrap_or_else(|problem| panic!("{problem} in\n{query}"));
        }
    }
    assert!(bound > 600, "{bound}");
}

#[test]
fn plugins_ask_for_their_columns_and_take_what_they_are_told() {
    let tables = super::conformance::no_tables();
    let query =
        "print d = dynamic({}) | evaluate bag_unpack(d) | extend n = a + 1 | evaluate pivot(b)";
    let found = |name: &str, column_type| FoundColumn { name: name.to_owned(), column_type };
    let first = vec![found("a", Type::Long), found("b", Type::String)];
    let asked = compile_with(query, &tables, &Options::default(), &[]);
    assert!(matches!(asked, Ok(Compiled::Open(_))), "{asked:?}");
    let asked = compile_with(query, &tables, &Options::default(), std::slice::from_ref(&first));
    assert!(matches!(asked, Ok(Compiled::Open(_))), "{asked:?}");
    let second = vec![found("x", Type::String)];
    let Ok(Compiled::Plan(plan)) =
        compile_with(query, &tables, &Options::default(), &[first, second])
    else {
        panic!("a plan");
    };
    check_plan(&plan).unwrap();
    assert_eq!(plan.results[0].relation.schema.to_string(), "(a:long, n:long, x:long)");
}

#[test]
fn no_change_of_an_example_makes_it_panic() {
    let asked = std::env::var("KQL_CHANGES").ok().and_then(|count| count.parse().ok());
    let changes: u64 = asked.unwrap_or(CHANGES);
    // Another count makes other texts.
    let mut seed = changes;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below.max(1)
    };
    for case in examples().iter().step_by(2) {
        let query = case["query"].as_str().unwrap();
        let tables = tables(case);
        let words: Vec<&str> = lex(query)
            .tokens
            .iter()
            .filter(|t| t.token != Token::End)
            .map(|t| t.span.text(query))
            .collect();
        for change in 0..changes {
            let mut words = words.clone();
            let (from, to) = (next(words.len()), next(words.len()));
            match change % 4 {
                0 => drop(words.remove(from)),
                1 => words.insert(to, words[from]),
                2 => words.swap(from, to),
                _ => words.truncate(from),
            }
            let text = words.join(" ");
            if let Ok(plan) = compile(&text, &tables, &Options::default()) {
                check_plan(&plan).unwrap_or_else(|problem| panic!("{problem} in\n{text}"));
            }
        }
    }
}
