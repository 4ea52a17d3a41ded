//! Files that are cut, damaged or hostile: an error that names what is wrong, soon and without
//! much memory, never a panic.

use std::time::{Duration, Instant};

use ferrite_ir::tflite::{OpFault, ReadError, TensorFault, read};
use ferrite_ir::{OpId, TensorId};
use ferrite_testing::flatbuffer::{Table, Value};
use ferrite_testing::tflite::{Model, classifier, code, element};
use ferrite_testing::{cases, models};

/// No damaged file of these sizes takes a tenth of this; whatever grows faster than the file does
/// takes many times as long, on any machine.
const LIMIT: Duration = Duration::from_secs(5);

/// Reads in bounded time.
fn timed(file: &[u8]) -> Result<ferrite_ir::Graph, ReadError> {
    let start = Instant::now();
    let result = read(file);
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    result
}

/// Asserts that a file is refused with a message that contains all of `parts`.
fn assert_refused(file: &[u8], parts: &[&str]) {
    let error = timed(file).expect_err("file was accepted").to_string();
    for part in parts {
        assert!(error.contains(part), "\"{error}\" lacks \"{part}\"");
    }
}

fn u32_at(file: &[u8], at: usize) -> usize {
    u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize
}

fn put(file: &mut [u8], at: usize, value: u32) {
    file[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Position of a table's field.
fn field(file: &[u8], table: usize, index: usize) -> usize {
    let vtable = table - u32_at(file, table);
    let entry = vtable + 4 + 2 * index;
    table + usize::from(u16::from_le_bytes([file[entry], file[entry + 1]]))
}

/// Where the reference at `at` points.
fn follow(file: &[u8], at: usize) -> usize {
    at + u32_at(file, at)
}

/// Position of the subgraph table of a model file.
fn subgraph(file: &[u8]) -> usize {
    let vector = follow(file, field(file, u32_at(file, 0), 2));
    follow(file, vector + 4)
}

#[test]
fn the_model_that_is_damaged_below_is_good() {
    let graph = read(&classifier().file()).unwrap();
    assert_eq!(graph.op_count(), 4);
    assert_eq!(graph.tensors.len(), 9);
}

#[test]
fn every_truncation_is_refused() {
    let file = classifier().file();
    // The last bytes are padding of the last table's vectors.
    for cut in 0..file.len() {
        if let Ok(graph) = timed(&file[..cut]) {
            panic!(
                "cut at {cut} of {} gave {} nodes",
                file.len(),
                graph.op_count()
            );
        }
    }
}

#[test]
fn every_single_byte_change_is_survived() {
    let file = classifier().file();
    let mut changed = file.clone();
    for at in 0..file.len() {
        for value in [
            0,
            1,
            0x7f,
            0x80,
            0xff,
            file[at] ^ 1,
            file[at].wrapping_add(1),
        ] {
            changed[at] = value;
            let _ = timed(&changed);
        }
        changed[at] = file[at];
    }
}

#[test]
fn every_word_that_becomes_extreme_is_survived() {
    let file = classifier().file();
    for at in 0..file.len() - 4 {
        for value in [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fff0] {
            let mut changed = file.clone();
            put(&mut changed, at, value);
            let _ = timed(&changed);
        }
    }
}

#[test]
fn damaged_reference_files_are_survived() {
    let small = cases::public()
        .into_iter()
        .filter(|c| c.model().len() < 20_000);
    for case in small {
        let file = case.model();
        for cut in (0..file.len()).step_by(61) {
            let _ = timed(&file[..cut]);
        }
        for at in (0..file.len()).step_by(17) {
            let mut changed = file.clone();
            changed[at] ^= 0xff;
            let _ = timed(&changed);
        }
    }
    for model in models::public() {
        let file = model.bytes();
        for part in 1..20 {
            assert!(
                timed(&file[..file.len() * part / 20]).is_err(),
                "{}",
                model.name
            );
        }
    }
}

#[test]
fn what_is_not_a_model() {
    assert_refused(b"", &["0 bytes", "too short"]);
    assert_refused(b"\x1c\0\0\0TFL2 and more", &["identifier", "TFL2"]);
    assert_refused(
        &classifier().table().with(0, Value::U32(2)).file(b"TFL3"),
        &["version 2"],
    );
    assert_refused(
        &Table::new().with(0, Value::U32(3)).file(b"TFL3"),
        &["no subgraph"],
    );
}

#[test]
fn structure_outside_the_file() {
    let good = classifier().file();
    let spoil = |at: usize, value: u32| {
        let mut file = good.clone();
        put(&mut file, at, value);
        file
    };
    let root = u32_at(&good, 0);
    let graph = subgraph(&good);
    assert_refused(&spoil(0, 0xffff_fff0), &["table Model", "outside"]);
    // A vtable that is the table itself, one before the file, one behind it.
    assert_refused(&spoil(root, 0), &["table Model", "vtable"]);
    assert_refused(&spoil(root, 0x7fff_ffff), &["table Model", "vtable"]);
    assert_refused(&spoil(root, 0x8000_0001), &["table Model", "vtable"]);
    let tensors = field(&good, graph, 0);
    assert_refused(
        &spoil(tensors, 0xffff_ff00),
        &["SubGraph", "tensors", "outside"],
    );
    // A vector that claims four milliards of elements.
    assert_refused(
        &spoil(follow(&good, tensors), 0xffff_ffff),
        &["SubGraph", "tensors", "outside"],
    );
    let shape = follow(
        &good,
        field(&good, follow(&good, follow(&good, tensors) + 4), 0),
    );
    assert_refused(
        &spoil(shape, 0x4000_0000),
        &["tensor 0", "shape", "outside"],
    );
    // A field that is outside of its table.
    let mut file = good.clone();
    let vtable = graph - u32_at(&good, graph);
    file[vtable + 4..vtable + 6].copy_from_slice(&0xfff0u16.to_le_bytes());
    assert_refused(&file, &["SubGraph", "tensors", "field offset 65520"]);
    // A vtable of an odd size.
    file = good.clone();
    file[vtable] |= 1;
    assert_refused(&file, &["SubGraph", "vtable", "even"]);
}

#[test]
fn tensors_that_cannot_be() {
    // Tensor 1 is the filter of the convolution, int8[2,1,1,3].
    let tensor = |index: usize, field: u16, value: Value| {
        let mut model = classifier();
        model.tensors[index].set(field, value);
        model.file()
    };
    let refused = |field, value, parts: &[&str]| {
        let parts = [&["tensor 1 \"w\""], parts].concat();
        assert_refused(&tensor(1, field, value), &parts);
    };
    refused(0, Value::i32s(&[2, -1, 1, 3]), &["dimension 1 is -1"]);
    refused(0, Value::i32s(&[2, 1, 1, 4]), &["6 bytes", "needs 8"]);
    refused(0, Value::i32s(&[0x7fff_ffff; 8]), &["more than"]);
    refused(0, Value::i32s(&[1; 9]), &["rank 9"]);
    refused(1, Value::I8(element::STRING), &["STRING"]);
    refused(1, Value::I8(99), &["code 99"]);
    refused(2, Value::U32(77), &["buffer 77", "there are 5"]);
    refused(6, Value::Table(Table::new()), &["sparse"]);
    refused(10, Value::U32(1), &["another file"]);
    let quantization = |scales: &[f32], zeros: &[i64], axis| {
        let table = Table::new()
            .with(2, Value::f32s(scales))
            .with(3, Value::i64s(zeros))
            .with(6, Value::I32(axis));
        Value::Table(table)
    };
    refused(4, quantization(&[1.0; 3], &[0; 3], 0), &["3 scales for 2"]);
    refused(
        4,
        quantization(&[1.0; 2], &[0; 2], 4),
        &["quantised dimension 4"],
    );
    refused(
        4,
        quantization(&[1.0; 2], &[0; 2], -1),
        &["quantised dimension -1"],
    );
    refused(4, quantization(&[1.0; 2], &[0; 3], 0), &["3 zero points"]);
    refused(
        4,
        quantization(&[1.0; 2], &[0, 128], 0),
        &["zero point 1 is 128"],
    );
    refused(
        4,
        quantization(&[1.0, f32::NAN], &[0; 2], 0),
        &["scale 1 is NaN"],
    );
    refused(4, quantization(&[0.0, 1.0], &[0; 2], 0), &["scale 0 is 0"]);

    let fault = |file: &[u8]| match timed(file).unwrap_err() {
        ReadError::Tensor { fault, .. } => fault,
        other => panic!("{other}"),
    };
    let outside = Table::new()
        .with(1, Value::U64(u64::MAX - 1))
        .with(2, Value::U64(4));
    let mut model = classifier();
    model.buffers[1] = outside;
    assert!(matches!(
        fault(&model.file()),
        TensorFault::DataOutside { .. }
    ));
}

#[test]
fn data_behind_the_flatbuffer() {
    let mut model = classifier();
    let length = model.file().len();
    // Sizes do not depend on the values, so one more round gives the true position.
    for _ in 0..2 {
        let at = model.file().len().max(length).next_multiple_of(16) as u64;
        model.buffers[1] = Table::new().with(1, Value::U64(at)).with(2, Value::U64(6));
    }
    let mut file = model.file();
    let at = length.max(file.len()).next_multiple_of(16);
    file.resize(at, 0);
    file.extend([9, 8, 7, 6, 5, 4]);
    let graph = read(&file).unwrap();
    assert_eq!(
        graph.tensors[TensorId::from_u32(1)].data.as_deref(),
        Some(&[9, 8, 7, 6, 5, 4][..])
    );
    file.pop();
    assert_refused(&file, &["tensor 1", "buffer 1", "outside the file"]);
}

#[test]
fn operators_that_cannot_be() {
    let fault = |model: &Model| match timed(&model.file()).unwrap_err() {
        ReadError::Op { fault, .. } => fault,
        other => panic!("{other}"),
    };
    let spoil = |index: usize, field: u16, value: Value| {
        let mut model = classifier();
        model.operators[index].set(field, value);
        fault(&model)
    };
    assert!(matches!(
        spoil(0, 0, Value::U32(9)),
        OpFault::NoOperatorCode { index: 9, codes: 4 }
    ));
    assert!(matches!(
        spoil(0, 1, Value::i32s(&[0])),
        OpFault::InputCount { found: 1, .. }
    ));
    assert!(matches!(
        spoil(0, 1, Value::i32s(&[0, 44, 2])),
        OpFault::Input { index: 1, .. }
    ));
    assert!(matches!(
        spoil(0, 1, Value::i32s(&[0, -1, 2])),
        OpFault::InputOmitted { index: 1 }
    ));
    assert!(matches!(
        spoil(0, 1, Value::i32s(&[0, -2, 2])),
        OpFault::Input { tensor: -2, .. }
    ));
    assert!(matches!(
        spoil(0, 2, Value::i32s(&[])),
        OpFault::OutputCount { found: 0, .. }
    ));
    assert!(matches!(
        spoil(0, 2, Value::i32s(&[-1])),
        OpFault::Output { tensor: -1, .. }
    ));
    assert!(matches!(
        spoil(0, 3, Value::U8(9)),
        OpFault::OptionsType {
            found: 9,
            expected: 1
        }
    ));
    assert!(matches!(spoil(0, 3, Value::U8(0)), OpFault::NoOptions));
    let options = |field, value| Value::Table(conv().with(field, value));
    let padding = spoil(0, 4, options(0, Value::I8(2)));
    assert!(matches!(
        padding,
        OpFault::Option {
            field: "padding",
            value: 2
        }
    ));
    let stride = spoil(0, 4, options(1, Value::I32(0)));
    assert!(matches!(
        stride,
        OpFault::Option {
            field: "stride_w",
            value: 0
        }
    ));
    let dilation = spoil(0, 4, options(5, Value::I32(i32::MIN)));
    assert!(matches!(
        dilation,
        OpFault::Option {
            field: "dilation_h_factor",
            ..
        }
    ));
    let fused = spoil(0, 4, options(3, Value::I8(4)));
    assert!(matches!(fused, OpFault::UnsupportedOption { value: 4, .. }));

    let mut model = classifier();
    model.codes[3].set(3, Value::I32(4711));
    assert!(matches!(fault(&model), OpFault::UnknownCode { code: 4711 }));
    model.codes[3].set(3, Value::I32(code::IF));
    model.subgraphs.push(Table::new());
    assert!(matches!(
        fault(&model),
        OpFault::ControlFlow { subgraphs: 2 }
    ));
}

fn conv() -> Table {
    ferrite_testing::tflite::conv_options().1
}

#[test]
fn cyclic_and_unordered_graphs() {
    // The first convolution reads what the softmax gives.
    let mut model = classifier();
    model.operators[0].set(1, Value::i32s(&[8, 1, 2]));
    assert_refused(
        &model.file(),
        &["operator 0 CONV_2D", "tensor 8", "nothing before"],
    );
    // An operator on its own result.
    model = classifier();
    model.operators[3].set(1, Value::i32s(&[8]));
    assert_refused(
        &model.file(),
        &["operator 3 SOFTMAX", "tensor 8", "nothing before"],
    );
    // Two operators with one result; a constant and an input as results.
    for (result, role) in [
        (3, "result of an operator"),
        (1, "a constant"),
        (0, "a graph input"),
    ] {
        model = classifier();
        model.operators[1].set(2, Value::i32s(&[result]));
        assert_refused(
            &model.file(),
            &["operator 1 MEAN", &format!("tensor {result}"), role],
        );
    }
    model = classifier();
    model.operators.swap(1, 2);
    assert_refused(&model.file(), &["operator 1 RESHAPE", "tensor 5"]);
    model = classifier();
    model.operators.pop();
    assert_refused(&model.file(), &["tensor 8 \"out\"", "nothing produces"]);
    model = classifier();
    model.inputs = vec![0, 0];
    assert_refused(
        &model.file(),
        &["tensor 0", "a graph input and a graph input"],
    );
    model = classifier();
    model.outputs = vec![8, 9];
    assert_refused(&model.file(), &["outputs[1]", "tensor 9", "there are 9"]);
}

#[test]
fn graphs_that_contradict_themselves() {
    let tensor = |index: usize, field: u16, value: Value| {
        let mut model = classifier();
        model.tensors[index].set(field, value);
        model.file()
    };
    let shaped = |index, shape: &[i32]| tensor(index, 0, Value::i32s(shape));
    assert_refused(
        &shaped(3, &[1, 4, 5, 2]),
        &["CONV_2D", "[1, 4, 5, 2]", "[1, 4, 4, 2]"],
    );
    assert_refused(&shaped(0, &[1, 4, 4, 4]), &["CONV_2D", "input 1"]);
    assert_refused(&shaped(0, &[4, 4, 3]), &["CONV_2D", "rank 4"]);
    assert_refused(&shaped(0, &[0, 4, 4, 3]), &["tensor 0", "dimension 0"]);
    assert_refused(&shaped(6, &[1, 3]), &["RESHAPE"]);
    assert_refused(
        &tensor(3, 1, Value::I8(element::UINT8)),
        &["tensor 3", "zero point"],
    );
    let float = tensor(8, 1, Value::I8(element::FLOAT32));
    assert_refused(&float, &["SOFTMAX", "output 0", "float32", "expected int8"]);

    let mut model = classifier();
    model.tensors[3].remove(4);
    assert_refused(
        &model.file(),
        &["CONV_2D", "output 0", "without quantisation"],
    );
    model = classifier();
    model.buffers[3] = Table::new().with(0, Value::bytes(&[1, 0, 0, 0, 9, 0, 0, 0]));
    assert_refused(&model.file(), &["MEAN", "axis 9 of rank 4"]);
}

#[test]
fn operators_without_kernels_are_known_by_name() {
    let mut model = classifier();
    model.codes[3].set(3, Value::I32(code::GELU));
    let graph = read(&model.file()).unwrap();
    assert_eq!(graph.node(OpId::from_u32(3)).kind.name(), "GELU");
    model = classifier();
    let last = model.tensor("more", element::INT8, &[7], None);
    model.custom("My_Operator", &[8], &[last], b"whatever");
    let graph = read(&model.file()).unwrap();
    assert_eq!(graph.node(OpId::from_u32(4)).kind.name(), "My_Operator");
}

/// Many references to one large part: a file of this size must not make a graph of gigabytes.
#[test]
fn shared_parts_do_not_multiply() {
    // All 200000 entries of the tensor list point at one tensor.
    let good = classifier().file();
    let mut file = good.clone();
    let list = file.len();
    let count = 200_000u32;
    file.extend(count.to_le_bytes());
    let first = follow(&good, follow(&good, field(&good, subgraph(&good), 0)) + 4);
    // References go forward only, so the shared table is copied behind the list.
    let copied = list + 4 + 4 * count as usize;
    for i in 0..count as usize {
        let at = list + 4 + 4 * i;
        file.extend(((copied + first - at) as u32).to_le_bytes());
    }
    file.extend_from_slice(&good);
    let reference = field(&good, subgraph(&good), 0);
    put(&mut file, reference, (list - reference) as u32);
    assert_refused(&file, &["bytes of memory"]);

    // Thousands of custom operators share one long name.
    let mut model = classifier();
    model.custom(&"n".repeat(100_000), &[8], &[], b"");
    let operator = model.operators.pop().unwrap();
    model.operators.extend(std::iter::repeat_n(operator, 2_000));
    assert_refused(&model.file(), &["bytes of memory"]);
}

/// Thousands of operators that each look at one long constant, or each have something wrong.
#[test]
fn long_lists_cost_nothing_each() {
    let mut model = classifier();
    let axes = model.list("axes", &vec![0; 200_000]);
    for _ in 0..20_000 {
        let y = model.tensor("", element::INT8, &[1, 2], None);
        let keep = Table::new().with(0, Value::U8(1));
        model.op(code::MEAN, &[8, axes], &[y], Some((27, keep)));
        model.tensors[y as usize] = model.tensors[8].clone();
    }
    model.codes.truncate(5);
    for operator in &mut model.operators[4..] {
        operator.set(0, Value::U32(1));
    }
    let graph = timed(&model.file()).unwrap();
    assert_eq!(graph.op_count(), 20_004);
}
