//! Writes traces.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::sync::Arc;

use ferrite_hw::vivante::disasm::Kind;

use super::{Event, Kick, MAGIC, PAGE, tag};

/// A page, and its number in the trace.
type Numbered = (Arc<[u8; PAGE]>, u32);

/// Appends events to a file; pages that it has written before are referred to by number.
pub struct TraceWriter<W> {
    out: W,
    /// Pages written, by a hash of their bytes.
    pages: HashMap<u64, Vec<Numbered>>,
    count: u32,
    hasher: RandomState,
}

impl<W: Write> TraceWriter<W> {
    /// Starts a trace.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        Ok(Self {
            out,
            pages: HashMap::new(),
            count: 0,
            hasher: RandomState::new(),
        })
    }

    /// Appends an event.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Write {
                core,
                offset,
                value,
            } => {
                let mut payload = vec![*core];
                payload.extend(offset.to_le_bytes());
                payload.extend(value.to_le_bytes());
                self.record(tag::WRITE, &payload)
            }
            Event::Reset { core } => self.record(tag::RESET, &[*core]),
            Event::Kick(kick) => {
                let payload = self.kick(kick)?;
                self.record(tag::KICK, &payload)
            }
            Event::Job(job) => {
                let mut payload = vec![u8::from(job.kind == Kind::Tp), job.id];
                payload.extend(job.descriptor.to_le_bytes());
                payload.extend(self.kick(&job.did)?);
                self.record(tag::JOB, &payload)
            }
        }
    }

    /// Ends the trace, and hands back what it went to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    /// A kick as it is written; pages that are new are written before it.
    fn kick(&mut self, kick: &Kick) -> io::Result<Vec<u8>> {
        let mut payload = vec![kick.core];
        payload.extend(kick.started.to_le_bytes());
        payload.extend(length(kick.before.len())?);
        for page in &kick.before {
            payload.extend(page.address.to_le_bytes());
            payload.extend(self.page(&page.bytes)?.to_le_bytes());
        }
        payload.extend(length(kick.written.len())?);
        for run in &kick.written {
            payload.extend(run.address.to_le_bytes());
            payload.extend(length(run.bytes.len())?);
            payload.extend(&run.bytes);
        }
        payload.extend(length(kick.fault.len())?);
        payload.extend(kick.fault.as_bytes());
        Ok(payload)
    }

    /// The number of a page in this trace; the page is written when it is new.
    fn page(&mut self, bytes: &Arc<[u8; PAGE]>) -> io::Result<u32> {
        let hash = self.hasher.hash_one(&bytes[..]);
        let known = self.pages.entry(hash).or_default();
        if let Some((_, number)) = known.iter().find(|(page, _)| page == bytes) {
            return Ok(*number);
        }
        let number = self.count;
        known.push((Arc::clone(bytes), number));
        self.count += 1;
        self.record(tag::PAGE, &bytes[..])?;
        Ok(number)
    }

    fn record(&mut self, tag: u32, payload: &[u8]) -> io::Result<()> {
        self.out.write_all(&tag.to_le_bytes())?;
        self.out.write_all(&length(payload.len())?)?;
        self.out.write_all(payload)
    }
}

/// A length as it is written.
fn length(length: usize) -> io::Result<[u8; 4]> {
    u32::try_from(length)
        .map(u32::to_le_bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a record of 4 GiB or more"))
}
