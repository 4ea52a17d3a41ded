//! The textual form: exact round trips, errors that point at the place, and its looks.

use std::collections::HashMap;

use ferrite_ir::text::{
    Constants, ContentHash, is_graph, parse, parse_with, print, random_elements,
};
use ferrite_ir::{DType, Graph, Node, OpKind, TensorId, tflite};
use ferrite_testing::{cases, models, tflite::classifier};

fn read(file: &[u8], name: &str) -> Graph {
    tflite::read(file).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn assert_round_trips(graph: &Graph, name: &str) {
    let full = print(graph, Constants::Inline);
    let back = parse(&full).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(back == *graph, "{name}: full text");
    assert_eq!(print(&back, Constants::Inline), full, "{name}");

    let data: HashMap<_, _> = graph
        .tensors
        .values()
        .filter_map(|t| t.data.clone())
        .map(|d| (ContentHash::of(&d), d))
        .collect();
    let short = print(graph, Constants::Hashed);
    let back = parse_with(&short, |hash| data.get(&hash).cloned());
    let back = back.unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(back == *graph, "{name}: text with hashes");
}

#[test]
fn reference_models_round_trip() {
    for model in models::public() {
        assert_round_trips(&read(&model.bytes(), &model.name), &model.name);
    }
}

#[test]
fn reference_cases_round_trip() {
    for case in cases::public() {
        assert_round_trips(&read(&case.model(), &case.id), &case.id);
    }
}

#[test]
fn a_small_model_as_text() {
    let graph = read(&classifier().file(), "classifier");
    assert_round_trips(&graph, "classifier");
    insta::assert_snapshot!(print(&graph, Constants::Hashed));
}

#[test]
fn names_may_hold_anything() {
    let mut graph = read(&classifier().file(), "classifier");
    for (tensor, name) in graph
        .tensors
        .values_mut()
        .zip(["a\"b\\", "\n\r\u{2028}", "é %1 = x", ""])
    {
        tensor.name = name.to_owned();
    }
    graph.name = "\u{7f}\\u{41}".to_owned();
    assert_round_trips(&graph, "odd names");
}

#[test]
fn operators_may_be_odd() {
    let mut graph = read(&classifier().file(), "classifier");
    let node = |name: &str, inputs: &[Option<u32>], outputs: &[u32]| Node {
        kind: OpKind::Unknown {
            name: name.to_owned(),
        },
        inputs: inputs.iter().map(|id| id.map(TensorId::from_u32)).collect(),
        outputs: outputs.iter().copied().map(TensorId::from_u32).collect(),
    };
    graph.push(node("without results", &[Some(0), None], &[]));
    graph.push(node("\"(%1)", &[], &[3, 4]));
    graph.push(node("", &[], &[]));
    graph.outputs.clear();
    assert_round_trips(&graph, "odd operators");
}

#[test]
fn errors_point_at_the_place() {
    let text = print(&read(&classifier().file(), "classifier"), Constants::Inline);
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        parse(&text.replacen(from, to, 1)).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            with("graph", "graf"),
            with("%1 \"w\"", "%2 \"w\""),
            with("int8[1,4,4,3]", "int9[1,4,4,3]"),
            with("scale 0.5", "scale half"),
            with("[1, 2, 3,", "[1, 2, 300,"),
            with("[1, 2, 3,", "[1, 2,"),
            with("padding=SAME", "padding=SOME"),
            with("padding=SAME ", ""),
            with("beta=1.0", "beta=1.0 gamma=2"),
            with("SOFTMAX", "SOFTMIN"),
            with("(%6)", "(%6"),
            with("= [7, -1]", "= #0000000000000001"),
        ]
        .join("\n")
    );
}

#[test]
fn graphs_may_be_written_by_hand() {
    let text = r#"; What this is about.
graph "main"
inputs %0
outputs %2
  ; Two operands.
%0 "x": int8[1,1,1,2] scale 0.5 zero 0
%1 "c": int8[1,1,1,2] scale 0.5 zero 0 = random seed=7 from=-3 to=3
%2 "y": int8[1,1,1,2] scale 0.5 zero 0
%2 = ADD(%0, %1) activation=NONE
----
anything
"#;
    assert!(is_graph(text));
    let graph = parse(text).unwrap();
    let drawn = graph.tensors.values().nth(1).and_then(|t| t.data.clone());
    let drawn = drawn.expect("a constant");
    assert_eq!(*drawn, random_elements(DType::I8, 2, 7, -3..=3));
    assert_round_trips(&graph, "a graph by hand");

    let with = |to: &str| {
        let error = parse(&text.replace("random seed=7 from=-3 to=3", to)).unwrap_err();
        error.to_string()
    };
    for (to, expected) in [
        (
            "random seed=7 from=-3 to=300",
            "a range within that of the tensor's type",
        ),
        (
            "random seed=7 from=3 to=2",
            "a range within that of the tensor's type",
        ),
        ("random seed=7 from=3", "to="),
        ("random seed=x", "a seed"),
        ("random", "["),
    ] {
        let error = with(to);
        assert!(
            error.starts_with("line 7,") && error.ends_with(expected),
            "{error}"
        );
    }
    let large = text.replace("1,1,1,2", "99999999999,1,1,2");
    let error = parse(&large).unwrap_err().to_string();
    assert!(error.ends_with("at most 64 MiB of random data"), "{error}");
    let float = text.replace("\"c\": int8", "\"c\": float32");
    let error = parse(&float).unwrap_err().to_string();
    assert!(error.ends_with("only integers can be random"), "{error}");
}

#[test]
fn random_elements_are_fixed_and_fill_their_range() {
    // The first output of SplitMix64 for the seed 0, by its authors.
    let first = 0xe220_a839_7b1d_cdaf_u64;
    let whole = random_elements(DType::I64, 1, 0, i64::MIN..=i64::MAX);
    let value = i64::MIN.wrapping_add(first as i64);
    assert_eq!(whole, value.to_le_bytes());
    let few = random_elements(DType::I8, 1000, 3, -2..=1);
    for value in -2..=1i8 {
        let count = few.iter().filter(|&&b| b as i8 == value).count();
        assert!((200..300).contains(&count), "{value}: {count}");
    }
}

#[test]
fn cut_texts_are_errors_or_graphs() {
    let text = print(&read(&classifier().file(), "classifier"), Constants::Inline);
    for cut in 0..text.len() {
        let _ = parse(&text[..cut]);
    }
}
