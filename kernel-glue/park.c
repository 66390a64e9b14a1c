// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way of one CPU of the 1st OS into the parking loop, and back if the handover is aborted.
 *
 * The loop is in the partition (partition/src/park.S) and runs on its page tables, whose upper
 * half is this kernel's: so the instruction after the switch of CR3 is still there, and so is the
 * stack.
 */
#include <linux/irqflags.h>
#include <asm/cpufeatures.h>
#include <asm/desc.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>

#include "baton.h"

#define BATON_MSR_IA32_S_CET 0x6a2
#define BATON_CR4_CET (1ul << 23)

/*
 * Saves what the compiler may not lose, notes stack and return address in the slot, and jumps.
 * The loop comes back to label 1 with CR3 to be loaded in %rax and the stack as it was.
 */
static noinline void baton_park_jump(struct baton_park_slot *slot, u64 slot_pa, u64 root,
				     u64 entry)
{
	asm volatile("pushq %%rbp\n\t"
		     "pushq %%rbx\n\t"
		     "movq %%rsp, %c[rsp](%[slot])\n\t"
		     "leaq 1f(%%rip), %%rax\n\t"
		     "movq %%rax, %c[rip](%[slot])\n\t"
		     "movq %[root], %%cr3\n\t"
		     ANNOTATE_RETPOLINE_SAFE "\n\t"
		     "jmp *%[entry]\n\t"
		     "1: .byte 0xf3, 0x0f, 0x1e, 0xfa\n\t"	/* endbr64 */
		     "movq %%rax, %%cr3\n\t"
		     "popq %%rbx\n\t"
		     "popq %%rbp\n\t"
		     : "+D"(slot_pa)
		     : [slot] "S"(slot), [root] "d"(root), [entry] "c"(entry),
		       [rsp] "i"(offsetof(struct baton_park_slot, rsp)),
		       [rip] "i"(offsetof(struct baton_park_slot, rip))
		     : "rax", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
		       "cc");
}
STACK_FRAME_NON_STANDARD(baton_park_jump);

/* Interrupts are off. slot is mapped here, and at slot_pa in the partition's tables. */
void baton_park(struct baton_park_slot *slot, u64 slot_pa, u64 root, u64 entry, u64 stop_word_pa,
		u64 abort_value)
{
	struct desc_ptr gdtr, idtr;
	bool cet = native_read_cr4() & BATON_CR4_CET;

	native_store_gdt(&gdtr);
	store_idt(&idtr);
	memcpy(slot->gdtr, &gdtr, sizeof(gdtr));
	memcpy(slot->idtr, &idtr, sizeof(idtr));
	slot->cr3 = __native_read_cr3();
	slot->cr4 = native_read_cr4();
	slot->has_cet = cet;
	slot->s_cet = cet ? baton_rdmsr(BATON_MSR_IA32_S_CET) : 0;
	slot->stop_word = stop_word_pa;
	slot->abort_value = abort_value;
	baton_park_jump(slot, slot_pa, root, entry);
}
