//! The neural-network unit: convolutions of planar byte images.

pub mod decode;
mod engine;
pub mod stream;

pub use decode::{Layer, Plane};
pub use stream::{Coefficients, Kernel};

use super::config::Config;
use super::counters::Counters;
use super::fault::{Check, FaultKind, Unit, room};
use crate::memory::Memory;
use engine::Group;
use ferrite_hw::Grade;
use ferrite_hw::vivante::Words;
use ferrite_process::parallel;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stream::Stream;

/// What decoding of earlier jobs found, which the next inference needs again if memory still has the
/// same bytes. No part of the chip.
#[derive(Default)]
pub(crate) struct Known {
    layers: Mutex<Layers>,
}

#[derive(Default)]
struct Layers {
    by_address: HashMap<u32, Arc<Prepared>>,
    size: usize,
}

/// Decoded coefficients that have been checked.
struct Prepared {
    layer: Layer,
    stream: Stream,
    /// Without the weights of the kernels, which are in the groups.
    coefficients: Coefficients,
    /// How many weights other than zero there are.
    weights: u64,
    groups: Vec<Group>,
}

/// Words of weights that are kept; more than any model that was seen has.
const MOST: usize = 1 << 25;

impl Known {
    fn prepare(&self, layer: &Layer, stream: Stream, config: &Config) -> Check<Arc<Prepared>> {
        let address = layer.kernel_address;
        let known = self.lock().by_address.get(&address).cloned();
        if let Some(known) = known
            && known.layer == *layer
            && known.stream == stream
        {
            return Ok(known);
        }
        let mut coefficients = stream::decode(layer, &stream)?;
        check_kernels(layer, &coefficients, config)?;
        let groups = Group::all(layer, &coefficients.kernels);
        let weights = coefficients.kernels.iter_mut();
        let weights = weights.map(|kernel| std::mem::take(&mut kernel.weights).len() as u64);
        let weights = weights.sum();
        let size = groups.iter().map(Group::words).sum::<usize>();
        let prepared = Arc::new(Prepared {
            layer: *layer,
            stream,
            coefficients,
            weights,
            groups,
        });
        let mut layers = self.lock();
        layers.size += size;
        if layers.size > MOST {
            *layers = Layers::default();
        } else {
            layers.by_address.insert(address, Arc::clone(&prepared));
        }
        Ok(prepared)
    }

    fn lock(&self) -> MutexGuard<'_, Layers> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a job to its end.
pub(crate) fn run(
    memory: &dyn Memory,
    words: &Words,
    config: &Config,
    known: &Known,
) -> Check<Counters> {
    let layer = Layer::decode(words, config)?;
    let stream = stream::read(memory, &layer)?;
    let prepared = known.prepare(&layer, stream, config)?;
    let coefficients = &prepared.coefficients;
    let image = engine::Image::read(memory, &layer)?;
    let planes = engine::convolve(&layer, &image, &prepared.groups)?;
    for (kernel, plane) in coefficients.kernels.iter().zip(&planes) {
        write_plane(memory, &layer, kernel, plane)?;
    }
    Ok(count(&layer, coefficients, prepared.weights, config))
}

fn check_kernels(layer: &Layer, coefficients: &Coefficients, config: &Config) -> Check {
    if layer.kernels_cached {
        room(
            "bytes of coefficients in on-chip SRAM",
            coefficients.largest_block * layer.cores_used() as u64,
            layer.kernel_cache,
        )?;
    }
    config.usual(
        coefficients.run_bits == 0 || !layer.is_pointwise() || layer.relu,
        "zero runs in 1x1 coefficients that come six channels at a time",
    )?;
    parallel::try_each(coefficients.kernels.len(), |kernel| {
        let kernel = &coefficients.kernels[kernel];
        if u64::from(kernel.z_offset) != layer.place(kernel.channel) {
            config.require(
                Grade::Inferred,
                "z-offsets that differ from the output's strides",
            )?;
        }
        let (mut low, mut high) = (0i64, 0i64);
        for &(_, weight) in &kernel.weights {
            let product = i64::from(weight) * 255;
            if product < 0 {
                low += product;
            } else {
                high += product;
            }
        }
        let bias = i64::from(kernel.bias);
        let fits = |value: i64| i32::try_from(value).is_ok();
        if [low, high, low + bias, high + bias].into_iter().all(fits) {
            return Ok(());
        }
        Err(FaultKind::NotModelled(
            "accumulators that could exceed 32 bits",
        ))
    })
}

fn write_plane(memory: &dyn Memory, layer: &Layer, kernel: &Kernel, plane: &[u8]) -> Check {
    let output = &layer.output;
    let base = u64::from(kernel.z_offset);
    let fault = FaultKind::memory(Unit::Output);
    if output.x_stride == output.width {
        return memory.write(output.row(0, 0) + base, plane).map_err(fault);
    }
    for (y, row) in plane.chunks_exact(output.width as usize).enumerate() {
        memory
            .write(output.row(y as u32, 0) + base, row)
            .map_err(&fault)?;
    }
    Ok(())
}

/// Counts and time of a job that ran, by the formulas of section 11.3 of the hardware document.
fn count(layer: &Layer, coefficients: &Coefficients, weights: u64, config: &Config) -> Counters {
    let (width, height) = (
        layer.output.width * layer.stride,
        layer.output.height * layer.stride,
    );
    let columns = u64::from(width.div_ceil(layer.tile_x));
    let rows = u64::from(height.div_ceil(layer.tile_y));
    let tiles = columns * rows;
    let groups_of = |w: u32, h: u32| u64::from(w * h).div_ceil(64);
    let remainder = |size: u32, tile: u32| (size - 1) % tile + 1;
    let (last_x, last_y) = (
        remainder(width, layer.tile_x),
        remainder(height, layer.tile_y),
    );
    let groups =
        (columns - 1) * (rows - 1) * groups_of(layer.tile_x.min(width), layer.tile_y.min(height))
            + (rows - 1) * groups_of(last_x, layer.tile_y.min(height))
            + (columns - 1) * groups_of(layer.tile_x.min(width), last_y)
            + groups_of(last_x, last_y);
    let depth = u64::from(layer.kernel_z);
    let blocks = if layer.is_pointwise() {
        depth.div_ceil(3)
    } else {
        depth * u64::from(layer.kernel_y.div_ceil(2)) * u64::from(layer.kernel_x.div_ceil(3))
    };
    let image = u64::from(layer.input.width) * u64::from(layer.input.height) * depth;
    let pixels = u64::from(layer.output.width) * u64::from(layer.output.height);
    let passes = if layer.image_cached {
        1
    } else {
        u64::from(layer.superblocks())
    };
    let fetches = if layer.kernels_cached { 1 } else { tiles };
    let mut counters = Counters {
        coefficient_bytes: coefficients.bytes * fetches,
        image_bytes: image * passes,
        output_bytes: pixels * u64::from(layer.out_z),
        macs: weights * pixels,
        // Blocks of zeros are skipped: a core never works longer than it has symbols to decode.
        mac_cycles: groups
            * (u64::from(layer.kernels_of_core()) * blocks).min(coefficients.symbols),
        symbols: coefficients.symbols * fetches,
        dropped_kernels: coefficients.dropped,
        nn_jobs: 1,
        ..Counters::default()
    };
    let cycles = counters.mac_cycles.max(counters.symbols) as f64;
    let compute = cycles / f64::from(config.chip.clock_hz);
    let transfer = counters.bytes() as f64 / config.timing.core_bandwidth;
    counters.estimated_ns = ((compute.max(transfer) + config.timing.task) * 1e9) as u64;
    counters
}
