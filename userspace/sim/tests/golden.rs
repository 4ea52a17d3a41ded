//! The model against captures and against streams that run on silicon.

mod common;

use common::{assemble, golden, hex, place, place_bytes};
use ferrite_hw::rk3588::parameters::RK3588;
use ferrite_sim::rk3588::{Config, Core, FaultKind, Start, conv::cbuf};
use ferrite_sim::{FlatMemory, Memory};
use serde_json::Value;
use std::collections::BTreeMap;

fn vectors(file: &Value) -> &Vec<Value> {
    file["vectors"].as_array().unwrap()
}

/// The depthwise convolution that Mesa ran on a board: every output byte.
#[test]
fn captured_depthwise_convolution_is_reproduced() {
    let (Some(streams), Some(capture)) = (
        golden("rocket_userspace_streams.json"),
        golden("numeric/teflon_dwconv_int8_c64_8x8_k3.json"),
    ) else {
        return;
    };
    let stream = vectors(&streams)
        .iter()
        .find(|v| v["id"] == "ru_dwconv_int8_c64_8x8_k3s1p1_int8out")
        .unwrap();
    let tensor = |name: &str| hex(capture["tensors"][name]["hex"].as_str().unwrap());
    let bias: Vec<u8> = capture["tensors"]["bias"]["values"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|v| (v.as_i64().unwrap() as i32).to_le_bytes())
        .collect();
    let memory = FlatMemory::new();
    let (out, buffer) = memory.alloc(4096).unwrap();
    let bases = BTreeMap::from([
        ("IN", place_bytes(&memory, &tensor("input"))),
        ("WT", place_bytes(&memory, &tensor("weights"))),
        ("BS", place_bytes(&memory, &bias)),
        ("OUT", out as u32),
    ]);
    let words = assemble(&stream["tasks"][0], &bases);
    let start = Start::task(place(&memory, &words), words.len());
    let outcome = Core::new(Config::default()).run(&memory, start);
    assert_eq!(outcome.fault, None);
    assert_eq!(outcome.raw & 0x300, 0x100);
    let expected = tensor("output");
    let equal = buffer.with(|got| got.iter().zip(&expected).filter(|(a, b)| a == b).count());
    assert_eq!(equal, 4096);
    assert_eq!(outcome.counters.feature_bytes, 4096);
    assert_eq!(outcome.counters.output_bytes, 4096);
    assert_eq!(outcome.counters.weight_bytes, 576);
    assert_eq!(outcome.counters.bias_bytes, 256);
    assert_eq!(outcome.counters.macs, 64 * 64 * 9);
}

fn is_int8(task: &Value) -> bool {
    let field = |name: &str| {
        task["regs"]
            .as_array()
            .unwrap()
            .iter()
            .find(|e| e[1] == name)
            .map(|e| e[2].as_u64().unwrap())
    };
    field("CONV_CON1").is_some_and(|con1| con1 & 0x3f0 == 0)
}

/// Every int8 stream runs without a fault, one task per kick as mainline's driver submits them.
#[test]
fn int8_streams_run_without_fault() {
    let mut ran = 0;
    for name in ["mesa_int8_streams.json", "rocket_userspace_streams.json"] {
        let Some(file) = golden(name) else { return };
        for vector in vectors(&file) {
            let tasks = vector["tasks"].as_array().unwrap();
            if !tasks.iter().all(is_int8) {
                continue;
            }
            let memory = FlatMemory::zeroed();
            let bases: BTreeMap<&str, u32> = ["IN", "WT", "BS", "OUT", "SRC", "EW"]
                .into_iter()
                .map(|base| (base, memory.alloc(2 << 20).unwrap().0 as u32))
                .collect();
            // ERDMA reads the odd surfaces of the same tensor.
            let bases = BTreeMap::from_iter(bases.iter().map(|(&k, &v)| match k {
                "EW" => (k, bases["SRC"]),
                _ => (k, v),
            }));
            let mut core = Core::new(Config::default());
            for task in tasks {
                let mut task = task.clone();
                mend_element_wise_word(&mut task);
                let words = assemble(&task, &bases);
                let start = Start::task(place(&memory, &words), words.len());
                let outcome = core.run(&memory, start);
                assert_eq!(outcome.fault, None, "{}", vector["id"]);
                assert_eq!(outcome.tasks, 1);
            }
            ran += 1;
        }
    }
    assert_eq!(ran, 34);
}

/// The port that made the fused add writes EW_CFG = 0x121e80 (it reads EW_CVT_TYPE and its
/// neighbours wrongly); Mesa's own source gives 0x904202c0, which the hardware document confirms.
/// As written, the word sets reserved bits and must fault.
fn mend_element_wise_word(task: &mut Value) {
    for entry in task["regs"].as_array_mut().unwrap() {
        if entry[1] == "EW_CFG" && entry[2] == 0x12_1e80 {
            entry[2] = 0x9042_02c0u32.into();
        }
    }
}

#[test]
fn malformed_element_wise_word_is_a_fault() {
    let Some(file) = golden("mesa_int8_streams.json") else {
        return;
    };
    let vector = vectors(&file).last().unwrap();
    let words = assemble(&vector["tasks"][0], &BTreeMap::new());
    let memory = FlatMemory::zeroed();
    let start = Start::task(place(&memory, &words), words.len());
    let fault = Core::new(Config::default())
        .run(&memory, start)
        .fault
        .unwrap();
    assert!(
        matches!(
            fault.kind,
            FaultKind::Undocumented {
                register: "EW_CFG",
                ..
            }
        ),
        "{fault}"
    );
}

/// All recorded vendor tasks obey the rule of row storage in CBUF.
#[test]
fn vendor_tasks_fit_the_buffer() {
    let Some(file) = golden("vendor_fp16_conv_rows.json") else {
        return;
    };
    let (mut tasks, mut exact) = (0, 0);
    for vector in vectors(&file) {
        // A task that keeps the channels of an earlier one does not rewrite them.
        let mut channels = vector["shape"]["c"].as_u64().unwrap() as u32;
        for task in vector["tasks"].as_array().unwrap() {
            let field = |name: &str| {
                let entry = task["regs"].as_array()?.iter().find(|e| e[1] == name)?;
                entry[2].as_u64().map(|v| v as u32)
            };
            channels = field("DATA_SIZE1").map_or(channels, |size| size & 0xffff);
            let (Some(con0), Some(size)) = (field("CBUF_CON0"), field("DATA_SIZE0")) else {
                continue;
            };
            tasks += 1;
            // Packed pixels are stored by another rule.
            if field("CONV_CON1").is_some_and(|c| c & 0x4000_0000 != 0) {
                continue;
            }
            let atoms = (channels * 2).div_ceil(16);
            let entries = cbuf::row_entries(&RK3588, size >> 16, atoms);
            let needed = cbuf::data_banks(&RK3588, entries, size & 0x7ff);
            assert!(needed <= con0 & 0xf, "{} needs {needed}", vector["id"]);
            exact += usize::from(needed == con0 & 0xf);
        }
    }
    println!("{exact} of {tasks} tasks reserve exactly what the rule asks for");
    assert_eq!(tasks, 542);
}

/// Two-task chains follow the link; each task uses the other register group.
#[test]
fn chained_tasks_run_in_one_kick() {
    let Some(file) = golden("mesa_int8_streams.json") else {
        return;
    };
    let vector = &vectors(&file)[2];
    let memory = FlatMemory::zeroed();
    let base = memory.alloc(4 << 20).unwrap().0 as u32;
    let bases = BTreeMap::from([("IN", base), ("WT", base), ("BS", base), ("OUT", base)]);
    let mut first = assemble(&vector["tasks"][0], &bases);
    let second = assemble(&vector["tasks"][1], &bases);
    let link = ferrite_hw::rk3588::command::Link {
        address: place(&memory, &second),
        words: second.len(),
    };
    let len = first.len();
    for (word, command) in first[len - 4..]
        .iter_mut()
        .zip(ferrite_hw::rk3588::command::tail(Some(link), 0x1d))
    {
        *word = command.encode();
    }
    let at = place(&memory, &first);
    let mut core = Core::new(Config::default());
    // CNA and CORE are armed by the driver.
    for register in [
        ferrite_hw::rk3588::cna::S_POINTER,
        ferrite_hw::rk3588::core::S_POINTER,
    ] {
        core.bus_write(&register, 0xe).unwrap();
    }
    let outcome = core.run(&memory, Start::chain(at, first.len(), 2));
    assert_eq!(outcome.fault, None);
    assert_eq!((outcome.tasks, outcome.raw & 0x300), (2, 0x200));
    let outcome = core.run(&memory, Start::chain(at, first.len(), 3));
    assert_eq!(outcome.tasks, 2);
    assert!(matches!(outcome.fault.unwrap().kind, FaultKind::Hang(_)));
    assert!(memory.read(u64::from(base), &mut [0; 16]).is_ok());
}
