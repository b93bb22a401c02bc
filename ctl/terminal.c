/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal: see terminal.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/terminal.h"

static struct {
	int fd; /* the terminal, or -1: it isn't one */
	bool coloured;
	pid_t pager; /* 0: none */
	volatile sig_atomic_t interrupted;
	volatile int64_t interrupted_ns; /* first */
	void (*interrupt)(void *userdata);
	void *userdata;
} terminal = { .fd = -1 };

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value;
}

void ctl_terminal_begin(void)
{
	const char *kind = getenv("TERM");
	bool is_dumb = !kind || !*kind || strcmp(kind, "dumb") == 0;

	if (!isatty(STDOUT_FILENO))
		return;
	terminal.fd = dup(STDOUT_FILENO);
	terminal.coloured = !is_dumb && !is_set("NO_COLOR");
}

bool ctl_is_terminal(void)
{
	return terminal.fd >= 0;
}

bool ctl_errors_are_shown(void)
{
	return isatty(STDERR_FILENO);
}

bool ctl_is_coloured(void)
{
	return terminal.coloured;
}

static bool get_size(struct winsize *ret)
{
	return terminal.fd >= 0 && ioctl(terminal.fd, TIOCGWINSZ, ret) == 0 && ret->ws_col &&
	       ret->ws_row;
}

unsigned ctl_terminal_columns(void)
{
	const char *said = getenv("COLUMNS");
	struct winsize size;

	if (get_size(&size))
		return size.ws_col;
	unsigned long columns = said ? strtoul(said, NULL, 10) : 0;
	return columns >= 1 && columns <= 10000 ? (unsigned)columns : 80;
}

unsigned ctl_terminal_rows(void)
{
	struct winsize size;

	return get_size(&size) ? size.ws_row : 24;
}

static void run_pager(const char *command)
{
	setenv("LESS", "FRSXMK", 0);
	setenv("LESSCHARSET", "utf-8", 0);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

/* The pager's command line; null: none is to be taken. */
static const char *pager_command(void)
{
	static const char *const names[] = { "KICKMSG_PAGER", "PAGER" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *said = getenv(names[i]);

		if (said)
			return *said && strcmp(said, "cat") != 0 ? said : NULL;
	}
	return "less || cat";
}

void ctl_pager_begin(void)
{
	const char *command = pager_command();
	int pipe_fds[2];

	if (terminal.fd < 0 || !isatty(STDIN_FILENO) || !command || !is_set("TERM") ||
		strcmp(getenv("TERM"), "dumb") == 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pipe_fds[0], STDIN_FILENO);
		run_pager(command);
	}
	close(pipe_fds[0]);
	if (pid > 0 && dup2(pipe_fds[1], STDOUT_FILENO) >= 0) {
		terminal.pager = pid;
		/* the pager has the terminal: it decides what Ctrl-C does, and may end early */
		signal(SIGPIPE, SIG_IGN);
		signal(SIGINT, SIG_IGN);
	}
	close(pipe_fds[1]);
}

void ctl_pager_end(void)
{
	int status;

	if (terminal.pager == 0)
		return;
	fflush(stdout);
	clearerr(stdout); /* a pager that was left early isn't a loss */
	dup2(terminal.fd, STDOUT_FILENO);
	while (waitpid(terminal.pager, &status, 0) < 0 && errno == EINTR)
		;
	terminal.pager = 0;
}

/* Output that is being written is written all the same. A user who doesn't want to wait for that
 * interrupts once more. Signals that come at once are one interrupt: timeout(1) sends its signal to the
 * program, and then to the program's group. */
#define AT_ONCE_NS INT64_C(200000000)

static void on_interrupt(int number)
{
	const int64_t now = ctl_now_ns();

	if (!terminal.interrupted) {
		terminal.interrupted_ns = now;
	} else if (now - terminal.interrupted_ns > AT_ONCE_NS) {
		signal(number, SIG_DFL);
		raise(number); /* it ends the program behind this function */
		return;
	}
	terminal.interrupted = 1;
	if (terminal.interrupt)
		terminal.interrupt(terminal.userdata);
}

void ctl_catch_interrupts(void (*interrupt)(void *userdata), void *userdata)
{
	const struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART };

	terminal.userdata = userdata;
	terminal.interrupt = interrupt;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool ctl_is_interrupted(void)
{
	return terminal.interrupted;
}

int64_t ctl_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t ctl_next_look(int64_t when_ns, int64_t interval_ns)
{
	const int64_t now = ctl_now_ns();

	return (when_ns + interval_ns > now ? when_ns : now) + interval_ns;
}

bool ctl_sleep_until(int64_t monotonic_ns)
{
	const struct timespec when = { monotonic_ns / 1000000000, monotonic_ns % 1000000000 };

	return !ctl_is_interrupted() &&
	       clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == 0;
}
