/* SPDX-License-Identifier: Apache-2.0 */
/* Topics by name, and the making of their two segments: reserved, sealed, formatted, or refused
 * whole. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cleanup.h"
#include "log.h"
#include "name.h"
#include "segment.h"
#include "session.h"
#include "topic.h"

static struct km_topic_bucket *bucket_of(
	struct km_broker *broker, const char *prefix, const char *name)
{
	uint32_t hash = 2166136261u;

	for (const char *c = prefix; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	hash = (hash ^ '/') * 16777619u;
	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	return &broker->buckets[hash % KM_TOPIC_BUCKETS];
}

static bool is_named(const struct km_topic *topic, const char *prefix, const char *name)
{
	return strcmp(topic->name, name) == 0 && strcmp(topic->prefix, prefix) == 0;
}

struct km_topic *km_topic_find(struct km_broker *broker, const char *prefix, const char *name)
{
	struct km_topic *topic;

	LIST_FOREACH (topic, bucket_of(broker, prefix, name), in_bucket)
		if (is_named(topic, prefix, name))
			return topic;
	return NULL;
}

struct km_topic *km_topic_find_any(struct km_broker *broker, const char *prefix, const char *name)
{
	struct km_topic *topic = km_topic_find(broker, prefix, name);

	if (!topic)
		TAILQ_FOREACH_REVERSE (topic, &broker->topics, km_topic_list, in_all)
			if (is_named(topic, prefix, name))
				break;
	return topic;
}

/* Says what can't be had and why, with numbers. Returns `error`. */
static int refuse_memory(struct km_session *session, const char *name, int error, uint64_t size)
{
	uint64_t room = 0;

	km_broker_check_memory(session->broker, size, &room);
	if (error == -EDQUOT)
		km_session_refuse(session, NULL, error,
			"topic '%s' needs %llu bytes; of the broker's limit of %llu are %llu left",
			name, (unsigned long long)size,
			(unsigned long long)session->broker->memory_limit,
			(unsigned long long)room);
	else if (error == -ENOMEM)
		km_session_refuse(session, NULL, error,
			"topic '%s' needs %llu bytes; the machine has %llu available", name,
			(unsigned long long)size, (unsigned long long)room);
	else
		km_session_refuse(session, NULL, error, "topic '%s': the broker can't make it: %s",
			name, strerror(-error));
	return error;
}

static int make_segments(struct km_topic *topic, const struct km_geometry *geometry)
{
	_cleanup_(km_closep) int control_fd = -1, payload_fd = -1;
	uint64_t control_size = km_geometry_control_size(geometry);
	char payload_name[KM_REGION_NAME_SIZE];
	void *control;
	int r;

	/* what memfd_create() takes; the header has the whole name */
	snprintf(payload_name, sizeof payload_name, "%.200s_payload", topic->region_name);
	r = km_segment_create(topic->region_name, control_size, &control_fd);
	if (r == 0)
		r = km_segment_create(
			payload_name, km_geometry_payload_size(geometry), &payload_fd);
	if (r == 0)
		r = km_segment_map(control_fd, control_size, PROT_READ | PROT_WRITE, &control);
	if (r < 0)
		return r;
	km_region_format(
		control, geometry, topic->region_name, topic->name, topic->created_realtime_ns);
	r = km_region_attach(&topic->region, control, control_size, NULL, 0);
	if (r < 0) {
		km_segment_unmap(control, control_size);
		return r;
	}
	topic->control_fd = km_steal_fd(control_fd);
	topic->payload_fd = km_steal_fd(payload_fd);
	return 0;
}

static uint64_t topic_size(const struct km_geometry *geometry)
{
	return km_geometry_control_size(geometry) + km_geometry_payload_size(geometry);
}

int km_topic_create(struct km_session *session, const char *name,
	const struct km_geometry *geometry, struct km_topic **ret)
{
	struct km_broker *broker = session->broker;
	uint64_t size = topic_size(geometry), room;
	struct timespec now;
	int r;

	if (broker->topic_count >= broker->config->max_topics) {
		km_session_refuse(session, NULL, -EDQUOT,
			"topic '%s': the limit of %u topics is reached", name,
			broker->config->max_topics);
		return -EDQUOT;
	}
	r = km_broker_check_memory(broker, size, &room);
	if (r < 0)
		return refuse_memory(session, name, r, size);
	_cleanup_(km_freep) struct km_topic *topic = calloc(1, sizeof *topic);
	_cleanup_(km_freep) uint64_t *ids = calloc(geometry->max_publishers / 64 + 1, sizeof *ids);
	if (!topic || !ids)
		return refuse_memory(session, name, -ENOMEM, size);
	clock_gettime(CLOCK_REALTIME, &now);
	topic->created_realtime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	strcpy(topic->prefix, session->prefix);
	strcpy(topic->name, name);
	r = km_name_region(topic->prefix, name, topic->region_name, sizeof topic->region_name);
	if (r == 0)
		r = make_segments(topic, geometry);
	if (r < 0)
		return refuse_memory(session, name, r, size);
	topic->broker = broker;
	topic->id = ++broker->next_topic;
	topic->ids_taken = km_steal_ptr(ids);
	topic->ids_free = geometry->max_publishers;
	LIST_INIT(&topic->members);
	LIST_INSERT_HEAD(bucket_of(broker, topic->prefix, name), topic, in_bucket);
	TAILQ_INSERT_TAIL(&broker->topics, topic, in_all);
	broker->topic_count++;
	broker->memory_used += size;
	broker->sweep = true; /* in case nobody gets into it */
	*ret = km_steal_ptr(topic);
	km_log(LOG_INFO, session, *ret, "topic made, %llu bytes", (unsigned long long)size);
	return 0;
}

void km_topic_forget_name(struct km_topic *topic)
{
	LIST_REMOVE(topic, in_bucket);
}

void km_topic_free(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	km_log(LOG_INFO, NULL, topic, "topic freed");
	if (broker->health_next == topic)
		broker->health_next = TAILQ_NEXT(topic, in_all);
	if (!topic->quarantined)
		km_topic_forget_name(topic);
	TAILQ_REMOVE(&broker->topics, topic, in_all);
	broker->topic_count--;
	broker->memory_used -= topic_size(&topic->region.geometry);
	km_segment_unmap(topic->region.header, topic->region.control_size);
	km_close(topic->control_fd);
	km_close(topic->payload_fd);
	free(topic->ids_taken);
	free(topic);
}
