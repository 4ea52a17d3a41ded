//! The passes, in order.

use crate::debug::Debug;
use crate::error::CompileError;
use crate::index::Index;
use crate::lowered::{Event, Legal};
use crate::npu::Form;
use crate::options::Options;
use crate::passes::{
    drop_idle::drop_idle,
    drop_slow::drop_slow,
    drop_worthless::drop_worthless,
    find_views::find_views,
    fold_clamp::fold_clamp,
    fold_pad::fold_pad,
    fold_tables::fold_tables,
    im2col::im2col,
    legalise::legalise,
    plan_segments::{self, Schedule},
    select::select,
};
use crate::target::{Builder, Family, Rules};

/// From a graph to the NPU form that a target gets.
pub fn form(index: &Index, rules: &Rules, options: &Options) -> Form {
    let mut debug = Debug::from_environment();
    let mut form = select(index, rules);
    debug.after("select", index, &form);
    macro_rules! passes {
        ($($pass:ident($($argument:expr),*);)*) => {
            $($pass(&mut form, index $(, $argument)*);
            debug.after(stringify!($pass), index, &form);)*
        };
    }
    passes! {
        fold_pad();
        fold_clamp();
        fold_tables();
        find_views(rules);
        im2col(rules, options);
    }
    form
}

/// Steps of a family, and their order.
pub type Ordered<F> = (Vec<Legal<<F as Family>::Layer>>, Schedule);

/// From the NPU form to a family's layers, and their order.
pub fn layers<F: Family>(
    form: &Form,
    builder: &mut F::Builder<'_>,
) -> Result<Ordered<F>, CompileError> {
    let mut steps = legalise::<F>(form, builder);
    drop_slow(builder, &builder.timing(), &mut steps, |layer| {
        builder.seconds(layer)
    });
    loop {
        drop_idle(builder, &mut steps);
        let schedule = schedule::<F>(builder, &steps)?;
        let seconds = |layer: &F::Layer| builder.seconds(layer);
        if !drop_worthless(builder, &builder.timing(), &schedule, &mut steps, seconds) {
            return Ok((steps, schedule));
        }
    }
}

/// The order of a family's layers.
pub fn schedule<F: Family>(
    builder: &F::Builder<'_>,
    steps: &[Legal<F::Layer>],
) -> Result<Schedule, CompileError> {
    plan_segments::schedule(builder, builder, steps)
}

/// Layers in their order, divided where that pays.
pub fn events<F: Family>(
    builder: &mut F::Builder<'_>,
    schedule: Schedule,
    steps: &mut [Legal<F::Layer>],
) -> Vec<Event<F::Layer>> {
    let mut events = schedule.with_layers(steps);
    builder.divide(&mut events);
    if cfg!(debug_assertions)
        && let Err(wrong) = builder.verify(&events)
    {
        panic!("unsound layers: {wrong}");
    }
    events
}
