//! The form of a case.

use ferrite_compiler::{Evidence, Options, Target};
use ferrite_hw::rk3588::{Parameters, parameters::RK3588};
use ferrite_ir::text::END;

/// What a section looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// The graph.
    Graph,
    /// The NPU form.
    Npu,
    /// A chip's layers.
    Layers,
    /// Jobs and tasks.
    Jobs,
    /// Commands.
    Asm,
    /// Where operators are placed and why.
    Info,
    /// Results on the simulator against those of the CPU kernels.
    Run {
        /// Of the inputs.
        seed: u64,
        /// How far results may be apart, in steps of the output.
        steps: u64,
    },
}

/// One test of the case's graph.
#[derive(Debug)]
pub struct Section {
    /// The header in one line.
    pub title: String,
    /// What is looked at.
    pub test: Test,
    /// For which target, and how.
    pub options: Options,
    /// What should come out.
    pub expected: String,
    /// Lines of the file, from 0, between which that is.
    lines: [usize; 2],
}

/// A file: a graph and what is expected of it.
pub struct Case<'t> {
    text: &'t str,
    pub sections: Vec<Section>,
}

/// A section's header while it is read.
#[derive(Default)]
struct Header {
    lines: Vec<String>,
    test: Option<String>,
    options: Option<Options>,
    seed: Option<u64>,
    steps: Option<u64>,
}

/// Begins a section's header, and ends what the section before expects.
const SECTION: &str = "; test ";

impl<'t> Case<'t> {
    /// Reads the headers and expectations of a file, not its graph.
    pub fn parse(text: &'t str) -> Result<Case<'t>, String> {
        let mut sections: Vec<Section> = Vec::new();
        let mut header = Header::default();
        let (mut in_header, mut expectation) = (false, false);
        let mut expected: Vec<&str> = Vec::new();
        let lines: Vec<&str> = text.lines().collect();
        for (number, &line) in lines.iter().enumerate() {
            if expectation && line.starts_with(SECTION) {
                if let Some(section) = sections.last_mut() {
                    section.end(&mut expected, number);
                }
                expectation = false;
            }
            if expectation {
                expected.push(line);
                continue;
            }
            if line.trim_end() == END {
                sections.push(std::mem::take(&mut header).section(number + 1)?);
                expectation = true;
            }
            // Other lines with a semicolon are comments.
            in_header = line.starts_with(SECTION) || in_header && line.starts_with("; ");
            if in_header {
                let read = header.line(&line[2..]);
                read.map_err(|e| format!("line {}: {e}", number + 1))?;
            }
        }
        match sections.last_mut() {
            Some(section) if expectation => section.end(&mut expected, lines.len()),
            _ => return Err(format!("the last section has no line {END}")),
        }
        Ok(Case { text, sections })
    }

    /// The file with `found` in place of what its sections expected.
    pub fn blessed(&self, found: &[String]) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        let (mut text, mut at) = (String::new(), 0);
        for (section, found) in self.sections.iter().zip(found) {
            let [first, end] = section.lines;
            for line in &lines[at..first] {
                text += line;
                text.push('\n');
            }
            text += found.trim_end();
            text.push('\n');
            if end < lines.len() {
                text.push('\n');
            }
            at = end;
        }
        text
    }
}

impl Section {
    fn end(&mut self, expected: &mut Vec<&str>, line: usize) {
        self.expected = std::mem::take(expected).join("\n");
        self.lines[1] = line;
    }
}

impl Header {
    /// A line such as `target rk3588 cores=3`.
    fn line(&mut self, line: &str) -> Result<(), String> {
        self.lines.push(line.trim_end().to_owned());
        let (key, value) = line.trim_end().split_once(' ').unwrap_or((line, ""));
        let number = || value.parse().map_err(|_| format!("`{value}` is no number"));
        match key {
            "test" => self.test = Some(value.to_owned()),
            "target" => self.options = Some(options(value)?),
            "seed" => self.seed = Some(number()?),
            "steps" => self.steps = Some(number()?),
            _ => return Err(format!("`{key}` is none of test, target, seed and steps")),
        }
        Ok(())
    }

    /// The section of this header, whose expectation begins at `line`.
    fn section(self, line: usize) -> Result<Section, String> {
        let title = self.lines.join(", ");
        let test = match (self.test.as_deref(), self.seed, self.steps) {
            (Some("run"), Some(seed), Some(steps)) => Test::Run { seed, steps },
            (Some("run"), ..) => return Err(format!("{title}: a run has a seed and steps")),
            (_, Some(_), _) | (_, _, Some(_)) => {
                return Err(format!("{title}: only a run has a seed and steps"));
            }
            (Some("graph"), ..) => Test::Graph,
            (Some("npu"), ..) => Test::Npu,
            (Some("layers"), ..) => Test::Layers,
            (Some("jobs"), ..) => Test::Jobs,
            (Some("asm"), ..) => Test::Asm,
            (Some("info"), ..) => Test::Info,
            _ => return Err(format!("line {line}: {title}: there is no such test")),
        };
        let options = self.options.ok_or_else(|| format!("{title}: no target"))?;
        Ok(Section {
            title,
            test,
            options,
            expected: String::new(),
            lines: [line, line],
        })
    }
}

/// A chip of the RK3588's family that differs in its table only: nobody has built it.
pub static RELATED: Parameters = Parameters {
    cbuf_banks: 8,
    atom_bytes: 8,
    ..RK3588
};

/// `rk3588 evidence=sibling cores=3`, `a311d exact=1`.
fn options(text: &str) -> Result<Options, String> {
    let mut words = text.split_whitespace();
    let mut options = Options::new(match words.next() {
        Some("rk3588") => Target::Rk3588,
        Some("a311d") => Target::A311d,
        _ => return Err(format!("`{text}` begins with no target")),
    });
    for word in words {
        match word.split_once('=') {
            Some(("evidence", "silicon")) => options.evidence = Evidence::Silicon,
            Some(("evidence", "sibling")) => options.evidence = Evidence::Sibling,
            Some(("evidence", "inferred")) => options.evidence = Evidence::Inferred,
            Some(("exact", "1")) => options.exact = true,
            Some(("related", "1")) => options.rk3588 = &RELATED,
            Some(("clock", clock)) => {
                let clock = clock.parse().map_err(|_| format!("`{word}`: no number"))?;
                options.clock_mhz = Some(clock);
            }
            Some(("cores", cores)) => {
                options.cores = cores.parse().map_err(|_| format!("`{word}`: no number"))?;
            }
            _ => return Err(format!("`{word}` is no option of a target")),
        }
    }
    Ok(options)
}
