//! The tables as the commands of both query APIs describe them.

use std::sync::Arc;

use kql::{Access, Catalogue, Schema};
use serde_json::{Map, Value as Json, json};

/// The tables that somebody may name.
pub(crate) struct Catalogued {
    /// Name of the database.
    pub(crate) database: String,
    /// Tables by name.
    pub(crate) tables: Vec<(String, Arc<Schema>)>,
}

impl Catalogued {
    pub(crate) fn new(engine: &dyn kql::Engine, access: &Access) -> Self {
        let catalogue: Arc<dyn Catalogue> = engine.catalogue(access);
        let names = catalogue.table_names().into_iter();
        let tables = names.filter_map(|name| {
            let schema = catalogue.table(&name)?;
            Some((name, schema))
        });
        Self { database: catalogue.database().to_owned(), tables: tables.collect() }
    }

    /// A table by name; the case does not matter where only one fits.
    pub(crate) fn table(&self, name: &str) -> Option<&(String, Arc<Schema>)> {
        let exact = self.tables.iter().find(|(known, _)| known == name);
        exact.or_else(|| self.tables.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)))
    }

    /// The database as `.show database schema as json` describes it.
    pub(crate) fn json(&self) -> Json {
        let tables: Map<String, Json> =
            self.tables.iter().map(|(name, schema)| (name.clone(), table(name, schema))).collect();
        let mut databases = Map::new();
        let database = json!({
            "Name": self.database, "Tables": tables, "ExternalTables": {}, "MaterializedViews": {},
            "EntityGroups": {}, "Functions": {}, "MajorVersion": 1, "MinorVersion": 0,
            "DatabaseAccessMode": "ReadOnly",
        });
        databases.insert(self.database.clone(), database);
        json!({ "Plugins": [], "Databases": databases })
    }
}

/// A table with its columns.
pub(crate) fn table(name: &str, schema: &Schema) -> Json {
    let columns: Json = schema
        .columns
        .iter()
        .map(|column| {
            json!({
                "Name": &*column.name,
                "Type": column.column_type.dotnet_name(),
                "CslType": column.column_type.name(),
            })
        })
        .collect();
    json!({ "Name": name, "Folder": "", "DocString": "", "OrderedColumns": columns })
}

/// Columns as `create table` writes them.
pub(crate) fn csl(schema: &Schema) -> String {
    let column = |column: &kql::Column| {
        let name = &column.name;
        let is_plain = name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
        let kusto = column.column_type.name();
        if is_plain { format!("{name}:{kusto}") } else { format!("['{name}']:{kusto}") }
    };
    schema.columns.iter().map(column).collect::<Vec<_>>().join(", ")
}
