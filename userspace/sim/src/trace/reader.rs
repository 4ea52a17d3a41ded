//! Reads traces, trusting nothing in them.

use std::io::Read;
use std::sync::Arc;

use ferrite_hw::vivante::disasm::Kind;

use super::{Event, Job, Kick, MAGIC, PAGE, Page, Run, tag};

/// What is wrong with a trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Not a trace, or one of another version.
    #[error("not a trace of this version: it starts with {0:02x?}")]
    Magic([u8; 16]),
    /// It cannot be read.
    #[error("the trace cannot be read")]
    Io(#[from] std::io::Error),
    /// It ends in the middle of a record, as after a crash of what wrote it.
    #[error("the trace ends in record {record}")]
    Truncated {
        /// Number of the record, from 0.
        record: u64,
    },
    /// A record holds fewer bytes than its contents need, or more.
    #[error(
        "record {record} (tag {tag}) has a payload of {length} bytes, which its contents do not fit"
    )]
    Length {
        /// Number of the record, from 0.
        record: u64,
        /// Its tag.
        tag: u32,
        /// Its payload's length.
        length: usize,
    },
    /// A kind of record that this version does not know.
    #[error("record {record} has the unknown tag {tag}")]
    Tag {
        /// Number of the record, from 0.
        record: u64,
        /// The tag.
        tag: u32,
    },
    /// A job of a unit that the NPU does not have.
    #[error("record {record} is a job of unit {unit}, and there are two")]
    Unit {
        /// Number of the record, from 0.
        record: u64,
        /// The unit.
        unit: u8,
    },
    /// A kick refers to a page that has not come.
    #[error("record {record} refers to page {page} of {count}")]
    Page {
        /// Number of the record, from 0.
        record: u64,
        /// The page's number.
        page: u32,
        /// Pages there are so far.
        count: usize,
    },
    /// Addresses of a kick that are not ascending, or pages that start within a page.
    #[error("record {record}: {address:#x} is out of order, or not the start of a page")]
    Address {
        /// Number of the record, from 0.
        record: u64,
        /// The address.
        address: u64,
    },
}

/// Iterates over the events of a trace.
pub struct TraceReader<R> {
    input: R,
    pages: Vec<Arc<[u8; PAGE]>>,
    record: u64,
    failed: bool,
}

impl<R: Read> TraceReader<R> {
    /// Checks the header.
    pub fn new(mut input: R) -> Result<Self, TraceError> {
        let mut magic = [0; 16];
        let got = read_up_to(&mut input, &mut magic)?;
        if got < magic.len() || magic != MAGIC {
            return Err(TraceError::Magic(magic));
        }
        Ok(Self {
            input,
            pages: Vec::new(),
            record: 0,
            failed: false,
        })
    }

    fn next_event(&mut self) -> Result<Option<Event>, TraceError> {
        loop {
            let record = self.record;
            let mut head = [0; 8];
            match read_up_to(&mut self.input, &mut head)? {
                0 => return Ok(None),
                8 => {}
                _ => return Err(TraceError::Truncated { record }),
            }
            let tag = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            // Grows as bytes come, so a false length costs no memory.
            let mut payload = Vec::new();
            if (&mut self.input)
                .take(length as u64)
                .read_to_end(&mut payload)?
                < length
            {
                return Err(TraceError::Truncated { record });
            }
            let bad = || TraceError::Length {
                record,
                tag,
                length,
            };
            let mut fields = Fields { rest: &payload };
            let event = match tag {
                tag::PAGE => {
                    let page: [u8; PAGE] = payload.as_slice().try_into().map_err(|_| bad())?;
                    self.pages.push(Arc::new(page));
                    self.record += 1;
                    continue;
                }
                tag::WRITE => Event::Write {
                    core: fields.u8().ok_or_else(bad)?,
                    offset: fields.u32().ok_or_else(bad)?,
                    value: fields.u32().ok_or_else(bad)?,
                },
                tag::RESET => Event::Reset {
                    core: fields.u8().ok_or_else(bad)?,
                },
                tag::KICK => Event::Kick(self.kick(&mut fields, bad)?),
                tag::JOB => Event::Job(Job {
                    kind: match fields.u8().ok_or_else(bad)? {
                        0 => Kind::Nn,
                        1 => Kind::Tp,
                        unit => return Err(TraceError::Unit { record, unit }),
                    },
                    id: fields.u8().ok_or_else(bad)?,
                    descriptor: fields.u32().ok_or_else(bad)?,
                    did: self.kick(&mut fields, bad)?,
                }),
                _ => return Err(TraceError::Tag { record, tag }),
            };
            if !fields.rest.is_empty() {
                return Err(bad());
            }
            self.record += 1;
            return Ok(Some(event));
        }
    }

    fn kick(
        &self,
        fields: &mut Fields<'_>,
        bad: impl Fn() -> TraceError,
    ) -> Result<Kick, TraceError> {
        let record = self.record;
        let mut kick = Kick {
            core: fields.u8().ok_or_else(&bad)?,
            started: fields.u64().ok_or_else(&bad)?,
            ..Kick::default()
        };
        let mut free = 0;
        for _ in 0..fields.u32().ok_or_else(&bad)? {
            let address = fields.u64().ok_or_else(&bad)?;
            if address < free || address % PAGE as u64 != 0 {
                return Err(TraceError::Address { record, address });
            }
            free = address.saturating_add(PAGE as u64);
            let page = fields.u32().ok_or_else(&bad)?;
            let bytes = self.pages.get(page as usize).cloned();
            let count = self.pages.len();
            let bytes = bytes.ok_or(TraceError::Page {
                record,
                page,
                count,
            })?;
            kick.before.push(Page { address, bytes });
        }
        free = 0;
        for _ in 0..fields.u32().ok_or_else(&bad)? {
            let address = fields.u64().ok_or_else(&bad)?;
            let length = fields.u32().ok_or_else(&bad)?;
            if address < free {
                return Err(TraceError::Address { record, address });
            }
            free = address.saturating_add(u64::from(length));
            let bytes = fields.take(length as usize).ok_or_else(&bad)?.to_vec();
            kick.written.push(Run { address, bytes });
        }
        let length = fields.u32().ok_or_else(&bad)?;
        let text = fields.take(length as usize).ok_or_else(&bad)?;
        kick.fault = String::from_utf8_lossy(text).into_owned();
        Ok(kick)
    }
}

impl<R: Read> Iterator for TraceReader<R> {
    type Item = Result<Event, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let event = self.next_event();
        self.failed = event.is_err();
        event.transpose()
    }
}

/// What is left of a payload.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// Fills `out` as far as there are bytes.
fn read_up_to(input: &mut impl Read, out: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < out.len() {
        match input.read(&mut out[got..]) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
