// SPDX-License-Identifier: GPL-2.0-only
//! Platform drivers with power management, and software platform devices.
//!
//! The `kernel` crate's platform drivers have no power management operations yet.
//!
//! C header: [`include/linux/platform_device.h`](srctree/include/linux/platform_device.h)

use super::bindings as c;
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    prelude::*,
    sync::Arc,
    types::Opaque,
    ThisModule, //
};

/// A platform device that a driver is bound to.
///
/// # Invariants
///
/// Points to a platform device and owns a reference to it.
pub(crate) struct Device(NonNull<bindings::platform_device>);

// SAFETY: Devices may be used from any thread.
unsafe impl Send for Device {}
// SAFETY: Devices may be used from any thread at the same time.
unsafe impl Sync for Device {}

impl Device {
    /// # Safety
    ///
    /// `raw` must be a valid platform device.
    unsafe fn get(raw: *mut bindings::platform_device) -> Self {
        // SAFETY: The caller guarantees that the device is valid.
        unsafe { bindings::get_device(&raw mut (*raw).dev) };
        // INVARIANT: We took a reference.
        // SAFETY: A valid device is not null.
        Device(unsafe { NonNull::new_unchecked(raw) })
    }

    pub(super) fn as_raw(&self) -> *mut bindings::platform_device {
        self.0.as_ptr()
    }

    /// The generic device.
    pub(super) fn as_raw_device(&self) -> *mut bindings::device {
        // SAFETY: By the type invariant the device is valid.
        unsafe { &raw mut (*self.0.as_ptr()).dev }
    }

    /// The name, for interrupts and messages.
    pub(super) fn name(&self) -> *const kernel::ffi::c_char {
        // SAFETY: By the type invariant the device is valid.
        unsafe { bindings::dev_name(self.as_raw_device()) }
    }

    /// Lets DMA use addresses of `bits` bits and segments of any length.
    pub(crate) fn set_dma(&self, bits: u32) -> Result {
        let mask = if bits >= 64 {
            u64::MAX
        } else {
            (1 << bits) - 1
        };
        // SAFETY: By the type invariant the device is valid.
        unsafe {
            bindings::dma_set_max_seg_size(self.as_raw_device(), u32::MAX);
            to_result(bindings::dma_set_mask_and_coherent(
                self.as_raw_device(),
                mask,
            ))
        }
    }

    /// Counts the device tree's nodes of the same kind that come before this one by address,
    /// enabled or not.
    pub(crate) fn position_among(&self, compatible: &CStr) -> Result<usize> {
        // SAFETY: By the type invariant the device is valid.
        let own = unsafe { (*self.as_raw_device()).of_node };
        let address = |node: *mut bindings::device_node| {
            let mut resource = MaybeUninit::<bindings::resource>::zeroed();
            // SAFETY: The node is valid, the result is valid for writes, and zeroes are a resource.
            unsafe {
                to_result(c::of_address_to_resource(node, 0, resource.as_mut_ptr()))
                    .map(|()| (*resource.as_ptr()).start)
            }
        };
        let mine = address(own)?;
        let mut position = 0;
        let mut node = core::ptr::null_mut();
        loop {
            // SAFETY: Takes over the reference to the previous node and returns one to the next.
            node = unsafe {
                bindings::of_find_compatible_node(
                    node,
                    core::ptr::null(),
                    compatible.as_char_ptr(),
                )
            };
            if node.is_null() {
                return Ok(position);
            }
            if address(node).is_ok_and(|other| other < mine) {
                position += 1;
            }
        }
    }

    /// The generic device as the `kernel` crate knows it, for messages.
    pub(crate) fn as_ref(&self) -> &kernel::device::Device {
        // SAFETY: By the type invariant the device is valid as long as `self`.
        unsafe { kernel::device::Device::from_raw(self.as_raw_device()) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::put_device(self.as_raw_device()) }
    }
}

/// A driver of platform devices.
pub(crate) trait Driver: Send + Sync + Sized + 'static {
    /// The driver's name.
    const NAME: &'static CStr;
    /// The device tree's names of what it drives.
    fn of_table() -> *const bindings::of_device_id;

    /// Brings a device up. Until it returns, no other function is called for it.
    fn probe(device: Device) -> Result<Arc<Self>>;
    /// Announces a device that [`probe`](Self::probe) brought up and that power management knows.
    fn start(this: &Arc<Self>) -> Result;
    /// Takes a device down. Afterwards nothing may touch its registers.
    fn remove(this: &Arc<Self>);
    /// The device is about to lose power.
    fn power_off(&self) -> Result;
    /// The device has got power.
    fn power_on(&self) -> Result;
    /// The system is about to sleep: ends all work on the device.
    fn suspend(&self) -> Result;
    /// The system has woken up.
    fn resume(this: &Arc<Self>);
    /// The system has woken up, but the device has not got power: nothing more is asked of it before
    /// [`remove`](Self::remove).
    fn lost(this: &Arc<Self>);
}

/// A registered driver.
pub(crate) struct Registration<T: Driver> {
    driver: Pin<KBox<Opaque<bindings::platform_driver>>>,
    _driver: PhantomData<T>,
}

// SAFETY: A driver may be unregistered from any thread.
unsafe impl<T: Driver> Send for Registration<T> {}
// SAFETY: There are no methods.
unsafe impl<T: Driver> Sync for Registration<T> {}

struct Callbacks<T>(PhantomData<T>);

impl<T: Driver> Callbacks<T> {
    const PM: bindings::dev_pm_ops = bindings::dev_pm_ops {
        suspend: Some(Self::suspend),
        resume: Some(Self::resume),
        freeze: Some(Self::suspend),
        thaw: Some(Self::resume),
        poweroff: Some(Self::suspend),
        restore: Some(Self::resume),
        runtime_suspend: Some(Self::runtime_suspend),
        runtime_resume: Some(Self::runtime_resume),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `device` must be bound to this driver, past `probe` and before the end of `remove`.
    unsafe fn data<'a>(device: *mut bindings::device) -> &'a Arc<T> {
        // SAFETY: The driver data is a boxed `Arc`, which lives until the end of `remove`.
        unsafe { &*bindings::dev_get_drvdata(device).cast::<Arc<T>>() }
    }

    extern "C" fn probe(raw: *mut bindings::platform_device) -> i32 {
        from_result(|| {
            // SAFETY: The driver core probes valid devices.
            let dev = unsafe { &raw mut (*raw).dev };
            // What `probe` did is undone by what comes later: nothing may fail in between.
            let slot = KBox::<Arc<T>>::new_uninit(GFP_KERNEL)?;
            // SAFETY: As above.
            let this = T::probe(unsafe { Device::get(raw) })?;
            let data = KBox::into_raw(slot.write(this));
            // SAFETY: `dev` is valid and bound; power management starts when the data is set.
            unsafe {
                bindings::dev_set_drvdata(dev, data.cast());
                bindings::pm_runtime_enable(dev);
            }
            // SAFETY: The data was just set.
            T::start(unsafe { Self::data(dev) }).inspect_err(|_| {
                // SAFETY: Undoes the above; nobody else has the device yet.
                unsafe { Self::tear_down(dev) }
            })?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `dev` must have driver data, which nobody uses any more.
    unsafe fn tear_down(dev: *mut bindings::device) {
        // SAFETY: By the caller's promise; the box came from `KBox::into_raw`.
        unsafe {
            // Suspends the device if it is idle, so that its clocks stop.
            bindings::__pm_runtime_suspend(dev, 0);
            bindings::__pm_runtime_disable(dev, true);
            let data = bindings::dev_get_drvdata(dev).cast::<Arc<T>>();
            bindings::dev_set_drvdata(dev, core::ptr::null_mut());
            drop(KBox::from_raw(data));
        }
    }

    extern "C" fn remove(raw: *mut bindings::platform_device) {
        // SAFETY: The driver core removes devices that were probed.
        unsafe {
            let dev = &raw mut (*raw).dev;
            T::remove(Self::data(dev));
            Self::tear_down(dev);
        }
    }

    extern "C" fn runtime_suspend(dev: *mut bindings::device) -> i32 {
        // SAFETY: Power management is enabled only while there is driver data.
        from_result(|| unsafe { Self::data(dev) }.power_off().map(|()| 0))
    }

    extern "C" fn runtime_resume(dev: *mut bindings::device) -> i32 {
        // SAFETY: Power management is enabled only while there is driver data.
        from_result(|| unsafe { Self::data(dev) }.power_on().map(|()| 0))
    }

    extern "C" fn suspend(dev: *mut bindings::device) -> i32 {
        // SAFETY: The system suspends bound devices.
        from_result(|| unsafe {
            Self::data(dev).suspend()?;
            to_result(bindings::pm_runtime_force_suspend(dev)).inspect_err(|_| {
                T::resume(Self::data(dev));
            })?;
            Ok(0)
        })
    }

    extern "C" fn resume(dev: *mut bindings::device) -> i32 {
        // SAFETY: The system resumes bound devices.
        from_result(|| unsafe {
            to_result(bindings::pm_runtime_force_resume(dev))
                .inspect_err(|_| T::lost(Self::data(dev)))?;
            T::resume(Self::data(dev));
            Ok(0)
        })
    }
}

struct PmOps<T>(PhantomData<T>);

impl<T: Driver> PmOps<T> {
    const OPS: &'static bindings::dev_pm_ops = &Callbacks::<T>::PM;
}

impl<T: Driver> Registration<T> {
    /// Registers the driver; probes all devices that are there.
    pub(crate) fn new(module: &'static ThisModule) -> Result<Self> {
        let mut raw: bindings::platform_driver = pin_init::zeroed();
        raw.probe = Some(Callbacks::<T>::probe);
        raw.remove = Some(Callbacks::<T>::remove);
        raw.driver.name = T::NAME.as_char_ptr();
        raw.driver.of_match_table = T::of_table();
        raw.driver.pm = PmOps::<T>::OPS;
        let driver = KBox::pin(Opaque::new(raw), GFP_KERNEL)?;
        // SAFETY: The driver is pinned and lives until it is unregistered in `drop`.
        to_result(unsafe {
            bindings::__platform_driver_register(
                driver.get(),
                module.as_ptr(),
                T::NAME.as_char_ptr(),
            )
        })?;
        Ok(Registration {
            driver,
            _driver: PhantomData,
        })
    }
}

impl<T: Driver> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: It was registered in `new`.
        unsafe { bindings::platform_driver_unregister(self.driver.get()) }
    }
}

/// A platform device that stands for no hardware of its own.
///
/// # Invariants
///
/// Points to a device that this value registered.
pub(crate) struct Facade(NonNull<bindings::platform_device>);

// SAFETY: Devices may be used from any thread.
unsafe impl Send for Facade {}
// SAFETY: Devices may be used from any thread at the same time.
unsafe impl Sync for Facade {}

impl Facade {
    /// Registers a device with a name of its own.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        let info = bindings::platform_device_info {
            name: name.as_char_ptr(),
            id: bindings::PLATFORM_DEVID_NONE,
            ..pin_init::zeroed()
        };
        // SAFETY: `info` is valid for the call, which copies it.
        let raw = from_err_ptr(unsafe { bindings::platform_device_register_full(&info) })?;
        // INVARIANT: Just registered.
        NonNull::new(raw).map(Facade).ok_or(ENOMEM)
    }

    /// The device.
    pub(crate) fn device(&self) -> Device {
        // SAFETY: By the type invariant it is valid.
        unsafe { Device::get(self.0.as_ptr()) }
    }
}

impl Drop for Facade {
    fn drop(&mut self) {
        // SAFETY: By the type invariant we registered it.
        unsafe { bindings::platform_device_unregister(self.0.as_ptr()) }
    }
}
