//! What operators make of a single byte, by the CPU kernels that define it.

use std::collections::HashMap;

use ferrite_cpu::{Value, run_op};
use ferrite_ir::{DType, OpId, TensorId};

use crate::error::Unsupported;
use crate::index::Index;

/// Operators between a table's operand and its result, at most.
const LONGEST: usize = 64;

/// The byte of an operator's result for each byte of `input`, where nothing else is read on the way than
/// constants of one element.
pub fn tabulate(index: &Index, op: OpId, input: TensorId) -> Result<[u8; 256], Unsupported> {
    let dtype = index.tensor(input).dtype;
    let bytes: [u8; 256] = std::array::from_fn(|byte| byte as u8);
    let bytes = Value::from_bytes(dtype, [256], &bytes).map_err(|why| failed(index, op, &why))?;
    let mut known = HashMap::from([(input, bytes)]);
    let result = index.result(op);
    // Operands before what reads them.
    let mut open = vec![result];
    let mut steps = 0;
    while let Some(&tensor) = open.last() {
        if known.contains_key(&tensor) {
            open.pop();
            continue;
        }
        let (op, node) = index
            .producer(tensor)
            .ok_or_else(|| unrelated(index, input))?;
        let computed = |tensor: &&TensorId| !index.tensor(**tensor).is_constant();
        let missing = node.inputs.iter().flatten().filter(computed);
        let missing = missing.copied().find(|read| !known.contains_key(read));
        steps += 1;
        if steps > LONGEST {
            return Err(unrelated(index, input));
        }
        if let Some(missing) = missing {
            open.push(missing);
            continue;
        }
        let operands: Vec<Option<&Value>> =
            node.inputs.iter().map(|id| known.get(&(*id)?)).collect();
        let made = run_op(index.graph, op, &operands).map_err(|why| failed(index, op, &why))?;
        let made = made.into_iter().next();
        known.insert(tensor, made.ok_or_else(|| unrelated(index, input))?);
        open.pop();
    }
    let made = known
        .get(&result)
        .filter(|made| matches!(made.dtype(), DType::U8 | DType::I8));
    let bytes = made.and_then(|made| made.bytes().try_into().ok());
    bytes.ok_or_else(|| unrelated(index, input))
}

fn failed(index: &Index, op: OpId, why: &dyn std::fmt::Display) -> Unsupported {
    Unsupported::new(format!(
        "{} cannot be tabulated: {why}",
        index.graph.op_name(op)
    ))
}

fn unrelated(index: &Index, input: TensorId) -> Unsupported {
    let shape = &index.tensor(input).shape;
    Unsupported::new(format!(
        "no function of each byte of a map of {shape:?} alone"
    ))
}
