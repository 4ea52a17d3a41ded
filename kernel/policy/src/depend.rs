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

/// Collects the uses of buffers and gives the edges between jobs.
#[derive(Debug)]
pub struct Graph {
    buffers: Store<Buffer>,
    readers: Store<Link>,
    /// Pairs of earlier job and later job.
    edges: Store<(u32, u32)>,
}

impl Graph {
    /// A graph over `buffers` buffers that jobs will use at most `uses` times in all, with at most
    /// `explicit` extra edges.
    pub fn new(buffers: usize, uses: usize, explicit: usize) -> Result<Self, OutOfMemory> {
        let mut graph = Graph {
            buffers: Store::with_capacity(buffers)?,
            readers: Store::with_capacity(uses)?,
            edges: Store::with_capacity(2 * uses + explicit)?,
        };
        for _ in 0..buffers {
            graph.buffers.push_within(Buffer {
                last_writer: NONE,
                readers: NONE,
            })?;
        }
        Ok(graph)
    }

    fn edge(&mut self, from: u32, to: u32) -> Result<(), OutOfMemory> {
        if from == to {
            return Ok(());
        }
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

    /// The last job that writes `buffer`.
    pub fn last_writer(&self, buffer: usize) -> Option<u32> {
        Some(self.buffers[buffer].last_writer).filter(|&job| job != NONE)
    }

    /// Whether jobs read `buffer` after its last writer.
    pub fn read_last(&self, buffer: usize) -> bool {
        self.buffers[buffer].readers != NONE
    }

    /// The finished edges.
    pub fn finish(self, jobs: usize) -> Result<Edges, OutOfMemory> {
        let mut first = Store::with_capacity(jobs + 1)?;
        for _ in 0..=jobs {
            first.push_within(0u32)?;
        }
        for &(from, _) in self.edges.iter() {
            first[from as usize + 1] += 1;
        }
        for job in 0..jobs {
            first[job + 1] += first[job];
        }
        let mut later = Store::with_capacity(self.edges.len())?;
        for _ in 0..self.edges.len() {
            later.push_within(0u32)?;
        }
        let mut waits = Store::with_capacity(jobs)?;
        for _ in 0..jobs {
            waits.push_within(0u32)?;
        }
        // Fill each job's row from its end: afterwards `first` has the rows' beginnings.
        let mut end = Store::with_capacity(jobs)?;
        for job in 0..jobs {
            end.push_within(first[job + 1])?;
        }
        for &(from, to) in self.edges.iter() {
            end[from as usize] -= 1;
            later[end[from as usize] as usize] = to;
            waits[to as usize] += 1;
        }
        Ok(Edges {
            first,
            later,
            waits,
        })
    }
}

/// For each job, the jobs that wait for it.
#[derive(Debug)]
pub struct Edges {
    first: Store<u32>,
    later: Store<u32>,
    waits: Store<u32>,
}

impl Edges {
    /// The jobs that wait for `job`; one that has several reasons occurs as often.
    pub fn later(&self, job: usize) -> &[u32] {
        &self.later[self.first[job] as usize..self.first[job + 1] as usize]
    }

    /// How many times `job` occurs in the lists of others.
    pub fn waits(&self, job: usize) -> u32 {
        self.waits[job]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn a_chain_through_one_buffer() {
        let mut graph = Graph::new(1, 3, 0).unwrap();
        assert_eq!(graph.write(0, 0), Ok(Outside::Everyone));
        assert_eq!(graph.read(1, 0), Ok(Outside::Nothing));
        assert_eq!(graph.write(2, 0), Ok(Outside::Nothing));
        assert_eq!(graph.last_writer(0), Some(2));
        assert!(!graph.read_last(0));
        let edges = graph.finish(3).unwrap();
        assert_eq!(edges.later(0), [1]);
        assert_eq!(edges.later(1), [2]);
        assert_eq!([0, 1, 2].map(|j| edges.waits(j)), [0, 1, 1]);
    }

    #[test]
    fn readers_of_weights_are_independent() {
        let mut graph = Graph::new(2, 6, 0).unwrap();
        for job in 0..3 {
            assert_eq!(graph.read(job, 0), Ok(Outside::Writers));
        }
        let edges = graph.finish(3).unwrap();
        assert!((0..3).all(|job| edges.waits(job) == 0));
    }

    #[test]
    fn input_and_output_at_once() {
        let mut graph = Graph::new(1, 4, 0).unwrap();
        assert_eq!(graph.read(0, 0), Ok(Outside::Writers));
        assert_eq!(graph.write(0, 0), Ok(Outside::Everyone));
        graph.read(1, 0).unwrap();
        graph.write(1, 0).unwrap();
        let edges = graph.finish(2).unwrap();
        assert_eq!(edges.waits(0), 0);
        assert_eq!(edges.waits(1), 1);
    }

    /// Replays random submissions and checks every hazard against the transitive closure.
    #[test]
    fn no_hazard_is_missed() {
        use proptest::prelude::*;
        proptest!(|(uses in prop::collection::vec((0usize..4, any::<bool>()), 1..40),
                    per_job in 1usize..4)| {
            let jobs = uses.len().div_ceil(per_job);
            let mut graph = Graph::new(4, uses.len(), 0).unwrap();
            for (i, &(buffer, write)) in uses.iter().enumerate() {
                let job = (i / per_job) as u32;
                if write { graph.write(job, buffer).unwrap(); } else { graph.read(job, buffer).unwrap(); }
            }
            let edges = graph.finish(jobs).unwrap();
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
