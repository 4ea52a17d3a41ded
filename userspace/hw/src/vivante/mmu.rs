//! Page tables of MMUv2: a page-table array of contexts, two levels of 1024 entries, 4 KiB pages.

/// Bytes of a page.
pub const PAGE_BYTES: u32 = 4096;
/// Entries of a table of either level.
pub const TABLE_ENTRIES: u32 = 1024;
/// Entries of the page-table array, 64 bits each.
pub const PTA_ENTRIES: u32 = 512;
/// Index into the first-level table of an address.
pub const fn master_index(address: u32) -> u32 {
    address >> 22
}
/// Index into the second-level table of an address.
pub const fn slave_index(address: u32) -> u32 {
    address >> 12 & 0x3ff
}

/// Kinds of fault in a nibble of the status register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fault {
    /// No second-level table.
    SlaveNotPresent = 1,
    /// No page.
    PageNotPresent = 2,
    /// Write to a read-only page.
    WriteViolation = 3,
    /// Table or page outside of memory.
    OutOfBounds = 4,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fault::SlaveNotPresent => "no second-level table",
            Fault::PageNotPresent => "no page",
            Fault::WriteViolation => "page is read-only",
            Fault::OutOfBounds => "outside of memory",
        })
    }
}

/// An entry of a table of either level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// It points to something.
    pub present: bool,
    /// Raise a fault on access.
    pub exception: bool,
    /// Writes are allowed; not used in the first level.
    pub writeable: bool,
    /// Physical address of the table or page, 40 bits, a multiple of 4096.
    pub address: u64,
}

impl Entry {
    /// Reads an entry: physical bits [39:32] are in [11:4]; bit 3 has no known meaning.
    pub const fn decode(word: u32) -> Entry {
        Entry {
            present: word & 1 != 0,
            exception: word & 2 != 0,
            writeable: word & 4 != 0,
            address: (word & 0xffff_f000) as u64 | ((word >> 4 & 0xff) as u64) << 32,
        }
    }

    /// The inverse of [`Entry::decode`].
    pub const fn encode(self) -> u32 {
        self.present as u32
            | (self.exception as u32) << 1
            | (self.writeable as u32) << 2
            | ((self.address >> 32 & 0xff) as u32) << 4
            | self.address as u32 & 0xffff_f000
    }
}
