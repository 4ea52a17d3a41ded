//! Changes to files: of values in their fields, where any change leaves a well-formed file, and of
//! bytes.

use fastrand::Rng;
use ferrite_testing::flatbuffer::{Table, Value};

/// Changes one value in a tree of tables.
pub fn fields(rng: &mut Rng, table: &mut Table) {
    let count = leaves(table);
    if count == 0 {
        return;
    }
    let mut chosen = rng.usize(..count);
    change_leaf(rng, table, &mut chosen);
}

/// Values that are no tables, in a tree.
fn leaves(table: &Table) -> usize {
    let of = |value: &Value| match value {
        Value::Table(table) => leaves(table),
        Value::Tables(tables) => tables.iter().map(leaves).sum(),
        _ => 1,
    };
    table.values().map(of).sum()
}

/// Changes the value that has the number `chosen` among those that follow; `true` if it did.
fn change_leaf(rng: &mut Rng, table: &mut Table, chosen: &mut usize) -> bool {
    let (mut changed, mut own) = (false, None);
    for (field, value) in table.values_mut() {
        changed = match value {
            Value::Table(table) => change_leaf(rng, table, chosen),
            Value::Tables(tables) => tables
                .iter_mut()
                .any(|table| change_leaf(rng, table, chosen)),
            _ if *chosen > 0 => {
                *chosen -= 1;
                false
            }
            value => {
                change(rng, value);
                own = Some(field);
                true
            }
        };
        if changed {
            break;
        }
    }
    // A field that is not there has the schema's default.
    if let Some(field) = own
        && rng.u32(..12) == 0
    {
        table.remove(field);
    }
    changed
}

/// Integers at which something ends.
fn integer(rng: &mut Rng, old: i64) -> i64 {
    let near = [
        0, 1, 2, 3, 7, 8, 31, 32, 127, 128, 255, 256, 4095, 4096, 16_384, 65_535, 65_536,
    ];
    match rng.u32(..8) {
        0 => -1,
        1 => old.wrapping_add(rng.i64(-2..=2)),
        2 => old.wrapping_mul(2),
        3 => -old,
        4 => i64::from(i32::MAX) - rng.i64(0..2),
        5 => i64::from(i32::MIN) + rng.i64(0..2),
        _ => near[rng.usize(..near.len())],
    }
}

/// Floats at which something ends.
fn float(rng: &mut Rng, old: f32) -> f32 {
    let odd = [
        0.0,
        -0.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MIN_POSITIVE,
        1e-45,
        1e-38,
        1e-20,
        1e-12,
        1e12,
        1e20,
        f32::MAX,
        -1.0,
    ];
    match rng.u32(..4) {
        0 => old * 2f32.powi(rng.i32(-30..30)),
        1 => old * (1.0 + rng.f32() / 100.0),
        _ => odd[rng.usize(..odd.len())],
    }
}

fn change(rng: &mut Rng, value: &mut Value) {
    match value {
        Value::U8(v) => *v = integer(rng, (*v).into()) as u8,
        Value::I8(v) => *v = integer(rng, (*v).into()) as i8,
        Value::I32(v) => *v = integer(rng, (*v).into()) as i32,
        Value::U32(v) => *v = integer(rng, (*v).into()) as u32,
        Value::U64(v) => *v = integer(rng, *v as i64) as u64,
        Value::F32(v) => *v = float(rng, *v),
        Value::Vector(count, bytes) => vector(rng, count, bytes),
        Value::Table(_) | Value::Tables(_) => {}
    }
}

fn vector(rng: &mut Rng, count: &mut u32, bytes: &mut Vec<u8>) {
    let size = bytes.len() / (*count).max(1) as usize;
    match rng.u32(..8) {
        // A vector that is longer than its content.
        0 => *count = integer(rng, (*count).into()) as u32,
        1 if *count > 0 => {
            *count -= 1;
            bytes.truncate(*count as usize * size);
        }
        2 => {
            // The count may be far from what there is, by an earlier change.
            *count = count.saturating_add(1);
            bytes.resize(bytes.len() + size.max(4), 1);
        }
        _ if *count == 0 => {}
        _ => {
            let at = rng.usize(..*count as usize) * size;
            let element = &mut bytes[at..at + size];
            match size {
                4 => {
                    let old = [element[0], element[1], element[2], element[3]];
                    // What is a scale and what a dimension shows by its size.
                    let new = match i32::from_le_bytes(old) {
                        small @ -65_536..=65_536 => integer(rng, small.into()) as i32,
                        _ => float(rng, f32::from_le_bytes(old)).to_bits() as i32,
                    };
                    element.copy_from_slice(&new.to_le_bytes());
                }
                8 => {
                    let new = integer(rng, i64::from(element[0]));
                    element.copy_from_slice(&new.to_le_bytes());
                }
                _ => element.fill_with(|| rng.u8(..)),
            }
        }
    }
}

/// Damages a file.
pub fn bytes(rng: &mut Rng, file: &mut Vec<u8>) {
    for _ in 0..rng.u32(1..=6) {
        let at = rng.usize(..file.len());
        match rng.u32(..5) {
            0 => file[at] ^= 1 << rng.u32(..8),
            1 => file[at] = rng.u8(..),
            2 => {
                let word = (integer(rng, 0) as i32).to_le_bytes();
                let end = file.len().min(at + 4);
                file[at..end].copy_from_slice(&word[..end - at]);
            }
            3 => {
                let from = rng.usize(..file.len());
                let len = rng.usize(1..=16).min(file.len() - at.max(from));
                file.copy_within(from..from + len, at);
            }
            _ if rng.u32(..4) == 0 && at > 8 => file.truncate(at),
            _ => file[at] = 0xff,
        }
    }
}
