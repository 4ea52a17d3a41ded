//! What a job takes, by the cost model.

use ferrite_hw::timing::A311D;

use super::chip::{CORES, MAX_RUN_BITS};
use super::program::Layer;

/// Seconds of a job: the longest of its multiply-accumulates, the symbols that its coefficients have,
/// and the bytes that it moves.
pub fn seconds(layer: &Layer) -> f64 {
    let kernel = &layer.kernel;
    let taps = kernel.size * kernel.size;
    let [inputs, outputs] = kernel.block();
    let blocks = kernel.inputs / inputs.max(1);
    let weights = blocks * inputs * outputs * taps;
    // Pairs of channels that do not meet take a symbol for each run of zeros.
    let zeros = (kernel.inputs * kernel.outputs * taps).saturating_sub(weights);
    let symbols = weights + (zeros >> MAX_RUN_BITS);
    let pixels = layer.output.x * layer.output.y;
    // A core takes a pixel of 64, a kernel and three taps in a cycle.
    let cycles = (pixels.div_ceil(64) * weights).div_ceil(3 * CORES);
    let moved = layer.input.x * layer.input.y * layer.input.z + pixels * layer.output.z + symbols;
    let compute = cycles.max(symbols) as f64 / A311D.clock_hz;
    A311D.task + compute.max(moved as f64 / A311D.core_bandwidth)
}
