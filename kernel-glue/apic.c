// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts between kernels: straight to the local APIC, in whichever mode it is, because the
 * kernel's own functions know CPUs, and the receiver is none of this kernel's. Intel SDM volume 3,
 * 13.6.1 (ICR) and 13.12.9 (x2APIC).
 */
#include <linux/delay.h>
#include <linux/smp.h>
#include <asm/apic.h>
#include <asm/apicdef.h>

#include "baton.h"

#define BATON_X2APIC_ICR (APIC_BASE_MSR + (APIC_ICR >> 4))
#define BATON_X2APIC_ID (APIC_BASE_MSR + (APIC_ID >> 4))

static bool baton_is_x2apic(void)
{
	return baton_rdmsr(MSR_IA32_APICBASE) & X2APIC_ENABLE;
}

u32 baton_apic_id(void)
{
	if (baton_is_x2apic())
		return (u32)baton_rdmsr(BATON_X2APIC_ID);
	return native_apic_mem_read(APIC_ID) >> 24;
}

static void baton_apic_send(u32 apic_id, u32 command)
{
	unsigned long flags;

	local_irq_save(flags);
	if (baton_is_x2apic()) {
		asm volatile("mfence; lfence" : : : "memory");
		baton_wrmsr(BATON_X2APIC_ICR, (u64)apic_id << 32 | command);
	} else {
		while (native_apic_mem_read(APIC_ICR) & APIC_ICR_BUSY)
			cpu_relax();
		native_apic_mem_write(APIC_ICR2, apic_id << 24);
		native_apic_mem_write(APIC_ICR, command);
	}
	local_irq_restore(flags);
}

void baton_apic_send_nmi(u32 apic_id)
{
	baton_apic_send(apic_id, APIC_DM_NMI);
}

void baton_apic_send_init(u32 apic_id)
{
	baton_apic_send(apic_id, APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT);
}

void baton_apic_send_startup(u32 apic_id, u8 page)
{
	baton_apic_send(apic_id, APIC_DM_STARTUP | page);
}
