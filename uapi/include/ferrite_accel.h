/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * Extensions of the Ferrite driver to rocket_accel.h, since version 1.1 of the driver "rocket".
 *
 * All structs may grow at the end: the kernel takes shorter ones as if continued with zeroes.
 * Reserved fields must be zero. Times are in nanoseconds, deadlines absolute in CLOCK_MONOTONIC.
 * uapi/src/ferrite.rs has the same for Rust, with the errors of each call; a test compares them.
 */
#ifndef _FERRITE_ACCEL_H_
#define _FERRITE_ACCEL_H_

#include <drm/drm.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define DRM_FERRITE_QUERY		0x10
#define DRM_FERRITE_CREATE_BUFFER	0x11
#define DRM_FERRITE_BUFFER_INFO		0x12
#define DRM_FERRITE_SUBMIT		0x13
#define DRM_FERRITE_WAIT		0x14
#define DRM_FERRITE_PREPARE		0x15

#define DRM_FERRITE_QUERY_DEVICE	0
#define DRM_FERRITE_QUERY_CORE		1

/**
 * struct drm_ferrite_query - asks for information
 * @kind: in: DRM_FERRITE_QUERY_*
 * @index: in: of which core
 * @size: in: room at @data; out: bytes stored there
 * @reserved: zero
 * @data: in: pointer to a struct drm_ferrite_device_info or drm_ferrite_core_info
 */
struct drm_ferrite_query {
	__u32 kind;
	__u32 index;
	__u32 size;
	__u32 reserved;
	__u64 data;
};

/**
 * struct drm_ferrite_device_info - answer to DRM_FERRITE_QUERY_DEVICE
 * @cores: bit mask of the cores that are there
 * @features: 1 submit and wait, 2 import, 4 syncobjs, 8 PPU tasks complete
 * @max_jobs: most jobs in one submission
 * @max_tasks: most tasks in one submission, over all jobs
 * @timeout_ns: time that a task may take
 * @address_start: first device address of buffers
 * @address_end: first device address after those of buffers
 */
struct drm_ferrite_device_info {
	__u32 cores;
	__u32 features;
	__u32 max_jobs;
	__u32 max_tasks;
	__u64 timeout_ns;
	__u64 address_start;
	__u64 address_end;
};

/**
 * struct drm_ferrite_core_info - answer to DRM_FERRITE_QUERY_CORE
 * @version: version that the hardware reports
 * @busy: whether it runs a job now
 * @busy_ns: time that it ran jobs
 * @jobs: jobs that it ran
 * @resets: jobs that it was taken away from, with a reset
 */
struct drm_ferrite_core_info {
	__u32 version;
	__u32 busy;
	__u64 busy_ns;
	__u64 jobs;
	__u64 resets;
};

#define DRM_FERRITE_BUFFER_WRITE_COMBINED	(1 << 0)
#define DRM_FERRITE_BUFFER_IMPORTED		(1 << 1)

/**
 * struct drm_ferrite_create_buffer - makes a buffer
 * @size: in: bytes; rounded up to whole pages
 * @flags: in: DRM_FERRITE_BUFFER_WRITE_COMBINED or 0
 * @handle: out: GEM handle
 * @dma_address: out: device address
 * @offset: out: offset for mmap
 */
struct drm_ferrite_create_buffer {
	__u64 size;
	__u32 flags;
	__u32 handle;
	__u64 dma_address;
	__u64 offset;
};

/**
 * struct drm_ferrite_buffer_info - asks for a buffer's place and size
 * @handle: in: GEM handle
 * @flags: out: DRM_FERRITE_BUFFER_*
 * @size: out: bytes
 * @dma_address: out: device address in this file's address space
 * @offset: out: offset for mmap
 */
struct drm_ferrite_buffer_info {
	__u32 handle;
	__u32 flags;
	__u64 size;
	__u64 dma_address;
	__u64 offset;
};

/**
 * struct drm_ferrite_job - a job of struct drm_ferrite_submit
 * @tasks: in: pointer to an array of struct drm_rocket_task
 * @in_bo_handles: in: pointer to the u32 handles of the buffers the job reads
 * @out_bo_handles: in: pointer to the u32 handles of the buffers the job writes
 * @task_count: in: number of tasks
 * @task_struct_size: in: size of struct drm_rocket_task as the caller knows it
 * @in_bo_handle_count: in: number of handles at @in_bo_handles
 * @out_bo_handle_count: in: number of handles at @out_bo_handles
 * @after: in: pointer to the u32 indexes of jobs that must have succeeded
 * @after_count: in: number of indexes at @after
 * @cores: in: bit mask of the cores that may run it; 0 = any
 * @affinity: in: jobs of equal, non-zero affinity prefer the same core
 * @reserved: zero
 */
struct drm_ferrite_job {
	__u64 tasks;
	__u64 in_bo_handles;
	__u64 out_bo_handles;
	__u32 task_count;
	__u32 task_struct_size;
	__u32 in_bo_handle_count;
	__u32 out_bo_handle_count;
	__u64 after;
	__u32 after_count;
	__u32 cores;
	__u32 affinity;
	__u32 reserved;
};

/* Jobs depend on each other only as @after says, not by the buffers that they share. */
#define DRM_FERRITE_SUBMIT_EXPLICIT	(1 << 0)

/**
 * struct drm_ferrite_submit - queues jobs
 * @jobs: in: pointer to an array of struct drm_ferrite_job
 * @job_count: in: number of jobs
 * @job_struct_size: in: size of struct drm_ferrite_job as the caller knows it
 * @in_syncobjs: in: pointer to the u32 handles of syncobjs to wait for
 * @out_syncobjs: in: pointer to the u32 handles of syncobjs that get the end's fence
 * @in_syncobj_count: in: number of handles at @in_syncobjs
 * @out_syncobj_count: in: number of handles at @out_syncobjs
 * @flags: in: DRM_FERRITE_SUBMIT_*
 * @priority: in: -1 low, 0 normal, 1 high (CAP_SYS_NICE)
 * @number: out: the submission's number in this file
 */
struct drm_ferrite_submit {
	__u64 jobs;
	__u32 job_count;
	__u32 job_struct_size;
	__u64 in_syncobjs;
	__u64 out_syncobjs;
	__u32 in_syncobj_count;
	__u32 out_syncobj_count;
	__u32 flags;
	__s32 priority;
	__u64 number;
};

/**
 * struct drm_ferrite_wait - waits for a submission and says how it ended
 * @number: in: the submission's number
 * @timeout_ns: in: deadline
 * @error: out: 0, or the error number of the first job that failed
 * @failed_job: out: index of that job
 * @busy_ns: out: time that the jobs ran on cores
 */
struct drm_ferrite_wait {
	__u64 number;
	__s64 timeout_ns;
	__u32 error;
	__u32 failed_job;
	__u64 busy_ns;
};

#define DRM_FERRITE_PREPARE_READ	(1 << 0)
#define DRM_FERRITE_PREPARE_WRITE	(1 << 1)

/**
 * struct drm_ferrite_prepare - waits for a buffer and hands it to the CPU
 * @handle: in: GEM handle
 * @flags: in: DRM_FERRITE_PREPARE_*
 * @timeout_ns: in: deadline
 */
struct drm_ferrite_prepare {
	__u32 handle;
	__u32 flags;
	__s64 timeout_ns;
};

#define DRM_IOCTL_FERRITE_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FERRITE_QUERY, struct drm_ferrite_query)
#define DRM_IOCTL_FERRITE_CREATE_BUFFER \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FERRITE_CREATE_BUFFER, struct drm_ferrite_create_buffer)
#define DRM_IOCTL_FERRITE_BUFFER_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FERRITE_BUFFER_INFO, struct drm_ferrite_buffer_info)
#define DRM_IOCTL_FERRITE_SUBMIT \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FERRITE_SUBMIT, struct drm_ferrite_submit)
#define DRM_IOCTL_FERRITE_WAIT \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FERRITE_WAIT, struct drm_ferrite_wait)
#define DRM_IOCTL_FERRITE_PREPARE \
	DRM_IOW(DRM_COMMAND_BASE + DRM_FERRITE_PREPARE, struct drm_ferrite_prepare)

#if defined(__cplusplus)
}
#endif

#endif /* _FERRITE_ACCEL_H_ */
