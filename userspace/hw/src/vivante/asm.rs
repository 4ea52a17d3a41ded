//! The inverse of [`super::disasm`]: text to words. `;` starts a comment.

use super::command::{Command, MAX_LOAD};
use super::disasm::Kind;
use super::field::{FieldOverflow, Words, reserved};
use super::state;

/// What is wrong with a line of text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsmErrorKind {
    /// The line starts with no known command.
    #[error("`{0}` is no command")]
    UnknownCommand(String),
    /// The command has another number of operands.
    #[error("`{command}` cannot have {count} operands")]
    Operands {
        /// The command.
        command: String,
        /// Operands on the line.
        count: usize,
    },
    /// A state of no known name.
    #[error("`{0}` is no state")]
    UnknownState(String),
    /// An operand that is no number of its width.
    #[error("`{0}` is not a value")]
    BadValue(String),
    /// The descriptor has no such field.
    #[error("no field `{0}`")]
    UnknownField(String),
    /// A line in a descriptor that is not of the form NAME = VALUE.
    #[error("`{0}` is not of the form NAME = VALUE")]
    BadField(String),
    /// A value that does not fit its field.
    #[error(transparent)]
    Overflow(#[from] FieldOverflow),
    /// The text of a descriptor is not enclosed in `nn` or `tp` and `end`.
    #[error("a descriptor starts with `nn` or `tp` and ends with `end`")]
    NotEnclosed,
}

/// An error and its line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct AsmError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong.
    pub kind: AsmErrorKind,
}

/// Assembles a command stream.
pub fn stream(text: &str) -> Result<Vec<u32>, AsmError> {
    let mut words = Vec::new();
    for (line, code) in lines(text) {
        command(code, &mut words).map_err(|kind| AsmError { line, kind })?;
    }
    Ok(words)
}

/// Lines with their number, without comments and blanks.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .map(|line| line.split(';').next().unwrap_or_default().trim())
        .enumerate()
        .map(|(index, code)| (index + 1, code))
        .filter(|(_, code)| !code.is_empty())
}

fn command(code: &str, words: &mut Vec<u32>) -> Result<(), AsmErrorKind> {
    let mut parts = code.split_ascii_whitespace();
    let name = parts.next().unwrap_or_default();
    let operands: Vec<&str> = parts.collect();
    let command = match (name, operands.as_slice()) {
        ("empty", []) => Command::Empty,
        ("end", []) => Command::End,
        ("nop", []) => Command::Nop,
        ("wait", [cycles]) => Command::Wait {
            cycles: number(cycles)?,
        },
        ("link", [prefetch, address]) => Command::Link {
            prefetch: number(prefetch)?,
            address: number(address)?,
        },
        ("stall", [token]) => Command::Stall {
            token: number(token)?,
        },
        ("load", [state, data @ ..]) if data.len() <= MAX_LOAD => Command::LoadState {
            state: match state::named(state) {
                Some(address) => address,
                None => number(state)
                    .ok()
                    .filter(|&a: &u32| a & !0x3_fffc == 0)
                    .ok_or_else(|| AsmErrorKind::UnknownState((*state).to_owned()))?,
            },
            data: data.iter().map(|w| number(w)).collect::<Result<_, _>>()?,
        },
        ("raw", raw @ ([_] | [_, _])) => {
            for word in raw {
                words.push(number(word)?);
            }
            return Ok(());
        }
        ("empty" | "end" | "nop" | "wait" | "link" | "stall" | "load" | "raw", _) => {
            return Err(AsmErrorKind::Operands {
                command: name.to_owned(),
                count: operands.len(),
            });
        }
        _ => return Err(AsmErrorKind::UnknownCommand(name.to_owned())),
    };
    command.encode(words);
    Ok(())
}

/// Assembles one descriptor.
pub fn descriptor(text: &str) -> Result<(Kind, Words), AsmError> {
    let mut lines = lines(text);
    let not_enclosed = |line| AsmError {
        line,
        kind: AsmErrorKind::NotEnclosed,
    };
    let kind = match lines.next() {
        Some((_, "nn")) => Kind::Nn,
        Some((_, "tp")) => Kind::Tp,
        Some((line, _)) => return Err(not_enclosed(line)),
        None => return Err(not_enclosed(1)),
    };
    let mut words = [0; 32];
    let mut ended = None;
    for (line, code) in lines {
        if ended.is_some() {
            return Err(not_enclosed(line));
        }
        if code == "end" {
            ended = Some(line);
        } else {
            field(kind, code, &mut words).map_err(|kind| AsmError { line, kind })?;
        }
    }
    ended.ok_or_else(|| not_enclosed(text.lines().count().max(1)))?;
    Ok((kind, words))
}

fn field(kind: Kind, code: &str, words: &mut Words) -> Result<(), AsmErrorKind> {
    let (name, text) = code
        .split_once('=')
        .map(|(name, text)| (name.trim(), text.trim()))
        .ok_or_else(|| AsmErrorKind::BadField(code.to_owned()))?;
    let bad = || AsmErrorKind::BadValue(text.to_owned());
    if let Some(index) = name.strip_prefix("reserved ") {
        let index = number::<u8>(index)? as usize;
        let bits: u32 = number(text)?;
        let mut only = [0; 32];
        *only.get_mut(index).ok_or_else(bad)? = bits;
        if reserved(kind.fields(), &only) != only {
            return Err(bad());
        }
        words[index] |= bits;
        return Ok(());
    }
    let field = kind
        .fields()
        .iter()
        .find(|f| f.name == name)
        .ok_or_else(|| AsmErrorKind::UnknownField(name.to_owned()))?;
    field.set(words, integer(text).ok_or_else(bad)?)?;
    Ok(())
}

fn number<T: TryFrom<i64>>(text: &str) -> Result<T, AsmErrorKind> {
    integer(text)
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| AsmErrorKind::BadValue(text.to_owned()))
}

/// Reads `123`, `-123` or `0x7b`.
fn integer(text: &str) -> Option<i64> {
    let digits = |t: &str, radix| !t.is_empty() && t.chars().all(|c| c.is_digit(radix));
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16)
            .then(|| i64::from_str_radix(hex, 16).ok())
            .flatten();
    }
    digits(text.strip_prefix('-').unwrap_or(text), 10)
        .then(|| text.parse().ok())
        .flatten()
}
