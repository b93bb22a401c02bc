/* SPDX-License-Identifier: Apache-2.0 */
/* list, info, unlink: see ctl.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/listings.h"
#include "ctl/looks.h"
#include "ctl/terminal.h"

/* ID, header, key, type, whether list and info show it. */
#define COLUMNS(X)                                                                                 \
	X(NAME, "NAME", NULL, TEXT, true, true)                                                    \
	X(KIND, "KIND", NULL, TEXT, false, true)                                                   \
	X(PREFIX, "PREFIX", NULL, TEXT, false, false)                                              \
	X(STATE, "STATE", NULL, TEXT, true, true)                                                  \
	X(PUBLISHERS, "PUBS", "publishers", COUNT, true, true)                                     \
	X(SUBSCRIBERS, "SUBS", "subscribers", COUNT, true, true)                                   \
	X(RATE, "RATE", "sent_per_s", RATE, true, false)                                           \
	X(BYTE_RATE, "BYTE-RATE", "sent_bytes_per_s", BYTE_RATE, false, false)                     \
	X(SENT, "SENT", "sent", COUNT, false, false)                                               \
	X(BYTES, "BYTES", "sent_bytes", BYTES, false, false)                                       \
	X(RECEIVED, "RECEIVED", "received", COUNT, false, false)                                   \
	X(LOST, "LOST", "lost", COUNT, true, false)                                                \
	X(FAILED, "FAILED", "failed", COUNT, false, false)                                         \
	X(DEMOTED, "DEMOTED", "demoted", COUNT, false, false)                                      \
	X(NO_ROOM, "NO-ROOM", "no_room", COUNT, false, false)                                      \
	X(TRANSPORT, "TRANSPORT", "transport", TEXT, true, true)                                   \
	X(PAYLOAD, "PAYLOAD", "max_payload_size", BYTES, true, true)                               \
	X(MEMORY, "MEMORY", "total_bytes", BYTES, true, true)                                      \
	X(AGE, "AGE", "created_realtime_ns", MOMENT, true, true)                                   \
	X(MAX_PUBLISHERS, "MAX-PUBS", "max_publishers", COUNT, false, true)                        \
	X(MAX_SUBSCRIBERS, "MAX-SUBS", "max_subscribers", COUNT, false, true)                      \
	X(CAPACITY, "CAPACITY", "ring_capacity", COUNT, false, true)                               \
	X(POOL, "POOL", "pool_size", COUNT, false, true)                                           \
	X(LOANS, "LOANS", "max_loans", COUNT, false, true)                                         \
	X(BORROWS, "BORROWS", "max_borrows", COUNT, false, true)                                   \
	X(LINGER, "LINGER", "linger_ns", DURATION, false, true)                                    \
	X(PERSISTENT, "PERSISTENT", "persistent", BOOL, false, true)                               \
	X(TIMESTAMPS, "TIMESTAMPS", "timestamps", BOOL, false, true)                               \
	X(HISTORY, "HISTORY", "history", COUNT, false, true)                                       \
	X(RELIABLE, "RELIABLE", "reliable", COUNT, false, true)                                    \
	X(MAX_RELIABLE, "MAX-RELIABLE", "max_reliable", COUNT, false, true)                        \
	X(STALL, "STALL", "stall_ns", DURATION, false, true)                                       \
	X(SCHEMA, "SCHEMA", "has_schema", BOOL, false, true)                                       \
	X(UID, "UID", "owner_uid", COUNT, false, true)                                             \
	X(CREATOR, "CREATOR", "creator", TEXT, false, true)                                        \
	X(PID, "PID", "creator_pid", COUNT, false, true)                                           \
	X(REGION, "REGION", "region", TEXT, false, true)                                           \
	X(ID, "ID", "id", COUNT, false, true)                                                      \
	X(HASH, "HASH", "config_hash", TEXT, false, true)                                          \
	X(UNLINKED, "UNLINKED", "unlinked", BOOL, false, false)                                    \
	X(QUARANTINED, "QUARANTINED", "quarantined", BOOL, false, false)

enum {
#define ID_OF(id, ...) COLUMN_##id,
	COLUMNS(ID_OF) COLUMN_NEEDED
};

static const struct ctl_column list_columns[] = {
#define OF_LIST(id, name, key, type, in_list, in_info) { name, key, CTL_TYPE_##type, in_list },
	COLUMNS(OF_LIST)
};
const struct ctl_columns ctl_list_columns = CTL_LISTING(list_columns);

static const struct ctl_column info_columns[] = {
#define OF_INFO(id, name, key, type, in_list, in_info) { name, key, CTL_TYPE_##type, in_info },
	COLUMNS(OF_INFO){ "NEEDED-POOL", "needed_pool", CTL_TYPE_COUNT, true },
};
static const struct ctl_columns info_listing = CTL_COLUMNS(info_columns);

static const char *transport_name(const struct kickmsg_topic_config *config)
{
	return config->transport == KICKMSG_TRANSPORT_SHARED ? "shared" : "rings";
}

static void put_state(struct ctl_table *table, const struct kickmsg_topic_info *info)
{
	bool is_alone = info->publishers + info->subscribers == 0;

	ctl_put_text(table, COLUMN_STATE,
		info->quarantined ? "quarantined"
		: info->unlinked  ? "unlinked"
		: is_alone        ? "idle"
				  : "ok");
	if (info->quarantined)
		ctl_mark_bad(table);
	if (info->unlinked || is_alone)
		ctl_mark_dim(table);
	ctl_put_bool(table, COLUMN_UNLINKED, info->unlinked != 0);
	ctl_put_bool(table, COLUMN_QUARANTINED, info->quarantined != 0);
}

static void put_shape(struct ctl_table *table, const struct kickmsg_topic_config *config)
{
	ctl_put_count(table, COLUMN_MAX_PUBLISHERS, config->max_publishers);
	ctl_put_count(table, COLUMN_MAX_SUBSCRIBERS, config->max_subscribers);
	ctl_put_count(table, COLUMN_CAPACITY, config->ring_capacity);
	ctl_put_count(table, COLUMN_POOL, config->pool_size);
	ctl_put_count(table, COLUMN_PAYLOAD, config->max_payload_size);
	ctl_put_count(table, COLUMN_LOANS, config->max_loans);
	ctl_put_count(table, COLUMN_BORROWS, config->max_borrows);
	ctl_put_text(table, COLUMN_TRANSPORT, transport_name(config));
	ctl_put_count(table, COLUMN_LINGER, config->linger_ns);
	ctl_put_bool(table, COLUMN_PERSISTENT, config->persistent != 0);
	ctl_put_bool(table, COLUMN_TIMESTAMPS, config->timestamps != 0);
	ctl_put_count(table, COLUMN_HISTORY, config->history);
	ctl_put_count(table, COLUMN_MAX_RELIABLE, config->max_reliable);
	ctl_put_count(table, COLUMN_STALL, config->stall_ns);
}

static void put_topic(
	struct ctl *ctl, struct ctl_table *table, const struct kickmsg_topic_info *info)
{
	const struct kickmsg_topic_ref topic = ctl_ref(info);
	char name[KICKMSG_WHOLE_NAME_SIZE], hash[17];

	ctl_table_row(table, ctl->json ? json_new_named(&topic) : NULL);
	snprintf(hash, sizeof hash, "%016" PRIx64, info->config_hash);
	ctl_put_text(table, COLUMN_NAME, ctl_write_name(&topic, name));
	ctl_put_text(table, COLUMN_KIND, kickmsg_kind_name(info->kind));
	ctl_put_part(table, COLUMN_PREFIX, info->prefix);
	ctl_put_text(table, COLUMN_REGION, info->region);
	ctl_put_count(table, COLUMN_ID, info->id);
	ctl_put_count(table, COLUMN_PUBLISHERS, info->publishers);
	ctl_put_count(table, COLUMN_SUBSCRIBERS, info->subscribers);
	ctl_put_count(table, COLUMN_RELIABLE, info->reliable);
	put_shape(table, &info->config);
	ctl_put_text(table, COLUMN_HASH, hash);
	ctl_put_count(table, COLUMN_MEMORY, info->total_bytes);
	ctl_put_count(table, COLUMN_UID, info->owner_uid);
	ctl_put_part(table, COLUMN_CREATOR, info->creator_name);
	ctl_put_count(table, COLUMN_PID, (uint64_t)info->creator_pid);
	ctl_put_count(table, COLUMN_AGE, info->created_realtime_ns);
	ctl_put_bool(table, COLUMN_SCHEMA, info->has_schema != 0);
	put_state(table, info);
}

enum { LOOK_NS = 200000000 };

/* The counters of the look before, with --watch. */
static struct ctl_looks before;

static void put_numbers(struct ctl_table *table, const struct ctl_looks *now, uint64_t id)
{
	const struct kickmsg_topic_numbers *numbers = ctl_find_numbers(now, id);
	const struct kickmsg_topic_numbers *old = ctl_find_numbers(&before, id);

	if (!numbers || !numbers->complete)
		return;
	ctl_put_count(table, COLUMN_SENT, numbers->sent);
	ctl_put_count(table, COLUMN_BYTES, numbers->bytes);
	ctl_put_count(table, COLUMN_RECEIVED, numbers->received);
	ctl_put_count(table, COLUMN_LOST, numbers->lost);
	if (numbers->lost)
		ctl_mark_bad(table);
	ctl_put_count(table, COLUMN_FAILED, numbers->failed);
	if (numbers->failed)
		ctl_mark_bad(table);
	ctl_put_count(table, COLUMN_DEMOTED, numbers->demoted);
	ctl_put_count(table, COLUMN_NO_ROOM, numbers->no_room);
	if (!old || !old->complete || numbers->monotonic_ns <= old->monotonic_ns)
		return;
	ctl_put_real(table, COLUMN_RATE, ctl_rate(old, numbers, old->sent, numbers->sent));
	ctl_put_real(table, COLUMN_BYTE_RATE, ctl_rate(old, numbers, old->bytes, numbers->bytes));
}

/* Does the output show a rate? A rate needs two looks, which other programs needn't wait for. */
static bool wants_rate(const struct ctl *ctl)
{
	const char *columns = ctl->values[CTL_OPT_COLUMNS].text;
	const char *sort = ctl->values[CTL_OPT_SORT].text;

	return (columns ? strcasestr(columns, "rate") != NULL || *columns == '+' : !ctl->json) ||
	       (sort && strcasestr(sort, "rate"));
}

int ctl_list(struct ctl *ctl)
{
	_cleanup_free_ struct kickmsg_topic_info *topics = NULL;
	_cleanup_table_ struct ctl_table *table = ctl_table_new(ctl, &ctl_list_columns);
	struct ctl_looks now = { 0 };
	size_t count = 0;
	int r = 0;

	if (!before.all && wants_rate(ctl)) {
		r = ctl_look(ctl->client, &before);
		ctl_sleep_until(ctl_now_ns() + LOOK_NS);
	}
	if (r == 0)
		r = ctl_look(ctl->client, &now);
	int status = r < 0 ? ctl_failed(ctl, NULL, NULL, r)
			   : ctl_select_topics(ctl, &topics, &count);
	for (size_t i = 0; i < count; i++) {
		put_topic(ctl, table, &topics[i]);
		put_numbers(table, &now, topics[i].id);
	}
	ctl_table_print(table, ctl->out, status == CTL_DONE ? "There is no topic." : NULL);
	free(before.all);
	before = now;
	return status;
}

static int info_of(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	_cleanup_table_ struct ctl_table *table = ctl_table_new(ctl, &info_listing);
	struct kickmsg_topic_sizing sizing = { 0 };
	struct kickmsg_topic_info asked;

	if (!info) {
		int r = kickmsg_topic_get_info(ctl->client, topic, &asked);
		if (r < 0)
			return ctl_failed(ctl, topic, info, r);
		info = &asked;
	}
	kickmsg_topic_config_check(&info->config, &sizing);
	put_topic(ctl, table, info);
	ctl_put_count(table, COLUMN_NEEDED,
		info->kind == KICKMSG_BROADCAST ? sizing.needed_pool_broadcast
						: sizing.needed_pool);
	ctl_table_print_upright(table, ctl->out);
	if (!ctl->json)
		putchar('\n');
	int status = ctl_print_participants(ctl, topic, info);
	if (!ctl->json)
		putchar('\n');
	return status;
}

int ctl_info(struct ctl *ctl)
{
	return ctl_for_each(ctl, info_of);
}

int ctl_unlink(struct ctl *ctl)
{
	const struct kickmsg_topic_ref *topic = ctl_topic(ctl);
	int r = kickmsg_unlink(ctl->client, topic);

	if (r < 0)
		return ctl_failed(ctl, topic, NULL, r);
	if (ctl->json) {
		json_add_bool(json_new_entry(ctl, topic), "unlinked", true);
	} else {
		print_name(topic);
		puts(" unlinked");
	}
	return CTL_DONE;
}
