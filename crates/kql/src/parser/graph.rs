//! Operators over graphs.

use super::Parser;
use crate::lexer::Token;
use crate::syntax::{Body, GraphMatch, GraphPath, GraphStep, GraphTable, MakeGraph, Name};
use crate::{GraphDirection, codes};

impl Parser<'_> {
    /// `source --> target with nodes on key, … with_node_id=name`.
    pub(super) fn make_graph(&mut self) -> Body {
        let source = self.graph_column();
        ["-", "-", ">"].into_iter().for_each(|symbol| self.expect_symbol(symbol));
        let target = self.graph_column();
        let mut graph = MakeGraph { source, target, nodes: Vec::new(), node_id: None };
        if self.is_word("with_node_id") && self.is_symbol_at(1, "=") {
            self.at += 2;
            graph.node_id = Some(self.name());
        } else if self.eat_word("with") {
            while !self.at_boundary() {
                let table = self.expression();
                self.expect_word("on");
                graph.nodes.push((table, self.graph_column()));
                if !self.eat_symbol(",") {
                    break;
                }
            }
        }
        if self.at_boundary() { Body::MakeGraph(graph) } else { self.raw() }
    }

    /// A column's name: an expression would take the arrow for its own.
    fn graph_column(&mut self) -> crate::syntax::Expression {
        let name = self.name();
        crate::syntax::Expression::new(crate::syntax::ExpressionKind::Name(name.text), name.span)
    }

    pub(super) fn graph_match(&mut self) -> Body {
        let mut paths = Vec::new();
        loop {
            paths.push(self.graph_path());
            if !self.eat_symbol(",") {
                break;
            }
        }
        let predicate = self.eat_word("where").then(|| self.expression());
        self.expect_word("project");
        let items = self.items(&[]);
        Body::GraphMatch(Box::new(GraphMatch { paths, predicate, items }))
    }

    fn graph_path(&mut self) -> GraphPath {
        let first = self.graph_node();
        let mut steps = Vec::new();
        while self.is_symbol("-") || self.is_symbol("<") {
            let step = self.graph_step();
            steps.push((step, self.graph_node()));
        }
        GraphPath { first, steps }
    }

    /// `(name)`
    fn graph_node(&mut self) -> Option<Name> {
        self.expect_symbol("(");
        let name = (!self.is_symbol(")")).then(|| self.name());
        self.expect_symbol(")");
        name
    }

    /// `-[name*1..3]->`, `<-[name]-`, `-[name]-`, `-->`, `<--`, `--`.
    fn graph_step(&mut self) -> GraphStep {
        let start = self.span();
        let is_left = self.eat_symbol("<");
        self.expect_symbol("-");
        let (mut name, mut length) = (None, None);
        if self.eat_symbol("[") {
            name = self.at_name().then(|| self.name());
            if self.eat_symbol("*") {
                let least = self.edge_count();
                self.expect_symbol("..");
                length = Some((least, self.edge_count()));
            }
            self.expect_symbol("]");
        }
        self.expect_symbol("-");
        let direction = match (is_left, !is_left && self.eat_symbol(">")) {
            (true, _) => GraphDirection::Left,
            (false, true) => GraphDirection::Right,
            (false, false) => GraphDirection::Either,
        };
        GraphStep { name, direction, length, span: self.since(start) }
    }

    fn edge_count(&mut self) -> u32 {
        let count = (self.token() == Token::Long).then(|| self.text(0).parse().ok()).flatten();
        match count {
            Some(count) => {
                self.advance();
                count
            }
            None => {
                self.report(codes::SYNTAX, "Expected: a number of edges, as in *1..3".to_owned());
                0
            }
        }
    }

    /// `nodes as N with_node_id=x, edges as E with_source_id=x`.
    pub(super) fn graph_to_table(&mut self) -> Body {
        let mut tables = Vec::new();
        while !self.at_boundary() {
            let is_nodes = self.eat_word("nodes");
            if !is_nodes {
                self.expect_word("edges");
            }
            let name = self.eat_word("as").then(|| self.name());
            let mut ids = Vec::new();
            while self.at_name() && self.is_symbol_at(1, "=") {
                let option = self.name();
                self.advance();
                ids.push((option, self.name()));
            }
            tables.push(GraphTable { is_nodes, name, ids });
            if !self.eat_symbol(",") {
                break;
            }
        }
        Body::GraphToTable(tables)
    }
}
