//! What jobs with common scales are made from.

use crate::targets::vivante::legalise::rounding::Rounding;

/// Largest error that a layer's results may gain: the root of its mean square, in steps of the result.
pub const MOST: f64 = 0.5;

/// What the model says of a layer's numbers.
pub struct Numbers<'a> {
    /// Scale of each output channel's weights.
    pub scales: &'a [f64],
    /// Bias of each output channel, in steps of its scale.
    pub biases: &'a [i64],
    /// Scale of the input divided by that of the result.
    pub ratio: f64,
    /// Zero point of the input.
    pub zero: u8,
    /// How TFLite rounds results.
    pub rounding: Rounding,
    /// How far results reach below and above the zero point.
    pub steps: [i32; 2],
}
