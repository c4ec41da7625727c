//! Places on earth, taken as a sphere as Kusto does: distances, directions, cells of grids, WKT.
//!
//! Only what needs no union of shapes: what does is refused by name.

mod clip;
mod densify;
mod geohash;
mod h3;
mod measure;
mod s2;
mod wkt;

use kql::Function;

use super::Kernel;
use crate::cell::Cell;
use crate::convert::to_json;
use crate::json;

/// Kusto's radius of the earth in metres.
const EARTH_RADIUS: f64 = 6_371_010.0;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    let cells = || {
        geohash::kernel(function).or_else(|| h3::kernel(function)).or_else(|| s2::kernel(function))
    };
    let shapes = || {
        measure::kernel(function)
            .or_else(|| densify::kernel(function))
            .or_else(|| clip::kernel(function))
    };
    cells().or_else(shapes).or_else(|| {
        kernels!(function, {
            Function::GeoFromWkt => |args, _| Cell::or_null(wkt::geometry(args[0].str()), Cell::dynamic),
            Function::GeoDistance2points => |args, _| {
                let ends = point(args, 0).zip(point(args, 2));
                Cell::or_null(ends.map(|(a, b)| angle(a, b) * EARTH_RADIUS), Cell::Real)
            },
            Function::GeoPointInCircle => |args, _| {
                let ends = point(args, 0).zip(point(args, 2));
                let within = ends.zip(args[4].as_real()).map(|((a, b), radius)| angle(a, b) * EARTH_RADIUS <= radius);
                Cell::or_null(within, Cell::Bool)
            },
            Function::GeoAzimuth => |args, _| Cell::or_null(azimuth(args), Cell::Real),
            Function::GeoAngle => |args, _| Cell::or_null(corner(args), Cell::Real),
            Function::GeoPointInPolygon => |args, _| {
                let found = point(args, 0).zip(polygons(&args[2])).map(|(p, all)| all.iter().any(|one| one.holds(p)));
                Cell::or_null(found, Cell::Bool)
            },
            Function::GeoDistancePointToLine => |args, _| {
                let distance = point(args, 0).zip(lines(&args[2])).and_then(|(p, lines)| to_lines(p, &lines));
                Cell::or_null(distance, Cell::Real)
            },
            Function::GeoDistancePointToPolygon => |args, _| {
                let distance = point(args, 0).zip(polygons(&args[2])).and_then(|(p, all)| to_polygons(p, &all));
                Cell::or_null(distance, Cell::Real)
            },
        })
    })
}

/// A place as a vector from the centre of the earth.
type Vector = [f64; 3];

/// Longitude and latitude; none if there is no such place.
fn place(longitude: f64, latitude: f64) -> Option<Vector> {
    if !(-180.0..=180.0).contains(&longitude) || !(-90.0..=90.0).contains(&latitude) {
        return None;
    }
    Some(cartesian(longitude, latitude))
}

fn cartesian(longitude: f64, latitude: f64) -> Vector {
    let (longitude, latitude) = (longitude.to_radians(), latitude.to_radians());
    [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
}

/// Longitude and latitude of a vector of length one.
fn degrees(at: Vector) -> (f64, f64) {
    let (longitude, latitude) = (at[1].atan2(at[0]), at[2].clamp(-1.0, 1.0).asin());
    // Zero has no sign here.
    (longitude.to_degrees() + 0.0, latitude.to_degrees() + 0.0)
}

fn position(longitude: f64, latitude: f64) -> String {
    format!("[{},{}]", to_json(&Cell::Real(longitude)), to_json(&Cell::Real(latitude)))
}

fn point_json(longitude: f64, latitude: f64) -> String {
    format!("{{\"type\":\"Point\",\"coordinates\":{}}}", position(longitude, latitude))
}

fn polygon_json(rings: &[Vec<(f64, f64)>]) -> String {
    let ring = |ring: &Vec<(f64, f64)>| {
        let corners: Vec<String> = ring.iter().map(|(x, y)| position(*x, *y)).collect();
        format!("[{}]", corners.join(","))
    };
    let rings: Vec<String> = rings.iter().map(ring).collect();
    format!("{{\"type\":\"Polygon\",\"coordinates\":[{}]}}", rings.join(","))
}

fn point(args: &[Cell<'_>], at: usize) -> Option<Vector> {
    place(args[at].as_real()?, args[at + 1].as_real()?)
}

fn dot(a: Vector, b: Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn length(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

fn angle(a: Vector, b: Vector) -> f64 {
    length(cross(a, b)).atan2(dot(a, b))
}

/// The direction of the second place from the first, clockwise from north.
fn azimuth(args: &[Cell<'_>]) -> Option<f64> {
    let (a, b) = (point(args, 0)?, point(args, 2)?);
    if a == b {
        return None;
    }
    let (lat_a, lat_b) = (args[1].as_real()?.to_radians(), args[3].as_real()?.to_radians());
    let turn = (args[2].as_real()? - args[0].as_real()?).to_radians();
    let east = turn.sin() * lat_b.cos();
    let north = lat_a.cos() * lat_b.sin() - lat_a.sin() * lat_b.cos() * turn.cos();
    Some(east.atan2(north).rem_euclid(2.0 * std::f64::consts::PI))
}

/// The angle at the second place between the ways to the first and the third, clockwise.
fn corner(args: &[Cell<'_>]) -> Option<f64> {
    let (a, b, c) = (point(args, 0)?, point(args, 2)?, point(args, 4)?);
    if a == b || b == c {
        return None;
    }
    Some(angle(cross(a, b), cross(c, b)))
}

/// A ring and the rings cut out of it.
struct Polygon {
    rings: Vec<Vec<Vector>>,
}

impl Polygon {
    fn holds(&self, point: Vector) -> bool {
        let mut rings = self.rings.iter();
        rings.next().is_some_and(|outer| around(outer, point))
            && !rings.any(|hole| around(hole, point))
    }
}

/// Whether a ring goes around a place: the turns that its corners make there add up to a circle.
fn around(ring: &[Vector], point: Vector) -> bool {
    let mut turned = 0.0;
    for pair in ring.windows(2) {
        let [from, to] = [cross(point, pair[0]), cross(point, pair[1])];
        turned += dot(point, cross(from, to)).atan2(dot(from, to));
    }
    turned.abs() > std::f64::consts::PI
}

fn to_lines(point: Vector, lines: &[Vec<Vector>]) -> Option<f64> {
    let edges = lines.iter().flat_map(|line| line.windows(2));
    edges.map(|edge| to_edge(point, edge[0], edge[1]) * EARTH_RADIUS).reduce(f64::min)
}

fn to_polygons(point: Vector, polygons: &[Polygon]) -> Option<f64> {
    if polygons.iter().any(|polygon| polygon.holds(point)) {
        return Some(0.0);
    }
    polygons.iter().filter_map(|polygon| to_lines(point, &polygon.rings)).reduce(f64::min)
}

/// The angle to the nearest place of an edge.
fn to_edge(point: Vector, a: Vector, b: Vector) -> f64 {
    let ends = angle(point, a).min(angle(point, b));
    let normal = cross(a, b);
    let size = length(normal);
    if size == 0.0 {
        return ends;
    }
    // The nearest place of the great circle lies between the ends, or one of them is nearer.
    let beside = cross(normal, point);
    if dot(beside, a) < 0.0 && dot(beside, b) > 0.0 {
        return (dot(normal, point) / size).asin().abs();
    }
    ends
}

/// The lines of a `LineString` or `MultiLineString`.
fn lines(cell: &Cell<'_>) -> Option<Vec<Vec<Vector>>> {
    let text = cell.str();
    let coordinates = json::member(text, "coordinates")?;
    let all = match &*json::unquote(json::member(text, "type")?) {
        "LineString" => vec![positions(coordinates)?],
        "MultiLineString" => json::elements(coordinates).map(positions).collect::<Option<_>>()?,
        _ => return None,
    };
    let is_valid =
        |line: &Vec<Vector>| line.len() > 1 && line.windows(2).all(|pair| pair[0] != pair[1]);
    all.iter().all(is_valid).then_some(all)
}

/// The polygons of a `Polygon` or `MultiPolygon`; none if one of them is no polygon.
fn polygons(cell: &Cell<'_>) -> Option<Vec<Polygon>> {
    let text = cell.str();
    let coordinates = json::member(text, "coordinates")?;
    match &*json::unquote(json::member(text, "type")?) {
        "Polygon" => Some(vec![polygon(coordinates)?]),
        "MultiPolygon" => json::elements(coordinates).map(polygon).collect(),
        _ => None,
    }
}

fn polygon(text: &str) -> Option<Polygon> {
    let rings: Vec<Vec<Vector>> = json::elements(text).map(positions).collect::<Option<_>>()?;
    let is_valid = |ring: &Vec<Vector>| {
        let [first, inner @ ..] = &ring[..] else { return false };
        let distinct = inner.iter().enumerate().all(|(at, p)| !inner[..at].contains(p));
        ring.len() > 3 && inner.last() == Some(first) && distinct
    };
    (!rings.is_empty() && rings.iter().all(is_valid)).then_some(Polygon { rings })
}

fn positions(text: &str) -> Option<Vec<Vector>> {
    json::elements(text)
        .map(|position| {
            let mut parts = json::elements(position).map(|part| part.parse::<f64>().ok());
            place(parts.next()??, parts.next()??)
        })
        .collect()
}
