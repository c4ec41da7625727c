//! `graph-match` and `graph-mark-components`: the nodes and edges in memory, and walks over them.

use std::collections::HashMap;

use datafusion::execution::memory_pool::MemoryReservation;
use kql::{
    GraphCycles, GraphDirection, GraphFold, GraphMatch, GraphOutput, GraphPlace, QueryError,
    QueryErrorKind,
};

use super::abandon::Abandoned;
use super::{Row, key_of};
use crate::cell::Cell;
use crate::convert::to_json;
use crate::error::{IntoOutcome, Outcome};

/// Most edges that the search for a pattern goes along.
const STEPS_MAX: usize = 20_000_000;
/// Most matches.
const MATCHES_MAX: usize = 1_000_000;

/// Nodes by place, and for each the edges that leave and reach it with their other ends.
struct Graph {
    leaving: Vec<Vec<(usize, usize)>>,
    reaching: Vec<Vec<(usize, usize)>>,
    /// The ends of each edge whose ends are both there.
    ends: Vec<Option<(usize, usize)>>,
}

impl Graph {
    /// Of several nodes of one identity the first counts.
    fn new(nodes: &[Row], edges: &[Row]) -> Self {
        let mut places: HashMap<String, usize> = HashMap::new();
        for (at, node) in nodes.iter().enumerate() {
            places.entry(key_of(node.get(..1).unwrap_or_default())).or_insert(at);
        }
        let mut graph = Self {
            leaving: vec![Vec::new(); nodes.len()],
            reaching: vec![Vec::new(); nodes.len()],
            ends: Vec::with_capacity(edges.len()),
        };
        for (at, edge) in edges.iter().enumerate() {
            let end = |side: usize| {
                edge.get(side..=side).and_then(|cell| places.get(&key_of(cell)).copied())
            };
            let ends = end(0).zip(end(1));
            if let Some((from, to)) = ends {
                graph.leaving[from].push((at, to));
                graph.reaching[to].push((at, from));
            }
            graph.ends.push(ends);
        }
        graph
    }
}

/// What an edge of the pattern became.
#[derive(Clone, Default)]
struct Way {
    edges: Vec<usize>,
    /// All nodes on it, from end to end.
    nodes: Vec<usize>,
}

struct Search<'s> {
    work: &'s GraphMatch,
    nodes: &'s [Row],
    edges: &'s [Row],
    graph: Graph,
    /// The nodes chosen so far.
    chosen: Vec<Option<usize>>,
    ways: Vec<Way>,
    /// How often edges and nodes stand in the match so far.
    used_edges: Vec<bool>,
    used_nodes: Vec<bool>,
    steps: usize,
    out: Vec<Row>,
    reservation: &'s MemoryReservation,
    abandoned: &'s Abandoned,
}

/// A row for each match of the pattern.
pub(super) fn matches(
    work: &GraphMatch,
    (nodes, edges): (&[Row], &[Row]),
    reservation: &MemoryReservation,
    abandoned: &Abandoned,
) -> Outcome<Vec<Row>> {
    let mut search = Search {
        work,
        nodes,
        edges,
        graph: Graph::new(nodes, edges),
        chosen: vec![None; work.nodes.len()],
        ways: vec![Way::default(); work.edges.len()],
        used_edges: vec![false; edges.len()],
        used_nodes: vec![false; nodes.len()],
        steps: 0,
        out: Vec::new(),
        reservation,
        abandoned,
    };
    search.next_edge(0)?;
    Ok(search.out)
}

impl Search<'_> {
    /// Whether a node may stand at a place of the pattern.
    fn fits(&self, place: usize, node: usize) -> bool {
        let filters = self.work.nodes[place].iter();
        filters.clone().all(|column| self.nodes[node][*column] == Cell::Bool(true))
    }

    /// Chooses a node where none is chosen, runs the rest, and lets go of it again.
    fn with_node(
        &mut self,
        place: usize,
        node: usize,
        rest: &mut dyn FnMut(&mut Self) -> Outcome<()>,
    ) -> Outcome<()> {
        if let Some(known) = self.chosen[place] {
            return if known == node { rest(self) } else { Ok(()) };
        }
        if !self.fits(place, node) {
            return Ok(());
        }
        self.chosen[place] = Some(node);
        let done = rest(self);
        self.chosen[place] = None;
        done
    }

    fn step(&mut self) -> Outcome<()> {
        self.abandoned.check()?;
        self.steps += 1;
        if self.steps <= STEPS_MAX {
            return Ok(());
        }
        let text = format!(
            "the pattern leads along more than {STEPS_MAX} edges; ask for fewer nodes or shorter ways"
        );
        Err(QueryError::new(QueryErrorKind::LimitExceeded, text))
    }

    /// Matches the edges of the pattern from this one on.
    fn next_edge(&mut self, at: usize) -> Outcome<()> {
        let Some(edge) = self.work.edges.get(at) else { return self.free_nodes(0) };
        // From the end that is chosen already, if there is one.
        let is_backward = self.chosen[edge.from].is_none() && self.chosen[edge.to].is_some();
        let start = if is_backward { edge.to } else { edge.from };
        let candidates = match self.chosen[start] {
            Some(node) => node..node + 1,
            None => 0..self.nodes.len(),
        };
        for node in candidates {
            self.step()?;
            self.with_node(start, node, &mut |search| {
                search.ways[at] = Way { edges: Vec::new(), nodes: vec![node] };
                let was_used = std::mem::replace(&mut search.used_nodes[node], true);
                let done = search.walk(at, is_backward, node);
                search.used_nodes[node] = was_used;
                done
            })?;
        }
        Ok(())
    }

    /// Goes on from a node with an edge of the pattern.
    fn walk(&mut self, at: usize, is_backward: bool, node: usize) -> Outcome<()> {
        let edge = &self.work.edges[at];
        let length = self.ways[at].edges.len();
        if length >= edge.least as usize {
            let end = if is_backward { edge.from } else { edge.to };
            let way = self.ways[at].clone();
            self.with_node(end, node, &mut |search| {
                if is_backward {
                    search.ways[at].edges.reverse();
                    search.ways[at].nodes.reverse();
                }
                let done = search.next_edge(at + 1);
                search.ways[at].clone_from(&way);
                done
            })?;
        }
        if length == edge.most as usize {
            return Ok(());
        }
        let along = match (edge.direction, is_backward) {
            (GraphDirection::Right, false) | (GraphDirection::Left, true) => [true, false],
            (GraphDirection::Left, false) | (GraphDirection::Right, true) => [false, true],
            (GraphDirection::Either, _) => [true, true],
        };
        for (leaves, is_asked) in [(true, along[0]), (false, along[1])] {
            let count = if is_asked { self.beside(node, leaves).len() } else { 0 };
            for place in 0..count {
                let (taken, next) = self.beside(node, leaves)[place];
                // An edge from a node to itself leaves and reaches it.
                if leaves || along[0] != along[1] || next != node {
                    self.take(at, is_backward, (taken, next))?;
                }
            }
        }
        Ok(())
    }

    fn beside(&self, node: usize, leaves: bool) -> &[(usize, usize)] {
        if leaves { &self.graph.leaving[node] } else { &self.graph.reaching[node] }
    }

    /// Goes along one edge of the graph.
    fn take(&mut self, at: usize, is_backward: bool, (taken, next): (usize, usize)) -> Outcome<()> {
        self.step()?;
        let fits = |column: &usize| self.edges[taken][*column] == Cell::Bool(true);
        if !self.work.edges[at].filters.iter().all(fits) {
            return Ok(());
        }
        let is_barred = match self.work.cycles {
            GraphCycles::All => false,
            GraphCycles::UniqueEdges => self.used_edges[taken],
            GraphCycles::None => self.used_edges[taken] || self.used_nodes[next],
        };
        if is_barred {
            return Ok(());
        }
        let was_used = std::mem::replace(&mut self.used_edges[taken], true);
        let was_there = std::mem::replace(&mut self.used_nodes[next], true);
        self.ways[at].edges.push(taken);
        self.ways[at].nodes.push(next);
        let done = self.walk(at, is_backward, next);
        self.ways[at].edges.pop();
        self.ways[at].nodes.pop();
        (self.used_edges[taken], self.used_nodes[next]) = (was_used, was_there);
        done
    }

    /// Nodes of the pattern that no edge leads to stand for any node.
    fn free_nodes(&mut self, place: usize) -> Outcome<()> {
        if place == self.chosen.len() {
            return self.found();
        }
        if self.chosen[place].is_some() {
            return self.free_nodes(place + 1);
        }
        for node in 0..self.nodes.len() {
            self.step()?;
            self.with_node(place, node, &mut |search| search.free_nodes(place + 1))?;
        }
        Ok(())
    }

    fn found(&mut self) -> Outcome<()> {
        if self.out.len() == MATCHES_MAX {
            let text = format!("the pattern has more than {MATCHES_MAX} matches");
            return Err(QueryError::new(QueryErrorKind::LimitExceeded, text));
        }
        let row: Row = self.work.outputs.iter().map(|output| self.output(output)).collect();
        self.reservation.try_grow(row.iter().map(bytes_of).sum()).outcome()?;
        self.out.push(row);
        Ok(())
    }

    fn output(&self, output: &GraphOutput) -> Cell<'static> {
        let cells: Vec<&Cell<'static>> = match output.of {
            GraphPlace::Node(place) => {
                self.chosen[place].iter().map(|node| &self.nodes[*node][output.column]).collect()
            }
            GraphPlace::Edge(at) => {
                self.ways[at].edges.iter().map(|edge| &self.edges[*edge][output.column]).collect()
            }
            GraphPlace::Inner(at) => {
                let all = &self.ways[at].nodes;
                let inner = all.get(1..all.len().saturating_sub(1)).unwrap_or_default();
                inner.iter().map(|node| &self.nodes[*node][output.column]).collect()
            }
        };
        let is_true = |cell: &&Cell<'static>| **cell == Cell::Bool(true);
        match output.fold {
            GraphFold::One => cells.first().map_or(Cell::Null, |cell| (*cell).clone()),
            GraphFold::All => Cell::Bool(cells.iter().all(is_true)),
            GraphFold::Any => Cell::Bool(cells.iter().any(is_true)),
            GraphFold::Count => Cell::or_null(i64::try_from(cells.len()).ok(), Cell::Long),
            GraphFold::List => {
                let parts: Vec<_> = cells.into_iter().map(to_json).collect();
                Cell::dynamic(format!("[{}]", parts.join(",")))
            }
        }
    }
}

/// What a cell takes in memory.
fn bytes_of(cell: &Cell<'_>) -> usize {
    let text = match cell {
        Cell::Guid(text) | Cell::Text(text) | Cell::Dynamic(text) => text.len(),
        _ => 0,
    };
    size_of::<Cell<'_>>() + text
}

/// The nodes with the number of their component, in the order in which edges and then nodes name them.
pub(super) fn components(strong: bool, nodes: &[Row], edges: &[Row]) -> Vec<Row> {
    let graph = Graph::new(nodes, edges);
    let component = if strong { strong_components(&graph) } else { weak_components(&graph) };
    let named = graph.ends.iter().flatten().flat_map(|(from, to)| [*from, *to]);
    let mut numbers: HashMap<usize, i64> = HashMap::new();
    for node in named.chain(0..nodes.len()) {
        let fresh = i64::try_from(numbers.len()).unwrap_or(i64::MAX);
        numbers.entry(component[node]).or_insert(fresh);
    }
    let number = |at: usize| numbers.get(&component[at]).copied().unwrap_or(0);
    let rows = nodes.iter().enumerate();
    rows.map(|(at, row)| row.iter().cloned().chain([Cell::Long(number(at))]).collect()).collect()
}

/// For each node a node of its component, the same for all of them.
fn weak_components(graph: &Graph) -> Vec<usize> {
    let mut of: Vec<Option<usize>> = vec![None; graph.leaving.len()];
    for first in 0..of.len() {
        let mut waiting = vec![first];
        while let Some(node) = waiting.pop() {
            if of[node].is_some() {
                continue;
            }
            of[node] = Some(first);
            let near = graph.leaving[node].iter().chain(&graph.reaching[node]);
            waiting.extend(near.map(|(_, next)| *next));
        }
    }
    of.into_iter().map(Option::unwrap_or_default).collect()
}

/// Kosaraju's way: nodes in the order in which a walk is done with them, then walks backwards.
fn strong_components(graph: &Graph) -> Vec<usize> {
    let count = graph.leaving.len();
    let mut is_seen = vec![false; count];
    let mut order = Vec::with_capacity(count);
    for first in 0..count {
        let mut waiting = vec![(first, false)];
        while let Some((node, is_done)) = waiting.pop() {
            if is_done {
                order.push(node);
            } else if !std::mem::replace(&mut is_seen[node], true) {
                waiting.push((node, true));
                waiting.extend(graph.leaving[node].iter().map(|(_, next)| (*next, false)));
            }
        }
    }
    let mut of: Vec<Option<usize>> = vec![None; count];
    for first in order.into_iter().rev() {
        let mut waiting = vec![first];
        while let Some(node) = waiting.pop() {
            if of[node].is_none() {
                of[node] = Some(first);
                waiting.extend(graph.reaching[node].iter().map(|(_, next)| *next));
            }
        }
    }
    of.into_iter().map(Option::unwrap_or_default).collect()
}
