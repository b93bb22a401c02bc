/* SPDX-License-Identifier: Apache-2.0 */
/* The making of topics: see create.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/protocol/name.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/operator.h"
#include "daemon/peer/session.h"
#include "daemon/repair/parting.h"
#include "daemon/run/log.h"
#include "daemon/run/room.h"
#include "daemon/serve/create.h"
#include "daemon/serve/notice.h"
#include "daemon/serve/question.h"
#include "daemon/serve/reserve.h"
#include "daemon/serve/spare.h"
#include "daemon/topic/ending.h"
#include "daemon/topic/header.h"
#include "daemon/topic/lifetime.h"
#include "daemon/topic/segments.h"

/* Is there room for that much? Of memory that the session has reserved only the limits are left to
 * be checked. */
static int check(struct km_session *session, enum km_resource resource, uint64_t amount,
	char *ret_text, size_t text_size)
{
	if (resource != KM_BYTES || session->reserved)
		return km_account_check(session->account, resource, amount, ret_text, text_size);
	return km_account_check_memory(session->account, amount, ret_text, text_size);
}

/* Does a client of the session's user go, in turns? */
static bool is_user_going(const struct km_session *session)
{
	return km_parting_is_under_way(
		session->broker, session->account, km_parting_now(session->broker));
}

/* Checks for room, once memory that is about to be freed is free: a little of it at once, more of
 * it in turns. */
static int make_room(struct km_session *session, enum km_resource resource, uint64_t amount,
	char *ret_text, size_t text_size)
{
	struct km_broker *broker = session->broker;
	const int64_t end = km_clock_ns() + KM_SHARE_NS;
	int r = check(session, resource, amount, ret_text, text_size);
	bool more = false;

	if (r == -EDQUOT && !LIST_EMPTY(&broker->idle)) {
		more |= km_ending_sweep(broker, end);
		r = check(session, resource, amount, ret_text, text_size);
	}
	if (r == -EDQUOT && resource == KM_BYTES && LIST_EMPTY(&broker->idle)) {
		more |= km_ending_hurry(broker, session->account, end);
		r = check(session, resource, amount, ret_text, text_size);
	}
	if (r == -ENOMEM && km_spare_drop(broker) > 0)
		r = check(session, resource, amount, ret_text, text_size);
	more |= session->account->graves > 0 || is_user_going(session);
	if (r != -EDQUOT || session->waited || !more)
		return r;
	km_question_wait_for_room(session, resource, amount);
	return -EINPROGRESS;
}

/* May the session's user have one more topic, of that many bytes? Memory that is about to be freed
 * doesn't count. */
static int check_limits(struct km_session *session, uint64_t size, char *ret_text, size_t text_size)
{
	struct km_account *account = session->account;
	int r = km_account_check(account, KM_TOPICS, 1, ret_text, text_size);

	if (r == -EDQUOT && LIST_EMPTY(&session->broker->idle) && !is_user_going(session))
		return r;
	r = 0;
	if (!session->reserved && !session->waited)
		r = km_account_take_rate(account, KM_TOPICS, km_clock_ns(), ret_text, text_size);
	if (r == 0)
		r = make_room(session, KM_TOPICS, 1, ret_text, text_size);
	if (r == 0)
		r = make_room(session, KM_BYTES, size, ret_text, text_size);
	return r;
}

/* Gives the topic the names of its region and its segments, and their memory. */
static int furnish(const struct km_wanted *wanted, struct km_topic *topic)
{
	_cleanup_(km_closep) int control = -1, payload = -1;
	const struct km_geometry *geometry = &wanted->geometry;
	const struct km_topic_key *key = &wanted->key;
	char name[KM_REGION_NAME_SIZE];
	int r = km_name_region_of(key->kind, key->prefix, key->owner, key->name, topic->region_name,
		sizeof topic->region_name);

	if (r < 0)
		return -ENAMETOOLONG; /* the only error */
	if (km_reserve_first(wanted->session, topic->region_name, geometry))
		return -EINPROGRESS;
	/* what memfd_create() takes; the header has the whole name */
	snprintf(name, sizeof name, "%.240s", topic->region_name);
	r = km_reserve_take(wanted->session, name, km_geometry_control_size(geometry), &control);
	snprintf(name, sizeof name, "%.230s_payload", topic->region_name);
	if (r == 0)
		r = km_reserve_take(
			wanted->session, name, km_geometry_payload_size(geometry), &payload);
	if (r == 0)
		r = km_segments_format(topic, geometry, control, payload);
	if (r < 0)
		return r;
	control = payload = -1; /* the topic has them now */
	km_header_write(topic);
	return 0;
}

/* A topic whose memory can't be kept for the next broker isn't made. */
static int park(struct km_topic *topic, char *ret_text, size_t text_size)
{
	int fds[] = { topic->control_fd, topic->payload_fd, topic->bell_fd };

	return km_store_put(&topic->broker->store, KM_PARKED_TOPIC, topic->kept.id, 0, fds,
		topic->bell_fd >= 0 ? 3 : 2, ret_text, text_size);
}

/* The record of a topic as its maker describes it. */
static struct km_kept_topic describe(const struct km_wanted *wanted)
{
	const struct km_session *session = wanted->session;
	struct km_kept_topic ret = {
		.id = ++session->broker->next_topic,
		.key = wanted->key,
		.geometry = wanted->geometry,
		.created_realtime_ns = km_clock_realtime_ns(),
		.lifetime = wanted->lifetime,
		.owner_uid = session->kept.uid,
		.creator_pid = session->kept.pid,
		.named = true,
	};

	memcpy(ret.creator, session->kept.name, sizeof ret.creator);
	return ret;
}

/* Logs that the pool is smaller than what the topic takes at the worst. */
static void warn_of_pool(const struct km_wanted *wanted, const struct km_topic *topic)
{
	const struct km_geometry *geometry = &topic->region.geometry;
	uint64_t needed = km_geometry_needed_pool(geometry, wanted->key.kind == KM_KIND_BROADCAST);

	/* a service's pool needs no such room: the library bounds the calls in flight */
	if (wanted->key.kind < KM_KIND_SERVICE && geometry->pool_size < needed)
		km_log(LOG_WARNING | KM_EVENT_POOL_TOO_SMALL, wanted->session, topic,
			"pool_size = %u is below the %llu that it takes when all are at their "
			"limits: a send may find no free slot",
			geometry->pool_size, (unsigned long long)needed);
}

/* On an error ret_text says why. -ENAMETOOLONG: the region's name, of all names together. */
static int make(
	const struct km_wanted *wanted, struct km_topic **ret, char *ret_text, size_t text_size)
{
	struct km_session *session = wanted->session;
	const uint32_t ids_max = wanted->geometry.max_publishers;
	uint64_t size = km_geometry_total_size(&wanted->geometry);
	char limits[KM_ROOM_LIMITS_SIZE];
	int r = check_limits(session, size, ret_text, text_size);

	if (r < 0)
		return r;
	_cleanup_(km_freep) struct km_topic *topic = calloc(1, sizeof *topic);
	_cleanup_(km_freep) uint64_t *ids = calloc(ids_max / 64 + 1, sizeof *ids);
	if (!topic || !ids)
		return snprintf(ret_text, text_size, "the broker has no memory"), -ENOMEM;
	topic->broker = session->broker;
	topic->kept = describe(wanted);
	LIST_INIT(&topic->members);
	r = km_operator_has_descriptors(session) ? furnish(wanted, topic) : -EMFILE;
	if (r < 0) {
		snprintf(ret_text, text_size, "its %llu bytes can't be had: %s%s",
			(unsigned long long)size, strerror(-r), km_room_limits(limits));
		return r;
	}
	r = park(topic, ret_text, text_size);
	if (r < 0) {
		km_segments_close(topic);
		return r;
	}
	/* the session has this account already */
	topic->account = km_account_ref(&session->broker->accounts, session->kept.uid);
	topic->ids_taken = km_steal_ptr(ids);
	topic->ids_free = ids_max;
	km_lifetime_begin(topic);
	km_keep_topic(topic);
	km_log(LOG_DEBUG | KM_EVENT_TOPIC_MADE, session, topic, "topic made, %llu bytes",
		(unsigned long long)size);
	warn_of_pool(wanted, topic);
	km_notice_replaced(topic);
	*ret = km_steal_ptr(topic);
	return 0;
}

int km_create(
	const struct km_wanted *wanted, struct km_topic **ret, char *ret_text, size_t text_size)
{
	const struct km_topic_key *key = &wanted->key;
	char why[KM_WIRE_TEXT_SIZE];
	int r = make(wanted, ret, why, sizeof why);

	if (r == -ENAMETOOLONG) {
		snprintf(ret_text, text_size,
			"prefix, owner and name of %s '%.80s' are longer together than %d bytes",
			km_kind_name(key->kind), key->name, KM_REGION_NAME_SIZE - 1);
		return -EINVAL;
	}
	if (r < 0 && r != -EINPROGRESS)
		snprintf(ret_text, text_size, "topic '%.60s': %s", key->name, why);
	return r;
}
