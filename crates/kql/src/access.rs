//! What a run may see of the tables. Nothing, unless whoever runs it says so.

use std::sync::Arc;

/// What a run may see. The engine applies it where tables are read, before any operator of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Which rows.
    pub rows: Rows,
    /// Whether what callers and models said to each other.
    pub content: Content,
}

/// Which rows a run may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// None: a query that reads a table is refused.
    #[default]
    None,
    /// Those of these subscriptions. Tables whose rows belong to no subscription are not there.
    OfSubscriptions(Arc<[String]>),
    /// All.
    All,
}

/// Whether a run may see the columns that hold prompts, answers, bodies and headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// They read as empty strings and nulls, whatever a query does with them.
    #[default]
    Masked,
    /// It may, but said not what for: a query that reads one of them is refused.
    WithoutPurpose,
    /// It may. The frame names the columns it read.
    Readable,
}

impl Access {
    /// All rows with their content: the gateway's own work on its own data, and tests.
    pub const fn everything() -> Self {
        Self { rows: Rows::All, content: Content::Readable }
    }

    /// All rows without their content.
    pub const fn without_content() -> Self {
        Self { rows: Rows::All, content: Content::Masked }
    }

    /// The rows of these subscriptions, without their content.
    pub fn of_subscriptions(subscriptions: impl IntoIterator<Item = String>) -> Self {
        let named = subscriptions.into_iter().filter(|name| !name.is_empty());
        Self { rows: Rows::OfSubscriptions(named.collect()), content: Content::Masked }
    }
}
