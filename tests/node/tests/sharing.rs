//! Programs of a process share a node of our driver, and constants on it.

mod support;

use ferrite_fake_node::{FERRITE, ROCKET, faults};
use ferrite_runtime::Session;
use std::sync::Arc;
use support::{Model, alone};

/// Loads a model and tells how many buffers that took.
fn load(model: &Model, node: &str) -> (Session, usize) {
    faults::fail(None);
    let session = model.load(node).unwrap();
    let calls = faults::calls();
    let made = calls.iter().filter(|call| call.starts_with("CREATE"));
    let count = made.count();
    assert!(count > 1, "{calls:?}");
    (session, count)
}

/// The digits' network with other weights.
fn altered() -> Model {
    let mut model = Model::digits();
    let mut graph = (*model.graph).clone();
    let weights = graph
        .tensors
        .iter_mut()
        .filter_map(|(_, tensor)| tensor.data.as_mut())
        .max_by_key(|data| data.len())
        .unwrap();
    let mut bytes = weights.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    *weights = bytes.into();
    model.graph = Arc::new(graph);
    model
}

#[test]
fn the_same_constants_are_on_the_node_once() {
    let _alone = alone();
    let model = Model::digits();
    let expected = model.expected(FERRITE);
    let (mut first, buffers) = load(&model, FERRITE);
    let (mut second, further) = load(&model, FERRITE);
    assert_eq!(further, buffers - 1);
    for _ in 0..2 {
        assert!(model.run(&mut first).unwrap() == expected);
        assert!(model.run(&mut second).unwrap() == expected);
    }
    drop(first);
    assert!(model.run(&mut second).unwrap() == expected);
    drop(second);
    // Nobody has them any more.
    assert_eq!(load(&model, FERRITE).1, buffers);
}

#[test]
fn other_constants_are_not_taken_for_the_same() {
    let _alone = alone();
    let (model, other) = (Model::digits(), altered());
    let (mut first, buffers) = load(&model, FERRITE);
    let (mut second, further) = load(&other, FERRITE);
    assert_eq!(further, buffers);
    assert!(model.run(&mut first).unwrap() == model.expected(FERRITE));
    assert!(other.run(&mut second).unwrap() == other.expected(FERRITE));
}

#[test]
fn mainlines_driver_has_them_for_each_program() {
    let _alone = alone();
    let model = Model::digits();
    let (_first, buffers) = load(&model, ROCKET);
    assert_eq!(load(&model, ROCKET).1, buffers);
}
