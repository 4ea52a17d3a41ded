//! The committed files: networks, held-out images, and what TFLite made of them.

use ferrite_npy::Array;
use std::collections::BTreeMap;

/// Side of an image in pixels.
pub const SIDE: usize = 16;

/// A network with its name in `accuracy.json`.
pub struct Network {
    /// File name.
    pub name: &'static str,
    /// What sets it apart.
    pub about: &'static str,
    /// The TFLite file.
    pub file: &'static [u8],
}

/// The networks; the first is the one that is shown in detail.
pub const NETWORKS: [Network; 2] = [
    Network {
        name: "digits.tflite",
        about: "one scale for a weight tensor",
        file: include_bytes!("../digits.tflite"),
    },
    Network {
        name: "digits-per-axis.tflite",
        about: "one scale for an output channel",
        file: include_bytes!("../digits-per-axis.tflite"),
    },
];

/// Held-out images with their labels.
pub struct Images {
    pixels: Vec<u8>,
    /// The digit that each shows.
    pub labels: Vec<u8>,
    /// The digits' names.
    pub names: Vec<&'static str>,
}

impl Images {
    /// The committed images.
    pub fn load() -> Result<Images, DatasetError> {
        let (shape, pixels) = bytes(include_bytes!("../test-images.npy"), "test-images.npy")?;
        let (_, labels) = bytes(include_bytes!("../test-labels.npy"), "test-labels.npy")?;
        if shape != [labels.len(), SIDE, SIDE, 1] {
            return Err(DatasetError::Shape(shape));
        }
        Ok(Images {
            pixels,
            labels,
            names: include_str!("../labels.txt").lines().collect(),
        })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Pixels of one image, line by line; 0 is background, 255 ink.
    pub fn pixels(&self, index: usize) -> &[u8] {
        &self.pixels[index * SIDE * SIDE..][..SIDE * SIDE]
    }
}

/// Shape and elements of an array of bytes.
fn bytes(file: &[u8], name: &'static str) -> Result<(Vec<usize>, Vec<u8>), DatasetError> {
    let fault = |what: String| DatasetError::File(name, what);
    let array = Array::from_npy(file).map_err(|e| fault(e.to_string()))?;
    let values = array
        .values()
        .ok_or_else(|| fault(format!("{:?} instead of bytes", array.element)))?;
    Ok((array.shape, values))
}

/// TFLite's own figures, recorded by `train.py`.
#[derive(serde::Deserialize)]
pub struct Recorded {
    /// Number of held-out images.
    pub images: usize,
    /// By file name.
    pub models: BTreeMap<String, RecordedModel>,
    /// Versions of the packages, by name.
    pub versions: BTreeMap<String, String>,
}

/// TFLite's figures of one network.
#[derive(serde::Deserialize)]
pub struct RecordedModel {
    /// Images that it classified correctly.
    pub correct: usize,
}

impl Recorded {
    /// The committed figures.
    pub fn load() -> Result<Recorded, DatasetError> {
        serde_json::from_str(include_str!("../accuracy.json"))
            .map_err(|e| DatasetError::File("accuracy.json", e.to_string()))
    }
}

/// A committed file that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// It cannot be read.
    #[error("{0}: {1}")]
    File(&'static str, String),
    /// The images are not those of the labels.
    #[error("test-images.npy has shape {0:?}")]
    Shape(Vec<usize>),
}
