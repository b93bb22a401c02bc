/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager: see systemd.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/run/libsystemd.h"
#include "daemon/run/systemd.h"

static void notify(const char *state)
{
	int (*say)(int unset, const char *state) = NULL;

	if (getenv("NOTIFY_SOCKET"))
		say = km_libsystemd_function("sd_notify");
	if (say)
		say(0, state);
}

/* Says words that are said again anyway: never waits for a manager that stands still, as libsystemd
 * does. False: the manager takes nothing now. */
static bool mention(const char *state)
{
	static int fd = -1;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len > sizeof address.sun_path || (path[0] != '/' && path[0] != '@')) {
		notify(state);
		return true;
	}
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return sendto(fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL,
		       (struct sockaddr *)&address,
		       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) >= 0;
}

static uint64_t watchdog_usec(void)
{
	int (*ask)(int unset, uint64_t *ret_usec) = NULL;
	uint64_t usec = 0;

	if (getenv("NOTIFY_SOCKET"))
		ask = km_libsystemd_function("sd_watchdog_enabled");
	return ask && ask(0, &usec) > 0 ? usec : 0;
}

void km_systemd_notify(const char *format, ...)
{
	char state[1280];
	va_list args;

	va_start(args, format);
	vsnprintf(state, sizeof state, format, args);
	va_end(args);
	notify(state);
}

static void on_watchdog(evutil_socket_t fd, short what, void *userdata)
{
	mention("WATCHDOG=1");
}

int km_systemd_watch(struct km_broker *broker)
{
	uint64_t usec = watchdog_usec() / 2;
	struct timeval interval = { (time_t)(usec / 1000000), (suseconds_t)(usec % 1000000) };

	if (usec == 0)
		return 0;
	broker->watchdog_event = event_new(broker->base, -1, EV_PERSIST, on_watchdog, broker);
	if (!broker->watchdog_event || event_add(broker->watchdog_event, &interval) < 0)
		return -ENOMEM;
	return 0;
}

void km_systemd_status(struct km_broker *broker)
{
	char status[sizeof broker->status], files[256], store[64];
	const uint64_t *used = broker->accounts.used;
	const bool refused = broker->config_error[0];

	km_store_text(&broker->store, store, sizeof store);
	snprintf(status, sizeof status,
		"%s%.640s%s%llu clients, %llu topics, %llu endpoints, %.1f MiB, %s; "
		"kickmsgd " KM_VERSION ", config files: %s",
		refused ? "config refused: " : "", broker->config_error, refused ? "; " : "",
		(unsigned long long)used[KM_CLIENTS], (unsigned long long)used[KM_TOPICS],
		(unsigned long long)used[KM_ENDPOINTS], (double)used[KM_BYTES] / (1 << 20), store,
		km_config_files_text(broker->config, files, sizeof files));
	if (strcmp(status, broker->status) == 0)
		return;
	char text[sizeof status + sizeof "STATUS="];

	snprintf(text, sizeof text, "STATUS=%s", status);
	if (mention(text)) /* else the next tick tries again */
		strcpy(broker->status, status);
}
