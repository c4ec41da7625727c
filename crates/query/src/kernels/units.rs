//! Units of measure: the factor of each to a unit of its kind, as in the library Units.NET, which
//! Kusto names its units after.

use kql::Function;

use super::{Kernel, text_at};
use crate::cell::Cell;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::ConvertAngle => |args, _| converted(args, ANGLES),
        Function::ConvertEnergy => |args, _| converted(args, ENERGIES),
        Function::ConvertForce => |args, _| converted(args, FORCES),
        Function::ConvertLength => |args, _| converted(args, LENGTHS),
        Function::ConvertMass => |args, _| converted(args, MASSES),
        Function::ConvertSpeed => |args, _| converted(args, SPEEDS),
        Function::ConvertVolume => |args, _| converted(args, VOLUMES),
        Function::ConvertTemperature => |args, _| temperature(args),
    })
}

/// A unit and how many of the first unit of its table it is.
type Units = &'static [(&'static str, f64)];

/// Whether a function that converts knows a unit; true for any other function.
pub(crate) fn knows(function: Function, unit: &str) -> bool {
    let table = match function {
        Function::ConvertAngle => ANGLES,
        Function::ConvertEnergy => ENERGIES,
        Function::ConvertForce => FORCES,
        Function::ConvertLength => LENGTHS,
        Function::ConvertMass => MASSES,
        Function::ConvertSpeed => SPEEDS,
        Function::ConvertVolume => VOLUMES,
        Function::ConvertTemperature => return kelvin(unit).is_some(),
        _ => return true,
    };
    table.iter().any(|(known, _)| *known == unit)
}

fn converted<'a>(args: &[Cell<'a>], units: Units) -> Cell<'a> {
    let factor = |at: usize| {
        let unit = text_at(args, at);
        units.iter().find(|(known, _)| *known == unit).map(|(_, factor)| *factor)
    };
    match (args[0].as_real(), factor(1), factor(2)) {
        (Some(value), Some(from), Some(to)) => Cell::Real(value * from / to),
        _ => Cell::Null,
    }
}

/// The factor and the offset that make a temperature kelvins.
fn kelvin(unit: &str) -> Option<(f64, f64)> {
    Some(match unit {
        "Kelvin" => (1.0, 0.0),
        "MillidegreeCelsius" => (1e-3, 273.15),
        "DegreeCelsius" => (1.0, 273.15),
        "DegreeFahrenheit" => (5.0 / 9.0, 459.67 * 5.0 / 9.0),
        "DegreeRankine" => (5.0 / 9.0, 0.0),
        "DegreeReaumur" => (1.25, 273.15),
        "DegreeRoemer" => (40.0 / 21.0, 273.15 - 7.5 * 40.0 / 21.0),
        "DegreeNewton" => (100.0 / 33.0, 273.15),
        "DegreeDelisle" => (-2.0 / 3.0, 373.15),
        _ => return None,
    })
}

fn temperature<'a>(args: &[Cell<'a>]) -> Cell<'a> {
    match (args[0].as_real(), kelvin(text_at(args, 1)), kelvin(text_at(args, 2))) {
        (Some(value), Some((from, from_offset)), Some((to, to_offset))) => {
            Cell::Real((value * from + from_offset - to_offset) / to)
        }
        _ => Cell::Null,
    }
}

const ANGLES: Units = &[
    ("Degree", 1.0),
    ("Arcminute", 1.0 / 60.0),
    ("Arcsecond", 1.0 / 3_600.0),
    ("Gradian", 0.9),
    ("Centiradian", 1.8 / std::f64::consts::PI),
    ("Deciradian", 18.0 / std::f64::consts::PI),
    ("Milliradian", 0.18 / std::f64::consts::PI),
    ("Microradian", 1.8e-4 / std::f64::consts::PI),
    ("Nanoradian", 1.8e-7 / std::f64::consts::PI),
    ("Radian", 180.0 / std::f64::consts::PI),
    ("Microdegree", 1e-6),
    ("Millidegree", 1e-3),
    ("Nanodegree", 1e-9),
    ("NatoMil", 9.0 / 160.0),
    ("Revolution", 360.0),
];

const ENERGIES: Units = &[
    ("Joule", 1.0),
    ("Millijoule", 1e-3),
    ("Kilojoule", 1e3),
    ("Megajoule", 1e6),
    ("Gigajoule", 1e9),
    ("BritishThermalUnit", 1_055.055_852_62),
    ("KilobritishThermalUnit", 1_055_055.852_62),
    ("MegabritishThermalUnit", 1_055_055_852.62),
    ("GigabritishThermalUnit", 1_055_055_852_620.0),
    ("Calorie", 4.184),
    ("Kilocalorie", 4_184.0),
    ("Megacalorie", 4_184_000.0),
    ("ElectronVolt", 1.602_176_565e-19),
    ("KiloelectronVolt", 1.602_176_565e-16),
    ("MegaelectronVolt", 1.602_176_565e-13),
    ("GigaelectronVolt", 1.602_176_565e-10),
    ("TeraelectronVolt", 1.602_176_565e-7),
    ("Erg", 1e-7),
    ("FootPound", 1.355_817_948),
    ("WattHour", 3_600.0),
    ("KilowattHour", 3.6e6),
    ("MegawattHour", 3.6e9),
    ("GigawattHour", 3.6e12),
    ("TerawattHour", 3.6e15),
    ("WattDay", 86_400.0),
    ("KilowattDay", 8.64e7),
    ("MegawattDay", 8.64e10),
    ("GigawattDay", 8.64e13),
    ("TerawattDay", 8.64e16),
    ("ThermEc", 1.055_055_852_62e8),
    ("ThermUs", 1.054_804e8),
    ("ThermImperial", 1.055_055_852_57e8),
];

const FORCES: Units = &[
    ("Newton", 1.0),
    ("Micronewton", 1e-6),
    ("Millinewton", 1e-3),
    ("Decanewton", 10.0),
    ("Kilonewton", 1e3),
    ("Meganewton", 1e6),
    ("Dyn", 1e-5),
    ("KilogramForce", 9.806_65),
    ("KiloPond", 9.806_65),
    ("TonneForce", 9_806.65),
    ("OunceForce", 0.278_013_850_953_781_2),
    ("PoundForce", 4.448_221_615_260_5),
    ("KilopoundForce", 4_448.221_615_260_5),
    ("Poundal", 0.138_254_954_376),
    ("ShortTonForce", 8_896.443_230_521),
];

const LENGTHS: Units = &[
    ("Meter", 1.0),
    ("Angstrom", 1e-10),
    ("Nanometer", 1e-9),
    ("Micrometer", 1e-6),
    ("Millimeter", 1e-3),
    ("Centimeter", 1e-2),
    ("Decimeter", 0.1),
    ("Hectometer", 100.0),
    ("Kilometer", 1e3),
    ("Megameter", 1e6),
    ("Inch", 0.0254),
    ("Microinch", 2.54e-8),
    ("Mil", 2.54e-5),
    ("Hand", 0.1016),
    ("Foot", 0.3048),
    ("Yard", 0.9144),
    ("Fathom", 1.8288),
    ("Chain", 20.1168),
    ("Mile", 1_609.344),
    ("NauticalMile", 1_852.0),
    ("UsSurveyFoot", 1_200.0 / 3_937.0),
    ("AstronomicalUnit", 1.495_978_707_00e11),
    ("LightYear", 9.460_730_472_58e15),
    ("Parsec", 3.085_677_581_491_367e16),
];

const MASSES: Units = &[
    ("Gram", 1.0),
    ("Nanogram", 1e-9),
    ("Microgram", 1e-6),
    ("Milligram", 1e-3),
    ("Centigram", 1e-2),
    ("Decigram", 0.1),
    ("Decagram", 10.0),
    ("Hectogram", 100.0),
    ("Kilogram", 1e3),
    ("Tonne", 1e6),
    ("Kilotonne", 1e9),
    ("Megatonne", 1e12),
    ("Grain", 0.064_798_91),
    ("Ounce", 28.349_523_125),
    ("Pound", 453.592_37),
    ("Kilopound", 453_592.37),
    ("Megapound", 453_592_370.0),
    ("Stone", 6_350.293_18),
    ("ShortTon", 907_184.74),
    ("LongTon", 1_016_046.908_8),
    ("ShortHundredweight", 45_359.237),
    ("LongHundredweight", 50_802.345_44),
];

const SPEEDS: Units = &[
    ("MeterPerSecond", 1.0),
    ("NanometerPerSecond", 1e-9),
    ("MicrometerPerSecond", 1e-6),
    ("MillimeterPerSecond", 1e-3),
    ("CentimeterPerSecond", 1e-2),
    ("DecimeterPerSecond", 0.1),
    ("KilometerPerSecond", 1e3),
    ("NanometerPerMinute", 1e-9 / 60.0),
    ("MicrometerPerMinute", 1e-6 / 60.0),
    ("MillimeterPerMinute", 1e-3 / 60.0),
    ("CentimeterPerMinute", 1e-2 / 60.0),
    ("DecimeterPerMinute", 0.1 / 60.0),
    ("MeterPerMinute", 1.0 / 60.0),
    ("KilometerPerMinute", 1e3 / 60.0),
    ("MillimeterPerHour", 1e-3 / 3_600.0),
    ("CentimeterPerHour", 1e-2 / 3_600.0),
    ("MeterPerHour", 1.0 / 3_600.0),
    ("KilometerPerHour", 1e3 / 3_600.0),
    ("FootPerSecond", 0.3048),
    ("FootPerMinute", 0.3048 / 60.0),
    ("FootPerHour", 0.3048 / 3_600.0),
    ("InchPerSecond", 0.0254),
    ("InchPerMinute", 0.0254 / 60.0),
    ("InchPerHour", 0.0254 / 3_600.0),
    ("YardPerSecond", 0.9144),
    ("YardPerMinute", 0.9144 / 60.0),
    ("YardPerHour", 0.9144 / 3_600.0),
    ("MilePerHour", 0.447_04),
    ("Knot", 1_852.0 / 3_600.0),
];

const VOLUMES: Units = &[
    ("Liter", 1.0),
    ("Microliter", 1e-6),
    ("Milliliter", 1e-3),
    ("Centiliter", 1e-2),
    ("Deciliter", 0.1),
    ("Hectoliter", 100.0),
    ("Kiloliter", 1e3),
    ("Megaliter", 1e6),
    ("CubicMillimeter", 1e-6),
    ("CubicCentimeter", 1e-3),
    ("CubicDecimeter", 1.0),
    ("CubicMeter", 1e3),
    ("CubicHectometer", 1e9),
    ("CubicKilometer", 1e12),
    ("CubicInch", 0.016_387_064),
    ("CubicFoot", 28.316_846_592),
    ("CubicYard", 764.554_857_984),
    ("CubicMile", 4.168_181_825_440_58e12),
    ("ImperialGallon", 4.546_09),
    ("ImperialOunce", 0.028_413_062_5),
    ("ImperialPint", 0.568_261_25),
    ("UsGallon", 3.785_411_784),
    ("UsOunce", 0.029_573_529_562_5),
    ("UsPint", 0.473_176_473),
    ("UsQuart", 0.946_352_946),
    ("OilBarrel", 158.987_294_928),
];
