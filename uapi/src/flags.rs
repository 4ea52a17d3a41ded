// SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT
//! The flags of [`ferrite`](mod@crate::ferrite) as sets, for user space. The fields of the structs are
//! integers, as the kernel may know flags that this crate does not.

use crate::ferrite;
use bitflags::bitflags;

bitflags! {
    /// What a driver can do: [`ferrite::DeviceInfo::features`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Features: u32 {
        /// Submissions, and waits for them.
        const SUBMIT = ferrite::FEATURE_SUBMIT;
        /// Buffers of other devices.
        const IMPORT = ferrite::FEATURE_IMPORT;
        /// Synchronisation objects in submissions.
        const SYNCOBJ = ferrite::FEATURE_SYNCOBJ;
        /// Tasks that end in the PPU complete by interrupt.
        const PPU = ferrite::FEATURE_PPU;
        /// Chained jobs.
        const CHAIN = ferrite::FEATURE_CHAIN;
        /// Points of timelines.
        const TIMELINE = ferrite::FEATURE_TIMELINE;
        /// Parts of buffers are handed over.
        const RANGE = ferrite::FEATURE_RANGE;
    }

    /// A core: [`ferrite::CoreInfo::flags`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CoreFlags: u32 {
        /// The figures are told.
        const ACTIVITY = ferrite::CORE_ACTIVITY;
        /// It runs a job now.
        const BUSY = ferrite::CORE_BUSY;
    }

    /// A buffer: [`ferrite::CreateBuffer::flags`], [`ferrite::BufferInfo::flags`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct BufferFlags: u32 {
        /// The CPU only writes.
        const WRITE_COMBINED = ferrite::BUFFER_WRITE_COMBINED;
        /// Out only: of another device.
        const IMPORTED = ferrite::BUFFER_IMPORTED;
    }

    /// A job: [`ferrite::Job::flags`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct JobFlags: u32 {
        /// One start for all tasks.
        const CHAINED = ferrite::JOB_CHAINED;
    }

    /// A synchronisation object: [`ferrite::Sync::flags`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SyncFlags: u32 {
        /// A point of its timeline.
        const TIMELINE = ferrite::SYNC_TIMELINE;
    }

    /// A submission: [`ferrite::Submit::flags`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SubmitFlags: u32 {
        /// The jobs depend on each other only as they say.
        const EXPLICIT = ferrite::SUBMIT_EXPLICIT;
    }

    /// What the CPU will do with a buffer: [`ferrite::Prepare::flags`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PrepareFlags: u32 {
        /// Read.
        const READ = ferrite::PREPARE_READ;
        /// Write.
        const WRITE = ferrite::PREPARE_WRITE;
    }
}
