/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's beginning and end: see start.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/memory/segment.h"
#include "daemon/keep/keep.h"
#include "daemon/metrics/server.h"
#include "daemon/peer/listener.h"
#include "daemon/peer/memory.h"
#include "daemon/peer/session.h"
#include "daemon/repair/death.h"
#include "daemon/repair/health.h"
#include "daemon/repair/parting.h"
#include "daemon/repair/tend.h"
#include "daemon/run/account.h"
#include "daemon/run/log.h"
#include "daemon/run/systemd.h"
#include "daemon/run/turn.h"
#include "daemon/serve/happened.h"
#include "daemon/serve/notice.h"
#include "daemon/serve/question.h"
#include "daemon/serve/request.h"
#include "daemon/serve/reserve.h"
#include "daemon/serve/spare.h"
#include "daemon/serve/wait.h"
#include "daemon/start/restore.h"
#include "daemon/start/settings.h"
#include "daemon/start/start.h"
#include "daemon/topic/ending.h"
#include "daemon/topic/grave.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

/* Segments of a piece: each takes some 15 us. */
#define SEGMENTS_A_PIECE 8

/* Frees a session that is gone, or some of its memory. */
static void free_session(struct km_session *session)
{
	unsigned segments = SEGMENTS_A_PIECE;

	if (session->member_count > 0 || session->parting.stage ||
		session->kept.state < KM_SESSION_DISCONNECTED) {
		km_session_stays(session);
		return;
	}
	/* the session's memory goes piece by piece, and no record may speak of the rest meanwhile */
	km_keep_forget_session(session);
	if (km_memory_give_back(session, &segments))
		km_session_free(session);
}

/* Frees sessions and topics that are gone until the clock says `end`, but at least one of each. True: more
 * are left. */
static bool free_some(struct km_broker *broker, int64_t end)
{
	struct km_session *session = LIST_FIRST(&broker->over);

	while (session) {
		free_session(session);
		session = LIST_FIRST(&broker->over);
		if (km_clock_ns() >= end)
			break;
	}
	return km_ending_sweep(broker, end) || session;
}

/* Called behind each event. Frees for KM_SHARE_NS what is gone. If something is left then, turns free it, and
 * meanwhile each event frees one session and one topic, as many as it may have ended itself. */
static void sweep(struct km_broker *broker)
{
	struct km_work *tidying = &broker->tidying;

	if (!LIST_EMPTY(&broker->over) || !LIST_EMPTY(&broker->idle))
		if (free_some(broker, tidying->queued ? 0 : km_clock_ns() + KM_SHARE_NS))
			km_turn_add(&broker->turns, tidying);
	km_keep_commit(broker);
	if (!tidying->queued && km_store_tidy(&broker->store))
		km_turn_add(&broker->turns, tidying);
}

static const struct km_log_describers describers = {
	.session = km_session_describe,
	.topic = km_topic_describe,
};

const struct km_handlers km_start_handlers = {
	.sweep = sweep,
	.request_serve = km_request_serve,
	.question_drop = km_question_drop,
	.reserve_drop = km_reserve_drop,
	.wait_forget = km_wait_forget,
	.wait_end = km_wait_end,
	.notice_forget_session = km_notice_forget_session,
	.happened_forget = km_happened_forget,
	.parting_hang_up = km_parting_hang_up,
	.parting_drop = km_parting_drop,
	.death_probe = km_death_probe,
	.death_on_pidfd = km_death_on_pidfd,
	.death_on_probe = km_death_on_probe,
	.tend_forget = km_tend_forget,
	.notice_changed = km_notice_changed,
	.notice_forget_topic = km_notice_forget_topic,
};

static bool tidy(struct km_work *work)
{
	struct km_broker *broker = (void *)((char *)work - offsetof(struct km_broker, tidying));
	const bool more = free_some(broker, km_clock_ns() + KM_SHARE_NS);

	km_keep_commit(broker);
	return km_store_tidy(&broker->store) || more;
}

static void on_signal(evutil_socket_t number, short what, void *userdata)
{
	struct km_broker *broker = userdata;

	if (number == SIGHUP) {
		km_settings_read_again(broker);
		return;
	}

	km_log(LOG_INFO | KM_EVENT_ENDING, NULL, NULL, "ending: SIG%s", sigabbrev_np((int)number));
	event_base_loopbreak(broker->base);
}

/* Opens the file whose lock a broker that reconciles has. The lock is taken through a description
 * of its own: a description that came with a descriptor would share its maker's lock. */
static int open_reconcile_lock(struct km_broker *broker)
{
	int r = 0;

	/* the file of the broker before this one, which may still run, half dead */
	broker->reconcile_memfd = km_store_take(&broker->store, KM_STORE_LOCK, 0, 0);
	if (broker->reconcile_memfd >= 0 && km_segment_check(broker->reconcile_memfd, 1) < 0) {
		km_log(LOG_WARNING | KM_EVENT_FOREIGN_DESCRIPTOR, NULL, NULL,
			"descriptor '%c' from the service manager is no memory of a broker: closed",
			KM_STORE_LOCK);
		broker->reconcile_memfd = km_close(broker->reconcile_memfd);
		km_store_unhand(&broker->store, KM_STORE_LOCK);
	}
	if (broker->reconcile_memfd < 0) {
		r = km_segment_create("kickmsgd-reconcile", 4096, &broker->reconcile_memfd);
		if (r == 0)
			km_store_hand(&broker->store, KM_STORE_LOCK, broker->reconcile_memfd);
	}
	return r < 0 ? r
		     : km_segment_reopen(broker->reconcile_memfd, O_RDWR, &broker->reconcile_lock);
}

static int add_events(struct km_broker *broker)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct timeval interval = km_settings_interval(broker->config);

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		broker->signal_events[i] = evsignal_new(
			broker->base, signals[i], on_signal, broker);
		if (!broker->signal_events[i] || evsignal_add(broker->signal_events[i], NULL) < 0)
			return -ENOMEM;
	}
	broker->tick_event = event_new(broker->base, -1, EV_PERSIST, km_health_on_tick, broker);
	broker->again_event = evtimer_new(broker->base, km_tend_on_again, broker);
	if (!broker->again_event || !broker->tick_event ||
		event_add(broker->tick_event, &interval) < 0)
		return -ENOMEM;
	return 0;
}

static void after_turn(void *userdata)
{
	km_broker_sweep(userdata);
}

/* libevent's usual timers go by a clock of 4 ms or so, which a stall_ns would be late by. */
static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	return base;
}

static int start_loop(struct km_broker *broker)
{
	broker->started_ns = km_clock_ns();
	broker->base = new_base();
	int r = broker->base ? open_reconcile_lock(broker) : -ENOMEM;
	if (r == 0)
		r = add_events(broker);
	if (r == 0)
		r = km_turns_init(&broker->turns, broker->base, after_turn, broker);
	if (r == 0)
		r = km_spare_init(broker);
	if (r == 0)
		r = km_tend_init(broker);
	if (r == 0)
		r = km_notice_init(broker);
	if (r == 0)
		r = km_happened_init(broker);
	if (r == 0)
		r = km_wait_init(broker);
	if (r == 0)
		r = km_systemd_watch(broker);
	if (r == -ENOENT && access("/proc/self/fd", F_OK) < 0)
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL,
			"can't start: /proc is not mounted, through which the broker opens its "
			"memory "
			"read-only for subscribers and learns how much there is");
	else if (r < 0)
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL, "can't start: %s", strerror(-r));
	return r;
}

int km_start_init(
	struct km_broker *broker, const struct km_config_source *source, struct km_config *config)
{
	int r;

	memset(broker, 0, sizeof *broker);
	broker->handlers = &km_start_handlers;
	km_log_set_describers(&describers);
	broker->config_source = source;
	broker->config = config;
	broker->reconcile_memfd = broker->reconcile_lock = -1;
	km_settings_fill_memory(config);
	km_accounts_init(&broker->accounts, config);
	LIST_INIT(&broker->sessions);
	TAILQ_INIT(&broker->strangers);
	TAILQ_INIT(&broker->unread);
	/* without a random seed the names of clients would decide which bucket is full */
	if (getrandom(&broker->hash_seed, sizeof broker->hash_seed, GRND_NONBLOCK) < 0)
		broker->hash_seed = (uint32_t)km_clock_ns();
	km_hangup_init(&broker->hangup);
	TAILQ_INIT(&broker->topics);
	TAILQ_INIT(&broker->ended);
	broker->tidying.step = tidy;
	km_settings_raise_descriptors(config);
	/* store and listener log by themselves what is wrong */
	r = km_store_init(&broker->store);
	if (r == 0)
		km_settings_expect_descriptors(broker);
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

/* One line at the start that says what runs with what. */
static void greet(const struct km_broker *broker)
{
	char files[512], store[64];

	km_store_text(&broker->store, store, sizeof store);
	km_log(LOG_NOTICE | KM_EVENT_SERVING, NULL, NULL,
		"kickmsgd " KM_VERSION " serves%s%s; config files: %s", *store ? "; " : "", store,
		km_config_files_text(broker->config, files, sizeof files));
}

int km_start_run(struct km_broker *broker)
{
	km_systemd_notify("READY=1");
	km_metrics_settle(broker);
	greet(broker);
	km_systemd_status(broker);
	int r = event_base_dispatch(broker->base);

	km_systemd_notify("STOPPING=1");
	return r < 0 ? -EIO : 0;
}

/* Ends without freeing anything. Clients wait for the next broker, which begins when this process
 * is gone. The kernel takes back what is open and mapped here faster than a walk over thousands of
 * topics. But a connection that only this process has may have a peer's descriptors in it
 * (hangup.h). */
static void leave_all_to_the_next(struct km_broker *broker)
{
	struct km_session *session;

	LIST_FOREACH (session, &broker->sessions, next)
		if (!session->kept_at)
			km_session_close(session);
	km_unread_deinit(broker);
	km_hangup_deinit(&broker->hangup);
}

void km_start_deinit(struct km_broker *broker)
{
	struct km_session *session;
	struct km_member *member;
	struct km_topic *topic;

	km_settings_deinit(broker);
	km_metrics_free(broker);
	km_tend_deinit(broker);
	LIST_FOREACH (session, &broker->sessions, next)
		km_question_end(session);
	/* the state stays as it is: the next broker goes on from there */
	km_keep_commit(broker);
	broker->ending = true;
	const bool has_next = broker->state && broker->store.active;
	km_state_free(broker->state);
	broker->state = NULL;
	km_listener_free(broker->listener);
	if (has_next) {
		leave_all_to_the_next(broker);
		return;
	}
	km_notice_deinit(broker);
	km_happened_deinit(broker);
	LIST_FOREACH (session, &broker->sessions, next)
		while ((member = LIST_FIRST(&session->members)))
			km_leave_free(member);
	while ((topic = TAILQ_FIRST(&broker->topics)))
		km_ending_free(topic);
	while ((topic = TAILQ_FIRST(&broker->ended)))
		km_ending_free(topic);
	while ((session = LIST_FIRST(&broker->sessions))) {
		km_memory_free(session);
		km_session_free(session);
	}
	km_unread_deinit(broker);
	km_hangup_deinit(&broker->hangup);
	km_account_sweep(&broker->accounts, INT64_MAX);
	for (size_t i = 0; i < sizeof broker->signal_events / sizeof broker->signal_events[0]; i++)
		if (broker->signal_events[i])
			event_free(broker->signal_events[i]);
	if (broker->tick_event)
		event_free(broker->tick_event);
	km_wait_deinit(broker);
	km_spare_deinit(broker);
	km_grave_deinit(broker);
	km_turns_deinit(&broker->turns);
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
