/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backing off: see backoff.h. Only the manager knows how often the service was begun anew, so it is
 * asked, over D-Bus. Where it can't be asked the wait is a second. systemd has an option of its own
 * for this since version 254 (RestartSteps=), which would do the same to a broker that crashed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/run/backoff.h"
#include "daemon/run/config_files.h"
#include "daemon/run/libsystemd.h"
#include "daemon/run/systemd.h"

#define STEP_MS    250
#define LONGEST_MS 10000

typedef int open_bus_fn(void **ret_bus);
typedef int get_property_fn(void *bus, const char *destination, const char *path,
	const char *interface, const char *member, void *ret_error, char type, void *ret);
typedef void *close_bus_fn(void *bus);

/* How often the manager has begun this service anew since somebody started it; -1: not known. */
static int restarts(void)
{
	const char *manager = getenv("NOTIFY_SOCKET");
	bool is_system = manager && strncmp(manager, "/run/systemd/", 13) == 0;
	open_bus_fn *open_bus = km_libsystemd_function(
		is_system ? "sd_bus_open_system" : "sd_bus_open_user");
	get_property_fn *get = km_libsystemd_function("sd_bus_get_property_trivial");
	close_bus_fn *close_bus = km_libsystemd_function("sd_bus_flush_close_unref");
	void *bus = NULL;
	uint32_t count = 0;
	int r = -1;

	if (!open_bus || !get || !close_bus || open_bus(&bus) < 0)
		return -1;
	if (get(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1/unit/self",
		    "org.freedesktop.systemd1.Service", "NRestarts", NULL, 'u', &count) >= 0)
		r = count > INT32_MAX ? INT32_MAX : (int)count;
	close_bus(bus);
	return r;
}

static unsigned wait_ms(void)
{
	int count = restarts();

	if (count < 0)
		return 1000;
	if (count == 0)
		return 0;
	return count > 6 ? LONGEST_MS : 100u << count;
}

static bool can_be_read(const struct km_config_source *source)
{
	struct km_config config;
	char text[256];

	if (!source || km_config_read(source, &config, NULL, text, sizeof text) < 0)
		return false;
	km_config_deinit(&config);
	return true;
}

bool km_back_off(const struct km_config_source *source, const char *text)
{
	const struct timespec step = { 0, STEP_MS * 1000000 };

	if (!getenv("NOTIFY_SOCKET"))
		return false;
	unsigned left = wait_ms();
	km_systemd_notify(
		"STATUS=can't start: %s (tried again in %.1f s)", text, (double)left / 1000);
	for (; left > 0; left -= left < STEP_MS ? left : STEP_MS) {
		nanosleep(&step, NULL);
		if (can_be_read(source))
			return true;
	}
	return false;
}
