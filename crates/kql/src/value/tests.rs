//! Values to text and back.

use proptest::prelude::*;

use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn decimals_keep_34_digits() {
    let mean = |sum: i64, count: i64| Decimal::from(sum).checked_div(Decimal::from(count)).unwrap();
    assert_eq!(mean(680, 3).to_string(), "226.6666666666666666666666666666667");
    assert_eq!(mean(5963, 7).to_string(), "851.8571428571428571428571428571429");
    assert_eq!(mean(1, 4).to_string(), "0.25");
    assert_eq!(mean(-10, 5).to_string(), "-2");
}

#[test]
fn decimal_arithmetic_is_exact_where_it_can_be() {
    assert_eq!(decimal("0.1").checked_add(decimal("0.2")), Some(decimal("0.3")));
    assert_eq!(decimal("1.50").checked_sub(decimal("2.75")).unwrap().to_string(), "-1.25");
    assert_eq!(decimal("1.5").checked_mul(decimal("-1.5")).unwrap().to_string(), "-2.25");
    assert_eq!(decimal("1e3").to_string(), "1000");
    assert_eq!(decimal("12e-3").to_string(), "0.012");
    assert_eq!(decimal("1").checked_div(Decimal::default()), None);
    assert_eq!(decimal("-7.9").to_i64(), Some(-7));
    assert_eq!(Decimal::from_f64(0.1).unwrap().to_string(), "0.1");
    assert_eq!(Decimal::from_f64(f64::NAN), None);
}

#[test]
fn decimals_that_do_not_fit_are_refused_or_rounded() {
    let nines = "9".repeat(34);
    assert_eq!(decimal(&nines).to_string(), nines);
    assert!("9".repeat(35).parse::<Decimal>().is_err());
    assert!(decimal(&nines).checked_mul(decimal("10")).is_none());
    assert_eq!(decimal("1.00000000000000000000000000000000005").scale(), 33);
    assert!("".parse::<Decimal>().is_err() && "1.2.3".parse::<Decimal>().is_err());
    assert_eq!(decimal("1e-500"), Decimal::default());
}

#[test]
fn decimals_compare_by_value() {
    assert_eq!(decimal("1.0"), decimal("1.000"));
    assert!(decimal("-2") < decimal("-1.5"));
    assert!(decimal("1e30") > decimal("1e-30"));
    assert!(decimal("-1e30") < decimal("1e-60"));
}

#[test]
fn datetimes_print_as_kusto_prints_them() {
    let cases = [
        ("2024-01-01", "2024-01-01T00:00:00.0000000Z"),
        ("2024-02-29 23:59:59.1234567", "2024-02-29T23:59:59.1234567Z"),
        ("2024-01-01T10:00:00+02:00", "2024-01-01T08:00:00.0000000Z"),
        ("2024-01-01T10:00Z", "2024-01-01T10:00:00.0000000Z"),
        ("2016", "2016-01-01T00:00:00.0000000Z"),
        ("2015-12", "2015-12-01T00:00:00.0000000Z"),
        ("20240305", "2024-03-05T00:00:00.0000000Z"),
        ("1/31/2017 3:05 PM", "2017-01-31T15:05:00.0000000Z"),
        ("Sun, 15 May 2016 18:00:00 GMT", "2016-05-15T18:00:00.0000000Z"),
        ("Sunday, 15-May-16 18:00:00 GMT", "2016-05-15T18:00:00.0000000Z"),
        ("0001-01-01", "0001-01-01T00:00:00.0000000Z"),
        ("9999-12-31 23:59:59.9999999", "9999-12-31T23:59:59.9999999Z"),
    ];
    for (text, printed) in cases {
        assert_eq!(parse_datetime(text).map(format_datetime).as_deref(), Some(printed), "{text}");
    }
    for text in ["", "2023-02-29", "2024-13-01", "2024-01-01T25:00", "tomorrow", "2024-01-01Tx"] {
        assert_eq!(parse_datetime(text), None, "{text}");
    }
    assert_eq!(parse_datetime("1970-01-01"), Some(UNIX_EPOCH_TICKS));
}

#[test]
fn timespans_print_as_kusto_prints_them() {
    let cases = [
        ("1.02:03:04.56789", "1.02:03:04.5678900"),
        ("00:00:03", "00:00:03"),
        ("-0.5h", "-00:30:00"),
        ("2", "2.00:00:00"),
        ("100ms", "00:00:00.1000000"),
        ("12:30", "12:30:00"),
        ("1tick", "00:00:00.0000001"),
        ("1.5d", "1.12:00:00"),
    ];
    for (text, printed) in cases {
        assert_eq!(parse_timespan(text).map(format_timespan).as_deref(), Some(printed), "{text}");
    }
    for text in ["", "1x", "1:99", "abc", "1.2.3:00"] {
        assert_eq!(parse_timespan(text), None, "{text}");
    }
    assert_eq!(format_timespan(i64::MIN), "-10675199.02:48:05.4775808");
}

#[test]
fn values_print_as_kusto_prints_them() {
    let cases = [
        (Value::Null, ""),
        (Value::Bool(true), "true"),
        (Value::Int(-1), "-1"),
        (Value::Long(5), "5"),
        (Value::Real(2.5), "2.5"),
        (Value::Decimal(decimal("1.50")), "1.50"),
        (Value::Datetime(UNIX_EPOCH_TICKS), "1970-01-01T00:00:00.0000000Z"),
        (Value::Timespan(TICKS_PER_DAY), "1.00:00:00"),
        (Value::Guid(1), "00000000-0000-0000-0000-000000000001"),
        (Value::String("a".to_owned()), "a"),
        (Value::Dynamic("[1,2]".to_owned()), "[1,2]"),
    ];
    for (value, printed) in cases {
        assert_eq!(value.to_string(), printed);
    }
}

#[test]
fn reals_and_guids_print_as_dotnet_prints_them() {
    let reals = [(1.0, "1"), (0.1, "0.1"), (1e15, "1E+15"), (1.5e-7, "1.5E-07"), (-2.5, "-2.5")];
    for (number, printed) in reals {
        assert_eq!(format_real(number), printed);
    }
    assert_eq!(format_real(f64::NEG_INFINITY), "-Infinity");
    let guid = "82b8be2d-dfa7-4bd1-8f63-24ad26d31449";
    assert_eq!(parse_guid(guid).map(format_guid).as_deref(), Some(guid));
    assert_eq!(parse_guid("82b8be2d"), None);
    assert_eq!(parse_guid(&"é".repeat(18)), None);
}

proptest! {
    #[test]
    fn decimals_survive_text_and_undo_what_was_done(
        left in -1_000_000_000_000_000_i64..1_000_000_000_000_000,
        right in -1_000_000_000_000_000_i64..1_000_000_000_000_000,
        scale in 0u32..12,
    ) {
        let (a, b) = (Decimal::new(left.into(), scale).unwrap(), Decimal::from(right));
        prop_assert_eq!(a.to_string().parse::<Decimal>().unwrap(), a);
        prop_assert_eq!(a.checked_add(b).unwrap().checked_sub(b).unwrap(), a);
        prop_assert_eq!(a.checked_mul(b).unwrap(), b.checked_mul(a).unwrap());
        if right != 0 {
            prop_assert_eq!(a.checked_mul(b).unwrap().checked_div(b).unwrap(), a);
        }
        prop_assert_eq!(a < b, a.checked_sub(b).unwrap() < Decimal::default());
    }

    #[test]
    fn no_decimal_makes_arithmetic_panic(
        left in any::<i128>(), right in any::<i128>(), scales in (0u32..80, 0u32..80),
    ) {
        let pair = (Decimal::new(left, scales.0), Decimal::new(right, scales.1));
        if let (Some(a), Some(b)) = pair {
            let _ = (a.checked_add(b), a.checked_sub(b), a.checked_mul(b), a.checked_div(b));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a.to_string().parse::<Decimal>(), Ok(a));
        }
    }

    #[test]
    fn instants_and_durations_survive_text(ticks in 0i64..3_155_378_975_999_999_999, span in any::<i64>()) {
        prop_assert_eq!(parse_datetime(&format_datetime(ticks)), Some(ticks));
        prop_assume!(span != i64::MIN);
        prop_assert_eq!(parse_timespan(&format_timespan(span)), Some(span));
    }

    #[test]
    fn no_text_makes_reading_values_panic(text in "[0-9TZ:.+/ a-zA-Z-]{0,30}|.{0,20}") {
        let _ = (parse_datetime(&text), parse_timespan(&text), parse_guid(&text), text.parse::<Decimal>());
    }
}

#[test]
fn a_sum_of_far_apart_decimals_is_the_larger_one() {
    let (huge, tiny) = (decimal("1e33"), decimal("1e-55"));
    assert_eq!(huge.checked_add(tiny), Some(huge));
    assert_eq!(tiny.checked_add(huge), Some(huge));
}
