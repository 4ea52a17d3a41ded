// SPDX-License-Identifier: GPL-2.0-only
//! IOMMU domains and what they are attached to.
//!
//! C header: [`include/linux/iommu.h`](srctree/include/linux/iommu.h)

use super::{
    bindings as c,
    gem,
    platform::Device, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::Arc, //
};

/// Identifies an IOMMU that reports a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct IommuId(usize);

/// An access that the IOMMU refused.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// The address.
    pub(crate) address: u64,
    /// Whether it was a write.
    pub(crate) write: bool,
}

/// Hears of faults in a domain.
pub(crate) trait FaultSink: Send + Sync + 'static {
    /// Called in hard interrupt context.
    fn fault(&self, iommu: IommuId, fault: Fault);
}

/// A paging domain.
///
/// # Invariants
///
/// Points to a domain that this value owns. The domain's fault handler has `_sink`.
pub(crate) struct Domain<S: FaultSink> {
    raw: NonNull<bindings::iommu_domain>,
    /// The C side has a pointer to it.
    _sink: KBox<S>,
}

// SAFETY: Domains may be used from any thread.
unsafe impl<S: FaultSink> Send for Domain<S> {}
// SAFETY: Mapping and unmapping are synchronised by the IOMMU driver, for ranges that the caller
// keeps apart.
unsafe impl<S: FaultSink> Sync for Domain<S> {}

impl<S: FaultSink> Domain<S> {
    /// A domain for devices like `device`.
    pub(crate) fn new(device: &Device, sink: S) -> Result<Self> {
        let sink = KBox::new(sink, GFP_KERNEL)?;
        // SAFETY: The device is valid and behind an IOMMU, or this fails.
        let raw = from_err_ptr(unsafe {
            bindings::iommu_paging_domain_alloc_flags(device.as_raw_device(), 0)
        })?;
        let token: *const S = &*sink;
        // SAFETY: The domain is ours. The sink has a stable address and outlives it.
        unsafe {
            bindings::iommu_set_fault_handler(raw, Some(Self::handle), token.cast_mut().cast())
        };
        // INVARIANT: Just made.
        NonNull::new(raw)
            .map(|raw| Domain { raw, _sink: sink })
            .ok_or(ENOMEM)
    }

    extern "C" fn handle(
        _: *mut bindings::iommu_domain,
        iommu: *mut bindings::device,
        address: usize,
        flags: i32,
        token: *mut kernel::ffi::c_void,
    ) -> i32 {
        // SAFETY: `token` is the sink, which outlives the domain.
        let sink = unsafe { &*token.cast_const().cast::<S>() };
        sink.fault(
            IommuId(iommu as usize),
            Fault {
                address: address as u64,
                write: flags & bindings::IOMMU_FAULT_WRITE as i32 != 0,
            },
        );
        0
    }

    /// The addresses that can be mapped: first and last.
    pub(crate) fn aperture(&self) -> (u64, u64) {
        // SAFETY: By the type invariant the domain is valid.
        let geometry = unsafe { &(*self.raw.as_ptr()).geometry };
        (geometry.aperture_start, geometry.aperture_end)
    }

    /// Maps `len` bytes of a buffer at `address`, both whole pages. May sleep.
    pub(crate) fn map<T: super::drm::Driver>(
        &self,
        address: u64,
        len: u64,
        buffer: &gem::Object<T>,
    ) -> Result {
        let table = buffer.table()?;
        // SAFETY: The domain and the table are valid.
        to_result(unsafe {
            c::ferrite_iommu_map_table(self.raw.as_ptr(), address, len, table.as_ptr())
        })
    }

    /// Unmaps what was mapped with the same address and length. Returns the bytes unmapped.
    pub(crate) fn unmap(&self, address: u64, len: u64) -> u64 {
        // SAFETY: By the type invariant the domain is valid.
        unsafe { bindings::iommu_unmap(self.raw.as_ptr(), address as usize, len as usize) as u64 }
    }
}

impl<S: FaultSink> Drop for Domain<S> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the domain is ours; a port that is attached to it would
        // keep it alive.
        unsafe { bindings::iommu_domain_free(self.raw.as_ptr()) }
    }
}

/// A device's side of its IOMMU, with what it is attached to.
///
/// # Invariants
///
/// `group` is the device's group and owns a reference. If `attached` is set, the group is attached
/// to that domain, else to its default one.
pub(crate) struct Port<A> {
    group: NonNull<bindings::iommu_group>,
    iommu: IommuId,
    attached: Option<Arc<A>>,
}

// SAFETY: Groups may be used from any thread.
unsafe impl<A: Send + Sync> Send for Port<A> {}
// SAFETY: As above.
unsafe impl<A: Send + Sync> Sync for Port<A> {}

/// What a [`Port`] attaches to.
pub(crate) trait HasDomain {
    /// The sink of the domain.
    type Sink: FaultSink;
    /// The domain, always the same one.
    fn domain(&self) -> &Domain<Self::Sink>;
}

impl<A: HasDomain> Port<A> {
    /// The port of a device, attached to nothing of ours.
    pub(crate) fn new(device: &Device) -> Result<Self> {
        // SAFETY: The device is valid.
        let group = unsafe { bindings::iommu_group_get(device.as_raw_device()) };
        let group = NonNull::new(group).ok_or(ENODEV)?;
        // SAFETY: A device in a group has its IOMMU's data; the IOMMU's device outlives the group.
        let iommu = unsafe {
            let instance = (*(*device.as_raw_device()).iommu).iommu_dev;
            // Drivers report faults for the hardware, the parent of what sysfs shows.
            IommuId((*(*instance).dev).parent as usize)
        };
        // INVARIANT: Just acquired, and not attached by us.
        Ok(Port {
            group,
            iommu,
            attached: None,
        })
    }

    /// The IOMMU, as it reports faults.
    pub(crate) fn iommu(&self) -> IommuId {
        self.iommu
    }

    /// Attaches to another domain, leaving the current one. May sleep.
    pub(crate) fn attach(&mut self, to: Arc<A>) -> Result {
        self.detach();
        // SAFETY: Domain and group are valid.
        to_result(unsafe {
            bindings::iommu_attach_group(to.domain().raw.as_ptr(), self.group.as_ptr())
        })?;
        // INVARIANT: Just attached; the `Arc` keeps the domain alive.
        self.attached = Some(to);
        Ok(())
    }

    /// Leaves the current domain, if any. May sleep.
    pub(crate) fn detach(&mut self) {
        if let Some(from) = self.attached.take() {
            // SAFETY: By the type invariant the group is attached to it.
            unsafe { bindings::iommu_detach_group(from.domain().raw.as_ptr(), self.group.as_ptr()) }
        }
    }
}

impl<A> Drop for Port<A> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::iommu_group_put(self.group.as_ptr()) }
    }
}
