//! What lines have in common with lines and with polygons.

use kql::Function;

use super::super::Kernel;
use super::measure::{between, edges_meet, lies_on};
use super::{
    Polygon, Vector, angle, cross, degrees, dot, length, lines, point_json, polygons, position,
};
use crate::cell::Cell;

/// Angles closer than this are one place: a few micrometres on earth.
const SAME: f64 = 1e-12;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::GeoIntersection2lines => |args, _| {
            let common = lines(&args[0]).zip(lines(&args[1])).map(|(a, b)| Common::of_lines(&a, &b));
            Cell::or_null(common, |common| Cell::dynamic(common.geo_json()))
        },
        Function::GeoIntersectionLineWithPolygon => |args, _| {
            let both = lines(&args[0]).zip(polygons(&args[1]));
            let common = both.map(|(lines, all)| Common::of_polygons(&lines, &all));
            Cell::or_null(common, |common| Cell::dynamic(common.geo_json()))
        },
    })
}

type Edge = [Vector; 2];

/// Lines, and places that lie on none of them.
#[derive(Default)]
struct Common {
    lines: Vec<Vec<Vector>>,
    places: Vec<Vector>,
}

impl Common {
    fn of_lines(some: &[Vec<Vector>], others: &[Vec<Vector>]) -> Self {
        let others = edges(others);
        let mut common = Self::default();
        let mut touched = Vec::new();
        for line in some {
            let mut is_open = false;
            for edge in edges(std::slice::from_ref(line)) {
                let is_shared = others.iter().any(|other| same(edge, *other));
                if is_shared {
                    common.go_on(edge, is_open);
                } else {
                    touched.extend(others.iter().filter_map(|other| meeting(edge, *other)));
                }
                is_open = is_shared;
            }
        }
        common.touch(touched);
        common
    }

    /// Edges are cut where they meet the polygons' edges; the pieces inside stay.
    fn of_polygons(some: &[Vec<Vector>], all: &[Polygon]) -> Self {
        let rings: Vec<Edge> = all.iter().flat_map(|one| edges(&one.rings)).collect();
        let mut common = Self::default();
        let mut touched = Vec::new();
        for line in some {
            let mut is_open = false;
            for edge in edges(std::slice::from_ref(line)) {
                let mut cuts: Vec<Vector> =
                    rings.iter().filter_map(|ring| meeting(edge, *ring)).collect();
                touched.extend(cuts.iter().copied());
                cuts.extend(edge);
                cuts.sort_by(|a, b| angle(edge[0], *a).total_cmp(&angle(edge[0], *b)));
                cuts.dedup_by(|next, before| angle(*next, *before) < SAME);
                for piece in cuts.windows(2) {
                    let (from, to) = (piece[0], piece[1]);
                    let middle = between(from, to, angle(from, to) / 2.0);
                    let is_inside = all.iter().any(|one| one.holds(middle));
                    if is_inside {
                        common.go_on([from, to], is_open);
                    }
                    is_open = is_inside;
                }
            }
        }
        common.touch(touched);
        common
    }

    /// Adds an edge, to the last line if that is still open.
    fn go_on(&mut self, [from, to]: Edge, is_open: bool) {
        match self.lines.last_mut().filter(|_| is_open) {
            Some(line) => line.push(to),
            None => self.lines.push(vec![from, to]),
        }
    }

    /// Adds places that are on none of the lines.
    fn touch(&mut self, places: Vec<Vector>) {
        let drawn = edges(&self.lines);
        for place in places {
            let is_near = |other: &Vector| angle(place, *other) < SAME;
            let is_drawn =
                drawn.iter().any(|edge| edge.iter().any(is_near) || lies_on(place, *edge));
            if !is_drawn && !self.places.iter().any(is_near) {
                self.places.push(place);
            }
        }
    }

    fn geo_json(&self) -> String {
        let place = |at: &Vector| {
            let (longitude, latitude) = degrees(*at);
            position(longitude, latitude)
        };
        let line = |line: &Vec<Vector>| {
            format!("[{}]", line.iter().map(place).collect::<Vec<_>>().join(","))
        };
        let mut shapes = Vec::new();
        match &self.places[..] {
            [] => {}
            [one] => {
                let (longitude, latitude) = degrees(*one);
                shapes.push(point_json(longitude, latitude));
            }
            several => {
                let places: Vec<String> = several.iter().map(place).collect();
                shapes.push(shape("MultiPoint", &format!("[{}]", places.join(","))));
            }
        }
        match &self.lines[..] {
            [] => {}
            [one] => shapes.push(shape("LineString", &line(one))),
            several => {
                let lines: Vec<String> = several.iter().map(line).collect();
                shapes.push(shape("MultiLineString", &format!("[{}]", lines.join(","))));
            }
        }
        match &shapes[..] {
            [one] => one.clone(),
            all => {
                let all = all.join(",");
                format!("{{\"type\":\"GeometryCollection\",\"geometries\":[{all}]}}")
            }
        }
    }
}

fn shape(kind: &str, coordinates: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"coordinates\":{coordinates}}}")
}

fn edges(lines: &[Vec<Vector>]) -> Vec<Edge> {
    lines.iter().flat_map(|line| line.windows(2)).map(|edge| [edge[0], edge[1]]).collect()
}

fn same([a, b]: Edge, [c, d]: Edge) -> bool {
    a == c && b == d || a == d && b == c
}

/// The place where two edges meet: an end of one on the other, or where they cross.
fn meeting(one: Edge, other: Edge) -> Option<Vector> {
    if !edges_meet(one, other) {
        return None;
    }
    if let Some(end) = other.into_iter().find(|end| lies_on(*end, one)) {
        return Some(end);
    }
    if let Some(end) = one.into_iter().find(|end| lies_on(*end, other)) {
        return Some(end);
    }
    let crossing = cross(cross(one[0], one[1]), cross(other[0], other[1]));
    let size = length(crossing);
    if size == 0.0 {
        return None;
    }
    // Of the two places where the great circles cross, the one on this side of the earth.
    let sign = if dot(crossing, one[0]) + dot(crossing, one[1]) < 0.0 { -1.0 } else { 1.0 };
    Some(crossing.map(|part| part / size * sign))
}
