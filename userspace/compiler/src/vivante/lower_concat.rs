//! CONCATENATION of channels: where it can, each operand is made in its planes of the result; else
//! it is copied there, and rescaled where its quantisation differs.

use ferrite_ir::OpId;
use ferrite_ir::op::{Activation, OpKind};

use super::context::Context;
use super::elementwise::{plane, rescale};
use super::lower::{Lowering, Reads};
use crate::Unsupported;
use crate::common::MapId;

/// Lowers a CONCATENATION node along the channels.
pub fn lower_concat(ctx: &mut Context, op: OpId) -> Lowering {
    let node = ctx.graph.node(op);
    let OpKind::Concatenation { axis, activation } = node.kind else {
        return Err(Unsupported::new("not a concatenation"));
    };
    if activation != Activation::None {
        return Err(Unsupported::new("a concatenation with an activation"));
    }
    let output = node.outputs[0];
    let rank = ctx.tensor(output).shape.len();
    if rank < 2 || (axis != -1 && axis as usize != rank - 1) {
        return Err(Unsupported::new(format!(
            "a concatenation along axis {axis} instead of the channels"
        )));
    }
    let (out_zero, out_scale) = ctx.quantisation(output)?;
    let target = ctx.map(output)?;
    let (mut layers, mut reads, mut offset) = (Vec::new(), Reads::new(), 0);
    let mut parts: Vec<(MapId, usize)> = Vec::new();
    for index in 0..node.inputs.len() {
        let input = ctx.operand(op, index)?;
        let (zero, scale) = ctx.quantisation(input)?;
        let map = ctx.map(input)?;
        let [h, w, channels] = ctx.at(map).shape;
        let free = ctx.at(map).part_of.is_none() && parts.iter().all(|part| part.0 != map);
        let last = index + 1 == node.inputs.len();
        if free && (zero, scale) == (out_zero, out_scale) && (last || !ctx.at(map).overflows()) {
            parts.push((map, offset));
        } else {
            layers.push(rescale(
                op,
                "concatenate",
                (map, 0, zero),
                (target, offset, out_zero),
                plane(h * w * channels, h * w)?,
                scale / out_scale,
            )?);
        }
        reads.push(input);
        offset += h * w * channels;
    }
    if offset != ctx.at(target).real_bytes() {
        return Err(Unsupported::new("operands and result differ in size"));
    }
    let end = parts.iter().map(|&(map, at)| at + ctx.at(map).bytes).max();
    ctx.maps[target.0 as usize].bytes = offset.max(end.unwrap_or(0));
    for (map, at) in parts {
        ctx.maps[map.0 as usize].part_of = Some((target, at));
    }
    let name = match layers.len() {
        0 => "concatenation in place",
        _ => "concatenation by copies",
    };
    Ok((reads, name.to_string(), layers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{Index, Lower};
    use crate::{Options, Target};
    use ferrite_ir::{DType, Graph, Node, Quant, Tensor, TensorId};

    /// Maps of 4x4 with so many channels, and the last one's zero point.
    fn graph(channels: &[usize], last_zero: i32) -> Graph {
        let all = channels.iter().sum();
        let tensor = |(i, &c): (usize, &usize)| Tensor {
            name: format!("t{i}"),
            shape: [1, 4, 4, c].into_iter().collect(),
            dtype: DType::U8,
            quant: Some(Quant::per_tensor(
                0.5,
                if i + 1 == channels.len() {
                    last_zero
                } else {
                    3
                },
            )),
            data: None,
            variable: false,
        };
        let inputs: Vec<TensorId> = (0..channels.len() as u32).map(TensorId).collect();
        let output = TensorId(channels.len() as u32);
        let shapes: Vec<usize> = channels.iter().copied().chain([all]).collect();
        Graph {
            tensors: shapes.iter().enumerate().map(tensor).collect(),
            inputs: inputs.clone(),
            outputs: vec![output],
            nodes: vec![Node {
                kind: OpKind::Concatenation {
                    axis: 3,
                    activation: Activation::None,
                },
                inputs: inputs.into_iter().map(Some).collect(),
                outputs: [output].into_iter().collect(),
            }],
            ..Graph::default()
        }
    }

    /// Where each operand lies in the result, if it does, the number of jobs, and the result's bytes.
    fn lowered(channels: &[usize], last_zero: i32) -> (Vec<Option<usize>>, usize, usize) {
        let (graph, options) = (graph(channels, last_zero), Options::new(Target::A311d));
        let index = Index::new(&graph, graph.uses().into());
        let mut ctx = Context::new(index, &options);
        let (_, _, layers) = lower_concat(&mut ctx, OpId(0)).expect("lowered");
        let mut place = |tensor: &TensorId| {
            let map = ctx.map(*tensor).expect("a map");
            ctx.at(map).part_of.map(|(_, at)| at)
        };
        let places = graph.inputs.iter().map(&mut place).collect();
        let target = ctx.map(graph.outputs[0]).expect("a map");
        (places, layers.len(), ctx.at(target).bytes)
    }

    #[test]
    fn operands_lie_in_the_result() {
        let places = vec![Some(0), Some(16 * 16)];
        assert_eq!(lowered(&[16, 24], 3), (places, 0, 40 * 16));
    }

    /// The cores write 16 planes for 11 channels: over those of the next operand, or the end.
    #[test]
    fn only_the_last_operand_may_be_written_beyond_its_end() {
        let (in_front, behind) = ([11, 24], [24, 11]);
        assert_eq!(
            lowered(&in_front, 3),
            (vec![None, Some(11 * 16)], 1, 35 * 16)
        );
        let places = vec![Some(0), Some(24 * 16)];
        assert_eq!(lowered(&behind, 3), (places, 0, 40 * 16));
    }

    #[test]
    fn another_quantisation_is_a_copy() {
        let (places, jobs, _) = lowered(&[16, 24], 9);
        assert_eq!((places, jobs), (vec![Some(0), None], 1));
    }
}
