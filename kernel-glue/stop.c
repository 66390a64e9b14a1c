// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 1st OS stops: every CPU but one goes into the parking loop, the last publishes STOPPED,
 * sends the notice, and follows when the 2nd OS has committed. Until then everything can be taken
 * back: the stop word becomes ABORTED, the parked CPUs see it and return.
 */
#define pr_fmt(fmt) "baton: " fmt

#include <linux/cpu.h>
#include <linux/mutex.h>
#include <linux/nmi.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>
#include <asm/processor.h>
#include <asm/special_insns.h>
#include <asm/tsc.h>

#include "baton.h"

#define BATON_CR4_LA57 (1ul << 12)
#define BATON_PGD_HALF 256

/* One stop, the same for all CPUs. Written before they are called, read-only after. */
struct baton_stop_plan {
	u8 *region;
	struct baton_park_slot *slots;
	u64 slots_pa;
	u64 slot_count;
	u64 root;
	u64 entry;
	u64 stop_word_pa;
	u64 abort_value;
};

static struct baton_stop_plan baton_plan;

static u8 *baton_out_va(u64 pa)
{
	return baton_out.partition.va + (pa - baton_out.partition.base);
}

/* By the frequency that was measured at load: what this kernel believes may be wrong. */
static u64 baton_ms_to_tsc(u32 ms)
{
	struct baton_timeline_page *timeline =
		(void *)(baton_out.region + BATON_TIMELINE_OFFSET);

	return ms * READ_ONCE(timeline->tsc_khz);
}

static void baton_park_self(const struct baton_stop_plan *plan)
{
	u32 apic_id = baton_apic_id();
	u64 i;

	for (i = 0; i < plan->slot_count; i++) {
		if (plan->slots[i].apic_id != apic_id)
			continue;
		baton_park(&plan->slots[i], plan->slots_pa + i * sizeof(plan->slots[0]),
			   plan->root, plan->entry, plan->stop_word_pa, plan->abort_value);
		return;
	}
}

/* Called by IPI on every CPU but the one that commands: interrupts are off. */
static void baton_park_this_cpu(void *unused)
{
	struct baton_control_page *control = baton_control(baton_plan.region);

	asm volatile("lock incl %0" : "+m"(control->parked) : : "memory");
	baton_park_self(&baton_plan);	/* as it is now, should this CPU be late for an earlier one */
	asm volatile("lock decl %0" : "+m"(control->parked) : : "memory");
}

/* Gives the parking tables this kernel's upper half, and fills in the plan. */
static void baton_plan_stop(u64 sequence)
{
	struct baton_header_page *header = (void *)(baton_out.region + BATON_HEADER_OFFSET);
	bool la57 = native_read_cr4() & BATON_CR4_LA57;
	u64 root = la57 ? header->park_pml5 : header->park_pml4;
	u64 cr3 = __native_read_cr3() & CR3_ADDR_MASK;
	u64 *ours = __va(cr3), *theirs = (u64 *)baton_out_va(root);
	int i;

	for (i = BATON_PGD_HALF; i < 2 * BATON_PGD_HALF; i++)
		theirs[i] = READ_ONCE(ours[i]);
	baton_plan = (struct baton_stop_plan){
		.region = baton_out.region,
		.slots = (struct baton_park_slot *)baton_out_va(header->park_slots),
		.slots_pa = header->park_slots,
		.slot_count = header->park_slot_count,
		.root = root,
		.entry = header->park_code + header->park_entry,
		.stop_word_pa = header->region_base + BATON_CONTROL_OFFSET +
				offsetof(struct baton_control_page, stop_word),
		.abort_value = sequence << 8 | BATON_STOP_STATE_ABORTED,
	};
	WRITE_ONCE(baton_control(baton_out.region)->first_cr3, cr3);
}

static struct baton_park_slot *baton_slot_of(u32 cpu)
{
	u64 i;

	for (i = 0; i < baton_plan.slot_count; i++)
		if (baton_plan.slots[i].apic_id == cpu_physical_id(cpu))
			return &baton_plan.slots[i];
	return NULL;
}

/* A CPU that was added to the machine after the load has nowhere to park. */
static bool baton_all_have_slots(void)
{
	u32 cpu;

	for_each_online_cpu(cpu)
		if (!baton_slot_of(cpu))
			return false;
	return true;
}

static bool baton_all_parked(void)
{
	u32 cpu;

	for_each_online_cpu(cpu)
		if (cpu != smp_processor_id() && !READ_ONCE(baton_slot_of(cpu)->parked))
			return false;
	return true;
}

/* Nobody is on the way in or out of an earlier stop's loop. */
static bool baton_none_parked(void)
{
	return !READ_ONCE(baton_control(baton_out.region)->parked);
}

/* Interrupts are on, so that no other CPU waits for this one. */
static bool baton_wait_for(bool (*condition)(void), u32 timeout_ms)
{
	u64 start = rdtsc_ordered(), limit = baton_ms_to_tsc(timeout_ms);

	while (!condition()) {
		if (rdtsc_ordered() - start > limit)
			return false;
		cpu_relax();
	}
	return true;
}

/* The other kernel has no clock but the TSC: what the time was, and when. */
static void baton_stamp_stop(u8 *region)
{
	struct baton_timeline_page *timeline = (void *)(region + BATON_TIMELINE_OFFSET);
	unsigned long flags;

	local_irq_save(flags);
	baton_stamp(region, BATON_PHASE_STOP);
	WRITE_ONCE(timeline->realtime_ns, ktime_get_real_ns());
	local_irq_restore(flags);
}

static void baton_wait_returned(void)
{
	struct baton_control_page *control = baton_control(baton_out.region);

	/* The parked CPUs poll the stop word, which is ABORTED: they come back by themselves. */
	while (READ_ONCE(control->parked))
		cpu_relax();
}

/*
 * With all other CPUs parked and interrupts off: publishes, notifies, and waits for the commit.
 * Does not return if it comes. Returns the reason if the machine stays ours.
 */
static u32 baton_hand_over(const struct baton_stop_args *args, u64 sequence)
{
	struct baton_header_page *header = (void *)(baton_out.region + BATON_HEADER_OFFSET);
	u64 answer = baton_ms_to_tsc(args->answer_ms), commit = baton_ms_to_tsc(args->commit_ms);
	u8 *region = baton_out.region;
	u64 start, state;

	if (baton_stop_publish(region, sequence)) {
		baton_stop_abort(region, sequence);
		return BATON_REASON_CORRUPT;
	}
	start = baton_stamp(region, BATON_PHASE_NOTICE_SENT);
	baton_apic_send_nmi(header->second_apic_id);
	for (;;) {
		u64 waited = rdtsc_ordered() - start;

		state = baton_stop_word(region) & 0xff;
		if (state == BATON_STOP_STATE_COMMITTED)
			baton_park_self(&baton_plan);	/* for good */
		if (state == BATON_STOP_STATE_ABORTED)
			return READ_ONCE(baton_control(region)->reason) ?: BATON_REASON_OTHER;
		if ((state == BATON_STOP_STATE_STOPPED && waited > answer) ||
		    waited > answer + commit) {
			if (!baton_stop_abort(region, sequence))
				return state == BATON_STOP_STATE_STOPPED ?
					BATON_REASON_NO_ANSWER : BATON_REASON_NO_COMMIT;
		}
		cpu_relax();
	}
}

/* With the writers at rest. Returns only if the handover was aborted. */
static u32 baton_stop_cpus(const struct baton_stop_args *args, u64 sequence)
{
	struct baton_control_page *control = baton_control(baton_out.region);
	unsigned long flags;
	u32 reason;

	cpus_read_lock();
	preempt_disable();
	baton_plan_stop(sequence);
	if (!baton_all_have_slots()) {
		reason = BATON_REASON_NO_SLOT;
		goto out;
	}
	if (!baton_wait_for(baton_none_parked, args->park_ms)) {
		reason = BATON_REASON_CPU_LATE;
		goto out;
	}
	WRITE_ONCE(control->first_state, BATON_FIRST_PARKING);
	baton_stamp_stop(baton_out.region);
	smp_call_function(baton_park_this_cpu, NULL, 0);
	if (!baton_wait_for(baton_all_parked, args->park_ms)) {
		baton_stop_abort(baton_out.region, sequence);
		reason = BATON_REASON_CPU_LATE;
	} else {
		local_irq_save(flags);
		baton_stamp(baton_out.region, BATON_PHASE_PARKED);
		WRITE_ONCE(control->first_state, BATON_FIRST_PARKED);
		reason = baton_hand_over(args, sequence);
		local_irq_restore(flags);
	}
	baton_wait_returned();
	touch_softlockup_watchdog();
	WRITE_ONCE(control->first_state, BATON_FIRST_RUNNING);
out:
	preempt_enable();
	cpus_read_unlock();
	return reason;
}

long baton_stop(struct baton_stop_args *args)
{
	struct baton_control_page *control;
	u64 sequence;
	int err;

	if (!baton_out.region || !baton_out.started)
		return -ENXIO;
	if (args->fd_count > ARRAY_SIZE(args->fds))
		return -EINVAL;
	control = baton_control(baton_out.region);
	err = baton_stop_sequence(baton_out.region, &sequence);
	if (err)
		return err;
	if (READ_ONCE(control->second_state) != BATON_SECOND_READY)
		return -EAGAIN;
	WRITE_ONCE(control->reason, BATON_REASON_NONE);
	WRITE_ONCE(control->message[0], 0);
	baton_stamp(baton_out.region, BATON_PHASE_UPDATE);
	WRITE_ONCE(control->first_state, BATON_FIRST_QUIESCING);
	err = baton_quiesce_begin(args, baton_out.region, &args->reason, &args->culprit);
	if (!err) {
		args->reason = baton_stop_cpus(args, sequence);
		err = -ECANCELED;
	}
	WRITE_ONCE(control->first_state, BATON_FIRST_RUNNING);
	baton_quiesce_end();
	return err;
}
