//! Writes the picture.

use super::layering::{Kind, Layered, Segment};
use super::marks::Marks;
use super::position::{BOX, HEAD, MARGIN, Places, ROW, lane};
use super::words;
use ferrite_ir::{Graph, TensorId};
use std::collections::HashSet;
use std::fmt::Write;
use std::ops::Range;

const STYLE: &str = "\
text{font-family:'DejaVu Sans',Verdana,sans-serif;fill:#1b2530}\
.title{font-size:20px;font-weight:bold}.subtitle{font-size:13px;fill:#4a5560}\
.name{font-size:12px;font-weight:bold;text-anchor:middle}\
.detail{font-size:10px;text-anchor:middle;fill:#3b4650}\
.number,.place{font-size:9px;fill:#6a747e}.place{text-anchor:end}\
.label{font-size:10px;fill:#4a5560;paint-order:stroke;stroke:#fff;stroke-width:3px}\
.edge{fill:none;stroke:#7d8790;stroke-width:1.4}\
.on{stroke:#fff;stroke-width:4;fill:none}\
rect{stroke-width:1.4}\
.npu{fill:#cfe4fa;stroke:#2a6db0}.approximate{fill:#e3d7f7;stroke:#6b3fb0}.cpu{fill:#fde1c4;stroke:#c06a14}\
.folded{fill:#f1f2f3;stroke:#8d969e;stroke-dasharray:4 3}.port{fill:#fff;stroke:#1b2530}";

/// The picture of a graph whose vertices are placed.
pub fn paint(
    graph: &Graph,
    marks: &Marks<'_>,
    layered: &Layered,
    columns: &[Range<usize>],
    places: &Places,
    title: &str,
    subtitle: &str,
) -> String {
    let mut svg = String::new();
    let text_width = title.chars().count() as f64 * 13.0;
    let text_width = text_width
        .max(subtitle.chars().count() as f64 * 8.0)
        .max(900.0);
    let width = places.width.max(text_width + 2.0 * MARGIN);
    let height = places.height;
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    head(&mut svg, title, subtitle);
    let painter = Painter {
        graph,
        layered,
        columns,
        places,
    };
    painter.edges(&mut svg);
    for vertex in 0..layered.vertices.len() {
        painter.vertex(&mut svg, vertex, marks);
    }
    painter.labels(&mut svg);
    svg += "</svg>\n";
    svg
}

fn head(svg: &mut String, title: &str, subtitle: &str) {
    let (title, subtitle) = (escape(title), escape(subtitle));
    let y = MARGIN + 16.0;
    let _ = write!(
        svg,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{y}\">{title}</text>\n\
         <text class=\"subtitle\" x=\"{MARGIN}\" y=\"{}\">{subtitle}</text>\n",
        y + 22.0
    );
    let mut x = MARGIN;
    let y = MARGIN + HEAD - 56.0;
    let legend = [
        ("npu", "NPU, in submission N1, N2...", 215.0),
        ("approximate", "NPU, approximately", 150.0),
        ("cpu", "host", 64.0),
        ("folded", "folded into neighbours", 190.0),
        ("port", "input, output", 100.0),
    ];
    for (class, words, width) in legend {
        let radius = if class == "port" { 9 } else { 3 };
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"24\" height=\"18\" rx=\"{radius}\"/>\
             <text class=\"subtitle\" x=\"{}\" y=\"{}\">{words}</text>",
            x + 31.0,
            y + 13.5
        );
        x += 31.0 + width;
    }
}

struct Painter<'a> {
    graph: &'a Graph,
    layered: &'a Layered,
    columns: &'a [Range<usize>],
    places: &'a Places,
}

impl Painter<'_> {
    /// Where a tensor leaves a vertex: results of an operator are spread along its lower side.
    fn port(&self, vertex: usize, tensor: TensorId) -> f64 {
        let Kind::Op(op) = self.layered.vertices[vertex].kind else {
            return self.places.x[vertex];
        };
        let outputs = &self.graph.node(op).outputs;
        let index = outputs.iter().position(|&id| id == tensor).unwrap_or(0) as f64;
        let count = outputs.len().max(1) as f64;
        let step = self.layered.vertices[vertex].width / count;
        match outputs.len() {
            0 | 1 => self.places.x[vertex],
            // Towards the left of its share: the label stands on the right.
            _ => self.places.x[vertex] + step * (index - count / 2.0) + 10.0,
        }
    }

    /// Where an edge ends on the upper side: a little beside the middle, by where it comes from.
    fn landing(&self, segment: &Segment) -> f64 {
        let x = self.places.x[segment.to];
        if self.layered.vertices[segment.to].kind == Kind::Bend {
            return x;
        }
        let reach = self.layered.vertices[segment.to].width / 2.0 - 14.0;
        let from = self.port(segment.from, segment.tensor);
        x + (0.35 * (from - x)).clamp(-reach, reach)
    }

    fn bottom(&self, vertex: usize) -> f64 {
        match self.layered.vertices[vertex].kind {
            Kind::Bend => self.places.y[vertex] + BOX / 2.0,
            _ => self.places.y[vertex] + BOX,
        }
    }

    fn top(&self, vertex: usize) -> f64 {
        match self.layered.vertices[vertex].kind {
            Kind::Bend => self.places.y[vertex] + BOX / 2.0,
            _ => self.places.y[vertex],
        }
    }

    fn edges(&self, svg: &mut String) {
        let starts: Vec<usize> = self.columns.iter().map(|c| c.start).collect();
        let mut lanes = vec![0; self.columns.len()];
        for segment in &self.layered.segments {
            let x1 = self.port(segment.from, segment.tensor);
            let y1 = self.bottom(segment.from);
            let x2 = self.landing(segment);
            let y2 = self.top(segment.to);
            let layer = self.layered.vertices[segment.to].layer;
            let path = match starts.iter().skip(1).position(|&start| start == layer) {
                None if x1 == x2 => format!("M{x1:.1} {y1:.1}V{y2:.1}"),
                None => {
                    let middle = (y1 + y2) / 2.0;
                    format!(
                        "M{x1:.1} {y1:.1}C{x1:.1} {middle:.1} {x2:.1} {middle:.1} {x2:.1} {y2:.1}"
                    )
                }
                Some(gutter) => {
                    let index = lanes[gutter];
                    lanes[gutter] += 1;
                    self.around(gutter, index, [x1, y1, x2, y2])
                }
            };
            let _ = writeln!(svg, "<path class=\"edge\" d=\"{path}\"/>");
            if self.layered.vertices[segment.to].kind != Kind::Bend {
                let tip = format!("M{x2:.1} {y2:.1}l-3.5 -7h7z");
                let _ = writeln!(svg, "<path d=\"{tip}\" fill=\"#7d8790\"/>");
            }
        }
    }

    /// From the foot of one column to the head of the next, through the gutter between them.
    fn around(&self, gutter: usize, index: usize, [x1, y1, x2, y2]: [f64; 4]) -> String {
        let column = &self.columns[gutter];
        let rows = column.end - column.start;
        let (left, _) = self.places.gutters[gutter];
        let x = left + lane(index);
        let first = self.layered.layers[column.start].first();
        let head = first.map_or(y1, |&v| self.places.y[v]);
        let foot = head + (rows - 1) as f64 * ROW + BOX + 30.0 + lane(index);
        let above = y2.min(MARGIN + HEAD + y2) - 22.0 - lane(index);
        format!("M{x1:.1} {y1:.1}V{foot:.1}H{x:.1}V{above:.1}H{x2:.1}V{y2:.1}")
    }

    fn vertex(&self, svg: &mut String, vertex: usize, marks: &Marks<'_>) {
        let v = &self.layered.vertices[vertex];
        let (x, y) = (self.places.x[vertex], self.places.y[vertex]);
        let left = x - v.width / 2.0;
        let shape = |class: &str, radius: f64| {
            format!(
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BOX}\" rx=\"{radius}\"/>",
                v.width
            )
        };
        let name = |text: &str, dy: f64| {
            format!(
                "<text class=\"name\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                y + dy,
                escape(text)
            )
        };
        match v.kind {
            Kind::Bend => {}
            Kind::Input(id) | Kind::Output(id) => {
                let tensor = self.graph.tensor(id);
                let _ = writeln!(
                    svg,
                    "<g><title>{}</title>{}{}</g>",
                    escape(&tensor.name),
                    shape("port", BOX / 2.0),
                    name(&words::terminal(tensor), 22.0)
                );
            }
            Kind::Op(op) => {
                let mark = marks.mark(op);
                let detail = words::detail(self.graph, op);
                let dy = if detail.is_empty() { 22.0 } else { 16.0 };
                let _ = write!(
                    svg,
                    "<g><title>{}</title>{}<text class=\"number\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
                     <text class=\"place\" x=\"{:.1}\" y=\"{:.1}\">{}</text>{}",
                    escape(&mark.why),
                    shape(mark.class, 4.0),
                    left + 5.0,
                    y + 11.0,
                    op.as_u32(),
                    left + v.width - 5.0,
                    y + 11.0,
                    mark.place,
                    name(self.graph.op_name(op), dy)
                );
                let _ = writeln!(
                    svg,
                    "<text class=\"detail\" x=\"{x:.1}\" y=\"{:.1}\">{}</text></g>",
                    y + 29.0,
                    escape(&detail)
                );
            }
        }
    }

    /// One label for each tensor, where it leaves its source.
    fn labels(&self, svg: &mut String) {
        let mut done = HashSet::new();
        for segment in &self.layered.segments {
            let source = self.layered.vertices[segment.from].kind != Kind::Bend;
            if source && done.insert(segment.tensor) {
                let _ = writeln!(
                    svg,
                    "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    self.port(segment.from, segment.tensor) + 5.0,
                    self.bottom(segment.from) + 13.0,
                    escape(&words::tensor_label(self.graph.tensor(segment.tensor)))
                );
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
