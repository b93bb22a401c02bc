/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topics and their numbers: see json.h. Pages bound what an answer takes of memory. The cursor is the
 * id of the last topic that was told, so topics that come and go between two pages don't shift the
 * rest.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/metrics/json.h"
#include "daemon/metrics/topics.h"
#include "daemon/serve/numbers.h"
#include "daemon/serve/stats.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

/* Endpoints of each role that are told of a topic. */
#define ENDPOINTS 32

struct topics {
	struct km_answer answer;
	uint64_t most, count;
	uint64_t next; /* where the next page begins, or 0 */
	/* The topics that are asked for one by one, by their ids in order. */
	uint64_t ids[KM_JSON_IDS];
	size_t id_count;
	size_t ids_seen;
};

static void put_endpoints(struct km_answer *answer, const struct km_topic *topic)
{
	struct km_json_endpoints endpoints = { .frontier = km_stats_frontier(topic),
		.most = ENDPOINTS };
	const struct km_member *member;
	unsigned looks = 0;

	km_answer_put(answer, ",\"endpoints\":[");
	LIST_FOREACH (member, &topic->members, of_topic)
		if (looks++ < KM_NUMBERS_MEMBERS)
			km_json_put_endpoint(answer, &endpoints, member);
		else
			break;
	km_answer_put(answer, "]");
}

/* Is the topic asked for? */
static bool is_asked(struct topics *topics, const struct km_topic *topic)
{
	while (topics->ids_seen < topics->id_count &&
		topics->ids[topics->ids_seen] < topic->kept.id)
		topics->ids_seen++;
	return topics->id_count == 0 || (topics->ids_seen < topics->id_count &&
						topics->ids[topics->ids_seen] == topic->kept.id);
}

static int64_t tell(struct km_answer *answer, struct km_topic *topic)
{
	struct topics *topics = (struct topics *)answer;
	const int64_t members = topic->publishers + topic->subscribers;
	uint64_t free_slots;

	if (!is_asked(topics, topic))
		return 16;
	km_topic_count(topic);
	km_answer_put(answer, "%s{", topics->count > 0 ? ",\n" : "");
	km_json_put_topic(answer, topic);
	free_slots = km_topic_free_slots(topic);
	if (free_slots == UINT64_MAX)
		km_answer_put(answer, ",\"free_slots\":null");
	else
		km_answer_put(answer, ",\"free_slots\":%" PRIu64, free_slots);
	if (topics->id_count > 0)
		put_endpoints(answer, topic);
	km_answer_put(answer, "}");
	if (++topics->count == topics->most) {
		answer->end = topic->kept.id;
		topics->next = topic->kept.id;
	}
	return 1024 + topic->region.geometry.pool_size + members * 16 +
	       (topics->id_count > 0 ? 4096 : 0);
}

static bool step(struct km_answer *answer)
{
	if (km_answer_tour(answer))
		return true;
	km_answer_put(answer, "],\"next\":%" PRIu64 "}\n", ((struct topics *)answer)->next);
	return false;
}

/* A number from `least` to `most`, which ends where the text ends or at a ','. */
static int take_number(const char **text, uint64_t least, uint64_t most, uint64_t *ret)
{
	char *end;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	errno = 0;
	uint64_t value = strtoull(*text, &end, 10);
	if (errno != 0 || (*end != '\0' && *end != ',') || value < least || value > most)
		return -EINVAL;
	*text = end;
	*ret = value;
	return 0;
}

static int take_one(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
	int r = take_number(&text, least, most, ret);

	return r < 0 || *text == '\0' ? r : -EINVAL;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int take_ids(struct topics *topics, const char *text)
{
	for (int r = 0; r == 0;) {
		if (topics->id_count == KM_JSON_IDS)
			return -EINVAL;
		r = take_number(&text, 1, UINT64_MAX, &topics->ids[topics->id_count++]);
		if (r < 0 || *text == '\0')
			return r;
		text++;
	}
	return 0;
}

static int take_query(struct topics *topics, const struct evkeyvalq *query)
{
	bool has_after = false, has_count = false, has_ids = false;
	const struct evkeyval *item;
	int r = 0;

	TAILQ_FOREACH (item, query, next) {
		bool *has = strcmp(item->key, "after") == 0 ? &has_after
			    : strcmp(item->key, "n") == 0   ? &has_count
			    : strcmp(item->key, "ids") == 0 ? &has_ids
							    : NULL;

		if (!has || *has)
			return -EINVAL;
		*has = true;
		if (has == &has_after)
			r = take_one(item->value, 0, UINT64_MAX, &topics->answer.cursor);
		else if (has == &has_count)
			r = take_one(item->value, 1, KM_JSON_TOPICS, &topics->most);
		else
			r = take_ids(topics, item->value);
		if (r < 0)
			return r;
	}
	if (!has_ids)
		return 0;
	if (has_after || has_count)
		return -EINVAL;
	qsort(topics->ids, topics->id_count, sizeof topics->ids[0], compare);
	topics->answer.cursor = topics->ids[0] - 1;
	if (topics->answer.end > topics->ids[topics->id_count - 1])
		topics->answer.end = topics->ids[topics->id_count - 1];
	return 0;
}

int km_json_topics(struct km_broker *broker, const struct evkeyvalq *query, struct km_answer **ret)
{
	struct topics *topics = km_answer_new(broker, sizeof *topics, KM_JSON_TYPE, step);

	if (!topics)
		return -ENOMEM;
	topics->answer.tell = tell;
	topics->most = KM_JSON_TOPICS;
	if (take_query(topics, query) < 0) {
		km_answer_free(&topics->answer);
		return -EINVAL;
	}
	km_json_put_head(&topics->answer);
	km_answer_put(&topics->answer, "\"topics\":[");
	*ret = &topics->answer;
	return 0;
}
