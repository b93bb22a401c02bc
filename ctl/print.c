/* SPDX-License-Identifier: Apache-2.0 */
/* What kickmsgctl says: lines for a person, or one JSON object for a program. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"

static const char *kind_name(uint32_t kind)
{
	switch (kind) {
	case KM_ANOMALY_ORPHANED_SLOT:
		return "orphaned-slot";
	case KM_ANOMALY_STALE_BIT:
		return "stale-reference";
	case KM_ANOMALY_DEAD_RING:
		return "dead-ring";
	case KM_ANOMALY_DEAD_ENDPOINT:
		return "dead-endpoint";
	case KM_ANOMALY_LONG_HELD:
		return "long-held";
	case KM_ANOMALY_STILL_HAZARD:
		return "still-hazard";
	case KM_ANOMALY_CORRUPT:
		return "corrupt";
	default:
		return "unknown";
	}
}

static void add_int(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_int64((int64_t)value));
}

static void add_string(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, json_object_new_string(value));
}

/* A new object at the end of the output. */
static struct json_object *new_entry(struct ctl *ctl, const struct ctl_topic *topic)
{
	struct json_object *entry = json_object_new_object();

	if (topic) {
		add_string(entry, "topic", topic->name);
		add_string(entry, "prefix", topic->prefix);
	}
	json_object_array_add(ctl->out, entry);
	return entry;
}

static struct json_object *last_entry(struct ctl *ctl)
{
	return json_object_array_get_idx(ctl->out, json_object_array_length(ctl->out) - 1);
}

static const struct {
	const char *name;
	size_t offset;
	bool always; /* also when it is 0, in what a person gets */
} health_fields[] = {
#define FIELD(member, always)                                                                      \
	{                                                                                          \
#member, offsetof(struct km_health, member), always                                \
	}
	FIELD(publishers, true),
	FIELD(subscribers, true),
	FIELD(slots_free, true),
	FIELD(slots_loaned, true),
	FIELD(slots_in_flight, true),
	FIELD(slots_orphaned, false),
	FIELD(slots_stale, false),
	FIELD(stale_bits, false),
	FIELD(rings_live, true),
	FIELD(rings_undrained, false),
	FIELD(rings_sleeping, false),
	FIELD(endpoints_dead, false),
	FIELD(endpoints_leaving, false),
	FIELD(left_by_hazard, false),
	FIELD(quarantined, false),
#undef FIELD
};

#define HEALTH_FIELDS (sizeof health_fields / sizeof health_fields[0])

static uint32_t health_value(const struct km_health *health, size_t field)
{
	uint32_t value;

	memcpy(&value, (const char *)health + health_fields[field].offset, sizeof value);
	return value;
}

static struct json_object *health_object(const struct km_health *health)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < HEALTH_FIELDS; i++)
		add_int(object, health_fields[i].name, health_value(health, i));
	return object;
}

void print_list_entry(struct ctl *ctl, const struct km_list_entry *entry)
{
	const struct km_geometry *geometry = &entry->geometry;
	struct ctl_topic topic;

	if (!ctl->json) {
		printf("%s/%s: publishers=%" PRIu32 "/%" PRIu32 " subscribers=%" PRIu32 "/%" PRIu32
		       " ring_capacity=%" PRIu32 " pool_size=%" PRIu32 " max_payload_size=%" PRIu64
		       "%s\n",
			entry->prefix, entry->topic, entry->publishers, geometry->max_publishers,
			entry->subscribers, geometry->max_subscribers, geometry->ring_capacity,
			geometry->pool_size, geometry->max_payload_size,
			entry->quarantined ? " QUARANTINED" : "");
		return;
	}
	memcpy(topic.name, entry->topic, sizeof topic.name);
	memcpy(topic.prefix, entry->prefix, sizeof topic.prefix);
	struct json_object *object = new_entry(ctl, &topic);

	add_int(object, "publishers", entry->publishers);
	add_int(object, "subscribers", entry->subscribers);
	add_int(object, "max_publishers", geometry->max_publishers);
	add_int(object, "max_subscribers", geometry->max_subscribers);
	add_int(object, "ring_capacity", geometry->ring_capacity);
	add_int(object, "pool_size", geometry->pool_size);
	add_int(object, "max_payload_size", geometry->max_payload_size);
	add_int(object, "max_loans", geometry->max_loans);
	add_int(object, "max_borrows", geometry->max_borrows);
	add_int(object, "created_realtime_ns", entry->created_realtime_ns);
	json_object_object_add(
		object, "quarantined", json_object_new_boolean(entry->quarantined != 0));
}

static void print_fields(const struct km_health *health)
{
	for (size_t i = 0; i < HEALTH_FIELDS; i++)
		if (health_fields[i].always || health_value(health, i))
			printf(" %s=%" PRIu32, health_fields[i].name, health_value(health, i));
	putchar('\n');
}

void print_health(struct ctl *ctl, const struct ctl_topic *topic, const struct km_health *health,
	const char *reason)
{
	bool damaged = ctl_is_damaged(health);

	if (!ctl->json) {
		printf("%s/%s: %s\n ", topic->prefix, topic->name, damaged ? "DAMAGED" : "healthy");
		print_fields(health);
		if (*reason)
			printf("  quarantined: %s\n", reason);
		return;
	}
	struct json_object *object = new_entry(ctl, topic);

	json_object_object_add(object, "healthy", json_object_new_boolean(!damaged));
	json_object_object_add(object, "health", health_object(health));
	if (*reason)
		add_string(object, "reason", reason);
	json_object_object_add(object, "anomalies", json_object_new_array());
}

void print_anomaly(struct ctl *ctl, const struct km_anomaly *anomaly)
{
	bool has_slot = anomaly->slot != KM_HAZARD_NONE, has_ring = anomaly->ring != KM_HAZARD_NONE;

	if (!ctl->json) {
		printf("  %s:", kind_name(anomaly->kind));
		if (has_slot)
			printf(" slot=%" PRIu32, anomaly->slot);
		if (has_ring)
			printf(" ring=%" PRIu32, anomaly->ring);
		if (anomaly->owner_id)
			printf(" publisher_id=%" PRIu32, anomaly->owner_id);
		if (anomaly->owner_pid)
			printf(" owner=%s pid=%" PRId32 " uid=%" PRIu32 " %s", anomaly->owner,
				anomaly->owner_pid, anomaly->owner_uid,
				anomaly->owner_alive ? "alive" : "dead");
		if (anomaly->age_ns)
			printf(" age=%.3fs", (double)anomaly->age_ns / 1e9);
		putchar('\n');
		return;
	}
	struct json_object *object = json_object_new_object(), *list;

	add_string(object, "kind", kind_name(anomaly->kind));
	if (has_slot)
		add_int(object, "slot", anomaly->slot);
	if (has_ring)
		add_int(object, "ring", anomaly->ring);
	if (anomaly->owner_id)
		add_int(object, "publisher_id", anomaly->owner_id);
	if (anomaly->owner_pid) {
		add_string(object, "owner", anomaly->owner);
		add_int(object, "owner_pid", (uint64_t)anomaly->owner_pid);
		add_int(object, "owner_uid", anomaly->owner_uid);
		json_object_object_add(
			object, "owner_alive", json_object_new_boolean(anomaly->owner_alive != 0));
	}
	if (anomaly->age_ns)
		add_int(object, "age_ns", anomaly->age_ns);
	if (json_object_object_get_ex(last_entry(ctl), "anomalies", &list))
		json_object_array_add(list, object);
}

void print_repair(
	struct ctl *ctl, const struct ctl_topic *topic, const struct km_msg_repair_ok *done)
{
	bool damaged = ctl_is_damaged(&done->after);

	if (!ctl->json) {
		printf("%s/%s: found", topic->prefix, topic->name);
		print_fields(&done->before);
		printf("  did: references_dropped=%" PRIu32 " slots_reclaimed=%" PRIu32
		       " rings_reset=%" PRIu32 " endpoints_freed=%" PRIu32 "\n  now: %s",
			done->bits_cleared, done->slots_reclaimed, done->rings_reset,
			done->endpoints_freed, damaged ? "DAMAGED" : "healthy");
		print_fields(&done->after);
		return;
	}
	struct json_object *object = new_entry(ctl, topic);

	json_object_object_add(object, "healthy", json_object_new_boolean(!damaged));
	json_object_object_add(object, "before", health_object(&done->before));
	json_object_object_add(object, "after", health_object(&done->after));
	add_int(object, "references_dropped", done->bits_cleared);
	add_int(object, "slots_reclaimed", done->slots_reclaimed);
	add_int(object, "rings_reset", done->rings_reset);
	add_int(object, "endpoints_freed", done->endpoints_freed);
}

void print_error(struct ctl *ctl, const struct ctl_topic *topic, int error, const char *text)
{
	fprintf(stderr, "kickmsgctl: %s%s%s%s%s\n", topic ? topic->name : "", topic ? ": " : "",
		text && *text ? text : "", text && *text ? ": " : "", kickmsg_strerror(error));
	if (!ctl->json)
		return;
	struct json_object *object = new_entry(ctl, topic);

	json_object_object_add(object, "healthy", json_object_new_boolean(false));
	json_object_object_add(object, "errno", json_object_new_int(-error));
	add_string(object, "error", text && *text ? text : kickmsg_strerror(error));
}

void print_end(struct ctl *ctl, int status)
{
	if (!ctl->json)
		return;
	struct json_object *object = json_object_new_object();

	add_string(object, "verb", ctl->verb);
	json_object_object_add(object, "ok", json_object_new_boolean(status == CTL_HEALTHY));
	json_object_object_add(object, "topics", ctl->out);
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY));
	json_object_put(object);
}
