//! Runs the cases in `filetests/`: text in, text out, at every stage of a compilation. `BLESS=1`
//! takes what comes out for what is expected. `docs/testing.md` says how a case is written.

mod case;
mod run;

use case::{Case, RELATED, Section, Test};
use ferrite_compiler::index::Index;
use ferrite_compiler::{Evidence, Options, Placement, Stage, Target, emit, npu, place};
use ferrite_ir::text::{self, Constants};
use ferrite_ir::{Graph, OpId, PrimaryMap, verify};
use libtest_mimic::{Arguments, Failed, Trial};
use similar::TextDiff;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("filetests");
    let files = files(&root);
    assert!(!files.is_empty(), "{} has cases", root.display());
    let trials = files.into_iter().flat_map(|path| {
        let name = path.strip_prefix(&root).unwrap_or(&path).with_extension("");
        let name = name.display().to_string();
        let related = Trial::test(format!("related/{name}"), {
            let path = path.clone();
            move || check_related(&path)
        });
        [Trial::test(name, move || check(&path)), related]
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// The case whose 32-bit sums, of twice as many surfaces, a related chip cannot write.
const TOO_MANY_SURFACES: &str = "conv_scales_far_apart.txt";

/// Runs the runs of a case on the RK3588 on a related chip.
fn check_related(path: &Path) -> Result<(), Failed> {
    let text = std::fs::read_to_string(path)?;
    let case = Case::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let Ok(graph) = read(&text) else {
        return Ok(());
    };
    for section in case.sections {
        if let Test::Run { seed, steps } = section.test
            && section.options.target == Target::Rk3588
        {
            let options = Options {
                rk3588: &RELATED,
                ..section.options
            };
            let found = run::run(&graph, &options, seed, steps)
                .map_err(|why| format!("{}: {why}", section.title))?;
            // Layers are divided otherwise, so that other elements may be exact.
            let placed = |text: &str| text.lines().next().map(str::to_owned);
            let same = placed(&found) == placed(&section.expected);
            if same == path.ends_with(TOO_MANY_SURFACES) {
                return Err(difference(&section, &found).into());
            }
        }
    }
    Ok(())
}

/// The text files in a folder and those in it, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of cases") {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|e| e == "txt") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Runs all sections of a case.
fn check(path: &Path) -> Result<(), Failed> {
    let text = std::fs::read_to_string(path)?;
    let case = Case::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let graph = read(&text);
    let (mut found, mut failures) = (Vec::new(), String::new());
    for section in &case.sections {
        let result = match &graph {
            Ok(graph) => output(graph, section),
            Err(errors) => Ok(errors.clone()),
        };
        match result {
            Ok(result) => found.push(result),
            Err(why) => {
                let _ = writeln!(failures, "{}: {why}", section.title);
                found.push(section.expected.clone());
            }
        }
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, case.blessed(&found))?;
    } else {
        for (section, found) in case.sections.iter().zip(&found) {
            failures += &difference(section, found);
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("{}\n{failures}", path.display()).into())
    }
}

/// The graph of a case, or what is wrong with it, one error a line.
fn read(text: &str) -> Result<Graph, String> {
    let graph = text::parse(text).map_err(|e| format!("error: {e}\n"))?;
    match verify(&graph) {
        Ok(()) => {
            let again = text::parse(&text::print(&graph, Constants::Inline));
            assert!(again.as_ref() == Ok(&graph), "the graph's text is exact");
            Ok(graph)
        }
        Err(errors) => Err(errors.iter().map(|e| format!("error: {e}\n")).collect()),
    }
}

/// What a section's test says about the graph.
fn output(graph: &Graph, section: &Section) -> Result<String, String> {
    let emitted = |stage| emit(graph, &section.options, stage);
    let result = match section.test {
        Test::Graph => emitted(Stage::Graph),
        Test::Npu => emitted(Stage::Npu).inspect(|text| assert_parses(graph, text)),
        Test::Layers => emitted(Stage::Layers),
        Test::Jobs => emitted(Stage::Jobs),
        Test::Asm => emitted(Stage::Asm),
        Test::Info => place(graph, &section.options).map(|places| info(graph, &places)),
        Test::Run { seed, steps } => return run::run(graph, &section.options, seed, steps),
    };
    Ok(result.unwrap_or_else(|e| format!("error: {e}\n")))
}

/// The NPU form's text is exact too.
fn assert_parses(graph: &Graph, text: &str) {
    let form = npu::parse(text).expect("the form's own text");
    let index = Index::new(graph, Arc::new(graph.uses()));
    assert_eq!(npu::print(&index, &form), text);
}

/// Where each operator would run and why.
fn info(graph: &Graph, placements: &PrimaryMap<OpId, Placement>) -> String {
    let mut text = String::new();
    for op in graph.op_ids() {
        let _ = write!(text, "{} {}: ", op.as_u32(), graph.op_name(op));
        let _ = match &placements[op] {
            Placement::Npu { lowering, evidence } => {
                let evidence = match evidence {
                    Evidence::Silicon => "silicon",
                    Evidence::Sibling => "sibling",
                    Evidence::Inferred => "inferred",
                };
                writeln!(text, "NPU, {lowering} ({evidence})")
            }
            Placement::Approximate {
                lowering, error, ..
            } => writeln!(text, "NPU, {lowering}, approximate: {error:.3} steps"),
            Placement::Cpu { reason, remedy } => {
                let remedy = remedy.iter().map(|r| format!(" ({r})"));
                writeln!(text, "CPU, {reason}{}", remedy.collect::<String>())
            }
            Placement::Folded => writeln!(text, "folded"),
        };
    }
    text
}

/// How a result differs from what the section expects, or nothing.
fn difference(section: &Section, found: &str) -> String {
    // The end of a file is not part of what is expected.
    let (expected, found) = (section.expected.trim_end(), found.trim_end());
    if expected == found {
        return String::new();
    }
    let (expected, found) = (format!("{expected}\n"), format!("{found}\n"));
    let diff = TextDiff::from_lines(&expected, &found);
    let diff = diff.unified_diff().header("expected", "found").to_string();
    format!("{}\n{diff}\n", section.title)
}
