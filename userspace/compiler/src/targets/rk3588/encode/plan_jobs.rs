//! Groups tasks into jobs, which cores take up independently.
//!
//! With one core, everything is one job: one kick where the hardware can chain. With more, bands of rows
//! are jobs of their own, and so is what can run side by side, each if the cost model says that it is
//! worth its kicks. A share of the work waits for those before it that touch the same memory, if one of
//! the two writes; where all it waits for is one job, it continues that job.

use std::ops::Range;

use crate::passes::ancestors::Ancestors;
use crate::passes::last_access::LastAccess;
use crate::passes::makespan::makespan;
use crate::passes::plan_memory::Memory;
use crate::targets::rk3588::cost::{Cost, WORTH};
use crate::targets::rk3588::program::{Band, Layer, Mode, Program, Rect, Side};

/// Tasks of a job, as (layer, tile) pairs, and the jobs that must be done before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobPlan {
    /// Tasks in order.
    pub tasks: Vec<(usize, usize)>,
    /// Earlier jobs.
    pub after: Vec<usize>,
}

/// Tiles of one layer that run on one core.
struct Share {
    tasks: Vec<(usize, usize)>,
    accesses: Vec<Access>,
    band: Option<Band>,
}

/// Memory that a share touches: the same bytes of each of several surfaces.
#[derive(Clone, Debug)]
struct Access {
    write: bool,
    /// In the first surface.
    bytes: Range<usize>,
    surfaces: usize,
    /// Bytes from surface to surface.
    pitch: usize,
}

/// Plans the jobs of one submission: as few as there can be, or more where that is worth it.
pub fn plan(
    program: &Program,
    memory: &Memory,
    layers: &[Layer],
    cores: usize,
    cost: &Cost,
) -> Vec<JobPlan> {
    let all = |(i, layer): (usize, &Layer)| (0..layer.tiles.len()).map(move |t| (i, t));
    let chain = vec![JobPlan {
        tasks: layers.iter().enumerate().flat_map(all).collect(),
        after: Vec::new(),
    }];
    if cores <= 1 || is_sequence(layers) {
        return chain;
    }
    let seconds: Vec<f64> = layers
        .iter()
        .map(|layer| cost.task_seconds(layer))
        .collect();
    let bytes: usize = layers.iter().map(|layer| cost.bytes(layer)).sum();
    let duration = |jobs: &[JobPlan]| {
        let tasks = |job: &JobPlan| job.tasks.iter().map(|&(i, _)| seconds[i]).collect();
        let each = jobs.iter().map(tasks);
        let each = each.map(|tasks: Vec<f64>| cost.job_seconds(tasks.into_iter()));
        let each: Vec<u64> = each.map(nanoseconds).collect();
        let last = makespan(&each, |job| &jobs[job].after[..], cores);
        last.max(nanoseconds(bytes as f64 / cost.timing.shared_bandwidth))
    };
    let shares = shares_of(program, memory, layers);
    let waits = waits(&shares);
    let mut best = chain;
    let mut least = duration(&best);
    for together in [true, false] {
        let jobs = spread(&shares, &waits, together);
        let found = duration(&jobs);
        if found as f64 <= WORTH * least as f64 {
            (best, least) = (jobs, found);
        }
    }
    best
}

/// Whether each layer is whole and waits for the one before: nothing can run side by side.
fn is_sequence(layers: &[Layer]) -> bool {
    let follows = |[before, layer]: &[Layer; 2]| {
        let made = before.output.cube;
        layer.input.cube == made || layer.addend.as_ref().is_some_and(|a| a.side.cube == made)
    };
    layers.iter().all(|layer| layer.cores <= 1) && layers.array_windows().all(follows)
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// As many jobs as can run side by side; with `together` only bands do.
fn spread(shares: &[Share], waits: &Ancestors, together: bool) -> Vec<JobPlan> {
    let mut followers = vec![0; shares.len()];
    for share in 0..shares.len() {
        for &other in waits.direct(share) {
            followers[other] += 1;
        }
    }
    let mut jobs: Vec<JobPlan> = Vec::new();
    let mut order = Ancestors::default();
    let mut job_of: Vec<usize> = Vec::new();
    let mut last_share: Vec<usize> = Vec::new();
    let mut bands: Vec<(Band, usize)> = Vec::new();
    for (index, share) in shares.iter().enumerate() {
        let direct = waits.direct(index);
        let mut needs: Vec<usize> = direct.iter().map(|&other| job_of[other]).collect();
        needs.sort_unstable();
        needs.dedup();
        let covers = |job: usize| needs.iter().all(|&need| order.is_after(job, need));
        // All that makes a band is one job.
        let same = |&(other, _): &(Band, usize)| Some(other) == share.band;
        let band = bands.iter().find(|entry| same(entry)).map(|&(_, job)| job);
        // Continue a job if nothing else waits for its end, and nothing else holds this share back.
        let home = band.filter(|&job| covers(job));
        let before = jobs.len().checked_sub(1).filter(|_| {
            let banded = |at: Option<usize>| at.is_some_and(|at| shares[at].band.is_some());
            together && !banded(Some(index)) && !banded(index.checked_sub(1))
        });
        let home = home.or(before.filter(|&job| covers(job)));
        let home = home.or_else(|| {
            needs.iter().copied().rev().find(|&job| {
                let end = last_share[job];
                direct.contains(&end) && followers[end] == 1 && covers(job)
            })
        });
        let job = home.unwrap_or_else(|| {
            order.push(needs);
            let job = jobs.len();
            let mut after = order.direct(job).to_vec();
            after.reverse();
            jobs.push(JobPlan {
                tasks: Vec::new(),
                after,
            });
            last_share.push(index);
            job
        });
        if let (Some(band), None) = (share.band, band) {
            bands.push((band, job));
        }
        jobs[job].tasks.extend(&share.tasks);
        last_share[job] = index;
        job_of.push(job);
    }
    jobs
}

/// For each share, the earlier ones it must wait for.
fn waits(shares: &[Share]) -> Ancestors {
    let (mut memory, mut waits) = (LastAccess::default(), Ancestors::default());
    for (index, share) in shares.iter().enumerate() {
        let mut before = Vec::new();
        for access in &share.accesses {
            for surface in 0..access.surfaces {
                let Range { start, end } = access.bytes;
                let first = surface * access.pitch;
                let bytes = first + start..first + end;
                match access.write {
                    true => memory.write(index, bytes, &mut before),
                    false => memory.read(index, bytes, &mut before),
                }
            }
        }
        waits.push(before);
    }
    waits
}

fn shares_of(program: &Program, memory: &Memory, layers: &[Layer]) -> Vec<Share> {
    let layers = layers.iter().enumerate();
    let all = layers.flat_map(|(index, layer)| shares(program, memory, index, layer));
    all.collect()
}

fn shares(program: &Program, memory: &Memory, index: usize, layer: &Layer) -> Vec<Share> {
    let count = layer.cores.clamp(1, layer.tiles.len().max(1));
    let tiles = layer.tiles.len();
    (0..count)
        .map(|share| {
            let range = share * tiles / count..(share + 1) * tiles / count;
            let mut accesses = Vec::new();
            for tile in &layer.tiles[range.clone()] {
                let (first, channels) = match layer.mode {
                    Mode::Depthwise | Mode::Flying => (tile.first_channel, tile.channels),
                    Mode::Direct => (0, layer.input.channels),
                };
                let mut add = |side: &Side, rect: &Rect, first, channels, write| {
                    accesses.push(access(program, memory, side, rect, first, channels, write));
                };
                add(&layer.input, &tile.input, first, channels, false);
                let group = tile
                    .channels
                    .next_multiple_of(layer.mode.group(program.chip));
                add(&layer.output, &tile.output, tile.first_channel, group, true);
                if let Some(addend) = &layer.addend {
                    add(&addend.side, &tile.output, tile.first_channel, group, false);
                }
            }
            Share {
                tasks: range.map(|tile| (index, tile)).collect(),
                accesses,
                band: layer.band,
            }
        })
        .collect()
}

fn access(
    program: &Program,
    memory: &Memory,
    side: &Side,
    rect: &Rect,
    first_channel: usize,
    channels: usize,
    write: bool,
) -> Access {
    let (root, surface) = program.root(side.cube);
    let cube = program.cube(root);
    let pitch = program.chip.atom_bytes * cube.surface_pitch;
    let first = surface + side.surface + first_channel / cube.atom_channels(program.chip);
    let count = channels.div_ceil(cube.atom_channels(program.chip));
    let start = memory.offset(root) + first * pitch;
    let row = side.rect.y + rect.y;
    let line = program.chip.atom_bytes * side.grid.w;
    let (from, to) = (line * row, line * (row + rect.h));
    // Whole surfaces are one piece.
    match from == 0 && to == pitch {
        true => Access {
            write,
            bytes: start..start + count * pitch,
            surfaces: 1,
            pitch,
        },
        false => Access {
            write,
            bytes: start + from..start + to,
            surfaces: count,
            pitch,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::plan_memory::{self, Life};
    use crate::targets::rk3588::legalise::pointwise;
    use crate::targets::rk3588::legalise::tiles::Shape;
    use ferrite_ir::op::Hw;
    use ferrite_ir::{DType, OpId};

    /// A chain of layers over 64x64x128 maps, the middle one divided.
    fn chain(cores: usize) -> Vec<JobPlan> {
        let mut program = Program::default();
        let cubes: Vec<_> = (0..4)
            .map(|_| program.add_cube([64, 64, 128], DType::I8, None))
            .collect();
        let side = |cube| Side {
            cube,
            surface: 0,
            channels: 128,
            grid: Hw { h: 64, w: 64 },
            rect: Rect {
                y: 0,
                x: 0,
                h: 64,
                w: 64,
            },
        };
        let layers: Vec<Layer> = (0..3)
            .map(|i| {
                let mut layer = pointwise(
                    OpId::from_u32(i),
                    side(cubes[i as usize]),
                    side(cubes[i as usize + 1]),
                    "test",
                );
                layer.cores = if i == 1 { cores } else { 1 };
                layer.tiles = Shape::of(program.chip, &layer, layer.cores)
                    .tiles()
                    .unwrap();
                layer
            })
            .collect();
        let lives: Vec<Life> = cubes
            .iter()
            .map(|&cube| Life {
                map: cube,
                bytes: program.cube(cube).bytes(program.chip),
                first: 0,
                last: 9,
            })
            .collect();
        let memory = plan_memory::plan(&lives);
        let shares = shares_of(&program, &memory, &layers);
        spread(&shares, &waits(&shares), false)
    }

    #[test]
    fn a_divided_layer_forks_and_joins() {
        let jobs = chain(2);
        let after: Vec<&[usize]> = jobs.iter().map(|job| job.after.as_slice()).collect();
        // The shares of its two groups of kernels wait for the first layer, the last for both of them.
        assert_eq!(after.len(), 4, "{jobs:?}");
        assert_eq!(after[0], &[] as &[usize]);
        assert_eq!(after[1..3], [&[0][..]; 2]);
        assert_eq!(after[3], &[1, 2]);
    }

    #[test]
    fn undivided_layers_of_a_chain_share_a_job() {
        let jobs = chain(1);
        assert_eq!(jobs.len(), 1);
        let layers: Vec<usize> = jobs[0].tasks.iter().map(|&(layer, _)| layer).collect();
        assert!(layers.is_sorted() && layers.contains(&0) && layers.contains(&2));
    }
}
