//! What layers take, by the cost model.

use ferrite_hw::rk3588::Parameters;
use ferrite_hw::{Timing, timing};
use ferrite_ir::op::Hw;

use super::legalise::tiles::Shape;
use super::program::{Layer, Mode, Stage};
use crate::npu::{Conv, Window};
use crate::options::Options;

/// What of the time a plan with more jobs has to leave at most: each is a kick and an interrupt more, and
/// takes a core that others may want.
pub const WORTH: f64 = 0.8;

/// Prices of the work.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Sizes and limits of the chip.
    pub chip: &'static Parameters,
    /// What it takes for what.
    pub timing: Timing,
}

impl Cost {
    /// Those for what is compiled for.
    pub fn of(options: &Options) -> Cost {
        Cost {
            chip: options.rk3588,
            timing: timing::RK3588.at(options.clock_mhz),
        }
    }

    /// Seconds of a layer's tasks.
    pub fn seconds(&self, layer: &Layer) -> f64 {
        self.part_seconds(layer, 1.0)
    }

    /// Seconds of the tasks that make a part of a layer's rows.
    pub fn part_seconds(&self, layer: &Layer, part: f64) -> f64 {
        let tasks = (layer.tiles.len() as f64 * part).ceil().max(1.0);
        // A table is loaded by a task of its own.
        let loading = f64::from(u8::from(matches!(layer.stage, Stage::Table(_))));
        (tasks + loading) * self.timing.task + part * self.work_seconds(&self.shape(layer))
    }

    /// Seconds of one of a layer's tasks in a chain, on an average.
    pub fn task_seconds(&self, layer: &Layer) -> f64 {
        let work = self.work_seconds(&self.shape(layer));
        self.timing.task + work / layer.tiles.len().max(1) as f64
    }

    /// Seconds of a job with these tasks.
    pub fn job_seconds(&self, tasks: impl Iterator<Item = f64>) -> f64 {
        self.timing.kick - self.timing.task + tasks.sum::<f64>()
    }

    /// Bytes that a layer moves.
    pub fn bytes(&self, layer: &Layer) -> usize {
        self.shape(layer).bytes()
    }

    fn shape(&self, layer: &Layer) -> Shape {
        Shape::of(self.chip, layer, 1)
    }

    /// Seconds of the work itself on one core: of the MAC array, or of memory.
    pub fn work_seconds(&self, shape: &Shape) -> f64 {
        let compute = shape.steps() as f64 / self.timing.clock_hz;
        compute.max(shape.bytes() as f64 / self.timing.core_bandwidth)
    }

    /// Whether a layer is done sooner in parts on several cores. Each part is a job, and so is what follows
    /// them: two kicks more than when everything is one job.
    pub fn worth_dividing(&self, shape: &Shape, cores: usize) -> bool {
        let (timing, cores) = (&self.timing, cores as f64);
        let whole = self.work_seconds(shape);
        let compute = shape.steps() as f64 / timing.clock_hz / cores;
        let bandwidth = timing.shared_bandwidth.min(cores * timing.core_bandwidth);
        let divided = compute.max(shape.bytes() as f64 / bandwidth);
        divided + 2.0 * timing.kick < whole
    }
}

/// The lines of a convolution's window, if it is done sooner with them as pixels, which the host lays out
/// in place of the input. Whole windows would save the array a little more, and cost the host several times
/// as much: lines are in the input as they are.
pub fn im2col(conv: &Conv, options: &Options) -> Option<Window> {
    let cost = Cost::of(options);
    let ([h, _, c], [_, ow, _]) = (conv.input_shape, conv.output_shape);
    let (window, unit) = (&conv.window, Window::unit());
    let line = |line: Hw, other: Hw| Hw {
        h: line.h,
        w: other.w,
    };
    let lines = Window {
        kernel: line(unit.kernel, window.kernel),
        stride: line(unit.stride, window.stride),
        dilation: line(unit.dilation, window.dilation),
        pad: line(unit.pad, window.pad),
    };
    let left = Window {
        kernel: line(window.kernel, unit.kernel),
        stride: line(window.stride, unit.stride),
        dilation: line(window.dilation, unit.dilation),
        pad: line(window.pad, unit.pad),
    };
    let patches = shape(
        cost.chip,
        [h, ow, window.kernel.w * c],
        &left,
        conv.output_shape,
    );
    let seconds = |shape: &Shape| {
        let atoms =
            shape.input[0] * shape.input[1] * shape.inputs.div_ceil(cost.chip.atom_channels(1));
        let laid_out = (cost.chip.atom_bytes * atoms) as f64;
        cost.work_seconds(shape) + laid_out / cost.timing.host_bytes
    };
    let direct = shape(cost.chip, conv.input_shape, window, conv.output_shape);
    (window.kernel.w > 1 && seconds(&patches) < seconds(&direct)).then_some(lines)
}

/// Of a dense convolution.
fn shape(
    chip: &'static Parameters,
    [h, w, inputs]: [usize; 3],
    window: &Window,
    [oh, ow, outputs]: [usize; 3],
) -> Shape {
    let span = window.span();
    Shape {
        chip,
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
