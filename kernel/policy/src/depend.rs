// SPDX-License-Identifier: GPL-2.0-only
//! Dependencies between the jobs of one submission.
//!
//! Jobs are given in order with the buffers that they read and write. A reader waits for the last
//! writer before it; a writer waits for the readers since the last writer, or for that writer.
//! Whatever has no earlier job of the submission to wait for on a buffer waits for the buffer's
//! fences from outside.

use super::store::{OutOfMemory, Store};

/// What a job must wait for on a buffer, outside of its submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// Nothing: an earlier job of the submission comes between.
    Nothing,
    /// Those who write it.
    Writers,
    /// Those who read or write it.
    Everyone,
}

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Buffer {
    last_writer: u32,
    /// Head of the list of readers since the last writer, in `Graph::readers`.
    readers: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    job: u32,
    next: u32,
}

/// Collects the uses of buffers and gives the edges between jobs. Keeps its memory from submission
/// to submission.
#[derive(Debug, Default)]
pub struct Graph {
    buffers: Store<Buffer>,
    readers: Store<Link>,
    /// Pairs of earlier job and later job.
    edges: Store<(u32, u32)>,
    waits: Store<u32>,
}

impl Graph {
    /// A graph without memory.
    pub const fn new() -> Self {
        Graph {
            buffers: Store::new(),
            readers: Store::new(),
            edges: Store::new(),
            waits: Store::new(),
        }
    }

    /// Begins with a new submission of `jobs` jobs over `buffers` buffers.
    pub fn reset(&mut self, jobs: usize, buffers: usize) -> Result<(), OutOfMemory> {
        self.buffers.clear();
        self.readers.clear();
        self.edges.clear();
        self.waits.clear();
        for _ in 0..buffers {
            self.buffers.push(Buffer {
                last_writer: NONE,
                readers: NONE,
            })?;
        }
        for _ in 0..jobs {
            self.waits.push(0)?;
        }
        Ok(())
    }

    fn edge(&mut self, from: u32, to: u32) -> Result<(), OutOfMemory> {
        if from == to {
            return Ok(());
        }
        self.waits[to as usize] += 1;
        self.edges.push((from, to))
    }

    /// Adds an explicit edge: `to` runs after `from`.
    pub fn after(&mut self, from: u32, to: u32) -> Result<(), OutOfMemory> {
        self.edge(from, to)
    }

    /// `job` reads `buffer`. Jobs come in ascending order.
    pub fn read(&mut self, job: u32, buffer: usize) -> Result<Outside, OutOfMemory> {
        let state = self.buffers[buffer];
        if state.last_writer == job {
            return Ok(Outside::Nothing);
        }
        let head = self.readers.len() as u32;
        self.readers.push(Link {
            job,
            next: state.readers,
        })?;
        self.buffers[buffer].readers = head;
        if state.last_writer == NONE {
            return Ok(Outside::Writers);
        }
        self.edge(state.last_writer, job)?;
        Ok(Outside::Nothing)
    }

    /// `job` writes `buffer`. Jobs come in ascending order.
    pub fn write(&mut self, job: u32, buffer: usize) -> Result<Outside, OutOfMemory> {
        let state = self.buffers[buffer];
        if state.last_writer == job {
            return Ok(Outside::Nothing);
        }
        let mut next = state.readers;
        while next != NONE {
            let link = self.readers[next as usize];
            self.edge(link.job, job)?;
            next = link.next;
        }
        // The readers themselves wait for the last writer.
        if state.readers == NONE && state.last_writer != NONE {
            self.edge(state.last_writer, job)?;
        }
        self.buffers[buffer] = Buffer {
            last_writer: job,
            readers: NONE,
        };
        // Earlier readers wait for outside writers only, so a first writer must see everyone.
        if state.last_writer == NONE {
            Ok(Outside::Everyone)
        } else {
            Ok(Outside::Nothing)
        }
    }

    /// Drops all edges found so far; those added with [`after`](Self::after) from now on count.
    pub fn forget_edges(&mut self) {
        self.edges.clear();
        for waits in self.waits.iter_mut() {
            *waits = 0;
        }
    }

    /// The last job that writes `buffer`.
    pub fn last_writer(&self, buffer: usize) -> Option<u32> {
        Some(self.buffers[buffer].last_writer).filter(|&job| job != NONE)
    }

    /// Whether jobs read `buffer` after its last writer.
    pub fn read_last(&self, buffer: usize) -> bool {
        self.buffers[buffer].readers != NONE
    }

    /// How many edges lead to `job`.
    pub fn waits(&self, job: usize) -> u32 {
        self.waits[job]
    }

    /// The edges, sorted by where they begin.
    pub fn edges(&self) -> Result<Edges, OutOfMemory> {
        let jobs = self.waits.len();
        let mut first = Store::with_capacity(jobs + 1)?;
        let mut later = Store::new();
        if !self.edges.is_empty() {
            for _ in 0..=jobs {
                first.push_within(0u32)?;
            }
            for &(from, _) in self.edges.iter() {
                first[from as usize + 1] += 1;
            }
            for job in 0..jobs {
                first[job + 1] += first[job];
            }
            later.reserve(self.edges.len())?;
            for _ in 0..self.edges.len() {
                later.push_within(0u32)?;
            }
            // Rows are filled from their beginnings, which move to the next rows' beginnings.
            for &(from, to) in self.edges.iter() {
                later[first[from as usize] as usize] = to;
                first[from as usize] += 1;
            }
            for job in (0..jobs).rev() {
                first[job + 1] = first[job];
            }
            first[0] = 0;
        }
        Ok(Edges { first, later })
    }
}

/// Which jobs wait for which fences from outside: each pair once, whatever buffers it is for.
#[derive(Debug, Default)]
pub struct Pairs {
    /// Open addressing; at most half full. Keys are job and fence, values places in a list.
    slots: Store<Option<(u32, usize, u32)>>,
    used: usize,
}

impl Pairs {
    /// Without memory.
    pub const fn new() -> Self {
        Pairs {
            slots: Store::new(),
            used: 0,
        }
    }

    /// Forgets all pairs, and keeps the memory.
    pub fn clear(&mut self) {
        if self.used > 0 {
            self.slots.fill(None);
        }
        self.used = 0;
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    fn place(&self, job: u32, fence: usize) -> usize {
        // Fibonacci hashing; the mask takes the upper bits that it has mixed.
        let key = (fence as u64 ^ u64::from(job) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mask = self.slots.len() - 1;
        let mut at = (key >> 32) as usize & mask;
        while self.slots[at].is_some_and(|(j, f, _)| (j, f) != (job, fence)) {
            at = (at + 1) & mask;
        }
        at
    }

    /// The place of a pair: that which it was given first. `new` if it is a new one.
    pub fn insert(&mut self, job: u32, fence: usize, new: u32) -> Result<u32, OutOfMemory> {
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow()?;
        }
        let at = self.place(job, fence);
        if let Some((.., place)) = self.slots[at] {
            return Ok(place);
        }
        self.slots[at] = Some((job, fence, new));
        self.used += 1;
        Ok(new)
    }

    fn grow(&mut self) -> Result<(), OutOfMemory> {
        let len = (self.slots.len() * 2).max(64);
        let mut slots = Store::with_capacity(len)?;
        for _ in 0..len {
            slots.push_within(None)?;
        }
        let old = core::mem::replace(&mut self.slots, slots);
        for &(job, fence, place) in old.iter().flatten() {
            let at = self.place(job, fence);
            self.slots[at] = Some((job, fence, place));
        }
        Ok(())
    }
}

/// For each job, the jobs that wait for it.
#[derive(Debug)]
pub struct Edges {
    /// Where each job's row in `later` begins; empty if there are no edges.
    first: Store<u32>,
    later: Store<u32>,
}

impl Edges {
    /// The jobs that wait for `job`; one that has several reasons occurs as often.
    pub fn later(&self, job: usize) -> &[u32] {
        match (self.first.get(job), self.first.get(job + 1)) {
            (Some(&from), Some(&to)) => &self.later[from as usize..to as usize],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn a_chain_through_one_buffer() {
        let mut graph = Graph::new();
        graph.reset(3, 1).unwrap();
        assert_eq!(graph.write(0, 0), Ok(Outside::Everyone));
        assert_eq!(graph.read(1, 0), Ok(Outside::Nothing));
        assert_eq!(graph.write(2, 0), Ok(Outside::Nothing));
        assert_eq!(graph.last_writer(0), Some(2));
        assert!(!graph.read_last(0));
        let edges = graph.edges().unwrap();
        assert_eq!(edges.later(0), [1]);
        assert_eq!(edges.later(1), [2]);
        assert_eq!([0, 1, 2].map(|j| graph.waits(j)), [0, 1, 1]);
    }

    #[test]
    fn readers_of_weights_are_independent() {
        let mut graph = Graph::new();
        graph.reset(3, 2).unwrap();
        for job in 0..3 {
            assert_eq!(graph.read(job, 0), Ok(Outside::Writers));
        }
        assert!((0..3).all(|job| graph.waits(job) == 0));
        assert!((0..3).all(|job| graph.edges().unwrap().later(job).is_empty()));
    }

    #[test]
    fn a_pair_counts_once() {
        let mut pairs = Pairs::new();
        for round in 0..3 {
            for job in 0..50u32 {
                for fence in 0..40usize {
                    let new = job * 40 + fence as u32;
                    let place = pairs.insert(job, 0x1000 + fence * 64, new + round * 10_000);
                    assert_eq!(place, Ok(new));
                }
            }
        }
        assert_eq!(pairs.len(), 2000);
        pairs.clear();
        assert!(pairs.is_empty());
        assert_eq!(pairs.insert(0, 0x1000, 9), Ok(9));
    }

    #[test]
    fn input_and_output_at_once() {
        let mut graph = Graph::new();
        graph.reset(3, 1).unwrap();
        assert_eq!(graph.read(0, 0), Ok(Outside::Writers));
        assert_eq!(graph.write(0, 0), Ok(Outside::Everyone));
        graph.read(1, 0).unwrap();
        graph.write(1, 0).unwrap();
        assert_eq!(graph.edges().unwrap().later(0), [1]);
        assert_eq!(graph.waits(0), 0);
        assert_eq!(graph.waits(1), 1);
    }

    /// Replays random submissions and checks every hazard against the transitive closure.
    #[test]
    fn no_hazard_is_missed() {
        use proptest::prelude::*;
        proptest!(|(uses in prop::collection::vec((0usize..4, any::<bool>()), 1..40),
                    per_job in 1usize..4)| {
            let jobs = uses.len().div_ceil(per_job);
            let mut graph = Graph::new();
            graph.reset(jobs, 4).unwrap();
            for (i, &(buffer, write)) in uses.iter().enumerate() {
                let job = (i / per_job) as u32;
                if write { graph.write(job, buffer).unwrap(); } else { graph.read(job, buffer).unwrap(); }
            }
            let edges = graph.edges().unwrap();
            let mut reach = vec![vec![false; jobs]; jobs];
            for from in (0..jobs).rev() {
                for &to in edges.later(from) {
                    prop_assert!(to as usize > from);
                    reach[from][to as usize] = true;
                    let further: Vec<bool> = reach[to as usize].clone();
                    for (a, b) in reach[from].iter_mut().zip(further) { *a |= b; }
                }
            }
            for (i, &(a, wa)) in uses.iter().enumerate() {
                for (j, &(b, wb)) in uses.iter().enumerate().skip(i) {
                    let (from, to) = (i / per_job, j / per_job);
                    if from != to && a == b && (wa || wb) {
                        prop_assert!(reach[from][to], "{from} -> {to}");
                    }
                }
            }
        });
    }
}
