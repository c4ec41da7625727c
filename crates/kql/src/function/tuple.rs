//! Functions with several values: in `extend` and `project` each is a column of its own.

use crate::Function;
use crate::Type::{self, Dynamic, Long, Real};

/// A value of such a function: the end of its column's name, and its type.
pub(crate) type TupleValue = (&'static str, Type);

/// The values of a function that has several; in an expression it is a dynamic array of them.
pub(crate) fn values(function: Function) -> Option<&'static [TupleValue]> {
    Some(match function {
        Function::SeriesStats => &[
            ("min", Real),
            ("min_idx", Long),
            ("max", Real),
            ("max_idx", Long),
            ("avg", Real),
            ("stdev", Real),
            ("variance", Real),
        ],
        Function::SeriesFitLine => &[
            ("rsquare", Real),
            ("slope", Real),
            ("variance", Real),
            ("rvariance", Real),
            ("interception", Real),
            ("line_fit", Dynamic),
        ],
        Function::SeriesFit2lines => &[
            ("rsquare", Real),
            ("split_idx", Long),
            ("variance", Real),
            ("rvariance", Real),
            ("line_fit", Dynamic),
            ("right_rsquare", Real),
            ("right_slope", Real),
            ("right_interception", Real),
            ("right_variance", Real),
            ("right_rvariance", Real),
            ("left_rsquare", Real),
            ("left_slope", Real),
            ("left_interception", Real),
            ("left_variance", Real),
            ("left_rvariance", Real),
        ],
        Function::SeriesFitPoly => &[
            ("rsquare", Real),
            ("coefficients", Dynamic),
            ("variance", Real),
            ("rvariance", Real),
            ("poly_fit", Dynamic),
        ],
        Function::SeriesPeriodsDetect | Function::SeriesPeriodsValidate => {
            &[("periods", Dynamic), ("scores", Dynamic)]
        }
        Function::SeriesDecompose => &[
            ("baseline", Dynamic),
            ("seasonal", Dynamic),
            ("trend", Dynamic),
            ("residual", Dynamic),
        ],
        Function::SeriesDecomposeAnomalies => {
            &[("ad_flag", Dynamic), ("ad_score", Dynamic), ("baseline", Dynamic)]
        }
        Function::SeriesDecomposeForecast => &[
            ("baseline", Dynamic),
            ("seasonal", Dynamic),
            ("trend", Dynamic),
            ("residual", Dynamic),
        ],
        Function::SeriesFft | Function::SeriesIfft => &[("real", Dynamic), ("imag", Dynamic)],
        _ => return None,
    })
}
