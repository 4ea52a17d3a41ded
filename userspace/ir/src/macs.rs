//! Multiply-accumulates of operators.

use crate::graph::{Graph, OpId};
use crate::op::OpKind;

impl Graph {
    /// Multiply-accumulates of a node. Taps that fall on padding count too; only convolutions and
    /// fully connected layers have any, everything else is 0.
    pub fn macs(&self, op: OpId) -> u64 {
        self.macs_checked(op).unwrap_or(0)
    }

    /// Multiply-accumulates of one inference.
    pub fn total_macs(&self) -> u64 {
        self.op_ids()
            .map(|op| self.macs(op))
            .fold(0, u64::saturating_add)
    }

    /// `None` if the shapes are not those of the operator or the count does not fit.
    fn macs_checked(&self, op: OpId) -> Option<u64> {
        let dims = |index: usize| Some(self.input(op, index)?.shape.as_slice());
        let output = self.output(op, 0)?.shape.as_slice();
        let product = |dims: &[usize]| {
            let mut dims = dims.iter().map(|&d| d as u64);
            dims.try_fold(1u64, u64::checked_mul)
        };
        let (elements, taps) = match (&self.node(op).kind, dims(1)?) {
            (OpKind::Conv2d(_), [_, taps @ ..]) => (output, taps),
            (OpKind::DepthwiseConv2d { .. }, [_, taps @ .., _]) => (output, taps),
            (OpKind::FullyConnected { .. }, [_, taps @ ..]) => (output, taps),
            (OpKind::TransposeConv { .. }, [taps @ .., _]) => (dims(2)?, taps),
            _ => return None,
        };
        product(elements)?.checked_mul(product(taps)?)
    }
}
