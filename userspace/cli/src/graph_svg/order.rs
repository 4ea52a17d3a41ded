//! Orders the vertices within their layers so that few edges cross.

use super::layering::Layered;

/// Sweeps over the layers; more do not help.
const SWEEPS: usize = 12;

/// Sorts each layer by the mean position of its neighbours above, then below, in turns, and keeps
/// the best order seen.
pub fn uncross(layered: &mut Layered) {
    let (above, below) = neighbours(layered);
    let mut best = (crossings(layered, &below), layered.layers.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let depth = layered.layers.len();
        if sweep % 2 == 0 {
            for layer in 1..depth {
                sort(layered, layer, layer - 1, &above);
            }
        } else {
            for layer in (0..depth.saturating_sub(1)).rev() {
                sort(layered, layer, layer + 1, &below);
            }
        }
        let count = crossings(layered, &below);
        if count < best.0 {
            best = (count, layered.layers.clone());
        }
    }
    layered.layers = best.1;
}

/// Upper and lower neighbours of each vertex.
fn neighbours(layered: &Layered) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let mut above = vec![Vec::new(); layered.vertices.len()];
    let mut below = above.clone();
    for segment in &layered.segments {
        above[segment.to].push(segment.from);
        below[segment.from].push(segment.to);
    }
    (above, below)
}

fn ranks(layered: &Layered, layer: usize) -> Vec<usize> {
    let mut ranks = vec![0; layered.vertices.len()];
    for (rank, &vertex) in layered.layers[layer].iter().enumerate() {
        ranks[vertex] = rank;
    }
    ranks
}

fn sort(layered: &mut Layered, layer: usize, fixed: usize, neighbours: &[Vec<usize>]) {
    let ranks = ranks(layered, fixed);
    let key = |(rank, &vertex): (usize, &usize)| {
        let near = &neighbours[vertex];
        let mean = near.iter().map(|&n| ranks[n] as f64).sum::<f64>() / near.len().max(1) as f64;
        // Those without neighbours stay about where they are.
        let mean = if near.is_empty() { rank as f64 } else { mean };
        (mean, rank, vertex)
    };
    let mut keyed: Vec<_> = layered.layers[layer].iter().enumerate().map(key).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    layered.layers[layer] = keyed.into_iter().map(|(_, _, vertex)| vertex).collect();
}

/// Pairs of edge pieces that cross.
fn crossings(layered: &Layered, below: &[Vec<usize>]) -> usize {
    let mut count = 0;
    for layer in 1..layered.layers.len() {
        let ranks = ranks(layered, layer);
        let mut seen: Vec<usize> = Vec::new();
        for &vertex in &layered.layers[layer - 1] {
            let mut targets: Vec<usize> = below[vertex].iter().map(|&n| ranks[n]).collect();
            targets.sort_unstable();
            for &target in &targets {
                count += seen.iter().filter(|&&s| s > target).count();
            }
            seen.extend(targets);
        }
    }
    count
}
