/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's beginning and end, and what all of it shares: see broker.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "broker.h"
#include "cleanup.h"
#include "health.h"
#include "keep.h"
#include "lifetime.h"
#include "listener.h"
#include "log.h"
#include "member.h"
#include "restore.h"
#include "segment.h"
#include "session.h"
#include "systemd.h"
#include "topic.h"
#include "waiter.h"

/* A number of /proc/meminfo in bytes; 0 when it can't be read. */
static uint64_t read_meminfo(const char *key)
{
	char line[128];
	unsigned long long kib = 0;
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, key, strlen(key)) == 0 &&
			sscanf(line + strlen(key), ": %llu kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib * 1024;
}

int km_broker_check_memory(
	const struct km_account *account, uint64_t size, char *ret_text, size_t text_size)
{
	int r = km_account_check(account, KM_BYTES, size, ret_text, text_size);

	if (r < 0 || size <= KM_CLIENT_SEGMENT_SIZE)
		return r; /* of little memory fallocate says soon enough */
	uint64_t available = read_meminfo("MemAvailable");
	if (size <= available)
		return 0;
	snprintf(ret_text, text_size, "%llu bytes are needed, the machine has %llu available",
		(unsigned long long)size, (unsigned long long)available);
	return -ENOMEM;
}

void km_broker_sweep(struct km_broker *broker)
{
	struct km_session *session, *next_session;

	if (broker->sweep) {
		broker->sweep = false;
		for (session = LIST_FIRST(&broker->sessions); session; session = next_session) {
			next_session = LIST_NEXT(session, next);
			if (session->member_count == 0 && session->state >= KM_SESSION_DISCONNECTED)
				km_session_free(session);
		}
		km_lifetime_sweep(broker);
	}
	km_keep_commit(broker);
}

uint64_t km_broker_realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void settle_memory_limit(struct km_config *config)
{
	if (config->total[KM_BYTES].value == 0)
		config->total[KM_BYTES].value = read_meminfo("MemTotal") / 2;
}

static struct timeval health_interval(const struct km_config *config)
{
	unsigned ms = config->interval_ms;

	return (struct timeval){ ms / 1000, ms % 1000 * 1000 };
}

/* A topic takes two descriptors or three, a client three and one for each 16 KiB of records. More than the
 * hard limit only the privileged get. */
static void raise_descriptor_limit(const struct km_config *config)
{
	uint64_t needed = 3 * config->total[KM_TOPICS].value + 4 * config->total[KM_CLIENTS].value +
			  64;
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

/* What was fixed when the broker began: kept, and said. */
static void keep_socket(const struct km_config *old, struct km_config *fresh)
{
	if (strcmp(old->socket, fresh->socket) != 0 || old->socket_mode != fresh->socket_mode)
		km_log(LOG_WARNING | KM_EVENT_CONFIG_NEEDS_RESTART, NULL, NULL,
			"socket and socket_mode are as they were: a change needs a restart");
	strcpy(fresh->socket, old->socket);
	fresh->socket_mode = old->socket_mode;
}

void km_broker_reload(struct km_broker *broker)
{
	struct km_config fresh;
	char text[512];

	km_systemd_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)km_clock_ns() / 1000);
	if (km_config_read(broker->config_source, &fresh, NULL, text, sizeof text) < 0) {
		km_log(LOG_ERR | KM_EVENT_CONFIG_REFUSED, NULL, NULL,
			"the config stays as it was: %s", text);
	} else {
		struct timeval interval = health_interval(&fresh);

		keep_socket(broker->config, &fresh);
		settle_memory_limit(&fresh);
		km_config_deinit(broker->config);
		*broker->config = fresh;
		km_log_init(fresh.log_level);
		event_add(broker->tick_event, &interval);
		raise_descriptor_limit(&fresh);
		km_log(LOG_NOTICE | KM_EVENT_CONFIG_READ, NULL, NULL, "the config was read again");
	}
	km_systemd_notify("READY=1");
}

static void on_signal(evutil_socket_t number, short what, void *userdata)
{
	struct km_broker *broker = userdata;

	if (number == SIGHUP) {
		km_broker_reload(broker);
		return;
	}

	km_log(LOG_INFO | KM_EVENT_ENDING, NULL, NULL, "ending: SIG%s", sigabbrev_np((int)number));
	event_base_loopbreak(broker->base);
}

/* The lock is taken through a description of its own: one that came with a descriptor from somebody
 * else would be that one's lock too. */
static int open_reconcile_lock(struct km_broker *broker)
{
	int r = 0;

	/* that of the broker before this one, should it still run, half dead */
	broker->reconcile_memfd = km_store_take(&broker->store, KM_STORE_LOCK, 0, 0);
	if (broker->reconcile_memfd >= 0 && km_segment_check(broker->reconcile_memfd, 1) < 0) {
		km_log(LOG_WARNING | KM_EVENT_FOREIGN_DESCRIPTOR, NULL, NULL,
			"descriptor '%c' from the service manager is no memory of a broker: closed",
			KM_STORE_LOCK);
		broker->reconcile_memfd = km_close(broker->reconcile_memfd);
		km_store_remove(&broker->store, KM_STORE_LOCK, 0, 0);
		km_store_flush(&broker->store);
	}
	if (broker->reconcile_memfd < 0) {
		r = km_segment_create("kickmsgd-reconcile", 4096, &broker->reconcile_memfd);
		if (r == 0)
			km_store_put(&broker->store, KM_STORE_LOCK, 0, 0, broker->reconcile_memfd);
	}
	return r < 0 ? r
		     : km_segment_reopen(broker->reconcile_memfd, O_RDWR, &broker->reconcile_lock);
}

static int add_events(struct km_broker *broker)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct timeval interval = health_interval(broker->config);

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		broker->signal_events[i] = evsignal_new(
			broker->base, signals[i], on_signal, broker);
		if (!broker->signal_events[i] || evsignal_add(broker->signal_events[i], NULL) < 0)
			return -ENOMEM;
	}
	broker->tick_event = event_new(broker->base, -1, EV_PERSIST, km_health_on_tick, broker);
	broker->again_event = evtimer_new(broker->base, km_health_on_again, broker);
	if (!broker->again_event || !broker->tick_event ||
		event_add(broker->tick_event, &interval) < 0)
		return -ENOMEM;
	return 0;
}

static int start_loop(struct km_broker *broker)
{
	broker->base = event_base_new();
	int r = broker->base ? open_reconcile_lock(broker) : -ENOMEM;
	if (r == 0)
		r = add_events(broker);
	if (r == 0)
		r = km_systemd_watch(broker);
	if (r < 0)
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL, "can't start: %s", strerror(-r));
	return r;
}

int km_broker_init(
	struct km_broker *broker, const struct km_config_source *source, struct km_config *config)
{
	int r;

	memset(broker, 0, sizeof *broker);
	broker->config_source = source;
	broker->config = config;
	broker->reconcile_memfd = broker->reconcile_lock = -1;
	settle_memory_limit(config);
	LIST_INIT(&broker->accounts);
	LIST_INIT(&broker->sessions);
	TAILQ_INIT(&broker->topics);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit(config);
	/* store and listener say for themselves what is wrong */
	r = km_store_init(&broker->store);
	if (r == 0)
		r = start_loop(broker);
	if (r == 0)
		r = km_listener_new(broker, &broker->listener);
	if (r == 0)
		km_restore(broker);
	else
		km_systemd_notify("ERRNO=%d\nSTATUS=can't start: %s", -r, strerror(-r));
	return r;
}

int km_broker_run(struct km_broker *broker)
{
	km_systemd_notify("READY=1");
	km_systemd_status(broker);
	int r = event_base_dispatch(broker->base);

	km_systemd_notify("STOPPING=1");
	return r < 0 ? -EIO : 0;
}

void km_broker_deinit(struct km_broker *broker)
{
	struct km_session *session;
	struct km_member *member;
	struct km_topic *topic;

	/* what the state says stays: the next broker goes on from there */
	km_keep_commit(broker);
	km_state_free(broker->state);
	broker->state = NULL;
	km_listener_free(broker->listener);
	LIST_FOREACH (session, &broker->sessions, next)
		while ((member = LIST_FIRST(&session->members)))
			km_member_free(member);
	while ((topic = TAILQ_FIRST(&broker->topics)))
		km_topic_free(topic);
	while ((session = LIST_FIRST(&broker->sessions)))
		km_session_free(session);
	for (size_t i = 0; i < sizeof broker->signal_events / sizeof broker->signal_events[0]; i++)
		if (broker->signal_events[i])
			event_free(broker->signal_events[i]);
	if (broker->tick_event)
		event_free(broker->tick_event);
	if (broker->again_event)
		event_free(broker->again_event);
	if (broker->watchdog_event)
		event_free(broker->watchdog_event);
	if (broker->base)
		event_base_free(broker->base);
	km_close(broker->reconcile_lock);
	km_close(broker->reconcile_memfd);
	km_store_deinit(&broker->store);
	libevent_global_shutdown();
}
