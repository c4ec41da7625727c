//! Lengths, areas, centres and crossings of lines and polygons on the sphere.
//!
//! Of several polygons at once the union would be meant, which is not made here: the answer is null.

use kql::Function;

use super::super::Kernel;
use super::{
    EARTH_RADIUS, Polygon, Vector, angle, cross, degrees, dot, length, lines, point, point_json,
    polygons,
};
use crate::cell::Cell;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::GeoLineLength => |args, _| {
            let total = lines(&args[0]).map(|all| all.iter().map(|line| way(line)).sum::<f64>());
            Cell::or_null(total.map(|angle| angle * EARTH_RADIUS), Cell::Real)
        },
        Function::GeoPolygonPerimeter => |args, _| {
            let total = polygon(&args[0]).map(|one| one.rings.iter().map(|ring| way(ring)).sum::<f64>());
            Cell::or_null(total.map(|angle| angle * EARTH_RADIUS), Cell::Real)
        },
        Function::GeoPolygonArea => |args, _| {
            let area = polygon(&args[0]).map(|one| parted(&one, ring_area));
            Cell::or_null(area.map(|area| area * EARTH_RADIUS * EARTH_RADIUS), Cell::Real)
        },
        Function::GeoLineCentroid => |args, _| {
            let centre = lines(&args[0]).map(|all| sum(all.iter().flat_map(|line| line.windows(2)).map(middle)));
            Cell::or_null(centre.and_then(geo_json), Cell::dynamic)
        },
        Function::GeoPolygonCentroid => |args, _| {
            let centre = polygon(&args[0]).map(|one| {
                let mut rings = one.rings.iter().map(|ring| ring_centre(ring));
                let outer = rings.next().unwrap_or_default();
                rings.fold(outer, |all, hole| [0, 1, 2].map(|at| all[at] - hole[at]))
            });
            Cell::or_null(centre.and_then(geo_json), Cell::dynamic)
        },
        Function::GeoLineInterpolatePoint => |args, _| {
            let along = line(&args[0]).zip(args[1].as_real()).and_then(|(line, share)| along(&line, share));
            Cell::or_null(along.and_then(geo_json), Cell::dynamic)
        },
        Function::GeoLineLocatePoint => |args, _| {
            let share = line(&args[0]).zip(point(args, 1)).and_then(|(line, at)| share_of(&line, at));
            Cell::or_null(share, Cell::Real)
        },
        Function::GeoClosestPointOnLine => |args, _| {
            let found = point(args, 0).zip(lines(&args[2])).and_then(|(at, lines)| nearest(at, &lines));
            Cell::or_null(found.and_then(geo_json), Cell::dynamic)
        },
        Function::GeoClosestPointOnPolygon => |args, _| {
            let found = point(args, 0).zip(polygons(&args[2])).and_then(|(at, all)| {
                if all.iter().any(|one| one.holds(at)) {
                    return Some(at);
                }
                nearest(at, &all.into_iter().flat_map(|one| one.rings).collect::<Vec<_>>())
            });
            Cell::or_null(found.and_then(geo_json), Cell::dynamic)
        },
        Function::GeoIntersects2lines => |args, _| {
            let found = lines(&args[0]).zip(lines(&args[1])).map(|(a, b)| cross_each_other(&a, &b));
            Cell::or_null(found, Cell::Bool)
        },
        Function::GeoIntersectsLineWithPolygon => |args, _| {
            let found = lines(&args[0]).zip(polygons(&args[1]));
            Cell::or_null(found.map(|(lines, all)| all.iter().any(|one| touches(one, &lines))), Cell::Bool)
        },
        Function::GeoIntersects2polygons => |args, _| {
            let found = polygons(&args[0]).zip(polygons(&args[1])).map(|(some, others)| {
                let meet = |a: &Polygon, b: &Polygon| touches(a, &b.rings) || touches(b, &a.rings);
                some.iter().any(|a| others.iter().any(|b| meet(a, b)))
            });
            Cell::or_null(found, Cell::Bool)
        },
    })
}

fn line(cell: &Cell<'_>) -> Option<Vec<Vector>> {
    let mut all = lines(cell)?;
    if all.len() == 1 { all.pop() } else { None }
}

fn polygon(cell: &Cell<'_>) -> Option<Polygon> {
    let mut all = polygons(cell)?;
    if all.len() == 1 { all.pop() } else { None }
}

/// The length of a way, as an angle.
fn way(line: &[Vector]) -> f64 {
    line.windows(2).map(|pair| angle(pair[0], pair[1])).sum()
}

/// What the outer ring has, without what its holes have.
fn parted(polygon: &Polygon, of: impl Fn(&[Vector]) -> f64) -> f64 {
    let mut rings = polygon.rings.iter().map(|ring| of(ring));
    let outer = rings.next().unwrap_or(0.0);
    outer - rings.sum::<f64>()
}

/// The area inside of a ring on the unit sphere: the triangles from its first corner, with their signs.
fn ring_area(ring: &[Vector]) -> f64 {
    let triangle = |pair: &[Vector]| {
        let [a, b, c] = [ring[0], pair[0], pair[1]];
        let volume = dot(a, cross(b, c));
        2.0 * volume.atan2(1.0 + dot(a, b) + dot(b, c) + dot(c, a))
    };
    ring.windows(2).map(triangle).sum::<f64>().abs()
}

/// The direction of a ring's middle, as long as what it encloses weighs: half the sum over its edges of
/// their length times their normal.
fn ring_centre(ring: &[Vector]) -> Vector {
    let edge = |pair: &[Vector]| {
        let normal = cross(pair[0], pair[1]);
        let size = length(normal);
        let weight = if size > 0.0 { angle(pair[0], pair[1]) / size / 2.0 } else { 0.0 };
        normal.map(|part| part * weight)
    };
    let centre = sum(ring.windows(2).map(edge));
    let sign = if dot(centre, ring[0]) < 0.0 { -1.0 } else { 1.0 };
    centre.map(|part| part * sign)
}

/// The middle of an edge, as long as the edge weighs.
fn middle(edge: &[Vector]) -> Vector {
    let (total, span) = (sum(edge.iter().copied()), angle(edge[0], edge[1]));
    let weight = 2.0 * (span / 2.0).sin() / length(total).max(f64::MIN_POSITIVE);
    total.map(|part| part * weight)
}

fn sum(vectors: impl Iterator<Item = Vector>) -> Vector {
    vectors.fold([0.0; 3], |all, one| [0, 1, 2].map(|at| all[at] + one[at]))
}

/// A place of an edge, so much of the angle between its ends behind the first.
pub(super) fn between(a: Vector, b: Vector, span: f64) -> Vector {
    let whole = angle(a, b);
    if whole == 0.0 {
        return a;
    }
    let (from, to) = ((whole - span).sin() / whole.sin(), span.sin() / whole.sin());
    [0, 1, 2].map(|at| a[at] * from + b[at] * to)
}

fn along(line: &[Vector], share: f64) -> Option<Vector> {
    if !(0.0..=1.0).contains(&share) {
        return None;
    }
    let mut left = way(line) * share;
    for pair in line.windows(2) {
        let span = angle(pair[0], pair[1]);
        if left <= span {
            return Some(between(pair[0], pair[1], left));
        }
        left -= span;
    }
    line.last().copied()
}

/// The place of an edge that is nearest.
fn foot(at: Vector, a: Vector, b: Vector) -> Vector {
    let normal = cross(a, b);
    let beside = cross(normal, at);
    if length(normal) > 0.0 && dot(beside, a) < 0.0 && dot(beside, b) > 0.0 {
        let on = cross(beside, normal);
        let size = length(on);
        if size > 0.0 {
            return on.map(|part| part / size);
        }
    }
    if angle(at, a) <= angle(at, b) { a } else { b }
}

fn nearest(at: Vector, lines: &[Vec<Vector>]) -> Option<Vector> {
    let feet = lines.iter().flat_map(|line| line.windows(2)).map(|edge| foot(at, edge[0], edge[1]));
    feet.min_by(|a, b| angle(at, *a).total_cmp(&angle(at, *b)))
}

/// How much of a line lies before its place nearest to a point.
fn share_of(line: &[Vector], at: Vector) -> Option<f64> {
    let (mut before, mut best) = (0.0, None::<(f64, f64)>);
    for edge in line.windows(2) {
        let foot = foot(at, edge[0], edge[1]);
        let (far, place) = (angle(at, foot), before + angle(edge[0], foot));
        if best.is_none_or(|(known, _)| far < known) {
            best = Some((far, place));
        }
        before += angle(edge[0], edge[1]);
    }
    best.map(|(_, place)| place / before)
}

fn touches(polygon: &Polygon, lines: &[Vec<Vector>]) -> bool {
    let inside = |line: &Vec<Vector>| line.first().is_some_and(|first| polygon.holds(*first));
    lines.iter().any(inside) || cross_each_other(&polygon.rings, lines)
}

fn cross_each_other(some: &[Vec<Vector>], others: &[Vec<Vector>]) -> bool {
    let edges = |lines: &[Vec<Vector>]| -> Vec<[Vector; 2]> {
        let edges = lines.iter().flat_map(|line| line.windows(2));
        edges.map(|edge| [edge[0], edge[1]]).collect()
    };
    let others = edges(others);
    edges(some).iter().any(|a| others.iter().any(|b| edges_meet(*a, *b)))
}

/// Whether a place lies on an edge.
pub(super) fn lies_on(at: Vector, [a, b]: [Vector; 2]) -> bool {
    angle(at, foot(at, a, b)) < 1e-15
}

/// Whether two edges have a place in common: the ends of each lie on both sides of the other, or one
/// of them on it.
pub(super) fn edges_meet([a, b]: [Vector; 2], [c, d]: [Vector; 2]) -> bool {
    let ends_on = |ends: [Vector; 2], edge| ends.into_iter().any(|end| lies_on(end, edge));
    if ends_on([a, b], [c, d]) || ends_on([c, d], [a, b]) {
        return true;
    }
    let (first, second) = (cross(a, b), cross(c, d));
    let sides = [dot(first, c), dot(first, d), dot(second, a), dot(second, b)];
    // On one half of the earth, not on the other side of it.
    sides[0] * sides[1] < 0.0 && sides[2] * sides[3] < 0.0 && sides[0] * sides[3] > 0.0
}

/// A direction as GeoJSON; none if it is none.
fn geo_json(at: Vector) -> Option<String> {
    let size = length(at);
    if !(size > 0.0 && size.is_finite()) {
        return None;
    }
    let (longitude, latitude) = degrees(at.map(|part| part / size));
    Some(point_json(longitude, latitude))
}

#[cfg(test)]
mod tests {
    use super::super::{around, place};
    use super::*;

    fn square(side: f64) -> Vec<Vector> {
        let corners = [(0.0, 0.0), (side, 0.0), (side, side), (0.0, side), (0.0, 0.0)];
        corners.iter().map(|(x, y)| place(*x, *y).expect("on earth")).collect()
    }

    #[test]
    fn an_eighth_of_the_sphere_has_an_eighth_of_its_area_and_its_centre_in_the_middle() {
        let corners = [(0.0, 0.0), (90.0, 0.0), (0.0, 90.0), (0.0, 0.0)];
        let ring: Vec<Vector> = corners.iter().map(|(x, y)| place(*x, *y).unwrap()).collect();
        assert!((ring_area(&ring) - std::f64::consts::PI / 2.0).abs() < 1e-12);
        let centre = ring_centre(&ring);
        assert!((centre[0] - centre[1]).abs() < 1e-12 && (centre[0] - centre[2]).abs() < 1e-12);
        assert!(around(&ring, centre.map(|part| part / length(centre))));
    }

    #[test]
    fn a_hole_takes_its_area_away_whichever_way_it_turns() {
        let mut hole = square(1.0);
        let whole = Polygon { rings: vec![square(2.0)] };
        let pierced = Polygon { rings: vec![square(2.0), hole.clone()] };
        hole.reverse();
        let turned = Polygon { rings: vec![square(2.0), hole.clone()] };
        let [whole, pierced, turned] = [whole, pierced, turned].map(|one| parted(&one, ring_area));
        assert!((whole - ring_area(&hole) - pierced).abs() < 1e-12);
        assert!((pierced - turned).abs() < 1e-15);
    }

    #[test]
    fn places_on_a_line_are_found_and_found_again() {
        let line: Vec<Vector> = square(10.0);
        for share in [0.0, 0.1, 0.37, 0.99] {
            let at = along(&line, share).expect("on the line");
            assert!((share_of(&line, at).expect("near") - share).abs() < 1e-9, "{share}");
        }
        assert_eq!(along(&line, 1.5), None);
    }

    #[test]
    fn edges_meet_here_and_not_on_the_other_side_of_the_earth() {
        let edge =
            |a: (f64, f64), b: (f64, f64)| [place(a.0, a.1).unwrap(), place(b.0, b.1).unwrap()];
        let level = edge((-10.0, 0.0), (10.0, 0.0));
        assert!(edges_meet(level, edge((0.0, -10.0), (0.0, 10.0))));
        assert!(edges_meet(level, edge((0.0, 0.0), (0.0, 10.0))));
        assert!(!edges_meet(level, edge((0.0, 1.0), (0.0, 10.0))));
        assert!(!edges_meet(level, edge((180.0, -10.0), (180.0, 10.0))));
        assert!(!edges_meet(level, edge((20.0, -10.0), (20.0, 10.0))));
    }
}
