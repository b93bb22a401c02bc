/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo's processes: the private broker, the children, kickmsgctl. All die with the parent, and
 * no wait is without a bound.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

#define BROKER_START_SECONDS 10
#define BROKER_STOP_SECONDS  10
#define CTL_SECONDS          10
#define POLL_NS              INT64_C(2000000)

void demo_nap_ns(int64_t ns)
{
	struct timespec nap = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	nanosleep(&nap, NULL);
}

int demo_wait_exit(pid_t pid, int seconds, int *ret_status)
{
	int64_t deadline = demo_now_ns() + seconds * INT64_C(1000000000);

	for (;;) {
		pid_t done = waitpid(pid, ret_status, WNOHANG);

		if (done == pid)
			return 0;
		if (done < 0 && errno != EINTR)
			return -errno;
		if (demo_now_ns() > deadline)
			return -ETIMEDOUT;
		demo_nap_ns(POLL_NS);
	}
}

const char *demo_end_text(int status, char *ret, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(ret, size, "ended by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		snprintf(ret, size, "can't be run");
	else
		snprintf(ret, size, "ended with status %d", WEXITSTATUS(status));
	return ret;
}

bool demo_broker_is_gone(struct demo *demo)
{
	int status;

	if (demo->broker <= 0 || waitpid(demo->broker, &status, WNOHANG) != demo->broker)
		return false;
	demo->broker = 0;
	demo_end_text(status, demo->broker_end, sizeof(demo->broker_end));
	return true;
}

/* Forks; the child gets `death_signal` when the parent ends, and default signal handling. */
static pid_t fork_bound(int death_signal)
{
	pid_t parent = getpid();

	fflush(NULL);
	pid_t pid = fork();
	if (pid != 0)
		return pid < 0 ? -errno : pid;
	/* A terminal's ^C goes to everybody: the parent decides. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, death_signal);
	if (getppid() != parent)
		_exit(1);
	return 0;
}

pid_t demo_spawn(struct demo *demo, int (*body)(struct demo *demo, int argument), int argument)
{
	pid_t pid = fork_bound(SIGKILL);

	if (pid == 0)
		_exit(body(demo, argument));
	return pid;
}

/* Replaces the child by a program; stdout and stderr go to `output` when it isn't negative. */
static void run(const char *program, const char *const arguments[], int output)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (in >= 0)
		dup2(in, STDIN_FILENO);
	if (output >= 0) {
		dup2(output, STDOUT_FILENO);
		dup2(output, STDERR_FILENO);
	}
	execv(program, (char *const *)arguments);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

int demo_broker_start(struct demo *demo)
{
	const struct kickmsg_client_config config = {
		.name = "demo",
		.socket_path = demo->socket,
	};
	int64_t deadline = demo_now_ns() + BROKER_START_SECONDS * INT64_C(1000000000);
	const char *arguments[] = { "kickmsgd", "--socket", demo->socket, NULL };
	int log = open(demo->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int r;

	if (log < 0)
		return -errno;
	demo->broker = fork_bound(SIGTERM);
	if (demo->broker == 0)
		run(demo->kickmsgd, arguments, log);
	close(log);
	if (demo->broker < 0)
		return (int)demo->broker;
	do {
		struct kickmsg_client *client;

		r = kickmsg_client_new(&config, &client);
		if (r == 0) {
			kickmsg_client_free(client);
			return 0;
		}
		if (demo_broker_is_gone(demo))
			return -ECHILD;
		demo_nap_ns(POLL_NS);
	} while (demo_now_ns() < deadline);
	return r;
}

int demo_broker_stop(struct demo *demo)
{
	int status = 0;

	if (demo_broker_is_gone(demo) || *demo->broker_end)
		return -ECHILD;
	if (demo->broker <= 0)
		return 0;
	kill(demo->broker, SIGTERM);
	int r = demo_wait_exit(demo->broker, BROKER_STOP_SECONDS, &status);
	if (r == -ETIMEDOUT) {
		kill(demo->broker, SIGKILL);
		waitpid(demo->broker, &status, 0);
		snprintf(demo->broker_end, sizeof(demo->broker_end),
			"hadn't ended %d s after SIGTERM, and was killed", BROKER_STOP_SECONDS);
	}
	demo->broker = 0;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
		demo_end_text(status, demo->broker_end, sizeof(demo->broker_end));
		r = -ECHILD;
	}
	return r;
}

/* Prints what comes out of the stream, indented; unless `all`, without the coming and going of the
 * demo's own calls. */
static void show_stream(FILE *stream, bool all)
{
	char line[512];

	while (fgets(line, sizeof(line), stream)) {
		if (all || (!strstr(line, "client=kickmsgctl") && !strstr(line, "client=demo")))
			printf("    | %s", line);
	}
	fflush(stdout);
}

int demo_ctl(const struct demo *demo, const char *verb, bool show)
{
	const char *arguments[] = { "kickmsgctl", verb, NULL };
	FILE *output = tmpfile();
	int status = 0;

	if (!output)
		return -errno;
	pid_t pid = fork_bound(SIGKILL);
	if (pid == 0) {
		setenv("KICKMSG_SOCKET", demo->socket, 1);
		run(demo->kickmsgctl, arguments, fileno(output));
	}
	int r = pid < 0 ? (int)pid : demo_wait_exit(pid, CTL_SECONDS, &status);
	if (r == -ETIMEDOUT) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	if (r == 0) {
		r = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
		rewind(output);
		if (show)
			show_stream(output, true);
	}
	fclose(output);
	return r;
}

void demo_show_log(struct demo *demo, bool all)
{
	FILE *log = fopen(demo->log, "re");

	if (!log)
		return;
	if (fseek(log, demo->log_shown, SEEK_SET) == 0)
		show_stream(log, all);
	demo->log_shown = ftell(log);
	fclose(log);
}
