//! H3: hexagons that cover the earth, in sixteen sizes.

use std::collections::{HashSet, VecDeque};

use h3o::{CellIndex, LatLng, Resolution};
use kql::Function;

use super::super::{Kernel, Scratch, at, text_at};
use super::measure::between;
use super::{Polygon, angle, cartesian, degrees, point_json, polygon_json, polygons};
use crate::cell::Cell;
use crate::json::quoted;

const RESOLUTION_DEFAULT: i64 = 6;
/// Most levels between a cell and its children.
const LEVELS_MAX: u8 = 5;
/// Farthest ring.
const RING_MAX: i64 = 142;
/// Most cells that cover one polygon.
const CELLS_MAX: usize = 1_000_000;

pub(super) fn kernel(function: Function) -> Option<Kernel> {
    kernels!(function, {
        Function::GeoPointToH3cell => of_point,
        Function::GeoH3cellLevel => |args, _| {
            Cell::or_null(cell(args), |cell| Cell::Long(u8::from(cell.resolution()).into()))
        },
        Function::GeoH3cellToCentralPoint => |args, _| {
            Cell::or_null(cell(args), |cell| {
                let centre = LatLng::from(cell);
                Cell::dynamic(point_json(centre.lng(), centre.lat()))
            })
        },
        Function::GeoH3cellToPolygon => |args, _| {
            Cell::or_null(cell(args), |cell| {
                let corners = cell.boundary();
                let ring: Vec<(f64, f64)> =
                    corners.iter().chain(corners.first()).map(|p| (p.lng(), p.lat())).collect();
                Cell::dynamic(polygon_json(&[ring]))
            })
        },
        Function::GeoH3cellParent => |args, _| Cell::text(parent(args).map_or_else(String::new, token)),
        Function::GeoH3cellChildren => |args, _| Cell::or_null(children(args), Cell::dynamic),
        Function::GeoH3cellNeighbors => |args, _| {
            Cell::or_null(cell(args), |cell| Cell::dynamic(list(ring(cell, 1).into_iter())))
        },
        Function::GeoH3cellRings => |args, _| Cell::or_null(rings(args), Cell::dynamic),
        Function::GeoPolygonToH3cells => |args, _| Cell::or_null(cover(args), Cell::dynamic),
    })
}

fn token(cell: CellIndex) -> String {
    cell.to_string()
}

/// The cell that the first argument names.
fn cell(args: &[Cell<'_>]) -> Option<CellIndex> {
    text_at(args, 0).parse().ok()
}

fn list(cells: impl Iterator<Item = CellIndex>) -> String {
    let cells: Vec<String> = cells.map(|cell| quoted(&token(cell))).collect();
    format!("[{}]", cells.join(","))
}

/// The resolution at a position of the arguments.
fn resolution(args: &[Cell<'_>], position: usize, absent: i64) -> Option<Resolution> {
    let level = match args.get(position) {
        Some(_) => at(args, position)?.as_long()?,
        None => absent,
    };
    u8::try_from(level).ok()?.try_into().ok()
}

fn of_point<'a>(args: &[Cell<'a>], _: &Scratch) -> Cell<'a> {
    let place = super::point(args, 0).zip(args[0].as_real().zip(args[1].as_real()));
    let resolution = resolution(args, 2, RESOLUTION_DEFAULT);
    let cell = place.zip(resolution).and_then(|((_, (longitude, latitude)), resolution)| {
        Some(LatLng::new(latitude, longitude).ok()?.to_cell(resolution))
    });
    Cell::text(cell.map_or_else(String::new, token))
}

fn parent(args: &[Cell<'_>]) -> Option<CellIndex> {
    let cell = cell(args)?;
    let own = u8::from(cell.resolution());
    let wanted = resolution(args, 1, i64::from(own) - 1)?;
    if u8::from(wanted) >= own { None } else { cell.parent(wanted) }
}

fn children(args: &[Cell<'_>]) -> Option<String> {
    let cell = cell(args)?;
    let own = u8::from(cell.resolution());
    let wanted = resolution(args, 1, i64::from(own) + 1)?;
    let levels = u8::from(wanted).checked_sub(own)?;
    (1..=LEVELS_MAX).contains(&levels).then(|| list(cell.children(wanted)))
}

/// The cells at a distance, in the order of a walk around the cell.
fn ring(cell: CellIndex, distance: u32) -> Vec<CellIndex> {
    let near: Vec<(CellIndex, u32)> = cell.grid_disk_distances(distance);
    near.into_iter().filter(|(_, far)| *far == distance).map(|(cell, _)| cell).collect()
}

fn rings(args: &[Cell<'_>]) -> Option<String> {
    let cell = cell(args)?;
    let most = at(args, 1)?.as_long().filter(|most| (0..=RING_MAX).contains(most))?;
    let most = u32::try_from(most).ok()?;
    let near: Vec<(CellIndex, u32)> = cell.grid_disk_distances(most);
    let ring = |distance: u32| {
        list(near.iter().filter(|(_, far)| *far == distance).map(|(cell, _)| *cell))
    };
    let rings: Vec<String> = (0..=most).map(ring).collect();
    Some(format!("[{}]", rings.join(",")))
}

/// The cells whose centres lie in a polygon, found by a walk from the corners inwards.
fn cover(args: &[Cell<'_>]) -> Option<String> {
    let all = polygons(&args[0])?;
    let resolution = resolution(args, 1, RESOLUTION_DEFAULT)?;
    let holds = |cell: CellIndex| {
        let centre = LatLng::from(cell);
        let centre = cartesian(centre.lng(), centre.lat());
        all.iter().any(|polygon| polygon.holds(centre))
    };
    let mut seen: HashSet<CellIndex> = HashSet::new();
    let mut waiting: VecDeque<CellIndex> = VecDeque::new();
    for cell in outline(&all, resolution)? {
        for near in std::iter::once(cell).chain(ring(cell, 1)) {
            if seen.insert(near) {
                waiting.push_back(near);
            }
        }
    }
    let mut found = Vec::new();
    while let Some(cell) = waiting.pop_front() {
        if seen.len() > CELLS_MAX {
            return None;
        }
        if !holds(cell) {
            continue;
        }
        found.push(cell);
        for next in ring(cell, 1) {
            if seen.insert(next) {
                waiting.push_back(next);
            }
        }
    }
    found.sort();
    Some(list(found.into_iter()))
}

/// The cells that the edges of polygons go through: places on them are taken so densely that none is
/// missed by more than a neighbour.
fn outline(polygons: &[Polygon], resolution: Resolution) -> Option<HashSet<CellIndex>> {
    let step = resolution.edge_length_rads() / 2.0;
    let mut found = HashSet::new();
    let edges = polygons.iter().flat_map(|one| &one.rings).flat_map(|ring| ring.windows(2));
    for edge in edges {
        let way = angle(edge[0], edge[1]);
        let steps = (way / step).ceil().max(1.0);
        if steps > CELLS_MAX as f64 || found.len() > CELLS_MAX {
            return None;
        }
        for at in 0..=steps as usize {
            let (longitude, latitude) = degrees(between(edge[0], edge[1], way * at as f64 / steps));
            found.insert(LatLng::new(latitude, longitude).ok()?.to_cell(resolution));
        }
    }
    Some(found)
}
