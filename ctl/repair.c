/* SPDX-License-Identifier: Apache-2.0 */
/* diagnose and the repairs: see ctl.h. */
#include <stdio.h>

#include "ctl/listings.h"

enum { PAGE = 32 };

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

/* The numbers of a topic's health: ID, header, key, field, whether diagnose shows it. */
#define HEALTH(X)                                                                                  \
	X(PUBLISHERS, "PUBS", "publishers", publishers, true)                                      \
	X(SUBSCRIBERS, "SUBS", "subscribers", subscribers, true)                                   \
	X(FREE, "FREE", "slots_free", slots_free, true)                                            \
	X(LOANED, "LOANED", "slots_loaned", slots_loaned, true)                                    \
	X(IN_FLIGHT, "IN-FLIGHT", "slots_in_flight", slots_in_flight, true)                        \
	X(ORPHANED, "ORPHANED", "slots_orphaned", slots_orphaned, true)                            \
	X(STALE, "STALE", "slots_stale", slots_stale, true)                                        \
	X(STALE_BITS, "STALE-BITS", "stale_bits", stale_references, false)                         \
	X(LIVE, "LIVE", "rings_live", rings_live, false)                                           \
	X(UNDRAINED, "UNDRAINED", "rings_undrained", rings_undrained, true)                        \
	X(SLEEPING, "SLEEPING", "rings_sleeping", rings_sleeping, false)                           \
	X(DEAD, "DEAD", "endpoints_dead", dead, true)                                              \
	X(LEAVING, "LEAVING", "endpoints_leaving", leaving, false)                                 \
	X(HAZARD, "BY-HAZARD", "left_by_hazard", left_by_hazard, false)                            \
	X(QUARANTINED, "QUARANTINED", "quarantined", quarantined, false)

enum {
	NAME,
	STATE,
#define HEALTH_ID(id, ...) id,
	HEALTH(HEALTH_ID)
#undef HEALTH_ID
		REASON
};

static const struct ctl_column health_columns[] = {
	[NAME] = { "NAME", NULL, CTL_TYPE_TEXT, true },
	[STATE] = { "STATE", NULL, CTL_TYPE_TEXT, true },
#define HEALTH_COLUMN(id, name, key, field, is_shown)                                              \
	[id] = { name, key, CTL_TYPE_COUNT, is_shown },
	HEALTH(HEALTH_COLUMN)
#undef HEALTH_COLUMN
		[REASON] = { "REASON", NULL, CTL_TYPE_TEXT, true },
};
const struct ctl_columns ctl_diagnose_columns = CTL_LISTING(health_columns);

enum { TOPIC, ANOMALY, SLOT, RING, PUBLISHER, OWNER, PID, UID, OWNER_STATE, AGE, ALIVE };

static const struct ctl_column anomaly_columns[] = {
	[TOPIC] = { "TOPIC", NULL, CTL_TYPE_TEXT, true },
	[ANOMALY] = { "ANOMALY", "kind", CTL_TYPE_TEXT, true },
	[SLOT] = { "SLOT", "slot", CTL_TYPE_COUNT, true },
	[RING] = { "RING", "ring", CTL_TYPE_COUNT, true },
	[PUBLISHER] = { "PUB-ID", "publisher_id", CTL_TYPE_COUNT, true },
	[OWNER] = { "OWNER", "owner", CTL_TYPE_TEXT, true },
	[PID] = { "PID", "owner_pid", CTL_TYPE_COUNT, true },
	[UID] = { "UID", "owner_uid", CTL_TYPE_COUNT, true },
	[OWNER_STATE] = { "STATE", NULL, CTL_TYPE_TEXT, true },
	[AGE] = { "AGE", "age_ns", CTL_TYPE_DURATION, true },
	[ALIVE] = { "ALIVE", "owner_alive", CTL_TYPE_BOOL, false },
};
static const struct ctl_columns anomalies = CTL_COLUMNS(anomaly_columns);

enum { DONE_NAME, DONE_STATE, DROPPED, RECLAIMED, RESET, FREED, WAS_FREE, NOW_FREE, LEFT };

static const struct ctl_column done_columns[] = {
	[DONE_NAME] = { "NAME", NULL, CTL_TYPE_TEXT, true },
	[DONE_STATE] = { "STATE", NULL, CTL_TYPE_TEXT, true },
	[DROPPED] = { "DROPPED", "references_dropped", CTL_TYPE_COUNT, true },
	[RECLAIMED] = { "RECLAIMED", "slots_reclaimed", CTL_TYPE_COUNT, true },
	[RESET] = { "RESET", "rings_reset", CTL_TYPE_COUNT, true },
	[FREED] = { "FREED", "endpoints_freed", CTL_TYPE_COUNT, true },
	[WAS_FREE] = { "WERE-FREE", NULL, CTL_TYPE_COUNT, true },
	[NOW_FREE] = { "FREE", NULL, CTL_TYPE_COUNT, true },
	[LEFT] = { "DAMAGE-LEFT", NULL, CTL_TYPE_COUNT, true },
};
const struct ctl_columns ctl_repair_columns = CTL_LISTING(done_columns);

/* The tables of the verb that is running. */
static struct ctl_table *table, *found;

/* Things that a repair would mend, or that nothing can. */
static uint64_t count_damage(const struct kickmsg_topic_diagnosis *health)
{
	return (uint64_t)health->quarantined + health->slots_orphaned + health->slots_stale +
	       health->rings_undrained + health->dead;
}

static void put_state(
	struct ctl_table *into, size_t column, const struct kickmsg_topic_diagnosis *health)
{
	ctl_put_text(into, column,
		health->quarantined    ? "quarantined"
		: count_damage(health) ? "DAMAGED"
				       : "healthy");
	if (count_damage(health))
		ctl_mark_bad(into);
}

static struct json_object *health_object(const struct kickmsg_topic_diagnosis *health)
{
	struct json_object *object = json_object_new_object();

#define ADD(id, name, key, field, is_shown) json_add_int(object, key, health->field);
	HEALTH(ADD)
#undef ADD
	return object;
}

static void put_health(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_diagnosis *health)
{
	struct json_object *entry = ctl->json ? json_new_entry(ctl, topic) : NULL;
	char name[KICKMSG_WHOLE_NAME_SIZE];

	ctl_table_row(table, NULL);
	ctl_put_text(table, NAME, ctl_write_name(topic, name));
	put_state(table, STATE, health);
#define PUT(id, name, key, field, is_shown) ctl_put_count(table, id, health->field);
	HEALTH(PUT)
#undef PUT
	if (*health->reason)
		ctl_put_text(table, REASON, health->reason);
	if (!entry)
		return;
	json_add_bool(entry, "healthy", count_damage(health) == 0);
	json_object_object_add(entry, "health", health_object(health));
	if (*health->reason)
		json_add_text(entry, "reason", health->reason);
	json_add_array(entry, "anomalies");
}

static void put_anomaly(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_anomaly *anomaly)
{
	struct json_object *list = NULL;
	char name[KICKMSG_WHOLE_NAME_SIZE];

	if (ctl->json)
		json_object_object_get_ex(json_last_entry(ctl), "anomalies", &list);
	ctl_table_row(found, list ? json_object_get(json_add_object(list)) : NULL);
	ctl_put_text(found, TOPIC, ctl_write_name(topic, name));
	ctl_put_text(found, ANOMALY, kind_name(anomaly->kind));
	if (anomaly->slot != KICKMSG_NO_NUMBER)
		ctl_put_count(found, SLOT, anomaly->slot);
	if (anomaly->ring != KICKMSG_NO_NUMBER)
		ctl_put_count(found, RING, anomaly->ring);
	if (anomaly->publisher_id)
		ctl_put_count(found, PUBLISHER, anomaly->publisher_id);
	if (anomaly->age_ns)
		ctl_put_count(found, AGE, anomaly->age_ns);
	if (!*anomaly->owner_name)
		return;
	ctl_put_part(found, OWNER, anomaly->owner_name);
	ctl_put_count(found, PID, (uint64_t)anomaly->owner_pid);
	ctl_put_count(found, UID, anomaly->owner_uid);
	ctl_put_bool(found, ALIVE, anomaly->owner_alive != 0);
	ctl_put_text(found, OWNER_STATE, anomaly->owner_alive ? "alive" : "dead");
	if (!anomaly->owner_alive)
		ctl_mark_bad(found);
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
	put_health(ctl, topic, &health);
	do {
		n = kickmsg_topic_anomalies(ctl->client, topic, &cursor, page, PAGE);
		if (n < 0)
			return ctl_failed(ctl, topic, info, (int)n);
		for (ssize_t i = 0; i < n; i++)
			put_anomaly(ctl, topic, &page[i]);
	} while (n > 0);
	return count_damage(&health) ? CTL_FOUND : CTL_DONE;
}

int ctl_diagnose(struct ctl *ctl)
{
	table = ctl_table_new(ctl, &ctl_diagnose_columns);
	found = ctl_table_new(ctl, &anomalies);
	int status = ctl_for_each(ctl, diagnose);

	ctl_table_print(table, NULL, status == CTL_DONE ? "There is no topic." : NULL);
	if (ctl_table_rows(found) && !ctl->json)
		putchar('\n');
	ctl_table_print(found, NULL, NULL);
	ctl_table_free(table);
	ctl_table_free(found);
	return status;
}

static void put_repair(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_repair_report *done)
{
	struct json_object *entry = ctl->json ? json_new_entry(ctl, topic) : NULL;
	char name[KICKMSG_WHOLE_NAME_SIZE];

	if (entry) {
		json_add_bool(entry, "healthy", count_damage(&done->after) == 0);
		json_object_object_add(entry, "before", health_object(&done->before));
		json_object_object_add(entry, "after", health_object(&done->after));
	}
	ctl_table_row(table, entry ? json_object_get(entry) : NULL);
	ctl_put_text(table, DONE_NAME, ctl_write_name(topic, name));
	put_state(table, DONE_STATE, &done->after);
	ctl_put_count(table, DROPPED, done->references_dropped);
	ctl_put_count(table, RECLAIMED, done->slots_reclaimed);
	ctl_put_count(table, RESET, done->rings_reset);
	ctl_put_count(table, FREED, done->endpoints_freed);
	ctl_put_count(table, WAS_FREE, done->before.slots_free);
	ctl_put_count(table, NOW_FREE, done->after.slots_free);
	ctl_put_count(table, LEFT, count_damage(&done->after));
}

static int mend(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info, ctl_repair_fn *repair)
{
	struct kickmsg_repair_report report;
	int r = repair(ctl->client, topic, &report);

	if (r < 0)
		return ctl_failed(ctl, topic, info, r);
	put_repair(ctl, topic, &report);
	return count_damage(&report.after) ? CTL_FOUND : CTL_DONE;
}

static int mend_all(struct ctl *ctl, ctl_one_fn *one)
{
	table = ctl_table_new(ctl, &ctl_repair_columns);
	int status = ctl_for_each(ctl, one);

	ctl_table_print(table, NULL, status == CTL_DONE ? "There is no topic." : NULL);
	ctl_table_free(table);
	return status;
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
		return mend_all(ctl, verb##_one);                                                  \
	}

REPAIR(repair)
REPAIR(reset_rings)
REPAIR(reclaim)
REPAIR(recover)
