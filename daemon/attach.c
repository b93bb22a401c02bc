/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a process comes into a topic, and out again.
 *
 * A subscriber's ring takes messages from the moment that its live bit is set. Before that it is
 * drained (a publisher with old targets may have delivered to it since it was last looked at) and
 * its head is read: that is the subscriber's start, from which its losses are counted. Whoever sees
 * the bit (L1) sees the ring so (L2).
 *
 * What a client never learnt of, since its answer couldn't be sent, is taken back.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agreement.h"
#include "attach.h"
#include "cleanup.h"
#include "keep.h"
#include "live.h"
#include "log.h"
#include "member.h"
#include "missed.h"
#include "naming.h"
#include "quarantine.h"
#include "recover.h"
#include "rights.h"
#include "segment.h"
#include "session.h"
#include "shared.h"
#include "topic.h"

/* Where a shared ring's subscriber begins: with what is to come, or so many messages back. */
static int find_start(const struct km_topic *topic, uint32_t history, uint64_t *ret)
{
	const uint64_t capacity = topic->region.geometry.ring_capacity;
	uint64_t frontier;
	int r = km_shared_frontier(&topic->region, capacity, &frontier);

	if (r < 0)
		return r;
	uint64_t back = frontier - capacity; /* how many there were */
	if (back > capacity)
		back = capacity;
	*ret = frontier - (history < back ? history : back);
	return 0;
}

/* Makes a subscriber's place ready and lets messages in. Errors: -ESTALE. */
static int open_place(struct km_member *member, uint32_t history)
{
	struct km_topic *topic = member->topic;

	if (topic->region.shared)
		return find_start(topic, history, &member->start);
	return km_live_open(&topic->region, member->ring, &topic->live, &member->start);
}

/* Sends the answer with the topic's descriptors: subscribers get the payload read only, those of a
 * shared ring the control segment as well, unless it is to be `writable`. */
static int send_region(struct km_session *session, const struct km_topic *topic,
	struct km_msg_attached *answer, bool writable, int segment_fd)
{
	_cleanup_(km_closep) int payload = -1, control = -1;
	int fds[KM_WIRE_MAX_FDS] = { topic->control_fd, topic->payload_fd };
	size_t count = 2;
	int r = 0;

	if (answer->role == KM_ROLE_SUBSCRIBER) {
		r = km_segment_reopen(topic->payload_fd, O_RDONLY, &payload);
		fds[1] = payload;
	}
	if (r == 0 && answer->role == KM_ROLE_SUBSCRIBER && topic->region.shared && !writable) {
		r = km_segment_reopen(topic->control_fd, O_RDONLY, &control);
		fds[0] = control;
	}
	if (r < 0) {
		km_session_refuse(session, topic, r, "topic '%s': the broker can't open it: %s",
			topic->key.name, strerror(-r));
		return r;
	}
	if (answer->bell_size > 0)
		fds[count++] = topic->bell_fd;
	if (segment_fd >= 0)
		fds[count++] = segment_fd;
	return km_session_answer(session, answer, sizeof *answer, fds, count);
}

static int send_attached(
	struct km_member *member, const struct km_msg_attach *request, int segment_fd)
{
	struct km_topic *topic = member->topic;
	const struct km_region *region = &topic->region;
	struct km_msg_attached answer = {
		.header.op = KM_OP_ATTACHED,
		.control_size = region->control_size,
		.payload_size = km_geometry_payload_size(&region->geometry),
		.endpoint = member->handle,
		.start = member->start,
		.segment = member->segment,
		.new_segment_size = segment_fd >= 0 ? KM_CLIENT_SEGMENT_SIZE : 0,
		.record_offset = member->offset,
		.role = member->role,
		.id = member->id,
		.ring = member->ring,
		.bell_size = km_geometry_bell_size(&region->geometry),
	};

	return send_region(
		member->session, topic, &answer, request->flags & KM_ATTACH_WRITABLE, segment_fd);
}

/* Who only looks isn't a member: it gets the memory read only, and nobody remembers it. */
static void observe(
	struct km_session *session, struct km_topic *topic, const struct km_msg_attach *request)
{
	const struct km_region *region = &topic->region;
	struct km_msg_attached answer = {
		.header.op = KM_OP_ATTACHED,
		.control_size = region->control_size,
		.payload_size = km_geometry_payload_size(&region->geometry),
		.role = KM_ROLE_SUBSCRIBER,
		.observes = 1,
	};

	if (find_start(topic, request->history, &answer.start) < 0) {
		km_topic_quarantine(topic, "the shared ring's cells contradict each other");
		km_session_refuse(session, topic, -ENOENT,
			"topic '%s' was corrupt and is given up: advertise it anew",
			topic->key.name);
		return;
	}
	if (send_region(session, topic, &answer, false, -1) == 0)
		km_log(LOG_DEBUG, session, topic, "observes");
}

/* Refuses if its client, its user or all have their endpoints. */
static bool has_room(struct km_session *session, const struct km_topic *topic)
{
	const struct km_limit *limit = &session->broker->config->client_endpoints;
	char text[KM_WIRE_TEXT_SIZE], where[KM_ORIGIN_TEXT_SIZE];

	if (session->member_count >= limit->value) {
		km_session_refuse(session, topic, -EDQUOT,
			"the limit of %llu endpoints of a client is reached (%s)",
			(unsigned long long)limit->value, km_origin_text(&limit->origin, where));
		return false;
	}
	if (km_account_check(session->account, KM_ENDPOINTS, 1, text, sizeof text) == 0)
		return true;
	km_session_refuse(session, topic, -EDQUOT, "%s", text);
	return false;
}

/* The client was refused what it has: a member (or null, if that is gone), a segment that came along. */
static void give_up(struct km_session *session, struct km_member *member, bool with_segment)
{
	/* a segment that the client doesn't know of would keep its count of them wrong for good */
	session->doomed |= with_segment;
	if (!member)
		return;
	struct km_topic *topic = member->topic;
	km_member_die(member);
	km_topic_tend(topic);
}

static void attach(struct km_session *session, struct km_topic *topic, enum km_role role,
	const struct km_msg_attach *request)
{
	const char *role_name = role == KM_ROLE_PUBLISHER ? "publisher" : "subscriber";
	_cleanup_(km_closep) int segment_fd = -1;
	uint32_t segments = session->segment_count;
	char text[KM_WIRE_TEXT_SIZE] = "";
	struct km_member *member;
	int r;

	if (!has_room(session, topic))
		return;
	if (!km_member_has_place(topic, role)) {
		km_session_refuse(session, topic, -ENOSPC, "topic '%s' has all its %u %ss",
			topic->key.name,
			role == KM_ROLE_PUBLISHER ? topic->region.geometry.max_publishers
						  : topic->region.geometry.max_subscribers,
			role_name);
		return;
	}
	r = km_member_new(session, topic, role, &member, &segment_fd, text, sizeof text);
	if (r < 0) {
		km_session_refuse(session, topic, r,
			"topic '%.60s': no memory for a %s's record: %s", topic->key.name,
			role_name, text);
		return;
	}
	r = role == KM_ROLE_SUBSCRIBER ? open_place(member, request->history) : 0;
	if (r < 0) {
		km_topic_quarantine(topic, "a ring's head and cells contradict each other");
		km_session_refuse(session, topic, -ENOENT,
			"topic '%s' was corrupt and is given up: advertise it anew",
			topic->key.name);
	} else {
		if (request->has_schema && !topic->has_schema)
			km_topic_set_schema(topic, &request->schema);
		km_keep_member(member);
		km_keep_done(session, request->header.op, member->handle, segment_fd >= 0);
		r = send_attached(member, request, segment_fd);
	}
	if (r == 0) {
		km_log(LOG_DEBUG, session, topic, "attached as %s", role_name);
		return;
	}
	give_up(session, member, session->segment_count != segments);
}

/* Who may write into the topic's memory could publish in anybody's name, so needs the right to. */
static bool may_write(struct km_session *session, const struct km_topic *topic,
	const struct km_topic_key *key, const struct km_msg_attach *request)
{
	return !(request->flags & KM_ATTACH_WRITABLE) ||
	       km_rights_allow(session, key, topic, KM_RIGHT_PUBLISH, "have writable");
}

void km_attach_answer_again(struct km_session *session, const struct km_msg_attach *request)
{
	_cleanup_(km_closep) int segment_fd = -1;
	struct km_member *member;
	int r = 0;

	LIST_FOREACH (member, &session->members, of_session)
		if (member->handle == session->done.handle && member->state == KM_PARTY_LIVE)
			break;
	if (member && session->done.with_segment)
		r = km_session_hand_memory(session, member->segment, &segment_fd);
	if (!member || r < 0) { /* its topic was given up meanwhile */
		km_session_refuse(session, NULL, -ESTALE,
			"the broker has begun anew and can't find what it had given: try again");
		r = -ESTALE;
	} else if (!may_write(session, member->topic, &member->topic->key, request)) {
		r = -EACCES;
	} else {
		r = send_attached(member, request, segment_fd);
	}
	if (r < 0)
		give_up(session, member, session->done.with_segment);
}

/* The topic, with a place for the role if that can be had by looking after it. */
static struct km_topic *find_with_place(
	struct km_session *session, const struct km_topic_key *key, enum km_role role)
{
	struct km_topic *topic = km_topic_find(session->broker, key);

	if (topic && !km_member_has_place(topic, role) && topic->dead + topic->leaving > 0) {
		km_topic_tend(topic);
		topic = km_topic_find(session->broker, key);
	}
	return topic;
}

static void no_such_topic(struct km_session *session, const struct km_topic_key *key)
{
	km_session_refuse(session, NULL, -ENOENT, "there is no %s '%s'%s%s with prefix '%s'",
		km_kind_name(key->kind), key->name, *key->owner ? " of " : "", key->owner,
		key->prefix);
}

/* Whoever comes second agrees with what is there, or says that it doesn't care. Refuses if not. */
static bool may_join(struct km_session *session, struct km_topic *topic,
	const struct km_topic_key *key, const struct km_msg_attach *request)
{
	bool sets_schema = request->has_schema && !topic->has_schema;

	return km_naming_agrees(session, topic, key) &&
	       (!sets_schema || km_rights_allow_schema(session, topic)) &&
	       km_agreement_config(session, topic, request) &&
	       km_agreement_schema(session, topic, request);
}

/* ADVERTISE and SUBSCRIBE once the name is known. `create`: make the topic if it isn't there. */
static void serve(struct km_session *session, const struct km_msg_attach *request,
	const struct km_topic_key *key, enum km_role role, bool create)
{
	struct km_geometry geometry;
	struct km_lifetime lifetime = { request->linger_ns, request->persistent };
	const bool observes = request->flags & KM_ATTACH_OBSERVE;
	struct km_topic *topic = observes ? km_topic_find(session->broker, key)
					  : find_with_place(session, key, role);

	if (!topic && (!create || observes)) {
		no_such_topic(session, key);
		return;
	}
	if (!km_rights_allow_role(session, key, topic, role) ||
		!may_write(session, topic, key, request))
		return;
	if (request->has_geometry && !km_agreement_is_possible(session, key, request))
		return;
	if (topic && !may_join(session, topic, key, request))
		return;
	if (!topic) {
		if (!km_agreement_wanted(session, NULL, request))
			return;
		km_agreement_geometry(request, &geometry);
		if (km_topic_create(session, key, &geometry, &lifetime, &topic) < 0)
			return;
		km_agreement_warn(session, topic, request);
	}
	if (!topic->region.shared && (request->history || request->flags & KM_ATTACH_OBSERVE)) {
		km_session_refuse(session, topic, -EOPNOTSUPP,
			"topic '%s' has a ring for each subscriber; only a shared ring has history "
			"and observers",
			topic->key.name);
		return;
	}
	if (request->flags & KM_ATTACH_OBSERVE)
		observe(session, topic, request);
	else
		attach(session, topic, role, request);
}

void km_attach_advertise(struct km_session *session, const struct km_msg_attach *request)
{
	struct km_topic_key key;

	/* a mailbox is its owner's to create */
	if (km_naming_attach(session, request, &key) == 0)
		serve(session, request, &key, KM_ROLE_PUBLISHER,
			!(request->flags & KM_ATTACH_MUST_EXIST) && key.kind != KM_KIND_MAILBOX);
}

void km_attach_subscribe(struct km_session *session, const struct km_msg_attach *request)
{
	struct km_topic_key key;

	if (km_naming_attach(session, request, &key) < 0)
		return;
	if (key.kind == KM_KIND_MAILBOX && strcmp(key.raw_owner, session->raw_name) != 0) {
		km_session_refuse(session, NULL, -EACCES,
			"the mailbox '%s' is %s's, not %s's to receive from", key.name, key.owner,
			session->name);
		return;
	}
	struct km_topic *topic = km_topic_find(session->broker, &key);
	if (topic && key.kind == KM_KIND_MAILBOX && topic->owner_uid != session->uid) {
		km_session_refuse(session, topic, -EACCES,
			"the mailbox '%s' of %s is uid %u's, not uid %u's", key.name, key.owner,
			topic->owner_uid, session->uid);
		return;
	}
	serve(session, request, &key, KM_ROLE_SUBSCRIBER, request->flags & KM_ATTACH_CREATE);
}

void km_attach_detach(struct km_session *session, const struct km_msg_detach *request)
{
	struct km_msg_ok answer = { .header.op = KM_OP_OK };
	struct km_member *member;

	LIST_FOREACH (member, &session->members, of_session)
		if (member->handle == request->endpoint && member->state == KM_PARTY_LIVE)
			break;
	if (!member) {
		km_session_refuse(session, NULL, -ENOENT, "no endpoint %llu of this client",
			(unsigned long long)request->endpoint);
		return;
	}
	struct km_topic *topic = member->topic;
	km_log(LOG_DEBUG, session, topic, "detached");
	km_keep_done(session, KM_OP_DETACH, 0, false);
	km_member_detach(member);
	km_topic_tend(topic);
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
