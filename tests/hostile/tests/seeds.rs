//! A few hundred hostile models; `make fuzz` tries many more.

use ferrite_hostile::{Damage, Outcome, model, try_out};
use std::collections::HashMap;

#[test]
fn hostile_models_are_refused_or_run_alike_everywhere() {
    let mut outcomes: HashMap<(Damage, Outcome), u32> = HashMap::new();
    let mut wrong = Vec::new();
    for seed in 0..600 {
        let (damage, file) = model(seed);
        match try_out(&file) {
            Ok(outcome) => *outcomes.entry((damage, outcome)).or_default() += 1,
            Err(what) => wrong.push(format!("seed {seed}, {damage:?}: {what}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{outcomes:?}");
    // A generator of nothing but refused files would find nothing.
    let count = |wanted: Outcome| {
        let of = outcomes
            .iter()
            .filter(|((_, outcome), _)| *outcome == wanted);
        of.map(|(_, count)| count).sum::<u32>()
    };
    assert!(count(Outcome::OnNpu) > 150, "{outcomes:?}");
    assert!(count(Outcome::Refused) > 50, "{outcomes:?}");
}

#[test]
fn a_seed_makes_the_same_file_each_time() {
    for seed in 0..50 {
        assert_eq!(model(seed), model(seed));
    }
}
