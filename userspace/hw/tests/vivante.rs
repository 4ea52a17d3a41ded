//! The Vivante tables against the vendor's own jobs, and the text form.

use ferrite_hw::vivante::disasm::Kind;
use ferrite_hw::vivante::{Command, Words, asm, disasm, field, mmu, nn, state, tp};
use proptest::prelude::*;

fn words(start: &[u32]) -> Words {
    let mut words = [0; 32];
    words[..start.len()].copy_from_slice(start);
    words
}

/// The vendor's NN job of the A311D (2x2 convolution of 3x2x1).
fn golden_nn() -> Words {
    words(&[
        0xA010_0048,
        0x0010_00C0,
        0xC800_0000,
        0x0008_0080,
        0x0208_4001,
        0x037F_D200,
        0xDFF6_F000,
        0xDFF6_E000,
        0x0001_2004,
        0,
        0,
        0x0000_0800,
        0x0000_0A00,
        0,
        0x0000_0800,
        0,
        0x0002_0003,
        0x0100_0002,
        0,
        0x03FF_FFFF,
        0,
        0x03FF_FFFF,
    ])
}

#[test]
fn the_vendors_nn_job_is_encoded_exactly() {
    let mut words = nn::defaults();
    for (field, value) in [
        (nn::KERNEL_X_SIZE, 2),
        (nn::KERNEL_Y_SIZE, 2),
        (nn::KERNEL_Z_SIZE, 1),
        (nn::KERNELS_PER_CORE, 1),
        (nn::POOLING_XY_SIZE, 1),
        (nn::IN_IMAGE_X_SIZE, 3),
        (nn::IN_IMAGE_Y_SIZE, 2),
        (nn::POST_MULTIPLIER, 0x80),
        (nn::POST_SHIFT, 25),
        (nn::OUT_IMAGE_X_SIZE, 2),
        (nn::OUT_IMAGE_Y_SIZE, 1),
        (nn::OUT_IMAGE_Z_SIZE, 1),
        (nn::OUT_IMAGE_TILE_X_SIZE, 2),
        (nn::OUT_IMAGE_TILE_Y_SIZE, 1),
        (nn::KERNEL_ADDRESS, 0xdff4_8000),
        (nn::IN_IMAGE_ADDRESS, 0xdff6_f000),
        (nn::OUT_IMAGE_ADDRESS, 0xdff6_e000),
        (nn::KERNEL_CACHING_MODE, 1),
        (nn::KERNEL_CACHE_START, 0x800),
        (nn::KERNEL_CACHE_END, 0xa00),
        (nn::IMAGE_CACHE_END, 0x800),
        (nn::IN_IMAGE_X_STRIDE, 3),
        (nn::IN_IMAGE_Y_STRIDE, 2),
        (nn::OUT_IMAGE_X_STRIDE, 2),
        (nn::OUT_IMAGE_Y_STRIDE, 1),
    ] {
        field.set(&mut words, value).unwrap();
        assert_eq!(field.get(&words), value, "{}", field.name);
    }
    assert_eq!(words, golden_nn());
    assert_eq!(field::from_bytes(&field::to_bytes(&words)), words);
}

#[test]
fn the_vendors_tp_job_decodes() {
    let words = words(&[
        1,
        0x0002_0001,
        1,
        1,
        0,
        0,
        0xA000_1E1B,
        0,
        0x0001_0001,
        0x0001_0001,
        0x1000,
        0x2000,
        0xC000_0002,
        0x3000,
        0,
        0,
        0x0001_0001,
        0,
        0,
        0x0001_0001,
        1,
        0,
        0x0001_0010,
        0,
        0x0000_240A,
        0,
        0x03FF_FFFF,
        0,
        0x03FF_FFFF,
        0,
        0x0000_8100,
    ]);
    assert_eq!(tp::IN_IMAGE_Z_SIZE.get(&words), 2);
    assert_eq!(tp::IN_TILE_SEQUENCE.get(&words), 3);
    assert_eq!(tp::ALU_HORZ_PROC_COUNT.get(&words), 15);
    assert_eq!(tp::OUT_LOOP_4_COUNT.get(&words), 16);
    assert_eq!(tp::ALU_OUTPUT_POSTSHIFT.get(&words), 9);
    assert_eq!(tp::ALU_OUTPUT_POST_MULTIPLIER.get(&words), 0x81);
    assert_eq!(field::reserved(tp::FIELDS, &words), [0; 32]);
    let text = disasm::descriptor(Kind::Tp, &words);
    assert_eq!(asm::descriptor(&text).unwrap(), (Kind::Tp, words));
}

#[test]
fn no_bit_belongs_to_two_fields() {
    for kind in [Kind::Nn, Kind::Tp] {
        let mut used = [0u32; 32];
        for piece in kind.fields().iter().flat_map(|f| f.pieces) {
            let word = &mut used[piece.word as usize];
            assert_eq!(*word & piece.mask(), 0, "{} {piece:?}", kind.name());
            *word |= piece.mask();
        }
    }
}

#[test]
fn a_stream_reads_as_documented() {
    let words = [
        0,
        0,
        0x0801_0e4c,
        0x10,
        0x0801_0428,
        0xdff4_7000,
        0x3800_5f5e,
        0,
        0x4000_0002,
        0x1000,
    ];
    let text = disasm::stream(&words);
    assert_eq!(
        text,
        "empty\nload GL_NN_CONFIG 0x10\nload PS_NN_INST_ADDR 0xdff47000\nwait 24414\nlink 2 0x1000\n"
    );
    assert_eq!(asm::stream(&text).unwrap(), words);
    assert!(state::STATES.is_sorted_by_key(|s| s.0));
    assert!(Command::decode(&[0x0803_0001, 1]).is_err());
}

#[test]
fn bad_text_is_refused_with_its_line() {
    for (text, line) in [
        ("end\nfoo", 2),
        ("wait 65536", 1),
        ("load 0x40001 1", 1),
        ("stall", 1),
        ("raw", 1),
    ] {
        assert_eq!(asm::stream(text).unwrap_err().line, line, "{text}");
    }
    for (text, line) in [
        ("nn\n KERNEL_X_SIZE = 16\nend", 2),
        ("nn\n KERNEL_ADDRESS = 32\nend", 2),
        ("tp\n FOO = 1\nend", 2),
        ("nn\n reserved 0 = 1\nend", 2),
        ("nn\n reserved 32 = 1\nend", 2),
        ("nn", 1),
        ("", 1),
    ] {
        assert_eq!(asm::descriptor(text).unwrap_err().line, line, "{text}");
    }
}

proptest! {
    #[test]
    fn descriptors_survive_the_text(words in any::<[u32; 32]>(), is_nn in any::<bool>()) {
        let kind = if is_nn { Kind::Nn } else { Kind::Tp };
        let text = disasm::descriptor(kind, &words);
        prop_assert_eq!(asm::descriptor(&text).unwrap(), (kind, words));
    }

    #[test]
    fn streams_survive_the_text(
        words in prop::collection::vec(
            prop_oneof![any::<u32>(), (0u32..32, 0u32..8).prop_map(|(op, n)| op << 27 | n << 16)],
            0..40,
        ),
    ) {
        prop_assert_eq!(asm::stream(&disasm::stream(&words)).unwrap(), words);
    }

    #[test]
    fn page_entries_survive(word in any::<u32>()) {
        // Bit 3 has no meaning.
        prop_assert_eq!(mmu::Entry::decode(word).encode(), word & !8);
    }
}
