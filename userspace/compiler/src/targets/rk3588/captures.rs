//! Our registers against streams that other software runs on the chip.
//!
//! Each task of a stream is emitted by us for the same tile, and every register is compared. What
//! differs must be one of the explained differences, which `docs/evidence.md` lists.

use std::collections::BTreeMap;

use ferrite_hw::rk3588::parameters::RK3588;
use ferrite_hw::rk3588::table::Block;
use ferrite_ir::op::Hw;
use ferrite_ir::{DType, OpId};
use serde_json::Value as Json;

use super::cbuf;
use super::encode::constants::Operands;
use super::encode::registers::{Registers, Value};
use super::encode::task::Emitter;
use super::legalise::tiles::Shape;
use super::numbers::quant::{Multiplier, Scaling};
use super::program::{
    Addend, Combine, Layer, Mode, Program, Rect, Side, Stage, Taps, Tile, Tiles, Weights,
};
use crate::executable::{BufferId, Evidence};
use crate::passes::plan_memory::{self, Life};

const CONSTANTS: BufferId = BufferId(0);
const ACTIVATIONS: BufferId = BufferId(1);
const WEIGHTS_AT: usize = 0x10_0000;
const BIAS_AT: usize = 0x20_0000;

/// Why registers differ from a capture. Each is explained in `docs/evidence.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Explained {
    /// FEATURE_GRAINS: a scheduling hint; Mesa uses a constant.
    Grains,
    /// PAD_CON1: we replicate the byte, others sign-extend it; or no padding is read.
    Padding,
    /// OUT_CVT_SCALE: we round to nearest, Mesa rounds down and adds one.
    Multiplier,
    /// WEIGHT_SIZE0/2: Mesa counts kernels in pairs.
    KernelPairs,
    /// MISC_CFG: we set QD_EN for integers, rocket-userspace does not.
    KernelSum,
    /// BS_OW_CFG: we bypass CPEND where it would add nothing.
    IdleCpend,
    /// EW_CFG: the port of Mesa that made the stream packs other bits than Mesa's own source.
    PortOfMesa,
    /// Converter constants: Mesa's come from a table of tensors of its test models.
    TracedConstants,
}

/// The output converter alone, as captured streams use it.
fn plain(factor: f64) -> Scaling {
    Scaling {
        factor: 1,
        multiplier: Multiplier::nearest(factor).expect("in range"),
    }
}

fn golden(file: &str) -> Option<Json> {
    let path = ferrite_testing::shared()?.join("golden/rk3588").join(file);
    Some(serde_json::from_slice(&ferrite_testing::bytes(path)).expect("a golden file is JSON"))
}

fn int(json: &Json, key: &str) -> Option<i64> {
    json.get(key).and_then(Json::as_i64)
}

fn number(json: &Json, key: &str) -> Option<f64> {
    json.get(key).and_then(Json::as_f64)
}

/// Registers of a captured task by (block, name); addresses as (base, offset).
fn captured(task: &Json) -> BTreeMap<(String, String), Json> {
    task["regs"]
        .as_array()
        .expect("a list of registers")
        .iter()
        .map(|r| {
            let text = |i: usize| r[i].as_str().expect("a name").to_string();
            ((text(0), text(1)), r[2].clone())
        })
        .collect()
}

fn word(regs: &BTreeMap<(String, String), Json>, block: &str, name: &str) -> u32 {
    regs.get(&(block.to_string(), name.to_string()))
        .and_then(Json::as_u64)
        .unwrap_or(0) as u32
}

fn offset_of(regs: &BTreeMap<(String, String), Json>, block: &str, name: &str) -> usize {
    regs.get(&(block.to_string(), name.to_string()))
        .and_then(|v| v[1].as_i64())
        .unwrap_or(0) as usize
}

/// The layer that a stream of int8 convolutions computes.
struct Case {
    program: Program,
    layer: Layer,
}

#[allow(clippy::too_many_arguments)]
fn case(
    mode: Mode,
    [h, w, c]: [usize; 3],
    [oh, ow, oc]: [usize; 3],
    kernel: usize,
    stride: usize,
    pad: usize,
    pad_value: i8,
    weight_zero: i16,
    stage: Stage,
) -> Case {
    let mut program = Program::default();
    let raw = stage == Stage::Raw;
    let input = program.add_cube([h, w, c], DType::I8, None);
    let output = program.add_cube([oh, ow, oc], if raw { DType::I32 } else { DType::I8 }, None);
    let side = |cube, h, w, channels| Side {
        cube,
        surface: 0,
        channels,
        grid: Hw { h, w },
        rect: Rect { y: 0, x: 0, h, w },
    };
    let both = |n| Hw { h: n, w: n };
    let layer = Layer {
        op: OpId::from_u32(0),
        lowering: "captured",
        evidence: Evidence::Silicon,
        mode,
        input: side(input, h, w, c),
        output: side(output, oh, ow, oc),
        kernel: both(kernel),
        stride: both(stride),
        dilation: both(1),
        pad: both(pad),
        pad_value,
        weights: Weights::Constant(0),
        taps: Taps::all(both(kernel)),
        weight_zero,
        bias: vec![0; oc],
        stage,
        addend: None,
        tiles: Tiles::new(),
        cores: 1,
        band: None,
    };
    Case { program, layer }
}

impl Case {
    /// The tile that a captured task computes.
    fn tile(&self, regs: &BTreeMap<(String, String), Json>) -> Tile {
        let height = |block, name| (word(regs, block, name) >> 16) as usize;
        let rows = (word(regs, "CNA", "DATA_SIZE0") & 0x7ff) as usize;
        let out_rows = height("CORE", "DATAOUT_SIZE_0") + 1;
        let (w, ow) = (self.layer.input.grid.w, self.layer.output.grid.w);
        let per_row = 16 * ow;
        let cbuf = word(regs, "CNA", "CBUF_CON0");
        let pad = word(regs, "CNA", "PAD_CON0") as usize;
        let rect = |y, h, w| Rect { y, x: 0, h, w };
        Tile {
            output: rect(
                offset_of(regs, "DPU", "DST_BASE_ADDR") / per_row,
                out_rows,
                ow,
            ),
            input: rect(
                offset_of(regs, "CNA", "FEATURE_DATA_ADDR") / (16 * w),
                rows,
                w,
            ),
            pad_top: pad & 15,
            pad_left: pad >> 4,
            first_channel: 0,
            channels: self.layer.output.channels,
            entries: cbuf::row_entries(&RK3588, w, self.layer.input.channels.div_ceil(16)),
            data_banks: (cbuf & 15) as usize,
            reuse_weights: cbuf & 0x2000 != 0,
        }
    }

    /// Compares one task; returns the explained differences.
    fn compare(&self, task: &Json, what: &str) -> Vec<Explained> {
        let theirs = captured(task);
        let tile = self.tile(&theirs);
        let lives: Vec<Life> = self
            .program
            .cubes
            .iter()
            .map(|(map, cube)| Life {
                map,
                bytes: cube.bytes(&RK3588),
                first: 0,
                last: 0,
            })
            .collect();
        let memory = plan_memory::plan(&lives);
        let emitter = Emitter {
            program: &self.program,
            memory: &memory,
            activations: ACTIVATIONS,
            constants: CONSTANTS,
        };
        let operands = Operands {
            weights: WEIGHTS_AT,
            bias: BIAS_AT,
            bias_stride: 32,
        };
        let mut regs = Registers::of(&[Block::Cna, Block::Core, Block::Dpu, Block::DpuRdma]);
        emitter
            .task(&mut regs, &self.layer, &tile, &operands)
            .expect("fits the fields");
        let base = |name: &str| match name {
            "IN" => memory.offset(self.layer.input.cube),
            "OUT" => memory.offset(self.layer.output.cube),
            "SRC" | "EW" => self.layer.addend.map_or(0, |a| memory.offset(a.side.cube)),
            "WT" => WEIGHTS_AT,
            "BS" => BIAS_AT,
            other => panic!("{what}: base {other}"),
        };
        let (mut explained, mut unexplained) = (Vec::new(), Vec::new());
        let omitted = task.get("zero_registers_omitted").is_some()
            || !theirs.contains_key(&("CNA".into(), "FC_CON0".into()));
        for (command, ours) in regs.values() {
            let register = command.register().expect("is in the table");
            let name = match register.offset {
                0x3030 => "R_3030",
                0x40c4 => "R_40C4",
                _ => register.name,
            };
            let key = (register.block.name().to_string(), name.to_string());
            let their = match theirs.get(&key) {
                None if omitted => Value::Word(0),
                None => continue,
                Some(json) => match json.as_array() {
                    None => Value::Word(json.as_u64().expect("a word") as u32),
                    // Unused bases appear as addresses below the first buffer.
                    Some(a) if a[1].as_i64().is_some_and(|o| o < 0) => Value::Word(0),
                    Some(a) => {
                        let at = base(a[0].as_str().expect("a base"))
                            + a[1].as_u64().expect("an offset") as usize;
                        let buffer = match a[0].as_str() {
                            Some("WT" | "BS") => CONSTANTS,
                            _ => ACTIVATIONS,
                        };
                        Value::Address(buffer, at as u32)
                    }
                },
            };
            if ours == their {
                continue;
            }
            match self.explain(&key.0, &key.1, ours, their) {
                Some(why) => explained.push(why),
                None => unexplained.push(format!(
                    "{what}: {}.{}: ours {ours:x?}, theirs {their:x?}",
                    key.0, key.1
                )),
            }
        }
        assert!(unexplained.is_empty(), "{unexplained:#?}");
        explained
    }

    /// Which known reason makes a register differ, if the values fit the reason.
    fn explain(&self, block: &str, name: &str, ours: Value, theirs: Value) -> Option<Explained> {
        let (Value::Word(ours), Value::Word(theirs)) = (ours, theirs) else {
            return None;
        };
        let residual = self.layer.addend.is_some();
        match (block, name) {
            ("CNA", "CONV_CON2") => Some(Explained::Grains),
            ("CNA", "PAD_CON1") => {
                let unpadded = self.layer.pad == (Hw { h: 0, w: 0 });
                (unpadded || ours & 0xff == theirs & 0xff).then_some(Explained::Padding)
            }
            ("DPU", "EW_CFG") if residual => (ours == 0x9042_02c0).then_some(Explained::PortOfMesa),
            ("DPU", "EW_CVT_SCALE_VALUE" | "OUT_CVT_SCALE") if residual => {
                Some(Explained::TracedConstants)
            }
            ("DPU", "OUT_CVT_SCALE") => (ours + 1 == theirs).then_some(Explained::Multiplier),
            ("DPU", "BS_OW_CFG") if self.layer.weight_zero == 0 => {
                (ours == theirs | 2).then_some(Explained::IdleCpend)
            }
            ("CNA", "WEIGHT_SIZE0") => (theirs - ours == kernel_bytes(&self.layer) as u32)
                .then_some(Explained::KernelPairs),
            ("CNA", "WEIGHT_SIZE2") => {
                (ours + 1 == theirs && theirs % 2 == 0).then_some(Explained::KernelPairs)
            }
            ("CORE", "MISC_CFG") => (ours == theirs | 1).then_some(Explained::KernelSum),
            _ => None,
        }
    }
}

#[test]
fn registers_match_mesa_on_its_int8_streams() {
    let Some(json) = golden("mesa_int8_streams.json") else {
        return;
    };
    let mut compared = 0;
    let mut seen = BTreeMap::new();
    for vector in json["vectors"].as_array().expect("vectors") {
        let id = vector["id"].as_str().expect("an id");
        let op = &vector["op"];
        let get = |key: &str| int(op, key).unwrap_or(0) as usize;
        if get("input_channels") == 1 {
            // Packed pixels: we give such inputs an ordinary cube.
            continue;
        }
        let scale = |key: &str| number(op, key).expect("a scale");
        let unit = scale("input_scale") * scale("weights_scale");
        let (out, offset) = (scale("output_scale"), get("output_zero_point") as i32 - 128);
        let stage = Stage::narrow(plain(unit / out), offset);
        let depthwise = op.get("depthwise").is_some();
        let mut case = case(
            if depthwise {
                Mode::Depthwise
            } else {
                Mode::Direct
            },
            [
                get("input_height"),
                get("input_width"),
                get("input_channels"),
            ],
            [
                get("output_height"),
                get("output_width"),
                get("output_channels"),
            ],
            get("weights_width"),
            get("stride"),
            get("padding_top"),
            (get("input_zero_point") as i32 - 128) as i8,
            get("weights_zero_point") as i16 - 128,
            stage,
        );
        if op.get("add_tensor").is_some() {
            let shape = case.program.cube(case.layer.output.cube).shape;
            let cube = case.program.add_cube(shape, DType::I8, None);
            case.layer.addend = Some(Addend {
                side: Side {
                    cube,
                    ..case.layer.output
                },
                offset: int(op, "addition_offset").unwrap_or(0) as i32,
                multiplier: Multiplier::nearest(scale("addition_scale") / unit).expect("in range"),
                combine: Combine::Add,
            });
        }
        for (i, task) in vector["tasks"]
            .as_array()
            .expect("tasks")
            .iter()
            .enumerate()
        {
            for why in case.compare(task, &format!("{id} task {i}")) {
                *seen.entry(why).or_insert(0) += 1;
            }
            compared += 1;
        }
    }
    println!("{compared} tasks, explained differences: {seen:?}");
    assert!(compared > 40);
}

#[test]
fn registers_match_rocket_userspace_on_its_int8_streams() {
    let Some(json) = golden("rocket_userspace_streams.json") else {
        return;
    };
    let narrow = Stage::narrow(plain(0.036_572_35 * 0.000_796_38 / 0.006_911_64), 5 - 128);
    let raw = |input, output, kernel, pad| {
        case(
            Mode::Direct,
            input,
            output,
            kernel,
            1,
            pad,
            0,
            0,
            Stage::Raw,
        )
    };
    let cases = [
        (
            "ru_dwconv_int8_c64_8x8_k3s1p1_int8out",
            // Weights with zero point 0 in a tensor that is centred by 128.
            case(
                Mode::Depthwise,
                [8, 8, 64],
                [8, 8, 64],
                3,
                1,
                1,
                126,
                -128,
                narrow,
            ),
        ),
        (
            "ru_conv_int8_c32_8x8_oc32_k3s1p1_int32out",
            raw([8, 8, 32], [8, 8, 32], 3, 1),
        ),
        (
            "ru_conv_int8_c64_14x14_oc96_k1s1_int32out",
            raw([14, 14, 64], [14, 14, 96], 1, 0),
        ),
        (
            "ru_matmul_int8_m16_k64_n32_int32out",
            raw([16, 1, 64], [16, 1, 32], 1, 0),
        ),
    ];
    let mut seen = BTreeMap::new();
    for (id, case) in cases {
        let vectors = json["vectors"].as_array().expect("vectors");
        let vector = vectors.iter().find(|v| v["id"] == id).expect("the vector");
        for why in case.compare(&vector["tasks"][0], id) {
            *seen.entry(why).or_insert(0) += 1;
        }
    }
    println!("explained differences: {seen:?}");
}

#[test]
fn cbuf_planning_matches_the_vendor_compiler() {
    let Some(json) = golden("vendor_fp16_conv_rows.json") else {
        return;
    };
    let (mut tasks, mut equal, mut more, mut packed) = (0, 0, Vec::new(), 0);
    let (mut shapes, mut same_tiles, mut fewer, mut other) = (0, 0, 0, Vec::new());
    for vector in json["vectors"].as_array().expect("vectors") {
        let id = vector["id"].as_str().expect("an id");
        let mut single = Vec::new();
        for task in vector["tasks"].as_array().expect("tasks") {
            let regs = captured(task);
            let has = |name: &str| regs.contains_key(&("CNA".to_string(), name.to_string()));
            if !has("CBUF_CON0") || !has("DATA_SIZE0") || !has("DATA_SIZE1") {
                continue;
            }
            let get = |name| word(&regs, "CNA", name);
            let (width, rows) = (get("DATA_SIZE0") >> 16, get("DATA_SIZE0") & 0x7ff);
            let channels = (get("DATA_SIZE1") & 0xffff) as usize;
            let banks = (get("CBUF_CON0") & 15) as usize;
            if get("CONV_CON1") & 1 << 30 != 0 {
                packed += 1;
                continue;
            }
            tasks += 1;
            let entries = cbuf::row_entries(&RK3588, width as usize, channels.div_ceil(8));
            let needed = cbuf::data_banks(&RK3588, entries, rows as usize);
            assert!(
                needed <= banks,
                "{id}: {needed} banks where the vendor has {banks}"
            );
            if needed == banks {
                equal += 1;
            } else {
                more.push((id, needed, banks));
            }
            if task["nn_mode"].as_u64() == Some(0) && has("WEIGHT_SIZE2") {
                single.push(regs);
            }
        }
        if let Some((ours, theirs)) = tiles_of(&single, vector) {
            shapes += 1;
            match ours.cmp(&theirs) {
                std::cmp::Ordering::Equal => same_tiles += 1,
                std::cmp::Ordering::Less => fewer += 1,
                std::cmp::Ordering::Greater => other.push((id, ours, theirs)),
            }
        }
    }
    println!(
        "{tasks} tasks, {packed} packed; banks equal {equal}, more than needed {}",
        more.len()
    );
    println!("{shapes} whole shapes: {same_tiles} same task count, {fewer} fewer, more: {other:?}");
    assert!(tasks > 500 && equal > 250);
    assert!(other.is_empty(), "more tasks than the vendor: {other:?}");
}

/// Our and the vendor's number of tasks for a shape, where the record holds all of its tasks.
fn tiles_of(single: &[BTreeMap<(String, String), Json>], vector: &Json) -> Option<(usize, usize)> {
    let regs = single.first()?;
    let get = |name| word(regs, "CNA", name) as usize;
    let shape = &vector["shape"];
    let height = int(shape, "h")? as usize;
    let kernel = [
        get("WEIGHT_SIZE2") >> 16 & 31,
        get("WEIGHT_SIZE2") >> 24 & 31,
    ];
    let depthwise = shape["depthwise"].as_bool()?;
    let width = get("DATA_SIZE0") >> 16;
    let out_width = (word(regs, "CORE", "DATAOUT_SIZE_0") & 0xffff) as usize + 1;
    let out_height = (height + 1).checked_sub(kernel[0])?;
    let rows = |regs: &BTreeMap<(String, String), Json>| {
        (word(regs, "CORE", "DATAOUT_SIZE_0") >> 16) as usize + 1
    };
    // Some tasks rewrote only part of their registers, and some shapes have strides or padding.
    let whole = single.iter().map(rows).sum::<usize>() == out_height;
    if out_width + kernel[1] != width + 1 || !whole {
        return None;
    }
    let channels = get("DATA_SIZE1") & 0xffff;
    let outputs = if depthwise {
        channels
    } else {
        get("WEIGHT_SIZE2") & 0x3fff
    };
    let plan = Shape {
        chip: &RK3588,
        mode: if depthwise {
            Mode::Depthwise
        } else {
            Mode::Direct
        },
        input: [height, width],
        output: [out_height, out_width],
        span: kernel,
        stride: [1, 1],
        pad: [0, 0],
        taps: kernel[0] * kernel[1],
        inputs: channels,
        outputs,
        element: 2,
        columns: true,
        cores: 1,
    };
    Some((plan.tiles().ok()?.len(), single.len()))
}

/// Bytes of a kernel with whole atoms of channels.
fn kernel_bytes(layer: &Layer) -> usize {
    layer.kernel.h * layer.kernel.w * layer.padded_inputs(&RK3588)
}
