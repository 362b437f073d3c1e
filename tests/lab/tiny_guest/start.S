/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry by the PVH protocol: 32-bit protected mode, flat segments, interrupts off. */
    .section .note.pvh, "a", @note
    .long 4, 4, 18                  /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long _start

    .text
    .globl _start
_start:
    cli
    movl $stack_end, %esp
    lgdt gdt_register
    ljmp $8, $1f
1:  movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    call tiny_main
2:  cli
    hlt
    jmp 2b

    .macro handler name, function
    .globl \name
\name:
    pushl %eax
    pushl %ecx
    pushl %edx
    call \function
    popl %edx
    popl %ecx
    popl %eax
    iret
    .endm
    handler pit_entry, pit_interrupt
    handler rtc_entry, rtc_interrupt
    handler lapic_timer_entry, lapic_timer_interrupt
    handler disk_entry, disk_interrupt
    handler stray_entry, stray_interrupt

/* Copied to 8000h; the second CPU begins here in real mode, says so, and waits for nothing. */
    .code16
    .globl second_cpu_begin, second_cpu_end
second_cpu_begin:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lock incl 0x9000
1:  hlt
    jmp 1b
second_cpu_end:
    .code32

    .data
    .align 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_register:
    .word gdt_register - gdt - 1
    .long gdt

    .bss
    .align 16
    .skip 16384
stack_end:
