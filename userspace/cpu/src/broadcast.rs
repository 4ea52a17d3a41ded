//! Walking two operands in step, with dimensions of size one repeated.

use super::KernelError;
use ferrite_process::parallel;
use ferrite_simd as simd;

/// How two shapes broadcast to one.
pub(super) struct Broadcast {
    /// The common shape.
    pub shape: Vec<usize>,
    /// Merged dimensions, outermost first: size, and the steps of both operands.
    dims: Vec<Dim>,
}

#[derive(Clone, Copy)]
struct Dim {
    size: usize,
    steps: [usize; 2],
}

/// Where the operands' parts of a row of the result start.
struct Row {
    a: usize,
    b: usize,
}

impl Broadcast {
    /// Aligns the shapes at their last dimensions.
    pub fn new(a: &[usize], b: &[usize]) -> Result<Broadcast, KernelError> {
        let rank = a.len().max(b.len());
        let size = |s: &[usize], i: usize| {
            let missing = rank - s.len();
            if i < missing { 1 } else { s[i - missing] }
        };
        let mut shape = Vec::new();
        let mut dims: Vec<Dim> = Vec::new();
        let mut strides = [1usize, 1];
        for i in (0..rank).rev() {
            let (da, db) = (size(a, i), size(b, i));
            if da != db && da != 1 && db != 1 {
                return Err(KernelError::Shape {
                    what: "the operands do not broadcast",
                    shapes: vec![a.to_vec(), b.to_vec()],
                });
            }
            let n = if da == 1 { db } else { da };
            shape.push(n);
            let steps = [
                if da == 1 { 0 } else { strides[0] },
                if db == 1 { 0 } else { strides[1] },
            ];
            strides = [strides[0].saturating_mul(da), strides[1].saturating_mul(db)];
            if n == 1 {
                continue;
            }
            // Merge with the next inner dimension where both operands are contiguous.
            match dims.last_mut() {
                Some(d) if (0..2).all(|k| steps[k] == d.steps[k].saturating_mul(d.size)) => {
                    d.size = d.size.saturating_mul(n);
                }
                _ => dims.push(Dim { size: n, steps }),
            }
        }
        shape.reverse();
        dims.reverse();
        if dims.is_empty() {
            dims.push(Dim {
                size: 1,
                steps: [1, 1],
            });
        }
        Ok(Broadcast { shape, dims })
    }

    /// Length of the rows, and the steps of both operands in them (0 or 1).
    fn row(&self) -> (usize, [usize; 2]) {
        let d = self.dims[self.dims.len() - 1];
        (d.size, d.steps)
    }

    /// The row with this index.
    fn locate(&self, index: usize) -> Row {
        let (mut rest, mut a, mut b) = (index, 0, 0);
        for d in self.dims[..self.dims.len() - 1].iter().rev() {
            a += rest % d.size * d.steps[0];
            b += rest % d.size * d.steps[1];
            rest /= d.size;
        }
        Row { a, b }
    }

    /// Applies `f` to all pairs of elements.
    pub fn map<A: Copy + Sync, B: Copy + Sync, O: Send>(
        &self,
        a: &[A],
        b: &[B],
        out: &mut [O],
        f: impl Fn(A, B) -> O + Sync,
    ) {
        self.rows(a, b, out, |a, b, out| {
            simd::vectorised(
                #[inline(always)]
                || map_row(a, b, out, &f),
            );
        });
    }

    /// Calls `f` with both operands' parts of a row of the result, and the row. An operand that does
    /// not change along the row is a slice of one element.
    pub fn rows<A: Copy + Sync, B: Copy + Sync, O: Send>(
        &self,
        a: &[A],
        b: &[B],
        out: &mut [O],
        f: impl Fn(&[A], &[B], &mut [O]) + Sync,
    ) {
        if out.is_empty() {
            return;
        }
        let (len, steps) = self.row();
        if steps == [1, 1] && len < SHORT && self.dims.len() == 2 {
            // One operand starts again with each short row: several copies of it make a long one.
            let copies = (4 * SHORT).div_ceil(len);
            match self.dims[0].steps {
                [_, 0] => return long_rows(a, &b.repeat(copies), out, &f),
                [0, _] => return long_rows(b, &a.repeat(copies), out, |b, a, out| f(a, b, out)),
                _ => {}
            }
        }
        let part = |values, steps, count| if steps == 0 { 1 } else { count }.min(values);
        if len >= 2 * PIECE {
            // Few long rows: split each.
            for (index, out) in out.chunks_exact_mut(len).enumerate() {
                let row = self.locate(index);
                parallel::chunks_mut(out, PIECE, |i, out| {
                    let skip = i * PIECE;
                    let a = &a[row.a + skip * steps[0]..];
                    let b = &b[row.b + skip * steps[1]..];
                    let (na, nb) = (
                        part(a.len(), steps[0], out.len()),
                        part(b.len(), steps[1], out.len()),
                    );
                    f(&a[..na], &b[..nb], out);
                });
            }
            return;
        }
        parallel::chunks_mut_grouped(out, len, (PIECE / len).max(1), |index, out| {
            let row = self.locate(index);
            let (a, b) = (&a[row.a..], &b[row.b..]);
            let (na, nb) = (part(a.len(), steps[0], len), part(b.len(), steps[1], len));
            f(&a[..na], &b[..nb], out);
        });
    }
}

/// Elements below which a row is not split over threads.
const PIECE: usize = 1 << 14;

/// Elements below which a row is short.
const SHORT: usize = 64;

/// Rows of an operand that goes on and one that is the same for each.
fn long_rows<A: Copy + Sync, B: Copy + Sync, O: Send>(
    a: &[A],
    b: &[B],
    out: &mut [O],
    f: impl Fn(&[A], &[B], &mut [O]) + Sync,
) {
    parallel::chunks_mut_grouped(out, b.len(), PIECE / b.len(), |i, out| {
        f(&a[i * b.len()..][..out.len()], &b[..out.len()], out);
    });
}

/// A row of one element goes with all of the other.
#[inline(always)]
fn map_row<A: Copy, B: Copy, O>(a: &[A], b: &[B], out: &mut [O], f: impl Fn(A, B) -> O) {
    match (a, b) {
        (&[x], &[y]) => out.iter_mut().for_each(|o| *o = f(x, y)),
        (&[x], b) => out.iter_mut().zip(b).for_each(|(o, &y)| *o = f(x, y)),
        (a, &[y]) => out.iter_mut().zip(a).for_each(|(o, &x)| *o = f(x, y)),
        (a, b) => out
            .iter_mut()
            .zip(a.iter().zip(b))
            .for_each(|(o, (&x, &y))| *o = f(x, y)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn matches_index_arithmetic(
            dims in proptest::collection::vec((1usize..4, 0u8..4), 0..5),
            drop in 0usize..3,
        ) {
            let a: Vec<usize> = dims.iter().map(|&(n, m)| if m == 1 { 1 } else { n }).collect();
            let b: Vec<usize> = dims.iter().map(|&(n, m)| if m == 2 { 1 } else { n }).collect();
            let b = b[drop.min(b.len())..].to_vec();
            let bc = Broadcast::new(&a, &b).unwrap();
            let count = |s: &[usize]| s.iter().product::<usize>();
            let (va, vb): (Vec<usize>, Vec<usize>) =
                ((0..count(&a)).collect(), (0..count(&b)).collect());
            let mut out = vec![(0, 0); count(&bc.shape)];
            bc.map(&va, &vb, &mut out, |x, y| (x, y));
            for (i, &(x, y)) in out.iter().enumerate() {
                let offset = |s: &[usize]| {
                    let (mut rest, mut at, mut step) = (i, 0, 1);
                    for (d, &n) in bc.shape.iter().enumerate().rev() {
                        let here = rest % n;
                        rest /= n;
                        if let Some(k) = (d + s.len()).checked_sub(bc.shape.len()) {
                            at += if s[k] == 1 { 0 } else { here * step };
                            step *= s[k];
                        }
                    }
                    at
                };
                prop_assert_eq!((x, y), (offset(&a), offset(&b)));
            }
        }
    }

    #[test]
    fn mismatch_is_an_error() {
        assert!(Broadcast::new(&[2, 3], &[2]).is_err());
        assert_eq!(Broadcast::new(&[0, 3], &[1]).unwrap().shape, [0, 3]);
    }
}
