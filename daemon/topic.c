/* SPDX-License-Identifier: Apache-2.0 */
/* Topics by name, and the making of their two segments: reserved, sealed, formatted, or refused
 * whole. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "atomic.h"
#include "bell.h"
#include "cleanup.h"
#include "keep.h"
#include "lifetime.h"
#include "log.h"
#include "name.h"
#include "segment.h"
#include "session.h"
#include "topic.h"
#include "wait.h"

static uint32_t hash_text(uint32_t hash, const char *text)
{
	for (const char *c = text; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	return (hash ^ '/') * 16777619u;
}

static uint32_t hash_key(const struct km_topic_key *key)
{
	uint32_t hash = hash_text(2166136261u ^ key->kind, key->prefix);

	return hash_text(hash_text(hash, key->owner), key->name) % KM_TOPIC_BUCKETS;
}

struct km_topic_bucket *km_topic_bucket(struct km_broker *broker, const struct km_topic_key *key)
{
	return &broker->buckets[hash_key(key)];
}

struct km_wait_bucket *km_topic_wait_bucket(
	struct km_broker *broker, const struct km_topic_key *key)
{
	return &broker->waits[hash_key(key)];
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
		if (km_topic_key_equals(&topic->key, key))
			return topic;
	return NULL;
}

struct km_topic *km_topic_find_any(struct km_broker *broker, const struct km_topic_key *key)
{
	struct km_topic *topic = km_topic_find(broker, key);

	if (!topic)
		TAILQ_FOREACH_REVERSE (topic, &broker->topics, km_topic_list, in_all)
			if (km_topic_key_equals(&topic->key, key))
				break;
	return topic;
}

/* Returns `error`. */
static int refuse(struct km_session *session, const char *name, int error, const char *text)
{
	km_session_refuse(session, NULL, error, "topic '%.60s': %s", name, text);
	return error;
}

int km_topic_map_bell(struct km_topic *topic)
{
	void *bell;
	int r = km_segment_map(topic->bell_fd, KM_BELL_SIZE, PROT_READ | PROT_WRITE, &bell);

	if (r == 0)
		topic->region.bell = bell;
	return r;
}

/* What the subscribers of a shared ring may write. */
static int make_bell(struct km_topic *topic, const struct km_geometry *geometry)
{
	uint64_t size = km_geometry_bell_size(geometry);
	char name[KM_REGION_NAME_SIZE];

	topic->bell_fd = -1;
	if (size == 0)
		return 0;
	snprintf(name, sizeof name, "%.230s_bell", topic->region_name);
	int r = km_segment_create(name, size, &topic->bell_fd);
	if (r == 0)
		r = km_topic_map_bell(topic);
	if (r < 0)
		topic->bell_fd = km_close(topic->bell_fd);
	return r;
}

static int make_segments(struct km_topic *topic, const struct km_geometry *geometry)
{
	_cleanup_(km_closep) int control_fd = -1, payload_fd = -1;
	uint64_t control_size = km_geometry_control_size(geometry);
	char control_name[KM_REGION_NAME_SIZE], payload_name[KM_REGION_NAME_SIZE];
	void *control;
	int r;

	/* what memfd_create() takes; the header has the whole name */
	snprintf(control_name, sizeof control_name, "%.240s", topic->region_name);
	snprintf(payload_name, sizeof payload_name, "%.230s_payload", topic->region_name);
	r = km_segment_create(control_name, control_size, &control_fd);
	if (r == 0)
		r = km_segment_create(
			payload_name, km_geometry_payload_size(geometry), &payload_fd);
	if (r == 0)
		r = km_segment_map(control_fd, control_size, PROT_READ | PROT_WRITE, &control);
	if (r < 0)
		return r;
	km_region_format(
		control, geometry, topic->region_name, topic->key.name, topic->created_realtime_ns);
	r = km_region_attach(&topic->region, control, control_size, NULL, 0);
	if (r == 0)
		r = make_bell(topic, geometry);
	if (r < 0) {
		km_segment_unmap(control, control_size);
		return r;
	}
	topic->control_fd = km_steal_fd(control_fd);
	topic->payload_fd = km_steal_fd(payload_fd);
	return 0;
}

uint64_t km_topic_size(const struct km_geometry *geometry)
{
	return km_geometry_control_size(geometry) + km_geometry_payload_size(geometry) +
	       km_geometry_bell_size(geometry);
}

void km_topic_set_schema(struct km_topic *topic, const struct km_schema *schema)
{
	struct km_control_header *header = topic->region.header;

	topic->schema = *schema;
	topic->has_schema = true;
	memcpy(header->schema, schema, sizeof header->schema);
	km_store(L0, release, &header->schema_state, 1);
	km_keep_topic(topic);
}

/* What the region's header says besides its shape; nobody else has the memory yet. */
static void fill_header(struct km_topic *topic)
{
	struct km_control_header *header = topic->region.header;

	header->kind = topic->key.kind;
	header->linger_ns = topic->lifetime.linger_ns;
	header->persistent = topic->lifetime.persistent;
	header->config_hash = km_config_hash(
		&topic->region.geometry, topic->lifetime.linger_ns, topic->lifetime.persistent);
}

/* Its names and its memory. */
static int furnish(struct km_topic *topic, const struct km_geometry *geometry)
{
	const struct km_topic_key *key = &topic->key;
	int r = km_name_region_of(key->kind, key->prefix, key->owner, key->name, topic->region_name,
		sizeof topic->region_name);

	if (r < 0)
		return -ENAMETOOLONG;
	r = make_segments(topic, geometry);
	if (r == 0)
		fill_header(topic);
	return r;
}

void km_topic_insert(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	if (topic->named)
		LIST_INSERT_HEAD(km_topic_bucket(broker, &topic->key), topic, in_bucket);
	TAILQ_INSERT_TAIL(&broker->topics, topic, in_all);
	km_account_take(topic->account, KM_TOPICS, 1);
	km_account_take(topic->account, KM_BYTES, km_topic_size(&topic->region.geometry));
	km_lifetime_look(topic); /* in case nobody gets into it */
}

int km_topic_create(struct km_session *session, const struct km_topic_key *key,
	const struct km_geometry *geometry, const struct km_lifetime *lifetime,
	struct km_topic **ret)
{
	struct km_broker *broker = session->broker;
	const char *name = key->name;
	uint64_t size = km_topic_size(geometry);
	char text[KM_WIRE_TEXT_SIZE];
	int r = km_account_check(session->account, KM_TOPICS, 1, text, sizeof text);

	if (r == 0)
		r = km_broker_check_memory(session->account, size, text, sizeof text);
	if (r < 0)
		return refuse(session, name, r, text);
	_cleanup_(km_freep) struct km_topic *topic = calloc(1, sizeof *topic);
	_cleanup_(km_freep) uint64_t *ids = calloc(geometry->max_publishers / 64 + 1, sizeof *ids);
	if (!topic || !ids)
		return refuse(session, name, -ENOMEM, "the broker has no memory");
	topic->created_realtime_ns = km_broker_realtime_ns();
	topic->broker = broker;
	topic->key = *key;
	topic->owner_uid = session->uid;
	topic->lifetime = *lifetime;
	r = furnish(topic, geometry);
	if (r == -ENAMETOOLONG)
		return km_session_refuse(session, NULL, -EINVAL,
			       "prefix, owner and name of %s '%.80s' are longer together than %d "
			       "bytes",
			       km_kind_name(key->kind), name, KM_REGION_NAME_SIZE - 1),
		       -EINVAL;
	if (r < 0) {
		snprintf(text, sizeof text, "its %llu bytes can't be had: %s",
			(unsigned long long)size, strerror(-r));
		return refuse(session, name, r, text);
	}
	topic->account = km_account_ref(broker, session->uid); /* which the session has already */
	topic->ids_taken = km_steal_ptr(ids);
	topic->ids_free = geometry->max_publishers;
	LIST_INIT(&topic->members);
	*ret = km_steal_ptr(topic);
	(*ret)->id = ++broker->next_topic;
	(*ret)->named = true;
	km_store_put(&broker->store, KM_STORE_CONTROL, (*ret)->id, 0, (*ret)->control_fd);
	km_store_put(&broker->store, KM_STORE_PAYLOAD, (*ret)->id, 0, (*ret)->payload_fd);
	if ((*ret)->bell_fd >= 0)
		km_store_put(&broker->store, KM_STORE_BELL, (*ret)->id, 0, (*ret)->bell_fd);
	km_topic_insert(*ret);
	km_keep_topic(*ret);
	km_log(LOG_INFO | KM_EVENT_TOPIC_MADE, session, *ret, "topic made, %llu bytes",
		(unsigned long long)size);
	km_wait_tell(*ret);
	return 0;
}

void km_topic_forget_name(struct km_topic *topic)
{
	if (topic->named)
		LIST_REMOVE(topic, in_bucket);
	topic->named = false;
	km_keep_topic(topic);
}

void km_topic_free(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	if (broker->health_next == topic)
		broker->health_next = TAILQ_NEXT(topic, in_all);
	if (broker->list_next == topic)
		broker->list_next = NULL;
	km_topic_forget_name(topic);
	km_keep_forget_topic(topic);
	km_lifetime_end(topic);
	TAILQ_REMOVE(&broker->topics, topic, in_all);
	km_account_give(topic->account, KM_TOPICS, 1);
	km_account_give(topic->account, KM_BYTES, km_topic_size(&topic->region.geometry));
	km_account_unref(topic->account);
	km_segment_unmap(topic->region.bell, KM_BELL_SIZE);
	km_segment_unmap(topic->region.header, topic->region.control_size);
	km_close(topic->control_fd);
	km_close(topic->payload_fd);
	km_close(topic->bell_fd);
	free(topic->ids_taken);
	free(topic);
}
