# Where the start-up IPI leads: real mode, at a page below 1 MiB, CS = page << 8, IP = 0.
# Real mode -> protected mode -> long mode with identity-mapped tables -> the kernel's 64-bit
# entry point with %rsi = zero page, CS 0x10, DS 0x18 (Documentation/arch/x86/boot.rst, "64-bit
# boot protocol"). The parameters at 0x10 are filled in by trampoline.rs; 0x30 counts the steps.
	.pushsection .rodata.baton_trampoline, "a"
	.balign 16
	.globl baton_trampoline_start
	.globl baton_trampoline_end
	.code16
baton_trampoline_start:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	jmp	1f
	.org	baton_trampoline_start + 0x10
	.quad	0				# 0x10: page table, below 4 GiB
	.quad	0				# 0x18: zero page
	.quad	0				# 0x20: entry point
	.quad	0				# 0x28: this page's physical address
	.quad	0				# 0x30: progress
	.org	baton_trampoline_start + 0x40
	.quad	0				# GDT: null
	.quad	0x00cf9a000000ffff		# 0x08 32-bit code
	.quad	0x00af9a000000ffff		# 0x10 64-bit code
	.quad	0x00cf92000000ffff		# 0x18 data
	.org	baton_trampoline_start + 0x60
	.word	0x1f				# 0x60: GDT limit
	.long	0				# 0x62: GDT base
	.org	baton_trampoline_start + 0x68
	.long	0				# 0x68: far pointer to 32-bit code
	.word	0x08
	.org	baton_trampoline_start + 0x70
	.long	0				# 0x70: far pointer to 64-bit code
	.word	0x10
	.org	baton_trampoline_start + 0x80
1:	movl	$1, 0x30
	movl	0x28, %ebx
	lgdtl	0x60
	movl	%cr0, %eax
	orl	$1, %eax			# PE
	movl	%eax, %cr0
	ljmpl	*0x68
	.org	baton_trampoline_start + 0xb0
	.code32
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$2, 0x30(%ebx)
	movl	%cr4, %eax
	orl	$0x20, %eax			# PAE
	movl	%eax, %cr4
	movl	0x10(%ebx), %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx		# EFER
	rdmsr
	orl	$0x100, %eax			# LME
	wrmsr
	movl	%cr0, %eax
	andl	$0x9fffffff, %eax		# CD and NW off
	orl	$0x80000001, %eax		# PG, PE
	movl	%eax, %cr0
	ljmpl	*0x70(%ebx)
	.org	baton_trampoline_start + 0x100
	.code64
	movl	$3, 0x30(%rbx)
	movq	0x18(%rbx), %rsi
	movq	0x20(%rbx), %rax
	xorl	%ebp, %ebp
	xorl	%edi, %edi
	jmpq	*%rax
baton_trampoline_end:
	.popsection
