//! Geohashes: cells of a grid, named by letters that halve longitude and latitude in turn.

use kql::Function;

use super::super::{Kernel, Scratch, at, text_at};
use super::{point_json, polygon_json};
use crate::cell::Cell;

const LETTERS: &str = "0123456789bcdefghjkmnpqrstuvwxyz";
const LENGTH_DEFAULT: i64 = 5;
const LENGTH_MAX: i64 = 18;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::GeoPointToGeohash => of_point,
        Function::GeoGeohashToCentralPoint => |args, _| {
            Cell::or_null(area(text_at(args, 0)), |area| {
                let [x, y] = [f64::midpoint(area.west, area.east), f64::midpoint(area.south, area.north)];
                Cell::dynamic(point_json(x, y))
            })
        },
        Function::GeoGeohashToPolygon => |args, _| {
            Cell::or_null(area(text_at(args, 0)), |area| Cell::dynamic(area.polygon()))
        },
        Function::GeoGeohashNeighbors => |args, _| {
            Cell::or_null(neighbours(text_at(args, 0)), Cell::dynamic)
        },
    })
}

/// The area that a geohash names.
#[derive(Clone, Copy)]
struct Area {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Area {
    const EARTH: Self = Self { west: -180.0, east: 180.0, south: -90.0, north: 90.0 };

    /// Halves it, by longitude or latitude; takes the eastern or northern half.
    fn halve(&mut self, by_longitude: bool, upper: bool) {
        let (low, high) = if by_longitude {
            (&mut self.west, &mut self.east)
        } else {
            (&mut self.south, &mut self.north)
        };
        let middle = f64::midpoint(*low, *high);
        *(if upper { low } else { high }) = middle;
    }

    fn polygon(self) -> String {
        let Self { west, east, south, north } = self;
        let corners = [(west, south), (east, south), (east, north), (west, north), (west, south)];
        polygon_json(&[corners.to_vec()])
    }
}

/// None for what is no geohash.
fn area(hash: &str) -> Option<Area> {
    let length = i64::try_from(hash.len()).ok()?;
    if !(1..=LENGTH_MAX).contains(&length) {
        return None;
    }
    let mut area = Area::EARTH;
    let mut by_longitude = true;
    for letter in hash.chars() {
        let value = LETTERS.find(letter.to_ascii_lowercase())?;
        for bit in (0..5).rev() {
            area.halve(by_longitude, value >> bit & 1 == 1);
            by_longitude = !by_longitude;
        }
    }
    Some(area)
}

fn encode(longitude: f64, latitude: f64, length: usize) -> String {
    let mut area = Area::EARTH;
    let mut by_longitude = true;
    let mut hash = String::with_capacity(length);
    for _ in 0..length {
        let mut value = 0;
        for _ in 0..5 {
            let upper = if by_longitude {
                longitude >= f64::midpoint(area.west, area.east)
            } else {
                latitude >= f64::midpoint(area.south, area.north)
            };
            area.halve(by_longitude, upper);
            value = value << 1 | usize::from(upper);
            by_longitude = !by_longitude;
        }
        hash.push(LETTERS.chars().nth(value).unwrap_or('0'));
    }
    hash
}

fn of_point<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let (Some(longitude), Some(latitude)) = (args[0].as_real(), args[1].as_real()) else {
        return Cell::Null;
    };
    let length = at(args, 2).map_or(Some(LENGTH_DEFAULT), Cell::as_long);
    let length = length.filter(|length| (1..=LENGTH_MAX).contains(length));
    let (Some(_), Some(length)) = (super::place(longitude, latitude), length) else {
        return Cell::Null;
    };
    Cell::text(encode(longitude, latitude, usize::try_from(length).unwrap_or(1)))
}

/// The cells around one, as Kusto orders them; beyond a pole there are none.
fn neighbours(hash: &str) -> Option<String> {
    const AROUND: [(f64, f64); 8] = [
        (-1.0, -1.0),
        (-1.0, 1.0),
        (1.0, -1.0),
        (0.0, 1.0),
        (-1.0, 0.0),
        (1.0, 1.0),
        (1.0, 0.0),
        (0.0, -1.0),
    ];
    let area = area(hash)?;
    let (width, height) = (area.east - area.west, area.north - area.south);
    let (x, y) = (f64::midpoint(area.west, area.east), f64::midpoint(area.south, area.north));
    let mut found = Vec::new();
    for (dx, dy) in AROUND {
        let latitude = y + dy * height;
        if latitude.abs() > 90.0 {
            continue;
        }
        let longitude = (x + dx * width + 180.0).rem_euclid(360.0) - 180.0;
        found.push(format!("\"{}\"", encode(longitude, latitude, hash.len())));
    }
    Some(format!("[{}]", found.join(",")))
}
