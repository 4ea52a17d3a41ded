//! Passes: each rewrites the NPU form, or plans one thing about the layers made of it.

pub mod ancestors;
pub mod drop_idle;
pub mod drop_slow;
pub mod drop_worthless;
pub mod find_views;
pub mod fold_clamp;
pub mod fold_pad;
pub mod fold_tables;
pub mod im2col;
pub mod last_access;
pub mod legalise;
pub mod makespan;
pub mod plan_memory;
pub mod plan_segments;
pub mod select;
