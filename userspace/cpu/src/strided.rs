//! Copies of regular sub-grids of a tensor: the common core of TRANSPOSE, SLICE, STRIDED_SLICE,
//! SPLIT and UNPACK.

use super::{KernelError, Value};
use ferrite_process::parallel;

/// Elements of the input by output index: `start + sum(index * step)`.
pub(super) struct Grid {
    /// Element offset of the first output element.
    pub start: i64,
    /// Size and step in input elements of each output dimension.
    pub dims: Vec<(usize, i64)>,
}

/// Steps in elements of each dimension of a row-major tensor.
pub(super) fn steps(shape: &[usize]) -> Vec<i64> {
    let mut step = 1i64;
    let mut steps: Vec<i64> = shape
        .iter()
        .rev()
        .map(|&d| {
            let here = step;
            step = step.saturating_mul(d as i64);
            here
        })
        .collect();
    steps.reverse();
    steps
}

impl Grid {
    /// Copies the grid into a value of the given shape.
    ///
    /// The caller guarantees that every index lies in the input; one that does not would be a
    /// bounds panic, never a wrong read.
    pub fn copy(&self, x: &Value, shape: Vec<usize>) -> Result<Value, KernelError> {
        let mut out = Value::zeros(x.dtype(), shape)?;
        if out.elements() == 0 {
            return Ok(out);
        }
        let (from, to) = (x.bytes(), out.bytes_mut());
        match x.dtype().size() {
            1 => self.run::<1>(from, to),
            2 => self.run::<2>(from, to),
            4 => self.run::<4>(from, to),
            _ => self.run::<8>(from, to),
        }
        Ok(out)
    }

    fn run<const N: usize>(&self, from: &[u8], to: &mut [u8]) {
        let from = from.as_chunks::<N>().0;
        let to = to.as_chunks_mut::<N>().0;
        let dims = self.merged();
        let (row, step) = dims.last().copied().unwrap_or((1, 1));
        let outer = &dims[..dims.len().saturating_sub(1)];
        parallel::chunks_mut_grouped(to, row, ((1 << 13) / row).max(1), |index, to| {
            let (mut rest, mut at) = (index, self.start);
            for &(n, s) in outer.iter().rev() {
                at += (rest % n) as i64 * s;
                rest /= n;
            }
            if step == 1 {
                to.copy_from_slice(&from[at as usize..][..to.len()]);
                return;
            }
            for t in to {
                *t = from[at as usize];
                at += step;
            }
        });
    }

    /// The dimensions with contiguous neighbours merged and those of size one left out.
    fn merged(&self) -> Vec<(usize, i64)> {
        let mut merged: Vec<(usize, i64)> = Vec::new();
        for &(n, step) in self.dims.iter().filter(|d| d.0 != 1) {
            match merged.last_mut() {
                Some(last) if last.1 == step * n as i64 => *last = (last.0 * n, step),
                _ => merged.push((n, step)),
            }
        }
        merged
    }
}
