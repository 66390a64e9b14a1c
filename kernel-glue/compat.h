/* SPDX-License-Identifier: GPL-2.0-only */
/* Every difference between kernel versions that the C files meet, and nothing else. */
#ifndef BATON_COMPAT_H
#define BATON_COMPAT_H

#include <linux/mm.h>
#include <linux/objtool.h>
#include <linux/uio.h>
#include <linux/version.h>

/* The list of who is told of a panic has had a header of its own since 5.14. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 14, 0)
#include <linux/panic_notifier.h>
#else
#include <linux/kernel.h>
#endif

/* Until 6.1 the direction of an iterator is named after the system call. */
#ifndef ITER_SOURCE
#define ITER_SOURCE WRITE
#endif

/* RDMSR and WRMSR under names that 6.16 did not change. */
static inline u64 baton_rdmsr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (u64)high << 32 | low;
}

static inline void baton_wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr"
		     : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

#endif
