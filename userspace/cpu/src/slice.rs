//! SLICE, STRIDED_SLICE, SPLIT, SPLIT_V and UNPACK.

use super::context::{Context, resolve_axis};
use super::strided::{Grid, steps};
use super::{KernelError, Value};

/// A part of a tensor: `size` elements from `begin` on along one axis.
fn part(x: &Value, axis: usize, begin: usize, size: usize) -> Result<Value, KernelError> {
    let mut shape = x.shape().to_vec();
    shape[axis] = size;
    let steps = steps(x.shape());
    Grid {
        start: begin as i64 * steps[axis],
        dims: shape.iter().copied().zip(steps).collect(),
    }
    .copy(x, shape)
}

/// SLICE: a box given by its first element and its size; -1 means up to the end.
pub(super) fn slice(ctx: &Context<'_>) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let (begin, size) = (ctx.input(1)?.integers()?, ctx.input(2)?.integers()?);
    let rank = x.shape().len();
    if begin.len() != rank || size.len() != rank {
        return Err(KernelError::Shape {
            what: "begin and size have one element for each dimension",
            shapes: vec![x.shape().to_vec(), vec![begin.len()], vec![size.len()]],
        });
    }
    let steps = steps(x.shape());
    let (mut start, mut shape) = (0, Vec::new());
    for i in 0..rank {
        let extent = x.shape()[i];
        let first = usize::try_from(begin[i]).ok().filter(|&b| b <= extent);
        let first = first.ok_or(KernelError::Index {
            what: "the begin of a slice",
            index: begin[i],
            size: extent,
        })?;
        let len = match size[i] {
            -1 => Some(extent - first),
            n => usize::try_from(n).ok().filter(|&n| n <= extent - first),
        };
        shape.push(len.ok_or(KernelError::Index {
            what: "the size of a slice",
            index: size[i],
            size: extent - first,
        })?);
        start += first as i64 * steps[i];
    }
    Grid {
        start,
        dims: shape.iter().copied().zip(steps).collect(),
    }
    .copy(x, shape)
}

/// The masks of STRIDED_SLICE, one bit for each entry of its specification.
#[derive(Clone, Copy)]
pub(super) struct Masks {
    pub begin: u32,
    pub end: u32,
    pub ellipsis: u32,
    pub new_axis: u32,
    pub shrink: u32,
}

/// STRIDED_SLICE.
pub(super) fn strided_slice(ctx: &Context<'_>, masks: Masks) -> Result<Value, KernelError> {
    let x = ctx.input(0)?;
    let begin = ctx.input(1)?.integers()?;
    let end = ctx.input(2)?.integers()?;
    let stride = ctx.input(3)?.integers()?;
    let entries = begin.len();
    if end.len() != entries || stride.len() != entries || entries > 31 {
        return Err(KernelError::Shape {
            what: "begin, end and strides have the same length of at most 31",
            shapes: vec![vec![entries], vec![end.len()], vec![stride.len()]],
        });
    }
    let bit = |mask: u32, i: usize| mask >> i & 1 == 1;
    let is_ellipsis = |i: usize| bit(masks.ellipsis, i);
    let is_new = |i: usize| bit(masks.new_axis, i) && !is_ellipsis(i);
    let named = (0..entries)
        .filter(|&i| !is_ellipsis(i) && !is_new(i))
        .count();
    let rank = x.shape().len();
    let ellipses = (0..entries).filter(|&i| is_ellipsis(i)).count();
    let too_many = KernelError::Shape {
        what: "the slice names more dimensions than there are, or has two ellipses",
        shapes: vec![x.shape().to_vec(), vec![entries]],
    };
    let unnamed = rank.checked_sub(named).filter(|_| ellipses <= 1);
    let unnamed = unnamed.ok_or(too_many)?;

    let mut places: Vec<Place> = (0..entries)
        .map(|i| match i {
            i if is_ellipsis(i) => Place::Keep(unnamed),
            i if is_new(i) => Place::New,
            i => Place::Range(i),
        })
        .collect();
    if ellipses == 0 {
        places.push(Place::Keep(unnamed));
    }

    let steps = steps(x.shape());
    let mut input = x.shape().iter().copied().zip(steps);
    let mut start = 0i64;
    let (mut dims, mut shape) = (Vec::new(), Vec::new());
    for place in places {
        match place {
            Place::Keep(count) => {
                for dim in input.by_ref().take(count) {
                    shape.push(dim.0);
                    dims.push(dim);
                }
            }
            Place::New => shape.push(1),
            Place::Range(i) => {
                // There are as many dimensions as ranges and kept ones.
                let Some((extent, step)) = input.next() else {
                    break;
                };
                let range = Range::new(
                    extent as i64,
                    (!bit(masks.begin, i)).then_some(begin[i]),
                    (!bit(masks.end, i)).then_some(end[i]),
                    stride[i],
                    bit(masks.shrink, i),
                )?;
                if !bit(masks.shrink, i) {
                    shape.push(range.len);
                }
                start += range.start * step;
                dims.push((range.len, range.stride.saturating_mul(step)));
            }
        }
    }
    Grid { start, dims }.copy(x, shape)
}

/// One part of the specification of a strided slice.
enum Place {
    /// So many dimensions as they are.
    Keep(usize),
    /// A new dimension of size one.
    New,
    /// A range along a dimension, by its entry.
    Range(usize),
}

struct Range {
    start: i64,
    len: usize,
    stride: i64,
}

impl Range {
    /// Python's rules: negative ends count from the back, and everything is clamped. `None` means
    /// from or to the border.
    fn new(
        extent: i64,
        begin: Option<i64>,
        end: Option<i64>,
        stride: i64,
        single: bool,
    ) -> Result<Range, KernelError> {
        if stride == 0 || stride < -i64::from(i32::MAX) || stride > i64::from(i32::MAX) {
            return Err(KernelError::Parameter {
                what: "the stride of a slice",
                value: stride,
            });
        }
        let (lowest, highest) = if stride > 0 {
            (0, extent)
        } else {
            (-1, extent - 1)
        };
        let clamp =
            |v: i64| if v < 0 { v.saturating_add(extent) } else { v }.clamp(lowest, highest);
        let (first, last) = if stride > 0 {
            (0, extent)
        } else {
            (extent - 1, -1)
        };
        let start = begin.map_or(first, clamp);
        if single {
            if !(0..extent).contains(&start) {
                return Err(KernelError::Index {
                    what: "the index of a slice",
                    index: begin.unwrap_or(start),
                    size: extent as usize,
                });
            }
            return Ok(Range {
                start,
                len: 1,
                stride,
            });
        }
        let distance = end.map_or(last, clamp) - start;
        let len = if (distance > 0) == (stride > 0) && distance != 0 {
            distance.unsigned_abs().div_ceil(stride.unsigned_abs()) as usize
        } else {
            0
        };
        Ok(Range { start, len, stride })
    }
}

/// SPLIT: equal parts. Operands are axis and input.
pub(super) fn split(ctx: &Context<'_>) -> Result<Vec<Value>, KernelError> {
    let x = ctx.input(1)?;
    let axis = scalar(ctx, 0)?;
    let axis = resolve_axis(axis, x.shape().len())?;
    let parts = ctx.node.outputs.len();
    if parts == 0 || x.shape()[axis] % parts != 0 {
        return Err(KernelError::Shape {
            what: "the axis does not divide into equal parts",
            shapes: vec![x.shape().to_vec(), vec![parts]],
        });
    }
    let size = x.shape()[axis] / parts;
    (0..parts).map(|i| part(x, axis, i * size, size)).collect()
}

/// SPLIT_V: parts of given sizes, of which one may be -1. Operands are input, sizes and axis.
pub(super) fn split_v(ctx: &Context<'_>) -> Result<Vec<Value>, KernelError> {
    let x = ctx.input(0)?;
    let sizes = ctx.input(1)?.integers()?;
    let axis = resolve_axis(scalar(ctx, 2)?, x.shape().len())?;
    let extent = x.shape()[axis];
    let bad = || KernelError::Shape {
        what: "the sizes do not add up to the axis, or are not one for each result",
        shapes: vec![
            x.shape().to_vec(),
            sizes.iter().map(|&s| s.max(0) as usize).collect(),
        ],
    };
    let known = sizes
        .iter()
        .filter(|&&s| s != -1)
        .try_fold(0usize, |n, &s| n.checked_add(usize::try_from(s).ok()?));
    let rest = known.and_then(|k| extent.checked_sub(k)).ok_or_else(bad)?;
    let open = sizes.iter().filter(|&&s| s == -1).count();
    if open > 1 || (open == 0 && rest != 0) || sizes.len() != ctx.node.outputs.len() {
        return Err(bad());
    }
    let mut begin = 0;
    let mut parts = Vec::new();
    for &size in &sizes {
        let size = if size == -1 { rest } else { size as usize };
        parts.push(part(x, axis, begin, size)?);
        begin += size;
    }
    Ok(parts)
}

/// UNPACK: slices of size one along an axis, which is dropped.
pub(super) fn unpack(ctx: &Context<'_>, axis: i32) -> Result<Vec<Value>, KernelError> {
    let x = ctx.input(0)?;
    let axis = resolve_axis(axis.into(), x.shape().len())?;
    let mut shape = x.shape().to_vec();
    let count = shape.remove(axis);
    if count != ctx.node.outputs.len() {
        return Err(KernelError::ResultCount {
            found: ctx.node.outputs.len(),
            expected: count,
        });
    }
    (0..count)
        .map(|i| part(x, axis, i, 1)?.reshaped(shape.clone()))
        .collect()
}

/// The single integer of an operand.
fn scalar(ctx: &Context<'_>, index: usize) -> Result<i64, KernelError> {
    let values = ctx.input(index)?.integers()?;
    values
        .first()
        .copied()
        .ok_or(KernelError::MissingOperand { index })
}
