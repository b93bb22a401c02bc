/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces that several answers in JSON have: see json.h. */
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/protocol/name.h"
#include "common/ring/endpoint.h"
#include "daemon/metrics/json.h"
#include "daemon/metrics/topics.h"
#include "daemon/serve/stats.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

#define TEXT_SIZE     768

#define YES_NO(value) ((value) ? "true" : "false")

void km_json_put_text(struct km_answer *answer, const char *text, size_t size)
{
	char copy[TEXT_SIZE], shown[TEXT_SIZE];
	size_t len = strnlen(text, size < TEXT_SIZE ? size : TEXT_SIZE - 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	km_name_printable(copy, shown, sizeof shown);
	km_answer_put(answer, "\"");
	for (char *rest = shown; *rest;) {
		size_t plain = strcspn(rest, "\"\\");

		km_answer_put(answer, "%.*s", (int)plain, rest);
		rest += plain;
		if (*rest)
			km_answer_put(answer, "\\%c", *rest++);
	}
	km_answer_put(answer, "\"");
}

void km_json_put_head(struct km_answer *answer)
{
	km_answer_put(answer,
		"{\"version\":\"" KM_VERSION "\",\"monotonic_ns\":%" PRId64
		",\"realtime_ns\":%" PRIu64 ",",
		km_clock_ns(), km_clock_realtime_ns());
}

void km_json_put_topic(struct km_answer *answer, struct km_topic *topic)
{
	const struct km_topic_key *key = &topic->kept.key;
	const struct km_geometry *geometry = &topic->region.geometry;
	char name[KM_NAME_WHOLE_SIZE] = "";

	km_name_write(key->kind, key->prefix, key->owner, key->name, name, sizeof name);
	km_answer_put(answer, "\"id\":%" PRIu64 ",\"name\":\"%s\",\"kind\":\"%s\"", topic->kept.id,
		name, km_kind_name(key->kind));
	km_answer_put(answer,
		",\"publishers\":%" PRIu32 ",\"subscribers\":%" PRIu32 ",\"unsettled\":%" PRIu32,
		topic->publishers, topic->subscribers, topic->dead + topic->leaving);
	km_answer_put(answer,
		",\"sent\":%" PRIu64 ",\"sent_bytes\":%" PRIu64 ",\"received\":%" PRIu64
		",\"lost\":%" PRIu64 ",\"failed\":%" PRIu64,
		topic->told.sent, topic->told.bytes, topic->told.received, topic->told.lost,
		topic->told.failed);
	km_answer_put(answer,
		",\"transport\":\"%s\",\"pool_size\":%" PRIu32 ",\"total_bytes\":%" PRIu64
		",\"created_realtime_ns\":%" PRIu64 ",\"unlinked\":%s,\"quarantined\":%s",
		geometry->transport == KM_TRANSPORT_SHARED ? "shared" : "rings",
		geometry->pool_size, topic->bytes, topic->kept.created_realtime_ns,
		YES_NO(topic->kept.unlinked), YES_NO(topic->kept.quarantined));
}

static const char *state_name(uint32_t state)
{
	return state == KM_ENDPOINT_LIVE ? "live" : state == KM_ENDPOINT_DEAD ? "dead" : "leaving";
}

static void put_ring(struct km_answer *answer, const struct km_member *member, uint64_t frontier)
{
	struct km_ring_stats ring;

	km_stats_describe_ring(member, frontier, &ring);
	km_answer_put(answer,
		",\"received\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"written\":%" PRIu64
		",\"waiting\":%" PRIu64,
		ring.received, ring.lost, ring.written, ring.waiting);
	if (ring.ring == UINT32_MAX)
		km_answer_put(answer, ",\"ring\":null");
	else
		km_answer_put(answer, ",\"ring\":%" PRIu32, ring.ring);
	km_answer_put(answer, ",\"sleeping\":%s,\"reliable\":%s}", YES_NO(ring.sleeping),
		YES_NO(ring.reliable));
}

void km_json_put_endpoint(struct km_answer *answer, struct km_json_endpoints *endpoints,
	const struct km_member *member)
{
	const struct km_session *session = member->session;
	const struct km_endpoint *record = km_member_record(member);
	const bool publishes = member->kept.role == KM_ROLE_PUBLISHER;

	if (endpoints->told[!publishes] >= endpoints->most)
		return;
	km_answer_put(answer,
		"%s{\"endpoint_id\":%" PRIu64
		",\"role\":\"%s\",\"state\":\"%s\",\"client_id\":%" PRIu64
		",\"client\":\"%s\",\"pid\":%" PRId32 ",\"uid\":%" PRIu32
		",\"since_realtime_ns\":%" PRIu64,
		endpoints->told[0] + endpoints->told[1] > 0 ? "," : "", member->kept.handle,
		km_member_role_name(member->kept.role), state_name(member->kept.state),
		session->kept.id, session->kept.name, session->kept.pid, session->kept.uid,
		member->kept.since_realtime_ns);
	endpoints->told[!publishes]++;
	if (publishes)
		km_answer_put(answer,
			",\"sent\":%" PRIu64 ",\"sent_bytes\":%" PRIu64 ",\"failed\":%" PRIu64
			",\"no_room\":%" PRIu64 "}",
			km_load(H2, relaxed, &record->messages),
			km_load(H2, relaxed, &record->bytes), km_load(H2, relaxed, &record->failed),
			km_load(H2, relaxed, &record->no_room));
	else if (member->kept.state == KM_ENDPOINT_LIVE && !member->topic->kept.quarantined)
		put_ring(answer, member, endpoints->frontier);
	else
		km_answer_put(answer, ",\"received\":%" PRIu64 ",\"lost\":%" PRIu64 "}",
			km_load(H2, relaxed, &record->messages), member->kept.lost);
}
