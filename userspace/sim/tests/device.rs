//! The bus side, driven with the sequences of mainline's drivers.

mod common;

use common::recipe::{Layer, Places};
use common::{filled, place};
use ferrite_hw::rk3588::command;
use ferrite_sim::rk3588::iommu::{INT_PAGE_FAULT, register, status};
use ferrite_sim::rk3588::{Config, Device, Iommu, Kick, Translated};
use ferrite_sim::{FlatMemory, Memory, Refusal};

/// What rocket writes to start a task; the last write must return the job.
fn submit(device: &mut Device, address: u32, words: usize) -> Option<Kick> {
    submit_tasks(device, address, words, 1)
}

/// The same for a chain.
fn submit_tasks(device: &mut Device, address: u32, words: usize, tasks: u32) -> Option<Kick> {
    for (offset, value) in [
        (0x0010, 1),
        (0x1004, 0xe | 0x1000_0000),
        (0x3004, 0xe | 0x1000_0000),
        (0x0010, address),
        (0x0014, (words as u32).div_ceil(2) - 1),
        (0x0020, 0x300),
        (0x0024, 0x300),
        (0x0030, 0x7000 | tasks),
        (0x0034, 0),
    ] {
        assert!(device.mmio_write(offset, value).is_none());
    }
    device.mmio_write(0x0008, 1)
}

fn layer() -> Layer {
    Layer {
        requant: Some((16384, 15, 0)),
        ..Layer::pointwise(8, 8)
    }
}

#[test]
fn a_job_runs_and_interrupts() {
    let memory = FlatMemory::new();
    let words = layer().words(filled(&memory, &layer()));
    let address = place(&memory, &words);
    let mut device = Device::new(Config::default());
    assert_eq!(device.mmio_read(0), 0x4649_5245);
    assert_eq!(device.mmio_read(0x20), 0x1_ffff);
    for round in 0..2 {
        let kick = submit(&mut device, address, words.len()).unwrap();
        assert!(device.busy() && !device.irq_level());
        let finished = kick.execute(&memory);
        device.complete(finished);
        // The register groups alternate.
        assert_eq!(device.mmio_read(0x2c) & 0x300, 0x100 << round);
        assert!(device.irq_level() && !device.busy());
        // The interrupt handler and its thread.
        device.mmio_write(0x20, 0);
        assert!(!device.irq_level());
        device.mmio_write(0x08, 0);
        device.mmio_write(0x24, 0x1_ffff);
        assert_eq!(device.mmio_read(0x2c), 0);
    }
    assert_eq!(device.counters().tasks, 2);
}

#[test]
fn a_fault_hangs_until_reset() {
    let memory = FlatMemory::new();
    let mut at = filled(&memory, &layer());
    at.weights = 0xdead_0000;
    let words = layer().words(at);
    let address = place(&memory, &words);
    let mut device = Device::new(Config::default());
    let finished = submit(&mut device, address, words.len())
        .unwrap()
        .execute(&memory);
    device.complete(finished);
    assert!(device.busy() && !device.irq_level());
    assert!(device.take_fault().unwrap().contains("0xdead0000"));
    device.mmio_write(0x08, 0);
    assert!(submit(&mut device, address, words.len()).is_none());
    device.reset();
    assert!(!device.busy());
    // The outcome of a job from before a reset is ignored.
    let stale = submit(&mut device, address, words.len())
        .unwrap()
        .execute(&memory);
    device.reset();
    device.complete(stale);
    assert!(!device.busy());
}

/// A page fault is seen before the job's outcome is: the counter must know by then how far it came.
#[test]
fn tasks_are_counted_as_they_end() {
    let memory = FlatMemory::new();
    let at = filled(&memory, &layer());
    let second = layer().words(Places {
        input: 0xdead_0000,
        ..at
    });
    let link = command::Link {
        address: place(&memory, &second),
        words: second.len(),
    };
    let mut first = layer().words(at);
    let tail = first.len() - 4;
    for (word, command) in first[tail..].iter_mut().zip(command::tail(
        Some(link),
        ferrite_hw::rk3588::codes::enable::CONVOLUTION_RDMA,
    )) {
        *word = command.encode();
    }
    let address = place(&memory, &first);
    let mut device = Device::new(Config::default());
    let kick = submit_tasks(&mut device, address, first.len(), 2).unwrap();
    assert_eq!(device.mmio_read(0x3c), 0);
    let finished = kick.execute(&memory);
    assert_eq!(device.mmio_read(0x3c), 1);
    assert_eq!(finished.outcome.tasks, 1);
    device.complete(finished);
    assert_eq!(device.mmio_read(0x3c), 1);
    device.reset();
    assert_eq!(device.mmio_read(0x3c), 0);
}

/// Physical memory with a directory at 0x10000, one table at 0x11000, data pages from 0x20000.
fn physical() -> FlatMemory {
    let memory = FlatMemory::zeroed();
    memory.map_new(0x10000, 0x20000);
    memory.write(0x10000, &0x11001u32.to_le_bytes()).unwrap();
    for (page, entry) in [(0, 0x20007u32), (1, 0x22007), (2, 0x21003)] {
        memory
            .write(0x11000 + page * 4, &entry.to_le_bytes())
            .unwrap();
    }
    memory
}

/// rockchip-iommu's enable sequence.
fn enable(iommu: &Iommu) {
    iommu.mmio_write(register::DTE_ADDR, 0xcafe_babe);
    assert_eq!(
        iommu.mmio_read(register::DTE_ADDR) & 0xffff_fff0,
        0xcafe_bab0
    );
    iommu.mmio_write(register::COMMAND, 6);
    assert_eq!(iommu.mmio_read(register::DTE_ADDR), 0);
    iommu.mmio_write(register::DTE_ADDR, 0x10001);
    iommu.mmio_write(register::COMMAND, 4);
    iommu.mmio_write(register::INT_MASK, 3);
    iommu.mmio_write(register::AUTO_GATING, 1 << 31);
    iommu.mmio_write(register::COMMAND, 0);
    assert_eq!(
        iommu.mmio_read(register::STATUS) & status::PAGING,
        status::PAGING
    );
    iommu.mmio_write(register::COMMAND, 3);
    assert_eq!(iommu.mmio_read(register::STATUS) & status::STALL, 0);
}

#[test]
fn translation_follows_the_tables_and_caches() {
    let physical = physical();
    let iommu = Iommu::new();
    enable(&iommu);
    let memory = Translated {
        iommu: &iommu,
        physical: &physical,
    };
    // Across pages that are not adjacent in physical memory.
    memory.write(0xffc, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let mut bytes = [0; 4];
    physical.read(0x20ffc, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2, 3, 4]);
    physical.read(0x22000, &mut bytes).unwrap();
    assert_eq!(bytes, [5, 6, 7, 8]);
    // A changed entry counts only after a zap.
    physical.write(0x11000, &0x23007u32.to_le_bytes()).unwrap();
    let translate = || iommu.translate(&physical, 0x10, false).unwrap();
    assert_eq!(translate(), 0x20010);
    iommu.mmio_write(register::ZAP_ONE_LINE, 0x1000);
    assert_eq!(translate(), 0x20010);
    iommu.mmio_write(register::ZAP_ONE_LINE, 0);
    assert_eq!(translate(), 0x23010);
    // Places above 32 bits.
    physical
        .write(0x11000, &0x1000_0127u32.to_le_bytes())
        .unwrap();
    iommu.mmio_write(register::COMMAND, 4);
    assert_eq!(translate(), 0x21_1000_0010);
}

#[test]
fn page_faults_latch_until_done() {
    let physical = physical();
    let iommu = Iommu::new();
    enable(&iommu);
    let memory = Translated {
        iommu: &iommu,
        physical: &physical,
    };
    let fault = memory.write(0x2010, &[0; 4]).unwrap_err();
    assert_eq!((fault.address, fault.why), (0x2010, Refusal::Forbidden));
    assert!(iommu.irq_level());
    assert_eq!(iommu.mmio_read(register::INT_STATUS), INT_PAGE_FAULT);
    assert_eq!(iommu.mmio_read(register::PAGE_FAULT_ADDR), 0x2010);
    let bits = status::FAULT | status::FAULT_WRITE;
    assert_eq!(iommu.mmio_read(register::STATUS) & bits, bits);
    // Nothing passes, and a stall is not acknowledged.
    assert!(memory.read(0, &mut [0; 4]).is_err());
    assert_eq!(iommu.mmio_read(register::PAGE_FAULT_ADDR), 0x2010);
    iommu.mmio_write(register::COMMAND, 2);
    assert_eq!(iommu.mmio_read(register::STATUS) & status::STALL, 0);
    // The driver's handler.
    iommu.mmio_write(register::COMMAND, 4);
    iommu.mmio_write(register::COMMAND, 5);
    iommu.mmio_write(register::INT_CLEAR, INT_PAGE_FAULT);
    assert!(!iommu.irq_level());
    memory.read(0x2010, &mut [0; 4]).unwrap();
    assert_eq!(
        memory.read(0x3000, &mut [0; 4]).unwrap_err().why,
        Refusal::Unmapped
    );
}

#[test]
fn a_stall_holds_accesses() {
    let physical = physical();
    let iommu = Iommu::new();
    enable(&iommu);
    iommu.mmio_write(register::COMMAND, 2);
    assert_ne!(iommu.mmio_read(register::STATUS) & status::STALL, 0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| iommu.translate(&physical, 0, false));
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!waiting.is_finished());
        iommu.mmio_write(register::COMMAND, 3);
        assert_eq!(waiting.join().unwrap(), Ok(0x20000));
    });
}
