/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * Extensions of the Ferrite driver to rocket_accel.h.
 *
 * DRM_IOCTL_FERRITE_QUERY tells whether they are there: a driver without them answers ENOTTY or
 * EINVAL. The driver's version is mainline's, and says nothing.
 *
 * All structs may grow at the end: the kernel takes shorter ones as if continued with zeroes, and
 * refuses longer ones whose unknown part is not zero (E2BIG), arguments and elements of arrays
 * alike. Unknown flags and reserved fields that are not zero are refused (EINVAL). Times are in
 * nanoseconds, deadlines absolute in CLOCK_MONOTONIC. uapi/src/ferrite.rs has the same for Rust; a
 * test compares them. docs/uapi.md has the errors of each call.
 */
#ifndef _FERRITE_ACCEL_H_
#define _FERRITE_ACCEL_H_

#include <drm/drm.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define DRM_FERRITE_QUERY		0x50
#define DRM_FERRITE_CREATE_BUFFER	0x51
#define DRM_FERRITE_BUFFER_INFO		0x52
#define DRM_FERRITE_SUBMIT		0x53
#define DRM_FERRITE_WAIT		0x54
#define DRM_FERRITE_PREPARE		0x55
#define DRM_FERRITE_FINISH		0x56

#define DRM_FERRITE_QUERY_DEVICE	0
#define DRM_FERRITE_QUERY_CORE		1

/**
 * struct drm_ferrite_query - asks for information
 * @kind: in: DRM_FERRITE_QUERY_*
 * @index: in: of which core; 0 for the device
 * @size: in: room at @data, what fits is stored; out: bytes that the answer has in this kernel
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

/* Submissions, with drm_ferrite_wait; import; synchronisation objects; tasks that end in the PPU;
 * DRM_FERRITE_JOB_CHAINED; DRM_FERRITE_SYNC_TIMELINE; ranges in prepare and finish.
 */
#define DRM_FERRITE_FEATURE_SUBMIT	(1 << 0)
#define DRM_FERRITE_FEATURE_IMPORT	(1 << 1)
#define DRM_FERRITE_FEATURE_SYNCOBJ	(1 << 2)
#define DRM_FERRITE_FEATURE_PPU		(1 << 3)
#define DRM_FERRITE_FEATURE_CHAIN	(1 << 4)
#define DRM_FERRITE_FEATURE_TIMELINE	(1 << 5)
#define DRM_FERRITE_FEATURE_RANGE	(1 << 6)

/**
 * struct drm_ferrite_device_info - answer to DRM_FERRITE_QUERY_DEVICE
 * @cores: bit mask of the cores that are there
 * @features: DRM_FERRITE_FEATURE_*
 * @max_jobs: most jobs in one submission
 * @max_tasks: most tasks in one submission, over all jobs
 * @timeout_ns: time that a task may take
 * @address_start: first device address of buffers
 * @address_end: first device address after those of buffers
 * @max_chain: most tasks of a job with DRM_FERRITE_JOB_CHAINED
 * @reserved: zero
 * @chain_timeout_ns: time that a chain may take if the hardware does not show its progress
 * @clock_hz: hertz of the cores' clock while they work
 */
struct drm_ferrite_device_info {
	__u32 cores;
	__u32 features;
	__u32 max_jobs;
	__u32 max_tasks;
	__u64 timeout_ns;
	__u64 address_start;
	__u64 address_end;
	__u32 max_chain;
	__u32 reserved;
	__u64 chain_timeout_ns;
	__u64 clock_hz;
};

/* The figures are told: the caller has CAP_PERFMON. */
#define DRM_FERRITE_CORE_ACTIVITY	(1 << 0)
/* It runs a job now. */
#define DRM_FERRITE_CORE_BUSY		(1 << 1)

/**
 * struct drm_ferrite_core_info - answer to DRM_FERRITE_QUERY_CORE
 * @version: version that the hardware reports
 * @flags: DRM_FERRITE_CORE_*
 * @busy_ns: time that it ran jobs, of all clients; 0 without DRM_FERRITE_CORE_ACTIVITY
 * @jobs: jobs that it ran; 0 without DRM_FERRITE_CORE_ACTIVITY
 * @resets: jobs that it was taken away from; 0 without DRM_FERRITE_CORE_ACTIVITY
 */
struct drm_ferrite_core_info {
	__u32 version;
	__u32 flags;
	__u64 busy_ns;
	__u64 jobs;
	__u64 resets;
};

/* The CPU's mapping is write-combined: for data that the CPU only writes. */
#define DRM_FERRITE_BUFFER_WRITE_COMBINED	(1 << 0)
/* Out only: the memory belongs to another device. */
#define DRM_FERRITE_BUFFER_IMPORTED		(1 << 1)

/**
 * struct drm_ferrite_create_buffer - makes a buffer
 * @size: in: size; rounded up to whole pages
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
 * struct drm_ferrite_buffer_info - asks for a buffer's place
 * @handle: in: GEM handle
 * @flags: in: 0; out: DRM_FERRITE_BUFFER_*
 * @size: out: size
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

/* The DPU, or the PPU, has written its output. */
#define DRM_FERRITE_COMPLETION_DPU	0x300
#define DRM_FERRITE_COMPLETION_PPU	0xc00

/**
 * struct drm_ferrite_task - a task of a job; begins as mainline's
 * @regcmd: in: device address of the first command
 * @regcmd_count: in: number of commands; not 0
 * @int_mask: in: DRM_FERRITE_COMPLETION_*; of a chain, the last task's counts
 * @flags: in: 0
 */
struct drm_ferrite_task {
	__u32 regcmd;
	__u32 regcmd_count;
	__u32 int_mask;
	__u32 flags;
};

/* All tasks are run by one start, and end with one interrupt: each one's commands link to the next
 * one's.
 */
#define DRM_FERRITE_JOB_CHAINED		(1 << 0)

/**
 * struct drm_ferrite_job - a job of a submission; begins as mainline's
 * @tasks: in: pointer to an array of struct drm_ferrite_task
 * @in_bo_handles: in: pointer to the handles of the buffers the job reads
 * @out_bo_handles: in: pointer to the handles of the buffers the job writes
 * @task_count: in: number of tasks
 * @task_struct_size: in: sizeof(struct drm_ferrite_task)
 * @in_bo_handle_count: in: number of handles at @in_bo_handles
 * @out_bo_handle_count: in: number of handles at @out_bo_handles
 * @after: in: pointer to the indexes of jobs of this submission that must have succeeded
 * @after_count: in: number of indexes at @after
 * @cores: in: bit mask of the cores that may run it; 0 = any
 * @affinity: in: jobs of this file with equal, non-zero affinity prefer the same core; 0 = none
 * @flags: in: DRM_FERRITE_JOB_*
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
	__u32 flags;
};

/* A point of the object's timeline, not its only fence. */
#define DRM_FERRITE_SYNC_TIMELINE	(1 << 0)

/**
 * struct drm_ferrite_sync - a synchronisation object of a submission
 * @handle: in: handle
 * @flags: in: DRM_FERRITE_SYNC_*
 * @point: in: point of its timeline, not 0, with DRM_FERRITE_SYNC_TIMELINE; 0 without
 */
struct drm_ferrite_sync {
	__u32 handle;
	__u32 flags;
	__u64 point;
};

/* The jobs depend on each other only as @after says, not by the buffers that they share. */
#define DRM_FERRITE_SUBMIT_EXPLICIT	(1 << 0)

#define DRM_FERRITE_PRIORITY_LOW	(-1)
#define DRM_FERRITE_PRIORITY_NORMAL	0
/* Needs CAP_SYS_NICE. */
#define DRM_FERRITE_PRIORITY_HIGH	1

/**
 * struct drm_ferrite_submit - queues jobs
 * @jobs: in: pointer to an array of struct drm_ferrite_job
 * @job_count: in: number of jobs; not 0
 * @job_struct_size: in: sizeof(struct drm_ferrite_job)
 * @in_syncs: in: pointer to an array of struct drm_ferrite_sync to wait for
 * @out_syncs: in: pointer to an array of struct drm_ferrite_sync that get the fence of the end
 * @in_sync_count: in: number of elements at @in_syncs
 * @out_sync_count: in: number of elements at @out_syncs
 * @sync_struct_size: in: sizeof(struct drm_ferrite_sync)
 * @flags: in: DRM_FERRITE_SUBMIT_*
 * @priority: in: DRM_FERRITE_PRIORITY_*
 * @reserved: zero
 * @number: out: the submission's number in this file; never 0
 */
struct drm_ferrite_submit {
	__u64 jobs;
	__u32 job_count;
	__u32 job_struct_size;
	__u64 in_syncs;
	__u64 out_syncs;
	__u32 in_sync_count;
	__u32 out_sync_count;
	__u32 sync_struct_size;
	__u32 flags;
	__s32 priority;
	__u32 reserved;
	__u64 number;
};

/**
 * struct drm_ferrite_wait - waits for a submission
 * @number: in: its number
 * @timeout_ns: in: deadline
 * @error: out: 0, or the error number of the first job that failed
 * @failed_job: out: index of that job
 * @failed_task: out: index of the task that it had reached, as far as the hardware shows it
 * @flags: in: 0
 * @busy_ns: out: time that the jobs ran on cores, summed up
 */
struct drm_ferrite_wait {
	__u64 number;
	__s64 timeout_ns;
	__u32 error;
	__u32 failed_job;
	__u32 failed_task;
	__u32 flags;
	__u64 busy_ns;
};

/* The CPU will only read: readers on the NPU are not waited for. */
#define DRM_FERRITE_PREPARE_READ	(1 << 0)
#define DRM_FERRITE_PREPARE_WRITE	(1 << 1)

/**
 * struct drm_ferrite_prepare - waits for a buffer, and hands it or a part of it to the CPU
 * @handle: in: GEM handle
 * @flags: in: DRM_FERRITE_PREPARE_*, at least one of them
 * @timeout_ns: in: deadline
 * @offset: in: where the part begins
 * @size: in: how long it is; 0 = up to the end of the buffer
 */
struct drm_ferrite_prepare {
	__u32 handle;
	__u32 flags;
	__s64 timeout_ns;
	__u64 offset;
	__u64 size;
};

/**
 * struct drm_ferrite_finish - hands a buffer or a part of it back to the NPU
 * @handle: in: GEM handle
 * @flags: in: 0
 * @offset: in: where the part begins
 * @size: in: how long it is; 0 = up to the end of the buffer
 */
struct drm_ferrite_finish {
	__u32 handle;
	__u32 flags;
	__u64 offset;
	__u64 size;
};

#define DRM_IOCTL_FERRITE_QUERY	\
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FERRITE_QUERY, struct drm_ferrite_query)
#define DRM_IOCTL_FERRITE_CREATE_BUFFER	\
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FERRITE_CREATE_BUFFER, struct drm_ferrite_create_buffer)
#define DRM_IOCTL_FERRITE_BUFFER_INFO	\
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FERRITE_BUFFER_INFO, struct drm_ferrite_buffer_info)
#define DRM_IOCTL_FERRITE_SUBMIT	\
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FERRITE_SUBMIT, struct drm_ferrite_submit)
#define DRM_IOCTL_FERRITE_WAIT	\
	DRM_IOWR(DRM_COMMAND_BASE + DRM_FERRITE_WAIT, struct drm_ferrite_wait)
#define DRM_IOCTL_FERRITE_PREPARE	\
	DRM_IOW(DRM_COMMAND_BASE + DRM_FERRITE_PREPARE, struct drm_ferrite_prepare)
#define DRM_IOCTL_FERRITE_FINISH	\
	DRM_IOW(DRM_COMMAND_BASE + DRM_FERRITE_FINISH, struct drm_ferrite_finish)

#if defined(__cplusplus)
}
#endif

#endif /* _FERRITE_ACCEL_H_ */
