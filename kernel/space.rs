// SPDX-License-Identifier: GPL-2.0-only
//! A client's address space, and what is mapped there.

use crate::abstractions::{
    gem::Object,
    iommu::{
        Domain,
        Fault,
        FaultSink,
        HasDomain,
        IommuId, //
    },
    platform::Device, //
};
use crate::npu::{Ferrite, Npu};
use crate::policy::iova::{self, Allocator, Range};
use crate::policy::quota::{Kind, OwnerId};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};

/// Passes faults to the NPU.
pub(crate) struct Sink {
    npu: ARef<Npu>,
    client: u64,
}

impl FaultSink for Sink {
    fn fault(&self, iommu: IommuId, fault: Fault) {
        crate::recovery::fault(&self.npu, iommu, self.client, fault);
    }
}

/// The device addresses of one client. Lives as long as anything is mapped, or a core is attached.
#[pin_data]
pub(crate) struct AddressSpace {
    domain: Domain<Sink>,
    npu: ARef<Npu>,
    owner: OwnerId,
    window: Range,
    #[pin]
    ranges: Mutex<Allocator>,
}

impl HasDomain for AddressSpace {
    type Sink = Sink;

    fn domain(&self) -> &Domain<Sink> {
        &self.domain
    }
}

impl AddressSpace {
    /// A space for cores like `device`.
    pub(crate) fn new(
        npu: &Npu,
        device: &Device,
        client: u64,
        owner: OwnerId,
    ) -> Result<Arc<Self>> {
        let domain = Domain::new(
            device,
            Sink {
                npu: npu.into(),
                client,
            },
        )?;
        let (first, last) = domain.aperture();
        // Address 0 stays unmapped, so that commands with a forgotten address fault. The hardware's
        // addresses are 32 bits wide.
        let start = first.max(iova::PAGE);
        let end = last.min(u64::from(u32::MAX)) + 1;
        let window = Range {
            start,
            len: end - start,
        };
        let ranges = Allocator::new(window)?;
        Arc::pin_init(
            pin_init!(AddressSpace {
                domain,
                npu: npu.into(),
                owner,
                window,
                ranges <- new_mutex!(ranges, "AddressSpace::ranges"),
            }),
            GFP_KERNEL,
        )
    }

    /// Charges what it takes to map `len` bytes, tables above all.
    fn charge(&self, len: u64) -> Result {
        let bytes = mapping_bytes(len);
        if !self.npu.state().lock().shares.take(self.owner, Kind::Bytes, bytes) {
            return Err(ENOMEM);
        }
        Ok(())
    }

    fn discharge(&self, len: u64) {
        let bytes = mapping_bytes(len);
        self.npu.state().lock().shares.give(self.owner, Kind::Bytes, bytes);
    }

    /// The addresses that buffers can have.
    pub(crate) fn window(&self) -> Range {
        self.window
    }
}

/// Bytes of kernel memory that it takes to map `len` bytes: a table of a page for each 4 MiB, and
/// some for the rest.
fn mapping_bytes(len: u64) -> u64 {
    (len.div_ceil(4 << 20) + 1) * iova::PAGE
}

/// A buffer's place in an address space.
pub(crate) struct Mapping {
    space: Arc<AddressSpace>,
    range: Range,
    object: usize,
}

impl Mapping {
    /// Maps all of a buffer.
    pub(crate) fn new(space: Arc<AddressSpace>, buffer: &Object<Ferrite>) -> Result<Arc<Self>> {
        let len = buffer.size();
        space.charge(len)?;
        let made = (|| {
            let range = space.ranges.lock().allocate(len)?;
            space
                .domain
                .map(range.start, range.len, buffer)
                .inspect_err(|_| space.ranges.lock().free(range))?;
            Ok::<_, Error>(range)
        })();
        let range = made.inspect_err(|_| space.discharge(len))?;
        // From here on, dropping the mapping undoes it.
        let mapping = Mapping {
            space,
            range,
            object: buffer.id(),
        };
        Ok(Arc::new(mapping, GFP_KERNEL_ACCOUNT)?)
    }

    /// The addresses.
    pub(crate) fn range(&self) -> Range {
        self.range
    }

    /// Which buffer it is.
    pub(crate) fn object(&self) -> usize {
        self.object
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let unmapped = self.space.domain.unmap(self.range.start, self.range.len);
        if unmapped != self.range.len {
            pr_err!(
                "unmapped {unmapped:#x} of {:#x} bytes at {:#x}\n",
                self.range.len,
                self.range.start
            );
        }
        self.space.ranges.lock().free(self.range);
        self.space.discharge(self.range.len);
    }
}
