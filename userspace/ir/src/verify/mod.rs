//! Checks that a graph makes sense: ids, order, operand counts, shapes, element types and
//! quantisation. The reader runs it on what it read; tests run it between passes.

mod fault;
mod order;
mod rearrange;
mod shapes;
mod types;
mod view;

use crate::graph::Graph;
use fault::MAX_ERRORS;

pub use fault::{VerifyError, VerifyFault};

/// Checks ids, execution order and numbers of operands.
pub(crate) fn verify_order(graph: &Graph) -> Result<(), Vec<VerifyError>> {
    let errors = order::check(graph);
    errors.is_empty().then_some(()).ok_or(errors)
}

/// Checks a graph.
///
/// # Errors
/// What is wrong, in execution order, up to 64 errors; an operator's shapes and types are looked at only if its
/// operands are all there.
pub fn verify(graph: &Graph) -> Result<(), Vec<VerifyError>> {
    let mut errors = order::check(graph);
    if errors.is_empty() {
        for op in graph.op_ids() {
            let checks = [shapes::check, types::check];
            let faults = checks.iter().filter_map(|check| check(graph, op).err());
            errors.extend(faults.map(|fault| VerifyError {
                op: Some((op, graph.op_name(op).to_owned())),
                fault,
            }));
            if errors.len() >= MAX_ERRORS {
                break;
            }
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}
