//! Single-operator and few-operator cases with inputs and reference outputs.

use std::path::{Path, PathBuf};

use ferrite_npy::{Array, Npz};
use serde::Deserialize;

/// One case of `ops/manifest.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Number and kind, for example `003_conv2d`.
    pub id: String,
    /// Model file.
    pub file: String,
    /// Archive of inputs and reference outputs.
    pub data: String,
    /// Kind of the generator.
    pub kind: String,
    /// TFLite operator names, in order.
    pub ops: Vec<String>,
    /// Multiply-accumulates of the whole model.
    pub macs: u64,
    /// How the case was made; keys depend on the kind.
    pub params: serde_json::Value,
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Deserialize)]
struct Manifest {
    cases: Vec<Case>,
}

/// All cases of a folder such as `shared/ops`.
///
/// # Panics
/// If its manifest cannot be read.
pub fn read(folder: &Path) -> Vec<Case> {
    let manifest: Manifest = crate::manifest(&folder.join("manifest.json"));
    let mut cases = manifest.cases;
    for case in &mut cases {
        case.folder = folder.to_owned();
    }
    cases
}

/// The public cases; none, with the reason printed, if they are not there.
pub fn public() -> Vec<Case> {
    crate::shared().map_or_else(Vec::new, |shared| read(&shared.join("ops")))
}

impl Case {
    /// Path of the model.
    pub fn model_path(&self) -> PathBuf {
        self.folder.join(&self.file)
    }

    /// Path of the archive with inputs and outputs.
    pub fn data_path(&self) -> PathBuf {
        self.folder.join(&self.data)
    }

    /// Bytes of the model.
    pub fn model(&self) -> Vec<u8> {
        crate::bytes(self.model_path())
    }

    /// Inputs and reference outputs, in the order of the graph's.
    ///
    /// # Panics
    /// If the archive is damaged.
    pub fn arrays(&self) -> (Vec<Array>, Vec<Array>) {
        let archive = crate::bytes(self.data_path());
        let get = |prefix| Npz::new(&archive)?.numbered(prefix);
        match (get("in"), get("out")) {
            (Ok(inputs), Ok(outputs)) => (inputs, outputs),
            (Err(e), _) | (_, Err(e)) => panic!("{}: {e}", self.data),
        }
    }
}
