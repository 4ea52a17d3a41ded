//! Priorities of programs, where the driver knows them.

mod support;

use ferrite_fake_node::{ETNAVIV, FERRITE, ROCKET};
use ferrite_runtime::device::{self, Device, Priority};
use ferrite_runtime::session::RunError;
use support::{Model, alone};

fn open(node: &str) -> Box<dyn Device> {
    device::open(&node.parse().unwrap()).unwrap().unwrap()
}

#[test]
fn mainlines_drivers_know_no_priorities() {
    let _alone = alone();
    for node in [ROCKET, ETNAVIV] {
        let mut device = open(node);
        device.set_priority(Priority::Normal).unwrap();
        let error = device.set_priority(Priority::Low).unwrap_err().to_string();
        assert!(
            error.contains(node) && error.contains("priorities"),
            "{error}"
        );
    }
}

#[test]
fn the_driver_is_told_the_priority() {
    let _alone = alone();
    let model = Model::digits();
    let expected = model.expected(FERRITE);
    let mut device = open(FERRITE);
    for priority in [Priority::Low, Priority::Normal] {
        device.set_priority(priority).unwrap();
        let mut session = model.load_on(device.as_ref()).unwrap();
        assert!(model.run(&mut session).unwrap() == expected);
    }
    device.set_priority(Priority::High).unwrap();
    let mut session = model.load_on(device.as_ref()).unwrap();
    // The node's user is not privileged.
    let error: RunError = model.run(&mut session).unwrap_err();
    assert!(error.to_string().contains("CAP_SYS_NICE"), "{error}");
}
