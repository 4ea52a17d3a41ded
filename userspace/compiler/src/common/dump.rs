//! Schedules as text, for reading and for tests.

use std::fmt::{self, Write};

use ferrite_ir::Graph;

use super::plan_segments::Event;

/// Appends the steps to `text`, one a line, with what `note` says about a layer behind it.
pub fn steps<L: fmt::Display>(
    text: &mut String,
    graph: &Graph,
    events: &[Event<L>],
    note: impl Fn(&L) -> String,
) {
    for event in events {
        let _ = match event {
            Event::Cpu(op) => writeln!(text, "cpu {} {}", op.0, graph.op_name(*op)),
            Event::Enter(map, tensor) => writeln!(text, "enter %{} = t{}", map.0, tensor.0),
            Event::Leave(map, tensor) => writeln!(text, "leave t{} = %{}", tensor.0, map.0),
            Event::Requantise(map, tensor, _) => {
                writeln!(text, "requantise t{} = %{}", tensor.0, map.0)
            }
            Event::Submit(layers) => {
                let _ = writeln!(text, "submit");
                for layer in layers {
                    let _ = writeln!(text, "  {layer}{}", note(layer));
                }
                Ok(())
            }
        };
    }
}
