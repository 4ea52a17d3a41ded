//! What layers take, by the cost model.

use ferrite_hw::timing::RK3588;

use super::legalise::tiles::Shape;
use super::program::{Layer, Mode, Stage};
use crate::npu::{Conv, Window};

/// Seconds of a layer's tasks.
pub fn seconds(layer: &Layer) -> f64 {
    // A table is loaded by a task of its own.
    let loading = f64::from(u8::from(matches!(layer.stage, Stage::Table(_)))) * RK3588.task;
    task_seconds(layer) * layer.tiles.len() as f64 + loading
}

/// Seconds of one of a layer's tasks in a chain, on an average.
pub fn task_seconds(layer: &Layer) -> f64 {
    RK3588.task + work_seconds(&Shape::of(layer, 1)) / layer.tiles.len().max(1) as f64
}

/// Seconds of a job with these tasks.
pub fn job_seconds(tasks: impl Iterator<Item = f64>) -> f64 {
    RK3588.kick - RK3588.task + tasks.sum::<f64>()
}

/// Bytes that a layer moves.
pub fn bytes(layer: &Layer) -> usize {
    Shape::of(layer, 1).bytes()
}

/// Seconds of the work itself on one core: of the MAC array, or of memory.
fn work_seconds(shape: &Shape) -> f64 {
    let compute = shape.steps() as f64 / RK3588.clock_hz;
    compute.max(shape.bytes() as f64 / RK3588.core_bandwidth)
}

/// Whether a layer is done sooner in parts on several cores. Each part is a job, and so is what follows
/// them: two kicks more than when everything is one job.
pub fn worth_dividing(shape: &Shape, cores: usize) -> bool {
    let cores = cores as f64;
    let whole = work_seconds(shape);
    let compute = shape.steps() as f64 / RK3588.clock_hz / cores;
    let bandwidth = RK3588.shared_bandwidth.min(cores * RK3588.core_bandwidth);
    let divided = compute.max(shape.bytes() as f64 / bandwidth);
    divided + 2.0 * RK3588.kick < whole
}

/// Whether a convolution is done sooner with its input's windows as pixels, which the host lays out in
/// place of the input.
pub fn im2col_pays(conv: &Conv) -> bool {
    let ([.., c], [oh, ow, _]) = (conv.input_shape, conv.output_shape);
    let taps = conv.window.kernel.h * conv.window.kernel.w;
    let patches = shape([oh, ow, taps * c], &Window::unit(), conv.output_shape);
    let seconds = |shape: &Shape| {
        let atoms = shape.input[0] * shape.input[1] * shape.inputs.div_ceil(16);
        work_seconds(shape) + (16 * atoms) as f64 / RK3588.host_bytes
    };
    seconds(&patches) < seconds(&shape(conv.input_shape, &conv.window, conv.output_shape))
}

/// Of a dense convolution.
fn shape([h, w, inputs]: [usize; 3], window: &Window, [oh, ow, outputs]: [usize; 3]) -> Shape {
    let span = window.span();
    Shape {
        mode: Mode::Direct,
        input: [h, w],
        output: [oh, ow],
        span: [span.h, span.w],
        stride: [window.stride.h, window.stride.w],
        pad: [window.pad.h, window.pad.w],
        taps: window.kernel.h * window.kernel.w,
        inputs,
        outputs,
        element: 1,
        columns: false,
        cores: 1,
    }
}
