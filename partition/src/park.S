# The parking loop: where CPUs of the 1st OS wait for the 2nd.
#
# Runs in 64-bit mode on the parking page tables, at its physical address, with its own GDT, IDT
# and stack, so that nothing of the 1st OS is needed once the handover is committed. Offsets in
# (%rdi) are those of `struct ParkSlot`, in (%rsi) those of `struct Mailbox` (handoff-abi). The
# page's second half holds parameters, GDT and IDT; park.rs fills them in.
	.pushsection .rodata.baton_park, "a"
	.balign 16
	.globl baton_park_start
	.globl baton_park_end
	.code64
baton_park_start:
	# 0x000: from baton.ko of the 1st OS, %rdi = physical address of this CPU's slot.
	endbr64
	jmp	enter
	.org	baton_park_start + 0x20
	# 0x020: from the 2nd OS, which takes a woken CPU offline again: 64-bit mode, identity-mapped,
	# but of our pages only this one is sure to be mapped.
	endbr64
	jmp	reset
	.org	baton_park_start + 0x40
	# 0x040: NMI. It was for a kernel that is not there any more.
	endbr64
	iretq
	.org	baton_park_start + 0x60
	# 0x060: any other exception: nothing sensible is left to do for this CPU.
	endbr64
1:	cli
	hlt
	jmp	1b

reset:	cli
	movq	%cr4, %rax
	btq	$12, %rax			# LA57
	leaq	baton_park_start+0x800(%rip), %rdx
	leaq	baton_park_start+0x808(%rip), %rcx
	cmovcq	%rcx, %rdx
	movq	(%rdx), %rax
	movq	%rax, %cr3
	# No stack is used: that of the 2nd OS is not mapped here.
	xorl	%eax, %eax
	cpuid
	cmpl	$0xb, %eax
	jb	1f
	movl	$0xb, %eax			# extended topology: the x2APIC ID
	xorl	%ecx, %ecx
	cpuid
	testl	%ebx, %ebx
	jz	1f
	movl	%edx, %r9d
	jmp	2f
1:	movl	$1, %eax
	cpuid
	shrl	$24, %ebx
	movl	%ebx, %r9d
2:	movq	baton_park_start+0x810(%rip), %rdi
	movq	baton_park_start+0x818(%rip), %rcx
3:	cmpl	%r9d, (%rdi)
	je	4f
	addq	$256, %rdi
	decq	%rcx
	jnz	3b
	jmp	baton_park_start+0x60
4:	movq	$-1, 72(%rdi)			# nothing to return to
	movq	$0, 104(%rdi)

enter:	cli
	cld
	movq	%rdi, %rbx
	lgdt	112(%rbx)
	lidt	128(%rbx)
	leaq	256(%rbx), %rsp
	movq	80(%rbx), %rsi			# mailbox
	movq	64(%rbx), %rdx			# stop word
	movq	72(%rbx), %r8			# its value for "return"
	movl	(%rbx), %r9d			# APIC ID
	movq	$1, 144(%rbx)			# parked
poll:	pause
	cmpq	%r8, (%rdx)
	je	back
	movzwl	(%rsi), %eax
	cmpl	$1, %eax
	je	wake
	cmpl	$2, %eax
	jne	poll
	cmpl	%r9d, 4(%rsi)
	jne	poll
	movw	$0, (%rsi)			# MAILBOX_TEST: acknowledge
	jmp	poll

wake:	cmpl	%r9d, 4(%rsi)
	jne	poll
	movq	8(%rsi), %r10
	movq	$0, 144(%rbx)
	# What the firmware would leave on: PAE and, if paging has five levels, LA57. Above all not
	# PCIDE, with which paging cannot be switched off, and not CET.
	cmpq	$0, 104(%rbx)
	je	1f
	movl	$0x6a2, %ecx			# IA32_S_CET
	xorl	%eax, %eax
	xorl	%edx, %edx
	wrmsr
1:	movq	%cr4, %rax
	andl	$0x1020, %eax
	movq	%rax, %cr4
	movw	$0, (%rsi)			# acknowledge
	jmpq	*%r10

back:	# The handover was aborted. Code, stack and tables of the 1st OS are in the upper half.
	movq	$0, 144(%rbx)
	lgdt	48(%rbx)
	lidt	32(%rbx)
	movq	8(%rbx), %rax			# CR3, loaded by the code at %rcx
	movq	24(%rbx), %rcx
	movq	16(%rbx), %rsp
	jmpq	*%rcx
baton_park_end:
	.popsection
