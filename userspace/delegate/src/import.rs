//! From the host's nodes and tensors to a [`Graph`], the same that the file reader makes of them.
//!
//! What the graph cannot hold stays with the host: such an operator becomes
//! [`OpKind::Unknown`], with the reason kept, and an odd tensor a placeholder that only such
//! operators touch.

use crate::abi::element;
use crate::host::{Host, HostError, Quantization, Tensor as HostTensor};
use crate::kinds;
use ferrite_ir::{
    Bytes, DType, EntityRef, Graph, Node, OpId, OpKind, PrimaryMap, Quant, Tensor, TensorId,
};
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Largest rank; TFLite's own kernels end at 8.
const MAX_RANK: usize = 8;

/// A graph and where its parts come from.
#[derive(Debug)]
pub struct Imported {
    /// The operators that were asked for, with the tensors they touch.
    pub graph: Graph,
    /// The host's index of each tensor.
    pub tensors: PrimaryMap<TensorId, i32>,
    /// The host's index of each operator.
    pub nodes: PrimaryMap<OpId, i32>,
    /// Why an operator became [`OpKind::Unknown`], by operator.
    pub refused: PrimaryMap<OpId, Option<String>>,
}

/// Reads `nodes`, which are in execution order. The graph's outputs are `outputs`, or without such
/// a list all results that none of the nodes reads.
pub fn import(
    host: &Host<'_>,
    nodes: &[i32],
    outputs: Option<&[i32]>,
) -> Result<Imported, HostError> {
    let mut graph = Graph::default();
    graph.reserve_nodes(nodes.len());
    let mut import = Import {
        host,
        imported: Imported {
            graph,
            tensors: PrimaryMap::new(),
            nodes: nodes.to_vec().into(),
            refused: PrimaryMap::with_capacity(nodes.len()),
        },
        ids: HashMap::with_capacity_and_hasher(4 * nodes.len(), BuildHasherDefault::default()),
        odd: HashMap::new(),
    };
    for &index in nodes {
        import.node(index)?;
    }
    let mut imported = import.finish(outputs)?;
    imported.refuse_rewritten();
    imported.refuse_inconsistent();
    Ok(imported)
}

struct Import<'h, 'a> {
    host: &'h Host<'a>,
    imported: Imported,
    /// By the host's index. A model may have as many partitions as tensors: what a partition takes may
    /// not grow with the model.
    ids: HashMap<i32, TensorId, BuildHasherDefault<IndexHasher>>,
    /// Tensors that the graph cannot hold, and why.
    odd: HashMap<TensorId, String>,
}

/// Hashes of the host's indexes, which are small numbers of the host's own: no guard against chosen
/// collisions is needed, and every tensor of a model passes through here.
#[derive(Default)]
struct IndexHasher(u64);

impl Hasher for IndexHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_i32(&mut self, number: i32) {
        self.write_u64(u64::from(number as u32));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Import<'_, '_> {
    fn node(&mut self, index: i32) -> Result<(), HostError> {
        let node = self.host.node(index)?;
        let mut inputs = SmallVec::with_capacity(node.inputs.len());
        for &tensor in node.inputs {
            inputs.push(match tensor {
                ..0 => None,
                _ => Some(self.tensor(tensor)?),
            });
        }
        let mut outputs = SmallVec::with_capacity(node.outputs.len());
        for &tensor in node.outputs {
            outputs.push(self.tensor(tensor)?);
        }

        let code = node.builtin_code;
        let name: Cow<str> = match (&node.custom_name, ferrite_ir::tflite::builtin_name(code)) {
            (Some(name), _) => name.into(),
            (None, Some(name)) => name.into(),
            (None, None) => format!("operator code {code}").into(),
        };
        let touched = inputs.iter().flatten().chain(&outputs);
        let odd = touched.filter_map(|id| {
            let name = &self.imported.graph.tensor(*id).name;
            self.odd
                .get(id)
                .map(|why| format!("tensor `{name}`: {why}"))
        });
        let obstacle = match node.delegated {
            true => Some("another delegate has it".to_owned()),
            false => odd.into_iter().next(),
        };
        let graph = &mut self.imported.graph;
        let op = graph.push(Node {
            // Until it is known.
            kind: OpKind::Unknown {
                name: String::new(),
            },
            inputs,
            outputs,
        });
        let kind = match obstacle {
            Some(obstacle) => Err(obstacle),
            None => kinds::kind(&name, &node, graph, op),
        };
        let kind = kind.and_then(|kind| match computed_operand(&kind, graph, op) {
            None => Ok(kind),
            Some(index) => Err(format!(
                "operand {index}, which decides shapes, is not constant"
            )),
        });
        let (kind, refused) = match kind {
            Ok(kind) => (kind, None),
            Err(why) => {
                let name = name.into_owned();
                (OpKind::Unknown { name }, Some(why))
            }
        };
        graph.node_mut(op).kind = kind;
        self.imported.refused.push(refused);
        Ok(())
    }

    fn tensor(&mut self, index: i32) -> Result<TensorId, HostError> {
        if let Some(&known) = self.ids.get(&index) {
            return Ok(known);
        }
        let tensor = self.host.tensor(index)?;
        let id = self.imported.tensors.push(index);
        self.ids.insert(index, id);
        let imported = self::tensor(&tensor).unwrap_or_else(|why| {
            self.odd.insert(id, why);
            Tensor {
                name: tensor.name(),
                shape: smallvec![1],
                dtype: DType::U8,
                quant: None,
                data: None,
                variable: false,
            }
        });
        self.imported.graph.tensors.push(imported);
        Ok(id)
    }

    fn finish(mut self, outputs: Option<&[i32]>) -> Result<Imported, HostError> {
        let outputs = match outputs {
            Some(outputs) => Some(
                outputs
                    .iter()
                    .map(|&index| self.tensor(index))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            None => None,
        };
        let graph = &mut self.imported.graph;
        graph.inputs = graph.free_tensors();
        graph.outputs = outputs.unwrap_or_else(|| graph.final_tensors());
        Ok(self.imported)
    }
}

impl Imported {
    /// Leaves operators to the host that touch a tensor whose value changes during a run: one that two
    /// operators write, or that is written after it has been read, or that is a constant. The host
    /// runs operators in their order; a partition is cut out of it.
    fn refuse_rewritten(&mut self) {
        let mut seen = vec![false; self.graph.tensors.len()];
        let mut rewritten = Vec::new();
        for node in self.graph.nodes() {
            for id in node.inputs.iter().flatten() {
                seen[id.index()] = true;
            }
            for &id in &node.outputs {
                let again = std::mem::replace(&mut seen[id.index()], true);
                if again || self.graph.tensor(id).is_constant() {
                    rewritten.push(id);
                }
            }
        }
        if rewritten.is_empty() {
            return;
        }
        rewritten.sort_unstable();
        let ops: Vec<OpId> = self.graph.op_ids().collect();
        for op in ops {
            let node = self.graph.node_mut(op);
            let mut touched = node.inputs.iter().flatten().chain(&node.outputs);
            let Some(id) = touched.find(|id| rewritten.binary_search(id).is_ok()) else {
                continue;
            };
            let index = self.tensors[*id];
            self.refused[op]
                .get_or_insert_with(|| format!("the value of tensor {index} changes during a run"));
            if !matches!(node.kind, OpKind::Unknown { .. }) {
                let name = "operator of a tensor that changes".to_owned();
                node.kind = OpKind::Unknown { name };
            }
        }
    }

    /// Leaves operators that contradict their tensors to the host, which may know better.
    fn refuse_inconsistent(&mut self) {
        while let Err(errors) = ferrite_ir::verify(&self.graph) {
            let mut any = false;
            for error in errors {
                let Some((op, name)) = error.op else { continue };
                let node = self.graph.node_mut(op);
                if !matches!(node.kind, OpKind::Unknown { .. }) {
                    node.kind = OpKind::Unknown { name };
                    self.refused[op] = Some(error.fault.to_string());
                    any = true;
                }
            }
            if !any {
                break;
            }
        }
    }
}

/// The first operand that decides the shape of a result and is known only when the model runs:
/// the host then gives the result a shape of its own at each run.
fn computed_operand(kind: &OpKind, graph: &Graph, op: OpId) -> Option<usize> {
    let operands: &[usize] = match kind {
        OpKind::Reshape
        | OpKind::ExpandDims
        | OpKind::Transpose
        | OpKind::Pad
        | OpKind::MirrorPad { .. }
        | OpKind::ResizeBilinear { .. }
        | OpKind::ResizeNearest { .. }
        | OpKind::Reduce { .. }
        | OpKind::ArgMax { .. } => &[1],
        OpKind::StridedSlice { .. } => &[1, 2, 3],
        OpKind::Slice | OpKind::SplitV => &[1, 2],
        OpKind::Split | OpKind::TransposeConv { .. } => &[0],
        _ => &[],
    };
    let computed = |&&index: &&usize| graph.input(op, index).is_some_and(|t| !t.is_constant());
    operands.iter().find(computed).copied()
}

fn tensor(tensor: &HostTensor<'_>) -> Result<Tensor, String> {
    let dtype = dtype(tensor.kind())
        .ok_or_else(|| format!("element type {} is not supported", tensor.kind()))?;
    if tensor.is_sparse() {
        return Err("sparse storage is not supported".to_owned());
    }
    if tensor.is_variable() {
        return Err("it keeps its value from run to run".to_owned());
    }
    if tensor.is_dynamic() {
        return Err("its shape is known only when the model runs".to_owned());
    }
    let shape = tensor.shape().ok_or("its shape is not known")?;
    if shape.len() > MAX_RANK || (shape.len() > 1 && shape.contains(&0)) {
        return Err(format!("shape {shape:?} is not supported"));
    }
    let bytes = shape
        .iter()
        .try_fold(dtype.size(), |bytes, &d| bytes.checked_mul(d))
        .filter(|&bytes| bytes <= i32::MAX as usize)
        .ok_or_else(|| format!("shape {shape:?} is too large"))?;
    let quant = match tensor.quantization() {
        Ok(found) => quant(found, dtype, &shape)?,
        Err(kind) => return Err(format!("quantisation of kind {kind} is not supported")),
    };
    let data = match tensor.is_constant() {
        _ if bytes == 0 => Some(Bytes::from([])),
        false => None,
        true => {
            // SAFETY: graphs of a host are looked at in its calls of the delegate and of the kernels.
            let data = unsafe { tensor.constant(bytes) }.ok_or_else(|| {
                let found = tensor.bytes().unwrap_or(0);
                format!("it has {found} bytes, but shape {shape:?} takes {bytes}")
            })?;
            Some(data)
        }
    };
    // Half of all names, and no message is about a constant that is as it should be.
    let name = match data {
        None => tensor.name(),
        Some(_) => String::new(),
    };
    Ok(Tensor {
        name,
        shape,
        dtype,
        quant,
        data,
        variable: false,
    })
}

/// The element type of a `TfLiteType`.
pub fn dtype(kind: std::ffi::c_int) -> Option<DType> {
    Some(match kind {
        element::FLOAT32 => DType::F32,
        element::INT32 => DType::I32,
        element::UINT8 => DType::U8,
        element::INT64 => DType::I64,
        element::BOOL => DType::Bool,
        element::INT16 => DType::I16,
        element::INT8 => DType::I8,
        element::FLOAT16 => DType::F16,
        _ => return None,
    })
}

/// The file reader's view of quantisation.
fn quant(
    found: Option<Quantization<'_>>,
    dtype: DType,
    shape: &[usize],
) -> Result<Option<Quant>, String> {
    let range = dtype.range().filter(|_| dtype != DType::I64);
    let (Some((low, high)), Some(found)) = (range, found) else {
        return Ok(None);
    };
    let count = found.scales.len();
    if count == 0 {
        return Ok(None);
    }
    // The scale of a bias is the product of two others and may underflow; nothing computes with it.
    let usable = |scale: f32| match dtype {
        _ if !scale.is_finite() => false,
        DType::I32 => scale >= 0.0,
        _ => scale > 0.0,
    };
    if let Some(scale) = found.scales.iter().find(|&&scale| !usable(scale)) {
        return Err(format!("scale {scale}"));
    }
    let axis = match usize::try_from(found.axis) {
        _ if count == 1 => 0,
        Ok(axis) if shape.get(axis) == Some(&count) => axis,
        _ => {
            let axis = found.axis;
            return Err(format!(
                "{count} scales along dimension {axis} of {shape:?}"
            ));
        }
    };
    let zero_points: SmallVec<[i32; 1]> = match found.zero_points.len() {
        0 => smallvec![0; count],
        1 => smallvec![found.zero_points[0]; count],
        n if n >= count => SmallVec::from_slice(&found.zero_points[..count]),
        n => return Err(format!("{n} zero points for {count} scales")),
    };
    if let Some(z) = zero_points
        .iter()
        .find(|&&z| !(low..=high).contains(&z.into()))
    {
        return Err(format!("zero point {z} of {dtype} elements"));
    }
    Ok(Some(Quant {
        scales: SmallVec::from_slice(found.scales),
        zero_points,
        axis,
    }))
}
