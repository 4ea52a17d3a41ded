//! Coordinates: rows by layer, columns of layers side by side, and within a layer as straight
//! above and below the neighbours as the order and the widths allow.

use super::layering::{Kind, Layered};
use std::ops::Range;

/// Height of a box.
pub const BOX: f64 = 36.0;
/// From row to row: a box, the labels of its results, and room for edges.
pub const ROW: f64 = 82.0;
/// Around everything.
pub const MARGIN: f64 = 28.0;
/// Title, subtitle and legend.
pub const HEAD: f64 = 108.0;
/// Between neighbours in a layer.
const GAP: f64 = 22.0;
/// Between columns, for the edges that continue: a lane for each and some air.
const LANE: f64 = 12.0;
const GUTTER: f64 = 40.0;

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Places {
    /// Centre of each vertex.
    pub x: Vec<f64>,
    /// Top of each vertex's box.
    pub y: Vec<f64>,
    /// For each column but the last: where the lanes to its right begin, and how many there are.
    pub gutters: Vec<(f64, usize)>,
    /// Size of the picture.
    pub width: f64,
    /// Size of the picture.
    pub height: f64,
}

/// Places the vertices of all columns.
pub fn place(layered: &Layered, columns: &[Range<usize>]) -> Places {
    let count = layered.vertices.len();
    let mut places = Places {
        x: vec![0.0; count],
        y: vec![0.0; count],
        gutters: Vec::new(),
        width: 0.0,
        height: 0.0,
    };
    let mut left = MARGIN;
    let mut lanes_before = 0;
    for (index, column) in columns.iter().enumerate() {
        let lanes_after = lanes(layered, columns.get(index + 1));
        align(layered, column.clone(), &mut places.x);
        let vertices = || layered.layers[column.clone()].iter().flatten();
        let edge = |v: &usize, side: f64| places.x[*v] + side * layered.vertices[*v].width / 2.0;
        let (low, high) = vertices().fold((f64::MAX, f64::MIN), |(low, high), v| {
            (low.min(edge(v, -1.0)), high.max(edge(v, 1.0)))
        });
        let shift = if low <= high { left - low } else { 0.0 };
        let columns_lanes = lanes_before.max(lanes_after) as f64;
        for (row, layer) in layered.layers[column.clone()].iter().enumerate() {
            for &vertex in layer {
                places.x[vertex] += shift;
                places.y[vertex] = MARGIN + HEAD + columns_lanes * LANE + row as f64 * ROW;
                places.height = places.height.max(places.y[vertex] + BOX);
            }
        }
        left += (high - low).max(0.0);
        if index + 1 < columns.len() {
            places.gutters.push((left + GUTTER / 2.0, lanes_after));
            left += GUTTER + lanes_after as f64 * LANE;
        }
        lanes_before = lanes_after;
    }
    let lanes = places.gutters.iter().map(|g| g.1).max().unwrap_or(0);
    places.height += MARGIN + (ROW - BOX) * f64::from(u8::from(lanes > 0)) + lanes as f64 * LANE;
    places.height = places.height.max(MARGIN + HEAD);
    places.width = left + MARGIN;
    places
}

/// Distance from lane to lane.
pub fn lane(index: usize) -> f64 {
    index as f64 * LANE
}

/// Edge pieces that end in the first layer of `column`, each continued from the column before.
fn lanes(layered: &Layered, column: Option<&Range<usize>>) -> usize {
    let Some(column) = column else { return 0 };
    let enters = |to: usize| layered.vertices[to].layer == column.start;
    layered.segments.iter().filter(|s| enters(s.to)).count()
}

/// Moves vertices towards their neighbours in the same column, down and up in turns.
fn align(layered: &Layered, column: Range<usize>, x: &mut [f64]) {
    let mut near: Vec<Vec<(usize, f64)>> = vec![Vec::new(); layered.vertices.len()];
    for segment in &layered.segments {
        let (from, to) = (
            &layered.vertices[segment.from],
            &layered.vertices[segment.to],
        );
        if column.contains(&from.layer) && column.contains(&to.layer) {
            let bends = u8::from(from.kind == Kind::Bend) + u8::from(to.kind == Kind::Bend);
            let weight = [1.0, 2.0, 8.0][usize::from(bends)];
            near[segment.from].push((segment.to, weight));
            near[segment.to].push((segment.from, weight));
        }
    }
    for layer in &layered.layers[column.clone()] {
        settle(layered, layer, &vec![(0.0, 1.0); layer.len()], x);
    }
    for round in 0..24 {
        let layers: Vec<usize> = match round % 2 {
            0 => column.clone().collect(),
            _ => column.clone().rev().collect(),
        };
        for layer in layers {
            let wish = |&vertex: &usize| {
                let weight: f64 = near[vertex].iter().map(|n| n.1).sum();
                let sum: f64 = near[vertex].iter().map(|&(n, w)| w * x[n]).sum();
                match near[vertex].is_empty() {
                    true => (x[vertex], 0.1),
                    false => (sum / weight, weight),
                }
            };
            let wishes: Vec<(f64, f64)> = layered.layers[layer].iter().map(wish).collect();
            settle(layered, &layered.layers[layer], &wishes, x);
        }
    }
}

/// Gives the vertices of a layer the positions nearest to their wishes (in weighted squares) that
/// keep the order and do not overlap: isotonic regression by pooling neighbours in conflict.
fn settle(layered: &Layered, layer: &[usize], wishes: &[(f64, f64)], x: &mut [f64]) {
    struct Pool {
        sum: f64,
        weight: f64,
        count: usize,
    }
    let mut offsets = Vec::with_capacity(layer.len());
    let mut offset = 0.0;
    for (index, &vertex) in layer.iter().enumerate() {
        let half = layered.vertices[vertex].width / 2.0;
        if index > 0 {
            offset += half + GAP;
        }
        offsets.push(offset);
        offset += half;
    }
    let mut pools: Vec<Pool> = Vec::new();
    for (&(wish, weight), offset) in wishes.iter().zip(&offsets) {
        let mut pool = Pool {
            sum: weight * (wish - offset),
            weight,
            count: 1,
        };
        while let Some(last) = pools.pop_if(|l| l.sum / l.weight >= pool.sum / pool.weight) {
            pool.sum += last.sum;
            pool.weight += last.weight;
            pool.count += last.count;
        }
        pools.push(pool);
    }
    let mut place = layer.iter().zip(&offsets);
    for pool in pools {
        let base = pool.sum / pool.weight;
        for (&vertex, offset) in place.by_ref().take(pool.count) {
            x[vertex] = base + offset;
        }
    }
}
