//! The inverse of [`super::disasm`]: text to command words.

use super::codes::{Precision, enable};
use super::command::Command;
use super::disasm::ELEMENT_SIZES;
use super::table::{Block, Coding, Field, Register, Unit};

/// What is wrong with a line of assembly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsmErrorKind {
    /// The first word is no instruction and no `BLOCK.REGISTER`.
    #[error("`{0}` is neither a register nor nop, marker, enable or raw")]
    UnknownInstruction(String),
    /// The block has no command target.
    #[error("commands cannot reach block {0}")]
    Unreachable(&'static str),
    /// The register has no such field.
    #[error("register {register} has no field `{field}`")]
    UnknownField {
        /// Register name.
        register: &'static str,
        /// The text in question.
        field: String,
    },
    /// An operand is missing or not of the form NAME=VALUE.
    #[error("`{0}` is not of the form NAME=VALUE")]
    BadOperand(String),
    /// A field appears twice.
    #[error("field {0} is given twice")]
    Duplicate(String),
    /// A value cannot be read.
    #[error("`{0}` is not a value")]
    BadValue(String),
    /// A value does not fit.
    #[error("{value} does not fit {field}")]
    TooWide {
        /// Field name.
        field: String,
        /// The text in question.
        value: String,
    },
    /// Text after the end of an instruction.
    #[error("unexpected `{0}`")]
    Trailing(String),
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

/// Assembles text as [`super::disasm::disassemble`] writes it. `;` starts a comment.
pub fn assemble(text: &str) -> Result<Vec<u64>, AsmError> {
    let mut words = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.split(';').next().unwrap_or_default();
        if let Some(word) = instruction(code).map_err(|kind| AsmError {
            line: index + 1,
            kind,
        })? {
            words.push(word);
        }
    }
    Ok(words)
}

fn instruction(code: &str) -> Result<Option<u64>, AsmErrorKind> {
    let mut parts = code.split_ascii_whitespace();
    let Some(first) = parts.next() else {
        return Ok(None);
    };
    let word = match first {
        "nop" => 0,
        "marker" => Command::marker().encode(),
        "enable" => Command::enable(enable_mask(operand(&mut parts, first)?)?).encode(),
        "raw" => {
            let text = operand(&mut parts, first)?;
            integer(text)
                .and_then(|v| u64::try_from(v).ok())
                .ok_or_else(|| AsmErrorKind::BadValue(text.to_owned()))?
        }
        name => {
            let register = register_named(name)?;
            let value = register_value(register, &mut parts)?;
            register
                .write(value)
                .ok_or(AsmErrorKind::Unreachable(register.block.name()))?
                .encode()
        }
    };
    match parts.next() {
        None => Ok(Some(word)),
        Some(extra) => Err(AsmErrorKind::Trailing(extra.to_owned())),
    }
}

fn operand<'a>(
    parts: &mut impl Iterator<Item = &'a str>,
    instruction: &str,
) -> Result<&'a str, AsmErrorKind> {
    parts
        .next()
        .ok_or_else(|| AsmErrorKind::BadOperand(instruction.to_owned()))
}

fn register_named(name: &str) -> Result<&'static Register, AsmErrorKind> {
    name.split_once('.')
        .and_then(|(block, register)| Block::from_name(block)?.register_named(register))
        .ok_or_else(|| AsmErrorKind::UnknownInstruction(name.to_owned()))
}

fn register_value<'a>(
    register: &'static Register,
    parts: &mut impl Iterator<Item = &'a str>,
) -> Result<u32, AsmErrorKind> {
    let mut value = 0u32;
    let mut given = 0u32;
    for part in parts {
        let (name, text) = part
            .split_once('=')
            .ok_or_else(|| AsmErrorKind::BadOperand(part.to_owned()))?;
        let (mask, bits) = if name == "reserved" {
            let mask = !register.defined();
            let bits = integer(text).ok_or_else(|| AsmErrorKind::BadValue(text.to_owned()))?;
            let bits = u32::try_from(bits).ok().filter(|b| b & !mask == 0);
            (mask, bits.ok_or_else(|| too_wide(name, text))?)
        } else {
            let field = register
                .field(name)
                .ok_or_else(|| AsmErrorKind::UnknownField {
                    register: register.name,
                    field: name.to_owned(),
                })?;
            (field.mask(), field_bits(field, text)? << field.low)
        };
        if given & mask != 0 {
            return Err(AsmErrorKind::Duplicate(name.to_owned()));
        }
        given |= mask;
        value |= bits;
    }
    Ok(value)
}

fn field_bits(field: &Field, text: &str) -> Result<u32, AsmErrorKind> {
    let named = match field.unit {
        Unit::Precision => Precision::ALL.iter().position(|p| p.name() == text),
        Unit::ElementSize => ELEMENT_SIZES.iter().position(|&s| s == text),
        _ => None,
    };
    let quantity = match named {
        Some(code) => code as i128,
        None => match text.strip_suffix("-1").filter(|t| !t.is_empty()) {
            Some(count) => integer(count).map(|v| v - 1),
            None => integer(text),
        }
        .ok_or_else(|| AsmErrorKind::BadValue(text.to_owned()))?,
    };
    let span = 1i128 << field.width();
    let lowest = match field.coding {
        Coding::Signed => -span / 2,
        Coding::Plain | Coding::MinusOne => 0,
    };
    if quantity < lowest || quantity >= span {
        return Err(too_wide(field.name, text));
    }
    Ok(quantity.rem_euclid(span) as u32)
}

fn too_wide(field: &str, value: &str) -> AsmErrorKind {
    AsmErrorKind::TooWide {
        field: field.to_owned(),
        value: value.to_owned(),
    }
}

fn enable_mask(text: &str) -> Result<u32, AsmErrorKind> {
    text.split('|').try_fold(0, |mask, part| {
        let named = enable::NAMES.iter().find(|(_, name)| *name == part);
        let bits = match named {
            Some((bit, _)) => *bit,
            None => integer(part)
                .and_then(|v| u32::try_from(v).ok())
                .ok_or_else(|| AsmErrorKind::BadValue(part.to_owned()))?,
        };
        Ok(mask | bits)
    })
}

/// Reads `123`, `-123` or `0x7b`, up to 64 bits.
fn integer(text: &str) -> Option<i128> {
    let digits_only = |t: &str, radix| t.chars().all(|c| c.is_digit(radix));
    if let Some(hex) = text.strip_prefix("0x") {
        return digits_only(hex, 16)
            .then(|| u64::from_str_radix(hex, 16).ok())
            .flatten()
            .map(i128::from);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    digits_only(digits, 10)
        .then(|| digits.parse::<u64>().ok())
        .flatten()
        .map(|v| sign * i128::from(v))
}
