/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tracer's view of a CPU: the place of a stopped process, the system call that it is about to
 * make, and the instruction that makes one (its bits of SYSCALL_MASK are SYSCALL_CODE).
 */
#pragma once

#include <sys/user.h>

#if defined(__x86_64__)
#define PC(of)         ((of).rip)
#define NUMBER(of)     ((of).rax)
#define ARGUMENT_0(of) ((of).rdi)
#define ARGUMENT_1(of) ((of).rsi)
#define SYSCALL_MASK   0xffff
#define SYSCALL_CODE   0x050f
#elif defined(__aarch64__)
#define PC(of)         ((of).pc)
#define NUMBER(of)     ((of).regs[8])
#define ARGUMENT_0(of) ((of).regs[0])
#define ARGUMENT_1(of) ((of).regs[1])
#define SYSCALL_MASK   0xffffffff
#define SYSCALL_CODE   0xd4000001
#else
#error "crash tests know x86-64 and arm64"
#endif
