//! Every call of the device paths failing once, at each place where it is made: an error that names
//! it, or a result as if nothing had failed; and afterwards everything works again.

mod support;

use ferrite_fake_node::{ROCKET, faults};
use ferrite_runtime::cpu::Value;
use nix::libc;
use support::{Model, NODES, alone};

/// Calls of a session's life, and how it ends.
struct Life {
    calls: Vec<&'static str>,
    result: Result<Vec<Value>, String>,
    /// Of a second inference after a failure of the first.
    again: Option<Vec<Value>>,
}

/// Opens, loads, runs, closes, while a call fails.
fn live(model: &Model, node: &str, failing: Option<(usize, i32)>) -> Life {
    faults::fail(failing);
    let mut again = None;
    let result = model.load(node).and_then(|mut session| {
        let result = model.run(&mut session).map_err(|e| e.to_string());
        if result.is_err() {
            again = Some(model.run(&mut session).expect("the failure is over"));
        }
        drop(session);
        result
    });
    let calls = faults::calls();
    faults::fail(None);
    Life {
        calls,
        result,
        again,
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What the kernel may say to a call.
fn errors(call: &str) -> &'static [i32] {
    match call {
        "open" => &[libc::ENOENT, libc::EACCES, libc::EMFILE, libc::ENOMEM],
        "mmap" => &[libc::ENOMEM, libc::EPERM],
        "poll" => &[libc::ENOMEM, libc::EINVAL],
        "job" => &[libc::ETIMEDOUT, libc::ECANCELED, libc::EIO],
        "PRIME_HANDLE_TO_FD" | "EXPORT_SYNC_FILE" => &[libc::EMFILE, libc::ENOMEM, libc::ENOTTY],
        "QUERY" => &[libc::ENOMEM, libc::EPERM],
        "PREP_BO" | "PREPARE" | "WAIT" | "GEM_CPU_PREP" => {
            &[libc::ETIMEDOUT, libc::EBUSY, libc::EINVAL]
        }
        _ => &[libc::ENOMEM, libc::EMFILE, libc::EINVAL],
    }
}

#[test]
fn every_call_fails_once_at_each_place() {
    let _alone = alone();
    let mut tried = 0;
    for node in NODES {
        for model in [Model::digits(), Model::large()] {
            let expected = model.expected(node);
            let well = live(&model, node, None);
            assert!(well.result.as_ref() == Ok(&expected), "{node}");
            let before = open_files();
            for (number, &call) in well.calls.iter().enumerate() {
                for &errno in errors(call) {
                    let what = format!("{node}: call {number}, {call}, failing with {errno}");
                    let life = live(&model, node, Some((number, errno)));
                    assert!(
                        life.calls.get(number) == Some(&call),
                        "{what}: {:?}",
                        life.calls
                    );
                    match &life.result {
                        // A buffer that cannot be closed changes no result.
                        Ok(found) => assert!(
                            call == "GEM_CLOSE" && *found == expected,
                            "{what}: was no error"
                        ),
                        Err(error) => assert!(names(error, call, errno), "{what}: {error}"),
                    }
                    assert!(life.again.is_none_or(|again| again == expected), "{what}");
                    assert_eq!(open_files(), before, "{what}: open files");
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} failures");
    assert!(tried > 200);
}

/// Whether an error says what was being done and what the kernel said.
fn names(error: &str, call: &str, errno: i32) -> bool {
    let (subject, kernel) = (
        match call {
            "open" => "/dev/",
            "VERSION" => "version",
            "GET_PARAM" => "parameter",
            "QUERY" => "extensions",
            "CREATE_BO" | "CREATE_BUFFER" | "GEM_NEW" => "allocating a buffer",
            "mmap" | "GEM_INFO" => "mapping a buffer",
            "PRIME_HANDLE_TO_FD" => "exporting a buffer",
            "EXPORT_SYNC_FILE" => "exporting the fences",
            "SUBMIT" | "GEM_SUBMIT" => "submitting",
            "poll" => "polling",
            "FILE_INFO" => "state of a fence",
            "WAIT" => "waiting for jobs",
            "PREP_BO" | "PREPARE" | "GEM_CPU_PREP" => "waiting for the NPU",
            "FINI_BO" | "FINISH" | "GEM_CPU_FINI" => "giving a buffer to the NPU",
            "job" => "running",
            _ => return false,
        },
        std::io::Error::from_raw_os_error(errno).to_string(),
    );
    if call == "WAIT" && matches!(errno, libc::ETIMEDOUT | libc::EBUSY) {
        return error.contains("no answer from the NPU");
    }
    let special = match (call, errno) {
        ("open", libc::ENOENT) => error.contains("does not exist"),
        ("open", libc::EACCES) => error.contains("may not be opened"),
        ("job", libc::ECANCELED) => error.contains("made no progress"),
        _ => false,
    };
    error.contains(subject) && (special || error.contains(&kernel))
}

/// A job that fails is an error also where descriptors ran out while the model was loaded.
#[test]
fn failed_jobs_are_seen_without_descriptors() {
    let _alone = alone();
    let model = Model::digits();
    let calls = live(&model, ROCKET, None).calls;
    let exports = calls
        .iter()
        .enumerate()
        .filter(|(_, call)| **call == "PRIME_HANDLE_TO_FD");
    let exports: Vec<usize> = exports.map(|(number, _)| number).collect();
    assert!(!exports.is_empty());
    for export in exports {
        let life = live(&model, ROCKET, Some((export, libc::EMFILE)));
        let error = life
            .result
            .expect_err("the job's failure would be invisible");
        assert!(error.contains("Too many open files"), "{error}");
    }
}
