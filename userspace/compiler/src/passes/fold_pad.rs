//! PAD into the convolution behind it, which pads by itself.

use ferrite_ir::op::Hw;

use crate::index::{Index, nhwc};
use crate::npu::{Conv, Form, Work, sees_input};

/// Has convolutions without padding of their own read what a PAD before them reads.
pub fn fold_pad(form: &mut Form, index: &Index) {
    for at in 0..form.items.len() {
        let Work::Conv(conv) = &form.items[at].work else {
            continue;
        };
        let padded = index.producer(conv.input).map(|(op, _)| form.item(op));
        let Some(&Work::Pad { input, before }) = padded.map(|item| &item.work) else {
            continue;
        };
        let Ok([_, h, w, _]) = nhwc(index.tensor(input)) else {
            continue;
        };
        let mut folded = conv.clone();
        folded.input = input;
        folded.window.pad = before;
        [folded.input_shape[0], folded.input_shape[1]] = [h, w];
        if conv.window.pad == (Hw { h: 0, w: 0 }) && windows_see_input(&folded) {
            form.items[at].work = Work::Conv(folded);
        }
    }
}

/// Whether no output is made of padding alone.
fn windows_see_input(conv: &Conv) -> bool {
    let ([h, w, _], [oh, ow, _]) = (conv.input_shape, conv.output_shape);
    let window = &conv.window;
    let (rows, columns) = (
        (window.kernel.h - 1) * window.dilation.h + 1,
        (window.kernel.w - 1) * window.dilation.w + 1,
    );
    sees_input(h, oh, rows, window.stride.h, window.pad.h)
        && sees_input(w, ow, columns, window.stride.w, window.pad.w)
}
