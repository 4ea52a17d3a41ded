//! The DPU's tables: the commands that load them, and the registers of tasks that use them.

use ferrite_hw::rk3588::codes::{S_POINTER_ALONE, lut};
use ferrite_hw::rk3588::parameters::RK3588;
use ferrite_hw::rk3588::table::{FieldOverflow, Register};
use ferrite_hw::rk3588::{dpu, dpu_rdma};

use super::bypass::ON;
use super::registers::Registers;

/// Index units from one byte to the next: four entries.
pub const UNITS: i16 = 4 << lut::STEP_LOG2;

/// Entries of a table: the bytes' places in it depend on their number.
const ENTRIES: usize = RK3588.lut_entries;

/// Commands that load both tables.
pub const LOADS: usize = 2 * (1 + ENTRIES);

/// Sets a task up to look its results up in the tables.
pub fn look_up(regs: &mut Registers) -> Result<(), FieldOverflow> {
    use dpu::*;
    regs.word(S_POINTER, S_POINTER_ALONE);
    regs.word(dpu_rdma::S_POINTER, S_POINTER_ALONE);
    regs.set(
        EW_CFG,
        [
            (ew_cfg::EW_RELU_BYPASS, ON),
            (ew_cfg::EW_OP_CVT_BYPASS, ON),
            (ew_cfg::EW_OP_BYPASS, ON),
        ],
    )?;
    regs.set(
        EW_CVT_SCALE_VALUE,
        [(ew_cvt_scale_value::EW_OP_CVT_SCALE, 1)],
    )?;
    regs.word(LUT_CFG, lut::CFG);
    regs.word(LUT_INFO, lut::INFO);
    let domain = [LUT_LE_START, LUT_LE_END, LUT_LO_START, LUT_LO_END];
    for (register, value) in domain.into_iter().zip(lut::DOMAIN) {
        regs.word(register, value as u32);
    }
    Ok(())
}

/// The commands that load a table of bytes. An entry has the value of the byte that is nearest.
pub fn loads(values: &[i8; 256]) -> impl Iterator<Item = u64> + '_ {
    let entry = |byte: usize| i32::from(values[byte.min(255)]) as u32 & 0xffff;
    let table = move |first: usize, access: u32| {
        let entries = (0..ENTRIES).map(move |at| entry(first + (at + 1) / 4));
        let entries = entries.map(|value| (dpu::LUT_ACCESS_DATA, value));
        [(dpu::LUT_ACCESS_CFG, access)].into_iter().chain(entries)
    };
    let words = table(0, lut::WRITE_LE).chain(table(128, lut::WRITE_LO));
    words.filter_map(|(register, value): (Register, u32)| Some(register.write(value)?.encode()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_hw::rk3588::Command;

    #[test]
    fn bytes_have_entries_of_their_own_and_equal_neighbours() {
        let values = std::array::from_fn(|at| at as u8 as i8);
        let words: Vec<u32> = loads(&values)
            .map(|word| Command::decode(word).value)
            .collect();
        assert_eq!(words.len(), LOADS);
        let (le, lo) = (&words[1..][..ENTRIES], &words[2 + ENTRIES..]);
        assert_eq!((words[0], words[1 + ENTRIES]), (0x2_0000, 0x3_0000));
        for byte in 0..256_usize {
            let expected = i32::from(byte as u8 as i8) as u32 & 0xffff;
            let (table, at) = if byte < 128 {
                (le, 4 * byte)
            } else {
                (lo, 4 * byte - 512)
            };
            assert_eq!(table[at..at + 2], [expected; 2], "{byte} and above");
            if at > 0 {
                assert_eq!(table[at - 1], expected, "below {byte}");
            }
        }
        // Where the tables meet they agree.
        assert_eq!(le[512], lo[0]);
    }
}
