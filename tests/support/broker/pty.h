/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program at a terminal: a pseudo-terminal of a size, a program that runs at it, what it shows, and what
 * is typed.
 */
#pragma once

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "tests/support/broker/flow.h"

struct pty {
	int fd;
	pid_t pid;
	char shown[262144]; /* all so far, with its control sequences */
	size_t used;
};

/* Runs argv at the terminal. `variables` (NAME=VALUE, up to null) are added to its environment,
 * TERM among them. */
static inline void pty_start(struct pty *pty, unsigned short rows, unsigned short columns,
	const char *const argv[], const char *const variables[])
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };

	*pty = (struct pty){ 0 };
	pty->pid = forkpty(&pty->fd, NULL, NULL, &size);
	ck_assert_int_ge(pty->pid, 0);
	if (pty->pid > 0)
		return;
	unsetenv("NO_COLOR");
	unsetenv("PAGER");
	unsetenv("COLUMNS");
	setenv("TERM", "xterm", 1);
	setenv("KICKMSG_PAGER", "", 1);
	for (size_t i = 0; variables && variables[i]; i++)
		putenv((char *)variables[i]);
	execv(argv[0], (char **)argv);
	_exit(127);
}

/* Takes what the program shows, for at most so long. False: it has ended. */
static inline bool pty_look(struct pty *pty, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = pty->fd, .events = POLLIN };

	if (poll(&poll_fd, 1, timeout_ms) <= 0)
		return true;
	ssize_t n = read(pty->fd, pty->shown + pty->used, sizeof pty->shown - 1 - pty->used);
	if (n <= 0)
		return false;
	pty->used += (size_t)n;
	pty->shown[pty->used] = '\0';
	return true;
}

/* Waits until the program shows this text behind what it had shown up to `from`. */
static inline void pty_wait(struct pty *pty, size_t from, const char *text)
{
	for (int waited = 0; !strstr(pty->shown + from, text); waited += 20) {
		ck_assert_msg(waited < FLOW_WAIT_MS && pty_look(pty, 20), "no '%s': %s", text,
			pty->shown + from);
	}
}

static inline void pty_type(struct pty *pty, const char *text)
{
	ck_assert_int_eq(write(pty->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static inline void pty_resize(struct pty *pty, unsigned short rows, unsigned short columns)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };

	ck_assert_int_eq(ioctl(pty->fd, TIOCSWINSZ, &size), 0);
}

/* Returns the program's exit status, once it has ended by itself. */
static inline int pty_end(struct pty *pty)
{
	int status, waited = 0;
	pid_t pid;

	while ((pid = waitpid(pty->pid, &status, WNOHANG)) == 0 && waited < FLOW_WAIT_MS) {
		if (!pty_look(pty, 10))
			test_nap();
		waited += 10;
	}
	if (pid == 0) {
		kill(pty->pid, SIGKILL);
		waitpid(pty->pid, &status, 0);
	}
	while (pty_look(pty, 100) && pty->used < sizeof pty->shown - 1) {
		struct pollfd poll_fd = { .fd = pty->fd, .events = POLLIN };

		if (poll(&poll_fd, 1, 0) <= 0)
			break;
	}
	close(pty->fd);
	ck_assert_msg(pid != 0, "it doesn't end: %s", pty->shown);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
