//! From text to a graph.

use super::attributes::operator;
use super::constants::{ContentHash, element, random_elements, unhex};
use super::cursor::{Cursor, Expected, ParseError};
use super::{COMMENT, END, RANDOM_LIMIT};
use crate::bytes::Bytes;
use crate::graph::{Graph, Node, TensorId};
use crate::op::OpKind;
use crate::tensor::{DType, Quant, Tensor};
use cranelift_entity::EntityRef;

/// Reads a graph whose constants are all in the text.
///
/// The text is read as it stands; [`crate::verify()`] tells whether the graph makes sense.
///
/// # Errors
/// Where the text is not a graph and what should be there.
pub fn parse(text: &str) -> Result<Graph, ParseError> {
    parse_with(text, |_| None)
}

/// Reads a graph; `data` gives the bytes of constants that the text names by their hash.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(
    text: &str,
    data: impl Fn(ContentHash) -> Option<Bytes>,
) -> Result<Graph, ParseError> {
    let mut lines = (1..)
        .zip(text.lines())
        .take_while(|(_, l)| l.trim_end() != END)
        .filter(|(_, l)| !(l.trim().is_empty() || l.trim_start().starts_with(COMMENT)));
    let mut header = |keyword| {
        let (number, line) = lines.next().unwrap_or((text.lines().count() + 1, ""));
        let mut cursor = Cursor::new(line, number);
        cursor.expect(keyword)?;
        Ok(cursor)
    };
    let mut graph = Graph::default();
    let mut line = header("graph")?;
    graph.name = line.string()?;
    line.end()?;
    graph.inputs = ids(&mut header("inputs")?)?;
    graph.outputs = ids(&mut header("outputs")?)?;
    for (number, line) in lines {
        let mut cursor = Cursor::new(line, number);
        let start = cursor;
        if cursor.eat("=") {
            graph.push(node(start)?);
            continue;
        }
        let first = cursor.tensor()?;
        // A name makes it a declaration.
        let mut ahead = cursor;
        if !ahead.eat("\"") {
            graph.push(node(start)?);
            continue;
        }
        if first.index() != graph.tensors.len() {
            return Err(start.error(Expected::NextTensor(graph.tensors.len())));
        }
        graph.tensors.push(tensor(&mut cursor, &data)?);
    }
    Ok(graph)
}

/// Tensors parted by commas to the end of the line.
fn ids(cursor: &mut Cursor<'_>) -> Result<Vec<TensorId>, ParseError> {
    let mut ids = Vec::new();
    while !cursor.is_end() {
        if !ids.is_empty() {
            cursor.expect(",")?;
        }
        ids.push(cursor.tensor()?);
    }
    Ok(ids)
}

fn tensor(
    cursor: &mut Cursor<'_>,
    data: &impl Fn(ContentHash) -> Option<Bytes>,
) -> Result<Tensor, ParseError> {
    let name = cursor.string()?;
    cursor.expect(":")?;
    let before = *cursor;
    let dtype = DType::from_name(cursor.word("an element type")?)
        .ok_or_else(|| before.error(Expected::Something("an element type")))?;
    let before = *cursor;
    let shape = cursor.list(["[", "]"], |c| c.value("a size"))?;
    let bytes = shape
        .iter()
        .try_fold(dtype.size(), |bytes, &d: &usize| bytes.checked_mul(d))
        .ok_or_else(|| before.error(Expected::Something("a shape that fits memory")))?;
    let quant = quant(cursor)?;
    let variable = cursor.eat("variable");
    let data = match cursor.eat("=") {
        true => Some(constant(cursor, dtype, bytes / dtype.size(), data)?),
        false => None,
    };
    if let Some(found) = data.as_ref().map(|d| d.len()).filter(|&l| l != bytes) {
        let expected = bytes;
        return Err(cursor.error(Expected::DataLength { expected, found }));
    }
    cursor.end()?;
    Ok(Tensor {
        name,
        shape: shape.into(),
        dtype,
        quant,
        data,
        variable,
    })
}

fn quant(cursor: &mut Cursor<'_>) -> Result<Option<Quant>, ParseError> {
    if cursor.eat("scale ") {
        let scale = cursor.value("a scale")?;
        cursor.expect("zero")?;
        let zero_point = cursor.value("a zero point")?;
        return Ok(Some(Quant::per_tensor(scale, zero_point)));
    }
    if cursor.eat("axis ") {
        let axis = cursor.value("an axis")?;
        cursor.expect("scales")?;
        let scales = cursor.list(["[", "]"], |c| c.value("a scale"))?;
        cursor.expect("zeros")?;
        let zero_points = cursor.list(["[", "]"], |c| c.value("a zero point"))?;
        return Ok(Some(Quant {
            scales: scales.into(),
            zero_points: zero_points.into(),
            axis,
        }));
    }
    Ok(None)
}

fn constant(
    cursor: &mut Cursor<'_>,
    dtype: DType,
    elements: usize,
    data: &impl Fn(ContentHash) -> Option<Bytes>,
) -> Result<Bytes, ParseError> {
    let start = *cursor;
    let wants = |what| start.error(Expected::Something(what));
    if cursor.eat("random ") {
        return random(cursor, dtype, elements);
    }
    if cursor.eat("x\"") {
        let bytes = unhex(cursor.until_quote()?);
        return bytes
            .map(Bytes::from)
            .ok_or_else(|| wants("pairs of hexadecimal digits"));
    }
    if cursor.eat("#") {
        let digits = cursor.word("a hash")?;
        let hash = u64::from_str_radix(digits, 16).map_err(|_| wants("a hash"))?;
        return data(ContentHash(hash)).ok_or_else(|| start.error(Expected::Data(hash)));
    }
    let elements = cursor.list(["[", "]"], |c| {
        let before = *c;
        let word = c.word("an element")?;
        let what = "an element of the tensor's type";
        element(dtype, word).ok_or_else(|| before.error(Expected::Something(what)))
    })?;
    Ok(elements.concat().into())
}

/// What follows `random`.
fn random(cursor: &mut Cursor<'_>, dtype: DType, elements: usize) -> Result<Bytes, ParseError> {
    let start = *cursor;
    let wants = |what| start.error(Expected::Something(what));
    let (low, high) = dtype
        .range()
        .ok_or_else(|| wants("a list: only integers can be random"))?;
    if elements > RANDOM_LIMIT / dtype.size() {
        return Err(wants("at most 64 MiB of random data"));
    }
    cursor.expect("seed=")?;
    let seed = cursor.value("a seed")?;
    let (mut from, mut to) = (low, high);
    if cursor.eat("from=") {
        from = cursor.value("the least value")?;
        cursor.expect("to=")?;
        to = cursor.value("the greatest value")?;
    }
    if !(low <= from && from <= to && to <= high) {
        return Err(wants("a range within that of the tensor's type"));
    }
    Ok(random_elements(dtype, elements, seed, from..=to).into())
}

fn node(mut cursor: Cursor<'_>) -> Result<Node, ParseError> {
    let mut outputs = Vec::new();
    while !cursor.eat("=") {
        if !outputs.is_empty() {
            cursor.expect(",")?;
        }
        outputs.push(cursor.tensor()?);
    }
    let operand = |c: &mut Cursor<'_>| match c.eat("none") {
        true => Ok(None),
        false => c.tensor().map(Some),
    };
    let unknown = match cursor.eat("unknown ") {
        true => Some(cursor.string()?),
        false => None,
    };
    let named = cursor;
    if unknown.is_none() {
        cursor.word("an operator")?;
    }
    let inputs = cursor.list(["(", ")"], operand)?;
    let kind = match unknown {
        Some(name) => {
            cursor.end()?;
            OpKind::Unknown { name }
        }
        None => operator(named, &mut cursor)?,
    };
    Ok(Node {
        kind,
        inputs: inputs.into(),
        outputs: outputs.into(),
    })
}
