/* SPDX-License-Identifier: Apache-2.0 */
/* ATTACHED: see attached.h. */
#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/memory/segment.h"
#include "daemon/peer/memory.h"
#include "daemon/peer/session.h"
#include "daemon/serve/attached.h"
#include "daemon/topic/topic.h"

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
			topic->kept.key.name, strerror(-r));
		return r;
	}
	if (answer->bell_size > 0)
		fds[count++] = topic->bell_fd;
	if (segment_fd >= 0)
		fds[count++] = segment_fd;
	return km_session_answer(session, answer, sizeof *answer, fds, count);
}

/* Describes the topic. Clients believe this answer, not the header. */
static void describe(const struct km_topic *topic, struct km_msg_attached *ret)
{
	const struct km_region *region = &topic->region;

	ret->control_size = region->control_size;
	ret->payload_size = region->payload_size;
	ret->geometry = region->geometry;
	ret->linger_ns = topic->kept.lifetime.linger_ns;
	ret->persistent = topic->kept.lifetime.persistent;
	ret->has_schema = topic->kept.has_schema;
	ret->schema = topic->kept.schema;
}

int km_attached_send(const struct km_wanted *wanted, const struct km_member *member)
{
	_cleanup_(km_closep) int segment_fd = -1;
	const struct km_topic *topic = member->topic;
	struct km_msg_attached answer = {
		.header.op = KM_OP_ATTACHED,
		.endpoint = member->kept.handle,
		.start = member->kept.start,
		.segment = member->kept.segment,
		.record_offset = member->kept.offset,
		.role = member->kept.role,
		.id = member->kept.id,
		.ring = member->kept.ring,
		.bell_size = km_geometry_bell_size(&topic->region.geometry),
	};

	describe(topic, &answer);
	if (member->kept.segment >= wanted->segments) {
		int r = km_memory_hand(member->session, member->kept.segment, &segment_fd);

		if (r < 0) {
			km_session_refuse(member->session, topic, r,
				"topic '%s': the broker can't open the client's memory: %s",
				topic->kept.key.name, strerror(-r));
			return r;
		}
		answer.new_segment_size = KM_CLIENT_SEGMENT_SIZE;
	}
	return send_region(member->session, topic, &answer, wanted->writable, segment_fd);
}

int km_attached_send_observer(
	const struct km_wanted *wanted, const struct km_topic *topic, uint64_t start)
{
	struct km_msg_attached answer = {
		.header.op = KM_OP_ATTACHED,
		.start = start,
		.role = KM_ROLE_SUBSCRIBER,
		.observes = 1,
	};

	describe(topic, &answer);
	return send_region(wanted->session, topic, &answer, false, -1);
}
