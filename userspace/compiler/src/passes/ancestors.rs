//! Which of many steps, each waiting for some earlier ones, come after which.

/// Steps in order, with those that each waits for.
///
/// Sets of all ancestors would take memory of the square of the steps. Here each step keeps how many
/// steps from the first on it comes after without exception, which in networks is nearly all of them;
/// only what lies between is searched.
#[derive(Clone, Debug, Default)]
pub struct Ancestors {
    /// By step, in descending order.
    direct: Vec<Vec<usize>>,
    /// By step: it comes after all steps below this one.
    complete: Vec<usize>,
}

impl Ancestors {
    /// What a step waits for itself, in descending order.
    pub fn direct(&self, step: usize) -> &[usize] {
        &self.direct[step]
    }

    /// Adds a step that waits for these; those that others of them wait for are left out.
    pub fn push(&mut self, mut waits: Vec<usize>) {
        waits.sort_unstable_by(|a, b| b.cmp(a));
        waits.dedup();
        let mut direct: Vec<usize> = Vec::with_capacity(waits.len());
        for wait in waits {
            if !direct.iter().any(|&later| self.is_after(later, wait)) {
                direct.push(wait);
            }
        }
        let mut complete = direct
            .iter()
            .map(|&step| self.complete[step])
            .max()
            .unwrap_or(0);
        while direct.iter().any(|&step| self.is_after(step, complete)) {
            complete += 1;
        }
        self.direct.push(direct);
        self.complete.push(complete);
    }

    /// Whether `later` is `step` or comes after it.
    pub fn is_after(&self, later: usize, step: usize) -> bool {
        if step == later {
            return true;
        }
        if step > later || step < self.complete[later] {
            return step < later;
        }
        let mut open = vec![later];
        let mut seen = Vec::new();
        while let Some(at) = open.pop() {
            for &before in &self.direct[at] {
                if before == step || step < self.complete[before] {
                    return true;
                }
                if before > step && !seen.contains(&before) {
                    seen.push(before);
                    open.push(before);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Against sets of all ancestors, over graphs that look like divided networks and random ones.
    #[test]
    fn ancestors_are_those_of_full_sets() {
        let mut state = 1_u64;
        let mut random = move |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below.max(1)
        };
        for reach in [1, 3, 7, 60] {
            let mut ancestors = Ancestors::default();
            let mut all: Vec<BTreeSet<usize>> = Vec::new();
            for step in 0..60 {
                let count = random(4).min(step);
                let waits = (0..count).map(|_| step - 1 - random(reach.min(step)));
                let waits: Vec<usize> = waits.collect();
                let mut set = BTreeSet::from([step]);
                for &wait in &waits {
                    set.extend(&all[wait]);
                }
                ancestors.push(waits.clone());
                for (other, _) in all.iter().enumerate() {
                    assert_eq!(ancestors.is_after(step, other), set.contains(&other));
                }
                let direct = ancestors.direct(step);
                assert!(
                    waits
                        .iter()
                        .all(|&w| direct.iter().any(|&d| d == w || all[d].contains(&w)))
                );
                for &a in direct {
                    assert!(direct.iter().all(|&b| a == b || !all[b].contains(&a)));
                }
                all.push(set);
            }
        }
    }
}
