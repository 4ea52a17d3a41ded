//! Groups tasks into jobs.

use super::program::Layer;

/// Tasks of a job, as (layer, tile) pairs, and the jobs that must be done before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobPlan {
    /// Tasks in order.
    pub tasks: Vec<(usize, usize)>,
    /// Earlier jobs.
    pub after: Vec<usize>,
}

/// One job with all tasks in order: one kick where the hardware can chain.
pub fn single(layers: &[Layer]) -> Vec<JobPlan> {
    let tasks = layers
        .iter()
        .enumerate()
        .flat_map(|(i, layer)| (0..layer.tiles.len()).map(move |tile| (i, tile)))
        .collect();
    vec![JobPlan {
        tasks,
        after: Vec::new(),
    }]
}
