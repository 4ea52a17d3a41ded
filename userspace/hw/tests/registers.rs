//! The table against the register list that comes with the hardware document, and itself.

use ferrite_hw::rk3588::{Block, table::Register};
use serde_json::Value;
use std::path::PathBuf;

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("FERRITE_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let file = root.join(path);
    if file.exists() {
        return Some(file);
    }
    println!("skipped: {} is not here", file.display());
    None
}

fn all() -> impl Iterator<Item = &'static Register> {
    Block::ALL.into_iter().flat_map(|b| b.registers())
}

#[test]
fn table_equals_the_published_list() {
    let Some(path) = shared("golden/rk3588/registers.json") else {
        return;
    };
    let list: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for (name, target) in list["targets"].as_object().unwrap() {
        let target = u16::from_str_radix(&target.as_str().unwrap()[2..], 16).unwrap();
        assert_eq!(Block::from_name(name).unwrap().target(), Some(target));
    }
    let mut compared = (0, 0);
    for (block, registers) in list["blocks"].as_object().unwrap() {
        let block = Block::from_name(block).unwrap();
        for (name, entry) in registers.as_object().unwrap() {
            let ours = block.register_named(name).expect(name);
            let offset = u16::from_str_radix(&entry["offset"].as_str().unwrap()[2..], 16).unwrap();
            assert_eq!(ours.offset, offset, "{name}");
            let mut fields = 0;
            for (field, bits) in entry["fields"].as_object().unwrap() {
                let (high, low) = (bits[0].as_u64().unwrap(), bits[1].as_u64().unwrap());
                compared.1 += 1;
                if field.starts_with("RESERVED") {
                    let span = (1u64 << (high + 1)) - (1 << low);
                    assert_eq!(u64::from(ours.defined()) & span, 0, "{name}.{field}");
                    continue;
                }
                let ours = ours.field(field).expect(field);
                assert_eq!((u64::from(ours.high), u64::from(ours.low)), (high, low));
                fields += 1;
            }
            assert_eq!(ours.fields.len(), fields, "{name}");
            compared.0 += 1;
        }
    }
    assert_eq!(compared, (199, 711));
    // Besides the published ones, only the two registers that nobody has named.
    let unknown: Vec<u16> = all()
        .filter(|r| r.name.starts_with("UNKNOWN"))
        .map(|r| r.offset)
        .collect();
    assert_eq!(unknown, [0x3030, 0x40c4]);
    assert_eq!(all().count(), 201);
}

#[test]
fn table_is_well_formed() {
    for block in Block::ALL {
        assert!(block.registers().is_sorted_by(|a, b| a.offset < b.offset));
    }
    for register in all() {
        assert_eq!(Block::from_offset(register.offset), Some(register.block));
        assert_eq!(
            register.block.register(register.offset),
            Some(register),
            "{}",
            register.name
        );
        let mut seen = 0u32;
        for field in register.fields {
            assert!(field.high >= field.low && field.high < 32, "{}", field.name);
            assert_eq!(seen & field.mask(), 0, "{} overlaps", field.name);
            seen |= field.mask();
        }
    }
}

#[test]
fn fields_code_quantities() {
    use ferrite_hw::rk3588::{cna, dpu};
    assert_eq!(dpu::data_cube_width::WIDTH.encode(224).unwrap(), 223);
    assert_eq!(dpu::data_cube_width::WIDTH.value(223), 224);
    assert!(dpu::data_cube_width::WIDTH.encode(0).is_err());
    assert!(dpu::data_cube_width::WIDTH.encode(8193).is_err());
    assert_eq!(cna::dma_con2::SURF_STRIDE.encode(-3).unwrap(), 0x0fff_fffd);
    assert_eq!(cna::dma_con2::SURF_STRIDE.value(0x0fff_fffd), -3);
    assert_eq!(cna::data_size0::DATAIN_WIDTH.encode(7).unwrap(), 7 << 16);
    let error = cna::data_size0::DATAIN_WIDTH.encode(2048).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2048 does not fit DATAIN_WIDTH (11 bits, Plain)"
    );
}
