// SPDX-License-Identifier: GPL-2.0-only
//! Open files.

use crate::abstractions::{
    gem::{
        GemRef,
        Object, //
    },
    task,
    work, //
};
use crate::npu::{Ferrite, Npu, State};
use crate::policy::schedule::ClientId;
use crate::space::{AddressSpace, Mapping};
use crate::submit::Scratch;
use crate::uapi::ferrite::RESULTS;
use core::cmp::Ordering;
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

/// How long closing a file waits for its jobs before it cancels them.
const LINGER_MS: u32 = 1000;

/// A buffer that the client has handles for.
struct Span {
    mapping: Arc<Mapping>,
    buffer: GemRef<Ferrite>,
    handles: u32,
}

/// A client of the NPU: an open file, and then whatever is left of its jobs.
#[pin_data(PinnedDrop)]
pub(crate) struct Client {
    npu: ARef<Npu>,
    id: ClientId,
    /// The number that DRM gave the file.
    number: u64,
    space: Arc<AddressSpace>,
    /// Sorted by address.
    #[pin]
    spans: Mutex<KVVec<Span>>,
    #[pin]
    scratch: Mutex<Scratch>,
    results: LockedBy<Results, State>,
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

/// How submissions ended.
pub(crate) struct Results {
    /// Number of the last submission.
    last: u64,
    /// By number, modulo the length.
    ends: [End; RESULTS],
}

/// How a submission ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct End {
    /// The submission's number.
    pub(crate) number: u64,
    /// The first job that failed, and its error.
    pub(crate) error: Option<(u32, Error)>,
    /// Time on cores, in nanoseconds.
    pub(crate) busy_ns: u64,
}

impl Client {
    /// A client for a new file.
    pub(crate) fn new(npu: &Npu, number: u64) -> Result<Arc<Self>> {
        let core = npu.any_core().ok_or(ENODEV)?;
        let space = AddressSpace::new(npu, core.device(), number)?;
        let id = npu.state().lock().sched.add_client().ok_or(EMFILE)?;
        // If this fails, the client number must go back; afterwards dropping the client does it.
        Arc::pin_init(
            pin_init!(Client {
                npu: npu.into(),
                id,
                number,
                space,
                spans <- new_mutex!(KVVec::new(), "Client::spans"),
                scratch <- new_mutex!(Scratch::default(), "Client::scratch"),
                results: LockedBy::new(
                    npu.state(),
                    Results {
                        last: 0,
                        ends: [End::default(); RESULTS],
                    },
                ),
                tidying <- new_work!("Client::tidying"),
            }),
            GFP_KERNEL,
        )
        .inspect_err(|_| {
            npu.state().lock().sched.remove_client(id);
        })
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

    /// The number of a new submission.
    pub(crate) fn number_submission(&self, state: &mut State) -> u64 {
        let results = self.results.access_mut(state);
        results.last += 1;
        results.last
    }

    /// A submission has ended.
    pub(crate) fn note_end(&self, state: &mut State, end: End) {
        let place = &mut self.results.access_mut(state).ends[end.number as usize % RESULTS];
        // Later submissions may have ended before.
        if place.number < end.number {
            *place = end;
        }
    }

    /// How a submission ended; `None` if it has not. `ENOENT` if it was never made, or its end is
    /// forgotten.
    pub(crate) fn end_of(&self, state: &State, number: u64) -> Result<Option<End>> {
        let results = self.results.access(state);
        if number == 0 || number > results.last {
            return Err(ENOENT);
        }
        let end = results.ends[number as usize % RESULTS];
        match end.number.cmp(&number) {
            Ordering::Less => Ok(None),
            Ordering::Equal => Ok(Some(end)),
            Ordering::Greater => Err(ENOENT),
        }
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
        spans.reserve(1, GFP_KERNEL)?;
        buffer.homes().reserve()?;
        let mapping = Mapping::new(self.space.clone(), buffer)?;
        let start = mapping.range().start;
        let at = spans.partition_point(|span| span.mapping.range().start < start);
        buffer.homes().insert(self.id, mapping.clone());
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
        if !task::is_killed() {
            npu.wait_for(Some(msecs_to_jiffies(LINGER_MS)), |state| {
                state.sched.jobs_of(self.id) == 0
            });
        }
        crate::dispatch::cancel_client(npu, self.id);
        // What is left is on a core, and ends within its budget.
        npu.wait_for(None, |state| state.sched.jobs_of(self.id) == 0);
        // The work has a reference, which must not be the last: it keeps the queue that it is on.
        work::cancel(self);
        // It may have been there for jobs of others.
        crate::dispatch::end_cancelled(npu);
        crate::dispatch::reap(npu);
        crate::dispatch::detach_client(npu, self.id);
    }
}

#[pinned_drop]
impl PinnedDrop for Client {
    fn drop(self: Pin<&mut Self>) {
        self.npu.state().lock().sched.remove_client(self.id);
    }
}
