/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnose and the repairs: see ctl.h. These speak to the broker itself rather than through
 * kickmsg_topic_diagnose(), which counts and doesn't name each anomaly with its owner.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"

/* Is there something that a repair would mend, or that nothing can? */
static bool is_damaged(const struct km_health *health)
{
	return health->quarantined || health->slots_orphaned || health->slots_stale ||
	       health->rings_undrained || health->endpoints_dead;
}

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
		json_add_int(object, health_fields[i].name, health_value(health, i));
	return object;
}

static void print_fields(const struct km_health *health)
{
	for (size_t i = 0; i < HEALTH_FIELDS; i++)
		if (health_fields[i].always || health_value(health, i))
			printf(" %s=%" PRIu32, health_fields[i].name, health_value(health, i));
	putchar('\n');
}

static void print_health(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct km_health *health, const char *reason)
{
	bool damaged = is_damaged(health);

	if (!ctl->json) {
		print_name(topic);
		printf(": %s\n ", damaged ? "DAMAGED" : "healthy");
		print_fields(health);
		if (*reason)
			printf("  quarantined: %s\n", reason);
		return;
	}
	struct json_object *object = json_new_entry(ctl, topic);

	json_add_bool(object, "healthy", !damaged);
	json_object_object_add(object, "health", health_object(health));
	if (*reason)
		json_add_text(object, "reason", reason);
	json_add_array(object, "anomalies");
}

static void print_anomaly(struct ctl *ctl, const struct km_anomaly *anomaly)
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
		if (anomaly->owner_pid) {
			printf(" owner=");
			print_text(anomaly->owner);
			printf(" pid=%" PRId32 " uid=%" PRIu32 " %s", anomaly->owner_pid,
				anomaly->owner_uid, anomaly->owner_alive ? "alive" : "dead");
		}
		if (anomaly->age_ns)
			printf(" age=%.3fs", (double)anomaly->age_ns / 1e9);
		putchar('\n');
		return;
	}
	struct json_object *object, *list;

	if (!json_object_object_get_ex(json_last_entry(ctl), "anomalies", &list))
		return;
	object = json_add_object(list);

	json_add_text(object, "kind", kind_name(anomaly->kind));
	if (has_slot)
		json_add_int(object, "slot", anomaly->slot);
	if (has_ring)
		json_add_int(object, "ring", anomaly->ring);
	if (anomaly->owner_id)
		json_add_int(object, "publisher_id", anomaly->owner_id);
	if (anomaly->owner_pid) {
		json_add_text(object, "owner", anomaly->owner);
		json_add_int(object, "owner_pid", (uint64_t)anomaly->owner_pid);
		json_add_int(object, "owner_uid", anomaly->owner_uid);
		json_add_bool(object, "owner_alive", anomaly->owner_alive != 0);
	}
	if (anomaly->age_ns)
		json_add_int(object, "age_ns", anomaly->age_ns);
}

static void print_repair(
	struct ctl *ctl, const struct kickmsg_topic_ref *topic, const struct km_msg_repair_ok *done)
{
	bool damaged = is_damaged(&done->after);

	if (!ctl->json) {
		print_name(topic);
		printf(": found");
		print_fields(&done->before);
		printf("  did: references_dropped=%" PRIu32 " slots_reclaimed=%" PRIu32
		       " rings_reset=%" PRIu32 " endpoints_freed=%" PRIu32 "\n  now: %s",
			done->bits_cleared, done->slots_reclaimed, done->rings_reset,
			done->endpoints_freed, damaged ? "DAMAGED" : "healthy");
		print_fields(&done->after);
		return;
	}
	struct json_object *object = json_new_entry(ctl, topic);

	json_add_bool(object, "healthy", !damaged);
	json_object_object_add(object, "before", health_object(&done->before));
	json_object_object_add(object, "after", health_object(&done->after));
	json_add_int(object, "references_dropped", done->bits_cleared);
	json_add_int(object, "slots_reclaimed", done->slots_reclaimed);
	json_add_int(object, "rings_reset", done->rings_reset);
	json_add_int(object, "endpoints_freed", done->endpoints_freed);
}

/* A topic's sanitised names, as they are on the wire. Returns 0 or -EINVAL. */
static int wire_names(
	const struct kickmsg_topic_ref *topic, char *ret_topic, char *ret_prefix, char *ret_owner)
{
	int r = km_name_sanitise(topic->name, ret_topic, KM_NAME_SIZE);

	if (r == 0)
		r = km_name_sanitise(topic->prefix, ret_prefix, KM_PREFIX_SIZE);
	if (r == 0 && topic->kind == KICKMSG_MAILBOX)
		r = km_name_sanitise(topic->owner, ret_owner, KM_PREFIX_SIZE);
	return r;
}

int ctl_diagnose(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	struct km_msg_diagnose request = { .header.op = KM_OP_DIAGNOSE, .kind = topic->kind };
	union km_msg answer;
	int status = CTL_HEALTHY;
	int r = wire_names(topic, request.topic, request.prefix, request.owner);

	if (r < 0)
		return ctl_failed(ctl, topic, info, r);
	do {
		r = km_client_call(ctl->client, &request, sizeof request, KM_OP_DIAGNOSE_OK,
			&answer, NULL, NULL);
		if (r < 0)
			return ctl_failed(ctl, topic, info, r);
		const struct km_msg_diagnose_ok *page = &answer.diagnose_ok;

		if (request.cursor == 0) {
			print_health(ctl, topic, &page->health, page->reason);
			status = is_damaged(&page->health) ? CTL_DAMAGED : CTL_HEALTHY;
		}
		for (uint32_t i = 0; i < page->count; i++)
			print_anomaly(ctl, &page->anomalies[i]);
		/* a page that doesn't go on would be asked for for ever */
		if (page->next <= request.cursor)
			break;
		request.cursor = page->next;
	} while (true);
	return status;
}

int ctl_repair(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	struct km_msg_repair request = {
		.header.op = KM_OP_REPAIR, .what = ctl->repair, .kind = topic->kind
	};
	union km_msg answer;
	int r = wire_names(topic, request.topic, request.prefix, request.owner);

	if (r == 0)
		r = km_client_call(ctl->client, &request, sizeof request, KM_OP_REPAIR_OK, &answer,
			NULL, NULL);
	if (r < 0)
		return ctl_failed(ctl, topic, info, r);
	print_repair(ctl, topic, &answer.repair_ok);
	return is_damaged(&answer.repair_ok.after) ? CTL_DAMAGED : CTL_HEALTHY;
}
