//! The demonstration as a user runs it. It fails by itself if the NPU's accuracy is not TFLite's, or
//! if an operator that the NPU is there for stays on the CPU.

use std::process::Command;

#[test]
fn classifies_as_tflite_does() {
    let run = Command::new(env!("CARGO_BIN_EXE_ferrite-digits"))
        .output()
        .expect("the demonstration starts");
    let text = String::from_utf8_lossy(&run.stdout);
    let complaints = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{complaints}\n{text}");
    for line in [
        "15 of 16 operators on the NPU",
        "(100.0 %)",
        "  eight  100 %",
        "kicks",
    ] {
        assert!(text.contains(line), "`{line}` is missing in:\n{text}");
    }
    assert!(!text.contains('\x1b'), "colours in a pipe:\n{text}");
}
