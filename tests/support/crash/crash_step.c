/* SPDX-License-Identifier: Apache-2.0 */
/* Single-stepping: see crash_step.h. */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/crash/crash_step.h"
#include "tests/support/crash/registers.h"

/*
 * Two places that the walker comes to: crash_trap, where op's beginning and end are marked by a
 * trap, and crash_fork, the system call instruction that it is led to when it is cloned. Clones are
 * children of the test program (CLONE_PARENT): the walker is told nothing of their ends.
 */
#if defined(__x86_64__)
__asm__(".pushsection crash_op,\"ax\",@progbits\n"
	"crash_trap: int3\n ret\n"
	"crash_fork: syscall\n int3\n"
	".popsection\n");

static void lead_to_fork(struct user_regs_struct *regs, uint64_t pc)
{
	regs->rip = pc;
	regs->rax = SYS_clone;
	regs->orig_rax = UINT64_MAX;
	regs->rdi = CLONE_PARENT | SIGCHLD;
	regs->rsi = regs->rdx = regs->r10 = regs->r8 = 0;
}
#elif defined(__aarch64__)
__asm__(".pushsection crash_op,\"ax\",@progbits\n"
	"crash_trap: brk #0\n ret\n"
	"crash_fork: svc #0\n brk #0\n"
	".popsection\n");

static void lead_to_fork(struct user_regs_struct *regs, uint64_t pc)
{
	regs->pc = pc;
	memset(regs->regs, 0, 5 * sizeof regs->regs[0]);
	regs->regs[0] = CLONE_PARENT | SIGCHLD;
	regs->regs[8] = SYS_clone;
}
#endif

extern const char crash_trap[] __attribute__((visibility("hidden")));
extern const char crash_fork[] __attribute__((visibility("hidden")));
extern const char __start_crash_op[] __attribute__((visibility("hidden")));
extern const char __stop_crash_op[] __attribute__((visibility("hidden")));

static uint64_t text_start, text_end, load_base;

static void die(const char *what)
{
	fprintf(stderr, "crash_step: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The test program's own executable segment; it is the first object that the linker tells of. */
static int find_text(struct dl_phdr_info *info, size_t size, void *unused)
{
	load_base = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
			text_start = load_base + info->dlpi_phdr[i].p_vaddr;
			text_end = text_start + info->dlpi_phdr[i].p_memsz;
		}
	return 1;
}

static bool in_library(uint64_t pc)
{
	return pc >= text_start && pc < text_end &&
	       !(pc >= (uintptr_t)__start_crash_op && pc < (uintptr_t)__stop_crash_op);
}

/* Does a system call come next? The library leaves them to libc. */
static bool is_before_call(pid_t pid, uint64_t pc)
{
	if (in_library(pc))
		return false;
	errno = 0;
	long code = ptrace(PTRACE_PEEKTEXT, pid, pc, 0);
	if (errno != 0)
		die("PTRACE_PEEKTEXT");
	return (code & SYSCALL_MASK) == SYSCALL_CODE;
}

static void get_regs(pid_t pid, struct user_regs_struct *ret)
{
	struct iovec vec = { ret, sizeof *ret };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vec) < 0)
		die("PTRACE_GETREGSET");
}

static void set_regs(pid_t pid, const struct user_regs_struct *regs)
{
	struct iovec vec = { (void *)regs, sizeof *regs };

	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &vec) < 0)
		die("PTRACE_SETREGSET");
}

static int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			die("waitpid");
	return status;
}

static bool stopped_by(int status, int signal)
{
	return WIFSTOPPED(status) && WSTOPSIG(status) == signal;
}

/* Steps once. The process must stop again, for the step alone. */
static void step(pid_t pid, const char *what)
{
	if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) < 0)
		die("PTRACE_SINGLESTEP");
	int status = wait_status(pid);
	if (!stopped_by(status, SIGTRAP)) {
		fprintf(stderr, "crash_step: status %#x while %s\n", status, what);
		exit(1);
	}
}

const char *crash_cannot_step(void)
{
#if defined(__aarch64__)
	/* a step between ldxr and stxr clears the monitor: the pair would never succeed */
	if (!(getauxval(AT_HWCAP) & HWCAP_ATOMICS))
		return "this CPU has no LSE atomics: load-exclusive loops can't be single-stepped";
#endif
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) == 0)
			raise(SIGSTOP);
		_exit(0);
	}
	int status = wait_status(pid);
	bool can = WIFSTOPPED(status) && ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0 &&
		   stopped_by(wait_status(pid), SIGTRAP);
	if (!WIFEXITED(status)) {
		kill(pid, SIGKILL);
		wait_status(pid);
	}
	return can ? NULL : "ptrace isn't permitted or can't single-step here";
}

CRASH_OP void crash_trap_here(void)
{
	((void (*)(void))(uintptr_t)crash_trap)();
}

static CRASH_OP void run_walker(void (*op)(void *), void *arg)
{
	crash_trap_here();
	op(arg);
	crash_trap_here();
}

/* x86 stops behind the trap, arm64 at it */
static void pass_trap(pid_t pid)
{
	struct user_regs_struct regs;

	get_regs(pid, &regs);
	if (PC(regs) == (uintptr_t)crash_trap) {
		PC(regs) += 4;
		set_regs(pid, &regs);
	}
}

/* The victim's traps count from the first on; a thread that it makes stays where it begins. */
static int wait_for_trap(struct crash_walk *walk)
{
	unsigned long thread;
	int status;

	while ((status = wait_status(walk->pid)) >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8)) {
		if (ptrace(PTRACE_GETEVENTMSG, walk->pid, 0, &thread) < 0 ||
			!stopped_by(wait_status((pid_t)thread), SIGSTOP) ||
			ptrace(PTRACE_CONT, walk->pid, 0, 0) < 0)
			die("a thread of the walker");
		walk->thread = (pid_t)thread;
	}
	return status;
}

void crash_walk_begin(
	struct crash_walk *walk, void (*prepare)(void *), void (*op)(void *), void *arg)
{
	if (!text_end)
		dl_iterate_phdr(find_text, NULL);
	*walk = (struct crash_walk){ .pid = fork() };
	if (walk->pid < 0)
		die("fork");
	if (walk->pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 || raise(SIGSTOP) != 0)
			_exit(2);
		if (prepare)
			prepare(arg);
		run_walker(op, arg);
		_exit(3);
	}
	if (!stopped_by(wait_status(walk->pid), SIGSTOP) ||
		ptrace(PTRACE_SETOPTIONS, walk->pid, 0,
			PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE) < 0 ||
		ptrace(PTRACE_CONT, walk->pid, 0, 0) < 0 ||
		!stopped_by(wait_for_trap(walk), SIGTRAP))
		die("starting a walker");
	pass_trap(walk->pid);
}

bool crash_run_on(pid_t pid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_CONT, pid, 0, 0) < 0)
		die("PTRACE_CONT");
	if (!stopped_by(wait_status(pid), SIGTRAP))
		return false;
	get_regs(pid, &regs);
	pass_trap(pid);
	return PC(regs) - (uintptr_t)crash_trap <= 1;
}

bool crash_walk_step(struct crash_walk *walk)
{
	struct user_regs_struct regs;

	for (;;) {
		get_regs(walk->pid, &regs);
		if (PC(regs) == (uintptr_t)crash_trap)
			return false;
		bool calls = is_before_call(walk->pid, PC(regs));
		if (calls && walk->end_call && (long)NUMBER(regs) == walk->end_call)
			return false;
		walk->calls += calls;
		step(walk->pid, "stepping");
		if (in_library(PC(regs))) {
			walk->points++;
			walk->pc = PC(regs) - load_base;
			return true;
		}
	}
}

pid_t crash_walk_clone(const struct crash_walk *walk)
{
	struct user_regs_struct saved, regs;
	unsigned long child;

	get_regs(walk->pid, &saved);
	regs = saved;
	lead_to_fork(&regs, (uintptr_t)crash_fork);
	set_regs(walk->pid, &regs);
	step(walk->pid, "forking"); /* the fork event */
	if (ptrace(PTRACE_GETEVENTMSG, walk->pid, 0, &child) < 0 || child == 0)
		die("PTRACE_GETEVENTMSG");
	step(walk->pid, "returning from fork");
	set_regs(walk->pid, &saved);
	if (!stopped_by(wait_status((pid_t)child), SIGSTOP))
		die("cloning");
	set_regs((pid_t)child, &saved);
	return (pid_t)child;
}

pid_t crash_walk_take(struct crash_walk *walk)
{
	pid_t pid = walk->pid;

	walk->pid = -1;
	return pid;
}

void crash_walk_end(struct crash_walk *walk)
{
	if (walk->pid > 0)
		crash_kill(walk->pid);
	walk->pid = -1;
}

void crash_kill(pid_t victim)
{
	int status;

	if (kill(victim, SIGKILL) < 0)
		die("kill");
	do
		status = wait_status(victim);
	while (WIFSTOPPED(status));
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		fprintf(stderr, "crash_step: victim ended with status %#x\n", status);
		exit(1);
	}
}

bool crash_finish(pid_t victim)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_CONT, victim, 0, 0) < 0)
		die("PTRACE_CONT");
	int status = wait_status(victim);
	if (!WIFSTOPPED(status))
		return false;
	get_regs(victim, &regs);
	uint64_t behind = PC(regs) - (uintptr_t)crash_trap;
	crash_kill(victim);
	return stopped_by(status, SIGTRAP) && behind <= 1;
}
