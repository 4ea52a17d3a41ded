//! Ports that do not fit.

/// A port that does not fit its region or tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The layout reaches beyond the region.
    #[error("layout needs {needed} bytes of the device region, which has {available}")]
    Region {
        /// Bytes that the layout spans.
        needed: usize,
        /// Bytes of the region.
        available: usize,
    },
    /// The host tensor has another size.
    #[error("feature map of {needed} bytes, but the host tensor has {available}")]
    Host {
        /// Bytes of the feature map.
        needed: usize,
        /// Bytes of the tensor.
        available: usize,
    },
    /// An element type that the layout cannot hold.
    #[error("{size}-byte elements have no {layout} form")]
    Element {
        /// Bytes of an element.
        size: usize,
        /// Name of the layout.
        layout: &'static str,
    },
    /// A cube of other atoms than those of known chips.
    #[error("no conversion to a cube with atoms of {0} bytes")]
    Atom(u32),
    /// Windows that do not make the map.
    #[error("windows of a host tensor that do not make a map of {rows} x {columns} x {channels}")]
    Patches {
        /// Rows of the map.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// Its channels.
        channels: usize,
    },
}
