//! From a file to an answer: runs a TFLite model on inputs of zeros, on the best device that there is.
//!
//!     cargo run --release -p ferrite-runtime --example run_model -- MODEL.tflite [DEVICE]

use ferrite_compiler::Options;
use ferrite_ir::tflite;
use ferrite_runtime::Session;
use ferrite_runtime::cpu::Value;
use ferrite_runtime::device::{self, DeviceSpec};
use ferrite_runtime::session::cpu_only;
use std::error::Error;
use std::sync::Arc;

fn run(model: &[u8], device: &DeviceSpec) -> Result<Vec<Value>, Box<dyn Error>> {
    let graph = Arc::new(tflite::read(model)?);
    let device = device::open(device)?;
    let executable = match &device {
        Some(device) => ferrite_compiler::compile(&graph, &Options::new(device.target()))?,
        None => cpu_only(&graph),
    };
    let mut session = Session::new(Arc::clone(&graph), Arc::new(executable), device.as_deref())?;
    let inputs = graph.inputs.iter().map(|&id| {
        let tensor = graph.tensor(id);
        Value::zeros(tensor.dtype, tensor.shape.to_vec())
    });
    Ok(session.run(&inputs.collect::<Result<Vec<_>, _>>()?)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give a .tflite model")?;
    let device = arguments
        .next()
        .map_or(Ok(DeviceSpec::Auto), |name| name.parse())?;
    for output in run(&std::fs::read(path)?, &device)? {
        println!("{:?} {:?}", output.shape(), output.bytes());
    }
    Ok(())
}

#[test]
fn the_simulator_answers_as_the_cpu_does() {
    let model = include_bytes!("../../../examples/digits/digits.tflite");
    let on = |device: &str| {
        let device = device.parse().expect("a device");
        run(model, &device).expect("the demonstration's model runs")
    };
    let best = |outputs: &[Value]| {
        let scores = outputs[0].view::<i8>().expect("scores");
        assert_eq!(scores.len(), 10);
        (0..10).max_by_key(|&class| scores[class])
    };
    assert_eq!(best(&on("sim:rk3588")), best(&on("cpu")));
}
