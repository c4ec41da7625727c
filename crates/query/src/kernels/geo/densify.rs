//! `geo_line_densify` and `geo_polygon_densify`: edges that are straight on a map get places between
//! their ends, until the shortest ways between them stay as close to the map's as is asked.

use kql::Function;

use super::super::{Kernel, Scratch, at};
use super::measure::between;
use super::{EARTH_RADIUS, Vector, angle, cartesian, dot, lines, polygons};
use crate::cell::Cell;
use crate::convert::to_json;
use crate::json;

/// Metres.
const TOLERANCE_DEFAULT: f64 = 10.0;
const TOLERANCE: std::ops::RangeInclusive<f64> = 0.1..=10_000.0;
/// Most places of one shape.
const PLACES_MAX: usize = 1_000_000;
/// Where an edge is farthest from its way on the map, if that crosses it midway; and how much the
/// error there is smaller than the greatest one can be. As in S2's edge tessellator.
const FARTHEST: f64 = 0.312_156_910_822_482_3;
const SHARE: f64 = 0.838_299_925_698_885_1;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::GeoLineDensify => |args, scratch| {
            if lines(&args[0]).is_some() { densified(args, scratch) } else { Cell::Null }
        },
        Function::GeoPolygonDensify => |args, scratch| {
            if polygons(&args[0]).is_some() { densified(args, scratch) } else { Cell::Null }
        },
    })
}

fn densified<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let tolerance = match args.get(1) {
        Some(_) => at(args, 1).and_then(Cell::as_real),
        None => Some(TOLERANCE_DEFAULT),
    };
    let shape = args[0].str();
    let parts = json::member(shape, "type").zip(json::member(shape, "coordinates"));
    let Some(((kind, coordinates), tolerance)) = parts.zip(tolerance) else { return Cell::Null };
    if !TOLERANCE.contains(&tolerance) {
        return Cell::Null;
    }
    let depth = match &*json::unquote(kind) {
        "LineString" => 0,
        "Polygon" | "MultiLineString" => 1,
        _ => 2,
    };
    let allowed = SHARE * tolerance / EARTH_RADIUS;
    Cell::or_null(nested(coordinates, depth, allowed), |coordinates| {
        Cell::dynamic(format!("{{\"type\":{kind},\"coordinates\":{coordinates}}}"))
    })
}

/// Lists of lists of places, so deep.
fn nested(coordinates: &str, depth: usize, allowed: f64) -> Option<String> {
    if depth == 0 {
        return way(coordinates, allowed);
    }
    let parts = json::elements(coordinates).map(|part| nested(part, depth - 1, allowed));
    Some(format!("[{}]", parts.collect::<Option<Vec<_>>>()?.join(",")))
}

/// A line or ring; places that are there already stay as they are written.
fn way(coordinates: &str, allowed: f64) -> Option<String> {
    let mut out: Vec<String> = Vec::new();
    let mut before: Option<[f64; 2]> = None;
    for text in json::elements(coordinates) {
        let mut parts = json::elements(text).map(|part| part.parse::<f64>().ok());
        let place = [parts.next()??, parts.next()??];
        if let Some(before) = before {
            let mut added = Vec::new();
            add_between(before, place, allowed, &mut added);
            out.extend(added.iter().map(|[x, y]| format!("[{},{}]", number(*x), number(*y))));
        }
        if out.len() > PLACES_MAX {
            return None;
        }
        out.push(text.to_owned());
        before = Some(place);
    }
    Some(format!("[{}]", out.join(",")))
}

/// Whole numbers stand without a point, as places usually are written.
fn number(value: f64) -> String {
    let text = to_json(&Cell::Real(value));
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn add_between(a: [f64; 2], b: [f64; 2], allowed: f64, out: &mut Vec<[f64; 2]>) {
    if out.len() > PLACES_MAX || error(a, b) <= allowed {
        return;
    }
    let middle = on_map(a, b, 0.5);
    add_between(a, middle, allowed, out);
    out.push(middle);
    add_between(middle, b, allowed, out);
}

fn on_map(a: [f64; 2], b: [f64; 2], share: f64) -> [f64; 2] {
    [0, 1].map(|at| a[at] + (b[at] - a[at]) * share)
}

/// How far the shortest way is from the way on the map, as an angle.
fn error(a: [f64; 2], b: [f64; 2]) -> f64 {
    let [from, to]: [Vector; 2] = [a, b].map(|[x, y]| cartesian(x, y));
    if dot(from, to) < -1e-14 {
        return f64::INFINITY;
    }
    let at = |share: f64| {
        let [x, y] = on_map(a, b, share);
        angle(between(from, to, angle(from, to) * share), cartesian(x, y))
    };
    at(FARTHEST).max(at(1.0 - FARTHEST))
}
