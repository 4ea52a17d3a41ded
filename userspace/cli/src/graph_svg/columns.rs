//! Cuts a long graph into columns, where few edges pass.

use super::layering::Layered;
use std::ops::Range;

/// Layers of a column, if the graph is longer.
const COLUMN: usize = 30;
/// How far from even columns a cut may be.
const SLACK: usize = 6;

/// Ranges of layers, one for each column.
pub fn split(layered: &Layered) -> Vec<Range<usize>> {
    let depth = layered.layers.len();
    let count = depth.div_ceil(COLUMN + SLACK).max(1);
    let mut passing = vec![0usize; depth + 1];
    for segment in &layered.segments {
        passing[layered.vertices[segment.to].layer] += 1;
    }
    let mut columns = Vec::new();
    let mut start = 0;
    for column in 1..count {
        let even = depth * column / count;
        let near = (even.saturating_sub(SLACK)).max(start + 1)..(even + SLACK + 1).min(depth);
        let Some(cut) = near.min_by_key(|&cut| (passing[cut], cut.abs_diff(even))) else {
            break;
        };
        columns.push(start..cut);
        start = cut;
    }
    columns.push(start..depth);
    columns
}
