//! Aggregates.

use super::Returns::{Argument, Mean, Special, Type as Always, Widened};
use super::functions;
use crate::Type::{Dynamic, Long, Real};

functions! {
    /// Aggregate functions.
    Aggregate {
        ArgMax "arg_max" ("ordered, any*") Special, Pure;
        ArgMin "arg_min" ("ordered, any*") Special, Pure;
        Avg "avg" ("summable") Mean(0), Pure;
        AvgIf "avgif" ("summable, bool") Mean(0), Pure;
        BinaryAllAnd "binary_all_and" ("long") Always(Long), Pure;
        BinaryAllOr "binary_all_or" ("long") Always(Long), Pure;
        BinaryAllXor "binary_all_xor" ("long") Always(Long), Pure;
        BuildSchema "buildschema" ("dynamic") Always(Dynamic), Pure;
        Count "count" ("") Always(Long), Pure;
        CountDistinct "count_distinct" ("any") Always(Long), Pure;
        CountDistinctIf "count_distinctif" ("any, bool") Always(Long), Pure;
        CountIf "countif" ("bool") Always(Long), Pure;
        Covariance "covariance" ("real, real") Always(Real), Pure;
        CovarianceIf "covarianceif" ("real, real, bool") Always(Real), Pure;
        CovarianceP "covariancep" ("real, real") Always(Real), Pure;
        CovariancePIf "covariancepif" ("real, real, bool") Always(Real), Pure;
        Dcount "dcount" ("any, long?") Always(Long), Pure;
        DcountIf "dcountif" ("any, bool, long?") Always(Long), Pure;
        Hll "hll" ("any, long?") Always(Dynamic), Pure;
        HllIf "hll_if" ("any, bool, long?") Always(Dynamic), Pure;
        HllMerge "hll_merge" ("dynamic") Always(Dynamic), Pure;
        MakeBag "make_bag" ("dynamic, long?") Always(Dynamic), Pure;
        MakeBagIf "make_bag_if" ("dynamic, bool, long?") Always(Dynamic), Pure;
        MakeList "make_list" ("any, long?") Always(Dynamic), Pure;
        MakeListIf "make_list_if" ("any, bool, long?") Always(Dynamic), Pure;
        MakeListWithNulls "make_list_with_nulls" ("any") Always(Dynamic), Pure;
        MakeSet "make_set" ("any, long?") Always(Dynamic), Pure;
        MakeSetIf "make_set_if" ("any, bool, long?") Always(Dynamic), Pure;
        Max "max" ("ordered") Argument(0), Pure;
        MaxIf "maxif" ("ordered, bool") Argument(0), Pure;
        Min "min" ("ordered") Argument(0), Pure;
        MinIf "minif" ("ordered, bool") Argument(0), Pure;
        Percentile "percentile" ("ordered, real") Widened(0), Pure;
        PercentileW "percentilew" ("ordered, long, real") Widened(0), Pure;
        Percentiles "percentiles" ("ordered, real*") Special, Pure;
        PercentilesArray "percentiles_array" ("ordered, any*") Always(Dynamic), Pure;
        PercentilesW "percentilesw" ("ordered, long, real*") Special, Pure;
        PercentilesWArray "percentilesw_array" ("ordered, long, any*") Always(Dynamic), Pure;
        Stdev "stdev" ("number") Always(Real), Pure;
        StdevIf "stdevif" ("number, bool") Always(Real), Pure;
        StdevP "stdevp" ("number") Always(Real), Pure;
        StdevPIf "stdevpif" ("number, bool") Always(Real), Pure;
        Sum "sum" ("summable") Widened(0), Pure;
        SumIf "sumif" ("summable, bool") Widened(0), Pure;
        TakeAny "take_any" ("any*") Special, Pure;
        TakeAnyIf "take_anyif" ("any, bool") Argument(0), Pure;
        Tdigest "tdigest" ("ordered, long?") Always(Dynamic), Pure;
        TdigestMerge "tdigest_merge" ("dynamic") Always(Dynamic), Pure;
        Variance "variance" ("number") Always(Real), Pure;
        VarianceIf "varianceif" ("number, bool") Always(Real), Pure;
        VarianceP "variancep" ("number") Always(Real), Pure;
        VariancePIf "variancepif" ("number, bool") Always(Real), Pure;
    }
}

impl Aggregate {
    /// The aggregate of this name or older alias.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = match name {
            "any" => "take_any",
            "anyif" => "take_anyif",
            "argmax" => "arg_max",
            "argmin" => "arg_min",
            "makelist" => "make_list",
            "makeset" => "make_set",
            "make_dictionary" => "make_bag",
            "merge_tdigest" | "tdigest_merge" => "tdigest_merge",
            other => other,
        };
        Self::ALL.iter().copied().find(|aggregate| aggregate.name() == name)
    }
}
