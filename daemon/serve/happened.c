/* SPDX-License-Identifier: Apache-2.0 */
/* Telling operators what happens: see happened.h. */
#include "daemon/serve/happened.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "common/clock.h"
#include "daemon/peer/operator.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/run/turn.h"
#include "daemon/serve/serve.h"

#define GATHER_MS 10u
#define LATE_MS   1000u
/* Watchers of a piece, and messages that one of them gets at a look: an answer has room beside them. */
#define WATCHERS_A_PIECE 8
#define PAGES            4

struct km_happenings {
	struct km_broker *broker;
	struct km_work work;
	struct event *timer;
	unsigned wait_ms; /* until the next round */
	uint64_t next;    /* the number of the next one, from 0 */
	/* [number % KM_HAPPENINGS_KEPT]; null: nobody watches. */
	struct km_happening *kept;
	TAILQ_HEAD(, km_session) watchers;
	unsigned count, round_count; /* all of these; those still to come in this round */
	/* In this round a watcher was told something; a watcher isn't told all. */
	bool told, left;
};

static_assert(KM_LOG_WORD_SIZE == sizeof(((struct km_happening *)0)->kind), "a word fits");

static void arm(struct km_happenings *happenings, unsigned ms)
{
	struct timeval after = { ms / 1000, ms % 1000 * 1000 };

	happenings->wait_ms = ms;
	evtimer_add(happenings->timer, &after);
}

static void on_log(void *userdata, const struct km_log_entry *entry)
{
	struct km_happenings *happenings = userdata;
	struct km_happening *fresh = &happenings->kept[happenings->next++ % KM_HAPPENINGS_KEPT];
	const struct km_log_about *about = entry->about;

	*fresh = (struct km_happening){
		.realtime_ns = km_clock_realtime_ns(),
		.level = LOG_PRI(entry->what),
		.pid = about->pid,
		.uid = about->uid,
	};
	km_log_word(entry->what, fresh->kind);
	snprintf(fresh->client, sizeof fresh->client, "%s", about->client);
	snprintf(fresh->topic, sizeof fresh->topic, "%s", about->region);
	snprintf(fresh->text, sizeof fresh->text, "%.*s", (int)sizeof fresh->text - 1, entry->text);
	if (!evtimer_pending(happenings->timer, NULL) || happenings->wait_ms > GATHER_MS)
		arm(happenings, GATHER_MS);
}

/* Has the client read all that it was sent? */
static bool has_read(const struct km_session *session)
{
	int unread;

	return ioctl(session->socket, SIOCOUTQ, &unread) < 0 || unread == 0;
}

/* Fills in a page of what the watcher hasn't heard. */
static void fill(
	const struct km_happenings *happenings, uint64_t *heard, struct km_msg_happened *ret)
{
	const uint64_t oldest = happenings->next > KM_HAPPENINGS_KEPT
					? happenings->next - KM_HAPPENINGS_KEPT
					: 0;

	*ret = (struct km_msg_happened){
		.header.op = KM_OP_HAPPENED,
		.missed = oldest > *heard ? oldest - *heard : 0,
	};
	*heard += ret->missed;
	while (*heard < happenings->next && ret->count < KM_WIRE_HAPPENED_PAGE)
		ret->happenings[ret->count++] = happenings->kept[(*heard)++ % KM_HAPPENINGS_KEPT];
}

static void tell(struct km_happenings *happenings, struct km_session *session)
{
	struct km_msg_happened message;

	if (session->heard == happenings->next || session->socket < 0 || session->doomed)
		return;
	if (has_read(session))
		for (int i = 0; i < PAGES && session->heard < happenings->next; i++) {
			fill(happenings, &session->heard, &message);
			session->doomed |= km_wire_send(session->socket, &message, sizeof message,
						   NULL, 0) < 0;
			happenings->told = true;
		}
	/* a watcher may never ask for anything again: it is disconnected in an event of its own */
	if (session->doomed)
		event_active(session->socket_event, EV_READ, 0);
	happenings->left |= session->heard < happenings->next;
}

static bool step(struct km_work *work)
{
	struct km_happenings *happenings = (void *)((char *)work -
						    offsetof(struct km_happenings, work));

	for (int i = 0; i < WATCHERS_A_PIECE && happenings->round_count > 0; i++) {
		struct km_session *session = TAILQ_FIRST(&happenings->watchers);

		happenings->round_count--;
		TAILQ_REMOVE(&happenings->watchers, session, in_watchers);
		TAILQ_INSERT_TAIL(&happenings->watchers, session, in_watchers);
		tell(happenings, session);
	}
	if (happenings->round_count > 0)
		return true;
	if (happenings->left && !evtimer_pending(happenings->timer, NULL))
		arm(happenings, happenings->told                    ? GATHER_MS
				: happenings->wait_ms < LATE_MS / 2 ? 2 * happenings->wait_ms
								    : LATE_MS);
	return false;
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	struct km_happenings *happenings = userdata;

	happenings->round_count = happenings->count;
	happenings->told = happenings->left = false;
	km_turn_add(&happenings->broker->turns, &happenings->work);
}

int km_happened_watch(struct km_session *session)
{
	struct km_happenings *happenings = session->broker->happenings;

	if (session->watches)
		return 0;
	if (!happenings->kept) {
		happenings->kept = calloc(KM_HAPPENINGS_KEPT, sizeof *happenings->kept);
		if (!happenings->kept)
			return -ENOMEM;
		km_log_set_listener(on_log, happenings);
	}
	session->watches = true;
	session->heard = happenings->next;
	TAILQ_INSERT_TAIL(&happenings->watchers, session, in_watchers);
	happenings->count++;
	return 0;
}

void km_happened_forget(struct km_session *session)
{
	struct km_happenings *happenings = session->broker->happenings;

	if (!session->watches)
		return;
	session->watches = false;
	TAILQ_REMOVE(&happenings->watchers, session, in_watchers);
	happenings->count--;
	if (happenings->round_count > happenings->count)
		happenings->round_count = happenings->count;
	if (happenings->count > 0)
		return;
	km_log_set_listener(NULL, NULL);
	free(happenings->kept);
	happenings->kept = NULL;
}

void km_serve_watch(struct km_session *session, const struct km_msg_list *request)
{
	struct km_msg_ok answer = { .header.op = KM_OP_OK };

	if (!km_operator_is(session)) {
		km_session_refuse(session, NULL, -EPERM,
			"only root, the broker's user and the group kickmsg-admin may watch what "
			"happens");
		return;
	}
	if (km_happened_watch(session) < 0) {
		km_session_refuse(session, NULL, -ENOMEM, "the broker has no memory");
		return;
	}
	session->kept.watches = 1;
	km_keep_session(session);
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
	km_log(LOG_DEBUG | KM_EVENT_WATCH_BEGAN, session, NULL, "watches what happens");
}

int km_happened_init(struct km_broker *broker)
{
	struct km_happenings *happenings = calloc(1, sizeof *happenings);

	broker->happenings = happenings;
	if (!happenings)
		return -ENOMEM;
	happenings->broker = broker;
	happenings->work.step = step;
	TAILQ_INIT(&happenings->watchers);
	happenings->timer = evtimer_new(broker->base, on_timer, happenings);
	return happenings->timer ? 0 : -ENOMEM;
}

void km_happened_deinit(struct km_broker *broker)
{
	struct km_happenings *happenings = broker->happenings;

	if (!happenings)
		return;
	while (!TAILQ_EMPTY(&happenings->watchers))
		km_happened_forget(TAILQ_FIRST(&happenings->watchers));
	km_turn_remove(&broker->turns, &happenings->work);
	if (happenings->timer)
		event_free(happenings->timer);
	free(happenings);
	broker->happenings = NULL;
}
