/* SPDX-License-Identifier: Apache-2.0 */
/* The dbus-daemon of a stage: the reference one, with the limits of a session. Worker 0 starts it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/peers/peers.h"

static pid_t daemon_pid; /* worker 0's */

static void start(const char *address)
{
	char option[220];

	snprintf(option, sizeof(option), "--address=%s", address);
	daemon_pid = bench_fork();
	if (daemon_pid > 0)
		return;
	/* the daemon warns of a limit that it can't raise, which is hidden; a fault shows at the
	 * connection */
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
	execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile", "--nosyslog",
		option, (char *)NULL);
	_exit(127);
}

void peer_bus(const struct worker *worker, char *ret_address, size_t size)
{
	snprintf(ret_address, size, "unix:path=%s/%s.bus", worker->dir, worker->name);
	if (worker->index == 0 && daemon_pid == 0)
		start(ret_address);
}

void peer_bus_end(struct worker *worker)
{
	if (daemon_pid > 0) {
		kill(daemon_pid, SIGTERM);
		waitpid(daemon_pid, NULL, 0);
	}
}
