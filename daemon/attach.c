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

#include "attach.h"
#include "cleanup.h"
#include "log.h"
#include "member.h"
#include "name.h"
#include "quarantine.h"
#include "recover.h"
#include "ring.h"
#include "segment.h"
#include "session.h"
#include "topic.h"
#include "waiter.h"

static bool name_is_good(struct km_session *session, const char *name)
{
	if (km_name_is_clean(name))
		return true;
	km_session_refuse(session, NULL, -EINVAL, "'%.100s' is not a topic's name", name);
	return false;
}

static bool geometry_is_good(
	struct km_session *session, const char *name, const struct km_geometry *geometry)
{
	const char *field = km_geometry_check(geometry);
	uint64_t min = 0, max = 0;

	if (!field)
		return true;
	km_geometry_limits(field, &min, &max);
	km_session_refuse(session, NULL, -EINVAL,
		"topic '%s': %s = %llu is not %s from %llu to %llu", name, field,
		(unsigned long long)km_geometry_field(geometry, field),
		strcmp(field, "ring_capacity") == 0 ? "a power of two" : "a number",
		(unsigned long long)min, (unsigned long long)max);
	return false;
}

/* Makes a subscriber's ring ready and lets messages in. Errors: -ESTALE. */
static int open_ring(struct km_member *member, uint64_t *ret_start)
{
	struct km_topic *topic = member->topic;
	struct km_ring *ring = km_region_ring(&topic->region, member->ring);
	_Atomic uint32_t evicting; /* nobody's: see reconcile.c */

	km_hazard_clear(&evicting);
	int r = km_ring_drain(&topic->region, member->ring, &evicting);
	if (r < 0)
		return r;
	km_waiter_retract(ring); /* its last owner may have died asleep */
	*ret_start = km_load(R2, acquire, &ring->head);
	topic->live |= UINT64_C(1) << member->ring;
	km_store(L2, release, &topic->region.header->live, topic->live);
	return 0;
}

static int send_attached(struct km_member *member, uint64_t start, int segment_fd)
{
	struct km_topic *topic = member->topic;
	const struct km_region *region = &topic->region;
	_cleanup_(km_closep) int read_only = -1;
	int fds[3] = { topic->control_fd, topic->payload_fd, segment_fd };
	struct km_msg_attached answer = {
		.header.op = KM_OP_ATTACHED,
		.control_size = region->control_size,
		.payload_size = km_geometry_payload_size(&region->geometry),
		.endpoint = member->handle,
		.start = start,
		.segment = member->segment,
		.new_segment_size = segment_fd >= 0 ? KM_CLIENT_SEGMENT_SIZE : 0,
		.record_offset = member->offset,
		.role = member->role,
		.id = member->id,
		.ring = member->ring,
	};

	if (member->role == KM_ROLE_SUBSCRIBER) {
		int r = km_segment_reopen(topic->payload_fd, O_RDONLY, &read_only);

		if (r < 0) {
			km_session_refuse(member->session, topic, r,
				"topic '%s': the broker can't open it: %s", topic->name,
				strerror(-r));
			return r;
		}
		fds[1] = read_only;
	}
	return km_session_answer(
		member->session, &answer, sizeof answer, fds, segment_fd >= 0 ? 3 : 2);
}

static void attach(struct km_session *session, struct km_topic *topic, enum km_role role)
{
	const char *role_name = role == KM_ROLE_PUBLISHER ? "publisher" : "subscriber";
	_cleanup_(km_closep) int segment_fd = -1;
	uint32_t segments = session->segment_count;
	struct km_member *member;
	uint64_t start = 0;
	int r;

	if (session->member_count >= session->broker->config->max_endpoints) {
		km_session_refuse(session, topic, -EDQUOT,
			"the limit of %u endpoints of a client is reached",
			session->broker->config->max_endpoints);
		return;
	}
	if (!km_member_has_place(topic, role)) {
		km_session_refuse(session, topic, -ENOSPC, "topic '%s' has all its %u %ss",
			topic->name,
			role == KM_ROLE_PUBLISHER ? topic->region.geometry.max_publishers
						  : topic->region.geometry.max_subscribers,
			role_name);
		return;
	}
	r = km_member_new(session, topic, role, &member, &segment_fd);
	if (r < 0) {
		km_session_refuse(session, topic, r, "topic '%s': no memory for a %s's record: %s",
			topic->name, role_name, strerror(-r));
		return;
	}
	r = role == KM_ROLE_SUBSCRIBER ? open_ring(member, &start) : 0;
	if (r < 0) {
		km_topic_quarantine(topic, "a ring's head and cells contradict each other");
		km_session_refuse(session, topic, -ENOENT,
			"topic '%s' was corrupt and is given up: advertise it anew", topic->name);
	} else {
		r = send_attached(member, start, segment_fd);
	}
	if (r == 0) {
		km_log(LOG_DEBUG, session, topic, "attached as %s", role_name);
		return;
	}
	/* a segment that the client doesn't know of would keep its count of them wrong for good */
	session->doomed |= session->segment_count != segments;
	km_member_die(member);
	km_topic_tend(topic);
}

/* The topic, with a place for the role if that can be had by looking after it. */
static struct km_topic *find_with_place(
	struct km_session *session, const char *name, enum km_role role)
{
	struct km_topic *topic = km_topic_find(session->broker, session->prefix, name);

	if (topic && !km_member_has_place(topic, role) && topic->dead + topic->leaving > 0) {
		km_topic_tend(topic);
		topic = km_topic_find(session->broker, session->prefix, name);
	}
	return topic;
}

void km_attach_advertise(struct km_session *session, const struct km_msg_advertise *request)
{
	const struct km_geometry *geometry = &request->geometry;
	const char *name = request->topic;
	struct km_geometry defaults;

	if (!name_is_good(session, name))
		return;
	if (request->has_geometry && !geometry_is_good(session, name, geometry))
		return;
	struct km_topic *topic = find_with_place(session, name, KM_ROLE_PUBLISHER);
	if (topic && request->has_geometry) {
		const char *field = km_geometry_diff(&topic->region.geometry, geometry);

		if (field) {
			km_session_refuse(session, topic, -EEXIST,
				"topic '%s' exists with %s = %llu, not %llu", name, field,
				(unsigned long long)km_geometry_field(
					&topic->region.geometry, field),
				(unsigned long long)km_geometry_field(geometry, field));
			return;
		}
	}
	if (!topic) {
		if (!request->has_geometry) {
			km_geometry_init(&defaults);
			geometry = &defaults;
		}
		if (km_topic_create(session, name, geometry, &topic) < 0)
			return;
	}
	attach(session, topic, KM_ROLE_PUBLISHER);
}

void km_attach_subscribe(struct km_session *session, const struct km_msg_subscribe *request)
{
	if (!name_is_good(session, request->topic))
		return;
	struct km_topic *topic = find_with_place(session, request->topic, KM_ROLE_SUBSCRIBER);

	if (!topic) {
		km_session_refuse(session, NULL, -ENOENT, "there is no topic '%s' with prefix '%s'",
			request->topic, session->prefix);
		return;
	}
	attach(session, topic, KM_ROLE_SUBSCRIBER);
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
	km_member_detach(member);
	km_topic_tend(topic);
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
