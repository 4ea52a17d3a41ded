//! The command with too little memory: an error and an exit code, never a signal.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

#[test]
fn too_little_memory_is_an_error() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.tflite");
    let model = model.to_str().expect("paths of tests are UTF-8");
    let state = tempfile::tempdir().expect("a folder");
    let (mut worked, mut failed) = (0, 0);
    for device in ["cpu", "sim:rk3588", "sim:a311d"] {
        // KiB of address space: from what the loader needs, which grows with the program, to plenty.
        let around_the_loader = (12_000..15_000).step_by(50);
        for limit in around_the_loader
            .chain((15_000..60_000).step_by(3_000))
            .chain([400_000])
        {
            let output = Command::new("sh")
                .env("FERRITE_STATE_DIR", state.path())
                .arg("-c")
                .arg(format!("ulimit -v {limit} && exec \"$@\""))
                .args(["sh", env!("CARGO_BIN_EXE_ferrite"), "bench", model])
                .args(["--device", device, "--runs", "1"])
                .output()
                .expect("a shell starts");
            let said = String::from_utf8_lossy(&output.stderr);
            let context = format!("{device} in {limit} KiB: {}, {said}", output.status);
            assert_eq!(output.status.signal(), None, "{context}");
            match output.status.code() {
                Some(0) => worked += 1,
                // The loader's own code, with its own words.
                Some(127) => assert!(said.contains("error while loading"), "{context}"),
                Some(1 | 2) => {
                    assert!(said.contains("memory"), "{context}");
                    failed += 1;
                }
                _ => panic!("{context}"),
            }
        }
    }
    assert!(
        worked >= 3 && failed >= 3,
        "{worked} worked, {failed} did not"
    );
}
