//! `graph-match` and `graph-shortest-paths`.
//!
//! What the condition and the columns ask of nodes and edges becomes a column of the matches each; the
//! condition and the columns themselves are then a filter and a projection over these. A part of the
//! condition that is about a single node or edge is asked before the search instead.

use std::collections::HashMap;
use std::sync::Arc;

use super::graph::{Graph, ID};
use super::operators::meaningful;
use super::{Binder, Bound, Table, Variable};
use crate::syntax::{self, Expression, ExpressionKind, Item, Name, Operator};
use crate::{
    Column, Expr, Gathering, GraphCycles, GraphEdge, GraphFold, GraphMatch, GraphOutput,
    GraphPlace, RelKind, Schema, Span, Type, codes,
};

/// Most edges that one match may have.
const EDGES_MAX: u32 = 256;
/// Most nodes of a pattern. The search goes as deep as there are edges and nodes.
const NODES_MAX: usize = 257;

/// The pattern, and what is asked of it so far.
struct Pattern {
    names: HashMap<String, GraphPlace>,
    work: GraphMatch,
    /// The columns of the matches.
    columns: Vec<Column>,
    nodes: Asked,
    edges: Asked,
}

/// Nodes or edges with columns computed for the pattern.
struct Asked {
    schema: Arc<Schema>,
    columns: Vec<(Arc<str>, Expr)>,
}

impl Asked {
    fn new(table: &Table, span: Span) -> Self {
        let columns = Binder::columns_of(table, span);
        Self { schema: table.schema().clone(), columns }
    }

    fn add(&mut self, expr: Expr) -> usize {
        self.columns.push((format!("__asked{}", self.columns.len()).into(), expr));
        self.columns.len() - 1
    }
}

impl Binder<'_> {
    pub(super) fn graph_match(
        &mut self,
        graph: &Graph,
        asked: &syntax::GraphMatch,
        operator: &Operator,
    ) -> Bound<Table> {
        let span = operator.span;
        let nodes = self.with_degrees(graph, asked, operator)?;
        let (cycles, all_shortest) = self.graph_settings(operator)?;
        let mut pattern = Pattern {
            names: HashMap::new(),
            work: GraphMatch { nodes: Vec::new(), edges: Vec::new(), cycles, outputs: Vec::new() },
            columns: Vec::new(),
            nodes: Asked::new(&nodes, span),
            edges: Asked::new(&graph.edges, span),
        };
        for path in &asked.paths {
            self.graph_path(&mut pattern, path)?;
        }
        let lengths = pattern.work.edges.iter().map(|edge| edge.most);
        let is_long = lengths.fold(0, u32::saturating_add) > EDGES_MAX;
        if is_long || pattern.work.nodes.len() > NODES_MAX {
            return self.error(codes::TOO_DEEP, span, "The pattern has too many edges or nodes");
        }
        let is_shortest = operator.name.text == "graph-shortest-paths";
        if is_shortest {
            self.ends_and_length(&mut pattern, operator)?;
        }
        let predicate = match &asked.predicate {
            Some(predicate) => self.graph_predicate(&mut pattern, predicate)?,
            None => None,
        };
        let items = self.graph_items(&mut pattern, &asked.items)?;
        let nodes = self.project(&nodes, pattern.nodes.columns, span)?;
        let edges = self.project(&graph.edges, pattern.edges.columns, span)?;
        let inputs = vec![nodes.relation, edges.relation];
        let kind = RelKind::Gathered { inputs, work: Gathering::GraphMatch(pattern.work) };
        let schema = Arc::new(Schema::new(pattern.columns));
        let mut matches = self.relation(kind, schema, nodes.depth.max(edges.depth), span)?;
        if let Some(predicate) = predicate {
            matches = self.filter(&matches, &predicate, span)?;
        }
        if is_shortest {
            let query = match all_shortest {
                true => {
                    "let __M = materialize(M); __M | join kind=leftsemi (__M | summarize \
                     __length = min(__length) by __from, __to) on __from, __to, __length"
                }
                false => {
                    "M | sort by __from asc, __to asc, __length asc \
                     | extend __n = row_number(1, __from != prev(__from) or __to != prev(__to)) \
                     | where __n == 1 | project-away __n"
                }
            };
            let variables = HashMap::from([("M".to_owned(), Variable::Table(matches))]);
            matches = self.run_written(query, variables, &operator.name)?;
        }
        self.project_items(&matches, &items, span)
    }

    fn graph_settings(&mut self, operator: &Operator) -> Bound<(GraphCycles, bool)> {
        let is_shortest = operator.name.text == "graph-shortest-paths";
        let mut cycles = if is_shortest { GraphCycles::None } else { GraphCycles::UniqueEdges };
        let mut all_shortest = false;
        for setting in meaningful(operator) {
            let ExpressionKind::Name(value) = &setting.value.kind else {
                return self.error(codes::SYNTAX, setting.value.span, "Expected: a word");
            };
            match (&*setting.name.text, &**value) {
                ("cycles", "all") => cycles = GraphCycles::All,
                ("cycles", "unique_edges") => cycles = GraphCycles::UniqueEdges,
                ("cycles", "none") => cycles = GraphCycles::None,
                ("output", "all") => all_shortest = true,
                ("output", "any") => {}
                (name, value) => {
                    return self.unsupported(setting.name.span, format!("{name}={value}"));
                }
            }
        }
        Ok((cycles, all_shortest))
    }

    /// The nodes, with their degrees if somebody asks for them.
    fn with_degrees(
        &mut self,
        graph: &Graph,
        asked: &syntax::GraphMatch,
        operator: &Operator,
    ) -> Bound<Table> {
        let mut found = false;
        let all = asked.items.iter().map(|item| &item.expression).chain(&asked.predicate);
        for expression in all {
            rewritten(expression, &mut |part| {
                found |= matches!(&part.kind, ExpressionKind::Call { name, .. }
                    if name.text.starts_with("node_degree_"));
                Ok(None)
            })?;
        }
        if !found {
            return Ok(graph.nodes.clone());
        }
        let nodes = Variable::Table(graph.nodes.clone());
        let edges = Variable::Table(graph.edges.clone());
        let variables = HashMap::from([("N".to_owned(), nodes), ("E".to_owned(), edges)]);
        let query = "N | join kind=leftouter (E | summarize __in = count() by __i = __target) \
                     on $left.__id == $right.__i \
                     | join kind=leftouter (E | summarize __out = count() by __o = __source) \
                     on $left.__id == $right.__o \
                     | extend __in = coalesce(__in, 0), __out = coalesce(__out, 0) \
                     | project-away __i, __o";
        self.run_written(query, variables, &operator.name)
    }

    fn graph_path(&mut self, pattern: &mut Pattern, path: &syntax::GraphPath) -> Bound<()> {
        let mut from = self.graph_node(pattern, path.first.as_ref())?;
        for (step, node) in &path.steps {
            let to = self.graph_node(pattern, node.as_ref())?;
            let (least, most) = step.length.unwrap_or((1, 1));
            if least > most || most == 0 {
                return self.error(codes::SYNTAX, step.span, "The length of a way is *least..most");
            }
            let edge = GraphPlace::Edge(pattern.work.edges.len());
            let filters = Vec::new();
            let direction = step.direction;
            pattern.work.edges.push(GraphEdge { from, to, direction, least, most, filters });
            if let Some(name) = &step.name
                && pattern.names.insert(name.text.clone(), edge).is_some()
            {
                let message = format!("'{}' stands twice in the pattern", name.text);
                return self.error(codes::DUPLICATE_COLUMN, name.span, message);
            }
            from = to;
        }
        Ok(())
    }

    fn graph_node(&mut self, pattern: &mut Pattern, name: Option<&Name>) -> Bound<usize> {
        match name.and_then(|name| pattern.names.get(&name.text)) {
            Some(GraphPlace::Node(at)) => return Ok(*at),
            Some(_) => {
                let span = name.map_or_else(Span::default, |name| name.span);
                return self.error(codes::DUPLICATE_COLUMN, span, "The name is that of an edge");
            }
            None => {}
        }
        let at = pattern.work.nodes.len();
        pattern.work.nodes.push(Vec::new());
        if let Some(name) = name {
            pattern.names.insert(name.text.clone(), GraphPlace::Node(at));
        }
        Ok(at)
    }

    /// What `graph-shortest-paths` compares.
    fn ends_and_length(&mut self, pattern: &mut Pattern, operator: &Operator) -> Bound<()> {
        let [edge] = &pattern.work.edges[..] else {
            let message = "A shortest path is a single edge of a length, as in (a)-[e*1..5]->(b)";
            return self.error(codes::SYNTAX, operator.span, message);
        };
        let (from, to) = (GraphPlace::Node(edge.from), GraphPlace::Node(edge.to));
        pattern.output("__from", from, 0, GraphFold::One);
        pattern.output("__to", to, 0, GraphFold::One);
        pattern.output("__length", GraphPlace::Edge(0), 0, GraphFold::Count);
        Ok(())
    }

    /// Takes off what can be asked before the search.
    fn graph_predicate(
        &mut self,
        pattern: &mut Pattern,
        predicate: &Expression,
    ) -> Bound<Option<Expression>> {
        let mut terms = Vec::new();
        conjuncts(predicate, &mut terms);
        let mut left: Option<Expression> = None;
        for term in terms {
            if self.asked_before(pattern, term)? {
                continue;
            }
            let term = self.over_matches(pattern, term)?;
            left = Some(match left {
                None => term,
                Some(before) => {
                    let span = before.span.to(term.span);
                    let both = (Box::new(before), Box::new(term));
                    let and = syntax::Operation("and");
                    Expression::new(ExpressionKind::Binary(and, both.0, both.1), span)
                }
            });
        }
        Ok(left)
    }

    /// Whether a term is about a single node or single edge; it then narrows the search.
    fn asked_before(&mut self, pattern: &mut Pattern, term: &Expression) -> Bound<bool> {
        let mut places: Vec<GraphPlace> = Vec::new();
        let mut is_simple = true;
        let names = &pattern.names;
        let own = rewritten(term, &mut |part| {
            match &part.kind {
                ExpressionKind::Member(object, member) => {
                    if let ExpressionKind::Name(name) = &object.kind
                        && let Some(place) = names.get(name)
                    {
                        places.push(*place);
                        let name = ExpressionKind::Name(member.text.clone());
                        return Ok(Some(Expression::new(name, part.span)));
                    }
                }
                ExpressionKind::Call { name, .. } => {
                    is_simple &= !is_graph_function(&name.text);
                }
                _ => {}
            }
            Ok(None)
        })?;
        let Some(place) = places.first().copied().filter(|_| is_simple) else { return Ok(false) };
        if places.iter().any(|other| *other != place) {
            return Ok(false);
        }
        match place {
            GraphPlace::Node(at) => {
                let column = self.bool_column(&mut pattern.nodes, &own)?;
                pattern.work.nodes[at].push(column);
            }
            GraphPlace::Edge(at) | GraphPlace::Inner(at) => {
                if pattern.work.edges[at].most != 1 {
                    return Ok(false);
                }
                let column = self.bool_column(&mut pattern.edges, &own)?;
                pattern.work.edges[at].filters.push(column);
            }
        }
        Ok(true)
    }

    fn bool_column(&mut self, asked: &mut Asked, expression: &Expression) -> Bound<usize> {
        let schema = asked.schema.clone();
        let expr = self.over(&schema, |binder| {
            let expr = binder.scalar(expression)?;
            binder.as_bool(expr)
        })?;
        Ok(asked.add(expr))
    }

    fn graph_items(&mut self, pattern: &mut Pattern, items: &[Item]) -> Bound<Vec<Item>> {
        let mut bound = Vec::new();
        for item in items {
            let mut names = item.names.clone();
            if let (true, ExpressionKind::Call { name, .. }) =
                (names.is_empty(), &item.expression.kind)
                && is_graph_function(&name.text)
            {
                names.push(name.clone());
            }
            bound.push(Item { names, expression: self.over_matches(pattern, &item.expression)? });
        }
        Ok(bound)
    }

    /// An expression over the matches, in place of one over the pattern.
    fn over_matches(
        &mut self,
        pattern: &mut Pattern,
        expression: &Expression,
    ) -> Bound<Expression> {
        rewritten(expression, &mut |part| match &part.kind {
            ExpressionKind::Member(object, member) => {
                let ExpressionKind::Name(name) = &object.kind else { return Ok(None) };
                let Some(place) = pattern.names.get(name).copied() else { return Ok(None) };
                self.member_of(pattern, place, (name, member))?;
                Ok(Some(part.clone()))
            }
            ExpressionKind::Call { name, arguments } if is_graph_function(&name.text) => {
                self.graph_call(pattern, name, arguments, part.span).map(Some)
            }
            _ => Ok(None),
        })
    }

    /// `place.column`: a column of the matches by that name.
    fn member_of(
        &mut self,
        pattern: &mut Pattern,
        place: GraphPlace,
        (name, member): (&str, &Name),
    ) -> Bound<()> {
        let label = format!("{name}.{}", member.text);
        if pattern.columns.iter().any(|column| *column.name == *label) {
            return Ok(());
        }
        let schema = pattern.asked(place).schema.clone();
        let Some(column) = schema.position(&member.text) else {
            return self.unknown_column(member, &schema);
        };
        let fold = match place {
            GraphPlace::Edge(at) if pattern.work.edges[at].most != 1 => GraphFold::List,
            _ => GraphFold::One,
        };
        pattern.output(&label, place, column, fold);
        Ok(())
    }

    /// `map(edges, …)`, `all(…)`, `any(…)`, `node_degree_in(node)` …
    fn graph_call(
        &mut self,
        pattern: &mut Pattern,
        name: &Name,
        arguments: &[Item],
        span: Span,
    ) -> Bound<Expression> {
        let fold = match &*name.text {
            "map" => GraphFold::List,
            "all" => GraphFold::All,
            "any" => GraphFold::Any,
            _ => GraphFold::One,
        };
        let count = if fold == GraphFold::One { 1 } else { 2 };
        if arguments.len() != count {
            return self.wrong_count(&name.text, (count, count), arguments.len(), span);
        }
        let place = self.graph_place(pattern, &arguments[0].expression, fold)?;
        let column = match arguments.get(1) {
            None => {
                let own = self_column(&name.text).unwrap_or(ID);
                pattern.nodes.schema.position(own).unwrap_or(0)
            }
            Some(argument) => {
                let own = rewritten(&argument.expression, &mut |part| {
                    Ok(match &part.kind {
                        ExpressionKind::Call { name, arguments } if arguments.is_empty() => {
                            self_column(&name.text).map(|column| {
                                let name = ExpressionKind::Name(column.to_owned());
                                Expression::new(name, part.span)
                            })
                        }
                        _ => None,
                    })
                })?;
                let asked = pattern.asked(place);
                if fold == GraphFold::List {
                    let schema = asked.schema.clone();
                    let expr = self.over(&schema, |binder| binder.scalar(&own))?;
                    pattern.asked(place).add(expr)
                } else {
                    self.bool_column(pattern.asked(place), &own)?
                }
            }
        };
        let label = format!("__found{}", pattern.columns.len());
        pattern.output(&label, place, column, fold);
        Ok(Expression::new(ExpressionKind::Name(label), span))
    }

    /// A node, an edge, or the nodes within one, as the first argument of a function names it.
    fn graph_place(
        &mut self,
        pattern: &Pattern,
        argument: &Expression,
        fold: GraphFold,
    ) -> Bound<GraphPlace> {
        let (name, is_inner) = match &argument.kind {
            ExpressionKind::Name(name) => (name, false),
            ExpressionKind::Call { name, arguments } if name.text == "inner_nodes" => {
                match arguments.first().map(|item| &item.expression.kind) {
                    Some(ExpressionKind::Name(name)) => (name, true),
                    _ => return self.error(codes::SYNTAX, argument.span, "An edge is expected"),
                }
            }
            _ => return self.error(codes::SYNTAX, argument.span, "An edge is expected"),
        };
        match (pattern.names.get(name), is_inner) {
            (Some(GraphPlace::Edge(at)), true) => Ok(GraphPlace::Inner(*at)),
            (Some(place @ GraphPlace::Edge(_)), false) if fold != GraphFold::One => Ok(*place),
            (Some(place @ GraphPlace::Node(_)), false) if fold == GraphFold::One => Ok(*place),
            _ => {
                let what = if fold == GraphFold::One { "node" } else { "edge" };
                let name = Name { text: name.clone(), span: argument.span };
                let known = pattern.names.keys().map(String::as_str);
                self.unknown(codes::UNKNOWN_NAME, &name, &format!("{what} of the pattern"), known)
            }
        }
    }
}

impl Pattern {
    fn asked(&mut self, place: GraphPlace) -> &mut Asked {
        match place {
            GraphPlace::Edge(_) => &mut self.edges,
            GraphPlace::Node(_) | GraphPlace::Inner(_) => &mut self.nodes,
        }
    }

    /// Adds a column of the matches.
    fn output(&mut self, label: &str, of: GraphPlace, column: usize, fold: GraphFold) {
        let column_type = match fold {
            GraphFold::One => self.asked(of).columns[column].1.expr_type,
            GraphFold::List => Type::Dynamic,
            GraphFold::All | GraphFold::Any => Type::Bool,
            GraphFold::Count => Type::Long,
        };
        self.columns.push(Column::new(label, column_type));
        self.work.outputs.push(GraphOutput { of, column, fold });
    }
}

fn is_graph_function(name: &str) -> bool {
    matches!(name, "map" | "all" | "any" | "inner_nodes") || self_column(name).is_some()
}

/// The column of nodes that a function without arguments stands for.
fn self_column(function: &str) -> Option<&'static str> {
    match function {
        "node_degree_in" => Some("__in"),
        "node_degree_out" => Some("__out"),
        "node_id" => Some(ID),
        _ => None,
    }
}

/// The terms that `and` connects.
fn conjuncts<'e>(expression: &'e Expression, out: &mut Vec<&'e Expression>) {
    match &expression.kind {
        ExpressionKind::Binary(syntax::Operation("and"), left, right) => {
            conjuncts(left, out);
            conjuncts(right, out);
        }
        _ => out.push(expression),
    }
}

/// The expression with parts replaced; a part that is replaced is not looked into.
fn rewritten(
    expression: &Expression,
    replace: &mut dyn FnMut(&Expression) -> Bound<Option<Expression>>,
) -> Bound<Expression> {
    if let Some(instead) = replace(expression)? {
        return Ok(instead);
    }
    let mut each = |part: &Expression| rewritten(part, replace).map(Box::new);
    let kind = match &expression.kind {
        ExpressionKind::Member(object, name) => ExpressionKind::Member(each(object)?, name.clone()),
        ExpressionKind::Index(object, at) => ExpressionKind::Index(each(object)?, each(at)?),
        ExpressionKind::Negate(inner) => ExpressionKind::Negate(each(inner)?),
        ExpressionKind::Binary(operation, left, right) => {
            ExpressionKind::Binary(*operation, each(left)?, each(right)?)
        }
        ExpressionKind::Between { negated, value, low, high } => ExpressionKind::Between {
            negated: *negated,
            value: each(value)?,
            low: each(low)?,
            high: each(high)?,
        },
        ExpressionKind::List { test, negated, left, items } => ExpressionKind::List {
            test: *test,
            negated: *negated,
            left: each(left)?,
            items: items.iter().map(|item| each(item).map(|item| *item)).collect::<Bound<_>>()?,
        },
        ExpressionKind::Call { name, arguments } => {
            let argument = |item: &Item| {
                Ok(Item { names: item.names.clone(), expression: *each(&item.expression)? })
            };
            let arguments = arguments.iter().map(argument).collect::<Bound<_>>()?;
            ExpressionKind::Call { name: name.clone(), arguments }
        }
        other => other.clone(),
    };
    Ok(Expression::new(kind, expression.span))
}
