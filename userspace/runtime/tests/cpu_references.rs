//! The CPU kernels against LiteRT's reference kernels: every public op case, every public model end
//! to end, and every stored intermediate tensor, all bit for bit.

use ferrite_ir::{DType, TensorId, tflite};
use ferrite_npy::{Array, ElementType};
use ferrite_runtime::cpu::{Interpreter, Value};
use ferrite_testing::{cases, models};

fn dtype(t: ElementType) -> DType {
    match t {
        ElementType::U8 => DType::U8,
        ElementType::I8 => DType::I8,
        ElementType::I16 => DType::I16,
        ElementType::I32 => DType::I32,
        ElementType::I64 => DType::I64,
        ElementType::F32 => DType::F32,
        other => panic!("no graph has elements of type {other:?}"),
    }
}

fn value(array: &Array) -> Value {
    Value::from_bytes(dtype(array.element), array.shape.clone(), &array.data).unwrap()
}

/// The difference of a result from its reference, if there is one.
fn difference(found: &Value, expected: &Array) -> Option<String> {
    if found.shape() != expected.shape || found.dtype() != dtype(expected.element) {
        return Some(format!(
            "{:?} {:?} instead of {:?} {:?}",
            found.dtype(),
            found.shape(),
            expected.element,
            expected.shape
        ));
    }
    let size = found.dtype().size();
    let pairs = found.bytes().chunks(size).zip(expected.data.chunks(size));
    let wrong: Vec<usize> = pairs
        .enumerate()
        .filter(|(_, (a, b))| a != b)
        .map(|(i, _)| i)
        .collect();
    let first = *wrong.first()?;
    let at = |bytes: &[u8]| bytes[first * size..][..size].to_vec();
    Some(format!(
        "{} of {} elements differ, first {first}: {:?} instead of {:?}",
        wrong.len(),
        found.elements(),
        at(found.bytes()),
        at(&expected.data)
    ))
}

/// Runs all cases and returns a line for each that is not exact.
fn failures(cases: &[cases::Case]) -> Vec<String> {
    let mut failures = Vec::new();
    for case in cases {
        let (inputs, expected) = case.arrays();
        let inputs: Vec<Value> = inputs.iter().map(value).collect();
        let graph = match tflite::read(&case.model()) {
            Ok(graph) => graph,
            Err(e) => {
                failures.push(format!("{}: {e}", case.id));
                continue;
            }
        };
        match Interpreter::new(graph).and_then(|i| i.run(&inputs)) {
            Err(e) => failures.push(format!("{}: {e}", case.id)),
            Ok(outputs) => {
                assert_eq!(outputs.len(), expected.len(), "{}", case.id);
                for (i, (found, expected)) in outputs.iter().zip(&expected).enumerate() {
                    if let Some(d) = difference(found, expected) {
                        failures.push(format!("{} output {i}: {d}", case.id));
                    }
                }
            }
        }
    }
    failures
}

#[test]
fn public_op_cases_are_exact() {
    let cases = cases::public();
    let failures = failures(&cases);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("{} op cases exact", cases.len());
}

/// More cases from the generator of the public ones: folders named in `FERRITE_OP_CASES`,
/// separated by colons.
#[test]
fn further_op_cases_are_exact() {
    let Some(folders) = std::env::var_os("FERRITE_OP_CASES") else {
        eprintln!("skipped: FERRITE_OP_CASES names no folders of cases");
        return;
    };
    let mut count = 0;
    let mut wrong = Vec::new();
    for folder in std::env::split_paths(&folders) {
        let cases = cases::read(&folder);
        count += cases.len();
        let lines = failures(&cases);
        wrong.extend(lines.iter().map(|l| format!("{}/{l}", folder.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{count} op cases exact");
}

#[test]
fn public_models_are_exact_end_to_end() {
    for model in models::public() {
        let interpreter = Interpreter::new(tflite::read(&model.bytes()).unwrap()).unwrap();
        for case in &model.cases {
            let name = format!("{}.{}", model.name, case.id);
            let inputs: Vec<Value> = model.inputs(case).iter().map(value).collect();
            let outputs = interpreter
                .run(&inputs)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            let expected = model.outputs(case);
            assert_eq!(outputs.len(), expected.len());
            for (i, (found, expected)) in outputs.iter().zip(&expected).enumerate() {
                let d = difference(&narrowed(found, expected.element), expected);
                assert!(d.is_none(), "{name} output {i}: {}", d.unwrap());
            }
        }
        println!("{}: {} cases exact", model.name, model.cases.len());
    }
}

#[test]
fn every_layer_is_exact() {
    for model in models::public() {
        let Some((id, layers)) = model.layers() else {
            continue;
        };
        let interpreter = Interpreter::new(tflite::read(&model.bytes()).unwrap()).unwrap();
        let case = model.cases.iter().find(|c| c.id == id).unwrap();
        let inputs: Vec<Value> = model.inputs(case).iter().map(value).collect();
        let values = interpreter.run_keeping_all(&inputs).unwrap();
        let mut count = 0;
        for (index, expected) in &layers {
            let Some(found) = &values[TensorId::from_u32(*index as u32)] else {
                continue;
            };
            let name = format!("{}.{id} tensor {index}", model.name);
            let d = difference(&narrowed(found, expected.element), expected);
            assert!(d.is_none(), "{name}: {}", d.unwrap());
            count += 1;
        }
        assert!(count > 0, "{}: no layer was compared", model.name);
        println!(
            "{}: {count} of {} stored layers exact",
            model.name,
            layers.len()
        );
    }
}

/// References of int32 and int64 tensors are stored as uint8 where their values fit.
fn narrowed(value: &Value, stored: ElementType) -> Value {
    let integers = match value.integers() {
        Ok(integers) if stored == ElementType::U8 => integers,
        _ => return value.clone(),
    };
    let bytes: Vec<u8> = integers.iter().map(|&v| u8::try_from(v).unwrap()).collect();
    Value::from_slice(value.shape(), &bytes).unwrap()
}
