//! Filters with a scale for each channel, on a chip with one multiplier for a layer.
//!
//! The channels of a job get one scale, the largest of theirs, and weights in steps of it. So that these
//! are near enough to the model's, they come in parts ([`split`]), for the input and for maps with
//! coarser values ([`parts`]). Channels with by far the largest scales get jobs of their own
//! behind the others' ([`groups`]), which write their planes again: with one channel, all is exact.
//! Operators whose results would still gain more than [`MOST`] as error stay with the host.

mod groups;
mod maker;
mod numbers;
mod parts;
mod split;

use crate::error::Unsupported;
use crate::targets::vivante::context::Context;
use crate::targets::vivante::kernels::Kernel;
use crate::targets::vivante::program::Layer;
use maker::Maker;

pub use numbers::{MOST, Numbers};

/// The jobs in place of `layer`, which has the model's own weights, and what their results gain as
/// error.
pub fn jobs(
    ctx: &mut Context,
    layer: &Layer,
    numbers: &Numbers,
) -> Result<(Vec<Layer>, f64), Unsupported> {
    let reach = reach(&layer.kernel, numbers.scales);
    let mut maker = Maker::new(layer, numbers);
    let kernel = &layer.kernel;
    let shape = kernel.block();
    if shape[1] == kernel.outputs {
        maker.dense(ctx, &reach)?;
    } else {
        maker.grouped(ctx, &reach, shape)?;
    }
    let (jobs, error) = maker.finish();
    if error > MOST {
        return Err(Unsupported::new(format!(
            "a filter with a scale for each channel: with a common one results would be {error:.2} steps off (rms), more than {MOST}"
        ))
        .with_remedy("quantise weights per tensor"));
    }
    Ok((jobs, error))
}

/// The scale that each channel's weights need to be signed bytes: not that of the model where they are
/// all small.
fn reach(kernel: &Kernel, scales: &[f64]) -> Vec<f64> {
    let largest = kernel.largest();
    let of = |(&scale, largest): (&f64, i32)| scale * f64::from(largest) / 127.0;
    scales.iter().zip(largest).map(of).collect()
}
