//! Devices that fail: a reported error, and then failure or the CPU, as the options say.

mod fake_host;

use fake_host::{Delegate, FakeHost};
use ferrite_compiler::executable::{Evidence, Executable, Job, Region, Target};
use ferrite_delegate::abi::TfLiteStatus;
use ferrite_delegate::engine::Engine;
use ferrite_delegate::options::{OnError, Options};
use ferrite_ir::Graph;
use ferrite_runtime::device::sim_rk3588::SimRk3588;
use ferrite_runtime::device::{Counters, Device, DeviceError, JobError, Program};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How a device fails.
#[derive(Clone, Copy, PartialEq)]
enum Failure {
    None,
    Load,
    Job,
    Hang,
    Panic,
}

/// The simulator, but for its failure, which comes at the second submission.
struct Failing(Failure);

impl Device for Failing {
    fn name(&self) -> String {
        "a device that fails".to_owned()
    }

    fn target(&self) -> Target {
        Target::Rk3588
    }

    fn cores(&self) -> usize {
        1
    }

    fn load(&self, executable: &Executable) -> Result<Box<dyn Program>, DeviceError> {
        match self.0 {
            Failure::Load => Err(DeviceError::Unsupported("no memory is left".to_owned())),
            failure => Ok(Box::new(FailingProgram {
                program: SimRk3588::new().load(executable)?,
                failure,
                submissions: AtomicUsize::new(0),
            })),
        }
    }
}

struct FailingProgram {
    program: Box<dyn Program>,
    failure: Failure,
    submissions: AtomicUsize,
}

impl Program for FailingProgram {
    fn write(
        &mut self,
        region: Region,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DeviceError> {
        self.program.write(region, fill)
    }

    fn read(&mut self, region: Region, take: &mut dyn FnMut(&[u8])) -> Result<(), DeviceError> {
        self.program.read(region, take)
    }

    fn submit(&mut self, jobs: &[Job]) -> Result<(), JobError> {
        let first = self.submissions.fetch_add(1, Ordering::Relaxed) == 0;
        match self.failure {
            _ if first => self.program.submit(jobs),
            Failure::Job => Err(JobError::Failed {
                cause: std::io::Error::other("the page at 0x1000 is not mapped"),
            }),
            Failure::Hang => Err(JobError::Timeout(Duration::from_millis(500))),
            Failure::Panic => panic!("a mistake in the driver's client"),
            Failure::None | Failure::Load => self.program.submit(jobs),
        }
    }

    fn counters(&self) -> Option<Counters> {
        None
    }
}

/// A delegate of a failing device.
fn failing(failure: Failure, on_error: OnError) -> Delegate {
    let options = Options {
        on_error,
        // Not what a selftest of this user has proven.
        evidence: Some(Evidence::Silicon),
        ..Options::default()
    };
    Delegate::new(Engine::with_npu(Box::new(Failing(failure)), &options))
}

/// One quantised convolution.
fn graph() -> Graph {
    let text = include_str!("convolution.txt");
    ferrite_ir::text::parse(text).unwrap()
}

/// Output tensor.
const OUTPUT: usize = 3;

fn host(delegate: &Delegate) -> Box<FakeHost> {
    let mut host = FakeHost::new(graph());
    assert_eq!(
        host.modify_with(delegate.0),
        TfLiteStatus::Ok,
        "{:?}",
        host.errors
    );
    assert!(host.is_delegated());
    host.fill(0, 1);
    host
}

/// The output of a device that works.
fn expected() -> Vec<u8> {
    let mut host = host(&failing(Failure::None, OnError::Fail));
    assert_eq!(host.prepare(), TfLiteStatus::Ok);
    assert_eq!(host.invoke(), TfLiteStatus::Ok);
    assert!(host.errors.is_empty(), "{:?}", host.errors);
    let output = host.bytes(OUTPUT);
    assert!(
        output.iter().any(|&b| b != output[0]),
        "a result of one value says little"
    );
    output
}

/// Whether the output is right: the CPU rounds twice where the NPU rounds once.
fn assert_one_step(found: &[u8]) {
    let expected = expected();
    assert_eq!(found.len(), expected.len());
    for (&found, &expected) in found.iter().zip(&expected) {
        assert!(found.abs_diff(expected) <= 1, "{found}, not {expected}");
    }
}

#[test]
fn jobs_that_fail_are_reported_and_fail_the_call() {
    for (failure, word) in [
        (Failure::Job, "not mapped"),
        (Failure::Hang, "500 ms"),
        (Failure::Panic, "internal error"),
    ] {
        let mut host = host(&failing(failure, OnError::Fail));
        assert_eq!(host.prepare(), TfLiteStatus::Ok);
        assert_eq!(host.invoke(), TfLiteStatus::Ok);
        assert_eq!(host.bytes(OUTPUT), expected());
        for call in 1..=2 {
            assert_eq!(host.invoke(), TfLiteStatus::Error);
            assert_eq!(host.errors.len(), call);
            assert!(host.errors[call - 1].contains(word), "{:?}", host.errors);
        }
        assert!(failure == Failure::Panic || host.errors[0].contains("CONV_2D"));
    }
}

#[test]
fn jobs_that_fail_go_to_the_cpu_if_that_is_wanted() {
    for failure in [Failure::Job, Failure::Hang] {
        let mut host = host(&failing(failure, OnError::Cpu));
        assert_eq!(host.prepare(), TfLiteStatus::Ok);
        for _ in 0..4 {
            host.fill(0, 1);
            assert_eq!(host.invoke(), TfLiteStatus::Ok, "{:?}", host.errors);
            assert_one_step(&host.bytes(OUTPUT));
        }
        // Said once, when it happened.
        assert_eq!(host.errors.len(), 1, "{:?}", host.errors);
        assert!(host.errors[0].contains("using the CPU"));
    }
}

#[test]
fn a_device_without_memory_fails_the_preparation() {
    let mut host = host(&failing(Failure::Load, OnError::Fail));
    assert_eq!(host.prepare(), TfLiteStatus::Error);
    assert!(
        host.errors[0].contains("no memory is left"),
        "{:?}",
        host.errors
    );
    assert_eq!(host.invoke(), TfLiteStatus::Error);
}

#[test]
fn a_device_without_memory_goes_to_the_cpu_if_that_is_wanted() {
    let mut host = host(&failing(Failure::Load, OnError::Cpu));
    assert_eq!(host.prepare(), TfLiteStatus::Ok);
    assert_eq!(host.invoke(), TfLiteStatus::Ok);
    assert_one_step(&host.bytes(OUTPUT));
    assert_eq!(host.errors.len(), 1);
}

#[test]
fn kernels_outlive_their_delegate() {
    let delegate = failing(Failure::None, OnError::Fail);
    let mut host = host(&delegate);
    drop(delegate);
    assert_eq!(host.prepare(), TfLiteStatus::Ok);
    assert_eq!(host.invoke(), TfLiteStatus::Ok);
    assert_eq!(host.bytes(OUTPUT), expected());
}

#[test]
fn interpreters_share_a_delegate() {
    let delegate = failing(Failure::None, OnError::Fail);
    let mut hosts: Vec<_> = (0..3).map(|_| host(&delegate)).collect();
    for host in &mut hosts {
        assert_eq!(host.prepare(), TfLiteStatus::Ok);
        assert_eq!(host.invoke(), TfLiteStatus::Ok);
    }
    drop(hosts.remove(0));
    assert_eq!(hosts[0].invoke(), TfLiteStatus::Ok);
    assert_eq!(hosts[0].bytes(OUTPUT), expected());
}
