//! Graphs: tables of nodes and edges on their way to a result.
//!
//! The nodes have the column [`ID`] first, the edges [`SOURCE`] and [`TARGET`]; then come the columns
//! that queries see.

use std::collections::HashMap;
use std::sync::Arc;

use super::operators::meaningful;
use super::{Binder, Bound, Table, Variable};
use crate::syntax::{
    Body, Expression, ExpressionKind, GraphTable, Item, MakeGraph, Name, Operator,
};
use crate::{Column, Expr, Gathering, RelKind, Schema, Type, codes};

/// The identity of a node.
pub(super) const ID: &str = "__id";
/// The identity of an edge's first end.
pub(super) const SOURCE: &str = "__source";
/// The identity of an edge's second end.
pub(super) const TARGET: &str = "__target";

#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub(super) nodes: Table,
    pub(super) edges: Table,
}

/// What a pipeline works on.
pub(super) enum Flow {
    Table(Table),
    Graph(Graph),
}

impl Binder<'_> {
    /// `make-graph`: nodes that only edges name have no columns but the key.
    pub(super) fn make_graph(
        &mut self,
        input: &Table,
        graph: &MakeGraph,
        name: &Name,
    ) -> Bound<Graph> {
        let source = self.over(input.schema(), |binder| binder.scalar(&graph.source))?;
        let target = self.over(input.schema(), |binder| binder.scalar(&graph.target))?;
        let id_type = source.expr_type;
        self.same_key(&target, id_type)?;
        let mut columns = vec![(SOURCE.into(), source), (TARGET.into(), target)];
        columns.extend(Self::columns_of(input, name.span));
        let edges = self.project(input, columns, name.span)?;
        let mut variables = HashMap::new();
        variables.insert("E".to_owned(), Variable::Table(edges.clone()));
        let mut sources = String::new();
        let mut missing = String::from("__I");
        for (at, (table, key)) in graph.nodes.iter().enumerate() {
            let table = self.table(table)?;
            let key = self.over(table.schema(), |binder| binder.scalar(key))?;
            self.same_key(&key, id_type)?;
            let mut columns = vec![(ID.into(), key)];
            columns.extend(Self::columns_of(&table, name.span));
            let table = self.project(&table, columns, name.span)?;
            variables.insert(format!("N{at}"), Variable::Table(table));
            sources.push_str(&format!("N{at}, "));
            missing.push_str(&format!(" | join kind=leftanti N{at} on __id"));
        }
        let key = match (&graph.nodes[..], &graph.node_id) {
            ([], Some(name)) => Some(&name.text),
            ([(_, Expression { kind: ExpressionKind::Name(key), .. })], _) => Some(key),
            _ => None,
        };
        if let Some(key) = key {
            let key = key.replace('\\', "\\\\").replace('\'', "\\'");
            missing.push_str(&format!(" | extend ['{key}'] = __id"));
        }
        let ids = "let __I = union (E | project __id = __source), (E | project __id = __target) \
                   | summarize by __id;";
        let nodes =
            self.run_written(&format!("{ids} union {sources}({missing})"), variables, name)?;
        Ok(Graph { nodes, edges })
    }

    fn same_key(&mut self, key: &Expr, id_type: Type) -> Bound<()> {
        if key.expr_type == id_type {
            return Ok(());
        }
        let message = format!("The key of a node has type {}, not {id_type}", key.expr_type);
        self.error(codes::WRONG_TYPE, key.span, message)
    }

    /// An operator behind a graph.
    pub(super) fn graph_operator(&mut self, graph: Graph, operator: &Operator) -> Bound<Flow> {
        match (&*operator.name.text, &operator.body) {
            ("graph-where-nodes", Body::Predicate(predicate)) => {
                let nodes = self.filter(&graph.nodes, predicate, operator.span)?;
                Ok(Flow::Graph(Graph { nodes, ..graph }))
            }
            ("graph-where-edges", Body::Predicate(predicate)) => {
                let edges = self.filter(&graph.edges, predicate, operator.span)?;
                Ok(Flow::Graph(Graph { edges, ..graph }))
            }
            ("graph-mark-components", _) => self.components(graph, operator).map(Flow::Graph),
            (_, Body::GraphMatch(pattern)) => {
                self.graph_match(&graph, pattern, operator).map(Flow::Table)
            }
            (_, Body::GraphToTable(tables)) => match &tables[..] {
                [table] => self.graph_table(&graph, table, operator).map(Flow::Table),
                _ => {
                    let message = "nodes and edges at once are a statement: …; N; E";
                    self.error(codes::SYNTAX, operator.span, message)
                }
            },
            _ => {
                let message = format!("'{}' takes rows, and this is a graph", operator.name.text);
                self.error(codes::WRONG_TYPE, operator.span, message)
            }
        }
    }

    /// `graph-to-table nodes as N, edges as E`: the tables by their names.
    pub(super) fn graph_tables(
        &mut self,
        graph: &Graph,
        tables: &[GraphTable],
        operator: &Operator,
    ) -> Bound<Vec<(String, Table)>> {
        let mut named = Vec::new();
        for table in tables {
            let Some(name) = &table.name else {
                let message = "Of several tables each needs a name: nodes as N, edges as E";
                return self.error(codes::SYNTAX, operator.span, message);
            };
            named.push((name.text.clone(), self.graph_table(graph, table, operator)?));
        }
        Ok(named)
    }

    /// The edges whose ends are there, or the nodes; before them the hashes of what identifies nodes.
    fn graph_table(
        &mut self,
        graph: &Graph,
        table: &GraphTable,
        operator: &Operator,
    ) -> Bound<Table> {
        let rows = if table.is_nodes {
            graph.nodes.clone()
        } else {
            let nodes = Variable::Table(graph.nodes.clone());
            let edges = Variable::Table(graph.edges.clone());
            let variables = HashMap::from([("N".to_owned(), nodes), ("E".to_owned(), edges)]);
            let query = "E | join kind=leftsemi N on $left.__source == $right.__id \
                         | join kind=leftsemi N on $left.__target == $right.__id";
            self.run_written(query, variables, &operator.name)?
        };
        let mut columns = Vec::new();
        for (option, name) in &table.ids {
            let id = match (table.is_nodes, &*option.text) {
                (true, "with_node_id") => ID,
                (false, "with_source_id") => SOURCE,
                (false, "with_target_id") => TARGET,
                _ => return self.unsupported(option.span, format!("'{}'", option.text)),
            };
            let id = Expression::new(ExpressionKind::Name(id.to_owned()), option.span);
            let hash = Name { text: "hash".to_owned(), span: option.span };
            let item = Item { names: Vec::new(), expression: id };
            let kind = ExpressionKind::Call { name: hash, arguments: vec![item] };
            let hash = Expression::new(kind, option.span);
            let hash = self.over(rows.schema(), |binder| binder.scalar(&hash))?;
            columns.push((name.text.as_str().into(), hash));
        }
        let all = Self::columns_of(&rows, operator.span).into_iter();
        columns.extend(all.filter(|(name, _)| ![ID, SOURCE, TARGET].contains(&&**name)));
        self.project(&rows, columns, operator.span)
    }

    fn components(&mut self, graph: Graph, operator: &Operator) -> Bound<Graph> {
        let (mut strong, mut label) = (false, "ComponentId".to_owned());
        for setting in meaningful(operator) {
            match (&*setting.name.text, &setting.value.kind) {
                ("kind", ExpressionKind::Name(kind)) if kind == "strong" => strong = true,
                ("kind", ExpressionKind::Name(kind)) if kind == "weak" => {}
                ("with_component_id", ExpressionKind::Name(name)) => label.clone_from(name),
                (name, _) => return self.unsupported(setting.name.span, name),
            }
        }
        let mut columns = graph.nodes.schema().columns.clone();
        columns.push(Column::new(label, Type::Long));
        let inputs = vec![graph.nodes.relation.clone(), graph.edges.relation.clone()];
        let kind = RelKind::Gathered { inputs, work: Gathering::GraphComponents { strong } };
        let depth = graph.nodes.depth.max(graph.edges.depth);
        let nodes = self.relation(kind, Arc::new(Schema::new(columns)), depth, operator.span)?;
        Ok(Graph { nodes, ..graph })
    }
}
