//! Disassembly and assembly are inverse, on any words and on captured streams.

use ferrite_hw::rk3588::asm::{AsmErrorKind, assemble};
use ferrite_hw::rk3588::command::{Command, tail};
use ferrite_hw::rk3588::disasm::disassemble;
use ferrite_hw::rk3588::{Block, cna, dpu};
use proptest::prelude::*;

fn any_word() -> impl Strategy<Value = u64> {
    let registers: Vec<_> = Block::ALL
        .into_iter()
        .flat_map(|b| b.registers())
        .filter_map(|r| r.write(0))
        .collect();
    prop_oneof![
        any::<u64>(),
        (proptest::sample::select(registers), any::<u32>()).prop_map(|(c, value)| Command {
            value,
            ..c
        }
        .encode()),
        any::<u32>().prop_map(|mask| Command::enable(mask).encode()),
        Just(0),
        Just(Command::marker().encode()),
    ]
}

proptest! {
    #[test]
    fn assembling_a_disassembly_gives_the_words_back(words in prop::collection::vec(any_word(), 0..64)) {
        prop_assert_eq!(assemble(&disassemble(&words)).unwrap(), words);
    }

    #[test]
    fn any_text_assembles_or_says_why(text in "\\PC{0,200}") {
        let _ = assemble(&text);
    }
}

#[test]
fn prints_fields_by_name() {
    let mut words: Vec<u64> = [
        cna::CONV_CON1.write(0x120),
        cna::DMA_CON2.write(0x0fff_fffd),
        dpu::DATA_CUBE_WIDTH.write(111),
        dpu::UNKNOWN_40C4.write(0),
        dpu::FEATURE_MODE_CFG.write(0x1e4),
    ]
    .iter()
    .map(|c| c.unwrap().encode())
    .collect();
    words.extend(tail(None, 0x1d).iter().map(|c| c.encode()));
    words.push(0xdead_0000_0000_0010);
    assert_eq!(
        disassemble(&words),
        "CNA.CONV_CON1 PROC_PRECISION=fp16 IN_PRECISION=fp16\n\
         CNA.DMA_CON2 SURF_STRIDE=-3\n\
         DPU.DATA_CUBE_WIDTH WIDTH=112-1\n\
         DPU.UNKNOWN_40C4\n\
         DPU.FEATURE_MODE_CFG BURST_LEN=16-1 OUTPUT_MODE=2\n\
         PC.BASE_ADDRESS\n\
         PC.REGISTER_AMOUNTS\n\
         marker\n\
         enable CNA|CORE|DPU|DPU_RDMA\n\
         \n\
         raw 0xdead000000000010\n"
    );
}

#[test]
fn errors_name_the_line_and_the_text() {
    let error = assemble("nop\nCNA.DATA_SIZE0 DATAIN_WIDTH=4096").unwrap_err();
    assert_eq!(error.to_string(), "line 2: 4096 does not fit DATAIN_WIDTH");
    for (text, expected) in [
        ("CNA.NOSUCH", "neither a register"),
        ("CNA.DATA_SIZE0 FOO=1", "no field `FOO`"),
        ("CNA.DATA_SIZE0 DATAIN_WIDTH", "NAME=VALUE"),
        ("CNA.DATA_SIZE0 DATAIN_WIDTH=1 DATAIN_WIDTH=1", "twice"),
        ("raw 0x10000000000000000", "not a value"),
        ("marker 1", "unexpected"),
        ("GLOBAL.OPERATION_ENABLE", "cannot reach"),
        ("CNA.S_POINTER reserved=0x1", "does not fit"),
    ] {
        let error = assemble(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(matches!(
        assemble("enable WHAT").unwrap_err().kind,
        AsmErrorKind::BadValue(_)
    ));
}
