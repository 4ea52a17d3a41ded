//! The bus side, driven as the kernel driver (`etnaviv`) drives it.

use super::common::{Case, bytes, descriptor, stream};
use ferrite_hw::vivante::mmu::Entry;
use ferrite_hw::vivante::{Command, field, nn, register as r, state};
use ferrite_sim::trace::{Event, Replayed, Replayer, TraceReader, TraceWriter, Work};
use ferrite_sim::vivante::{Config, Device, Next};
use ferrite_sim::{FlatMemory, Memory};

/// Physical addresses.
const RAM: u32 = 0x4000_0000;
const ARRAY: u32 = RAM;
const MASTER: u32 = RAM + 0x1000;
const SLAVES: [u32; 2] = [RAM + 0x2000, RAM + 0x3000];
const RING: u32 = RAM + 0x1_0000;
const OBJECTS: u32 = RAM + 0x2_0000;
/// Virtual addresses: command buffers at the bottom, objects from user space's range.
const RING_VA: u32 = 0x1000;
const OBJECTS_VA: u32 = 0x40_0000;
const OBJECT_PAGES: u32 = 8;

struct Board {
    memory: FlatMemory,
    device: Device,
    /// The jobs that ran.
    trace: Vec<Event>,
}

impl Board {
    fn new() -> Self {
        let memory = FlatMemory::zeroed();
        memory.map_new(RAM.into(), 0x8_0000);
        let mut board = Board {
            memory,
            device: Device::new(Config::default()),
            trace: Vec::new(),
        };
        board.reset();
        board.map();
        board
    }

    fn put(&self, address: u32, words: &[u32]) {
        self.memory.write(address.into(), &bytes(words)).unwrap();
    }

    /// Reset and initialisation, section 2.4 and 2.5.
    fn reset(&mut self) {
        let device = &mut self.device;
        for (offset, value) in [
            (r::PM_POWER_CONTROLS, 0),
            (r::PM_PULSE_EATER, 0x015b_0880),
            (r::PM_PULSE_EATER, 0x015b_0881),
            (r::HI_CLOCK_CONTROL, 0x300),
            (r::HI_CLOCK_CONTROL, 0x100),
            (r::HI_CLOCK_CONTROL, 0x8_0100),
            (r::MMUV2_AHB_CONTROL, 1),
            (r::HI_CLOCK_CONTROL, 0x8_0100),
            (r::HI_CLOCK_CONTROL, 0x100),
        ] {
            assert!(!device.write(offset, value));
        }
        assert_eq!(device.read(r::HI_IDLE_STATE), 0x7fff_ffff);
        assert_eq!(device.read(r::HI_CLOCK_CONTROL), 0x3_0100);
        assert_eq!(device.read(r::MMUV2_AHB_CONTROL) & 1, 0);
        device.write(r::MMUV2_AHB_CONTROL, 2);
        device.write(r::HI_INTR_ENBL, 0xffff_ffff);
        assert_eq!(device.read(r::MMUV2_SEC_CONTROL), 0);
    }

    /// Page tables: the ring read-only, objects writeable.
    fn map(&self) {
        let entry = |address: u32, writeable| {
            Entry {
                present: true,
                exception: false,
                writeable,
                address: address.into(),
            }
            .encode()
        };
        self.put(ARRAY, &[MASTER, 0]);
        let mut master = vec![2; 1024];
        let mut slaves = [vec![2; 1024], vec![2; 1024]];
        master[0] = entry(SLAVES[0], false);
        master[1] = entry(SLAVES[1], false);
        slaves[0][1] = entry(RING, false);
        for page in 0..OBJECT_PAGES {
            slaves[1][page as usize] = entry(OBJECTS + page * 0x1000, true);
        }
        self.put(MASTER, &master);
        self.put(SLAVES[0], &slaves[0]);
        self.put(SLAVES[1], &slaves[1]);
    }

    fn start(&mut self, address: u32) {
        self.device.write(r::FE_COMMAND_ADDRESS, address);
        assert!(!self.device.write(r::FE_COMMAND_CONTROL, 0x1_0002));
        assert!(self.device.write(r::MMUV2_SEC_COMMAND_CONTROL, 0x1_0002));
    }

    /// First submit, section 2.6: load the context, enable the MMU, enter the ring.
    fn enable_mmu(&mut self) {
        self.device.write(r::MMUV2_PTA_ADDRESS_LOW, ARRAY);
        self.device.write(r::MMUV2_PTA_ADDRESS_HIGH, 0);
        self.device.write(r::MMUV2_PTA_CONTROL, 1);
        let mut words = Vec::new();
        Command::load(state::MMUV2_PTA_CONFIG, 0).encode(&mut words);
        Command::End.encode(&mut words);
        self.put(RING, &words);
        self.start(RING);
        self.run();
        assert_eq!(self.device.read(r::HI_IDLE_STATE), 0x7fff_ffff);
        self.device.write(r::MMUV2_SEC_CONTROL, 1);
        assert_eq!(self.device.read(r::MMUV2_SEC_CONTROL), 1);
        let mut words = Vec::new();
        Command::Wait { cycles: 24414 }.encode(&mut words);
        Command::Link {
            prefetch: 2,
            address: RING_VA,
        }
        .encode(&mut words);
        self.put(RING, &words);
        self.start(RING_VA);
        assert!(matches!(self.next(), Next::Wait(24414)));
        assert!(matches!(self.next(), Next::Wait(24414)));
        assert_eq!(self.device.read(r::HI_IDLE_STATE), 0x7fff_fffe);
    }

    fn next(&mut self) -> Next {
        self.device.next(&self.memory)
    }

    /// Runs until the front end waits, ends or stops.
    fn run(&mut self) {
        loop {
            match self.next() {
                Next::Idle | Next::Wait(_) => return,
                Next::Continue => {}
                Next::Job(started) => {
                    assert_eq!(self.device.read(r::HI_IDLE_STATE) & 0xe_0000, 0);
                    let (finished, job) = started.execute_traced(&self.memory, 5);
                    self.trace.push(Event::Job(job));
                    self.device.complete(finished);
                }
            }
        }
    }

    /// The jobs that ran, from a trace of them, once more.
    fn replay(&self) -> Vec<Replayed> {
        let mut writer = TraceWriter::new(Vec::new()).unwrap();
        for event in &self.trace {
            writer.event(event).unwrap();
        }
        let trace = writer.finish().unwrap();
        let mut replayer = Replayer::new();
        TraceReader::new(trace.as_slice())
            .unwrap()
            .filter_map(|event| replayer.event(&event.unwrap()).unwrap())
            .collect()
    }

    /// Links a user stream at an object into the ring, section 2.8.
    fn submit(&mut self, user: u32, words: u32) {
        let (block, done) = (RING_VA + 0x10, RING_VA + 0x40);
        let mut words_of_ring = Vec::new();
        Command::load(state::MMUV2_CONFIGURATION, 0x18).encode(&mut words_of_ring);
        Command::stall_for_pe(&mut words_of_ring);
        Command::load(state::GL_FLUSH_CACHE, 0).encode(&mut words_of_ring);
        Command::load(state::GL_PIPE_SELECT, 0).encode(&mut words_of_ring);
        Command::Link {
            prefetch: (words / 2 + 1) as u16,
            address: user,
        }
        .encode(&mut words_of_ring);
        assert_eq!(words_of_ring.len(), 12);
        Command::load(state::GL_FLUSH_CACHE, 0x23).encode(&mut words_of_ring);
        Command::load(state::TS_FLUSH_CACHE, 1).encode(&mut words_of_ring);
        Command::stall_for_pe(&mut words_of_ring);
        Command::load(state::GL_EVENT, 0x45).encode(&mut words_of_ring);
        Command::Wait { cycles: 200 }.encode(&mut words_of_ring);
        Command::Link {
            prefetch: 2,
            address: done + 0x28,
        }
        .encode(&mut words_of_ring);
        self.put(RING + 0x10, &words_of_ring);
        let mut back = Vec::new();
        Command::Link {
            prefetch: 7,
            address: done,
        }
        .encode(&mut back);
        self.put(OBJECTS + user - OBJECTS_VA + 4 * words, &back);
        // The WAIT becomes a LINK, its second word first.
        self.put(RING + 4, &[block]);
        self.put(RING, &[0x4000_0006]);
        self.run();
    }
}

#[test]
fn identity_is_the_a311d() {
    let mut device = Device::new(Config::default());
    let identity = [
        r::HI_CHIP_MODEL,
        r::HI_CHIP_REV,
        r::HI_CHIP_CUSTOMER_ID,
        r::HI_CHIP_PRODUCT_ID,
        r::HI_CHIP_ECO_ID,
    ]
    .map(|offset| device.read(offset));
    assert_eq!(identity, [0x8000, 0x7120, 0x88, 0x4508_0009, 0]);
    assert_ne!(device.read(r::HI_CHIP_IDENTITY) >> 24, 1);
}

fn case() -> Case {
    Case {
        width: 6,
        height: 5,
        depth: 3,
        kernels: 10,
        kernel: 3,
        pad: 1,
        stride: 1,
        out: (6, 5),
        at_once: 2,
        run_bits: 3,
        relu: false,
        multiplier: 99,
        shift: 22,
        zero_points: [9, 100, 50],
        weights: (0..270).map(|i| (i * 7 % 256) as u8).collect(),
        biases: (0..10).collect(),
        input: (0..90).map(|i| (i * 5 % 256) as u8).collect(),
    }
}

/// A job at virtual addresses: stream, descriptor, input, coefficients and output, a page or more
/// each.
fn place(board: &Board, output: u32) -> (u32, u32) {
    let case = case();
    let va = |page: u32| OBJECTS_VA + page * 0x1000;
    let put = |page: u32, data: &[u8]| {
        let address = OBJECTS + page * 0x1000;
        board.memory.write(address.into(), data).unwrap();
    };
    let words = descriptor(nn::defaults(), &case.fields(va(2), va(3), output));
    let words_of_stream = stream(state::PS_NN_INST_ADDR, va(1));
    put(0, &bytes(&words_of_stream));
    put(1, &field::to_bytes(&words));
    put(2, &case.input);
    put(3, &case.coefficients());
    (va(0), words_of_stream.len() as u32)
}

#[test]
fn a_job_through_the_ring_signals_its_event() {
    let mut board = Board::new();
    board.enable_mmu();
    // Across a page.
    let (user, words) = place(&board, OBJECTS_VA + 0x6f80);
    board.submit(user, words);
    assert_eq!(board.device.take_fault(), None);
    assert!(board.device.interrupt());
    assert_eq!(board.device.read(r::HI_INTR_ACKNOWLEDGE), 1 << 5);
    assert!(!board.device.interrupt());
    let expected = case().reference();
    let mut output = vec![0; expected.len()];
    board
        .memory
        .read((OBJECTS + 0x6f80).into(), &mut output)
        .unwrap();
    assert_eq!(output, expected);
    assert_eq!(board.device.counters().nn_jobs, 1);
    assert!(matches!(board.next(), Next::Wait(200)));

    let [again] = <[_; 1]>::try_from(board.replay()).unwrap();
    assert!(again.agrees(), "{again:?}");
    let Work::Job { counters, .. } = &again.work else {
        panic!("{again:?}")
    };
    assert_eq!(counters.output_bytes, expected.len() as u64);
    let Event::Job(job) = &mut board.trace[0] else {
        panic!("{:?}", board.trace[0])
    };
    let run = job.did.written.last_mut().unwrap();
    let (at, last) = (
        run.address + run.bytes.len() as u64 - 1,
        run.bytes.len() - 1,
    );
    run.bytes[last] ^= 1;
    let wrong = board.replay().remove(0).difference.unwrap();
    assert_eq!(wrong.0, at);
}

#[test]
fn a_page_fault_stops_the_npu_until_reset() {
    let mut board = Board::new();
    board.enable_mmu();
    let outside = OBJECTS_VA + OBJECT_PAGES * 0x1000;
    let (user, words) = place(&board, outside);
    board.submit(user, words);
    assert!(board.device.take_fault().is_some());
    assert_eq!(board.device.read(r::HI_INTR_ACKNOWLEDGE), 1 << 30);
    assert_eq!(board.device.read(r::MMUV2_SEC_STATUS), 2);
    assert_eq!(board.device.read(r::MMUV2_SEC_EXCEPTION_ADDR), outside);
    assert!(matches!(board.next(), Next::Idle));
    board.reset();
    board.enable_mmu();
    // The ring is read-only.
    let (user, words) = place(&board, RING_VA);
    board.submit(user, words);
    assert_eq!(board.device.read(r::MMUV2_SEC_STATUS), 3);
    assert_eq!(board.device.counters().faults, 2);
    // A page that was not there is not in the trace either; permissions are not recorded.
    let again = board.replay().remove(0);
    assert!(again.agrees() && !again.fault.is_empty(), "{again:?}");
}

#[test]
fn a_reset_drops_the_job_that_runs() {
    let mut board = Board::new();
    board.enable_mmu();
    let (user, words) = place(&board, OBJECTS_VA + 0x6000);
    let mut jobs = Vec::new();
    // The ring as submit leaves it, but the job is not executed.
    board.put(RING, &[0x4000_0000 | (words / 2), user]);
    for _ in 0..8 {
        if let Next::Job(job) = board.next() {
            jobs.push(job);
        }
    }
    let [job] = <[_; 1]>::try_from(jobs).unwrap();
    board.reset();
    let finished = job.execute(&board.memory);
    board.device.complete(finished);
    assert_eq!(board.device.counters().nn_jobs, 0);
    assert_eq!(board.device.read(r::HI_IDLE_STATE), 0x7fff_ffff);
}
