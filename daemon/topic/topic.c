/* SPDX-License-Identifier: Apache-2.0 */
/* Topics by name: see topic.h. */
#include <string.h>

#include "common/protocol/name.h"
#include "daemon/run/log.h"
#include "daemon/topic/topic.h"

static uint32_t hash_text(uint32_t hash, const char *text)
{
	for (const char *c = text; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	return (hash ^ '/') * 16777619u;
}

/* The seed keeps clients from choosing names that are all in one bucket. The upper bits depend on
 * every byte of the key. */
static uint32_t hash_key(const struct km_broker *broker, const struct km_topic_key *key)
{
	uint32_t hash = hash_text(broker->hash_seed ^ key->kind, key->prefix);

	hash = hash_text(hash_text(hash, key->owner), key->name);
	return (uint32_t)((uint64_t)hash * KM_TOPIC_BUCKETS >> 32);
}

struct km_topic_bucket *km_topic_bucket(struct km_broker *broker, const struct km_topic_key *key)
{
	return &broker->buckets[hash_key(broker, key)];
}

struct km_wait_bucket *km_topic_wait_bucket(
	struct km_broker *broker, const struct km_topic_key *key)
{
	return &broker->waits[hash_key(broker, key)];
}

bool km_topic_key_equals(const struct km_topic_key *a, const struct km_topic_key *b)
{
	return a->kind == b->kind && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->owner, b->owner) == 0 && strcmp(a->prefix, b->prefix) == 0;
}

struct km_topic *km_topic_find(struct km_broker *broker, const struct km_topic_key *key)
{
	struct km_topic *topic;

	LIST_FOREACH (topic, km_topic_bucket(broker, key), in_bucket)
		if (km_topic_key_equals(&topic->kept.key, key))
			return topic;
	return NULL;
}

struct km_topic *km_topic_find_any(struct km_broker *broker, const struct km_topic_key *key)
{
	struct km_topic *topic = km_topic_find(broker, key);

	if (!topic)
		LIST_FOREACH (topic, &broker->nameless, in_bucket)
			if (km_topic_key_equals(&topic->kept.key, key))
				break;
	return topic;
}

void km_topic_forget_name(struct km_topic *topic)
{
	if (topic->kept.named) {
		LIST_REMOVE(topic, in_bucket);
		LIST_INSERT_HEAD(&topic->broker->nameless, topic, in_bucket);
	}
	topic->kept.named = false;
	km_keep_topic(topic);
}

uint64_t km_topic_describe(
	const struct km_topic *topic, struct km_log_about *about, char name[KM_NAME_WHOLE_SIZE])
{
	km_name_write(topic->kept.key.kind, topic->kept.key.prefix, topic->kept.key.owner,
		topic->kept.key.name, name, KM_NAME_WHOLE_SIZE);
	about->uid = topic->kept.owner_uid;
	about->topic = topic->kept.key.name;
	about->region = name;
	return topic->kept.id << 32;
}

void km_topic_add_numbers(struct km_totals *sum, const struct km_totals *more)
{
	sum->sent += more->sent;
	sum->bytes += more->bytes;
	sum->failed += more->failed;
	sum->received += more->received;
	sum->lost += more->lost;
	sum->no_room += more->no_room;
}

void km_keep_topic(struct km_topic *topic)
{
	km_keep_once(topic->broker, &topic->once, KM_STATE_TOPICS, &topic->kept, sizeof topic->kept,
		topic->kept.id);
}

void km_keep_forget_topic(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	if (!broker->state)
		return;
	km_keep_once_drop(broker, &topic->once);
	km_store_remove(&broker->store, KM_PARKED_TOPIC, topic->kept.id, 0);
}
