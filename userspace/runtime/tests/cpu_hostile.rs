//! Damaged graphs must end in errors, never in panics: public op cases with random damage to
//! parameters, quantisation, types, shapes and operands.

use ferrite_ir::{DType, Graph, OpId, OpKind, tflite};
use ferrite_runtime::cpu::{Interpreter, Value, run_op};
use ferrite_testing::cases;

/// A small generator of numbers (xorshift), so that failures can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

fn damage(graph: &mut Graph, op: OpId, operands: &mut [Option<Value>], r: &mut Random) {
    let node = graph.node(op);
    let ids: Vec<_> = node
        .inputs
        .iter()
        .flatten()
        .chain(&node.outputs)
        .copied()
        .collect();
    let tensor = &mut graph.tensors[r.pick(&ids)];
    match r.below(7) {
        0 => {
            if let Some(q) = &mut tensor.quant {
                let bad = [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-38, 1e38, 1e-45];
                let at = r.below(q.scales.len());
                q.scales[at] = r.pick(&bad);
            }
        }
        1 => {
            if let Some(q) = &mut tensor.quant {
                let at = r.below(q.zero_points.len());
                q.zero_points[at] = r.pick(&[i32::MIN, i32::MAX, -129, 256, 0]);
            }
        }
        2 => tensor.quant = None,
        3 => tensor.dtype = r.pick(&[DType::U8, DType::I8, DType::I32, DType::F32, DType::Bool]),
        4 => damage_kind(&mut graph.node_mut(op).kind, r),
        5 => {
            let at = r.below(operands.len());
            operands[at] = match r.below(3) {
                0 => None,
                1 => operands[r.below(operands.len())].clone(),
                _ => Some(
                    Value::zeros(DType::U8, r.pick(&[&[0usize][..], &[], &[1, 2, 3, 4]])).unwrap(),
                ),
            };
        }
        _ => {
            // Index-like operands get other contents.
            for operand in operands.iter_mut().flatten() {
                if operand.dtype() == DType::I32 && operand.elements() <= 8 {
                    let at = r.below(operand.elements().max(1));
                    let value = r.pick(&[i32::MIN, -1, 0, 1, 2, 7, 30, i32::MAX]);
                    if let Some(v) = operand.view_mut::<i32>().unwrap().get_mut(at) {
                        *v = value;
                    }
                }
            }
        }
    }
}

fn damage_kind(kind: &mut OpKind, r: &mut Random) {
    let size = r.pick(&[0, 1, 2, 3, 1 << 16, 1 << 40, usize::MAX]);
    let number = r.pick(&[i32::MIN, -5, -1, 0, 1, 3, 9, i32::MAX]);
    match kind {
        OpKind::Conv2d(p) | OpKind::DepthwiseConv2d { params: p, .. } => match r.below(4) {
            0 => p.stride.h = size,
            1 => p.stride.w = size,
            2 => p.dilation.h = size,
            _ => p.dilation.w = size,
        },
        OpKind::AveragePool2d(p) | OpKind::MaxPool2d(p) => match r.below(3) {
            0 => p.stride.w = size,
            1 => p.window.h = size,
            _ => p.window.w = size,
        },
        OpKind::TransposeConv { stride, .. } => stride.h = size,
        OpKind::SpaceToDepth { block } | OpKind::DepthToSpace { block } => *block = size,
        OpKind::Concatenation { axis, .. } | OpKind::Pack { axis } | OpKind::Unpack { axis } => {
            *axis = number;
        }
        OpKind::StridedSlice {
            begin_mask,
            end_mask,
            ellipsis_mask,
            new_axis_mask,
            shrink_axis_mask,
        } => {
            for mask in [
                begin_mask,
                end_mask,
                ellipsis_mask,
                new_axis_mask,
                shrink_axis_mask,
            ] {
                *mask = r.below(64) as u32;
            }
        }
        OpKind::Softmax { beta } | OpKind::LeakyRelu { alpha: beta } => {
            *beta = r.pick(&[0.0, -1.0, f32::NAN, f32::INFINITY, 1e30]);
        }
        OpKind::ArgMax { output } => *output = DType::F32,
        _ => {}
    }
}

#[test]
fn damage_gives_errors_not_panics() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut failed, mut survived) = (0, 0);
    for case in cases::public() {
        let graph = tflite::read(&case.model()).unwrap();
        let interpreter = Interpreter::new(graph.clone()).unwrap();
        let inputs: Vec<Value> = case
            .arrays()
            .0
            .iter()
            .zip(&graph.inputs)
            .map(|(a, &id)| Value::from_bytes(graph.tensor(id).dtype, a.shape.clone(), &a.data))
            .collect::<Result<_, _>>()
            .unwrap();
        let values = interpreter.run_keeping_all(&inputs).unwrap();
        for op in graph.op_ids().take(2) {
            let whole: Vec<Option<Value>> = graph
                .node(op)
                .inputs
                .iter()
                .map(|id| {
                    let id = (*id)?;
                    values[id].as_ref().or(interpreter.constant(id)).cloned()
                })
                .collect();
            for _ in 0..40 {
                let (mut graph, mut operands) = (graph.clone(), whole.clone());
                for _ in 0..=random.below(2) {
                    damage(&mut graph, op, &mut operands, &mut random);
                }
                let operands: Vec<Option<&Value>> = operands.iter().map(Option::as_ref).collect();
                match run_op(&graph, op, &operands) {
                    Ok(_) => survived += 1,
                    Err(_) => failed += 1,
                }
            }
        }
    }
    println!("{failed} damaged operators refused, {survived} harmless");
}
