//! Places in an executable's buffers, and the addresses that are to be written there.

use std::collections::BTreeMap;
use std::fmt;

use crate::executable::{BufferId, Executable, Port, Region, Relocation, Role, Step};

/// Relocations by the place that they are written to.
pub struct Relocations<'e>(BTreeMap<(BufferId, usize), &'e Relocation>);

impl<'e> Relocations<'e> {
    /// Those of an executable.
    pub fn of(executable: &'e Executable) -> Self {
        let by_place = |r: &'e Relocation| ((r.buffer, r.offset), r);
        Relocations(executable.relocations.iter().map(by_place).collect())
    }

    /// Those of a buffer's bytes from `first` on, `len` of them, in order.
    pub fn within(
        &self,
        buffer: BufferId,
        first: usize,
        len: usize,
    ) -> impl Iterator<Item = &'e Relocation> + '_ {
        let end = first.saturating_add(len);
        let range = self.0.range((buffer, first)..(buffer, end));
        range.map(|(_, relocation)| *relocation)
    }

    /// The one at a place.
    pub fn at(&self, buffer: BufferId, offset: usize) -> Option<&'e Relocation> {
        self.0.get(&(buffer, offset)).copied()
    }
}

/// A byte of a buffer: `activations+0x40`.
pub struct Place<'e>(pub &'e Executable, pub BufferId, pub usize);

impl<'e> Place<'e> {
    /// Where a region begins.
    pub fn start(executable: &'e Executable, region: Region) -> Self {
        Place(executable, region.buffer, region.offset)
    }

    /// What a relocation refers to.
    pub fn target(executable: &'e Executable, relocation: &Relocation) -> Self {
        Place(executable, relocation.target, relocation.addend as usize)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place(executable, buffer, offset) = *self;
        match executable.buffers.get(buffer) {
            Some(known) => write!(f, "{}+{offset:#x}", role(known.role)),
            None => write!(f, "{buffer}+{offset:#x}"),
        }
    }
}

/// Name of a buffer by what it is for; there is one of each.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Constants => "constants",
        Role::Commands => "commands",
        Role::Activations => "activations",
    }
}

/// A step as one line, without the jobs of a submission.
pub fn step(executable: &Executable, step: &Step) -> String {
    let port = |words: &str, port: &Port| {
        let place = Place::start(executable, port.region);
        let (tensor, len) = (port.tensor.as_u32(), port.region.len);
        format!("tensor {tensor} {words} {place}, {len} bytes")
    };
    match step {
        Step::Cpu(op) => format!("operator {} on the CPU", op.as_u32()),
        Step::Enter(at) => port("enters", at),
        Step::Leave(at) => port("leaves", at),
        Step::Requantise { port: at, .. } => port("is requantised from", at),
        Step::Submit(jobs) => format!("{} jobs", jobs.len()),
    }
}
