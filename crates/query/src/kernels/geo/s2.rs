//! S2: the earth on the six faces of a cube, each halved both ways again and again, and the cells
//! numbered along a curve that fills them.

use kql::Function;

use super::super::{Kernel, Scratch, at, text_at};
use super::{Vector, degrees, length, point, point_json, polygon_json};
use crate::cell::Cell;
use crate::json::quoted;

const LEVEL_DEFAULT: i64 = 11;
const LEVEL_MAX: u32 = 30;
/// Leaf cells along the edge of a face.
const SIDE: i64 = 1 << LEVEL_MAX;
/// The quarter (first along i, then along j) at a position of the curve, by the curve's orientation.
const QUARTERS: [[u64; 4]; 4] = [[0, 1, 3, 2], [0, 2, 3, 1], [3, 2, 0, 1], [3, 1, 0, 2]];
/// How the orientation changes within a position.
const TURNS: [usize; 4] = [1, 0, 0, 3];

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::GeoPointToS2cell => of_point,
        Function::GeoS2cellToCentralPoint => |args, _| {
            Cell::or_null(Square::named(text_at(args, 0)), |cell| {
                let half = cell.size() as f64 / 2.0;
                let (x, y) = cell.place(half, half);
                Cell::dynamic(point_json(x, y))
            })
        },
        Function::GeoS2cellToPolygon => |args, _| {
            Cell::or_null(Square::named(text_at(args, 0)), |cell| {
                let size = cell.size() as f64;
                let corners = [(0.0, 0.0), (size, 0.0), (size, size), (0.0, size), (0.0, 0.0)];
                Cell::dynamic(polygon_json(&[corners.map(|(i, j)| cell.place(i, j)).to_vec()]))
            })
        },
        Function::GeoS2cellNeighbors => |args, _| {
            Cell::or_null(Square::named(text_at(args, 0)), |cell| {
                let near: Vec<String> = cell.neighbours().iter().map(|near| quoted(&near.name())).collect();
                Cell::dynamic(format!("[{}]", near.join(",")))
            })
        },
    })
}

fn of_point<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let level = match args.get(2) {
        Some(_) => at(args, 2).and_then(Cell::as_long),
        None => Some(LEVEL_DEFAULT),
    };
    let level =
        level.and_then(|level| u32::try_from(level).ok()).filter(|level| *level <= LEVEL_MAX);
    let cell = point(args, 0).zip(level).map(|(place, level)| Square::at(place, level).name());
    Cell::text(cell.unwrap_or_default())
}

/// A cell: its face, its first leaf cell, and how often it was halved.
#[derive(Clone, Copy)]
struct Square {
    face: u64,
    i: i64,
    j: i64,
    level: u32,
}

impl Square {
    fn at(place: Vector, level: u32) -> Self {
        let (face, u, v) = on_cube(place);
        let leaf = |u: f64| ((of_tangent(u) * SIDE as f64).floor() as i64).clamp(0, SIDE - 1);
        Self { face, i: leaf(u), j: leaf(v), level }.aligned()
    }

    fn aligned(self) -> Self {
        let low = !(self.size() - 1);
        Self { i: self.i & low, j: self.j & low, ..self }
    }

    /// Leaf cells along an edge.
    fn size(self) -> i64 {
        1 << (LEVEL_MAX - self.level)
    }

    /// Its number in hexadecimal without the zeros at the end.
    fn name(self) -> String {
        let mut number = self.face;
        let mut orientation = usize::from(self.face & 1 == 1);
        for bit in (LEVEL_MAX - self.level..LEVEL_MAX).rev() {
            let quarter = (self.i >> bit & 1) << 1 | self.j >> bit & 1;
            let order = QUARTERS[orientation];
            let position = order.iter().position(|q| *q == quarter.unsigned_abs()).unwrap_or(0);
            number = number << 2 | position as u64;
            orientation ^= TURNS[position];
        }
        let bits = 3 + 2 * self.level;
        let number = (number << 1 | 1) << (63 - bits);
        format!("{number:016x}").trim_end_matches('0').to_owned()
    }

    fn named(name: &str) -> Option<Self> {
        if name.is_empty() || name.len() > 16 || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let number = u64::from_str_radix(&format!("{name:0<16}"), 16).ok()?;
        let (face, end) = (number >> 61, number.trailing_zeros());
        if face > 5 || number == 0 || end > 60 || end % 2 != 0 {
            return None;
        }
        let level = LEVEL_MAX - end / 2;
        let (mut i, mut j) = (0, 0);
        let mut orientation = usize::from(face & 1 == 1);
        for step in 0..level {
            let position = (number >> (59 - 2 * step) & 3) as usize;
            let quarter = QUARTERS[orientation][position] as i64;
            i = i << 1 | quarter >> 1;
            j = j << 1 | quarter & 1;
            orientation ^= TURNS[position];
        }
        Some(Self { face, i: i << (end / 2), j: j << (end / 2), level })
    }

    /// Longitude and latitude of a place so many leaf cells from its first corner.
    fn place(self, i: f64, j: f64) -> (f64, f64) {
        let tangent = |at: f64| to_tangent(at / SIDE as f64);
        let at = on_sphere(self.face, tangent(self.i as f64 + i), tangent(self.j as f64 + j));
        let size = length(at);
        degrees(at.map(|part| part / size))
    }

    /// The cell of the same level that holds a leaf cell, which may lie beyond the face's edge.
    fn holding(self, i: i64, j: i64) -> Self {
        let inside = (0..SIDE).contains(&i) && (0..SIDE).contains(&j);
        if inside {
            return Self { i, j, ..self }.aligned();
        }
        // Just beyond the edge the faces meet without a bend in this linear scale.
        let linear = |at: i64| {
            let at = at.clamp(-1, SIDE) as f64;
            ((2.0 * at + 1.0) / SIDE as f64 - 1.0).clamp(-1.0 - f64::EPSILON, 1.0 + f64::EPSILON)
        };
        let (face, u, v) = on_cube(on_sphere(self.face, linear(i), linear(j)));
        let leaf = |u: f64| (((u + 1.0) / 2.0 * SIDE as f64).floor() as i64).clamp(0, SIDE - 1);
        Self { face, i: leaf(u), j: leaf(v), level: self.level }.aligned()
    }

    /// The cells around it, in Kusto's order.
    fn neighbours(self) -> Vec<Self> {
        let size = self.size();
        let near = |x: i64, y: i64| self.holding(self.i + x * size, self.j + y * size);
        let around = [(1, 1), (-1, -1), (1, -1), (0, -1), (0, 1), (1, 0), (-1, 0), (-1, 1)];
        let mut found: Vec<Self> = Vec::new();
        for (x, y) in around {
            let near = near(x, y);
            let same = |other: &Self| (other.face, other.i, other.j) == (near.face, near.i, near.j);
            if !found.iter().any(same) && !same(&self) {
                found.push(near);
            }
        }
        found
    }
}

/// The face that a direction meets, and where.
fn on_cube(at: Vector) -> (u64, f64, f64) {
    let [x, y, z] = at;
    let size = at.map(f64::abs);
    if size[0] >= size[1] && size[0] >= size[2] {
        if x > 0.0 { (0, y / x, z / x) } else { (3, z / x, y / x) }
    } else if size[1] >= size[2] {
        if y > 0.0 { (1, -x / y, z / y) } else { (4, z / y, -x / y) }
    } else if z > 0.0 {
        (2, -x / z, -y / z)
    } else {
        (5, -y / z, -x / z)
    }
}

fn on_sphere(face: u64, u: f64, v: f64) -> Vector {
    match face {
        0 => [1.0, u, v],
        1 => [-u, 1.0, v],
        2 => [-u, -v, 1.0],
        3 => [-1.0, -v, -u],
        4 => [v, -1.0, -u],
        _ => [v, u, -1.0],
    }
}

/// From the cube to a scale on which cells are of about the same area, 0 to 1, and back.
fn of_tangent(u: f64) -> f64 {
    let half = 0.5 * (1.0 + 3.0 * u.abs()).sqrt();
    if u >= 0.0 { half } else { 1.0 - half }
}

fn to_tangent(s: f64) -> f64 {
    if s >= 0.5 { (4.0 * s * s - 1.0) / 3.0 } else { (1.0 - 4.0 * (1.0 - s) * (1.0 - s)) / 3.0 }
}
