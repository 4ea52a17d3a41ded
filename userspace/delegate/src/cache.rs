//! Compiled graphs on disk.
//!
//! A file is named by a hash (XXH3, 128 bits) of everything that its content depends on: the graph
//! with its constants, the compile options, and the compiler's own sources. The hash guards against
//! accidents: who may write to the folder decides what runs, so folders and files that other users
//! can write to are not used. Its name is repeated inside, before a `.ferrite` file, which has a format
//! version and a checksum. Writers put a new file in place with one rename, so readers see all of it or
//! none; a file that is not sound is compiled again and replaced.

use ferrite_compiler::{Executable, Options, file};
use ferrite_ir::Graph;
use ferrite_process::files::Folder;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// Name of a compiled graph.
pub type Key = [u8; 16];

/// The key of `graph` compiled with `options`.
pub fn key(graph: &Graph, options: &Options) -> Key {
    let mut hash = Xxh3::new();
    let mut text = |text: String| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    text(ferrite_runtime::COMPILER_FINGERPRINT.to_owned());
    text(format!("{options:?}"));
    text(format!("{:?} {:?}", graph.inputs, graph.outputs));
    for node in graph.nodes() {
        text(format!("{node:?}"));
    }
    for tensor in graph.tensors.values() {
        let bits = |scale: &f32| scale.to_bits();
        let quant = tensor.quant.as_ref();
        let quant = quant.map(|q| {
            (
                q.scales.iter().map(bits).collect::<Vec<_>>(),
                &q.zero_points,
                q.axis,
            )
        });
        let data = tensor.data.as_ref().map(|data| data.len());
        text(format!(
            "{:?} {:?} {quant:?} {data:?} {}",
            tensor.dtype, tensor.shape, tensor.variable
        ));
    }
    for data in graph.tensors.values().filter_map(|t| t.data.as_deref()) {
        hash.update(data);
    }
    hash.digest128().to_le_bytes()
}

/// A folder of compiled graphs.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// A cache in `folder`, which is made when it is needed.
    pub fn new(folder: &Path) -> Cache {
        Cache {
            folder: folder.to_owned(),
        }
    }

    fn name(key: &Key) -> String {
        let name: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        name + ".ferrite-cache"
    }

    /// The compiled graph, if the cache has it whole.
    pub fn load(&self, key: &Key) -> Option<Executable> {
        let name = Cache::name(key);
        let path = self.folder.join(&name);
        let bytes = match Folder::open(&self.folder).and_then(|folder| folder.read(&name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                log::warn!("cache: {}: {error}", path.display());
                return None;
            }
        };
        match bytes.split_first_chunk() {
            Some((found, content)) if found == key => match file::from_bytes(content) {
                Ok(executable) => return Some(executable),
                Err(error) => log::warn!("cache: {}: {error}; compiling again", path.display()),
            },
            _ => log::warn!("cache: {} is of another graph", path.display()),
        }
        None
    }

    /// Keeps a compiled graph. A cache that cannot be written is no error, but is worth a warning.
    pub fn store(&self, key: &Key, executable: &Executable) {
        if let Err(error) = self.write(key, executable) {
            log::warn!("cache: {}: {error}", self.folder.display());
        }
    }

    fn write(&self, key: &Key, executable: &Executable) -> io::Result<()> {
        let content = file::to_bytes(executable).map_err(io::Error::other)?;
        Folder::make(&self.folder)?.write(&Cache::name(key), &[&key[..], &content])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_compiler::{Evidence, Target};
    use ferrite_ir::{DType, Tensor};
    use ferrite_runtime::session::cpu_only;
    use std::os::unix::fs::PermissionsExt;

    fn graph(data: &[u8]) -> Graph {
        let tensor = Tensor {
            name: "weights".to_owned(),
            shape: [data.len()].into_iter().collect(),
            dtype: DType::U8,
            quant: None,
            data: Some(data.into()),
            variable: false,
        };
        let mut graph = Graph::default();
        graph.outputs = vec![graph.tensors.push(tensor)];
        graph
    }

    fn folder(name: &str) -> PathBuf {
        let name = format!("ferrite-cache-{name}-{}", std::process::id());
        std::env::temp_dir().join(name)
    }

    fn path(cache: &Cache, key: &Key) -> PathBuf {
        cache.folder.join(Cache::name(key))
    }

    #[test]
    fn keys_tell_graphs_and_options_apart() {
        let options = Options::new(Target::Rk3588);
        let base = key(&graph(&[1, 2]), &options);
        assert_eq!(base, key(&graph(&[1, 2]), &options));
        assert_ne!(base, key(&graph(&[1, 3]), &options));
        assert_ne!(base, key(&graph(&[1]), &options));
        let inferred = Options {
            evidence: Evidence::Inferred,
            ..options
        };
        assert_ne!(base, key(&graph(&[1, 2]), &inferred));
        let other_name = {
            let mut graph = graph(&[1, 2]);
            let weights = graph.outputs[0];
            graph.tensors[weights].name.clear();
            graph
        };
        assert_eq!(base, key(&other_name, &options));
    }

    #[test]
    fn damaged_and_foreign_files_are_not_used() {
        let cache = Cache::new(&folder("damage"));
        let executable = cpu_only(&graph(&[]));
        let (a, b) = ([1; 16], [2; 16]);
        assert_eq!(cache.load(&a), None);
        cache.store(&a, &executable);
        assert_eq!(cache.load(&a).as_ref(), Some(&executable));
        let good = std::fs::read(path(&cache, &a)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            std::fs::write(path(&cache, &a), &bad).unwrap();
            assert_eq!(cache.load(&a), None, "byte {at}");
            std::fs::write(path(&cache, &a), &good[..at]).unwrap();
            assert_eq!(cache.load(&a), None, "cut at {at}");
        }
        std::fs::write(path(&cache, &b), &good).unwrap();
        assert_eq!(cache.load(&b), None);
        cache.store(&a, &executable);
        assert_eq!(cache.load(&a).as_ref(), Some(&executable));
        std::fs::remove_dir_all(&cache.folder).unwrap();
    }

    #[test]
    fn many_writers_leave_one_good_file() {
        let cache = Cache::new(&folder("writers"));
        let executable = cpu_only(&graph(&[]));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        cache.store(&[7; 16], &executable);
                        assert_eq!(cache.load(&[7; 16]).as_ref(), Some(&executable));
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(&cache.folder).unwrap().count(), 1);
        std::fs::remove_dir_all(&cache.folder).unwrap();
    }

    #[test]
    fn folders_that_others_can_write_to_are_not_used() {
        let cache = Cache::new(&folder("shared"));
        let executable = cpu_only(&graph(&[]));
        let mode = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&cache.folder, permissions).unwrap();
        };
        cache.store(&[1; 16], &executable);
        mode(0o777);
        assert_eq!(cache.load(&[1; 16]), None);
        cache.store(&[2; 16], &executable);
        mode(0o755);
        assert_eq!(cache.load(&[2; 16]), None);
        assert_eq!(cache.load(&[1; 16]).as_ref(), Some(&executable));
        std::fs::remove_dir_all(&cache.folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_error() {
        let file = folder("file");
        std::fs::write(&file, "").unwrap();
        let cache = Cache::new(&file.join("below"));
        cache.store(&[0; 16], &cpu_only(&graph(&[])));
        assert_eq!(cache.load(&[0; 16]), None);
        std::fs::remove_file(&file).unwrap();
    }
}
