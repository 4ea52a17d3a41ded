//! Front-end commands: 64-bit aligned, the opcode in bits [31:27] of the first word.

use super::state;

/// Semaphore token of the pair "front end waits for the pixel engine" (all earlier work is done).
pub const TOKEN_FE_PE: u32 = 0x0701;

/// Most data words of one LOAD_STATE.
pub const MAX_LOAD: usize = 0x3ff;

/// A front-end command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Two zero words: skipped.
    Empty,
    /// Writes data to consecutive states.
    LoadState {
        /// Byte address of the first state.
        state: u32,
        /// Data words, at most [`MAX_LOAD`].
        data: Vec<u32>,
    },
    /// Stops the front end.
    End,
    /// Nothing.
    Nop,
    /// Pauses for some cycles of the core clock.
    Wait {
        /// Cycles.
        cycles: u16,
    },
    /// Goes on at another address.
    Link {
        /// 64-bit words to fetch there.
        prefetch: u16,
        /// Address, a multiple of 8.
        address: u32,
    },
    /// Waits until a semaphore token came back.
    Stall {
        /// Recipients, as in the semaphore token state.
        token: u32,
    },
    /// A command of no known use on this NPU, or with unknown bits set.
    Unknown {
        /// Its two words.
        words: [u32; 2],
    },
}

const LOAD_STATE: u32 = 0x0800_0000;
const END: u32 = 0x1000_0000;
const NOP: u32 = 0x1800_0000;
const WAIT: u32 = 0x3800_0000;
const LINK: u32 = 0x4000_0000;
const STALL: u32 = 0x4800_0000;

/// A command that its words end in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("command {header:#010x} needs {needed} words, {available} are left")]
pub struct Truncated {
    /// First word.
    pub header: u32,
    /// Words of the command.
    pub needed: usize,
    /// Words there are.
    pub available: usize,
}

impl Command {
    /// A LOAD_STATE of one word.
    pub fn load(state: u32, value: u32) -> Command {
        Command::LoadState {
            state,
            data: vec![value],
        }
    }

    /// Words of the command whose first word is `header`, padding included.
    pub const fn words(header: u32) -> usize {
        if header & 0xf800_0000 == LOAD_STATE {
            let count = (header >> 16 & 0x3ff) as usize;
            (1 + count).next_multiple_of(2)
        } else {
            2
        }
    }

    /// The command at the start of `words`, and how many words it takes. A command whose words
    /// are not exactly those that [`Command::encode`] gives is [`Command::Unknown`].
    pub fn decode(words: &[u32]) -> Result<(Command, usize), Truncated> {
        let header = words.first().copied().unwrap_or(0);
        let needed = Command::words(header);
        if words.len() < needed {
            return Err(Truncated {
                header,
                needed,
                available: words.len(),
            });
        }
        let command = match header & 0xf800_0000 {
            0 => Command::Empty,
            LOAD_STATE => Command::LoadState {
                state: (header & 0xffff) << 2,
                data: words[1..1 + (header >> 16 & 0x3ff) as usize].to_vec(),
            },
            END => Command::End,
            NOP => Command::Nop,
            WAIT => Command::Wait {
                cycles: header as u16,
            },
            LINK => Command::Link {
                prefetch: header as u16,
                address: words[1],
            },
            STALL => Command::Stall { token: words[1] },
            _ => Command::Unknown {
                words: [header, words[1]],
            },
        };
        let mut encoded = Vec::with_capacity(needed);
        command.encode(&mut encoded);
        if encoded == words[..needed] || command.ignores_second_word() && encoded[0] == header {
            return Ok((command, needed));
        }
        Ok((
            Command::Unknown {
                words: [header, words[1]],
            },
            2,
        ))
    }

    // The second word of these carries nothing; the kernel leaves there what was before.
    fn ignores_second_word(&self) -> bool {
        match self {
            Command::End | Command::Nop | Command::Wait { .. } => true,
            // Padding behind an even number of data words is not read either.
            Command::LoadState { .. } => true,
            _ => false,
        }
    }

    /// Appends the command's words.
    pub fn encode(&self, words: &mut Vec<u32>) {
        match self {
            Command::Empty => words.extend([0, 0]),
            Command::LoadState { state, data } => {
                let count = (data.len() & MAX_LOAD) as u32;
                words.push(LOAD_STATE | count << 16 | state >> 2 & 0xffff);
                words.extend(&data[..count as usize]);
                if count.is_multiple_of(2) {
                    words.push(0);
                }
            }
            Command::End => words.extend([END, 0]),
            Command::Nop => words.extend([NOP, 0]),
            Command::Wait { cycles } => words.extend([WAIT | u32::from(*cycles), 0]),
            Command::Link { prefetch, address } => {
                words.extend([LINK | u32::from(*prefetch), *address]);
            }
            Command::Stall { token } => words.extend([STALL, *token]),
            Command::Unknown { words: raw } => words.extend(raw),
        }
    }

    /// Appends the pair that makes the front end wait until all earlier work is done.
    pub fn stall_for_pe(words: &mut Vec<u32>) {
        Command::load(state::GL_SEMAPHORE_TOKEN, TOKEN_FE_PE).encode(words);
        Command::Stall { token: TOKEN_FE_PE }.encode(words);
    }
}
