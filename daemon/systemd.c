/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager: see systemd.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libsystemd.h"
#include "systemd.h"

static void notify(const char *state)
{
	int (*say)(int unset, const char *state) = NULL;

	if (getenv("NOTIFY_SOCKET"))
		say = km_libsystemd_function("sd_notify");
	if (say)
		say(0, state);
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
	char state[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(state, sizeof state, format, args);
	va_end(args);
	notify(state);
}

static void on_watchdog(evutil_socket_t fd, short what, void *userdata)
{
	notify("WATCHDOG=1");
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
	char status[sizeof broker->status];
	const uint64_t *used = broker->used;

	snprintf(status, sizeof status, "%llu clients, %llu topics, %llu endpoints, %.1f MiB",
		(unsigned long long)used[KM_CLIENTS], (unsigned long long)used[KM_TOPICS],
		(unsigned long long)used[KM_ENDPOINTS], (double)used[KM_BYTES] / (1 << 20));
	if (strcmp(status, broker->status) == 0)
		return;
	strcpy(broker->status, status);
	km_systemd_notify("STATUS=%s", status);
}
