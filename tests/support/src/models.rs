//! Whole models with fixed inputs and reference outputs.

use std::path::{Path, PathBuf};

use ferrite_npy::{Array, Npz};
use serde::Deserialize;

/// One model of `models/manifest.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Model {
    /// File name without its ending.
    pub name: String,
    /// Model file.
    pub file: String,
    /// What the file contains, as the reference tools see it.
    pub summary: Summary,
    /// Inputs with reference outputs.
    pub cases: Vec<ModelCase>,
    #[serde(skip)]
    folder: PathBuf,
}

/// Contents of a model.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    /// Operators by TFLite name and how often each occurs.
    pub ops: std::collections::BTreeMap<String, usize>,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Multiply-accumulates by operator.
    pub macs_by_op: std::collections::BTreeMap<String, u64>,
}

/// One set of inputs.
#[derive(Clone, Debug, Deserialize)]
pub struct ModelCase {
    /// Name of the case.
    pub id: String,
    inputs: Vec<FileEntry>,
    outputs: Vec<FileEntry>,
}

#[derive(Clone, Debug, Deserialize)]
struct FileEntry {
    file: String,
}

#[derive(Deserialize)]
struct Manifest {
    models: Vec<Model>,
}

/// All models of a folder such as `shared/models`.
///
/// # Panics
/// If its manifest cannot be read.
pub fn read(folder: &Path) -> Vec<Model> {
    let manifest: Manifest = crate::manifest(&folder.join("manifest.json"));
    let mut models = manifest.models;
    for model in &mut models {
        model.folder = folder.to_owned();
    }
    models
}

/// The public models; none, with the reason printed, if they are not there.
pub fn public() -> Vec<Model> {
    crate::shared().map_or_else(Vec::new, |shared| read(&shared.join("models")))
}

impl Model {
    /// Path of the model.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.file)
    }

    /// Bytes of the model.
    pub fn bytes(&self) -> Vec<u8> {
        crate::bytes(self.path())
    }

    /// Inputs of a case in the order of the graph's.
    pub fn inputs(&self, case: &ModelCase) -> Vec<Array> {
        self.arrays(&case.inputs)
    }

    /// Reference outputs of a case in the order of the graph's.
    pub fn outputs(&self, case: &ModelCase) -> Vec<Array> {
        self.arrays(&case.outputs)
    }

    fn arrays(&self, entries: &[FileEntry]) -> Vec<Array> {
        let path = |e: &FileEntry| self.folder.join(&e.file);
        entries.iter().map(|e| crate::npy(path(e))).collect()
    }

    /// Intermediate tensors of the case that has them: its name, and tensor index and value of
    /// each tensor that is stored. A tensor may be stored in a narrower type than the graph's.
    ///
    /// # Panics
    /// If the archive is damaged.
    pub fn layers(&self) -> Option<(String, Vec<(usize, Array)>)> {
        let path = |case: &ModelCase| {
            let name = format!("{}.{}.npz", self.name, case.id);
            self.folder.join("layers").join(name)
        };
        let case = self.cases.iter().find(|case| path(case).is_file())?;
        let archive = crate::bytes(path(case));
        let npz = Npz::new(&archive).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let tensor = |name: &str| {
            let index = name.strip_prefix('t')?.parse().ok()?;
            let array = npz
                .get(name)
                .unwrap_or_else(|e| panic!("{}: {e}", self.name));
            Some((index, array))
        };
        Some((case.id.clone(), npz.names().filter_map(tensor).collect()))
    }
}
