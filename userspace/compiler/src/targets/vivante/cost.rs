//! What a job takes, by the cost model.

use ferrite_hw::{Timing, timing};

use super::chip::{CORES, MAX_INPUTS, MAX_RUN_BITS, PROVEN_KERNEL, PROVEN_PAD};
use super::program::Layer;
use crate::npu::{Conv, Window};
use crate::options::Options;

/// Seconds of a job: the longest of its multiply-accumulates, the symbols that its coefficients have,
/// and the bytes that it moves.
pub fn seconds(timing: &Timing, layer: &Layer) -> f64 {
    let kernel = &layer.kernel;
    let taps = kernel.size * kernel.size;
    let weights = kernel.pairs() * taps;
    // Pairs of channels that do not meet take a symbol for each run of zeros.
    let zeros = (kernel.inputs * kernel.outputs * taps).saturating_sub(weights);
    let symbols = weights + (zeros >> MAX_RUN_BITS);
    let pixels = layer.output.x * layer.output.y;
    // A core takes a pixel of 64, a kernel and three taps in a cycle.
    let cycles = (pixels.div_ceil(64) * weights).div_ceil(3 * CORES);
    let moved = layer.input.x * layer.input.y * layer.input.z + pixels * layer.output.z + symbols;
    let compute = cycles.max(symbols) as f64 / timing.clock_hz;
    timing.task + compute.max(moved as f64 / timing.core_bandwidth)
}

/// How many groups of so many channels a job of a layer takes that reads its input in two parts, each
/// job's behind each other: many make kernels of mostly zeros, few make many jobs, and maps that are
/// copied.
pub fn groups_of_parts(timing: &Timing, layer: &Layer, [inputs, outputs]: [usize; 2]) -> usize {
    let kernel = &layer.kernel;
    let groups = kernel.outputs / outputs.max(1);
    // Cores work evenly then, and write no plane that is another job's.
    let step = (1..=CORES).find(|n| (n * outputs).is_multiple_of(CORES));
    let step = step.unwrap_or(1);
    let map = (layer.input.x * layer.input.y * layer.input.z) as f64 / timing.core_bandwidth;
    let seconds = |each: usize| {
        let jobs = groups.div_ceil(each) as f64;
        let pairs = 2 * each * inputs * each * outputs;
        let symbols = (pairs * kernel.size * kernel.size) >> MAX_RUN_BITS;
        let (copies, maps) = if each < groups {
            (2.0, 4.0)
        } else {
            (0.0, 2.0)
        };
        jobs * ((1.0 + copies) * timing.task + symbols as f64 / timing.clock_hz) + maps * map
    };
    let parts = (1..=groups.div_ceil(step)).map(|parts| groups.div_ceil(parts));
    let sizes = parts.map(|each| each.next_multiple_of(step).min(groups));
    let best = sizes.min_by(|&a, &b| seconds(a).total_cmp(&seconds(b)));
    best.unwrap_or(groups)
}

/// The window of a convolution that the chip cannot do, or has not been seen to do, if it is worth that the
/// host lays out its input's windows as pixels.
pub fn im2col(conv: &Conv, options: &Options) -> Option<Window> {
    let timing = timing::A311D.at(options.clock_mhz);
    let ([.., c], [oh, ow, oc]) = (conv.input_shape, conv.output_shape);
    let (window, span) = (&conv.window, conv.window.span());
    let stride = window.stride.h;
    let proven = span.h.max(span.w) <= PROVEN_KERNEL
        && window.pad.h.max(window.pad.w) <= PROVEN_PAD
        && stride == window.stride.w
        && stride.is_power_of_two();
    let channels = window.kernel.h * window.kernel.w * c;
    let bytes = (conv.images * oh * ow * channels) as f64;
    let on_host = bytes * oc as f64 / timing.host_macs;
    let worth = channels <= MAX_INPUTS && bytes / timing.host_bytes < on_host;
    (!proven && worth).then_some(*window)
}

#[cfg(test)]
mod tests {
    use ferrite_ir::OpId;

    use super::*;
    use crate::executable::Evidence;
    use crate::npu::MapId;
    use crate::targets::vivante::kernels::{Kernel, Order};
    use crate::targets::vivante::program::{Multiplier, Side};
    use ferrite_hw::timing::A311D;

    fn depthwise(channels: usize, pixels: usize) -> Layer {
        let side = |map| Side {
            map: MapId::from_u32(map),
            offset: 0,
            x: pixels,
            y: pixels,
            z: channels,
        };
        Layer {
            op: OpId::from_u32(0),
            lowering: "depthwise",
            evidence: Evidence::Silicon,
            input: side(0),
            output: side(1),
            pad: [1, 1],
            border: 0,
            pooled: false,
            kernel: Kernel {
                data: vec![0; 9 * channels].into(),
                flip: 0,
                zero: 0,
                order: Order::Depthwise { multiplier: 1 },
                filter: [3, 3],
                dilation: [1, 1],
                size: 3,
                inputs: channels,
                outputs: channels,
                first: [0, 0],
                bias: vec![0; channels],
            },
            multiplier: Multiplier {
                mantissa: 0,
                shift: 20,
            },
            out_zero: 0,
            relu: false,
        }
    }

    #[test]
    fn only_many_channels_of_small_maps_are_divided() {
        assert_eq!(groups_of_parts(&A311D, &depthwise(32, 112), [1, 1]), 32);
        assert_eq!(groups_of_parts(&A311D, &depthwise(144, 56), [1, 1]), 144);
        for channels in [960, 1152, 1001] {
            let each = groups_of_parts(&A311D, &depthwise(channels, 7), [1, 1]);
            assert!(each < channels && each.is_multiple_of(CORES), "{each}");
        }
    }
}
