//! Checks the NPU form against its graph.

use ferrite_ir::op::Hw;
use ferrite_ir::{OpId, TensorId};

use super::stored::Stored;
use super::work::{
    Conv, Form, Grouping, Item, Patches, Pool, PoolKind, Range, Window, Work, sees_input,
};
use crate::index::{Index, map_shape};

/// What is wrong with a form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Items and operators do not correspond.
    #[error("{found} items for {expected} operators, or not in their order")]
    Items {
        /// Items.
        found: usize,
        /// Operators of the graph.
        expected: usize,
    },
    /// An item contradicts the graph or itself.
    #[error("operator {}: {what}", op.as_u32())]
    Item {
        /// The item's operator.
        op: OpId,
        /// What is wrong.
        what: String,
    },
}

/// Checks that every item stands for its operator's result and reads what is there by then.
pub fn verify(index: &Index, form: &Form) -> Result<(), FormError> {
    let ops = index.graph.op_ids();
    if !form.items.iter().map(|item| item.op).eq(ops) {
        return Err(FormError::Items {
            found: form.items.len(),
            expected: index.graph.op_count(),
        });
    }
    for item in &form.items {
        check(index, item).map_err(|what| FormError::Item { op: item.op, what })?;
    }
    Ok(())
}

/// Fails with a text unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(format!($($text)*));
        }
    };
}

fn check(index: &Index, item: &Item) -> Result<(), String> {
    if matches!(item.work, Work::Host(_)) {
        return Ok(());
    }
    let outputs = &index.graph.node(item.op).outputs;
    ensure!(
        outputs.len() == 1 || matches!(item.work, Work::Split(_)),
        "{} results of NPU work",
        outputs.len()
    );
    let Range { low, high } = item.range;
    let inside = -128 <= low && low <= high && high <= 127;
    ensure!(inside, "the range {low}..{high}");
    for tensor in item.maps() {
        let made = index.producer(tensor).is_none_or(|(op, _)| op < item.op);
        ensure!(made, "reads {tensor}, which is made later");
    }
    match &item.work {
        Work::Conv(conv) => check_conv(index, item, conv),
        Work::TransposedConv(conv) => check_transposed(index, item, conv),
        Work::Pool(pool) => check_pool(index, item, pool),
        Work::Elementwise { operands, .. } => {
            let [a, b] = *operands;
            map(index, a, None)?;
            map(index, b, None)?;
            let shapes = [a, b].map(|operand| map_shape(index.tensor(operand)));
            let [Some([.., channels]), Some(b)] = shapes else {
                return Err("a function of nothing".to_owned());
            };
            same_shape(index, item, a)?;
            ensure!(
                shapes[0] == shapes[1] || b == [1, 1, channels],
                "a second operand of {b:?}"
            );
            Ok(())
        }
        Work::Channels { input, first } => {
            let shape = |tensor| map_shape(index.tensor(tensor));
            let (from, to) = (shape(*input), shape(index.result(item.op)));
            let (Some([h, w, all]), Some([rows, columns, some])) = (from, to) else {
                return Err("channels of nothing".to_owned());
            };
            ensure!(
                [h, w] == [rows, columns] && first + some <= all,
                "{some} channels of {rows}x{columns} from {first} on of {h}x{w}x{all}"
            );
            map(index, *input, None)
        }
        Work::Add { operands, .. } => operands.iter().try_for_each(|&operand| {
            map(index, operand, None)?;
            same_shape(index, item, operand)
        }),
        Work::AddConstant {
            input, constant, ..
        } => {
            map(index, *input, None)?;
            let constant = index.tensor(*constant);
            ensure!(constant.is_constant(), "the second operand is no constant");
            same_shape(index, item, *input)
        }
        Work::Prelu { input, slopes } => {
            let slopes = index.tensor(*slopes);
            let channels = index.tensor(*input).shape.last();
            ensure!(
                slopes.is_constant() && Some(&slopes.elements()) == channels,
                "slopes of {:?}",
                slopes.shape
            );
            map(index, *input, None)?;
            same_shape(index, item, *input)
        }
        Work::PadChannels { input, before } => {
            let shape = |tensor| map_shape(index.tensor(tensor));
            let (from, to) = (shape(*input), shape(index.result(item.op)));
            let (Some([h, w, some]), Some([rows, columns, all])) = (from, to) else {
                return Err("channels around nothing".to_owned());
            };
            ensure!(
                [h, w] == [rows, columns] && before + some <= all,
                "{some} channels of {h}x{w} behind {before} of {rows}x{columns}x{all}"
            );
            map(index, *input, None)
        }
        &Work::DepthToSpace { input, block } => {
            check_blocks(index, index.result(item.op), input, block)
        }
        &Work::SpaceToDepth { input, block } => {
            check_blocks(index, input, index.result(item.op), block)
        }
        Work::Nearest { input, .. } | Work::Bilinear { input, .. } => {
            check_resize(index, item, *input)
        }
        Work::Rescale(input) | Work::Table(input) => {
            map(index, *input, None)?;
            same_shape(index, item, *input)
        }
        Work::Concat(operands) => check_channels(index, index.result(item.op), operands),
        Work::Join { operands, columns } => check_join(index, item, operands, *columns),
        &Work::Slice { input, first, step } => {
            map(index, input, None)?;
            let shape = |tensor| map_shape(index.tensor(tensor));
            let (Some(from), Some(to)) = (shape(input), shape(index.result(item.op))) else {
                return Err("a slice of nothing".to_owned());
            };
            let last = |axis: usize, step: usize| {
                first[axis].saturating_add((to[axis] - 1).saturating_mul(step))
            };
            let steps = [step.h, step.w, 1];
            ensure!(
                steps.iter().all(|&step| step > 0)
                    && (0..3).all(|axis| last(axis, steps[axis]) < from[axis]),
                "{to:?} from {first:?} on of {from:?}"
            );
            map(index, index.result(item.op), None)
        }
        Work::Unfold(input) => {
            map(index, *input, None)?;
            let shape = |tensor| map_shape(index.tensor(tensor));
            let (from, to) = (shape(*input), shape(index.result(item.op)));
            let whole = matches!(
                (from, to),
                (Some([h, w, all]), Some([rows, columns, some]))
                    if all.is_multiple_of(some) && h * w * (all / some) == rows * columns
            );
            ensure!(whole, "channels of {from:?} as pixels of {to:?}");
            map(index, index.result(item.op), None)
        }
        Work::Split(input) => check_channels(index, *input, outputs),
        Work::Pad { input, .. } => map(index, *input, None),
        Work::View(source) => {
            let elements = |tensor| index.tensor(tensor).elements();
            let (from, to) = (elements(*source), elements(index.result(item.op)));
            ensure!(from == to, "a view of {from} elements as {to}");
            Ok(())
        }
        Work::Host(_) => Ok(()),
    }
}

/// Checks that a tensor is a quantised map, of this many elements if that is known.
fn map(index: &Index, tensor: TensorId, elements: Option<usize>) -> Result<(), String> {
    let t = index.tensor(tensor);
    ensure!(
        Stored::of(t).is_some(),
        "{tensor} is no 8-bit map with one scale"
    );
    let found = t.elements();
    if let Some(expected) = elements {
        ensure!(
            found == expected,
            "{tensor} has {found} elements in place of {expected}"
        );
    }
    Ok(())
}

fn same_shape(index: &Index, item: &Item, operand: TensorId) -> Result<(), String> {
    let (from, to) = (
        &index.tensor(operand).shape,
        &index.tensor(index.result(item.op)).shape,
    );
    ensure!(from == to, "{operand} of {from:?} for {to:?}");
    map(index, index.result(item.op), None)
}

fn check_resize(index: &Index, item: &Item, input: TensorId) -> Result<(), String> {
    map(index, input, None)?;
    let shape = |tensor| &index.tensor(tensor).shape[..];
    let (from, to) = (shape(input), shape(index.result(item.op)));
    let alike = matches!(
        (from, to),
        (&[n, _, _, c], &[images, _, _, channels]) if [n, c] == [images, channels]
    );
    ensure!(alike, "a map of {from:?} becomes one of {to:?}");
    map(index, index.result(item.op), None)
}

/// Checks that a map has the rows or the columns of others.
fn check_join(
    index: &Index,
    item: &Item,
    operands: &[TensorId],
    columns: bool,
) -> Result<(), String> {
    let shape = |tensor| map_shape(index.tensor(tensor));
    let result = index.result(item.op);
    map(index, result, None)?;
    let Some(mut left) = shape(result) else {
        return Err("a join of nothing".to_owned());
    };
    let axis = usize::from(columns);
    for &operand in operands {
        map(index, operand, None)?;
        let Some(part) = shape(operand) else {
            return Err("a join of nothing".to_owned());
        };
        let alike = (0..3).all(|other| other == axis || part[other] == left[other]);
        ensure!(
            alike && part[axis] <= left[axis],
            "{operand} is {part:?}, where {left:?} is left"
        );
        left[axis] -= part[axis];
    }
    ensure!(left[axis] == 0, "{left:?} is left");
    Ok(())
}

/// Checks that the blocks of a map are the pixels of another.
fn check_blocks(
    index: &Index,
    space: TensorId,
    depth: TensorId,
    block: usize,
) -> Result<(), String> {
    map(index, space, None)?;
    map(index, depth, None)?;
    let shape = |tensor| &index.tensor(tensor).shape[..];
    let (space, depth) = (shape(space), shape(depth));
    let fits = matches!(
        (space, depth),
        (&[n, h, w, c], &[images, rows, columns, channels])
            if [n, h, w, block * block * c]
                == [images, rows * block, columns * block, channels]
    );
    ensure!(fits, "blocks of {block} between {space:?} and {depth:?}");
    Ok(())
}

/// Checks that the first and the last output of an axis see something of the input.
fn check_axis(
    input: usize,
    output: usize,
    span: usize,
    stride: usize,
    pad: usize,
) -> Result<(), String> {
    ensure!(
        input > 0 && output > 0 && span > 0 && stride > 0,
        "an empty window or map"
    );
    ensure!(
        sees_input(input, output, span, stride, pad),
        "{output} windows of {span} every {stride}, {pad} before {input} elements, see only padding"
    );
    Ok(())
}

/// Checks a window on a map of these rows and columns.
fn check_window(
    window: &Window,
    [h, w, _]: [usize; 3],
    [oh, ow]: [usize; 2],
) -> Result<(), String> {
    let Hw { h: kh, w: kw } = window.kernel;
    ensure!(kh > 0 && kw > 0, "a kernel without taps");
    let span = window.span();
    check_axis(h, oh, span.h, window.stride.h, window.pad.h)?;
    check_axis(w, ow, span.w, window.stride.w, window.pad.w)
}

fn check_conv(index: &Index, item: &Item, conv: &Conv) -> Result<(), String> {
    let [h, w, c] = conv.input_shape;
    let [oh, ow, oc] = conv.output_shape;
    let result = index.result(item.op);
    map(index, result, Some(conv.images * oh * ow * oc))?;
    let image = match conv.patches.as_deref() {
        None => conv.input_shape,
        Some(&Patches { image, window }) => {
            let Hw { h: kh, w: kw } = window.kernel;
            ensure!(
                c == kh * kw * image[2],
                "patches of {kh}x{kw}x{} as {h}x{w}x{c}",
                image[2]
            );
            check_window(&window, image, [h, w])?;
            image
        }
    };
    map(
        index,
        conv.input,
        Some(conv.images * image.iter().product::<usize>()),
    )?;
    check_window(&conv.window, conv.input_shape, [oh, ow])?;
    let Hw { h: kh, w: kw } = conv.window.kernel;
    let (inputs, outputs) = match conv.grouping {
        Grouping::Dense => (c, oc),
        Grouping::Groups {
            inputs, outputs, ..
        } => (inputs, outputs),
    };
    ensure!(
        inputs > 0 && outputs > 0 && c % inputs == 0 && c / inputs * outputs == oc,
        "groups of {inputs} x {outputs} channels for {c} x {oc}"
    );
    let (found, expected) = (index.tensor(conv.filter).elements(), kh * kw * inputs * oc);
    ensure!(
        found == expected,
        "a filter of {found} weights in place of {expected}"
    );
    Ok(())
}

/// A transposed convolution leads from the output of a convolution back to its input.
fn check_transposed(index: &Index, item: &Item, conv: &Conv) -> Result<(), String> {
    let ([h, w, c], [oh, ow, oc]) = (conv.input_shape, conv.output_shape);
    map(index, conv.input, Some(conv.images * h * w * c))?;
    let result = index.result(item.op);
    map(index, result, Some(conv.images * oh * ow * oc))?;
    let (window, one) = (&conv.window, Hw { h: 1, w: 1 });
    let Hw { h: kh, w: kw } = window.kernel;
    ensure!(
        window.dilation == one && conv.grouping == Grouping::Dense,
        "a transposed convolution with dilation or groups"
    );
    check_axis(oh, h, kh, window.stride.h, window.pad.h)?;
    check_axis(ow, w, kw, window.stride.w, window.pad.w)?;
    let (found, expected) = (index.tensor(conv.filter).elements(), kh * kw * c * oc);
    ensure!(
        found == expected,
        "a filter of {found} weights in place of {expected}"
    );
    Ok(())
}

fn check_pool(index: &Index, item: &Item, pool: &Pool) -> Result<(), String> {
    let ((from, to), c) = ((pool.input_size, pool.output_size), pool.channels);
    map(index, pool.input, Some(pool.images * from.h * from.w * c))?;
    let result = index.result(item.op);
    map(index, result, Some(pool.images * to.h * to.w * c))?;
    check_axis(from.h, to.h, pool.window.h, pool.stride.h, pool.pad.h)?;
    check_axis(from.w, to.w, pool.window.w, pool.stride.w, pool.pad.w)?;
    let whole = pool.window == from && to == (Hw { h: 1, w: 1 });
    ensure!(
        pool.kind != PoolKind::Mean || whole,
        "a mean of less than the map"
    );
    Ok(())
}

/// Checks that a map has the channels of others, one's behind the other's.
fn check_channels(index: &Index, whole: TensorId, parts: &[TensorId]) -> Result<(), String> {
    let shape = |tensor| map_shape(index.tensor(tensor));
    map(index, whole, None)?;
    let Some([h, w, c]) = shape(whole) else {
        return Err("channels of nothing".to_owned());
    };
    let mut channels = 0;
    for &operand in parts {
        map(index, operand, None)?;
        match shape(operand) {
            Some([rows, columns, more]) if [rows, columns] == [h, w] => channels += more,
            other => return Err(format!("{operand} is {other:?}, not {h} x {w}")),
        }
    }
    ensure!(channels == c, "{channels} channels in place of {c}");
    Ok(())
}
