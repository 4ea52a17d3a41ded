//! What the picture marks at operators: where each runs, and in which submission.

use ferrite_compiler::executable::{Executable, Placement, Step};
use ferrite_ir::{OpId, SecondaryMap};

/// The marks of all operators.
pub struct Marks<'a> {
    executable: &'a Executable,
    segments: SecondaryMap<OpId, Option<usize>>,
}

/// The mark of an operator.
pub struct Mark {
    /// Class of its box.
    pub class: &'static str,
    /// The submission that it is part of, `N1` and so on, or `host`; nothing for folded ones.
    pub place: String,
    /// Where it runs and how, or why not on the NPU.
    pub why: String,
}

impl<'a> Marks<'a> {
    pub fn of(executable: &'a Executable) -> Marks<'a> {
        let mut segments = SecondaryMap::new();
        let submissions = executable.steps.iter().filter_map(|step| match step {
            Step::Submit(jobs) => Some(jobs),
            _ => None,
        });
        for (segment, jobs) in submissions.enumerate() {
            for &op in jobs.iter().flat_map(|job| &job.ops) {
                segments[op] = Some(segment + 1);
            }
        }
        Marks {
            executable,
            segments,
        }
    }

    pub fn mark(&self, op: OpId) -> Mark {
        let on_npu = || match self.segments[op] {
            Some(segment) => format!("N{segment}"),
            None => String::new(),
        };
        match self.executable.placements.get(op) {
            Some(Placement::Npu { lowering, .. }) => Mark {
                class: "npu",
                place: on_npu(),
                why: format!("NPU: {lowering}"),
            },
            Some(Placement::Approximate {
                lowering, error, ..
            }) => Mark {
                class: "approximate",
                place: on_npu(),
                why: format!("NPU: {lowering}, error {error:.2} steps"),
            },
            Some(Placement::Cpu { reason, .. }) => Mark {
                class: "cpu",
                place: "host".to_owned(),
                why: format!("CPU: {reason}"),
            },
            Some(Placement::Folded) | None => Mark {
                class: "folded",
                place: String::new(),
                why: "folded".to_owned(),
            },
        }
    }
}
