//! Operators in layers: each below all that it takes its operands from.

use super::words::{self, LABEL_CHAR};
use ferrite_ir::{Graph, OpId, SecondaryMap, TensorId};

/// What a vertex stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A graph input.
    Input(TensorId),
    /// An operator.
    Op(OpId),
    /// A graph output.
    Output(TensorId),
    /// A place where a long edge passes a layer.
    Bend,
}

/// A box, or a bend of an edge.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// What it stands for.
    pub kind: Kind,
    /// 0 is the topmost.
    pub layer: usize,
    /// Space it needs, in pixels.
    pub width: f64,
}

/// A piece of an edge, from one layer to the next.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Upper vertex.
    pub from: usize,
    /// Lower vertex.
    pub to: usize,
    /// The tensor that flows.
    pub tensor: TensorId,
}

/// A graph in layers.
#[derive(Clone, Debug, Default)]
pub struct Layered {
    /// All vertices.
    pub vertices: Vec<Vertex>,
    /// All pieces of edges.
    pub segments: Vec<Segment>,
    /// The vertices of each layer from left to right.
    pub layers: Vec<Vec<usize>>,
}

const BEND_WIDTH: f64 = 14.0;

/// Places every operator one layer below the lowest of its operands, inputs just above their first
/// use, and outputs just below their producer. Edges of one tensor share their bends.
pub fn layered(graph: &Graph) -> Layered {
    let uses = graph.uses();
    let mut op_layers: SecondaryMap<OpId, usize> = SecondaryMap::new();
    for op in graph.op_ids() {
        let node = graph.node(op);
        let producers = node.inputs.iter().flatten().map(|&id| uses.producer(id));
        let above = producers.flatten().map(|op| op_layers[op]);
        // Layer 0 is for inputs.
        op_layers[op] = above.max().unwrap_or(0) + 1;
    }

    let mut layered = Layered::default();
    let mut op_vertices: SecondaryMap<OpId, usize> = SecondaryMap::new();
    for op in graph.op_ids() {
        op_vertices[op] = layered.vertices.len();
        layered.vertices.push(Vertex {
            kind: Kind::Op(op),
            layer: op_layers[op],
            width: op_width(graph, op),
        });
    }
    let mut sources: Vec<(TensorId, usize)> = Vec::new();
    for &id in &graph.inputs {
        let users = uses.consumers(id).iter();
        let first = users.map(|&op| op_layers[op]).min().unwrap_or(1);
        sources.push((id, layered.vertices.len()));
        layered.add_terminal(Kind::Input(id), first - 1, graph);
    }
    for op in graph.op_ids() {
        let outputs = graph.node(op).outputs.iter();
        sources.extend(outputs.map(|&id| (id, op_vertices[op])));
    }
    let mut ends: Vec<(TensorId, usize)> = Vec::new();
    for &id in &graph.outputs {
        let from = sources.iter().find(|(source, _)| *source == id);
        let layer = from.map_or(0, |&(_, v)| layered.vertices[v].layer + 1);
        ends.push((id, layered.vertices.len()));
        layered.add_terminal(Kind::Output(id), layer, graph);
    }
    for (id, source) in sources {
        let ops = uses.consumers(id).iter().map(|&op| op_vertices[op]);
        let outputs = ends.iter().filter(|(end, _)| *end == id).map(|&(_, v)| v);
        let mut targets: Vec<usize> = ops.chain(outputs).filter(|&t| t != source).collect();
        targets.dedup();
        layered.add_edges(source, &targets, id);
    }
    let depth = layered
        .vertices
        .iter()
        .map(|v| v.layer + 1)
        .max()
        .unwrap_or(0);
    layered.layers = vec![Vec::new(); depth];
    for (index, vertex) in layered.vertices.iter().enumerate() {
        layered.layers[vertex.layer].push(index);
    }
    layered
}

impl Layered {
    fn add_terminal(&mut self, kind: Kind, layer: usize, graph: &Graph) {
        let (Kind::Input(id) | Kind::Output(id)) = kind else {
            return;
        };
        let name = words::terminal(graph.tensor(id)).chars().count() as f64;
        let width = (name * 7.0 + 24.0).max(2.0 * label_width(graph, id));
        self.vertices.push(Vertex { kind, layer, width });
    }

    fn add_edges(&mut self, source: usize, targets: &[usize], tensor: TensorId) {
        let top = self.vertices[source].layer;
        let below = |v: &usize, this: &Self| this.vertices[*v].layer > top;
        let last = targets
            .iter()
            .filter(|t| below(t, self))
            .map(|&t| self.vertices[t].layer)
            .max();
        let Some(last) = last else { return };
        let mut from = source;
        for layer in top + 1..=last {
            for &to in targets.iter().filter(|&&t| self.vertices[t].layer == layer) {
                self.segments.push(Segment { from, to, tensor });
            }
            if layer < last {
                let to = self.vertices.len();
                self.vertices.push(Vertex {
                    kind: Kind::Bend,
                    layer,
                    width: BEND_WIDTH,
                });
                self.segments.push(Segment { from, to, tensor });
                from = to;
            }
        }
    }
}

fn label_width(graph: &Graph, id: TensorId) -> f64 {
    words::tensor_label(graph.tensor(id)).chars().count() as f64 * LABEL_CHAR + 10.0
}

/// Room for the operator's words and, side by side, for the labels of its results: each label stands
/// to the right of its edge, so an only one needs twice its width around the middle.
fn op_width(graph: &Graph, op: OpId) -> f64 {
    let name = graph.op_name(op).chars().count() as f64 * 7.6 + 44.0;
    let detail = words::detail(graph, op).chars().count() as f64 * LABEL_CHAR + 20.0;
    let outputs = &graph.node(op).outputs;
    let widest = outputs
        .iter()
        .map(|&id| label_width(graph, id))
        .fold(0.0, f64::max);
    let labels = match outputs.len() {
        1 => 2.0 * widest,
        n => n as f64 * widest,
    };
    name.max(detail).max(labels).max(120.0)
}
