//! Reading the golden streams, and placing them in memory.
#![allow(dead_code, reason = "each test uses its part")]

pub mod recipe;

use ferrite_hw::rk3588::{Block, Command, command};
use ferrite_sim::FlatMemory;
use recipe::{Layer, Places};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A golden file, or `None` with the reason printed.
pub fn golden(path: &str) -> Option<Value> {
    let root = std::env::var_os("FERRITE_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let file = root.join("golden/rk3588").join(path);
    if !file.exists() {
        println!("skipped: {} is not here", file.display());
        return None;
    }
    Some(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
}

/// A register value of a golden stream: a number, or a place in a named buffer.
pub enum Operand {
    Number(u32),
    Place(String, i64),
}

/// Writes of one golden task.
pub fn writes(task: &Value) -> Vec<(Block, String, Operand)> {
    task["regs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let block = Block::from_name(entry[0].as_str().unwrap()).unwrap();
            let name = match entry[1].as_str().unwrap() {
                "R_3030" => "UNKNOWN_3030",
                "R_40C4" => "UNKNOWN_40C4",
                name => name,
            };
            let operand = match &entry[2] {
                Value::Array(place) => Operand::Place(
                    place[0].as_str().unwrap().to_owned(),
                    place[1].as_i64().unwrap(),
                ),
                value => Operand::Number(value.as_i64().unwrap() as u32),
            };
            (block, name.to_owned(), operand)
        })
        .collect()
}

/// Turns a golden task into command words. `bases` gives the address of each named buffer.
pub fn assemble(task: &Value, bases: &BTreeMap<&str, u32>) -> Vec<u64> {
    let mut commands: Vec<Command> = writes(task)
        .into_iter()
        .map(|(block, name, operand)| {
            let value = match operand {
                Operand::Number(value) => value,
                Operand::Place(base, offset) => {
                    (i64::from(*bases.get(base.as_str()).unwrap_or(&0)) + offset) as u32
                }
            };
            let register = block
                .register_named(&name)
                .unwrap_or_else(|| panic!("{name}"));
            register.write(value).unwrap()
        })
        .collect();
    commands.extend(command::tail(None, task["enable"].as_u64().unwrap() as u32));
    commands.iter().map(|c| c.encode()).collect()
}

/// Places command words at a new address; returns it.
pub fn place(memory: &FlatMemory, words: &[u64]) -> u32 {
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    place_bytes(memory, &bytes)
}

/// Places bytes at a new address; returns it.
pub fn place_bytes(memory: &FlatMemory, bytes: &[u8]) -> u32 {
    let (address, buffer) = memory.alloc(bytes.len()).unwrap();
    buffer.with_mut(0..bytes.len(), |b| b.copy_from_slice(bytes));
    address as u32
}

/// Bytes of a hex string.
pub fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

/// Buffers of a layer: inputs of 1, weights of 2, no bias.
pub fn filled(memory: &FlatMemory, layer: &Layer) -> Places {
    let [height, width] = layer.out_size();
    let pixels = layer.width * layer.height;
    let filled = |byte: u8, bytes: u32| place_bytes(memory, &vec![byte; bytes as usize]);
    Places {
        input: filled(1, pixels * layer.stored_channels()),
        weights: filled(2, layer.kernels * layer.stored_channels()),
        bias: filled(0, 4 * layer.written_channels()),
        output: filled(0, width * height * layer.written_channels()),
        operand: 0,
    }
}
