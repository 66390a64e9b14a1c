// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the Rust object's log and panic handler need of the kernel. The log
 * itself is in Rust: ffi/src/log.rs.
 */
#include <linux/hardirq.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/types.h>

s32 baton_glue_in_nmi(void);
void baton_glue_panic(const u8 *msg, size_t len);

/* Whether the log has to keep its hands off the lock. */
s32 baton_glue_in_nmi(void)
{
	return !!in_nmi();
}

/*
 * Reports a panic of the Rust object; msg is "file:line", not terminated.
 *
 * It returns, for objtool knows only the kernel's own functions as not doing
 * so: the caller's next instruction is an undefined one, which becomes the
 * kernel's own oops with the registers and the backtrace of the panic.
 */
void baton_glue_panic(const u8 *msg, size_t len)
{
	pr_emerg("baton: Rust panic at %.*s\n", (int)len, (const char *)msg);
}
