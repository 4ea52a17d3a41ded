//! Op conformance on a device: made-up operators of many kinds, types and shapes, against the CPU
//! kernels. Needs no files, so that it can run on any board.

mod builder;
mod cases;
pub mod proven;

pub use cases::{Case, cases};

use std::sync::Arc;

use ferrite_compiler::executable::{Evidence, Executable, Placement};
use ferrite_compiler::{CompileError, Options};
use ferrite_ir::DType;

use crate::cpu::{CpuError, Interpreter, Value};
use crate::device::Device;
use crate::session::{RunError, Session, cpu_only};

/// Most steps of the result that an operator on an NPU may be off.
pub const STEPS: i32 = 1;

/// Checksums of what the CPU kernels give for each case, to check these kernels themselves on other
/// machines: a line for each case, its name and eight hexadecimal digits.
const CHECKSUMS: &str = include_str!("checksums.txt");

/// Why a case could not be run. Each is a failure of the device or of this program.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The compiler refused the case.
    #[error("compiling: {0}")]
    Compile(#[from] CompileError),
    /// The CPU kernels refused it.
    #[error("on the CPU: {0}")]
    Cpu(#[from] CpuError),
    /// The device did not finish it.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The CPU kernels gave something else than where the checksums were made.
    #[error("the CPU kernels gave checksum {found:08x} instead of {expected:08x}")]
    Checksum {
        /// Of this machine's result.
        found: u32,
        /// As recorded.
        expected: u32,
    },
}

/// What became of a case that ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How the operator was done on the NPU; `None` if the target left it to the CPU.
    pub lowering: Option<(String, Evidence)>,
    /// Why it stayed on the CPU.
    pub reason: Option<String>,
    /// Elements of the result.
    pub elements: usize,
    /// Elements equal to the CPU kernels'.
    pub exact: usize,
    /// Largest difference in steps.
    pub max_abs_diff: i32,
    /// Mean difference in steps: a bias shows rounding that differs.
    pub mean_diff: f64,
}

impl Outcome {
    /// Whether all elements are within [`STEPS`].
    pub fn passed(&self) -> bool {
        self.max_abs_diff <= STEPS
    }
}

/// A case, compiled for a device.
pub struct Compiled<'a> {
    case: &'a Case,
    executable: Arc<Executable>,
}

impl Case {
    /// Compiles the case with lowerings that rest on `evidence` or better.
    pub fn compile(
        &self,
        device: Option<&dyn Device>,
        evidence: Evidence,
    ) -> Result<Compiled<'_>, CaseError> {
        let executable = match device {
            None => cpu_only(&self.graph),
            Some(device) => {
                let options = Options {
                    evidence,
                    cores: device.cores(),
                    clock_mhz: device.clock_mhz(),
                    // What is approximate proves nothing of the device.
                    exact: true,
                    ..Options::new(device.target())
                };
                ferrite_compiler::compile(&self.graph, &options)?
            }
        };
        Ok(Compiled {
            case: self,
            executable: Arc::new(executable),
        })
    }

    /// The CPU kernels' result.
    pub fn reference(&self) -> Result<Vec<Value>, CaseError> {
        Ok(Interpreter::new(Arc::clone(&self.graph))?.run(&self.inputs)?)
    }

    fn checked_reference(&self) -> Result<Vec<Value>, CaseError> {
        let values = self.reference()?;
        let found = checksum(&values);
        match recorded(&self.name) {
            Some(expected) if expected != found => Err(CaseError::Checksum { found, expected }),
            _ => Ok(values),
        }
    }
}

impl Compiled<'_> {
    /// Whether another level of evidence led to the same commands.
    pub fn same_as(&self, other: &Compiled<'_>) -> bool {
        self.executable == other.executable
    }

    /// Runs the case and compares.
    pub fn run(&self, device: Option<&dyn Device>) -> Result<Outcome, CaseError> {
        let expected = self.case.checked_reference()?;
        let graph = Arc::clone(&self.case.graph);
        let mut session = Session::new(graph, Arc::clone(&self.executable), device)?;
        let found = session.run(&self.case.inputs)?;
        let mut outcome = Outcome {
            lowering: None,
            reason: None,
            elements: 0,
            exact: 0,
            max_abs_diff: 0,
            mean_diff: 0.0,
        };
        match self.executable.placements.as_values_slice() {
            [placement, ..] if placement.on_npu().is_some() => {
                let lowering = placement.on_npu();
                outcome.lowering = lowering.map(|(name, grade)| (name.to_owned(), grade));
            }
            [Placement::Cpu { reason, .. }, ..] if device.is_some() => {
                outcome.reason = Some(reason.clone());
            }
            _ => {}
        }
        let mut sum = 0i64;
        for (found, expected) in found.iter().zip(&expected) {
            let signed = expected.dtype() == DType::I8;
            let number = |byte: u8| match signed {
                true => i32::from(byte as i8),
                false => i32::from(byte),
            };
            for (&a, &b) in found.bytes().iter().zip(expected.bytes()) {
                let difference = number(a) - number(b);
                outcome.elements += 1;
                outcome.exact += usize::from(difference == 0);
                outcome.max_abs_diff = outcome.max_abs_diff.max(difference.abs());
                sum += i64::from(difference);
            }
        }
        outcome.mean_diff = sum as f64 / outcome.elements.max(1) as f64;
        Ok(outcome)
    }
}

/// FNV-1a over the bytes of all values.
fn checksum(values: &[Value]) -> u32 {
    values
        .iter()
        .flat_map(|value| value.bytes())
        .fold(0x811c_9dc5, |hash, &byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        })
}

fn recorded(name: &str) -> Option<u32> {
    CHECKSUMS.lines().find_map(|line| {
        let (known, digits) = line.rsplit_once(' ')?;
        (known == name).then(|| u32::from_str_radix(digits, 16).ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn cases_are_sound_and_have_names_of_their_own() {
        let mut names = HashSet::new();
        for case in cases() {
            let errors = ferrite_ir::verify::verify(&case.graph);
            assert!(errors.is_ok(), "{}: {errors:?}", case.name);
            assert!(names.insert(case.name.clone()), "{} twice", case.name);
        }
    }

    /// With FERRITE_BLESS set the file is written anew; the kernels it comes from are compared with
    /// TFLite's by other tests.
    #[test]
    fn checksums_are_those_of_the_cpu_kernels() {
        let lines: String = cases()
            .iter()
            .map(|case| {
                let values = case.reference().expect(&case.name);
                format!("{} {:08x}\n", case.name, checksum(&values))
            })
            .collect();
        if std::env::var_os("FERRITE_BLESS").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/selftest/checksums.txt");
            std::fs::write(path, &lines).expect("the source tree can be written");
        }
        assert_eq!(lines, CHECKSUMS);
    }

    /// Results that are nearly all the same, or at the ends of the range, would prove little.
    #[test]
    fn results_are_spread_over_the_range() {
        for case in cases() {
            let values = case.reference().expect(&case.name);
            for value in values {
                let distinct: HashSet<u8> = value.bytes().iter().copied().collect();
                let least = 16.min(value.bytes().len() / 8);
                assert!(distinct.len() >= least, "{}: {}", case.name, distinct.len());
            }
        }
    }
}
