//! Reads a TFLite model and prints it as text, which `ferrite` reads as well:
//!
//!     cargo run -p ferrite-ir --example print_model -- MODEL.tflite

use ferrite_ir::text::{self, Constants};
use ferrite_ir::tflite;
use std::error::Error;

fn text_of(model: &[u8]) -> Result<String, Box<dyn Error>> {
    let graph = tflite::read(model)?;
    Ok(text::print(&graph, Constants::Hashed))
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give a .tflite model")?;
    print!("{}", text_of(&std::fs::read(path)?)?);
    Ok(())
}

#[test]
fn every_operator_is_a_line() {
    let model = include_bytes!("../../../examples/digits/digits.tflite");
    let graph = tflite::read(model).expect("the demonstration's model");
    let text = text_of(model).expect("the demonstration's model");
    let operators = text
        .lines()
        .filter(|line| line.starts_with('%') && line.contains('('));
    assert_eq!(operators.count(), graph.op_count(), "{text}");
    assert!(text.contains("= CONV_2D("), "{text}");
}
