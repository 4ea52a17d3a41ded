//! Large maps in bands of rows, one for each core, through as many layers as that pays for.
//!
//! A core that is to make some rows of a layer needs a few more rows of the layer before, which it makes
//! itself, though its neighbour makes them too: the cores then wait for each other only once, behind the
//! last of these layers. A core loads the tables that it needs itself. The bands of a map lie one below the other in a map of their own, with these rows
//! twice.

use std::ops::Range;

use ferrite_ir::{DType, SecondaryMap};

use super::context::Context;
use super::cost::{Cost, WORTH};
use super::legalise::tiles::Shape;
use super::program::{Band, Cube, CubeId, Layer, OPERAND_PITCH, Program, Rect, Side};
use crate::lowered::Event;

/// Divides the layers of each submission where that pays.
pub fn divide(ctx: &mut Context, events: &mut [Event<Layer>]) {
    if ctx.options.cores < 2 {
        return;
    }
    let (cores, cost) = (ctx.options.cores, ctx.cost());
    let may_pay = |layers: &[Layer]| may_pay(ctx.program(), layers, cores, &cost);
    let mut submissions = events.iter();
    if !submissions.any(|event| matches!(event, Event::Submit(layers) if may_pay(layers))) {
        return;
    }
    let users = users(ctx.program(), events);
    for (at, event) in events.iter_mut().enumerate() {
        if let Event::Submit(layers) = event {
            let others = |cube: CubeId| users[cube].is_some_and(|user| user != User::One(at));
            divide_submission(ctx, layers, &others);
        }
    }
}

/// The steps that touch a root cube.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    One(usize),
    Several,
}

fn users(program: &Program, events: &[Event<Layer>]) -> SecondaryMap<CubeId, Option<User>> {
    let mut users: SecondaryMap<CubeId, Option<User>> = SecondaryMap::new();
    for (at, event) in events.iter().enumerate() {
        let mut touch = |cube: CubeId| {
            let user = &mut users[program.root(cube).0];
            *user = match *user {
                None => Some(User::One(at)),
                Some(User::One(other)) if other == at => *user,
                _ => Some(User::Several),
            };
        };
        match event {
            Event::Cpu(_) => {}
            Event::Enter(cube, _) | Event::Leave(cube, _) | Event::Requantise(cube, ..) => {
                touch(*cube);
            }
            Event::Submit(layers) => {
                let sides = layers.iter().flat_map(sides);
                sides.for_each(|side| touch(side.cube));
            }
        }
    }
    users
}

/// Divides the layers of a submission. `others` tells of the root cubes that other steps touch too.
fn divide_submission(ctx: &mut Context, layers: &mut Vec<Layer>, others: &dyn Fn(CubeId) -> bool) {
    let (mut start, mut run) = (0, 0);
    let (cores, cost) = (ctx.options.cores, ctx.cost());
    while let Some(bands) = best(ctx.program(), layers, start, others, cores, &cost) {
        let part = &layers[bands.range.clone()];
        let Some(banded) = bands.layers(ctx.program_mut(), part, run) else {
            return;
        };
        start = bands.range.start + banded.len();
        layers.splice(bands.range, banded);
        run += 1;
    }
}

/// Rows, the first and the one behind the last.
type Rows = Range<usize>;

/// A sequence of layers in bands.
struct Bands {
    range: Range<usize>,
    /// Of each root cube that the layers make: the rows that each band makes. None of a cube of others.
    rows: SecondaryMap<CubeId, Option<Vec<Rows>>>,
    /// Root cubes that others read too. Each of their rows is made once, where it is without bands.
    exits: SecondaryMap<CubeId, bool>,
}

/// Whether bands can save enough at all, given what the layers take as one chain: they have as many tasks
/// as it, and what is left is a kick of its own.
fn may_pay(program: &Program, layers: &[Layer], cores: usize, cost: &Cost) -> bool {
    let each = layers.iter().map(|layer| cost.seconds(layer));
    let whole = cost.job_seconds(each);
    let tasks = layers.iter().map(|layer| layer.tiles.len()).sum::<usize>();
    let tasks = tasks as f64 * cost.timing.task;
    let all = layers.last().is_some_and(|layer| is_local(program, layer));
    let kicks = if all { 1.0 } else { 2.0 } * cost.timing.kick;
    let least = kicks + tasks + (whole - cost.timing.kick - tasks) / cores as f64;
    least <= WORTH * whole
}

/// Layers from `start` on that are best done in bands, if any are.
fn best(
    program: &Program,
    layers: &[Layer],
    start: usize,
    others: &dyn Fn(CubeId) -> bool,
    cores: usize,
    cost: &Cost,
) -> Option<Bands> {
    let rest = &layers[start..];
    if !may_pay(program, rest, cores, cost) {
        return None;
    }
    let seconds: Vec<f64> = rest.iter().map(|l| cost.seconds(l)).collect();
    let chain = |from: usize| cost.job_seconds(seconds[from..].iter().copied());
    let touches = Touches::of(program, layers);
    let mut best: Option<(f64, Bands)> = None;
    let mut worse = 0;
    let local = rest.iter().take_while(|layer| is_local(program, layer));
    for end in 1..=local.count() {
        let Some(bands) = touches.bands(program, layers, start..start + end, others, cores) else {
            continue;
        };
        let left = if end == rest.len() { 0.0 } else { chain(end) };
        let total = bands.seconds(program, layers, cost) + left;
        match &best {
            Some((least, _)) if *least <= total => {
                worse += 1;
                // Maps only become smaller, and what is made twice more.
                if worse == 4 {
                    break;
                }
            }
            _ => {
                best = Some((total, bands));
                worse = 0;
            }
        }
    }
    best.filter(|(total, _)| *total <= WORTH * chain(0))
        .map(|(_, bands)| bands)
}

/// Whether a layer makes a whole map, rows from the rows around them.
fn is_local(program: &Program, layer: &Layer) -> bool {
    let whole = |side: &Side, rows: bool| {
        let [h, w, _] = program.cube(program.root(side.cube).0).shape;
        let Rect { y, h: height, .. } = side.rect;
        let all = !rows || (y, height) == (0, h);
        all && (side.grid.h, side.grid.w) == (h, w)
    };
    let output = program.cube(layer.output.cube);
    output.dtype == DType::I8
        && layer.band.is_none()
        && whole(&layer.output, true)
        // A map of which only the first rows matter may end early.
        && whole(&layer.input, false)
        && layer.input.rect.y == 0
        && layer.addend.iter().all(|addend| whole(&addend.side, true))
        && layer.output.rect.h >= 2
}

/// The layers that touch each root cube.
struct Touches {
    /// The first and the last.
    layers: SecondaryMap<CubeId, Option<(usize, usize)>>,
}

impl Touches {
    fn of(program: &Program, layers: &[Layer]) -> Touches {
        let mut touches = SecondaryMap::new();
        touches.resize(program.cubes.len());
        for (index, layer) in layers.iter().enumerate() {
            for side in sides(layer) {
                let range: &mut Option<(usize, usize)> = &mut touches[program.root(side.cube).0];
                range.get_or_insert((index, index)).1 = index;
            }
        }
        Touches { layers: touches }
    }

    /// Bands for some layers, if each map that they make is either theirs alone or none that they
    /// read.
    fn bands(
        &self,
        program: &Program,
        layers: &[Layer],
        range: Range<usize>,
        others: &dyn Fn(CubeId) -> bool,
        cores: usize,
    ) -> Option<Bands> {
        let mut rows: SecondaryMap<CubeId, Option<Vec<Rows>>> = SecondaryMap::new();
        let mut exits: SecondaryMap<CubeId, bool> = SecondaryMap::new();
        rows.resize(program.cubes.len());
        exits.resize(program.cubes.len());
        for layer in &layers[range.clone()] {
            let root = program.root(layer.output.cube).0;
            let (first, last) = self.layers[root]?;
            if first < range.start {
                return None;
            }
            let exit = last >= range.end || others(root);
            let height = program.cube(root).shape[0];
            if exit && height < cores {
                return None;
            }
            exits[root] = exit;
            let part = |band: usize| match exit {
                true => band * height / cores..(band + 1) * height / cores,
                false => 0..0,
            };
            rows[root] = Some((0..cores).map(part).collect());
        }
        for layer in layers[range.clone()].iter().rev() {
            let made = rows[program.root(layer.output.cube).0].clone()?;
            let mut need = |side: &Side, rows_of: &dyn Fn(&Rows) -> Rows| {
                let root = program.root(side.cube).0;
                if exits[root] {
                    return None;
                }
                if let Some(needed) = &mut rows[root] {
                    for (needed, made) in needed.iter_mut().zip(&made) {
                        *needed = hull(needed, &rows_of(made));
                    }
                }
                Some(())
            };
            need(&layer.input, &|made| window(layer, made).0)?;
            if let Some(addend) = &layer.addend {
                need(&addend.side, &Rows::clone)?;
            }
        }
        let any = |rows: &Option<Vec<Rows>>| rows.iter().flatten().any(|rows| rows.is_empty());
        // Something that nothing reads, or less than a row for a core.
        if rows.values().any(any) {
            return None;
        }
        Some(Bands { range, rows, exits })
    }
}

fn sides(layer: &Layer) -> impl Iterator<Item = &Side> {
    let addend = layer.addend.iter().map(|addend| &addend.side);
    [&layer.input, &layer.output].into_iter().chain(addend)
}

fn hull(a: &Rows, b: &Rows) -> Rows {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.clone(),
        (_, true) => a.clone(),
        _ => a.start.min(b.start)..a.end.max(b.end),
    }
}

/// Input rows that a layer reads for some rows of its output, and rows of padding above.
fn window(layer: &Layer, made: &Rows) -> (Rows, usize) {
    if made.is_empty() {
        return (0..0, 0);
    }
    let (stride, pad, height) = (layer.stride.h, layer.pad.h, layer.input.rect.h);
    let first = made.start * stride;
    let end = (made.end - 1) * stride + layer.span().h;
    let rows = first.saturating_sub(pad)..end.saturating_sub(pad).min(height);
    (rows, pad.saturating_sub(first))
}

impl Bands {
    /// Seconds of the slowest band, as a job.
    fn seconds(&self, program: &Program, layers: &[Layer], cost: &Cost) -> f64 {
        let layers = &layers[self.range.clone()];
        let made = |layer: &Layer| self.rows[program.root(layer.output.cube).0].as_deref();
        let count = layers.first().and_then(made).map_or(1, <[Rows]>::len);
        let mut cost = *cost;
        let share = cost.timing.shared_bandwidth / count as f64;
        cost.timing.core_bandwidth = cost.timing.core_bandwidth.min(share);
        let band = |band: usize| {
            let parts = layers.iter().filter_map(|layer| {
                let rows = made(layer)?.get(band)?.len();
                let part = rows as f64 / layer.output.rect.h as f64;
                Some(cost.part_seconds(layer, part))
            });
            cost.job_seconds(parts)
        };
        (0..count).map(band).fold(0.0, f64::max)
    }

    /// The layers in bands, each layer's one after the other; None if one cannot be cut to size.
    fn layers(&self, program: &mut Program, layers: &[Layer], run: usize) -> Option<Vec<Layer>> {
        let mut stacks = Stacks::default();
        let count = program.cubes.len();
        stacks.cubes.resize(count);
        let mut divided = Vec::new();
        for layer in layers {
            let root = program.root(layer.output.cube).0;
            let made = self.rows[root].clone()?;
            for (index, rows) in made.iter().enumerate() {
                let (read, pad) = window(layer, rows);
                let mut part = Layer {
                    band: Some(Band { run, index }),
                    cores: 1,
                    input: self.side(program, &mut stacks, &layer.input, index, &read),
                    output: self.side(program, &mut stacks, &layer.output, index, rows),
                    ..layer.clone()
                };
                part.pad.h = pad;
                if let Some(addend) = &mut part.addend {
                    addend.side = self.side(program, &mut stacks, &addend.side, index, rows);
                }
                part.tiles = Shape::of(program.chip, &part, 1).tiles().ok()?;
                divided.push(part);
            }
        }
        Some(divided)
    }

    /// Some rows of a side for one band: where the bands of its cube lie, if they do so apart.
    fn side(
        &self,
        program: &mut Program,
        stacks: &mut Stacks,
        side: &Side,
        band: usize,
        rows: &Rows,
    ) -> Side {
        let root = program.root(side.cube).0;
        let bands = match &self.rows[root] {
            Some(bands) if !self.exits[root] => bands,
            _ => {
                let rect = Rect {
                    y: rows.start,
                    h: rows.len(),
                    ..side.rect
                };
                return Side { rect, ..*side };
            }
        };
        let above: usize = bands[..band].iter().map(Rows::len).sum();
        let height = bands.iter().map(Rows::len).sum();
        let mut stacked = Side {
            cube: stacks.of(program, side.cube, height),
            rect: Rect {
                y: above + rows.start - bands[band].start,
                h: rows.len(),
                ..side.rect
            },
            ..*side
        };
        stacked.grid.h = height;
        stacked
    }
}

/// Cubes that hold the bands of others one below the other.
#[derive(Default)]
struct Stacks {
    cubes: SecondaryMap<CubeId, Option<CubeId>>,
}

impl Stacks {
    /// That of a cube, and of what it lies in.
    fn of(&mut self, program: &mut Program, cube: CubeId, height: usize) -> CubeId {
        if let Some(stack) = self.cubes[cube] {
            return stack;
        }
        let original = program.cube(cube).clone();
        let part_of = original
            .part_of
            .map(|(outer, surface)| (self.of(program, outer, height), surface));
        let [_, w, c] = original.shape;
        let stack = program.cubes.push(Cube {
            shape: [height, w, c],
            surface_pitch: (height * w).max(OPERAND_PITCH),
            part_of,
            ..original
        });
        self.cubes[cube] = Some(stack);
        stack
    }
}
