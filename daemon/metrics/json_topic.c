/* SPDX-License-Identifier: Apache-2.0 */
/* One topic, with its rings and who is there: see json.h. Its members are walked through, and its slots
 * counted, in turns. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/protocol/name.h"
#include "common/ring/slot.h"
#include "daemon/metrics/json.h"
#include "daemon/metrics/topics.h"
#include "daemon/serve/stats.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"
#include "daemon/topic/walk.h"

/* Endpoints of each role that are told. */
#define ENDPOINTS 256

struct topic_answer {
	struct km_answer answer;
	struct km_walk walk;
	struct km_json_endpoints endpoints;
	uint64_t members;
	bool walked;
	uint32_t slot; /* the next slot to look at */
	uint32_t free_slots;
};

static void put_schema(struct km_answer *answer, const struct km_topic *topic)
{
	if (!topic->kept.has_schema) {
		km_answer_put(answer, ",\"schema\":null");
		return;
	}
	km_answer_put(answer, ",\"schema\":{\"name\":");
	km_json_put_text(answer, topic->kept.schema.name, sizeof topic->kept.schema.name);
	km_answer_put(answer, ",\"version\":%" PRIu32 "}", topic->kept.schema.version);
}

static void put_shape(struct km_answer *answer, const struct km_topic *topic)
{
	const struct km_geometry *geometry = &topic->region.geometry;

	km_answer_put(answer,
		",\"max_publishers\":%" PRIu32 ",\"max_subscribers\":%" PRIu32
		",\"ring_capacity\":%" PRIu32 ",\"max_payload_size\":%" PRIu64,
		geometry->max_publishers, geometry->max_subscribers, geometry->ring_capacity,
		geometry->max_payload_size);
	km_answer_put(answer,
		",\"max_loans\":%" PRIu32 ",\"max_borrows\":%" PRIu32 ",\"max_reliable\":%" PRIu32
		",\"history\":%" PRIu32 ",\"timestamps\":%s",
		geometry->max_loans, geometry->max_borrows, geometry->max_reliable,
		geometry->history, geometry->timestamps ? "true" : "false");
	km_answer_put(answer,
		",\"linger_ns\":%" PRIu64 ",\"persistent\":%s,\"owner_uid\":%" PRIu32
		",\"creator\":\"%s\",\"creator_pid\":%" PRId32
		",\"region\":\"%s\",\"demoted\":%" PRIu32 ",\"no_room\":%" PRIu64,
		topic->kept.lifetime.linger_ns, topic->kept.lifetime.persistent ? "true" : "false",
		topic->kept.owner_uid, topic->kept.creator, topic->kept.creator_pid,
		topic->region_name, topic->kept.demoted, topic->told.no_room);
	km_answer_put(answer, ",\"reason\":");
	km_json_put_text(answer, topic->kept.reason, sizeof topic->kept.reason);
	put_schema(answer, topic);
}

/* False: all members were told. */
static bool walk_members(struct topic_answer *whole)
{
	for (unsigned work = KM_PIECE / 64; work > 0; work--) {
		const struct km_member *member = km_walk_next(&whole->walk);

		if (!member)
			return false;
		km_json_put_endpoint(&whole->answer, &whole->endpoints, member);
		whole->members++;
	}
	return true;
}

/* False: all slots were counted. */
static bool count_slots(struct topic_answer *whole)
{
	const struct km_topic *topic = whole->walk.topic;
	const uint32_t slots = topic->region.geometry.pool_size;
	const uint32_t end = slots - whole->slot > KM_PIECE ? whole->slot + KM_PIECE : slots;

	/* the memory of a topic that was given up may be given back already */
	if (topic->kept.quarantined)
		return false;
	for (; whole->slot < end; whole->slot++)
		whole->free_slots += km_load(S5, relaxed, &topic->region.slots[whole->slot].word) ==
				     0;
	return end < slots;
}

static bool step(struct km_answer *answer)
{
	struct topic_answer *whole = (struct topic_answer *)answer;

	if (!whole->walked) {
		whole->walked = !walk_members(whole);
		return true;
	}
	if (count_slots(whole))
		return true;
	km_answer_put(answer, "],\"endpoints_left_out\":%" PRIu64,
		whole->members - whole->endpoints.told[0] - whole->endpoints.told[1]);
	if (whole->walk.topic->kept.quarantined)
		km_answer_put(answer, ",\"free_slots\":null}\n");
	else
		km_answer_put(answer, ",\"free_slots\":%" PRIu32 "}\n", whole->free_slots);
	return false;
}

static void deinit(struct km_answer *answer)
{
	km_walk_end(&((struct topic_answer *)answer)->walk);
}

/* The key of a whole name: PREFIX:NAME, KIND:PREFIX:NAME or KIND:PREFIX:OWNER:NAME. */
static int take_name(const char *name, struct km_topic_key *ret)
{
	struct km_topic_key key = { .kind = KM_KIND_PUBSUB };
	char copy[KM_NAME_WHOLE_SIZE], *rest = copy;

	if (strlen(name) >= sizeof copy)
		return -EINVAL;
	strcpy(copy, name);
	const char *first = strsep(&rest, ":");
	int kind = km_kind_of(first);
	if (rest && strchr(rest, ':')) {
		if (kind <= KM_KIND_PUBSUB)
			return -EINVAL;
		key.kind = (uint32_t)kind;
		first = strsep(&rest, ":");
	}
	const char *owner = km_kind_has_owner(key.kind) ? strsep(&rest, ":") : "";
	if (!rest || strlen(first) >= sizeof key.prefix || strlen(owner) >= sizeof key.owner ||
		strlen(rest) >= sizeof key.name || !km_name_is_clean(first) ||
		!km_name_is_clean(rest) || (*owner && !km_name_is_clean(owner)))
		return -EINVAL;
	strcpy(key.prefix, first);
	strcpy(key.owner, owner);
	strcpy(key.name, rest);
	*ret = key;
	return 0;
}

int km_json_topic(struct km_broker *broker, const struct evkeyvalq *query, struct km_answer **ret)
{
	const struct evkeyval *item = TAILQ_FIRST(query);
	struct km_topic_key key;

	if (!item || TAILQ_NEXT(item, next) || strcmp(item->key, "name") != 0 ||
		take_name(item->value, &key) < 0)
		return -EINVAL;
	struct km_topic *topic = km_topic_find_any(broker, &key);
	if (!topic)
		return -ENOENT;
	struct topic_answer *whole = km_answer_new(broker, sizeof *whole, KM_JSON_TYPE, step);
	if (!whole)
		return -ENOMEM;
	whole->answer.deinit = deinit;
	whole->endpoints.most = ENDPOINTS;
	whole->endpoints.frontier = km_stats_frontier(topic);
	km_walk_begin(&whole->walk, topic);
	km_topic_count(topic);
	km_json_put_head(&whole->answer);
	km_json_put_topic(&whole->answer, topic);
	put_shape(&whole->answer, topic);
	km_answer_put(&whole->answer, ",\"endpoints\":[");
	*ret = &whole->answer;
	return 0;
}
