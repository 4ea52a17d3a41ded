//! An operator as those look at it that check its shapes.

use super::VerifyFault::{self, Mismatch, Rank};
use crate::graph::{Graph, OpId};

/// Elements of the longest list that the shape of an operand makes sense of: two for each axis, and
/// more axes than any kernel takes.
const MAX_LIST: usize = 64;

/// A node with its graph, for looking at operands.
#[derive(Clone, Copy)]
pub(super) struct View<'g> {
    pub graph: &'g Graph,
    pub op: OpId,
}

impl<'g> View<'g> {
    /// Shape of an operand. Operand counts have been checked; an omitted operand reads as a scalar.
    pub fn shape(self, operand: usize) -> &'g [usize] {
        let tensor = self.graph.input(self.op, operand);
        tensor.map_or(&[], |t| t.shape.as_slice())
    }

    pub fn out_shape(self) -> &'g [usize] {
        let tensor = self.graph.output(self.op, 0);
        tensor.map_or(&[], |t| t.shape.as_slice())
    }

    /// Values of a constant list operand, `None` if they are not known before run time. No more
    /// than one too many: the longest list that fits has one value for each output.
    pub fn values(self, operand: usize) -> Option<Vec<i32>> {
        let longest = self.graph.node(self.op).outputs.len().max(MAX_LIST);
        self.graph.input(self.op, operand)?.first_i32(longest + 1)
    }

    /// Shape of an operand of this rank.
    pub fn ranked<const N: usize>(self, operand: usize) -> Result<[usize; N], VerifyFault> {
        let shape = self.shape(operand);
        shape.try_into().map_err(|_| Rank {
            operand,
            shape: shape.to_vec(),
            expected: N,
        })
    }

    /// An operand's shape does not go with something else's.
    pub fn mismatch(self, operand: usize, other: &[usize]) -> VerifyFault {
        Mismatch {
            operand,
            shape: self.shape(operand).to_vec(),
            other: other.to_vec(),
        }
    }

    /// A list operand has a value that cannot be.
    pub fn bad_value(self, operand: usize, value: Vec<i32>) -> VerifyFault {
        VerifyFault::Value {
            operand,
            value,
            shape: self.shape(0).to_vec(),
        }
    }

    /// A bias, if there is one, has one element for each output channel.
    pub fn bias(self, operand: usize, channels: usize) -> Result<(), VerifyFault> {
        match self.graph.input(self.op, operand) {
            Some(bias) if bias.elements() != channels => Err(self.mismatch(operand, &[channels])),
            _ => Ok(()),
        }
    }
}
