// SPDX-License-Identifier: GPL-2.0-only
//! What the driver accepts in a submission.

use super::terms::ANY_CORE;

/// Most jobs in one submission.
pub const MAX_JOBS: u32 = 1024;
/// Most tasks in one submission, over all its jobs.
pub const MAX_TASKS: u32 = 65536;
/// Most buffer references in one submission, over all its jobs.
pub const MAX_USES: u32 = 65536;
/// Most waits of a submission's jobs for fences of others.
pub const MAX_WAITS: usize = 65536;
/// Most synchronisation objects in one submission.
pub const MAX_SYNCOBJS: u32 = 256;
/// Most tasks of a chain: the PC counts them in 12 bits.
pub const MAX_CHAIN: u32 = 4095;
/// Bytes of one register command.
pub const COMMAND_BYTES: u64 = 8;
/// The command fetcher's address field begins at bit 4.
pub const COMMAND_ALIGN: u64 = 16;
/// The fetcher counts pairs of commands, minus one, in 16 bits.
pub const MAX_COMMANDS: u32 = 2 * 65536;

/// Interrupt bits of the DPU, one for each register group.
pub const DONE_DPU: u32 = 0x300;
/// Interrupt bits of the PPU, one for each register group.
pub const DONE_PPU: u32 = 0xc00;
/// Interrupt bits of failed DMA, read and write.
pub const DMA_ERRORS: u32 = 0x3000;

/// Why a submission is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// More than the given limit of jobs, tasks or buffers.
    TooMany {
        /// What was asked for.
        count: u64,
        /// The limit.
        limit: u32,
    },
    /// A job without tasks, or a task without commands.
    Empty,
    /// An element size below that of the first version of a struct, or absurdly large.
    StructSize(u32),
    /// A command list that is not aligned to 16 bytes.
    Misaligned(u32),
    /// A command list that is longer than the hardware can count.
    TooLong(u32),
    /// A command list that is not wholly inside one buffer.
    OutOfBounds(u32),
    /// A dependency on the job itself or a later one.
    Forward(u32),
    /// A core mask with cores that no chip has.
    NoSuchCore(u32),
    /// A completion that is neither the DPU's nor the PPU's.
    Completion(u32),
    /// Flags that are not known, or a reserved field that is not zero.
    Flags(u32),
    /// The unknown part of a longer struct is not zero.
    Unknown,
    /// A part that is not within its buffer.
    Part,
}

/// Counts something user space asked for against its limit.
#[derive(Debug)]
pub struct Quota {
    used: u32,
    limit: u32,
}

impl Quota {
    /// A fresh count.
    pub const fn new(limit: u32) -> Self {
        Quota { used: 0, limit }
    }

    /// Adds `count`.
    pub fn take(&mut self, count: u32) -> Result<(), Error> {
        let total = u64::from(self.used) + u64::from(count);
        if total > u64::from(self.limit) {
            return Err(Error::TooMany {
                count: total,
                limit: self.limit,
            });
        }
        self.used += count;
        Ok(())
    }
}

/// Accepts the size of an array's elements: at least `known_first` bytes (the struct's first
/// version), at most a page, a multiple of four.
pub fn element_size(size: u32, known_first: usize) -> Result<usize, Error> {
    let bytes = size as usize;
    if bytes < known_first || bytes > 4096 || bytes & 3 != 0 {
        return Err(Error::StructSize(size));
    }
    Ok(bytes)
}

/// A checked command list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// Device address.
    pub address: u32,
    /// Value for the PC's amount register: pairs of commands, minus one.
    pub amount: u32,
    /// Interrupt bits any of which say that the task has finished.
    pub done: u32,
}

/// Checks `count` commands at `address` as far as that is possible without the buffer.
pub fn commands(address: u32, count: u32) -> Result<Commands, Error> {
    if count == 0 {
        return Err(Error::Empty);
    }
    if count > MAX_COMMANDS {
        return Err(Error::TooLong(count));
    }
    if u64::from(address) & (COMMAND_ALIGN - 1) != 0 {
        return Err(Error::Misaligned(address));
    }
    Ok(Commands {
        address,
        amount: count.div_ceil(2) - 1,
        done: DONE_DPU | DONE_PPU,
    })
}

/// Checks what a task says of its own completion.
pub fn completion(int_mask: u32) -> Result<u32, Error> {
    match int_mask {
        DONE_DPU | DONE_PPU => Ok(int_mask),
        _ => Err(Error::Completion(int_mask)),
    }
}

/// Checks that no other flags are set than those that are known.
pub fn flags(flags: u32, known: u32) -> Result<(), Error> {
    if flags & !known != 0 {
        return Err(Error::Flags(flags & !known));
    }
    Ok(())
}

/// Checks a mask of cores; 0 stands for any.
pub fn cores(mask: u32) -> Result<u32, Error> {
    match mask {
        0 => Ok(ANY_CORE),
        _ if mask & !ANY_CORE != 0 => Err(Error::NoSuchCore(mask)),
        _ => Ok(mask),
    }
}

/// Checks that a part lies within `len` bytes; a size of 0 stands for all up to the end.
pub fn part(offset: u64, size: u64, len: u64) -> Result<(u64, u64), Error> {
    match len.checked_sub(offset) {
        Some(rest) if size == 0 => Ok((offset, rest)),
        Some(rest) if size <= rest => Ok((offset, size)),
        _ => Err(Error::Part),
    }
}

/// Checks that `count` commands at `address` lie inside a buffer of `len` bytes at `start`, and
/// returns the offset of the last command in the buffer.
pub fn last_command(address: u32, count: u32, start: u64, len: u64) -> Result<u64, Error> {
    let first = u64::from(address);
    let end = first + u64::from(count) * COMMAND_BYTES;
    if first < start || end > start + len {
        return Err(Error::OutOfBounds(address));
    }
    Ok(end - COMMAND_BYTES - start)
}

/// The interrupt bits that end a task, from its last command.
///
/// That command enables the blocks: `0x0081 << 48 | mask << 16 | 8`. A task that uses the PPU
/// (mask bits 5 and 6) has finished when the PPU has, any other when the DPU has. If the last
/// command is something else, either will do.
pub fn done_bits(last_command: u64) -> u32 {
    const ENABLE: u64 = 0x0081;
    const PPU_BLOCKS: u64 = 0x60;
    if last_command >> 48 != ENABLE {
        DONE_DPU | DONE_PPU
    } else if last_command >> 16 & PPU_BLOCKS != 0 {
        DONE_PPU
    } else {
        DONE_DPU
    }
}

/// Most commands that [`stands_alone`] looks at.
pub const MAX_LOOK: u64 = 512;

/// Whether a task needs nothing of what the tasks before it left in the core, so that another
/// client's job may come between. Not if it uses data or weights of the buffer again, or a table
/// that it does not load; nor if it is not complete.
pub fn stands_alone(words: impl Iterator<Item = u64>) -> bool {
    const CNA: u64 = 0x0201;
    const DPU: u64 = 0x1001;
    const ENABLE: u64 = 0x0081;
    /// `CNA.CBUF_CON0`, with the bits that use the buffer again.
    const CBUF: u64 = 0x1040;
    const REUSE: u32 = 0x3000;
    /// `DPU.EW_CFG`, with the bits that bypass all of the stage, and its table.
    const EW: u64 = 0x4070;
    const NO_TABLE: u32 = 0x81;
    /// `DPU.LUT_ACCESS_CFG`, with the bit for writing.
    const LUT: u64 = 0x4100;
    const LUT_WRITE: u32 = 0x2_0000;
    const ENABLE_CNA: u32 = 0x1;
    const ENABLE_DPU: u32 = 0x8;
    let (mut fresh, mut table, mut loads, mut blocks) = (false, true, false, None);
    for word in words {
        let value = (word >> 16) as u32;
        match (word >> 48, word & 0xffff) {
            (CNA, CBUF) => fresh = value & REUSE == 0,
            (DPU, EW) => table = value & NO_TABLE == 0,
            (DPU, LUT) => loads |= value & LUT_WRITE != 0,
            (ENABLE, _) => blocks = Some(value),
            _ => {}
        }
    }
    blocks.is_some_and(|blocks| {
        (blocks & ENABLE_CNA == 0 || fresh) && (blocks & ENABLE_DPU == 0 || !table || loads)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_pairs_minus_one() {
        // The vendor's bodies of 108, 104, 69 and 26 words, plus the tail of four.
        for (count, amount) in [(112, 55), (108, 53), (73, 36), (30, 14)] {
            assert_eq!(commands(0x40, count).unwrap().amount, amount);
        }
        assert_eq!(commands(0, MAX_COMMANDS).unwrap().amount, 0xffff);
        assert_eq!(commands(0, MAX_COMMANDS + 1), Err(Error::TooLong(131073)));
        assert_eq!(commands(8, 4), Err(Error::Misaligned(8)));
        assert_eq!(commands(0, 0), Err(Error::Empty));
    }

    #[test]
    fn lists_stay_inside_their_buffer() {
        assert_eq!(last_command(0x1000, 512, 0x1000, 4096), Ok(4088));
        assert_eq!(
            last_command(0x1010, 512, 0x1000, 4096),
            Err(Error::OutOfBounds(0x1010))
        );
        assert_eq!(
            last_command(0xff0, 4, 0x1000, 4096),
            Err(Error::OutOfBounds(0xff0))
        );
        // An end beyond 32 bits must not wrap.
        assert_eq!(
            last_command(0xffff_fff0, MAX_COMMANDS, 0xffff_f000, 4096),
            Err(Error::OutOfBounds(0xffff_fff0))
        );
    }

    #[test]
    fn the_last_block_ends_the_task() {
        assert_eq!(done_bits(0x0081_0000_000d_0008), DONE_DPU);
        assert_eq!(done_bits(0x0081_0000_0018_0008), DONE_DPU);
        assert_eq!(done_bits(0x0081_0000_0060_0008), DONE_PPU);
        assert_eq!(done_bits(0x0081_0000_006d_0008), DONE_PPU);
        assert_eq!(done_bits(0x1001_0000_0000_4004), DONE_DPU | DONE_PPU);
    }

    #[test]
    fn a_task_that_uses_what_others_left_does_not_stand_alone() {
        const CONVOLUTION: u64 = 0x0081_0000_001d_0008;
        const FLYING: u64 = 0x0081_0000_0018_0008;
        const POOLING: u64 = 0x0081_0000_0060_0008;
        const LOADS: u64 = 0x0201_0000_00b1_1040;
        const REUSES_WEIGHTS: u64 = 0x0201_0000_20b1_1040;
        const REUSES_DATA: u64 = 0x0201_0000_10b1_1040;
        const NO_TABLE: u64 = 0x1001_0000_0383_4070;
        const TABLE: u64 = 0x1001_0000_0302_4070;
        const ENTRIES: u64 = 0x1001_0002_0000_4100;
        let alone = |words: &[u64]| stands_alone(words.iter().copied());
        assert!(alone(&[LOADS, NO_TABLE, CONVOLUTION]));
        assert!(!alone(&[REUSES_WEIGHTS, NO_TABLE, CONVOLUTION]));
        assert!(!alone(&[REUSES_DATA, NO_TABLE, CONVOLUTION]));
        assert!(!alone(&[NO_TABLE, CONVOLUTION]), "what was set before");
        assert!(!alone(&[LOADS, TABLE, CONVOLUTION]));
        assert!(alone(&[LOADS, ENTRIES, TABLE, CONVOLUTION]));
        assert!(!alone(&[LOADS, NO_TABLE]), "no end within the words");
        assert!(alone(&[NO_TABLE, FLYING]));
        assert!(alone(&[POOLING]));
        assert!(!alone(&[]));
    }

    #[test]
    fn quotas_do_not_wrap() {
        let mut quota = Quota::new(10);
        quota.take(10).unwrap();
        assert_eq!(
            quota.take(u32::MAX),
            Err(Error::TooMany {
                count: 10 + u64::from(u32::MAX),
                limit: 10
            })
        );
    }

    #[test]
    fn what_a_caller_says_is_checked() {
        assert_eq!(completion(DONE_DPU), Ok(0x300));
        assert_eq!(completion(DONE_PPU), Ok(0xc00));
        for other in [0, DONE_DPU | DONE_PPU, 0x100, 1] {
            assert_eq!(completion(other), Err(Error::Completion(other)));
        }
        assert_eq!(flags(1, 3), Ok(()));
        assert_eq!(flags(5, 3), Err(Error::Flags(4)));
        assert_eq!((cores(0), cores(2)), (Ok(ANY_CORE), Ok(2)));
        assert_eq!(cores(0x11), Err(Error::NoSuchCore(0x11)));
        assert_eq!(part(0, 0, 8192), Ok((0, 8192)));
        assert_eq!(part(4096, 0, 8192), Ok((4096, 4096)));
        assert_eq!(part(8192, 0, 8192), Ok((8192, 0)));
        assert_eq!(part(1, 8191, 8192), Ok((1, 8191)));
        for (offset, size) in [(1, 8192), (8193, 0), (u64::MAX, 1), (1, u64::MAX)] {
            assert_eq!(
                part(offset, size, 8192),
                Err(Error::Part),
                "{offset} {size}"
            );
        }
    }

    #[test]
    fn element_sizes() {
        assert_eq!(element_size(40, 40), Ok(40));
        assert_eq!(element_size(48, 40), Ok(48));
        assert_eq!(element_size(39, 40), Err(Error::StructSize(39)));
        assert_eq!(
            element_size(u32::MAX - 3, 40),
            Err(Error::StructSize(u32::MAX - 3))
        );
    }
}
