//! DataFusion's errors as answers to the caller.

use datafusion::error::DataFusionError;
use kql::{QueryError, QueryErrorKind};

/// What a failed plan or execution means for the caller.
pub(crate) fn from_datafusion(error: DataFusionError) -> QueryError {
    let kind = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => QueryErrorKind::LimitExceeded,
        DataFusionError::NotImplemented(_) => QueryErrorKind::Unsupported,
        DataFusionError::Execution(_) | DataFusionError::ArrowError(..) => {
            QueryErrorKind::Evaluation
        }
        _ => QueryErrorKind::Internal,
    };
    QueryError::new(kind, error.find_root().to_string())
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
