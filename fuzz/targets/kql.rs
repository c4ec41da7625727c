//! Queries: any text is parsed and, where it parses, bound, without panic or hang.
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

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        kql::check_syntax(text);
        let _ = kql::compile(text, &Tables, &Options::default());
    }
});
