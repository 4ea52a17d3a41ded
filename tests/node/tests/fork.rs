//! What a process has on a node stays its own when it forks.

mod support;

use ferrite_fake_node::faults;
use ferrite_runtime::session::RunError;
use ferrite_testing::fork::in_child;
use support::{Model, NODES, alone};

#[test]
fn children_that_end_leave_buffers_to_their_parent() {
    let _alone = alone();
    let models = [Model::digits(), Model::digits(), Model::large()];
    for (node, model) in NODES.into_iter().zip(models) {
        let expected = model.expected(node);
        let mut session = Some(model.load(node).unwrap());
        assert!(
            model.run(session.as_mut().unwrap()).unwrap() == expected,
            "{node}"
        );
        // As the destructors of a child that ends do.
        in_child(|| {
            faults::fail(None);
            drop(session.take());
            assert!(faults::calls().is_empty(), "{:?}", faults::calls());
        });
        let mut session = session.unwrap();
        assert!(model.run(&mut session).unwrap() == expected, "{node}");
        in_child(|| {
            faults::fail(None);
            let refused = model.run(&mut session);
            assert!(matches!(refused, Err(RunError::Forked { .. })), "{node}");
            let taken = std::mem::replace(&mut session, model.load(node).unwrap());
            let calls = faults::calls().len();
            drop(taken);
            assert_eq!(faults::calls().len(), calls, "{node}");
            // Its own, on its own opening of the node.
            assert!(model.run(&mut session).unwrap() == expected, "{node}");
        });
        for _ in 0..3 {
            assert!(model.run(&mut session).unwrap() == expected, "{node}");
        }
    }
}

#[test]
fn devices_that_a_parent_opened_do_not_load() {
    let _alone = alone();
    for node in NODES {
        let device = ferrite_runtime::device::open(&node.parse().unwrap())
            .unwrap()
            .unwrap();
        in_child(|| {
            let empty = ferrite_runtime::session::cpu_only(&Model::digits().graph);
            let error = device.load(&empty).err().unwrap().to_string();
            assert!(
                error.contains("before fork()") && error.contains(node),
                "{error}"
            );
        });
    }
}

/// A server whose workers come and go while it has a session itself.
#[test]
fn workers_come_and_go() {
    let _alone = alone();
    let model = Model::digits();
    for node in NODES {
        let expected = model.expected(node);
        let mut session = Some(model.load(node).unwrap());
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
        for _ in 0..100 {
            in_child(|| {
                let mut own = model.load(node).unwrap();
                assert!(model.run(&mut own).unwrap() == expected, "{node}");
                drop((own, session.take()));
            });
            let session = session.as_mut().unwrap();
            assert!(model.run(session).unwrap() == expected, "{node}");
        }
        let found = std::fs::read_dir("/proc/self/fd").unwrap().count();
        assert_eq!(found, descriptors);
    }
}
