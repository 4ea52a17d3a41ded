//! The kinds of faults.

use std::fs;
use std::time::Duration;

use super::chains;
use crate::cases::{Fail, Jobs, Rig, bound, check};
use crate::device::Device;
use crate::fuzz::Random;
use crate::task;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A job that never ends.
    Hang,
    /// A read that the IOMMU refuses.
    ReadFault,
    /// A write that the IOMMU refuses.
    WriteFault,
    /// A client that is killed at some moment.
    Kill,
    /// A core is unbound while it works, and bound again.
    Unbind,
    /// All cores are, and the node goes with them.
    Vanish,
    /// Memory that answers with an error; the board makes them (`--dma-errors`).
    Dma,
    /// The system sleeps while jobs run. Needs a program on a tmpfs.
    Sleep,
    /// The module is unloaded behind a client that has just gone, and loaded again.
    Reload,
    /// The same with chains on the cores, for drivers that have them.
    ChainHang,
    ChainFault,
    ChainKill,
    ChainUnbind,
    ChainVanish,
    ChainSleep,
}

impl Kind {
    const ALL: [(Kind, &'static str); 15] = [
        (Kind::Hang, "hang"),
        (Kind::ReadFault, "read_fault"),
        (Kind::WriteFault, "write_fault"),
        (Kind::Kill, "kill"),
        (Kind::Unbind, "unbind"),
        (Kind::Vanish, "vanish"),
        (Kind::Dma, "dma"),
        (Kind::Sleep, "sleep"),
        (Kind::Reload, "reload"),
        (Kind::ChainHang, "chain_hang"),
        (Kind::ChainFault, "chain_fault"),
        (Kind::ChainKill, "chain_kill"),
        (Kind::ChainUnbind, "chain_unbind"),
        (Kind::ChainVanish, "chain_vanish"),
        (Kind::ChainSleep, "chain_sleep"),
    ];

    /// Those that need nothing of the board.
    pub const USUAL: &'static [Kind] = &[
        Kind::Hang,
        Kind::ReadFault,
        Kind::WriteFault,
        Kind::Kill,
        Kind::Unbind,
        Kind::Vanish,
    ];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }

    /// The kind with that name.
    pub fn named(name: &str) -> Option<Kind> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| *kind)
    }

    /// All names.
    pub fn names() -> String {
        Self::ALL.map(|(_, name)| name).join(" ")
    }

    /// Makes the fault.
    pub fn make(self, random: &mut Random) -> Result<(), Fail> {
        match self {
            Kind::Hang => bad_job(|rig, jobs| {
                jobs.add(
                    vec![rig.endless()],
                    &rig.inputs(),
                    &[rig.activations.handle],
                );
                Ok(())
            }),
            Kind::ReadFault => wrong_address(20),
            Kind::WriteFault => wrong_address(57),
            Kind::Kill => kill(random.below(30_000)),
            Kind::Unbind => unbind(random),
            Kind::Vanish => vanish(random),
            Kind::Dma => dma(),
            Kind::Sleep => sleep(random),
            Kind::Reload => super::module::reload(random.below(20_000)),
            Kind::ChainHang => chains::hang(random),
            Kind::ChainFault => chains::fault(random),
            Kind::ChainKill => chains::kill(random.below(30_000)),
            Kind::ChainUnbind => chains::unbind(random),
            Kind::ChainVanish => chains::vanish(random),
            Kind::ChainSleep => chains::sleep(random),
        }
    }
}

/// Submits a job that fails, between two that do not.
fn bad_job(add: impl Fn(&Rig<'_>, &mut Jobs) -> Result<(), Fail>) -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut jobs = Jobs::new();
    jobs.add(
        vec![rig.task(); 2],
        &rig.inputs(),
        &[rig.activations.handle],
    );
    add(&rig, &mut jobs)?;
    jobs.add(vec![rig.task()], &rig.inputs(), &[rig.activations.handle]);
    device.submit(&jobs.jobs)?;
    match rig.activations.prep(Rig::PATIENCE) {
        Ok(()) | Err(libc::EIO) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// A job one of whose addresses is not mapped.
fn wrong_address(word: usize) -> Result<(), Fail> {
    bad_job(|rig, jobs| {
        let mut list = task::commands(rig.activations.address, rig.constants.address);
        list[word] = task::commands(0xe000_0000, 0)[word];
        let place = task::WORDS * 8 + 16;
        rig.commands.write(place, &list)?;
        rig.commands.fini()?;
        let task = ferrite_uapi::rocket::Task {
            regcmd: rig.commands.address + place as u32,
            ..rig.task()
        };
        jobs.add(vec![task], &rig.inputs(), &[rig.activations.handle]);
        Ok(())
    })
}

/// A client that works until it is killed, `after_us` from its start.
pub fn kill(after_us: u64) -> Result<(), Fail> {
    killed(after_us, || {
        let device = Device::open()?;
        loop {
            let rig = Rig::new(&device)?;
            for tasks in 1..6 {
                rig.submit_job(tasks)?;
            }
            rig.activations.export()?;
        }
    })
}

/// A process that does `work`, which does not end, until it is killed.
pub fn killed(after_us: u64, work: impl FnOnce() -> Result<(), Fail>) -> Result<(), Fail> {
    // SAFETY: There are no other threads.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let _ = work();
        // SAFETY: Ends the child without touching what belongs to the parent.
        unsafe { libc::_exit(1) };
    }
    check(child > 0, "no process")?;
    std::thread::sleep(Duration::from_micros(after_us));
    let mut status = 0;
    // SAFETY: The child is ours; `status` is valid for writes.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &mut status, 0);
    }
    Ok(())
}

/// Takes a core away while it works, and gives it back.
fn unbind(random: &mut Random) -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    let core = &cores[random.below(cores.len() as u64) as usize];
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    rig.submit_job(20)?;
    fs::write(folder.join("unbind"), core)?;
    let end = rig.activations.prep(Rig::PATIENCE);
    fs::write(folder.join("bind"), core)?;
    Ok(end?)
}

/// Takes all cores away while they work, and gives them back.
fn vanish(random: &mut Random) -> Result<(), Fail> {
    let (folder, cores) = bound()?;
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    for _ in 0..random.below(6) {
        rig.submit_job(1 + random.below(12) as usize)?;
    }
    for core in &cores {
        fs::write(folder.join("unbind"), core)?;
    }
    for core in cores.iter().rev() {
        fs::write(folder.join("bind"), core)?;
    }
    Ok(())
}

/// Works until the board has made a DMA error.
fn dma() -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    for _ in 0..200 {
        rig.submit_job(1)?;
        match rig.activations.prep(Rig::PATIENCE) {
            Ok(()) => {}
            Err(libc::EIO) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Fail("no DMA error was reported in 200 jobs".into()))
}

/// The system sleeps for a moment.
pub fn suspend() -> Result<(), Fail> {
    fs::write("/sys/power/pm_test", "devices")?;
    // For a second instead of five, where that can be set.
    let _ = fs::write("/sys/module/suspend/parameters/pm_test_delay", "1");
    fs::write("/sys/power/state", "mem")
        .map_err(|error| Fail(format!("the system does not sleep: {error}")))
}

/// The system sleeps while jobs run.
fn sleep(random: &mut Random) -> Result<(), Fail> {
    let device = Device::open()?;
    let rig = Rig::new(&device)?;
    let mut jobs = Jobs::new();
    for _ in 0..20 + random.below(200) {
        jobs.add(
            vec![rig.task(); 16],
            &rig.inputs(),
            &[rig.activations.handle],
        );
    }
    device.submit(&jobs.jobs)?;
    suspend()?;
    Ok(rig.activations.prep(60_000)?)
}
