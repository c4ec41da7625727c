//! Queries: any text is parsed and, where it parses, bound, without panic or hang. Bytes that are no
//! text choose words of the language instead, one each.
#![no_main]

use std::sync::Arc;

use kql::{Catalogue, Column, Options, Schema, Type};

/// One table with a column of every type.
struct Tables;

impl Catalogue for Tables {
    fn table(&self, name: &str) -> Option<Arc<Schema>> {
        let columns = Type::ALL.map(|column_type| Column::new(column_type.name(), column_type));
        (name == "T").then(|| Arc::new(Schema::new(columns.to_vec())))
    }

    fn table_names(&self) -> Vec<String> {
        vec!["T".into()]
    }
}

/// Words that statements over tables and graphs are made of, by the columns of `T`.
const WORDS: &[&str] = &[
    "T",
    "|",
    ";",
    ",",
    "(",
    ")",
    "=",
    "'a'",
    "1",
    "-1",
    "*",
    "let G =",
    "G",
    "where",
    "extend x =",
    "project",
    "project-away",
    "summarize",
    "count()",
    "by",
    "sort by",
    "asc",
    "take",
    "join kind=inner (T) on",
    "union",
    "mv-expand",
    "mv-apply",
    "on (",
    "make-series",
    "step",
    "make_list(",
    "partition by",
    "scan with (step s:",
    "=>",
    "evaluate",
    "materialize(",
    "toscalar(",
    "string",
    "int",
    "long",
    "real",
    "dynamic",
    "datetime",
    "bool",
    "==",
    "<",
    "+",
    "/",
    "and",
    "or",
    "not(",
    "in",
    "has",
    "between (",
    "..",
    "make-graph string --> string",
    "make-graph long --> int",
    "with T on string",
    "with_node_id=n",
    "graph-match",
    "graph-shortest-paths",
    "cycles=none",
    "cycles=all",
    "output=all",
    "(x)",
    "(y)",
    "()",
    "-->",
    "<--",
    "--",
    "-[e]->",
    "<-[e]-",
    "-[f]-",
    "-[e*1..3]->",
    "-[*0..2]-",
    "-[f*2..1]->",
    "where x.n == y.n",
    "x.n",
    "y.string",
    "e.string",
    "e.long",
    "f.int",
    "map(e,",
    "all(e,",
    "any(f,",
    "inner_nodes(e)",
    "node_id(x)",
    "node_degree_in(",
    "node_degree_out()",
    "graph-where-nodes",
    "graph-where-edges",
    "graph-mark-components",
    "kind=strong",
    "with_component_id=c",
    "graph-to-table",
    "nodes",
    "edges",
    "as N",
    "with_source_id=s",
];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let chosen = |byte: &u8| WORDS[usize::from(*byte) % WORDS.len()];
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(chosen).collect::<Vec<_>>().join(" "),
    };
    kql::check_syntax(&text);
    let _ = kql::compile(&text, &Tables, &Options::default());
});
