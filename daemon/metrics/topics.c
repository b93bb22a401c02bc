/* SPDX-License-Identifier: Apache-2.0 */
/* A topic's numbers: see topics.h. */
#include <errno.h>

#include "common/protocol/name.h"
#include "common/ring/slot.h"
#include "daemon/metrics/text.h"
#include "daemon/metrics/topics.h"
#include "daemon/serve/numbers.h"
#include "daemon/topic/member.h"
#include "daemon/topic/reliable.h"
#include "daemon/topic/topic.h"

/* A larger pool isn't counted: that would take longer than a turn. */
#define COUNTED_SLOTS 65536
/* If a topic's subscribers have more entries of held[] than that, none are looked at. */
#define COUNTED_HOLDS 65536

/* In the order of what km_topic_lines_add() tells. */
static const struct km_metric metrics[KM_TOPIC_FAMILIES] = {
	{ "kickmsg_topic_messages", KM_METRIC_COUNTER, "Messages that were sent." },
	{ "kickmsg_topic_bytes", KM_METRIC_COUNTER, "Bytes of the payloads that were sent." },
	{ "kickmsg_topic_received", KM_METRIC_COUNTER, "Messages that subscribers received." },
	{ "kickmsg_topic_lost", KM_METRIC_COUNTER,
		"Messages that subscribers were entitled to and did not get." },
	{ "kickmsg_topic_failed_sends", KM_METRIC_COUNTER, "Sends that met an empty pool." },
	{ "kickmsg_topic_publishers", KM_METRIC_GAUGE, "Publishers that are attached." },
	{ "kickmsg_topic_subscribers", KM_METRIC_GAUGE, "Subscribers that are attached." },
	{ "kickmsg_topic_unsettled", KM_METRIC_GAUGE,
		"Endpoints that died or left and aren't settled yet." },
	{ "kickmsg_topic_slots", KM_METRIC_GAUGE, "Slots of the pool." },
	{ "kickmsg_topic_free_slots", KM_METRIC_GAUGE, "Slots that nobody has." },
	{ "kickmsg_topic_holders", KM_METRIC_GAUGE, "Subscribers that hold a sample." },
	{ "kickmsg_topic_memory_bytes", KM_METRIC_GAUGE, "Memory of the topic." },
	/* only topics that may have reliable subscribers have these */
	{ "kickmsg_topic_reliable_subscribers", KM_METRIC_GAUGE,
		"Subscribers that publishers wait for." },
	{ "kickmsg_topic_demotions", KM_METRIC_COUNTER,
		"Reliable subscribers that stood still and were made ordinary ones." },
	{ "kickmsg_topic_no_room_sends", KM_METRIC_COUNTER,
		"Sends that found no room with a reliable subscriber; one that waits counts "
		"once." },
	{ "kickmsg_topic_stalls", KM_METRIC_COUNTER,
		"Times that a publisher said it found no room, once a millisecond at most." },
};
enum { FREE_SLOTS = 9, HOLDERS = 10, RELIABLE = 12 };

int km_topic_lines_init(struct km_topic_lines *lines, bool openmetrics)
{
	*lines = (struct km_topic_lines){ 0 };
	for (int i = 0; i < KM_TOPIC_FAMILIES; i++) {
		lines->families[i] = evbuffer_new();
		if (!lines->families[i] ||
			km_metric_begin(lines->families[i], &metrics[i], openmetrics) < 0) {
			km_topic_lines_deinit(lines);
			return -ENOMEM;
		}
	}
	return 0;
}

void km_topic_lines_deinit(struct km_topic_lines *lines)
{
	for (int i = 0; i < KM_TOPIC_FAMILIES; i++) {
		if (lines->families[i])
			evbuffer_free(lines->families[i]);
		lines->families[i] = NULL;
	}
}

int km_topic_lines_join(struct km_topic_lines *lines, struct evbuffer *to)
{
	for (int i = 0; i < KM_TOPIC_FAMILIES; i++)
		if (evbuffer_add_buffer(to, lines->families[i]) < 0)
			return -ENOMEM;
	return 0;
}

static void raise_to(uint64_t *told, uint64_t now)
{
	if (*told < now)
		*told = now;
}

/* A look at members that are at work may find less than the look before: a subscriber that has
 * taken a message and not counted it yet seems to have lost one. A collector takes a counter that
 * goes down for one that began anew. */
void km_topic_count(struct km_topic *topic)
{
	struct km_topic_numbers numbers;

	km_numbers_describe(topic, &numbers);
	raise_to(&topic->told.sent, numbers.sent);
	raise_to(&topic->told.bytes, numbers.bytes);
	raise_to(&topic->told.received, numbers.received);
	raise_to(&topic->told.lost, numbers.lost);
	raise_to(&topic->told.failed, numbers.failed);
	raise_to(&topic->told.no_room, numbers.no_room);
}

int64_t km_topic_sum(struct km_totals *sum, struct km_topic *topic)
{
	km_topic_count(topic);
	km_topic_add_numbers(sum, &topic->told);
	return 64 + (int64_t)(topic->publishers + topic->subscribers) * 16;
}

const struct km_totals *km_topics_tell(struct km_broker *broker, const struct km_totals *sum)
{
	struct km_totals *told = &broker->told;

	raise_to(&told->sent, sum->sent);
	raise_to(&told->bytes, sum->bytes);
	raise_to(&told->received, sum->received);
	raise_to(&told->lost, sum->lost);
	raise_to(&told->failed, sum->failed);
	return told;
}

uint64_t km_topic_free_slots(const struct km_topic *topic)
{
	const struct km_region *region = &topic->region;
	uint64_t slots = 0;

	if (topic->kept.quarantined || region->geometry.pool_size > COUNTED_SLOTS)
		return UINT64_MAX;
	for (uint32_t i = 0; i < region->geometry.pool_size; i++)
		slots += km_load(S5, relaxed, &region->slots[i].word) == 0;
	return slots;
}

static bool holds(const struct km_member *member)
{
	const struct km_endpoint *record = km_member_record(member);

	for (uint32_t i = 0; i < member->held_count; i++)
		if (km_load(H1, acquire, &record->held[i]) != KM_HAZARD_NONE)
			return true;
	return false;
}

/* The samples that the topic's subscribers hold; UINT64_MAX: not counted. */
static uint64_t count_holders(const struct km_topic *topic)
{
	const struct km_member *member;
	uint64_t holders = 0, work = 0;

	if (topic->publishers + topic->subscribers > KM_NUMBERS_MEMBERS)
		return UINT64_MAX;
	LIST_FOREACH (member, &topic->members, of_topic) {
		work += 1 + member->held_count;
		if (work > COUNTED_HOLDS)
			return UINT64_MAX;
		holders += member->kept.role == KM_ROLE_SUBSCRIBER &&
			   member->kept.state == KM_ENDPOINT_LIVE && holds(member);
	}
	return holders;
}

int64_t km_topic_lines_add(struct km_topic_lines *lines, const struct km_topic *topic)
{
	const struct km_topic_key *key = &topic->kept.key;
	const uint64_t values[KM_TOPIC_FAMILIES] = { topic->told.sent, topic->told.bytes,
		topic->told.received, topic->told.lost, topic->told.failed, topic->publishers,
		topic->subscribers, topic->dead + topic->leaving, topic->region.geometry.pool_size,
		km_topic_free_slots(topic), count_holders(topic), topic->bytes,
		km_reliable_count(topic), topic->kept.demoted, topic->told.no_room, topic->stalls };
	const int families = topic->region.geometry.max_reliable ? KM_TOPIC_FAMILIES : RELIABLE;
	char name[KM_NAME_WHOLE_SIZE];

	/* a written name has nothing that would have to be escaped */
	if (km_name_write(key->kind, key->prefix, key->owner, key->name, name, sizeof name) < 0)
		return 0;
	for (int i = 0; i < families; i++) {
		if (values[i] == UINT64_MAX && (i == FREE_SLOTS || i == HOLDERS))
			continue;
		if (evbuffer_add_printf(lines->families[i], "%s%s{topic=\"%s\"} %" PRIu64 "\n",
			    metrics[i].name, km_metric_suffix(&metrics[i]), name, values[i]) < 0)
			return -ENOMEM;
	}
	return 1024 + topic->region.geometry.pool_size;
}
