//! Any words disassemble to text that assembles to the same words; any text assembles or errs.
#![no_main]

use ferrite_hw::rk3588::{asm::assemble, disasm::disassemble};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let words: Vec<u64> = data
        .chunks_exact(8)
        .map(|b| u64::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(assemble(&disassemble(&words)).as_deref(), Ok(&words[..]));

    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(words) = assemble(text)
    {
        assert_eq!(assemble(&disassemble(&words)).as_deref(), Ok(&words[..]));
    }
});
