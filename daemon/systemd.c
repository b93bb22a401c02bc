/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager: see systemd.h. Built without libsystemd there never is one. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "systemd.h"

#ifdef HAVE_LIBSYSTEMD
#include <dlfcn.h>
#include <systemd/sd-daemon.h>

/* A function of libsystemd; null: there is no manager, or (said once) no library. */
static void *function(const char *name)
{
	static void *library;
	static bool tried;

	if (!getenv("NOTIFY_SOCKET"))
		return NULL;
	if (!tried) {
		tried = true;
		library = dlopen("libsystemd.so.0", RTLD_LAZY | RTLD_LOCAL);
		if (!library)
			km_log(LOG_WARNING, NULL, NULL, "started by a service manager, but %s",
				dlerror());
	}
	return library ? dlsym(library, name) : NULL;
}

static void notify(const char *state)
{
	__typeof__(&sd_notify) say = (__typeof__(say))function("sd_notify");

	if (say)
		say(0, state);
}

static uint64_t watchdog_usec(void)
{
	__typeof__(&sd_watchdog_enabled) ask = (__typeof__(ask))function("sd_watchdog_enabled");
	uint64_t usec = 0;

	return ask && ask(0, &usec) > 0 ? usec : 0;
}
#else
static void notify(const char *state)
{
}

static uint64_t watchdog_usec(void)
{
	return 0;
}
#endif

void km_systemd_notify(const char *format, ...)
{
	char state[512];
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
