//! Scalar functions. What is missing here on purpose: conversions (`tolong` … are
//! [`crate::ExprKind::Convert`]), `iff`, `case` ([`crate::ExprKind::Case`]), `not` is here.

use super::Returns::{Argument, Common, Special, Type as Always};
use super::{Nature, functions};
use crate::Type::{Bool, Datetime, Decimal, Dynamic, Guid, Int, Long, Real, String, Timespan};

functions! {
    /// Scalar functions.
    Function {
        // numbers
        Abs "abs" ("summable") Argument(0), Pure;
        Acos "acos" ("real") Always(Real), Pure;
        Asin "asin" ("real") Always(Real), Pure;
        Atan "atan" ("real") Always(Real), Pure;
        Atan2 "atan2" ("real, real") Always(Real), Pure;
        BetaCdf "beta_cdf" ("real, real, real") Always(Real), Pure;
        BetaInv "beta_inv" ("real, real, real") Always(Real), Pure;
        BetaPdf "beta_pdf" ("real, real, real") Always(Real), Pure;
        BinaryAnd "binary_and" ("long, long") Always(Long), Pure;
        BinaryNot "binary_not" ("long") Always(Long), Pure;
        BinaryOr "binary_or" ("long, long") Always(Long), Pure;
        BinaryShiftLeft "binary_shift_left" ("long, long") Always(Long), Pure;
        BinaryShiftRight "binary_shift_right" ("long, long") Always(Long), Pure;
        BinaryXor "binary_xor" ("long, long") Always(Long), Pure;
        BitsetCountOnes "bitset_count_ones" ("long") Always(Long), Pure;
        Ceiling "ceiling" ("number") Argument(0), Pure;
        ConvertAngle "convert_angle" ("real, string, string") Always(Real), Pure;
        ConvertEnergy "convert_energy" ("real, string, string") Always(Real), Pure;
        ConvertForce "convert_force" ("real, string, string") Always(Real), Pure;
        ConvertLength "convert_length" ("real, string, string") Always(Real), Pure;
        ConvertMass "convert_mass" ("real, string, string") Always(Real), Pure;
        ConvertSpeed "convert_speed" ("real, string, string") Always(Real), Pure;
        ConvertTemperature "convert_temperature" ("real, string, string") Always(Real), Pure;
        ConvertVolume "convert_volume" ("real, string, string") Always(Real), Pure;
        Cos "cos" ("real") Always(Real), Pure;
        Cot "cot" ("real") Always(Real), Pure;
        Degrees "degrees" ("real") Always(Real), Pure;
        Erf "erf" ("real") Always(Real), Pure;
        Erfc "erfc" ("real") Always(Real), Pure;
        Exp "exp" ("real") Always(Real), Pure;
        Exp10 "exp10" ("real") Always(Real), Pure;
        Exp2 "exp2" ("real") Always(Real), Pure;
        Gamma "gamma" ("real") Always(Real), Pure;
        IsFinite "isfinite" ("real") Always(Bool), Pure;
        IsInf "isinf" ("real") Always(Bool), Pure;
        IsNan "isnan" ("real") Always(Bool), Pure;
        Log "log" ("real") Always(Real), Pure;
        Log10 "log10" ("real") Always(Real), Pure;
        Log2 "log2" ("real") Always(Real), Pure;
        LogGamma "loggamma" ("real") Always(Real), Pure;
        MaxOf "max_of" ("common, common, common*") Common, SeesNulls;
        MinOf "min_of" ("common, common, common*") Common, SeesNulls;
        Not "not" ("bool") Always(Bool), Pure;
        Pi "pi" ("") Always(Real), Pure;
        Pow "pow" ("real, real") Always(Real), Pure;
        Radians "radians" ("real") Always(Real), Pure;
        Rand "rand" ("long?") Always(Real), Volatile;
        Round "round" ("number, long?") Special, Pure;
        Sign "sign" ("number") Always(Real), Pure;
        Sin "sin" ("real") Always(Real), Pure;
        Sqrt "sqrt" ("real") Always(Real), Pure;
        Tan "tan" ("real") Always(Real), Pure;
        WelchTest "welch_test" ("real, real, long, real, real, long") Always(Real), Pure;

        // rounding to a grid: number with number, datetime and timespan with timespan
        Bin "bin" ("any, any") Special, Pure;
        BinAt "bin_at" ("any, any, any") Special, Pure;
        BinAuto "bin_auto" ("any") Argument(0), Pure;

        // nulls, emptiness
        Coalesce "coalesce" ("common, common, common*") Common, SeesNulls;
        GetType "gettype" ("any") Always(String), SeesNulls;
        IsAscii "isascii" ("string") Always(Bool), Pure;
        IsEmpty "isempty" ("any") Always(Bool), SeesNulls;
        IsNotEmpty "isnotempty" ("any") Always(Bool), SeesNulls;
        IsNotNull "isnotnull" ("any") Always(Bool), SeesNulls;
        IsNull "isnull" ("any") Always(Bool), SeesNulls;
        IsUtf8 "isutf8" ("string") Always(Bool), Pure;

        // instants and durations
        Ago "ago" ("timespan") Always(Datetime), PerQuery;
        DatetimeAdd "datetime_add" ("string, long, datetime") Always(Datetime), Pure;
        DatetimeDiff "datetime_diff" ("string, datetime, datetime") Always(Long), Pure;
        DatetimeListTimezones "datetime_list_timezones" ("") Always(Dynamic), Pure;
        DatetimeLocalToUtc "datetime_local_to_utc" ("datetime, string") Always(Datetime), Pure;
        DatetimePart "datetime_part" ("string, datetime") Always(Int), Pure;
        DatetimeUtcToLocal "datetime_utc_to_local" ("datetime, string") Always(Datetime), Pure;
        DayOfMonth "dayofmonth" ("datetime") Always(Int), Pure;
        DayOfWeek "dayofweek" ("datetime") Always(Timespan), Pure;
        DayOfYear "dayofyear" ("datetime") Always(Int), Pure;
        EndOfDay "endofday" ("datetime, long?") Always(Datetime), Pure;
        EndOfMonth "endofmonth" ("datetime, long?") Always(Datetime), Pure;
        EndOfWeek "endofweek" ("datetime, long?") Always(Datetime), Pure;
        EndOfYear "endofyear" ("datetime, long?") Always(Datetime), Pure;
        FormatDatetime "format_datetime" ("datetime, string") Always(String), Pure;
        FormatTimespan "format_timespan" ("timespan, string") Always(String), Pure;
        GetMonth "getmonth" ("datetime") Always(Int), Pure;
        GetYear "getyear" ("datetime") Always(Int), Pure;
        HourOfDay "hourofday" ("datetime") Always(Int), Pure;
        IngestionTime "ingestion_time" ("") Always(Datetime), PerQuery;
        MakeDatetime "make_datetime" ("any, long?, long?, long?, long?, real?")
            Always(Datetime), Pure;
        MakeTimespan "make_timespan" ("long, long, real?, real?") Always(Timespan), Pure;
        MonthOfYear "monthofyear" ("datetime") Always(Int), Pure;
        Now "now" ("timespan?") Always(Datetime), PerQuery;
        StartOfDay "startofday" ("datetime, long?") Always(Datetime), Pure;
        StartOfMonth "startofmonth" ("datetime, long?") Always(Datetime), Pure;
        StartOfWeek "startofweek" ("datetime, long?") Always(Datetime), Pure;
        StartOfYear "startofyear" ("datetime, long?") Always(Datetime), Pure;
        UnixMicroseconds "unixtime_microseconds_todatetime" ("long") Always(Datetime), Pure;
        UnixMilliseconds "unixtime_milliseconds_todatetime" ("long") Always(Datetime), Pure;
        UnixNanoseconds "unixtime_nanoseconds_todatetime" ("long") Always(Datetime), Pure;
        UnixSeconds "unixtime_seconds_todatetime" ("real") Always(Datetime), Pure;
        WeekOfYear "week_of_year" ("datetime") Always(Int), Pure;

        // text
        Base64DecodeToArray "base64_decode_toarray" ("string") Always(Dynamic), Pure;
        Base64DecodeToGuid "base64_decode_toguid" ("string") Always(Guid), Pure;
        Base64DecodeToString "base64_decode_tostring" ("string") Always(String), Pure;
        Base64EncodeFromArray "base64_encode_fromarray" ("dynamic") Always(String), Pure;
        Base64EncodeFromGuid "base64_encode_fromguid" ("guid") Always(String), Pure;
        Base64EncodeToString "base64_encode_tostring" ("string") Always(String), Pure;
        CountOf "countof" ("string, string, string?") Always(Long), Pure;
        Extract "extract" ("string, long, string, any?") Special, Pure;
        ExtractAll "extract_all" ("string, any, string?") Always(Dynamic), Pure;
        ExtractJson "extract_json" ("string, string, any?") Special, Pure;
        FormatBytes "format_bytes" ("number, long?, string?") Always(String), Pure;
        GzipCompress "gzip_compress_to_base64_string" ("string") Always(String), Pure;
        GzipDecompress "gzip_decompress_from_base64_string" ("string") Always(String), Pure;
        HasAnyIndex "has_any_index" ("string, dynamic") Always(Long), Pure;
        Hash "hash" ("any, long?") Always(Long), SeesNulls;
        HashCombine "hash_combine" ("long, long*") Always(Long), SeesNulls;
        HashMany "hash_many" ("any, any*") Always(Long), SeesNulls;
        HashMd5 "hash_md5" ("any") Always(String), SeesNulls;
        HashSha1 "hash_sha1" ("any") Always(String), SeesNulls;
        HashSha256 "hash_sha256" ("any") Always(String), SeesNulls;
        HashXxhash64 "hash_xxhash64" ("any, long?") Always(Long), SeesNulls;
        IndexOf "indexof" ("text, text, long?, long?, long?") Always(Long), Pure;
        IndexOfRegex "indexof_regex" ("text, string, long?, long?, long?") Always(Long), Pure;
        ParseCommandLine "parse_command_line" ("string, string") Always(Dynamic), Pure;
        ParseCsv "parse_csv" ("string") Always(Dynamic), Pure;
        ParseJson "parse_json" ("string") Always(Dynamic), Pure;
        ParseKv "parse-kv" ("string, dynamic, string, string, string, string, bool")
            Always(Dynamic), Pure;
        ParsePath "parse_path" ("string") Always(Dynamic), Pure;
        ParseUrl "parse_url" ("string") Always(Dynamic), Pure;
        ParseUrlQuery "parse_urlquery" ("string") Always(Dynamic), Pure;
        ParseUserAgent "parse_user_agent" ("string, any") Always(Dynamic), Pure;
        ParseVersion "parse_version" ("string") Always(Decimal), Pure;
        ParseXml "parse_xml" ("string") Always(Dynamic), Pure;
        PunycodeDomainFromString "punycode_domain_from_string" ("string") Always(String), Pure;
        PunycodeDomainToString "punycode_domain_to_string" ("string") Always(String), Pure;
        PunycodeFromString "punycode_from_string" ("string") Always(String), Pure;
        PunycodeToString "punycode_to_string" ("string") Always(String), Pure;
        RegexQuote "regex_quote" ("string") Always(String), Pure;
        ReplaceRegex "replace_regex" ("string, string, string") Always(String), Pure;
        ReplaceString "replace_string" ("string, string, string") Always(String), Pure;
        ReplaceStrings "replace_strings" ("string, dynamic, dynamic") Always(String), Pure;
        Reverse "reverse" ("text") Always(String), Pure;
        Split "split" ("string, string, long?") Always(Dynamic), Pure;
        Strcat "strcat" ("text, text*") Always(String), SeesNulls;
        StrcatDelim "strcat_delim" ("text, text, text*") Always(String), SeesNulls;
        Strcmp "strcmp" ("string, string") Always(Long), Pure;
        StringSize "string_size" ("string") Always(Long), Pure;
        Strlen "strlen" ("string") Always(Long), Pure;
        Strrep "strrep" ("text, long, string?") Always(String), Pure;
        Substring "substring" ("text, long, long?") Always(String), Pure;
        ToHex "tohex" ("integer, long?") Always(String), Pure;
        ToLower "tolower" ("text") Always(String), Pure;
        ToUpper "toupper" ("text") Always(String), Pure;
        Translate "translate" ("string, string, string") Always(String), Pure;
        Trim "trim" ("string, string") Always(String), Pure;
        TrimEnd "trim_end" ("string, string") Always(String), Pure;
        TrimStart "trim_start" ("string, string") Always(String), Pure;
        UnicodeFromString "unicode_codepoints_from_string" ("string") Always(Dynamic), Pure;
        UnicodeToString "unicode_codepoints_to_string" ("any, any*") Always(String), Pure;
        UrlDecode "url_decode" ("string") Always(String), Pure;
        UrlEncode "url_encode" ("string") Always(String), Pure;
        UrlEncodeComponent "url_encode_component" ("string") Always(String), Pure;
        ZlibCompress "zlib_compress_to_base64_string" ("string") Always(String), Pure;
        ZlibDecompress "zlib_decompress_from_base64_string" ("string") Always(String), Pure;

        // addresses
        FormatIpv4 "format_ipv4" ("any, long?") Always(String), Pure;
        FormatIpv4Mask "format_ipv4_mask" ("any, long?") Always(String), Pure;
        HasAnyIpv4 "has_any_ipv4" ("string, any, any*") Always(Bool), Pure;
        HasAnyIpv4Prefix "has_any_ipv4_prefix" ("string, any, any*") Always(Bool), Pure;
        HasIpv4 "has_ipv4" ("string, string") Always(Bool), Pure;
        HasIpv4Prefix "has_ipv4_prefix" ("string, string") Always(Bool), Pure;
        Ipv4Compare "ipv4_compare" ("string, string, long?") Always(Long), Pure;
        Ipv4IsInAnyRange "ipv4_is_in_any_range" ("string, any, any*") Always(Bool), Pure;
        Ipv4IsInRange "ipv4_is_in_range" ("string, string") Always(Bool), Pure;
        Ipv4IsMatch "ipv4_is_match" ("string, string, long?") Always(Bool), Pure;
        Ipv4IsPrivate "ipv4_is_private" ("string") Always(Bool), Pure;
        Ipv4NetmaskSuffix "ipv4_netmask_suffix" ("string") Always(Long), Pure;
        Ipv4RangeToCidrList "ipv4_range_to_cidr_list" ("string, string") Always(Dynamic), Pure;
        Ipv6Compare "ipv6_compare" ("string, string, long?") Always(Long), Pure;
        Ipv6IsInAnyRange "ipv6_is_in_any_range" ("string, any, any*") Always(Bool), Pure;
        Ipv6IsInRange "ipv6_is_in_range" ("string, string") Always(Bool), Pure;
        Ipv6IsMatch "ipv6_is_match" ("string, string, long?") Always(Bool), Pure;
        ParseIpv4 "parse_ipv4" ("string") Always(Long), Pure;
        ParseIpv4Mask "parse_ipv4_mask" ("string, long") Always(Long), Pure;
        ParseIpv6 "parse_ipv6" ("string") Always(String), Pure;
        ParseIpv6Mask "parse_ipv6_mask" ("string, long") Always(String), Pure;

        // dynamic
        ArrayConcat "array_concat" ("dynamic, dynamic*") Always(Dynamic), Pure;
        ArrayIff "array_iff" ("dynamic, any, any") Always(Dynamic), Pure;
        ArrayIndexOf "array_index_of" ("dynamic, any, long?, long?, long?") Always(Long), Pure;
        ArrayLength "array_length" ("dynamic") Always(Long), Pure;
        ArrayReverse "array_reverse" ("dynamic") Always(Dynamic), Pure;
        ArrayRotateLeft "array_rotate_left" ("dynamic, long") Always(Dynamic), Pure;
        ArrayRotateRight "array_rotate_right" ("dynamic, long") Always(Dynamic), Pure;
        ArrayShiftLeft "array_shift_left" ("dynamic, long, any?") Always(Dynamic), Pure;
        ArrayShiftRight "array_shift_right" ("dynamic, long, any?") Always(Dynamic), Pure;
        ArraySlice "array_slice" ("dynamic, long, long") Always(Dynamic), Pure;
        ArraySortAsc "array_sort_asc" ("dynamic, any*") Always(Dynamic), Pure;
        ArraySortDesc "array_sort_desc" ("dynamic, any*") Always(Dynamic), Pure;
        ArraySplit "array_split" ("dynamic, any") Always(Dynamic), Pure;
        ArraySum "array_sum" ("dynamic") Always(Real), Pure;
        BagHasKey "bag_has_key" ("dynamic, string") Always(Bool), Pure;
        BagKeys "bag_keys" ("dynamic") Always(Dynamic), Pure;
        BagMerge "bag_merge" ("dynamic, dynamic*") Always(Dynamic), SeesNulls;
        BagPack "bag_pack" ("any*") Always(Dynamic), SeesNulls;
        BagRemoveKeys "bag_remove_keys" ("dynamic, dynamic") Always(Dynamic), Pure;
        BagSetKey "bag_set_key" ("dynamic, string, any") Always(Dynamic), SeesNulls;
        BagZip "bag_zip" ("dynamic, dynamic") Always(Dynamic), SeesNulls;
        DynamicToJson "dynamic_to_json" ("any") Always(String), SeesNulls;
        JaccardIndex "jaccard_index" ("dynamic, dynamic") Always(Real), Pure;
        PackArray "pack_array" ("any*") Always(Dynamic), SeesNulls;
        RangeArray "range" ("any, any, any?") Always(Dynamic), Pure;
        Repeat "repeat" ("any, long") Always(Dynamic), SeesNulls;
        SetDifference "set_difference" ("dynamic, dynamic*") Always(Dynamic), Pure;
        SetHasElement "set_has_element" ("dynamic, any") Always(Bool), Pure;
        SetIntersect "set_intersect" ("dynamic, dynamic*") Always(Dynamic), Pure;
        SetUnion "set_union" ("dynamic, dynamic*") Always(Dynamic), Pure;
        StrcatArray "strcat_array" ("dynamic, string") Always(String), Pure;
        TreePath "treepath" ("dynamic") Always(Dynamic), Pure;
        Zip "zip" ("dynamic, dynamic*") Always(Dynamic), SeesNulls;

        // sketches
        DcountHll "dcount_hll" ("dynamic") Always(Long), Pure;
        HllMergeScalar "hll_merge" ("dynamic, dynamic*") Always(Dynamic), Pure;
        PercentileArrayTdigest "percentile_array_tdigest" ("dynamic, any, any*")
            Always(Dynamic), Pure;
        PercentileTdigest "percentile_tdigest" ("dynamic, real, any?") Special, Pure;
        PercentilesArrayTdigest "percentiles_array_tdigest" ("dynamic, any, any*")
            Always(Dynamic), Pure;
        PercentRankTdigest "percentrank_tdigest" ("dynamic, any") Always(Real), Pure;
        RankTdigest "rank_tdigest" ("dynamic, any") Always(Real), Pure;
        TdigestMergeScalar "tdigest_merge" ("dynamic, dynamic*") Always(Dynamic), Pure;

        // rows in order
        Next "next" ("any, long?, any?") Argument(0), Window;
        Prev "prev" ("any, long?, any?") Argument(0), Window;
        RowCumsum "row_cumsum" ("summable, bool?") Argument(0), Window;
        RowNumber "row_number" ("long?, bool?") Always(Long), Window;
        RowRankDense "row_rank_dense" ("any, bool?") Always(Long), Window;
        RowRankMin "row_rank_min" ("any, bool?") Always(Long), Window;
        RowWindowSession "row_window_session" ("datetime, timespan, timespan, bool?")
            Always(Datetime), Window;

        // series
        SeriesAbs "series_abs" ("dynamic") Always(Dynamic), Pure;
        SeriesAcos "series_acos" ("dynamic") Always(Dynamic), Pure;
        SeriesAsin "series_asin" ("dynamic") Always(Dynamic), Pure;
        SeriesAtan "series_atan" ("dynamic") Always(Dynamic), Pure;
        SeriesCeiling "series_ceiling" ("dynamic") Always(Dynamic), Pure;
        SeriesCos "series_cos" ("dynamic") Always(Dynamic), Pure;
        SeriesExp "series_exp" ("dynamic") Always(Dynamic), Pure;
        SeriesFloor "series_floor" ("dynamic") Always(Dynamic), Pure;
        SeriesLog "series_log" ("dynamic") Always(Dynamic), Pure;
        SeriesSign "series_sign" ("dynamic") Always(Dynamic), Pure;
        SeriesSin "series_sin" ("dynamic") Always(Dynamic), Pure;
        SeriesTan "series_tan" ("dynamic") Always(Dynamic), Pure;
        SeriesAdd "series_add" ("any, any") Always(Dynamic), Pure;
        SeriesSubtract "series_subtract" ("any, any") Always(Dynamic), Pure;
        SeriesMultiply "series_multiply" ("any, any") Always(Dynamic), Pure;
        SeriesDivide "series_divide" ("any, any") Always(Dynamic), Pure;
        SeriesPow "series_pow" ("any, any") Always(Dynamic), Pure;
        SeriesEquals "series_equals" ("any, any") Always(Dynamic), Pure;
        SeriesNotEquals "series_not_equals" ("any, any") Always(Dynamic), Pure;
        SeriesGreater "series_greater" ("any, any") Always(Dynamic), Pure;
        SeriesGreaterEquals "series_greater_equals" ("any, any") Always(Dynamic), Pure;
        SeriesLess "series_less" ("any, any") Always(Dynamic), Pure;
        SeriesLessEquals "series_less_equals" ("any, any") Always(Dynamic), Pure;
        SeriesCosineSimilarity "series_cosine_similarity" ("dynamic, dynamic, real?, real?")
            Always(Real), Pure;
        SeriesDecompose "series_decompose" ("dynamic, long?, string?, long?, real?")
            Always(Dynamic), Pure;
        SeriesDecomposeAnomalies "series_decompose_anomalies"
            ("dynamic, real?, long?, string?, long?, string?, real?") Always(Dynamic), Pure;
        SeriesDecomposeForecast "series_decompose_forecast" ("dynamic, long, long?, string?, real?")
            Always(Dynamic), Pure;
        SeriesDotProduct "series_dot_product" ("any, any") Always(Real), Pure;
        SeriesFft "series_fft" ("dynamic, dynamic?") Always(Dynamic), Pure;
        SeriesFillBackward "series_fill_backward" ("dynamic, any?") Always(Dynamic), SeesNulls;
        SeriesFillConst "series_fill_const" ("dynamic, any, any?") Always(Dynamic), SeesNulls;
        SeriesFillForward "series_fill_forward" ("dynamic, any?") Always(Dynamic), SeesNulls;
        SeriesFillLinear "series_fill_linear" ("dynamic, any?, bool?, any?") Always(Dynamic), SeesNulls;
        SeriesFir "series_fir" ("dynamic, dynamic, bool?, bool?") Always(Dynamic), Pure;
        SeriesFit2lines "series_fit_2lines" ("dynamic") Always(Dynamic), Pure;
        SeriesFit2linesDynamic "series_fit_2lines_dynamic" ("dynamic") Always(Dynamic), Pure;
        SeriesFitLine "series_fit_line" ("dynamic") Always(Dynamic), Pure;
        SeriesFitLineDynamic "series_fit_line_dynamic" ("dynamic") Always(Dynamic), Pure;
        SeriesFitPoly "series_fit_poly" ("dynamic, dynamic?, long?") Always(Dynamic), Pure;
        SeriesIfft "series_ifft" ("dynamic, dynamic?") Always(Dynamic), Pure;
        SeriesIir "series_iir" ("dynamic, dynamic, dynamic") Always(Dynamic), Pure;
        SeriesMagnitude "series_magnitude" ("dynamic") Always(Real), Pure;
        SeriesOutliers "series_outliers" ("dynamic, string?, any?, real?, real?")
            Always(Dynamic), SeesNulls;
        SeriesPearsonCorrelation "series_pearson_correlation" ("dynamic, dynamic")
            Always(Real), Pure;
        SeriesPeriodsDetect "series_periods_detect" ("dynamic, real, real, long")
            Always(Dynamic), Pure;
        SeriesPeriodsValidate "series_periods_validate" ("dynamic, real, real*")
            Always(Dynamic), Pure;
        SeriesProduct "series_product" ("dynamic") Always(Real), Pure;
        SeriesSeasonal "series_seasonal" ("dynamic, long?") Always(Dynamic), Pure;
        SeriesStats "series_stats" ("dynamic, bool?") Always(Dynamic), Pure;
        SeriesStatsDynamic "series_stats_dynamic" ("dynamic, bool?") Always(Dynamic), Pure;
        SeriesSum "series_sum" ("dynamic") Always(Real), Pure;

        // places on earth
        GeoAngle "geo_angle" ("real, real, real, real, real, real") Always(Real), Pure;
        GeoAzimuth "geo_azimuth" ("real, real, real, real") Always(Real), Pure;
        GeoClosestPointOnLine "geo_closest_point_on_line" ("real, real, dynamic")
            Always(Dynamic), Pure;
        GeoClosestPointOnPolygon "geo_closest_point_on_polygon" ("real, real, dynamic")
            Always(Dynamic), Pure;
        GeoDistance2points "geo_distance_2points" ("real, real, real, real") Always(Real), Pure;
        GeoDistancePointToLine "geo_distance_point_to_line" ("real, real, dynamic")
            Always(Real), Pure;
        GeoDistancePointToPolygon "geo_distance_point_to_polygon" ("real, real, dynamic")
            Always(Real), Pure;
        GeoFromWkt "geo_from_wkt" ("string") Always(Dynamic), Pure;
        GeoGeohashNeighbors "geo_geohash_neighbors" ("string") Always(Dynamic), Pure;
        GeoGeohashToCentralPoint "geo_geohash_to_central_point" ("string") Always(Dynamic), Pure;
        GeoGeohashToPolygon "geo_geohash_to_polygon" ("string") Always(Dynamic), Pure;
        GeoH3cellChildren "geo_h3cell_children" ("string, any?") Always(Dynamic), Pure;
        GeoH3cellLevel "geo_h3cell_level" ("string") Always(Int), Pure;
        GeoH3cellNeighbors "geo_h3cell_neighbors" ("string") Always(Dynamic), Pure;
        GeoH3cellParent "geo_h3cell_parent" ("string, any?") Always(String), Pure;
        GeoH3cellRings "geo_h3cell_rings" ("string, long") Always(Dynamic), Pure;
        GeoH3cellToCentralPoint "geo_h3cell_to_central_point" ("string") Always(Dynamic), Pure;
        GeoH3cellToPolygon "geo_h3cell_to_polygon" ("string") Always(Dynamic), Pure;
        GeoInfoFromIpAddress "geo_info_from_ip_address" ("string") Always(Dynamic), Pure;
        GeoIntersection2lines "geo_intersection_2lines" ("dynamic, dynamic") Always(Dynamic), Pure;
        GeoIntersection2polygons "geo_intersection_2polygons" ("dynamic, dynamic")
            Always(Dynamic), Pure;
        GeoIntersectionLineWithPolygon "geo_intersection_line_with_polygon" ("dynamic, dynamic")
            Always(Dynamic), Pure;
        GeoIntersects2lines "geo_intersects_2lines" ("dynamic, dynamic") Always(Bool), Pure;
        GeoIntersects2polygons "geo_intersects_2polygons" ("dynamic, dynamic") Always(Bool), Pure;
        GeoIntersectsLineWithPolygon "geo_intersects_line_with_polygon" ("dynamic, dynamic")
            Always(Bool), Pure;
        GeoLineBuffer "geo_line_buffer" ("dynamic, real, any?") Always(Dynamic), Pure;
        GeoLineCentroid "geo_line_centroid" ("dynamic") Always(Dynamic), Pure;
        GeoLineDensify "geo_line_densify" ("dynamic, any?, any?") Always(Dynamic), Pure;
        GeoLineInterpolatePoint "geo_line_interpolate_point" ("dynamic, real")
            Always(Dynamic), Pure;
        GeoLineLength "geo_line_length" ("dynamic") Always(Real), Pure;
        GeoLineLocatePoint "geo_line_locate_point" ("dynamic, real, real") Always(Real), Pure;
        GeoLineSimplify "geo_line_simplify" ("dynamic, any?") Always(Dynamic), Pure;
        GeoLineToS2cells "geo_line_to_s2cells" ("dynamic, any?, any?") Always(Dynamic), Pure;
        GeoPointBuffer "geo_point_buffer" ("real, real, real, any?") Always(Dynamic), Pure;
        GeoPointInCircle "geo_point_in_circle" ("real, real, real, real, real") Always(Bool), Pure;
        GeoPointInPolygon "geo_point_in_polygon" ("real, real, dynamic") Always(Bool), Pure;
        GeoPointToGeohash "geo_point_to_geohash" ("real, real, any?") Always(String), Pure;
        GeoPointToH3cell "geo_point_to_h3cell" ("real, real, any?") Always(String), Pure;
        GeoPointToS2cell "geo_point_to_s2cell" ("real, real, any?") Always(String), Pure;
        GeoPolygonArea "geo_polygon_area" ("dynamic") Always(Real), Pure;
        GeoPolygonBuffer "geo_polygon_buffer" ("dynamic, real, any?") Always(Dynamic), Pure;
        GeoPolygonCentroid "geo_polygon_centroid" ("dynamic") Always(Dynamic), Pure;
        GeoPolygonDensify "geo_polygon_densify" ("dynamic, any?, any?") Always(Dynamic), Pure;
        GeoPolygonPerimeter "geo_polygon_perimeter" ("dynamic") Always(Real), Pure;
        GeoPolygonSimplify "geo_polygon_simplify" ("dynamic, any?") Always(Dynamic), Pure;
        GeoPolygonToH3cells "geo_polygon_to_h3cells" ("dynamic, any?, any?") Always(Dynamic), Pure;
        GeoPolygonToS2cells "geo_polygon_to_s2cells" ("dynamic, any?, any?") Always(Dynamic), Pure;
        GeoS2cellNeighbors "geo_s2cell_neighbors" ("string") Always(Dynamic), Pure;
        GeoS2cellToCentralPoint "geo_s2cell_to_central_point" ("string") Always(Dynamic), Pure;
        GeoS2cellToPolygon "geo_s2cell_to_polygon" ("string") Always(Dynamic), Pure;
        GeoSimplifyPolygonsArray "geo_simplify_polygons_array" ("dynamic, any?")
            Always(Dynamic), Pure;
        GeoUnionLinesArray "geo_union_lines_array" ("dynamic") Always(Dynamic), Pure;
        GeoUnionPolygonsArray "geo_union_polygons_array" ("dynamic") Always(Dynamic), Pure;

        // context
        Assert "assert" ("bool, string") Always(Bool), SeesNulls;
        ColumnSize "estimate_data_size" ("any*") Always(Long), SeesNulls;
        CurrentClusterEndpoint "current_cluster_endpoint" ("") Always(String), PerQuery;
        CurrentDatabase "current_database" ("") Always(String), PerQuery;
        CurrentPrincipal "current_principal" ("") Always(String), PerQuery;
        CurrentPrincipalDetails "current_principal_details" ("") Always(Dynamic), PerQuery;
        CurrentPrincipalIsMemberOf "current_principal_is_member_of" ("any, any*")
            Always(Bool), PerQuery;
        ExtentId "extent_id" ("") Always(Guid), Volatile;
        ExtentTags "extent_tags" ("") Always(Dynamic), Volatile;
        NewGuid "new_guid" ("") Always(Guid), Volatile;
    }
}

impl Function {
    /// The function of this name or older alias.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = match name {
            "floor" => "bin",
            "notnull" => "isnotnull",
            "notempty" => "isnotempty",
            "parsejson" | "todynamic" | "toobject" => "parse_json",
            "extractjson" => "extract_json",
            "extractall" => "extract_all",
            "parse_urlquery" | "parseurlquery" => "parse_urlquery",
            "parseurl" => "parse_url",
            "parseversion" => "parse_version",
            "parsexml" => "parse_xml",
            "pack" | "pack_dictionary" => "bag_pack",
            "packarray" => "pack_array",
            "replace" => "replace_regex",
            "weekofyear" => "week_of_year",
            "make_string" => "unicode_codepoints_to_string",
            "to_utf8" => "unicode_codepoints_from_string",
            "base64_encodestring" => "base64_encode_tostring",
            "base64_decodestring" => "base64_decode_tostring",
            "array_strcat" => "strcat_array",
            "hash_xxhash" => "hash_xxhash64",
            "todegrees" => "degrees",
            "toradians" => "radians",
            "tdigest_merge" | "merge_tdigest" => "tdigest_merge",
            "makedatetime" => "make_datetime",
            "maketimespan" => "make_timespan",
            "arraylength" => "array_length",
            "array_iif" => "array_iff",
            "datepart" => "datetime_part",
            other => other,
        };
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }

    /// Whether it looks at neighbouring rows.
    pub fn is_window(self) -> bool {
        self.signature().nature == Nature::Window
    }

    /// Whether a null argument makes the answer null.
    pub fn propagates_null(self) -> bool {
        self.signature().nature == Nature::Pure
    }

    /// Whether two calls with the same arguments may differ within a query.
    pub fn is_volatile(self) -> bool {
        self.signature().nature == Nature::Volatile
    }
}
