/* SPDX-License-Identifier: Apache-2.0 */
/* The constant part of a control header: see header.h. */
#include <stdio.h>
#include <string.h>

#include "common/memory/atomic.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/topic/header.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

/* The header's words up to `live`. */
#define WORDS (offsetof(struct km_control_header, live) / sizeof(uint64_t))
#define NAMED 3 /* clients in one message */

union picture {
	struct km_control_header header;
	uint64_t words[sizeof(struct km_control_header) / sizeof(uint64_t)];
};

static void describe(const struct km_topic *topic, union picture *ret)
{
	const struct km_lifetime *lifetime = &topic->kept.lifetime;
	const struct km_geometry *geometry = &topic->region.geometry;
	struct km_control_header *header = &ret->header;

	memset(ret, 0, sizeof *ret);
	km_region_describe(header, geometry, topic->region_name, topic->kept.key.name,
		topic->kept.created_realtime_ns);
	header->kind = topic->kept.key.kind;
	header->linger_ns = lifetime->linger_ns;
	header->persistent = lifetime->persistent;
	header->config_hash = km_config_hash(geometry, lifetime->linger_ns, lifetime->persistent);
	if (!topic->kept.has_schema)
		return;
	memcpy(header->schema, &topic->kept.schema, sizeof header->schema);
	km_store(L0, relaxed, &header->schema_state, 1);
}

/* Writes the broker's copy over a header that differs. Returns the first byte that differed, or
 * -1. */
static int mend(struct km_topic *topic)
{
	_Atomic uint64_t *words = (_Atomic uint64_t *)(void *)topic->region.header;
	union picture mine;
	int first = -1;

	describe(topic, &mine);
	for (int i = (int)WORDS - 1; i >= 0; i--) {
		if (km_load(L0, relaxed, &words[i]) == mine.words[i])
			continue;
		km_store(L0, relaxed, &words[i], mine.words[i]);
		first = i * (int)sizeof(uint64_t);
	}
	return first;
}

void km_header_write(struct km_topic *topic)
{
	mend(topic);
}

/* Could the member have written the header? Subscribers of a shared ring have it read only, unless
 * they asked for more and may publish. */
static bool can_write(const struct km_member *member)
{
	return member->kept.role == KM_ROLE_PUBLISHER || !member->topic->region.shared ||
	       member->kept.writable;
}

/* Names the clients that may have written: "'name' (pid 12, uid 1000), ...". */
static void name_suspects(const struct km_topic *topic, char *ret, size_t size)
{
	const struct km_member *member;
	unsigned count = 0;
	size_t used = 0;

	*ret = '\0';
	LIST_FOREACH (member, &topic->members, of_topic) {
		const struct km_session *session = member->session;

		if (!can_write(member) || ++count > NAMED || used >= size)
			continue;
		used += (size_t)snprintf(ret + used, size - used, "%s'%.24s' (pid %d, uid %u)",
			used ? ", " : "", session->kept.name, session->kept.pid, session->kept.uid);
	}
	if (count > NAMED && used < size)
		used += (size_t)snprintf(ret + used, size - used, " and %u others", count - NAMED);
	if (used < size)
		snprintf(ret + used, size - used, "%sone that has left", count ? ", or " : "");
}

void km_header_look(struct km_topic *topic)
{
	char suspects[KM_WIRE_TEXT_SIZE];
	int at = mend(topic);

	if (at < 0)
		return;
	name_suspects(topic, suspects, sizeof suspects);
	if (!topic->kept.quarantined) {
		snprintf(topic->kept.reason, sizeof topic->kept.reason,
			"its header was overwritten at byte %d and mended; it was %.190s", at,
			suspects);
		km_keep_topic(topic);
	}
	km_log(LOG_ERR | KM_EVENT_HEADER_MENDED, NULL, topic,
		"its header was overwritten at byte %d and is mended; it was %s", at, suspects);
}

void km_header_set_schema(struct km_topic *topic, const struct km_schema *schema)
{
	/* Damage that is there already isn't to be mended together with this, and unnoticed. */
	km_header_look(topic);
	topic->kept.schema = *schema;
	topic->kept.has_schema = true;
	km_header_write(topic);
	km_keep_topic(topic);
}
