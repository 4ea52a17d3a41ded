//! Convolutions of maps with few channels, as the host brings them to the device: pictures and sound.
//!
//! The MAC array takes many channels at a time, so most of it idles where there are three. The host,
//! which has to change the map's layout anyway, then lays out each window as the channels of one pixel
//! (im2col), and the convolution has one tap.

use ferrite_hw::Timing;
use ferrite_ir::TensorId;

use crate::index::Index;
use crate::npu::{Conv, Form, Grouping, Item, Patches, Window, Work};
use crate::target::Rules;

/// Has the host lay out windows for the convolutions where the target asks for it.
pub fn im2col(form: &mut Form, index: &Index, rules: &Rules, timing: &Timing) {
    for at in 0..form.items.len() {
        let Work::Conv(conv) = &form.items[at].work else {
            continue;
        };
        let asked = conv.grouping == Grouping::Dense
            && conv.window.kernel != Window::unit().kernel
            && (rules.im2col)(conv, timing);
        let result = index.result(form.items[at].op);
        if asked && is_used(form, index, result) && is_from_host(form, index, conv.input) {
            let conv = of_patches(conv);
            form.items[at].work = Work::Conv(conv);
        }
    }
}

fn of_patches(conv: &Conv) -> Conv {
    let ([.., c], [oh, ow, _]) = (conv.input_shape, conv.output_shape);
    let kernel = conv.window.kernel;
    Conv {
        input_shape: [oh, ow, kernel.h * kernel.w * c],
        window: Window::unit(),
        patches: Some(Patches {
            image: conv.input_shape,
            window: conv.window,
        }),
        ..conv.clone()
    }
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
    index.is_output(tensor) || form.items.iter().any(reads)
}
