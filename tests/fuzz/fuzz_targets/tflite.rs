//! Any bytes are a model or an error, in bounded time and memory; a model that was read passes
//! the queries that everything else makes of it, and comes back from its textual form.
//!
//! Good seeds are small models. `-malloc_limit_mb` and `-timeout` turn a broken bound into a
//! finding.
#![no_main]

use ferrite_ir::text::{Constants, parse, print};
use ferrite_ir::tflite;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(graph) = tflite::read(file) else {
        return;
    };
    let uses = graph.uses();
    for op in graph.op_ids() {
        let _ = (graph.op_name(op), graph.macs(op));
        for &id in &graph.node(op).outputs {
            assert_eq!(uses.producer(id), Some(op));
        }
    }
    let text = print(&graph, Constants::Inline);
    assert_eq!(parse(&text).as_ref(), Ok(&graph));
});
