//! DataFusion's errors as answers to the caller.

use datafusion::error::DataFusionError;
use kql::{QueryError, QueryErrorKind};

/// What a failed plan or execution means for the caller.
pub(crate) fn from_datafusion(error: DataFusionError) -> QueryError {
    if let DataFusionError::External(inner) = error.find_root()
        && let Some(ours) = inner.downcast_ref::<QueryError>()
    {
        return ours.clone();
    }
    let kind = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => QueryErrorKind::LimitExceeded,
        DataFusionError::NotImplemented(_) => QueryErrorKind::Unsupported,
        DataFusionError::Execution(_) | DataFusionError::ArrowError(..) => {
            QueryErrorKind::Evaluation
        }
        _ => QueryErrorKind::Internal,
    };
    let detail = match error.find_root() {
        DataFusionError::Execution(detail) => detail.clone(),
        other => other.to_string(),
    };
    if kind == QueryErrorKind::LimitExceeded {
        // As Kusto says it: clients look for the code.
        let text = "Query execution lacks memory resources to complete (80DA0007): Partial query failure: \
                    Low memory condition (E_LOW_MEMORY_CONDITION)";
        return QueryError::new(kind, format!("{text}: {detail}"));
    }
    QueryError::new(kind, detail)
}

/// A result or an answer to the caller.
pub(crate) type Outcome<T> = Result<T, QueryError>;

/// Turns DataFusion's results into outcomes.
pub(crate) trait IntoOutcome<T> {
    fn outcome(self) -> Outcome<T>;
}

impl<T> IntoOutcome<T> for Result<T, DataFusionError> {
    fn outcome(self) -> Outcome<T> {
        self.map_err(from_datafusion)
    }
}
