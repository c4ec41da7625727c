//! What of the language this engine runs: for the reference page.

use kql::{Aggregate, Function};

use crate::kernels;

/// Whether a scalar function runs; one that does not is refused by name.
pub fn runs(function: Function) -> bool {
    let is_context = matches!(
        function,
        Function::Now
            | Function::Ago
            | Function::Rand
            // Becomes `bin` or `bin_at`.
            | Function::BinAuto
            | Function::NewGuid
            | Function::Assert
            | Function::CurrentDatabase
            | Function::CurrentPrincipal
    );
    is_context || function.is_window() || kernels::kernel(function).is_some()
}

/// Whether an aggregate's answer is exact where Kusto's is an estimate.
pub fn is_exact_here(aggregate: Aggregate) -> bool {
    matches!(
        aggregate,
        Aggregate::Dcount
            | Aggregate::DcountIf
            | Aggregate::Hll
            | Aggregate::HllIf
            | Aggregate::HllMerge
            | Aggregate::Tdigest
            | Aggregate::TdigestMerge
            | Aggregate::Percentile
            | Aggregate::Percentiles
            | Aggregate::PercentilesArray
            | Aggregate::PercentileW
            | Aggregate::PercentilesW
            | Aggregate::PercentilesWArray
    )
}
