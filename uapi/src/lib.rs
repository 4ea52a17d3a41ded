//! The ABI that the Ferrite kernel driver and userspace share.
#![no_std]

pub mod rocket;
