//! Rewriting graphs, as passes do it: from text to text.

use ferrite_ir::rewrite::Rewrite;
use ferrite_ir::text::{Constants, parse, print};
use ferrite_ir::{Graph, Node, OpId, OpKind, TensorId, verify};
use smallvec::smallvec;

/// A convolution whose result a RELU6 reads: %0 -> CONV_2D -> %3 -> RELU6 -> %4.
const CONV_RELU: &str = r#"graph "conv, relu"
inputs %0
outputs %4

%0 "x": int8[1,4,4,2] scale 0.5 zero 0
%1 "w": int8[4,1,1,2] scale 0.25 zero 0 = [1, 2, 3, 4, 5, 6, 7, 8]
%2 "b": int32[4] scale 0.125 zero 0 = [1, 2, 3, 4]
%3 "sum": int8[1,4,4,4] scale 0.5 zero 0
%4 "y": int8[1,4,4,4] scale 0.5 zero 0

%3 = CONV_2D(%0, %1, %2) padding=VALID stride=1x1 dilation=1x1 activation=NONE
%4 = RELU6(%3)
"#;

fn graph(text: &str) -> Graph {
    let graph = parse(text).expect("a graph");
    assert_eq!(verify(&graph), Ok(()));
    graph
}

fn op(index: u32) -> OpId {
    OpId::from_u32(index)
}

fn tensor(index: u32) -> TensorId {
    TensorId::from_u32(index)
}

/// The nodes of a graph as text.
fn nodes(graph: &Graph) -> String {
    let text = print(graph, Constants::Inline);
    let (_, nodes) = text.rsplit_once("\n\n").expect("nodes come last");
    nodes.to_owned()
}

/// Has a convolution apply the activation that alone reads its result.
fn fuse_relu6(edit: &mut Rewrite<'_>) {
    for conv in edit.ops() {
        let node = edit.graph().node(conv);
        let (OpKind::Conv2d(params), &[sum]) = (&node.kind, &node.outputs[..]) else {
            continue;
        };
        let mut params = *params;
        let Some(relu) = edit.only_reader(sum) else {
            continue;
        };
        if edit.graph().node(relu).kind.name() == "RELU6" {
            params.activation = ferrite_ir::op::Activation::Relu6;
            let result = edit.remove(relu).outputs[0];
            edit.change(conv, |node| node.kind = OpKind::Conv2d(params));
            edit.redirect(conv, 0, result);
        }
    }
}

#[test]
fn an_activation_is_fused_and_the_output_keeps_its_name() {
    let mut graph = graph(CONV_RELU);
    graph.rewrite(fuse_relu6).expect("consistent");
    let fused = "%4 = CONV_2D(%0, %1, %2) padding=VALID stride=1x1 dilation=1x1 activation=RELU6\n";
    assert_eq!(nodes(&graph), fused);
    assert_eq!(graph.op_ids().collect::<Vec<_>>(), [op(0)]);

    let new = graph.compact();
    assert_eq!(nodes(&graph), fused.replace("%4", "%3"));
    assert_eq!(graph.tensor(graph.outputs[0]).name, "y");
    assert_eq!(new.tensors[tensor(3)].expand(), None);
    assert_eq!(new.tensors[tensor(4)].expand(), Some(tensor(3)));
    assert_eq!(verify(&graph), Ok(()));
}

#[test]
fn an_activation_beside_another_reader_is_not_fused() {
    let text = CONV_RELU.replace("outputs %4", "outputs %4, %3");
    let mut graph = graph(&text);
    graph.rewrite(fuse_relu6).expect("consistent");
    assert_eq!(print(&graph, Constants::Inline), text);
}

/// Splits a convolution of two groups into two, of slices of its operands.
#[test]
fn a_grouped_convolution_is_split() {
    let mut graph = graph(
        r#"graph "two groups"
inputs %0
outputs %3

%0 "x": int8[1,4,4,2] scale 0.5 zero 0
%1 "w": int8[2,1,1,1] scale 0.25 zero 0 = [1, 2]
%2 "b": int32[2] scale 0.125 zero 0 = [1, 2]
%3 "y": int8[1,4,4,2] scale 0.5 zero 0
%4 "axis": int32[] = [3]

%3 = CONV_2D(%0, %1, %2) padding=VALID stride=1x1 dilation=1x1 activation=NONE
"#,
    );
    let conv = op(0);
    let split = |edit: &mut Rewrite<'_>| {
        let like = |edit: &mut Rewrite<'_>, id: u32, part: usize, axis: usize| {
            let mut tensor = edit.graph().tensor(tensor(id)).clone();
            tensor.name = format!("{}.{part}", tensor.name);
            tensor.shape[axis] /= 2;
            let size = tensor.bytes();
            tensor.data = tensor.data.map(|data| data[part * size..][..size].into());
            edit.add_tensor(tensor)
        };
        let halves = [0, 1].map(|part| like(edit, 0, part, 3));
        let results = [0, 1].map(|part| like(edit, 3, part, 3));
        edit.insert_before(
            conv,
            Node {
                kind: OpKind::Split,
                inputs: smallvec![Some(tensor(4)), Some(tensor(0))],
                outputs: halves.into_iter().collect(),
            },
        );
        let whole = edit.graph().node(conv).clone();
        for part in 0..2 {
            let operands = [halves[part], like(edit, 1, part, 0), like(edit, 2, part, 0)];
            let node = Node {
                kind: whole.kind.clone(),
                inputs: operands.into_iter().map(Some).collect(),
                outputs: smallvec![results[part]],
            };
            edit.insert_before(conv, node);
        }
        let join = Node {
            kind: OpKind::Concatenation {
                axis: 3,
                activation: ferrite_ir::op::Activation::None,
            },
            inputs: results.into_iter().map(Some).collect(),
            outputs: whole.outputs,
        };
        edit.replace(conv, join);
    };
    graph.rewrite(split).expect("consistent");
    assert!(graph.op_ids().all(|op| graph.origin(op) == conv));
    graph.compact();
    assert!(graph.op_ids().all(|op| graph.origin(op) == conv));
    assert_eq!(verify(&graph), Ok(()));
    assert_eq!(
        nodes(&graph),
        "%3, %4 = SPLIT(%2, %0)\n\
         %5 = CONV_2D(%3, %7, %8) padding=VALID stride=1x1 dilation=1x1 activation=NONE\n\
         %6 = CONV_2D(%4, %9, %10) padding=VALID stride=1x1 dilation=1x1 activation=NONE\n\
         %1 = CONCATENATION(%5, %6) axis=3 activation=NONE\n"
    );
    assert_eq!(graph.tensor(graph.outputs[0]).name, "y");
}

#[test]
fn uses_move_to_another_tensor_and_what_is_dead_goes() {
    let mut graph = graph(&CONV_RELU.replace("outputs %4", "outputs %4, %3"));
    let bypass = |edit: &mut Rewrite<'_>| {
        edit.replace_uses(tensor(4), tensor(3));
        assert_eq!(edit.producer(tensor(3)), Some(op(0)));
        edit.remove_dead();
    };
    graph.rewrite(bypass).expect("consistent");
    assert_eq!(graph.outputs, [tensor(3), tensor(3)]);
    assert_eq!(graph.op_count(), 1);
    // The tensors are left until the graph is compacted.
    assert_eq!(graph.tensors.len(), 5);
    graph.compact();
    assert_eq!(graph.tensors.len(), 4);
}

#[test]
fn nodes_are_inserted_on_both_sides() {
    let mut graph = graph(CONV_RELU);
    let surround = |edit: &mut Rewrite<'_>| {
        let [before, after] = [0, 4].map(|id| {
            let like = edit.graph().tensor(tensor(id)).clone();
            edit.add_tensor(like)
        });
        let copy = |from, to| Node {
            kind: OpKind::Quantize,
            inputs: smallvec![Some(from)],
            outputs: smallvec![to],
        };
        edit.replace_uses(tensor(0), before);
        edit.replace_uses(tensor(4), after);
        edit.insert_before(op(0), copy(tensor(0), before));
        edit.insert_after(op(1), copy(tensor(4), after));
    };
    graph.rewrite(surround).expect("consistent");
    let text = nodes(&graph);
    assert!(
        text.starts_with("%5 = QUANTIZE(%0)\n%3 = CONV_2D(%5, "),
        "{text}"
    );
    assert!(
        text.ends_with("%4 = RELU6(%3)\n%6 = QUANTIZE(%4)\n"),
        "{text}"
    );
    assert_eq!(graph.outputs, [tensor(6)]);
    let origins: Vec<OpId> = graph.op_ids().map(|op| graph.origin(op)).collect();
    assert_eq!(origins, [op(0), op(0), op(1), op(1)]);
    graph.compact();
    assert_eq!(graph.op_ids().collect::<Vec<_>>(), [0, 1, 2, 3].map(op));
}

#[test]
fn a_pass_that_leaves_a_hole_is_told() {
    let mut graph = graph(CONV_RELU);
    let remove = |edit: &mut Rewrite<'_>| drop(edit.remove(op(0)));
    let error = graph.rewrite(remove).expect_err("%3 has no producer");
    assert_eq!(
        error.to_string(),
        "a pass has left an inconsistent graph: operator 1 RELU6: tensor 3 is read, but nothing \
         before produces it"
    );
    let mut graph = self::graph(CONV_RELU);
    let twice = |edit: &mut Rewrite<'_>| edit.redirect(op(1), 0, tensor(3));
    assert!(graph.rewrite(twice).is_err());
}
