//! Sessions and forked children: children have sessions of their own, and leave their parent's alone.

use ferrite_compiler::Options;
use ferrite_ir::Graph;
use ferrite_runtime::Session;
use ferrite_runtime::cpu::Value;
use ferrite_runtime::device::{self, DeviceSpec};
use ferrite_runtime::session::{RunError, cpu_only};
use ferrite_testing::fork::in_child;
use std::sync::Arc;

/// A convolution of an image large enough for several threads everywhere.
const GRAPH: &str = r#"graph "convolution"
inputs %0
outputs %3

%0 "x": uint8[1,256,256,4] scale 0.5 zero 128
%1 "w": uint8[4,1,1,4] scale 0.0078125 zero 128 = [129, 120, 131, 128, 140, 128, 128, 127, 128, 128, 128, 148, 125, 126, 133, 122]
%2 "b": int32[4] scale 0.00390625 zero 0 = [7, -1, 100, 0]
%3 "y": uint8[1,256,256,4] scale 0.0625 zero 128

%3 = CONV_2D(%0, %1, %2) padding=SAME stride=1x1 dilation=1x1 activation=NONE
"#;

const DEVICES: [&str; 3] = ["cpu", "sim:rk3588", "sim:a311d"];

fn session(device: &str) -> Session {
    let graph: Graph = ferrite_ir::text::parse(GRAPH).unwrap();
    let device: DeviceSpec = device.parse().unwrap();
    let device = device::open(&device).unwrap();
    let executable = match device.as_deref() {
        None => cpu_only(&graph),
        Some(device) => {
            let options = Options::new(device.target());
            let executable = ferrite_compiler::compile(&graph, &options).unwrap();
            assert!(!executable.buffers.is_empty(), "nothing is on the NPU");
            executable
        }
    };
    Session::new(Arc::new(graph), Arc::new(executable), device.as_deref()).unwrap()
}

fn input() -> Value {
    let bytes: Vec<u8> = (0..256 * 256 * 4u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    Value::from_bytes(ferrite_ir::DType::U8, [1, 256, 256, 4], &bytes).unwrap()
}

fn run(session: &mut Session) -> Vec<Value> {
    session.run(&[input()]).unwrap()
}

#[test]
fn children_can_have_sessions_of_their_own() {
    for device in DEVICES {
        let mut session = session(device);
        let expected = run(&mut session);
        for _ in 0..10 {
            in_child(|| {
                let mut own = self::session(device);
                assert!(run(&mut own) == expected, "{device}");
                in_child(|| assert!(run(&mut self::session(device)) == expected, "{device}"));
            });
        }
        assert!(run(&mut session) == expected, "{device}");
    }
}

#[test]
fn sessions_on_devices_refuse_to_run_in_children() {
    for device in DEVICES {
        let mut session = session(device);
        let expected = run(&mut session);
        let parent = std::process::id();
        in_child(|| {
            match session.run(&[input()]) {
                // Nothing but memory is behind a session on the CPU.
                Ok(found) => assert!(device == "cpu" && found == expected),
                Err(error) => {
                    assert!(matches!(error, RunError::Forked { .. }), "{error}");
                    assert!(device != "cpu", "{error}");
                    let text = error.to_string();
                    assert!(
                        text.contains(device) && text.contains(&parent.to_string()),
                        "{text}"
                    );
                }
            }
        });
        assert!(run(&mut session) == expected, "{device}");
    }
}
