//! Where a call must go because of what it names.

use std::sync::Arc;

/// Where a call must go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Home {
    /// To any that serves its deployment; to the one that lists it as fine-tuned, if one does.
    #[default]
    Any,
    /// To the backend of this id, which holds what the call is about.
    Backend(Arc<str>),
}
