//! What of a network runs on the NPU.

use ferrite_compiler::executable::{Executable, Placement};
use ferrite_ir::op::Binary;
use ferrite_ir::{Graph, OpKind};
use std::fmt;

/// Operators and multiply-accumulates by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Operators on the NPU.
    pub npu_ops: usize,
    /// Names of the operators on the CPU.
    pub cpu_ops: Vec<String>,
    /// Operators that need no work at run time.
    pub folded_ops: usize,
    /// Multiply-accumulates on the NPU.
    pub npu_macs: u64,
    /// Multiply-accumulates of the network.
    pub macs: u64,
    /// Operators on the CPU that the NPU is there for.
    pub misplaced: Vec<String>,
}

impl Coverage {
    /// Counts the placements of `executable`, which was compiled from `graph`.
    pub fn of(graph: &Graph, executable: &Executable) -> Coverage {
        let mut coverage = Coverage::default();
        for (op, placement) in &executable.placements {
            let macs = executable.macs[op];
            coverage.macs += macs;
            match placement {
                Placement::Npu { .. } | Placement::Approximate { .. } => {
                    coverage.npu_ops += 1;
                    coverage.npu_macs += macs;
                }
                Placement::Cpu { reason, .. } => {
                    let name = graph.op_name(op).to_owned();
                    if is_heavy(&graph.node(op).kind) {
                        coverage.misplaced.push(format!("{name}: {reason}"));
                    }
                    coverage.cpu_ops.push(name);
                }
                Placement::Folded => coverage.folded_ops += 1,
            }
        }
        coverage
    }
}

fn is_heavy(kind: &OpKind) -> bool {
    matches!(
        kind,
        OpKind::Conv2d(_)
            | OpKind::DepthwiseConv2d { .. }
            | OpKind::FullyConnected { .. }
            | OpKind::AveragePool2d(_)
            | OpKind::MaxPool2d(_)
            | OpKind::Binary {
                op: Binary::Add,
                ..
            }
    )
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ops = self.npu_ops + self.cpu_ops.len() + self.folded_ops;
        write!(f, "{} of {ops} operators on the NPU", self.npu_ops)?;
        if !self.cpu_ops.is_empty() {
            write!(f, " (on the CPU: {})", self.cpu_ops.join(", "))?;
        }
        let percent = 100.0 * self.npu_macs as f64 / self.macs.max(1) as f64;
        write!(
            f,
            ", {} of {} multiply-accumulates ({percent:.1} %)",
            grouped(self.npu_macs),
            grouped(self.macs)
        )
    }
}

/// A number with its digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(123), "123");
        assert_eq!(grouped(1234567), "1 234 567");
    }
}
