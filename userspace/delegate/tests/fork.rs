//! Delegates and interpreters in forked children of the process that made them.

mod fake_host;

use fake_host::{Delegate, FakeHost};
use ferrite_compiler::{Evidence, Target};
use ferrite_delegate::abi::TfLiteStatus;
use ferrite_delegate::engine::Engine;
use ferrite_delegate::options::{OnError, Options};
use ferrite_runtime::device::DeviceSpec;
use ferrite_testing::fork::in_child;

/// A delegate of the simulator.
fn simulated(on_error: OnError) -> Delegate {
    let options = Options {
        device: DeviceSpec::Sim(Target::Rk3588, None),
        on_error,
        // Not what a selftest of this user has proven.
        evidence: Some(Evidence::Silicon),
        ..Options::default()
    };
    Delegate::new(Engine::open(&options).unwrap())
}

/// A convolution of an image large enough for several threads.
fn unprepared() -> Box<FakeHost> {
    let text = include_str!("convolution.txt").replace("5,5", "256,256");
    FakeHost::new(ferrite_ir::text::parse(&text).unwrap())
}

fn host(delegate: &Delegate) -> Box<FakeHost> {
    let mut host = unprepared();
    assert_eq!(host.modify_with(delegate.0), TfLiteStatus::Ok);
    assert!(host.is_delegated());
    assert_eq!(host.prepare(), TfLiteStatus::Ok, "{:?}", host.errors);
    host.fill(0, 1);
    host
}

fn run(host: &mut FakeHost) -> Vec<u8> {
    assert_eq!(host.invoke(), TfLiteStatus::Ok, "{:?}", host.errors);
    host.bytes(3)
}

#[test]
fn workers_with_delegates_of_their_own_come_and_go() {
    let delegate = simulated(OnError::Fail);
    let mut parent = host(&delegate);
    let expected = run(&mut parent);
    for _ in 0..20 {
        in_child(|| assert_eq!(run(&mut host(&simulated(OnError::Fail))), expected));
    }
    assert_eq!(run(&mut parent), expected);
}

#[test]
fn inherited_interpreters_and_delegates_say_what_is_wrong() {
    let delegate = simulated(OnError::Fail);
    let mut parent = host(&delegate);
    run(&mut parent);
    let parent_id = std::process::id().to_string();
    in_child(|| {
        assert_eq!(parent.invoke(), TfLiteStatus::Error);
        let error = &parent.errors[0];
        assert!(error.contains("before fork()"), "{error}");
        assert!(error.contains(&parent_id), "{error}");
        let mut late = unprepared();
        assert_eq!(late.modify_with(delegate.0), TfLiteStatus::DelegateError);
        assert!(
            late.errors[0].contains("before fork()"),
            "{:?}",
            late.errors
        );
        // As an interpreter that ends does.
        drop((parent, delegate));
    });
}

#[test]
fn inherited_interpreters_use_the_cpu_if_that_is_wanted() {
    let delegate = simulated(OnError::Cpu);
    let mut parent = host(&delegate);
    let expected = run(&mut parent);
    in_child(|| {
        for _ in 0..3 {
            // The CPU rounds twice where the NPU rounds once.
            let found = run(&mut parent);
            let near = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= 1;
            assert!(found.iter().zip(&expected).all(near));
        }
        assert_eq!(parent.errors.len(), 1, "{:?}", parent.errors);
        assert!(
            parent.errors[0].contains("before fork()"),
            "{:?}",
            parent.errors
        );
        // A delegate without a device leaves everything to the host.
        let mut late = unprepared();
        assert_eq!(late.modify_with(delegate.0), TfLiteStatus::Ok);
        assert!(!late.is_delegated());
    });
    assert_eq!(run(&mut parent), expected);
    assert!(parent.errors.is_empty(), "{:?}", parent.errors);
}
