//! Graphs that hosts run and the delegate must leave to them, in whole or in part.

mod fake_host;

use fake_host::{Delegate, FakeHost};
use ferrite_compiler::{Evidence, Target};
use ferrite_delegate::abi::TfLiteStatus;
use ferrite_delegate::engine::Engine;
use ferrite_delegate::options::Options;
use ferrite_ir::Graph;
use ferrite_runtime::device::DeviceSpec;

/// A delegate of the simulator.
fn simulated() -> Delegate {
    let options = Options {
        device: DeviceSpec::Sim(Target::Rk3588, None),
        evidence: Some(Evidence::Silicon),
        ..Options::default()
    };
    Delegate::new(Engine::open(&options).unwrap())
}

/// Convolutions of 4 channels to 4: pairs of the tensors that they read and write.
fn convolutions(steps: &[(u32, u32)]) -> Graph {
    let mut text = r#"graph "convolutions"
inputs %0
outputs %3

%0 "x": uint8[1,5,5,4] scale 0.5 zero 128
%1 "w": uint8[4,1,1,4] scale 0.0078125 zero 128 = [129, 120, 131, 128, 140, 128, 128, 127, 128, 128, 128, 148, 125, 126, 133, 122]
%2 "b": int32[4] scale 0.00390625 zero 0 = [7, -1, 100, 0]
%3 "y": uint8[1,5,5,4] scale 0.5 zero 128
%4 "z": uint8[1,5,5,4] scale 0.5 zero 128
%5 "v": uint8[1,5,5,4] scale 0.5 zero 128

"#
    .to_owned();
    for (from, to) in steps {
        text += &format!(
            "%{to} = CONV_2D(%{from}, %1, %2) padding=SAME stride=1x1 dilation=1x1 activation=NONE\n"
        );
    }
    ferrite_ir::text::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Nodes that the delegate takes.
fn taken(steps: &[(u32, u32)]) -> usize {
    let mut host = FakeHost::new(convolutions(steps));
    let delegate = simulated();
    assert_eq!(
        host.modify_with(delegate.0),
        TfLiteStatus::Ok,
        "{:?}",
        host.errors
    );
    if !host.is_delegated() {
        return 0;
    }
    assert_eq!(host.prepare(), TfLiteStatus::Ok, "{:?}", host.errors);
    host.fill(0, 1);
    assert_eq!(host.invoke(), TfLiteStatus::Ok, "{:?}", host.errors);
    let output = host.bytes(3);
    assert!(output.iter().any(|&byte| byte != output[0]));
    host.delegated()
}

#[test]
fn tensors_that_change_during_a_run_stay_with_the_host() {
    // Sound: all is taken.
    assert_eq!(taken(&[(0, 4), (4, 3)]), 2);
    // Two operators write a tensor.
    assert_eq!(taken(&[(0, 3), (3, 4), (4, 3)]), 0);
    assert_eq!(taken(&[(0, 4), (0, 4), (4, 3)]), 0);
    // A tensor is read before it is written.
    assert_eq!(taken(&[(4, 3), (0, 4)]), 0);
    assert_eq!(taken(&[(4, 4), (4, 3)]), 0);
    // What does not touch it is taken all the same.
    assert_eq!(taken(&[(0, 5), (0, 4), (0, 4), (5, 3)]), 2);
}
