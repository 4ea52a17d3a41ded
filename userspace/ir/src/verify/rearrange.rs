//! Shapes of operators that move, select or join elements.

use super::VerifyFault;
use super::view::View;
use crate::op::OpKind;

type Shapes = Result<Option<Vec<Vec<usize>>>, VerifyFault>;

/// Shapes of the outputs, `None` if they are not known before run time.
pub(super) fn infer(v: View<'_>) -> Shapes {
    let node = v.graph.node(v.op);
    let input = v.shape(0);
    let one = |shape: Vec<usize>| Ok(Some(vec![shape]));
    match &node.kind {
        OpKind::Concatenation { axis, .. } => one(concatenation(v, *axis)?),
        OpKind::Pad => pad(v, None),
        OpKind::MirrorPad { reflect } => pad(v, Some(usize::from(*reflect))),
        OpKind::Reduce { keep_dims, .. } => reduce(v, *keep_dims),
        OpKind::Reshape | OpKind::Squeeze | OpKind::ExpandDims => {
            let out = v.out_shape();
            match out.iter().product::<usize>() == input.iter().product() {
                true => Ok(None),
                false => Err(v.mismatch(0, out)),
            }
        }
        OpKind::Transpose => transpose(v),
        OpKind::StridedSlice { .. } => strided_slice(v),
        OpKind::Slice => slice(v),
        OpKind::Split => split(v, node.outputs.len()),
        OpKind::SplitV => split_v(v, node.outputs.len()),
        OpKind::SpaceToDepth { block } => {
            let [n, h, w, c] = v.ranked(0)?;
            match h % block == 0 && w % block == 0 {
                true => one(vec![n, h / block, w / block, c * block * block]),
                false => Err(v.mismatch(0, &[*block, *block])),
            }
        }
        OpKind::DepthToSpace { block } => {
            let [n, h, w, c] = v.ranked(0)?;
            match c % (block * block) == 0 {
                true => one(vec![n, h * block, w * block, c / (block * block)]),
                false => Err(v.mismatch(0, &[*block, *block])),
            }
        }
        OpKind::Pack { axis } => {
            let count = node.inputs.len();
            if let Some(other) = (1..count).find(|&i| v.shape(i) != input) {
                return Err(v.mismatch(other, input));
            }
            let mut shape = input.to_vec();
            shape.insert(self::axis(*axis, input.len() + 1)?, count);
            one(shape)
        }
        OpKind::Unpack { axis } => {
            let mut shape = input.to_vec();
            let count = shape.remove(self::axis(*axis, input.len())?);
            match count == node.outputs.len() {
                true => one(shape),
                false => Err(v.mismatch(0, &[node.outputs.len()])),
            }
        }
        OpKind::ArgMax { .. } => match scalar(v, 1)? {
            None => Ok(None),
            Some(axis) => {
                let mut shape = input.to_vec();
                shape.remove(self::axis(axis, input.len())?);
                one(shape)
            }
        },
        OpKind::GatherNd => match v.shape(1).split_last() {
            Some((&depth, outer)) if depth <= input.len() => one([outer, &input[depth..]].concat()),
            _ => Err(v.mismatch(1, input)),
        },
        OpKind::Gather { axis } => {
            let axis = self::axis(*axis, input.len())?;
            one([&input[..axis], v.shape(1), &input[axis + 1..]].concat())
        }
        _ => Ok(None),
    }
}

/// A list of sizes, `None` if one is negative.
pub(super) fn sizes(values: &[i32]) -> Option<Vec<usize>> {
    values.iter().map(|&v| usize::try_from(v).ok()).collect()
}

/// An axis counted from the front.
fn axis(axis: i32, rank: usize) -> Result<usize, VerifyFault> {
    let from_front = if axis < 0 {
        axis.checked_add(rank as i32)
    } else {
        Some(axis)
    };
    from_front
        .and_then(|a| usize::try_from(a).ok())
        .filter(|&a| a < rank)
        .ok_or(VerifyFault::Axis { axis, rank })
}

/// The value of a constant scalar operand.
fn scalar(v: View<'_>, operand: usize) -> Result<Option<i32>, VerifyFault> {
    match v.values(operand) {
        None => Ok(None),
        Some(value) if value.len() == 1 => Ok(Some(value[0])),
        Some(value) => Err(v.bad_value(operand, value)),
    }
}

fn concatenation(v: View<'_>, axis: i32) -> Result<Vec<usize>, VerifyFault> {
    let mut shape = v.shape(0).to_vec();
    let axis = self::axis(axis, shape.len())?;
    let count = v.graph.node(v.op).inputs.len();
    for operand in 0..count {
        if v.graph.input(v.op, operand).is_none() {
            return Err(VerifyFault::Omitted { operand });
        }
        let other = v.shape(operand);
        let alike = |(i, &d): (usize, &usize)| i == axis || shape.get(i) == Some(&d);
        if other.len() != shape.len() || !other.iter().enumerate().all(alike) {
            return Err(v.mismatch(operand, &shape));
        }
    }
    shape[axis] = (0..count).map(|i| v.shape(i)[axis]).sum();
    Ok(shape)
}

/// PAD and PADV2, or MIRROR_PAD that leaves out `mirror` border elements.
fn pad(v: View<'_>, mirror: Option<usize>) -> Shapes {
    let input = v.shape(0);
    if v.shape(1) != [input.len(), 2] {
        return Err(v.mismatch(1, input));
    }
    let Some(value) = v.values(1) else {
        return Ok(None);
    };
    let Some(amounts) = sizes(&value) else {
        return Err(v.bad_value(1, value));
    };
    let mut shape = input.to_vec();
    for (dim, amount) in shape.iter_mut().zip(amounts.as_chunks::<2>().0) {
        let limit = mirror.map_or(usize::MAX, |left_out| dim.saturating_sub(left_out));
        if amount.iter().any(|&a| a > limit) {
            return Err(v.bad_value(1, value));
        }
        *dim += amount[0] + amount[1];
    }
    Ok(Some(vec![shape]))
}

fn reduce(v: View<'_>, keep_dims: bool) -> Shapes {
    let input = v.shape(0);
    let Some(axes) = v.values(1) else {
        return Ok(None);
    };
    let mut reduced = vec![false; input.len()];
    for axis in axes {
        reduced[self::axis(axis, input.len())?] = true;
    }
    let dims = input.iter().zip(reduced);
    let kept = |(&dim, reduced)| match (reduced, keep_dims) {
        (false, _) => Some(dim),
        (true, true) => Some(1),
        (true, false) => None,
    };
    Ok(Some(vec![dims.filter_map(kept).collect()]))
}

fn transpose(v: View<'_>) -> Shapes {
    let input = v.shape(0);
    let Some(value) = v.values(1) else {
        return Ok(None);
    };
    let mut seen = vec![false; input.len()];
    let mut shape = Vec::with_capacity(input.len());
    for &from in &value {
        let from = axis(from, input.len())?;
        if std::mem::replace(&mut seen[from], true) {
            return Err(v.bad_value(1, value));
        }
        shape.push(input[from]);
    }
    match shape.len() == input.len() {
        true => Ok(Some(vec![shape])),
        false => Err(v.bad_value(1, value)),
    }
}

fn slice(v: View<'_>) -> Shapes {
    let input = v.shape(0);
    let (Some(begin), Some(size)) = (v.values(1), v.values(2)) else {
        return Ok(None);
    };
    for (operand, value) in [(1, &begin), (2, &size)] {
        if value.len() != input.len() {
            return Err(v.bad_value(operand, value.clone()));
        }
    }
    let mut shape = Vec::with_capacity(input.len());
    for (&dim, (&b, &s)) in input.iter().zip(begin.iter().zip(&size)) {
        let rest = usize::try_from(b).ok().and_then(|b| dim.checked_sub(b));
        let Some(rest) = rest else {
            return Err(v.bad_value(1, begin));
        };
        match usize::try_from(s) {
            _ if s == -1 => shape.push(rest),
            Ok(s) if s <= rest => shape.push(s),
            _ => return Err(v.bad_value(2, size)),
        }
    }
    Ok(Some(vec![shape]))
}

fn split(v: View<'_>, outputs: usize) -> Shapes {
    let mut shape = v.shape(1).to_vec();
    let Some(axis) = scalar(v, 0)? else {
        return Ok(None);
    };
    let axis = self::axis(axis, shape.len())?;
    if !shape[axis].is_multiple_of(outputs) {
        return Err(v.mismatch(1, &[outputs]));
    }
    shape[axis] /= outputs;
    Ok(Some(vec![shape]))
}

fn split_v(v: View<'_>, outputs: usize) -> Shapes {
    let input = v.shape(0);
    let (Some(value), Some(axis)) = (v.values(1), scalar(v, 2)?) else {
        return Ok(None);
    };
    let axis = self::axis(axis, input.len())?;
    let known: usize = value.iter().filter_map(|&s| usize::try_from(s).ok()).sum();
    let open = value.iter().filter(|&&s| s == -1).count();
    let negative = value.iter().filter(|&&s| s < 0).count();
    let fits = match open {
        0 => known == input[axis],
        1 => known <= input[axis],
        _ => false,
    };
    if value.len() != outputs || negative != open || !fits {
        return Err(v.bad_value(1, value));
    }
    let piece = |&size: &i32| {
        let mut shape = input.to_vec();
        shape[axis] = usize::try_from(size).unwrap_or(input[axis] - known);
        shape
    };
    Ok(Some(value.iter().map(piece).collect()))
}

fn strided_slice(v: View<'_>) -> Shapes {
    let OpKind::StridedSlice {
        begin_mask,
        end_mask,
        ellipsis_mask,
        new_axis_mask,
        shrink_axis_mask,
    } = v.graph.node(v.op).kind
    else {
        return Ok(None);
    };
    let input = v.shape(0);
    let (Some(begin), Some(end), Some(strides)) = (v.values(1), v.values(2), v.values(3)) else {
        return Ok(None);
    };
    let count = begin.len();
    if end.len() != count || strides.len() != count || count > 32 {
        return Err(v.bad_value(1, begin));
    }
    let has = |mask: u32, i: usize| mask >> i & 1 != 0;
    let taking = |i: &usize| !has(new_axis_mask, *i) && !has(ellipsis_mask, *i);
    let mut shape = Vec::new();
    let mut dims = input.iter().copied();
    for i in 0..count {
        if has(ellipsis_mask, i) {
            let later = (i + 1..count).filter(taking).count();
            let whole = dims.len().saturating_sub(later);
            shape.extend(dims.by_ref().take(whole));
            continue;
        }
        if has(new_axis_mask, i) {
            shape.push(1);
            continue;
        }
        let Some(dim) = dims.next() else {
            return Err(v.bad_value(1, begin));
        };
        if has(shrink_axis_mask, i) {
            let from = i64::from(begin[i]);
            let from = if from < 0 { from + dim as i64 } else { from };
            if !(0..dim as i64).contains(&from) && !has(begin_mask, i) {
                return Err(v.bad_value(1, begin));
            }
            continue;
        }
        let bounds = [
            (!has(begin_mask, i)).then_some(begin[i]),
            (!has(end_mask, i)).then_some(end[i]),
        ];
        match strided_count(dim, bounds, strides[i]) {
            Some(elements) => shape.push(elements),
            None => return Err(v.bad_value(3, strides)),
        }
    }
    shape.extend(dims);
    Ok(Some(vec![shape]))
}

/// Elements that begin, end (`None`: from or to the border) and stride select, as Python counts
/// them. `None` for a stride of 0.
fn strided_count(dim: usize, bounds: [Option<i32>; 2], stride: i32) -> Option<usize> {
    let dim = dim as i64;
    let (low, high) = if stride > 0 { (0, dim) } else { (-1, dim - 1) };
    let clamp = |bound: i32| {
        let bound = i64::from(bound);
        let from_front = if bound < 0 { bound + dim } else { bound };
        from_front.clamp(low, high)
    };
    let (first, last) = if stride > 0 { (low, high) } else { (high, low) };
    let begin = bounds[0].map_or(first, clamp);
    let end = bounds[1].map_or(last, clamp);
    let distance = if stride > 0 { end - begin } else { begin - end };
    match i64::from(stride).unsigned_abs() {
        0 => None,
        step => Some((distance.max(0) as u64).div_ceil(step) as usize),
    }
}
