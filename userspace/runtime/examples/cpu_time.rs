//! scratch
use ferrite_ir::tflite;
use ferrite_runtime::cpu::{Interpreter, Value};
use ferrite_testing::models;
use std::time::{Duration, Instant};
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    s.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}
fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let ops = std::env::args().nth(2).is_some();
    for model in models::public() {
        if !model.name.contains(&filter) {
            continue;
        }
        let it = Interpreter::new(tflite::read(&model.bytes()).unwrap()).unwrap();
        let inputs: Vec<Value> = model
            .inputs(&model.cases[0])
            .iter()
            .map(|a| {
                Value::from_bytes(
                    it.graph().tensor(it.graph().inputs[0]).dtype,
                    a.shape.clone(),
                    &a.data,
                )
                .unwrap()
            })
            .collect();
        it.run(&inputs).unwrap();
        let mut best = Duration::MAX;
        let c0 = cpu();
        let n = 10;
        for _ in 0..n {
            let t = Instant::now();
            it.run(&inputs).unwrap();
            best = best.min(t.elapsed());
        }
        println!(
            "{}: best {:.2} ms wall, main thread cpu {:.2} ms",
            model.name,
            best.as_secs_f64() * 1e3,
            (cpu() - c0) / n as f64
        );
        if ops {
            let values = it.run_keeping_all(&inputs).unwrap();
            let mut rows = vec![];
            for op in it.graph().op_ids() {
                let node = it.graph().node(op);
                let ins: Vec<Option<&Value>> = node
                    .inputs
                    .iter()
                    .map(|i| i.and_then(|i| values[i.0 as usize].as_ref()))
                    .collect();
                let mut best = Duration::MAX;
                for _ in 0..5 {
                    let t = Instant::now();
                    it.run_op(op, &ins).unwrap();
                    best = best.min(t.elapsed());
                }
                rows.push((
                    best,
                    op.0,
                    it.graph().op_name(op).to_owned(),
                    it.graph().tensor(node.outputs[0]).shape.clone(),
                    node.inputs
                        .get(1)
                        .and_then(|i| i.map(|i| it.graph().tensor(i).shape.clone())),
                ));
            }
            rows.sort_by_key(|r| std::cmp::Reverse(r.0));
            for r in rows.iter().take(14) {
                println!(
                    "   {:8.3} ms op {} {} -> {:?} w {:?}",
                    r.0.as_secs_f64() * 1e3,
                    r.1,
                    r.2,
                    r.3,
                    r.4
                );
            }
        }
    }
}
