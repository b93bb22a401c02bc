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
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "atomic.h"
#include "cleanup.h"
#include "death.h"
#include "keep.h"
#include "lifetime.h"
#include "log.h"
#include "member.h"
#include "privilege.h"
#include "quarantine.h"
#include "recover.h"
#include "restore.h"
#include "segment.h"
#include "session.h"
#include "systemd.h"
#include "topic.h"

/* In so many steps the manager is told that the start goes on, and given so much more time: a step
 * is a descriptor to map, or a pass over a region, of at most some 50 ms. */
#define STEPS_TOLD 64
#define STEPS_USEC 30000000u

static bool is_text(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

static bool session_is_good(const struct km_kept_session *kept)
{
	return kept->id > 0 && kept->state >= KM_SESSION_READY && kept->state <= KM_SESSION_DEAD &&
	       kept->segment_count <= UINT16_MAX && is_text(kept->name, sizeof kept->name) &&
	       is_text(kept->prefix, sizeof kept->prefix) &&
	       is_text(kept->raw_name, sizeof kept->raw_name) &&
	       is_text(kept->raw_prefix, sizeof kept->raw_prefix);
}

const char *km_restore_reason(int error)
{
	if (error == -ENOENT)
		return "the service manager kept too little (FileDescriptorStoreMax=)";
	if (error == -EPROTO)
		return "its record or a descriptor of it is not what it should be";
	return strerror(-error);
}

/* What else becomes readable isn't a death. */
static bool is_pidfd(int fd)
{
	return syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 || errno != EBADF;
}

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Its descriptors. Errors: -ENOENT one is missing; -EPROTO, -ENOMEM. */
static int take_session_fds(struct km_session *session, const struct km_kept_session *kept)
{
	struct km_store *store = &session->broker->store;

	session->pidfd = km_store_take(store, KM_STORE_PIDFD, kept->id, 0);
	if (kept->state == KM_SESSION_READY)
		session->socket = km_store_take(store, KM_STORE_CONNECTION, kept->id, 0);
	if (session->socket >= 0)
		km_account_take(session->account, KM_CONNECTIONS, 1);
	else if (kept->state == KM_SESSION_READY)
		return -ENOENT;
	if (kept->state != KM_SESSION_DEAD && session->pidfd < 0)
		return -ENOENT;
	if ((session->socket >= 0 && !is_socket(session->socket)) ||
		(session->pidfd >= 0 && !is_pidfd(session->pidfd)))
		return -EPROTO;
	for (uint32_t i = 0; i < kept->segment_count; i++) {
		int fd = km_store_take(store, KM_STORE_SEGMENT, kept->id, i);
		int r = fd < 0 ? -ENOENT : km_session_restore_memory(session, fd);

		if (r < 0) {
			km_close(fd);
			return r;
		}
	}
	return 0;
}

static struct km_session *restore_session(
	struct km_broker *broker, uint32_t place, const struct km_kept_session *kept)
{
	struct km_session *session = NULL;
	int r = session_is_good(kept) ? 0 : -EPROTO;

	if (r == 0)
		session = calloc(1, sizeof *session);
	if (r == 0 && !session)
		r = -ENOMEM;

	if (r == 0) {
		*session = (struct km_session){ .broker = broker,
			.state = KM_SESSION_NEW,
			.socket = -1,
			.pidfd = -1,
			.pid = kept->pid,
			.uid = kept->uid,
			.gid = kept->gid,
			.id = kept->id,
			.since_ns = kept->since_ns,
			.died_ns = kept->died_ns,
			.done = kept->done,
			.again = true,
			.kept = place };
		memcpy(session->name, kept->name, sizeof session->name);
		memcpy(session->prefix, kept->prefix, sizeof session->prefix);
		memcpy(session->raw_name, kept->raw_name, sizeof session->raw_name);
		memcpy(session->raw_prefix, kept->raw_prefix, sizeof session->raw_prefix);
		LIST_INSERT_HEAD(&broker->sessions, session, next);
		session->account = km_account_ref(broker, session->uid);
		r = session->account ? take_session_fds(session, kept) : -ENOMEM;
	}
	if (r == 0 && kept->state != KM_SESSION_DEAD)
		r = km_session_watch(session);
	if (r == 0) {
		session->state = kept->state;
		if (kept->state != KM_SESSION_DEAD)
			km_account_take(session->account, KM_CLIENTS, 1);
		broker->sweep = true; /* in case that it has nothing and is gone */
		return session;
	}
	km_log(LOG_ERR | KM_EVENT_NOT_TAKEN_BACK, session, NULL,
		"can't be taken back, it has to connect anew: %s", km_restore_reason(r));
	for (uint32_t i = 0; session && i < kept->segment_count; i++)
		km_store_remove(&broker->store, KM_STORE_SEGMENT, kept->id, i);
	if (session)
		km_session_free(session);
	else
		km_state_drop(broker->state, KM_STATE_SESSIONS, &place);
	return NULL;
}

/* Records in the order of their ids, which is the order of the lists; and what became of them. */
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

/* All records begin with their id. */
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

/* Tells the manager, each few steps, that the start goes on. */
struct progress {
	size_t done, all;
};

static void go_on(struct progress *progress)
{
	if (progress->done++ % STEPS_TOLD == 0)
		km_systemd_notify("EXTEND_TIMEOUT_USEC=%u\nSTATUS=taking back: %zu of %zu",
			STEPS_USEC, progress->done - 1, progress->all);
}

static int restore_all(struct km_broker *broker, struct progress *progress)
{
	struct km_state *state = broker->state;
	struct table sessions = { 0 }, topics = { 0 }, members = { 0 };
	int r = list(state, KM_STATE_SESSIONS, &sessions);

	if (r == 0)
		r = list(state, KM_STATE_TOPICS, &topics);
	if (r == 0)
		r = list(state, KM_STATE_MEMBERS, &members);
	/* and a look at each topic in the end */
	progress->all = sessions.count + 2 * topics.count + members.count;
	for (size_t i = 0; r == 0 && i < sessions.count; i++) {
		go_on(progress);
		sessions.found[i].object = restore_session(
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
	free(sessions.found);
	free(topics.found);
	free(members.found);
	return r;
}

/* The number of the last opening isn't in the records: the next one is to be another than that. Who
 * has left the region for a fresh one said so there, and closed its rings: that stays. */
static void restore_live(struct km_topic *topic)
{
	_Atomic uint64_t *word = &topic->region.header->live;
	uint64_t live = km_load(L1, acquire, word);

	topic->live |= live & KM_LIVE_OPENINGS;
	if (live & KM_LIVE_LEFT)
		live = (topic->live & (live | ~KM_LIVE_RINGS)) | KM_LIVE_LEFT;
	else
		live = topic->live;
	km_store(L2, release, word, live);
}

/* The regions' words, and what has ended while nobody looked. */
static void catch_up(struct km_broker *broker, struct progress *progress)
{
	struct km_session *session;
	struct km_topic *topic;

	TAILQ_FOREACH (topic, &broker->topics, in_all) {
		km_privilege_restore(topic);
		if (topic->quarantined)
			km_topic_keep_quarantined(topic);
		else
			restore_live(topic);
		if (LIST_EMPTY(&topic->members))
			km_lifetime_look(topic);
	}
	LIST_FOREACH (session, &broker->sessions, next) {
		if (session->state == KM_SESSION_DISCONNECTED)
			km_death_probe(session);
		else
			km_death_check(session);
	}
	/* the broker before may have been in the middle of a pass, or before one */
	TAILQ_FOREACH (topic, &broker->topics, in_all) {
		go_on(progress);
		if (topic->dead + topic->leaving > 0)
			km_topic_tend(topic);
	}
	/* whoever waits for a topic asks again */
	LIST_FOREACH (session, &broker->sessions, next)
		km_session_tell(session);
}

static void start_anew(struct km_broker *broker)
{
	size_t count = km_store_drop_rest(&broker->store);

	if (count > 0)
		km_log(LOG_WARNING | KM_EVENT_NOT_TAKEN_BACK, NULL, NULL,
			"%zu descriptors of the broker before are closed: its clients have to "
			"connect anew",
			count);
	km_keep_init(broker);
}

void km_restore(struct km_broker *broker)
{
	int fd = km_store_take(&broker->store, KM_STORE_STATE, 0, 0);
	struct progress progress = { 0 };
	const char *reason;

	if (fd < 0) {
		start_anew(broker);
		return;
	}
	int r = km_state_open(fd, &broker->state, &reason);
	if (r < 0) {
		km_log(LOG_ERR | KM_EVENT_STATE_REFUSED, NULL, NULL,
			"the state of the broker before is refused: %s. Its topics are given up",
			reason);
		km_close(fd);
		km_store_remove(&broker->store, KM_STORE_STATE, 0, 0);
		km_store_flush(&broker->store);
		start_anew(broker);
		return;
	}
	broker->next_session = km_state_reserved(broker->state, KM_STATE_SESSIONS);
	broker->next_topic = km_state_reserved(broker->state, KM_STATE_TOPICS);
	broker->next_member = km_state_reserved(broker->state, KM_STATE_MEMBERS);
	if (restore_all(broker, &progress) < 0)
		km_log(LOG_ERR | KM_EVENT_NOT_TAKEN_BACK, NULL, NULL,
			"no memory to take back what the broker before left");
	size_t rest = km_store_drop_rest(&broker->store);
	catch_up(broker, &progress);
	km_broker_sweep(broker);
	km_log(LOG_NOTICE | KM_EVENT_TAKEN_BACK, NULL, NULL,
		"taken back: %llu topics, %llu clients; %zu descriptors belonged to nobody",
		(unsigned long long)broker->used[KM_TOPICS],
		(unsigned long long)broker->used[KM_CLIENTS], rest);
}
