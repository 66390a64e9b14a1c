// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 2nd OS waits for the stop notice: an NMI, because it comes from a kernel that knows none of
 * this one's vectors. The handler only looks and counts; an irq_work wakes the agent.
 */
#define pr_fmt(fmt) "baton: " fmt

#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/reboot.h>
#include <linux/wait.h>
#include <asm/nmi.h>

#include "baton.h"

#define BATON_NMI_NAME "baton"

static DECLARE_WAIT_QUEUE_HEAD(baton_notice_queue);
static struct irq_work baton_notice_work;
static bool baton_noticed;
static u64 baton_sequence;
static bool baton_committed;

static void baton_notice_wake(struct irq_work *work)
{
	wake_up_all(&baton_notice_queue);
}

static int baton_notice_nmi(unsigned int type, struct pt_regs *regs)
{
	if (baton_notice_on_nmi(baton_in.region.va) <= 0)
		return NMI_DONE;
	baton_stamp(baton_in.region.va, BATON_PHASE_NOTICE_TAKEN);
	WRITE_ONCE(baton_noticed, true);
	irq_work_queue(&baton_notice_work);
	return NMI_HANDLED;
}

/* Before the takeover this kernel must not reset the machine: the 1st OS is at work on it. */
static int baton_notice_restart(struct notifier_block *nb, unsigned long action, void *data)
{
	if (READ_ONCE(baton_committed))
		return NOTIFY_DONE;
	pr_emerg("restart before the takeover: this CPU stops, the machine goes on\n");
	local_irq_disable();
	for (;;)
		asm volatile("hlt" : : : "memory");
}

/*
 * A panic of this kernel before the takeover is said to the 1st OS, which refuses the update then.
 * The message is cut to the field, of which the last byte stays zero.
 */
static int baton_notice_panic(struct notifier_block *nb, unsigned long action, void *data)
{
	struct baton_control_page *control = baton_control(baton_in.region.va);

	if (READ_ONCE(baton_committed))
		return NOTIFY_DONE;
	scnprintf((char *)control->message, sizeof(control->message), "kernel panic: %s",
		  data ? (const char *)data : "");
	WRITE_ONCE(control->reason, BATON_REASON_OTHER);
	smp_store_release(&control->second_state, BATON_SECOND_FAILED);
	return NOTIFY_DONE;
}

static struct notifier_block baton_panic_block = {
	.notifier_call = baton_notice_panic,
};

static struct notifier_block baton_restart_block = {
	.notifier_call = baton_notice_restart,
	.priority = 255,
};

/*
 * Without legacy hardware this kernel gives the numbers of ISA interrupts to message interrupts,
 * while its drivers for legacy devices (8250) still believe that the numbers are theirs. Taken
 * here, they are nobody's. A kernel that has some in use already keeps those.
 */
#define BATON_ISA_IRQS 16

static void baton_notice_reserve_irqs(void)
{
	int irq;

	for (irq = 1; irq < BATON_ISA_IRQS; irq++)
		irq_alloc_desc_at(irq, NUMA_NO_NODE);
}

int baton_notice_init(void)
{
	int err;

	baton_notice_reserve_irqs();
	init_irq_work(&baton_notice_work, baton_notice_wake);
	err = register_nmi_handler(NMI_LOCAL, baton_notice_nmi, 0, BATON_NMI_NAME);
	if (err)
		return err;
	err = register_restart_handler(&baton_restart_block);
	if (err)
		goto out_nmi;
	err = atomic_notifier_chain_register(&panic_notifier_list, &baton_panic_block);
	if (err)
		goto out_restart;
	return 0;

out_restart:
	unregister_restart_handler(&baton_restart_block);
out_nmi:
	unregister_nmi_handler(NMI_LOCAL, BATON_NMI_NAME);
	return err;
}

void baton_notice_exit(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &baton_panic_block);
	unregister_restart_handler(&baton_restart_block);
	unregister_nmi_handler(NMI_LOCAL, BATON_NMI_NAME);
	irq_work_sync(&baton_notice_work);
}

long baton_notice_wait(struct baton_wait_args *args)
{
	long ret;

	if (args->timeout_ms) {
		ret = wait_event_interruptible_timeout(baton_notice_queue,
						       READ_ONCE(baton_noticed),
						       msecs_to_jiffies(args->timeout_ms));
		if (!ret)
			return -ETIMEDOUT;
	} else {
		ret = wait_event_interruptible(baton_notice_queue, READ_ONCE(baton_noticed));
	}
	if (ret < 0)
		return ret;
	WRITE_ONCE(baton_noticed, false);
	return baton_notice_take(baton_in.region.va, &baton_sequence);
}

long baton_notice_commit(void)
{
	long err = baton_notice_do_commit(baton_in.region.va, baton_sequence);

	if (!err) {
		WRITE_ONCE(baton_committed, true);
		baton_stamp(baton_in.region.va, BATON_PHASE_COMMITTED);
		baton_takeover_set_clock();
		baton_takeover_mask_ioapics();
	}
	return err;
}

long baton_notice_give_back(void)
{
	return baton_notice_do_give_back(baton_in.region.va, baton_sequence);
}
