/* SPDX-License-Identifier: Apache-2.0 */
/* diagnose and the repairs: see ctl.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

enum { PAGE = 32 };

/* Is anything there that a repair would mend, or that nothing can? */
static bool is_damaged(const struct kickmsg_topic_diagnosis *health)
{
	return health->quarantined || health->slots_orphaned || health->slots_stale ||
	       health->rings_undrained || health->dead;
}

static const char *kind_name(uint32_t kind)
{
	switch (kind) {
	case KICKMSG_ANOMALY_ORPHANED_SLOT:
		return "orphaned-slot";
	case KICKMSG_ANOMALY_STALE_REFERENCE:
		return "stale-reference";
	case KICKMSG_ANOMALY_DEAD_RING:
		return "dead-ring";
	case KICKMSG_ANOMALY_DEAD_ENDPOINT:
		return "dead-endpoint";
	case KICKMSG_ANOMALY_LONG_HELD:
		return "long-held";
	case KICKMSG_ANOMALY_STILL_HAZARD:
		return "still-hazard";
	case KICKMSG_ANOMALY_CORRUPT:
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
#define FIELD(name, member, always)                                                                \
	{                                                                                          \
		name, offsetof(struct kickmsg_topic_diagnosis, member), always                     \
	}
	FIELD("publishers", publishers, true),
	FIELD("subscribers", subscribers, true),
	FIELD("slots_free", slots_free, true),
	FIELD("slots_loaned", slots_loaned, true),
	FIELD("slots_in_flight", slots_in_flight, true),
	FIELD("slots_orphaned", slots_orphaned, false),
	FIELD("slots_stale", slots_stale, false),
	FIELD("stale_bits", stale_references, false),
	FIELD("rings_live", rings_live, true),
	FIELD("rings_undrained", rings_undrained, false),
	FIELD("rings_sleeping", rings_sleeping, false),
	FIELD("endpoints_dead", dead, false),
	FIELD("endpoints_leaving", leaving, false),
	FIELD("left_by_hazard", left_by_hazard, false),
	FIELD("quarantined", quarantined, false),
#undef FIELD
};

#define HEALTH_FIELDS (sizeof health_fields / sizeof health_fields[0])

static uint32_t health_value(const struct kickmsg_topic_diagnosis *health, size_t field)
{
	uint32_t value;

	memcpy(&value, (const char *)health + health_fields[field].offset, sizeof value);
	return value;
}

static struct json_object *health_object(const struct kickmsg_topic_diagnosis *health)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < HEALTH_FIELDS; i++)
		json_add_int(object, health_fields[i].name, health_value(health, i));
	return object;
}

static void print_fields(const struct kickmsg_topic_diagnosis *health)
{
	for (size_t i = 0; i < HEALTH_FIELDS; i++)
		if (health_fields[i].always || health_value(health, i))
			printf(" %s=%" PRIu32, health_fields[i].name, health_value(health, i));
	putchar('\n');
}

static void print_health(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_diagnosis *health, const char *reason)
{
	bool damaged = is_damaged(health);

	if (!ctl->json) {
		print_name(topic);
		printf(" %s\n ", damaged ? "DAMAGED" : "healthy");
		print_fields(health);
		if (*reason)
			printf("  %s%s\n", health->quarantined ? "quarantined: " : "", reason);
		return;
	}
	struct json_object *object = json_new_entry(ctl, topic);

	json_add_bool(object, "healthy", !damaged);
	json_object_object_add(object, "health", health_object(health));
	if (*reason)
		json_add_text(object, "reason", reason);
	json_add_array(object, "anomalies");
}

static void print_anomaly(struct ctl *ctl, const struct kickmsg_anomaly *anomaly)
{
	bool has_slot = anomaly->slot != KICKMSG_NO_NUMBER,
	     has_ring = anomaly->ring != KICKMSG_NO_NUMBER;

	if (!ctl->json) {
		printf("  %s:", kind_name(anomaly->kind));
		if (has_slot)
			printf(" slot=%" PRIu32, anomaly->slot);
		if (has_ring)
			printf(" ring=%" PRIu32, anomaly->ring);
		if (anomaly->publisher_id)
			printf(" publisher_id=%" PRIu32, anomaly->publisher_id);
		if (*anomaly->owner_name) {
			printf(" owner=");
			print_part(anomaly->owner_name);
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
	if (anomaly->publisher_id)
		json_add_int(object, "publisher_id", anomaly->publisher_id);
	if (*anomaly->owner_name) {
		json_add_part(object, "owner", anomaly->owner_name);
		json_add_int(object, "owner_pid", (uint64_t)anomaly->owner_pid);
		json_add_int(object, "owner_uid", anomaly->owner_uid);
		json_add_bool(object, "owner_alive", anomaly->owner_alive != 0);
	}
	if (anomaly->age_ns)
		json_add_int(object, "age_ns", anomaly->age_ns);
}

static void print_repair(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_repair_report *done)
{
	bool damaged = is_damaged(&done->after);

	if (!ctl->json) {
		print_name(topic);
		printf(" found");
		print_fields(&done->before);
		printf("  did: references_dropped=%" PRIu32 " slots_reclaimed=%" PRIu32
		       " rings_reset=%" PRIu32 " endpoints_freed=%" PRIu32 "\n  now: %s",
			done->references_dropped, done->slots_reclaimed, done->rings_reset,
			done->endpoints_freed, damaged ? "DAMAGED" : "healthy");
		print_fields(&done->after);
		return;
	}
	struct json_object *object = json_new_entry(ctl, topic);

	json_add_bool(object, "healthy", !damaged);
	json_object_object_add(object, "before", health_object(&done->before));
	json_object_object_add(object, "after", health_object(&done->after));
	json_add_int(object, "references_dropped", done->references_dropped);
	json_add_int(object, "slots_reclaimed", done->slots_reclaimed);
	json_add_int(object, "rings_reset", done->rings_reset);
	json_add_int(object, "endpoints_freed", done->endpoints_freed);
}

static int diagnose(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	struct kickmsg_topic_diagnosis health;
	struct kickmsg_anomaly page[PAGE];
	uint64_t cursor = 0;
	int r = kickmsg_topic_diagnose(ctl->client, topic, &health);
	ssize_t n = 0;

	if (r < 0)
		return ctl_failed(ctl, topic, info, r);
	print_health(ctl, topic, &health, health.reason);
	do {
		n = kickmsg_topic_anomalies(ctl->client, topic, &cursor, page, PAGE);
		if (n < 0)
			return ctl_failed(ctl, topic, info, (int)n);
		for (ssize_t i = 0; i < n; i++)
			print_anomaly(ctl, &page[i]);
	} while (n > 0);
	return is_damaged(&health) ? CTL_FOUND : CTL_DONE;
}

int ctl_diagnose(struct ctl *ctl)
{
	return ctl_for_each(ctl, diagnose);
}

static int mend(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info, ctl_repair_fn *repair)
{
	struct kickmsg_repair_report report;
	int r = repair(ctl->client, topic, &report);

	if (r < 0)
		return ctl_failed(ctl, topic, info, r);
	print_repair(ctl, topic, &report);
	return is_damaged(&report.after) ? CTL_FOUND : CTL_DONE;
}

/* A verb for each of the library's repairs. */
#define REPAIR(verb)                                                                               \
	static int verb##_one(struct ctl *ctl, const struct kickmsg_topic_ref *topic,              \
		const struct kickmsg_topic_info *info)                                             \
	{                                                                                          \
		return mend(ctl, topic, info, kickmsg_topic_##verb);                               \
	}                                                                                          \
	int ctl_##verb(struct ctl *ctl)                                                            \
	{                                                                                          \
		return ctl_for_each(ctl, verb##_one);                                              \
	}

REPAIR(repair)
REPAIR(reset_rings)
REPAIR(reclaim)
REPAIR(recover)
