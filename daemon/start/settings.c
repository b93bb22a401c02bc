/* SPDX-License-Identifier: Apache-2.0 */
/* The consequences of the config, and reading it again: see settings.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "daemon/metrics/server.h"
#include "daemon/peer/listener.h"
#include "daemon/peer/stranger.h"
#include "daemon/run/config_files.h"
#include "daemon/run/log.h"
#include "daemon/run/room.h"
#include "daemon/run/systemd.h"
#include "daemon/start/settings.h"

void km_settings_fill_memory(struct km_config *config)
{
	struct km_room room;

	if (config->total[KM_BYTES].value > 0)
		return;
	km_room_look("", &room);
	config->total[KM_BYTES].value = room.total / 2;
}

struct timeval km_settings_interval(const struct km_config *config)
{
	unsigned ms = config->interval_ms;

	return (struct timeval){ ms / 1000, ms % 1000 * 1000 };
}

void km_settings_raise_descriptors(const struct km_config *config)
{
	uint64_t needed = 3 * config->total[KM_TOPICS].value + 4 * config->total[KM_CLIENTS].value +
			  2 * KM_STRANGERS_IN_ALL + 64;
	struct rlimit limit, wanted;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	wanted = limit;
	if (wanted.rlim_max < needed)
		wanted.rlim_max = needed;
	wanted.rlim_cur = wanted.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	km_log(LOG_NOTICE | KM_EVENT_TOO_FEW_DESCRIPTORS, NULL, NULL,
		"%llu descriptors may be open; as many topics and clients as are configured may "
		"take %llu",
		(unsigned long long)limit.rlim_max, (unsigned long long)needed);
}

void km_settings_expect_descriptors(struct km_broker *broker)
{
	const struct km_limit *total = broker->config->total;

	km_store_expect(&broker->store,
		3 * (size_t)total[KM_TOPICS].value + 3 * (size_t)total[KM_CLIENTS].value);
}

/* Keeps the socket's settings as they were when the broker began. */
static void keep_socket(const struct km_broker *broker, struct km_config *fresh)
{
	const struct km_config *old = broker->config;

	if (strcmp(old->socket, fresh->socket) != 0 || old->socket_mode != fresh->socket_mode)
		km_log(LOG_WARNING | KM_EVENT_CONFIG_NEEDS_RESTART, NULL, NULL,
			km_listener_is_managers(broker->listener)
				? "socket and socket_mode don't count: the service manager made "
				  "the "
				  "socket, as its unit kickmsgd.socket says"
				: "socket and socket_mode are as they were: a change needs a "
				  "restart");
	strcpy(fresh->socket, old->socket);
	fresh->socket_mode = old->socket_mode;
}

/* The config as it is read again, in turns (turn.h): it may have thousands of rules. */
struct km_reading {
	struct km_work work;
	struct km_broker *broker;
	struct km_config_reading *config;
	bool again; /* the files may have changed since it began */
};

/* Takes the fresh config. */
static void take(struct km_broker *broker, struct km_config *fresh)
{
	struct timeval interval = km_settings_interval(fresh);

	broker->config_error[0] = '\0';
	keep_socket(broker, fresh);
	km_settings_fill_memory(fresh);
	km_config_deinit(broker->config);
	*broker->config = *fresh;
	km_log_init(fresh->log_level);
	event_add(broker->tick_event, &interval);
	km_metrics_settle(broker);
	km_settings_raise_descriptors(fresh);
	km_settings_expect_descriptors(broker);
	km_log(LOG_NOTICE | KM_EVENT_CONFIG_READ, NULL, NULL, "the config was read again");
}

static void refuse(struct km_broker *broker, const char *why)
{
	km_log(LOG_ERR | KM_EVENT_CONFIG_REFUSED, NULL, NULL, "the config stays as it was: %s",
		why);
	snprintf(broker->config_error, sizeof broker->config_error, "%s", why);
}

static void end_reading(struct km_broker *broker)
{
	struct km_reading *reading = broker->reading;

	broker->reading = NULL;
	km_turn_remove(&broker->turns, &reading->work);
	km_config_read_end(reading->config);
	free(reading);
}

static bool read_some(struct km_work *work)
{
	struct km_reading *reading = (struct km_reading *)work;
	struct km_broker *broker = reading->broker;
	char text[sizeof broker->config_error];
	struct km_config fresh;
	int r = km_config_read_some(reading->config, &fresh, text, sizeof text);

	if (r > 0)
		return true;
	if (r == 0)
		take(broker, &fresh);
	else
		refuse(broker, text);
	const bool again = reading->again;
	end_reading(broker);
	km_systemd_notify("READY=1");
	km_systemd_status(broker);
	if (again)
		km_settings_read_again(broker);
	return false;
}

void km_settings_read_again(struct km_broker *broker)
{
	struct km_reading *reading = broker->reading;

	if (reading) {
		reading->again = true;
		return;
	}
	km_systemd_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)km_clock_ns() / 1000);
	reading = calloc(1, sizeof *reading);
	if (reading)
		reading->config = km_config_read_begin(broker->config_source, NULL);
	if (reading && reading->config) {
		reading->work.step = read_some;
		reading->broker = broker;
		broker->reading = reading;
		km_turn_add(&broker->turns, &reading->work);
		return;
	}
	free(reading);
	refuse(broker, "no memory");
	km_systemd_notify("READY=1");
	km_systemd_status(broker);
}

void km_settings_deinit(struct km_broker *broker)
{
	if (broker->reading)
		end_reading(broker);
}
