//! Convolutions of maps with few channels, as the host brings them to the device: pictures and sound.
//!
//! The MAC array takes many channels at a time, so most of it idles where there are three. The host,
//! which has to change the map's layout anyway, then lays out each window, or each of its lines, as the
//! channels of one pixel (im2col), and the convolution has fewer taps.

use ferrite_ir::TensorId;
use ferrite_ir::op::Hw;

use crate::index::Index;
use crate::npu::{Conv, Form, Grouping, Item, Patches, Window, Work};
use crate::options::Options;
use crate::target::Rules;

/// Has the host lay out windows for the convolutions where the target asks for it.
pub fn im2col(form: &mut Form, index: &Index, rules: &Rules, options: &Options) {
    for at in 0..form.items.len() {
        let Work::Conv(conv) = &form.items[at].work else {
            continue;
        };
        if conv.grouping != Grouping::Dense || conv.window.kernel == Window::unit().kernel {
            continue;
        }
        let (result, asked) = (
            index.result(form.items[at].op),
            (rules.im2col)(conv, options),
        );
        if let Some(part) = asked
            && is_used(form, index, result)
            && is_from_host(form, index, conv.input)
        {
            let conv = of_patches(conv, part);
            form.items[at].work = Work::Conv(conv);
        }
    }
}

/// The convolution of which the host does a part of the window.
fn of_patches(conv: &Conv, part: Window) -> Conv {
    let ([h, w, c], [oh, ow, _]) = (conv.input_shape, conv.output_shape);
    let (mut window, mut size) = (conv.window, Hw { h, w });
    let unit = Window::unit();
    // Windows of one row may have a step between them, which is then the convolution's.
    let [rows, columns] = [0, 1].map(|axis| along(&part)[axis] == along(&window)[axis]);
    if rows {
        size.h = oh;
        (window.kernel.h, window.stride.h) = (unit.kernel.h, unit.stride.h);
        (window.dilation.h, window.pad.h) = (unit.dilation.h, unit.pad.h);
    }
    if columns {
        size.w = ow;
        (window.kernel.w, window.stride.w) = (unit.kernel.w, unit.stride.w);
        (window.dilation.w, window.pad.w) = (unit.dilation.w, unit.pad.w);
    }
    Conv {
        input_shape: [size.h, size.w, part.kernel.h * part.kernel.w * c],
        window,
        patches: Some(Box::new(Patches {
            image: conv.input_shape,
            window: part,
        })),
        ..conv.clone()
    }
}

/// All of a window along rows, and along columns.
fn along(window: &Window) -> [[usize; 4]; 2] {
    let of = [window.kernel, window.stride, window.dilation, window.pad];
    [of.map(|size| size.h), of.map(|size| size.w)]
}

/// Whether a tensor, which an item reads that is used, comes from the host, and the NPU has no other
/// use for it.
fn is_from_host(form: &Form, index: &Index, tensor: TensorId) -> bool {
    // The tensor and what it is a view of.
    let mut names = vec![tensor];
    let made = |tensor| index.producer(tensor).map(|(op, _)| &form.item(op).work);
    loop {
        match made(names[names.len() - 1]) {
            Some(Work::View(source)) => names.push(*source),
            Some(Work::Host(_)) | None => break,
            Some(_) => return false,
        }
    }
    let readers = form.items.iter().filter(|item| {
        let reads = item.maps().iter().any(|map| names.contains(map));
        let result = index.graph.node(item.op).outputs.first();
        reads && result.is_some_and(|&made| !names.contains(&made) && is_used(form, index, made))
    });
    readers.count() == 1
}

/// Whether an item reads a tensor, or the graph hands it out. A PAD that was folded makes one that
/// only the graph's operators read.
fn is_used(form: &Form, index: &Index, tensor: TensorId) -> bool {
    let reads = |item: &Item| match &item.work {
        Work::Host(_) => index.graph.node(item.op).inputs.contains(&Some(tensor)),
        _ => item.maps().contains(&tensor),
    };
    // Those that read it in the graph mostly still do.
    let readers = index.uses(tensor).iter().map(|&op| form.item(op));
    index.is_output(tensor) || readers.chain(&form.items).any(reads)
}
