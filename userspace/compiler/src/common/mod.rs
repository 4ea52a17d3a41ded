//! What targets share: graph look-ups, foldings, and the planning of segments and memory.

pub mod choice;
pub mod dump;
pub mod fold_activation;
pub mod fold_pad;
pub mod index;
pub mod lowering;
pub mod plan_memory;
pub mod plan_segments;
pub mod stored;
pub mod sums;

pub use choice::{Choice, Lowered, Maps, Work};
pub use index::Index;
pub use lowering::{Lower, Lowering, Scheduled};

/// Index of a feature map of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapId(pub u32);
