//! A model's graph as an SVG picture: operators in layers from top to bottom, coloured by
//! placement, with shapes on the edges. Long graphs continue in columns to the right.

mod columns;
mod layering;
mod marks;
mod order;
mod paint;
mod position;
mod words;

use ferrite_compiler::executable::Executable;
use ferrite_ir::Graph;
use marks::Marks;

/// Draws `graph`, from which `executable` was compiled.
pub fn draw(graph: &Graph, executable: &Executable, title: &str, subtitle: &str) -> String {
    let mut layered = layering::layered(graph);
    order::uncross(&mut layered);
    let columns = columns::split(&layered);
    let places = position::place(&layered, &columns);
    paint::paint(
        graph,
        &Marks::of(executable),
        &layered,
        &columns,
        &places,
        title,
        subtitle,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph_svg::position::{Places, ROW};
    use ferrite_ir::op::{Activation, Binary};
    use ferrite_ir::{DType, Node, OpKind, Tensor, TensorId};
    use ferrite_runtime::session::cpu_only;

    /// Operators with two operands: each takes its predecessor's result and one from `back` before.
    fn graph(ops: usize, back: usize) -> Graph {
        let tensor = |index: usize| Tensor {
            name: format!("<t{index}>"),
            shape: [1, 8, 8, index].into(),
            dtype: DType::I8,
            quant: None,
            data: None,
            variable: false,
        };
        let node = |op: usize| Node {
            kind: OpKind::Binary {
                op: Binary::Add,
                activation: Activation::None,
            },
            inputs: [op, op.saturating_sub(back)]
                .map(|id| Some(TensorId::from_u32(id as u32)))
                .into_iter()
                .collect(),
            outputs: [TensorId::from_u32(op as u32 + 1)].into_iter().collect(),
        };
        Graph::new(
            "test",
            (0..=ops).map(tensor).collect(),
            (0..ops).map(node).collect(),
            vec![TensorId::from_u32(0)],
            vec![TensorId::from_u32(ops as u32)],
        )
    }

    fn places(graph: &Graph) -> (layering::Layered, Places) {
        let mut layered = layering::layered(graph);
        order::uncross(&mut layered);
        let columns = columns::split(&layered);
        let places = position::place(&layered, &columns);
        (layered, places)
    }

    #[test]
    fn boxes_do_not_overlap() {
        for (ops, back) in [(1, 0), (30, 3), (160, 7)] {
            let (layered, places) = places(&graph(ops, back));
            for (a, va) in layered.vertices.iter().enumerate() {
                for (b, vb) in layered.vertices.iter().enumerate().skip(a + 1) {
                    let dx = (places.x[a] - places.x[b]).abs();
                    let dy = (places.y[a] - places.y[b]).abs();
                    let apart = dx >= (va.width + vb.width) / 2.0 - 1e-6 || dy >= ROW - 1e-6;
                    assert!(apart, "{ops} {back}: {va:?} {vb:?}");
                }
            }
        }
    }

    #[test]
    fn edges_go_down_one_layer_at_a_time() {
        let (layered, _) = places(&graph(40, 5));
        for segment in &layered.segments {
            let layer = |v: usize| layered.vertices[v].layer;
            assert_eq!(layer(segment.from) + 1, layer(segment.to));
        }
    }

    #[test]
    fn pictures_show_every_operator_and_escape_names() {
        let graph = graph(50, 2);
        let svg = draw(&graph, &cpu_only(&graph), "a & b", "c < d");
        assert_eq!(svg.matches("ADD</text>").count(), 50);
        assert!(svg.contains("a &amp; b") && svg.contains("c &lt; d"));
        assert!(svg.contains("&lt;t0&gt;") && !svg.contains("<t0>"));
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn an_empty_graph_is_a_picture_too() {
        let graph = Graph::default();
        let svg = draw(&graph, &cpu_only(&graph), "nothing", "");
        assert!(svg.contains("nothing"));
    }
}
