//! Functions of single bytes that follow one another into one table.
//!
//! A chain of LOGISTIC, QUANTIZE and the like is one function of a byte, and so is what joins such chains
//! that begin at one map: SiLU is MUL of a map and its LOGISTIC. What was folded stays as it is for other
//! readers; without any it is needed by none.

use ferrite_ir::TensorId;

use crate::index::Index;
use crate::npu::{Form, Range, Work};

/// Makes one table of each chain of tables and rescalings, and of functions of two chains from one map.
pub fn fold_tables(form: &mut Form, index: &Index) {
    let is_table = |work: &Work| matches!(work, Work::Table(_));
    if !form.items.iter().any(|item| is_table(&item.work)) {
        return;
    }
    for at in 0..form.items.len() {
        let root = match form.items[at].work {
            Work::Table(input) => Some(first(form, index, input)),
            Work::Rescale(input) if is_made_by_table(form, index, input) => {
                Some(first(form, index, input))
            }
            Work::Elementwise { operands, .. } => common(form, index, operands),
            _ => None,
        };
        if let Some(root) = root {
            let item = &mut form.items[at];
            // The operators' own clamps are part of the table.
            (item.work, item.range) = (Work::Table(root), Range::FULL);
        }
    }
}

/// What a tensor is a function of, byte by byte.
fn source(form: &Form, index: &Index, tensor: TensorId) -> Option<TensorId> {
    let (op, _) = index.producer(tensor)?;
    match form.item(op).work {
        Work::Table(source) | Work::Rescale(source) => Some(source),
        _ => None,
    }
}

fn is_made_by_table(form: &Form, index: &Index, tensor: TensorId) -> bool {
    let producer = index.producer(tensor);
    producer.is_some_and(|(op, _)| matches!(form.item(op).work, Work::Table(_)))
}

/// A tensor and what it is a function of, step by step.
fn chain<'a>(
    form: &'a Form,
    index: &'a Index,
    tensor: TensorId,
) -> impl Iterator<Item = TensorId> + 'a {
    std::iter::successors(Some(tensor), |&tensor| source(form, index, tensor))
}

/// Where a chain begins.
fn first(form: &Form, index: &Index, tensor: TensorId) -> TensorId {
    chain(form, index, tensor).last().unwrap_or(tensor)
}

/// The map that both operands are functions of, if one of them is made by a table.
fn common(form: &Form, index: &Index, [a, b]: [TensorId; 2]) -> Option<TensorId> {
    if ![a, b]
        .iter()
        .any(|&operand| is_made_by_table(form, index, operand))
    {
        return None;
    }
    let root = first(form, index, a);
    (root == first(form, index, b)).then_some(root)
}
