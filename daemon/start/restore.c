/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker's start from what the one before it left: see restore.h.
 *
 * The state (keep.h) says what there was; the descriptors come from the manager. Nothing that
 * clients can write is believed.
 *
 * Each thing that can't be had whole is given up on its own. A session without its memory takes its
 * topics with it, for nobody could say what it holds there.
 */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/memory/atomic.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/repair/death.h"
#include "daemon/repair/parting.h"
#include "daemon/repair/tend.h"
#include "daemon/run/log.h"
#include "daemon/run/systemd.h"
#include "daemon/serve/wait.h"
#include "daemon/start/restore.h"
#include "daemon/start/restore_session.h"
#include "daemon/start/restore_topic.h"
#include "daemon/topic/lifetime.h"
#include "daemon/topic/member.h"
#include "daemon/topic/privilege.h"
#include "daemon/topic/quarantine.h"
#include "daemon/topic/reliable.h"
#include "daemon/topic/topic.h"

/* The manager is told at this interval that the start goes on, and asked for so much more time. A
 * step is a descriptor to map. Passes over regions come later, in turns. */
#define TELL_NS   INT64_C(500000000)
#define TELL_USEC 30000000u

/* The records in the order of their ids, which is the order of the lists; and what became of
 * each. */
struct found {
	uint64_t id;
	uint32_t place;
	const void *record;
	void *object; /* or null */
};

struct table {
	struct found *found;
	size_t count;
};

static int by_id(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/* Lists the records of a table. All records begin with their id. */
static int list(struct km_state *state, enum km_state_table table, struct table *ret)
{
	size_t room = 0;
	const void *record;

	*ret = (struct table){ 0 };
	for (uint32_t place = 1; km_state_next(state, table, &place, &record); place++) {
		if (ret->count == room) {
			struct found *found = reallocarray(
				ret->found, room = 2 * room + 64, sizeof *found);

			if (!found)
				return -ENOMEM;
			ret->found = found;
		}
		ret->found[ret->count] = (struct found){ .place = place, .record = record };
		memcpy(&ret->found[ret->count++].id, record, sizeof(uint64_t));
	}
	if (ret->count > 0)
		qsort(ret->found, ret->count, sizeof *ret->found, by_id);
	return 0;
}

static void *find(const struct table *table, uint64_t id)
{
	struct found wanted = { .id = id }, *found = NULL;

	if (table->count > 0)
		found = bsearch(&wanted, table->found, table->count, sizeof wanted, by_id);
	return found ? found->object : NULL;
}

/* Tells the manager, now and then, that the start goes on. */
struct progress {
	size_t done, all;
	int64_t told_ns; /* 0: not yet */
};

static void go_on(struct progress *progress)
{
	int64_t now = km_clock_ns();

	if (progress->told_ns == 0 || now - progress->told_ns >= TELL_NS) {
		progress->told_ns = now;
		km_systemd_notify("EXTEND_TIMEOUT_USEC=%u\nSTATUS=taking back: %zu of %zu",
			TELL_USEC, progress->done, progress->all);
	}
	progress->done++;
}

static int restore_all(struct km_broker *broker, struct progress *progress)
{
	struct km_state *state = broker->state;
	struct table sessions = { 0 }, topics = { 0 }, members = { 0 }, waits = { 0 };
	int r = list(state, KM_STATE_SESSIONS, &sessions);

	if (r == 0)
		r = list(state, KM_STATE_TOPICS, &topics);
	if (r == 0)
		r = list(state, KM_STATE_MEMBERS, &members);
	if (r == 0)
		r = list(state, KM_STATE_WAITS, &waits);
	progress->all = sessions.count + topics.count + members.count + waits.count;
	for (size_t i = 0; r == 0 && i < sessions.count; i++) {
		go_on(progress);
		sessions.found[i].object = km_restore_session(
			broker, sessions.found[i].place, sessions.found[i].record);
	}
	for (size_t i = 0; r == 0 && i < topics.count; i++) {
		go_on(progress);
		topics.found[i].object = km_restore_topic(
			broker, topics.found[i].place, topics.found[i].record);
	}
	for (size_t i = 0; r == 0 && i < members.count; i++) {
		const struct km_kept_member *kept = members.found[i].record;

		go_on(progress);
		km_restore_member(broker, find(&sessions, kept->session_id),
			find(&topics, kept->topic_id), members.found[i].place, kept);
	}
	for (size_t i = 0; r == 0 && i < waits.count; i++) {
		const struct km_kept_wait *kept = waits.found[i].record;

		go_on(progress);
		km_wait_restore(
			broker, find(&sessions, kept->session_id), waits.found[i].place, kept);
	}
	free(sessions.found);
	free(topics.found);
	free(members.found);
	free(waits.found);
	return r;
}

/* The rings that are open: those of the dead stay open where nobody looks after them. */
static uint64_t open_rings(const struct km_topic *topic)
{
	const struct km_member *member;
	uint64_t rings = 0;

	if (topic->region.shared)
		return 0;
	LIST_FOREACH (member, &topic->members, of_topic)
		if (member->kept.role == KM_ROLE_SUBSCRIBER &&
			(member->kept.state == KM_ENDPOINT_LIVE ||
				(member->kept.state == KM_ENDPOINT_DEAD &&
					!topic->broker->config->automatic)))
			rings |= UINT64_C(1) << member->kept.ring;
	return rings;
}

/* Writes the word of live rings anew. The number of the last opening isn't in the records, so it is
 * read from the word: the next opening must have another. Endpoints that left the region for a
 * fresh one said so there, and closed their rings: that stays. */
static void restore_live(struct km_topic *topic)
{
	_Atomic uint64_t *word = &topic->region.header->live;
	uint64_t live = km_load(L4, relaxed, word);

	topic->live |= live & KM_LIVE_OPENINGS;
	if (live & KM_LIVE_LEFT)
		live = (topic->live & (live | ~KM_LIVE_RINGS)) | KM_LIVE_LEFT;
	else
		live = topic->live;
	km_store(L2, release, word, live);
}

/* Mends the regions' words, and looks at what has ended while nobody looked. */
static void catch_up(struct km_broker *broker)
{
	struct km_session *session;
	struct km_topic *topic;

	TAILQ_FOREACH (topic, &broker->topics, in_all) {
		topic->live |= open_rings(topic);
		km_privilege_restore(topic);
		if (topic->kept.quarantined)
			km_topic_keep_quarantined(topic);
		else
			restore_live(topic);
		/* A publisher may have told the broker before that it waits. That broker may have
		 * ended before it woke the publisher. */
		km_reliable_look(topic);
		km_reliable_wake(topic);
		if (LIST_EMPTY(&topic->members))
			km_lifetime_look(topic);
	}
	LIST_FOREACH (session, &broker->sessions, next) {
		if (session->kept.state == KM_SESSION_DISCONNECTED)
			km_death_probe(session);
		else if (!km_death_check(session) && session->kept.goes)
			km_parting_hang_up(session);
	}
	km_parting_finish(broker);
	/* the broker before this one may have been in the middle of a pass, or about to begin
	 * one */
	TAILQ_FOREACH (topic, &broker->topics, in_all)
		if (topic->dead + topic->leaving > 0)
			km_tend_soon(topic);
	km_wait_catch_up(broker);
}

/* Closes all that the broker before this one left. `refused`: why its state isn't read, or null:
 * there is no state. */
static void start_anew(struct km_broker *broker, const char *refused)
{
	size_t count = km_store_drop_rest(&broker->store, &broker->hangup);

	if (refused)
		km_log(LOG_ERR | KM_EVENT_STATE_REFUSED, NULL, NULL,
			"the state of the broker before is refused: %s. Its topics are given up "
			"and its "
			"%zu descriptors closed; its clients connect anew and get new regions",
			refused, count);
	else if (count > 0)
		km_log(LOG_WARNING | KM_EVENT_NOT_TAKEN_BACK, NULL, NULL,
			"%zu descriptors of the broker before are closed: its clients have to "
			"connect anew",
			count);
	km_keep_init(broker);
	km_broker_sweep(broker); /* frees the memory that they held */
}

/* The last number given to a member or wait: both have their numbers from one count. */
static uint64_t last_member(const struct km_state *state)
{
	uint64_t members = km_state_reserved(state, KM_STATE_MEMBERS);
	uint64_t waits = km_state_reserved(state, KM_STATE_WAITS);

	return members > waits ? members : waits;
}

void km_restore(struct km_broker *broker)
{
	int fd = km_store_take(&broker->store, KM_STORE_STATE, 0, 0);
	struct progress progress = { 0 };
	const char *reason;

	if (fd < 0) {
		start_anew(broker, NULL);
		return;
	}
	int r = km_state_open(fd, &broker->state, &reason);
	if (r < 0) {
		km_close(fd);
		km_store_unhand(&broker->store, KM_STORE_STATE);
		start_anew(broker, reason);
		return;
	}
	broker->next_session = km_state_reserved(broker->state, KM_STATE_SESSIONS);
	broker->next_topic = km_state_reserved(broker->state, KM_STATE_TOPICS);
	broker->next_member = last_member(broker->state);
	if (restore_all(broker, &progress) < 0)
		km_log(LOG_ERR | KM_EVENT_NOT_TAKEN_BACK, NULL, NULL,
			"no memory to take back what the broker before left");
	size_t rest = km_store_drop_rest(&broker->store, &broker->hangup);
	catch_up(broker);
	km_broker_sweep(broker);
	km_log(LOG_NOTICE | KM_EVENT_TAKEN_BACK, NULL, NULL,
		"taken back: %llu topics, %llu clients; %zu descriptors belonged to nobody",
		(unsigned long long)broker->accounts.used[KM_TOPICS],
		(unsigned long long)broker->accounts.used[KM_CLIENTS], rest);
}
