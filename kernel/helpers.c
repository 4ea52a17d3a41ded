// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wrappers for inline functions and macros that Rust cannot call. Nothing is decided here.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/devcoredump.h>
#include <linux/dma-fence.h>
#include <linux/dma-fence-chain.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/of_address.h>
#include <linux/pm_runtime.h>
#include <linux/ratelimit.h>
#include <linux/reset.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <drm/drm_accel.h>
#include <drm/drm_debugfs.h>
#include <drm/drm_gem.h>
#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_print.h>
#include <drm/drm_syncobj.h>
#include <drm/drm_utils.h>
#include <drm/drm_vma_manager.h>

unsigned long ferrite_spin_lock_irqsave(spinlock_t *lock)
{
	unsigned long flags;

	spin_lock_irqsave(lock, flags);
	return flags;
}

void ferrite_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	spin_unlock_irqrestore(lock, flags);
}

struct dma_fence *ferrite_fence_get(struct dma_fence *fence)
{
	return dma_fence_get(fence);
}

void ferrite_fence_put(struct dma_fence *fence)
{
	dma_fence_put(fence);
}

void ferrite_fence_signal(struct dma_fence *fence, int error)
{
	if (error)
		dma_fence_set_error(fence, error);
	dma_fence_signal(fence);
}

bool ferrite_fence_begin_signalling(void)
{
	return dma_fence_begin_signalling();
}

void ferrite_fence_end_signalling(bool cookie)
{
	dma_fence_end_signalling(cookie);
}

bool ferrite_fence_is_signaled(struct dma_fence *fence)
{
	return dma_fence_is_signaled(fence);
}

/* Of a fence that is signalled. A link of a timeline has none of its own. */
int ferrite_fence_error(struct dma_fence *fence)
{
	return dma_fence_chain_contained(fence)->error;
}

struct dma_fence_chain *ferrite_fence_chain_alloc(void)
{
	return dma_fence_chain_alloc();
}

void ferrite_fence_chain_free(struct dma_fence_chain *chain)
{
	dma_fence_chain_free(chain);
}

void ferrite_gem_get(struct drm_gem_object *obj)
{
	drm_gem_object_get(obj);
}

void ferrite_gem_put(struct drm_gem_object *obj)
{
	drm_gem_object_put(obj);
}

int ferrite_gem_huge_mnt_create(struct drm_device *dev, const char *value)
{
	return drm_gem_huge_mnt_create(dev, value);
}

u64 ferrite_gem_mmap_offset(struct drm_gem_object *obj)
{
	return drm_vma_node_offset_addr(&obj->vma_node);
}

bool ferrite_gem_is_imported(struct drm_gem_object *obj)
{
	return drm_gem_is_imported(obj);
}

typedef void (*ferrite_sync)(struct device *dev, dma_addr_t addr, size_t len,
			     enum dma_data_direction direction);

/* The parts of a table that are within a range, one after the other. */
static void ferrite_sync_range(ferrite_sync sync, struct device *dev, struct sg_table *sgt,
			       u64 offset, u64 len)
{
	u64 at = 0, end = offset + len;
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 from = max(at, offset);
		u64 to = min(at + sg_dma_len(sg), end);

		if (from < to)
			sync(dev, sg_dma_address(sg) + (from - at), to - from, DMA_BIDIRECTIONAL);
		at += sg_dma_len(sg);
		if (at >= end)
			break;
	}
}

static void ferrite_sync_one_for_cpu(struct device *dev, dma_addr_t addr, size_t len,
				     enum dma_data_direction direction)
{
	dma_sync_single_for_cpu(dev, addr, len, direction);
}

static void ferrite_sync_one_for_device(struct device *dev, dma_addr_t addr, size_t len,
					enum dma_data_direction direction)
{
	dma_sync_single_for_device(dev, addr, len, direction);
}

void ferrite_sync_for_cpu(struct device *dev, struct sg_table *sgt, u64 offset, u64 len)
{
	ferrite_sync_range(ferrite_sync_one_for_cpu, dev, sgt, offset, len);
}

void ferrite_sync_for_device(struct device *dev, struct sg_table *sgt, u64 offset, u64 len)
{
	ferrite_sync_range(ferrite_sync_one_for_device, dev, sgt, offset, len);
}

unsigned long ferrite_page_frame(struct page *page)
{
	return page_to_pfn(page);
}

/* What is mapped so is taken for written to: the first store does not fault. */
pgprot_t ferrite_pgprot_dirty(pgprot_t prot)
{
	return pte_pgprot(pte_mkdirty(pfn_pte(0, prot)));
}

u64 ferrite_page_read64(struct page *page, u32 offset)
{
	u64 value;

	memcpy_from_page((char *)&value, page, offset, sizeof(value));
	return value;
}

void ferrite_page_write64(struct page *page, u32 offset, u64 value)
{
	memcpy_to_page(page, offset, (const char *)&value, sizeof(value));
}

/* Maps by DMA address: an imported table need not have pages. */
int ferrite_iommu_map_table(struct iommu_domain *domain, u64 iova, u64 len,
			    struct sg_table *sgt)
{
	struct scatterlist *sg;
	u64 done = 0;
	int i, ret;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 part = min_t(u64, sg_dma_len(sg), len - done);

		if (!part)
			break;
		ret = iommu_map(domain, iova + done, sg_dma_address(sg), part,
				IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
		if (ret) {
			if (done)
				iommu_unmap(domain, iova, done);
			return ret;
		}
		done += part;
	}
	if (done == len)
		return 0;
	if (done)
		iommu_unmap(domain, iova, done);
	return -EINVAL;
}

int ferrite_resets_get(struct device *dev, int count, struct reset_control_bulk_data *resets)
{
	return reset_control_bulk_get_exclusive(dev, count, resets);
}

int ferrite_pm_get(struct device *dev)
{
	return pm_runtime_resume_and_get(dev);
}

void ferrite_pm_put(struct device *dev)
{
	pm_runtime_put_sync(dev);
}

void ferrite_coredump(struct device *dev, void *data, size_t len)
{
	dev_coredumpv(dev, data, len, GFP_KERNEL);
}

void ferrite_syncobj_put(struct drm_syncobj *syncobj)
{
	drm_syncobj_put(syncobj);
}

u32 ferrite_current_user(void)
{
	return __kuid_val(current_euid());
}

bool ferrite_may_log(void)
{
	static DEFINE_RATELIMIT_STATE(messages, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&messages);
}

bool ferrite_may_watch(void)
{
	return perfmon_capable();
}

bool ferrite_task_is_killed(void)
{
	return fatal_signal_pending(current) ||
	       ((current->flags & PF_EXITING) && current->exit_code == SIGKILL);
}

u64 ferrite_ram_bytes(void)
{
	return (u64)totalram_pages() << PAGE_SHIFT;
}

struct workqueue_struct *ferrite_workqueue(const char *name, bool urgent)
{
	unsigned int flags = urgent ? WQ_HIGHPRI | WQ_MEM_RECLAIM : 0;

	return alloc_workqueue("%s", WQ_UNBOUND | flags, 0, name);
}
