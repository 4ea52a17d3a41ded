// SPDX-License-Identifier: GPL-2.0-only
//! Open files.

use crate::abstractions::{
    gem::{
        GemRef,
        Object, //
    },
    work, //
};
use crate::abstractions::task;
use crate::batch::{Batch, End};
use crate::npu::{Ferrite, Npu, State};
use crate::policy::{
    quota::{
        Kind,
        OwnerId, //
    },
    schedule::ClientId, //
};
use crate::space::{AddressSpace, Mapping};
use crate::submit::Scratch;
use crate::uapi::ferrite::RESULTS;
use kernel::{
    impl_has_work,
    new_mutex,
    new_work,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        LockedBy,
        Mutex, //
    },
    time::msecs_to_jiffies,
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

use ::core::sync::atomic::{AtomicU64, Ordering};

/// How long closing a file waits for its jobs before it cancels them.
const LINGER_MS: u32 = 1000;

/// A buffer that the client has handles for.
struct Span {
    mapping: Arc<Mapping>,
    buffer: GemRef<Ferrite>,
    handles: u32,
}

/// Where data goes.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    ToNpu,
    ToCpu,
}

/// A client of the NPU: an open file, and then whatever is left of its jobs.
#[pin_data(PinnedDrop)]
pub(crate) struct Client {
    npu: ARef<Npu>,
    id: ClientId,
    owner: OwnerId,
    /// The number that DRM gave the file.
    number: u64,
    space: Arc<AddressSpace>,
    /// Sorted by address.
    #[pin]
    spans: Mutex<KVVec<Span>>,
    #[pin]
    scratch: Mutex<Scratch>,
    results: LockedBy<Results, State>,
    /// Bytes that the CPU's caches were made to agree on, by [`Direction`].
    synced: [AtomicU64; 2],
    #[pin]
    tidying: Work<Client, 0>,
}

impl_has_work! {
    impl HasWork<Self, 0> for Client { self.tidying }
}

impl WorkItem<0> for Client {
    type Pointer = Arc<Client>;

    fn run(this: Arc<Client>) {
        crate::dispatch::end_cancelled(&this.npu);
        crate::dispatch::reap(&this.npu);
    }
}

/// How submissions have ended, and which of the last ones have not.
pub(crate) struct Results {
    /// Number of the last submission.
    last: u64,
    /// Those that have not ended, by number modulo the length.
    pending: [Option<Arc<Batch>>; RESULTS],
    /// How the last that have ended did, in the order in which they ended, from the place that is
    /// overwritten next.
    ends: [End; RESULTS],
    next: usize,
}

/// What is known of a submission.
pub(crate) enum Outcome {
    /// It has ended.
    Ended(End),
    /// It has not.
    Pending(Arc<Batch>),
}

impl Client {
    /// A client for a new file.
    pub(crate) fn new(npu: &Npu, number: u64) -> Result<Arc<Self>> {
        let core = npu.any_core().ok_or(ENODEV)?;
        let mut state = npu.state().lock();
        let owner = state.shares.open(task::owner()).ok_or(EMFILE)?;
        let Some(id) = state.sched.add_client() else {
            state.shares.give(owner, Kind::Files, 1);
            return Err(EMFILE);
        };
        drop(state);
        // If anything fails, the numbers must go back; afterwards dropping the client does it.
        let client = AddressSpace::new(npu, core.device(), number, owner).and_then(|space| {
            Arc::pin_init(
                pin_init!(Client {
                    npu: npu.into(),
                    id,
                    owner,
                    number,
                    space,
                    spans <- new_mutex!(KVVec::new(), "Client::spans"),
                    scratch <- new_mutex!(Scratch::default(), "Client::scratch"),
                    results: LockedBy::new(
                        npu.state(),
                        Results {
                            last: 0,
                            pending: [const { None }; RESULTS],
                            ends: [End::default(); RESULTS],
                            next: 0,
                        },
                    ),
                    synced: [const { AtomicU64::new(0) }; 2],
                    tidying <- new_work!("Client::tidying"),
                }),
                GFP_KERNEL_ACCOUNT,
            )
        });
        client.inspect_err(|_| Self::forget(npu, id, owner))
    }

    fn forget(npu: &Npu, id: ClientId, owner: OwnerId) {
        let mut state = npu.state().lock();
        state.sched.remove_client(id);
        state.shares.give(owner, Kind::Files, 1);
    }

    /// Counts bytes that were handed over.
    pub(crate) fn count_synced(&self, direction: Direction, bytes: u64) {
        self.synced[direction as usize].fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that have been handed over.
    pub(crate) fn synced(&self, direction: Direction) -> u64 {
        self.synced[direction as usize].load(Ordering::Relaxed)
    }

    /// Whose it is, for its share of what all have.
    pub(crate) fn owner(&self) -> OwnerId {
        self.owner
    }

    /// The NPU.
    pub(crate) fn npu(&self) -> &Npu {
        &self.npu
    }

    /// Ends cancelled jobs, of any client. Any context, while one of this client's jobs has not
    /// ended: [`close`](Self::close) waits for the work after them.
    pub(crate) fn tidy_later(self: &Arc<Self>) {
        // It is queued already: then it will see what is new.
        let _ = self.npu.queue().queue().enqueue::<_, 0>(self.clone());
    }

    /// The scheduler's number.
    pub(crate) fn id(&self) -> ClientId {
        self.id
    }

    /// DRM's number, for messages.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The address space.
    pub(crate) fn space(&self) -> &Arc<AddressSpace> {
        &self.space
    }

    /// Memory for submissions; whoever has it submits.
    pub(crate) fn scratch(&self) -> &Mutex<Scratch> {
        &self.scratch
    }

    /// Numbers a new submission. The caller drops what this gives back without the lock.
    pub(crate) fn number_submission(
        &self,
        state: &mut State,
        batch: &Arc<Batch>,
    ) -> (u64, Option<Arc<Batch>>) {
        let results = self.results.access_mut(state);
        results.last += 1;
        let number = results.last;
        let before = results.pending[number as usize % RESULTS].replace(batch.clone());
        batch.progress.access_mut(state).end.number = number;
        (number, before)
    }

    /// A submission has ended: one of its jobs still keeps it.
    pub(crate) fn note_end(&self, state: &mut State, end: End) {
        let results = self.results.access_mut(state);
        results.ends[results.next] = end;
        results.next = (results.next + 1) % RESULTS;
        // A later submission may have taken the place.
        if end.number + RESULTS as u64 > results.last {
            results.pending[end.number as usize % RESULTS] = None;
        }
    }

    /// What is known of a submission. `ENOENT` if it was never made, or has ended and is forgotten.
    pub(crate) fn outcome(&self, state: &State, number: u64) -> Result<Outcome> {
        let results = self.results.access(state);
        if number == 0 || number > results.last {
            return Err(ENOENT);
        }
        if let Some(end) = results.ends.iter().find(|end| end.number == number) {
            return Ok(Outcome::Ended(*end));
        }
        if number + RESULTS as u64 > results.last {
            if let Some(batch) = &results.pending[number as usize % RESULTS] {
                return Ok(Outcome::Pending(batch.clone()));
            }
        }
        // A later one has its place, but that does not mean that it has ended.
        let job = state.sched.each_job().map(|(job, ..)| job).find(|job| {
            job.batch.client.id == self.id && job.batch.progress.access(state).end.number == number
        });
        job.map(|job| Outcome::Pending(job.batch.clone()))
            .ok_or(ENOENT)
    }

    /// A handle for the buffer was made: maps the buffer if it is the first.
    pub(crate) fn add_handle(&self, buffer: &Object<Ferrite>) -> Result {
        let mut spans = self.spans.lock();
        if let Some(span) = spans
            .iter_mut()
            .find(|span| span.mapping.object() == buffer.id())
        {
            span.handles += 1;
            return Ok(());
        }
        spans.reserve(1, GFP_KERNEL_ACCOUNT)?;
        let mapping = Mapping::new(self.space.clone(), buffer)?;
        let start = mapping.range().start;
        let at = spans.partition_point(|span| span.mapping.range().start < start);
        buffer.homes().insert(self.id, mapping.clone())?;
        let span = Span {
            mapping,
            buffer: buffer.into(),
            handles: 1,
        };
        spans.insert_within_capacity(at, span).map_err(|_| ENOMEM)
    }

    /// A handle for the buffer was closed: after the last one, only jobs keep it mapped.
    pub(crate) fn drop_handle(&self, buffer: &Object<Ferrite>) {
        let mut spans = self.spans.lock();
        let Some(at) = spans
            .iter()
            .position(|span| span.mapping.object() == buffer.id())
        else {
            return;
        };
        spans[at].handles -= 1;
        if spans[at].handles == 0 {
            let span = spans.remove(at);
            let home = buffer.homes().remove(self.id);
            drop(spans);
            // Unmapping may take a while: without the lock.
            drop((span, home));
        }
    }

    /// The buffer that has the address.
    pub(crate) fn find(&self, address: u32) -> Option<GemRef<Ferrite>> {
        let spans = self.spans.lock();
        let after = spans.partition_point(|span| span.mapping.range().start <= u64::from(address));
        let span = spans.get(after.checked_sub(1)?)?;
        (u64::from(address) < span.mapping.range().end())
            .then(|| GemRef::from(&*span.buffer))
    }

    /// The file is closed: lets its jobs end, or cancels them if that takes long or the task is
    /// being killed.
    pub(crate) fn close(self: &Arc<Self>) {
        let npu = &self.npu;
        npu.linger(msecs_to_jiffies(LINGER_MS), |state| {
            state.sched.jobs_of(self.id) == 0
        });
        crate::dispatch::cancel_client(npu, self.id);
        // What is left is on a core, and ends with its task, or is taken away.
        npu.wait_for(|state| state.sched.jobs_of(self.id) == 0);
        // The work has a reference, which must not be the last: it keeps the queue that it is on.
        work::cancel::<_, 0>(self);
        // It may have been there for jobs of others.
        crate::dispatch::end_cancelled(npu);
        crate::dispatch::reap(npu);
        crate::dispatch::detach_client(npu, self.id);
    }
}

#[pinned_drop]
impl PinnedDrop for Client {
    fn drop(self: Pin<&mut Self>) {
        Self::forget(&self.npu, self.id, self.owner);
    }
}
