//! Operators that keep their operand's values, with a result that is quantised differently all the
//! same: on every device the result is that of the CPU kernels, which are TFLite's, or all refuse.

use ferrite_compiler::{Evidence, Options};
use ferrite_ir::{DType, Graph};
use ferrite_runtime::Session;
use ferrite_runtime::cpu::{Interpreter, Value};
use ferrite_runtime::device::{self, DeviceSpec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::sync::Arc;

/// Scale and zero point, the latter from the middle of the range.
type Quant = (f32, i32);

/// Operators: name and attributes, further operands (type, shape, values), shapes of the results, given
/// those of an operand of even height and width.
fn operator(index: usize, [h, w, c]: [usize; 3]) -> (String, Vec<String>, Vec<Vec<usize>>) {
    let whole = vec![1, h, w, c];
    let list = |values: &[usize]| format!("int32[{}] = {values:?}", values.len());
    let one = |text: &str, operands: Vec<String>, shape: Vec<usize>| {
        (text.to_owned(), operands, vec![shape])
    };
    let pool = |kind: &str, padding: &str, activation: &str, shape| {
        let text =
            format!("{kind} padding={padding} window=2x2 stride=2x2 activation={activation}");
        (text, vec![], vec![shape])
    };
    let half = vec![1, h / 2, w / 2, c];
    match index {
        0 => pool("AVERAGE_POOL_2D", "VALID", "NONE", half),
        1 => pool("AVERAGE_POOL_2D", "SAME", "RELU", half),
        2 => pool("AVERAGE_POOL_2D", "SAME", "RELU6", half),
        3 => pool("MAX_POOL_2D", "VALID", "NONE", half),
        4 => pool("MAX_POOL_2D", "SAME", "RELU6", half),
        5 => {
            let pads = "int32[4,2] = [0, 0, 1, 2, 0, 1, 0, 0]".to_owned();
            one("PAD", vec![pads], vec![1, h + 3, w + 1, c])
        }
        6 => one(
            "RESIZE_NEAREST_NEIGHBOR align_corners=false half_pixel_centers=false",
            vec![list(&[2 * h, 2 * w])],
            vec![1, 2 * h, 2 * w, c],
        ),
        7 => one(
            "RESIZE_BILINEAR align_corners=false half_pixel_centers=true",
            vec![list(&[2 * h, 2 * w])],
            vec![1, 2 * h, 2 * w, c],
        ),
        8 => one(
            "SLICE",
            vec![list(&[0, 1, 0, 0]), list(&[1, h - 1, w, c])],
            vec![1, h - 1, w, c],
        ),
        9 => {
            let masks =
                "begin_mask=0 end_mask=0 ellipsis_mask=0 new_axis_mask=0 shrink_axis_mask=0";
            let operands = vec![
                list(&[0, 0, 0, 0]),
                list(&[1, h, w, c]),
                list(&[1, 2, 2, 1]),
            ];
            one(&format!("STRIDED_SLICE {masks}"), operands, half)
        }
        10 => one("TRANSPOSE", vec![list(&[0, 2, 1, 3])], vec![1, w, h, c]),
        11 => one(
            "SPACE_TO_DEPTH block=2",
            vec![],
            vec![1, h / 2, w / 2, 4 * c],
        ),
        12 => one("RESHAPE", vec![list(&[1, w, h, c])], vec![1, w, h, c]),
        13 => one(
            "RESHAPE",
            vec![list(&[1, 1, h * w, c])],
            vec![1, 1, h * w, c],
        ),
        14 => one("CONCATENATION axis=3 activation=NONE", vec![], whole),
        15 => one("RELU", vec![], whole),
        16 => one("QUANTIZE", vec![], whole),
        17 => one("MEAN keep_dims=true", vec![list(&[1, 2])], vec![1, 1, 1, c]),
        18 => one(
            "REDUCE_MAX keep_dims=true",
            vec![list(&[1, 2])],
            vec![1, 1, 1, c],
        ),
        _ => one("GATHER axis=1", vec![list(&[1, 0])], vec![1, 2, w, c]),
    }
}

/// Operators that [`operator`] knows.
const OPERATORS: usize = 20;

fn graph(index: usize, size: [usize; 3], signed: bool, quants: [Quant; 2]) -> Graph {
    let dtype = if signed { "int8" } else { "uint8" };
    let quant = |(scale, zero): Quant| {
        format!(
            "scale {scale:?} zero {}",
            if signed { zero } else { zero + 128 }
        )
    };
    let (kind, operands, results) = operator(index, size);
    let [h, w, c] = size;
    let mut text = "graph \"one operator\"\ninputs %0\noutputs %1\n\n".to_owned();
    text += &format!("%0 \"x\": {dtype}[1,{h},{w},{c}] {}\n", quant(quants[0]));
    let shape: Vec<String> = results[0].iter().map(usize::to_string).collect();
    text += &format!(
        "%1 \"y\": {dtype}[{}] {}\n",
        shape.join(","),
        quant(quants[1])
    );
    let mut names = vec!["%0".to_owned()];
    for (number, operand) in operands.iter().enumerate() {
        let name = format!("%{}", number + 2);
        text += &format!("{name} \"o{number}\": {operand}\n");
        names.push(name);
    }
    let (name, attributes) = kind.split_once(' ').unwrap_or((&kind, ""));
    text += &format!("\n%1 = {name}({}) {attributes}\n", names.join(", "));
    ferrite_ir::text::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn on(device: &str, graph: &Arc<Graph>, input: &Value) -> (bool, Result<Value, String>) {
    let spec: DeviceSpec = device.parse().unwrap();
    let device = device::open(&spec).unwrap().unwrap();
    let options = Options {
        evidence: Evidence::Inferred,
        cores: device.cores(),
        ..Options::new(device.target())
    };
    let executable = ferrite_compiler::compile(graph, &options).unwrap();
    let npu = !executable.buffers.is_empty();
    let session = Session::new(Arc::clone(graph), Arc::new(executable), Some(&*device));
    let result = session.and_then(|mut session| session.run(std::slice::from_ref(input)));
    let result = result.map(|mut values| values.remove(0));
    (npu, result.map_err(|error| error.to_string()))
}

fn quant() -> impl Strategy<Value = Quant> {
    ((-6f32..2.0).prop_map(f32::exp2), -100..100)
}

#[test]
fn devices_agree_whatever_the_results_quantisation() {
    let on_npu = [Cell::new(0), Cell::new(0)];
    let cases = (
        0..OPERATORS,
        [1usize..6, 1usize..6, 1usize..24],
        any::<bool>(),
        [quant(), quant()],
        0..8u32,
        any::<u32>(),
    );
    let mut runner = TestRunner::new(Config::with_cases(600));
    let result = runner.run(
        &cases,
        |(index, [h, w, c], signed, mut quants, equal, seed)| {
            let size = [2 * h, 2 * w, c];
            if equal == 0 {
                quants[1] = quants[0];
            }
            let graph = Arc::new(graph(index, size, signed, quants));
            let dtype = if signed { DType::I8 } else { DType::U8 };
            let bytes: Vec<u8> = (0..size.iter().product::<usize>() as u32)
                .map(|i| ((i ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect();
            let input = Value::from_bytes(dtype, [1, size[0], size[1], c], &bytes).unwrap();
            let reference = Interpreter::new(Arc::clone(&graph))
                .and_then(|cpu| cpu.run(std::slice::from_ref(&input)))
                .map(|mut values| values.remove(0));
            for (target, device) in ["sim:rk3588", "sim:a311d"].into_iter().enumerate() {
                let (npu, found) = on(device, &graph, &input);
                let counted = usize::from(npu && quants[0] != quants[1]);
                on_npu[target].set(on_npu[target].get() + counted);
                match (&reference, found) {
                    (Ok(expected), Ok(found)) => {
                        let number = |&byte: &u8| match signed {
                            true => i32::from(byte as i8),
                            false => i32::from(byte),
                        };
                        let pairs = found.bytes().iter().zip(expected.bytes());
                        let most = pairs.map(|(a, b)| (number(a) - number(b)).abs()).max();
                        prop_assert!(most <= Some(1), "{device}: {most:?} steps off");
                    }
                    (Err(_), Err(_)) => {}
                    (reference, found) => prop_assert!(
                        false,
                        "{device}: {:?}, on the CPU: {:?}",
                        found.err(),
                        reference.as_ref().err().map(ToString::to_string)
                    ),
                }
            }
            Ok(())
        },
    );
    if let Err(error) = result {
        panic!("{error}");
    }
    // It says something about the NPUs only if much of it has run there.
    assert!(on_npu.iter().all(|count| count.get() > 20), "{on_npu:?}");
}
