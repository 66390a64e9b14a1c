// SPDX-License-Identifier: GPL-2.0-only
/*
 * The critical section of the Rust object: one for all CPUs, and nestable.
 *
 * Interrupts off keeps this CPU's handlers out, the raw spinlock the other
 * CPUs; a raw one because RT kernels make the others sleep. The owner lets the
 * CPU that is inside enter again. Only the owner itself can see its own number
 * there, so an unlocked read decides; a stale number is another CPU's.
 *
 * Not for NMI context (the lock may be this CPU's own, half taken), and not for
 * a CPU that runs after an NMI has stopped others: one of them may be inside.
 */
#include <linux/bits.h>
#include <linux/irqflags.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* Bit of a token that the outermost enter sets; RFLAGS has 32 bits in use. */
#define BATON_CS_OUTERMOST BIT_ULL(63)
#define BATON_CS_NOBODY (-1)

u64 baton_glue_cs_enter(void);
void baton_glue_cs_leave(u64 token);

static DEFINE_RAW_SPINLOCK(baton_cs_lock);
static int baton_cs_owner = BATON_CS_NOBODY;

/* Returns the token for the matching baton_glue_cs_leave() on the same CPU. */
u64 baton_glue_cs_enter(void)
{
	unsigned long flags;

	local_irq_save(flags);
	if (READ_ONCE(baton_cs_owner) == smp_processor_id())
		return flags;
	raw_spin_lock(&baton_cs_lock);
	WRITE_ONCE(baton_cs_owner, smp_processor_id());
	return flags | BATON_CS_OUTERMOST;
}

void baton_glue_cs_leave(u64 token)
{
	if (token & BATON_CS_OUTERMOST) {
		WRITE_ONCE(baton_cs_owner, BATON_CS_NOBODY);
		raw_spin_unlock(&baton_cs_lock);
	}
	local_irq_restore((unsigned long)(token & ~BATON_CS_OUTERMOST));
}
