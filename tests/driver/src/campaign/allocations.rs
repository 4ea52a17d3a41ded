//! Failures of memory allocation, and of copies from and to user space, at each place where a call
//! can meet them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use ferrite_uapi::{drm, ferrite};

use super::works;
use crate::cases::{Fail, Jobs, Rig, bound, submission, sync};
use crate::device::{Device, ioctl};

/// More places than any call has.
const MOST: u32 = 3000;

/// The failure that this thread is to meet: the kernel counts its chances down.
struct Nth(File);

impl Nth {
    fn new() -> Result<Self, Fail> {
        // Also where the caller could wait for memory, and without a word for each.
        for (file, value) in [
            ("failslab/ignore-gfp-wait", "N"),
            ("fail_page_alloc/ignore-gfp-wait", "N"),
            ("fail_page_alloc/ignore-gfp-highmem", "N"),
            ("fail_page_alloc/min-order", "0"),
            ("failslab/verbose", "0"),
            ("fail_page_alloc/verbose", "0"),
            ("fail_usercopy/verbose", "0"),
        ] {
            fs::write(format!("/sys/kernel/debug/{file}"), value)
                .map_err(|error| Fail(format!("{file}: {error}")))?;
        }
        Ok(Nth(OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth")?))
    }

    /// The next failure comes at the `nth` chance.
    fn set(&self, nth: u32) -> io::Result<()> {
        self.0.write_all_at(nth.to_string().as_bytes(), 0)
    }

    /// Whether the failure came; there is none to come afterwards.
    fn came(&self) -> Result<bool, Fail> {
        let mut text = [0; 16];
        // If it did not, reading may meet it.
        let came = match self.0.read_at(&mut text, 0) {
            Ok(len) => text[..len].trim_ascii() == b"0",
            Err(_) => false,
        };
        // Neither does writing: what is left of the count may be met there.
        for _ in 0..MOST {
            if self.set(0).is_ok() {
                return Ok(came);
            }
        }
        Err(Fail("the failure cannot be called off".into()))
    }
}

/// The calls, and what they need.
struct Scene<'a> {
    rig: Rig<'a>,
    jobs: Jobs,
    syncobjs: [u32; 2],
    export: std::os::fd::OwnedFd,
    core: (std::path::PathBuf, String),
}

impl<'a> Scene<'a> {
    fn new(device: &'a Device, other: &Device) -> Result<Self, Fail> {
        let rig = Rig::new(device)?;
        let mut jobs = Jobs::new();
        for _ in 0..3 {
            jobs.add(
                vec![rig.task(); 2],
                &rig.inputs(),
                &[rig.activations.handle],
            );
        }
        let mut syncobjs = [0; 2];
        for (handle, flags) in syncobjs.iter_mut().zip([1, 0]) {
            let mut arg = drm::SyncobjCreate { handle: 0, flags };
            // Mainline's driver has none.
            if ioctl(device, drm::IOCTL_SYNCOBJ_CREATE, &mut arg).is_ok() {
                *handle = arg.handle;
            }
        }
        // Somebody else's buffer, to be imported.
        let export = other.buffer(70_000)?.export()?;
        let (folder, cores) = bound()?;
        let core = cores.last().cloned().unwrap_or_default();
        Ok(Scene {
            rig,
            jobs,
            syncobjs,
            export,
            core: (folder, core),
        })
    }

    fn submit_extended(&self, device: &Device) {
        let list = self.jobs.all_extended();
        let [before, after] = self.syncobjs.map(sync);
        // Of the timeline: a link must be allocated.
        let after = [
            after,
            ferrite::Sync {
                flags: ferrite::SYNC_TIMELINE,
                point: 7,
                ..after
            },
        ];
        let mut arg = ferrite::Submit {
            in_syncs: &raw const before as u64,
            in_sync_count: 1,
            out_syncs: after.as_ptr() as u64,
            out_sync_count: 2,
            ..submission(&list)
        };
        let _ = ioctl(device, ferrite::IOCTL_SUBMIT, &mut arg);
    }

    fn import(&self, device: &Device) {
        let mut arg = drm::PrimeHandle {
            handle: 0,
            flags: 0,
            fd: self.export.as_raw_fd(),
        };
        if ioctl(device, drm::IOCTL_PRIME_FD_TO_HANDLE, &mut arg).is_ok() {
            let _ = device.close(arg.handle);
        }
    }
}

type Call = (&'static str, fn(&Device, &Scene<'_>));

const CALLS: &[Call] = &[
    ("open", |_, _| drop(Device::open())),
    ("create_bo", |device, _| drop(device.buffer(70_000))),
    ("submit", |device, scene| {
        let _ = device.submit(&scene.jobs.jobs);
    }),
    ("submit_extended", |device, scene| {
        scene.submit_extended(device);
    }),
    ("prep_bo", |_, scene| {
        let _ = scene.rig.activations.prep(0);
    }),
    ("export", |_, scene| drop(scene.rig.activations.export())),
    ("import", |device, scene| scene.import(device)),
    ("mmap", |_, scene| {
        let _ = scene.rig.constants.map(|_| ());
    }),
    ("bind", |_, scene| {
        let (folder, core) = &scene.core;
        let _ = fs::write(folder.join("bind"), core);
    }),
];

/// Makes each failure of each call, with a job that must be right after each.
pub fn fail_each() -> Result<(), Fail> {
    let nth = Nth::new()?;
    for (name, call) in CALLS {
        let mut made = 0;
        for at in 1..=MOST {
            let (device, other) = (Device::open()?, Device::open()?);
            let scene = Scene::new(&device, &other)?;
            let (folder, core) = &scene.core;
            if *name == "bind" {
                fs::write(folder.join("unbind"), core)?;
            }
            nth.set(at)?;
            call(&device, &scene);
            let came = nth.came()?;
            if *name == "bind" && !folder.join(core).exists() {
                fs::write(folder.join("bind"), core)?;
            }
            let _ = scene.rig.activations.prep(Rig::PATIENCE);
            drop(scene);
            works().map_err(|why| Fail(format!("{name}, failure {at}: {why}")))?;
            if !came {
                break;
            }
            made += 1;
        }
        println!("{{\"call\": \"{name}\", \"failures\": {made}}}");
    }
    Ok(())
}
