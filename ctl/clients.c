/* SPDX-License-Identifier: Apache-2.0 */
/* clients: see ctl.h. */
#include <stdio.h>
#include <string.h>

#include "ctl/listings.h"

enum { PAGE = 64 };

enum { TOPIC, CLIENT, PID, UID, ROLE, PUBLISHERS, SUBSCRIBERS, AGE, STATE, ALIVE, ID };

static const struct ctl_column columns[] = {
	[TOPIC] = { "TOPIC", NULL, CTL_TYPE_TEXT, true },
	[CLIENT] = { "CLIENT", "name", CTL_TYPE_TEXT, true },
	[PID] = { "PID", "pid", CTL_TYPE_COUNT, true },
	[UID] = { "UID", "uid", CTL_TYPE_COUNT, true },
	[ROLE] = { "ROLE", "role", CTL_TYPE_TEXT, true },
	[PUBLISHERS] = { "PUBS", "publishers", CTL_TYPE_COUNT, true },
	[SUBSCRIBERS] = { "SUBS", "subscribers", CTL_TYPE_COUNT, true },
	[AGE] = { "AGE", "since_realtime_ns", CTL_TYPE_MOMENT, true },
	[STATE] = { "STATE", NULL, CTL_TYPE_TEXT, true },
	[ALIVE] = { "ALIVE", "alive", CTL_TYPE_BOOL, false },
	[ID] = { "CLIENT-ID", "client_id", CTL_TYPE_COUNT, false },
};
const struct ctl_columns ctl_clients_columns = CTL_LISTING(columns);

static struct ctl_table *table;

static void put_client(struct json_object *list, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_participant *who)
{
	static const char *const roles[] = { "none", "publisher", "subscriber", "both" };
	char name[KICKMSG_WHOLE_NAME_SIZE];

	ctl_table_row(table, list ? json_object_get(json_add_object(list)) : NULL);
	ctl_put_text(table, TOPIC, ctl_write_name(topic, name));
	ctl_put_part(table, CLIENT, who->client_name);
	ctl_put_count(table, ID, who->client_id);
	ctl_put_count(table, PID, (uint64_t)who->pid);
	ctl_put_count(table, UID, who->uid);
	ctl_put_text(table, ROLE, roles[who->role & KICKMSG_ROLE_BOTH]);
	ctl_put_count(table, PUBLISHERS, who->publishers);
	ctl_put_count(table, SUBSCRIBERS, who->subscribers);
	ctl_put_count(table, AGE, who->since_realtime_ns);
	ctl_put_bool(table, ALIVE, who->alive != 0);
	ctl_put_text(table, STATE, who->alive ? "alive" : "dead");
	if (!who->alive)
		ctl_mark_bad(table);
}

/* Puts a participant into the table; with --json into an array of the entry, or of a new one. */
static int gather(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info, struct json_object *entry)
{
	struct kickmsg_participant page[PAGE];
	struct json_object *list = NULL;
	uint64_t cursor = 0;
	ssize_t n;

	do {
		n = kickmsg_topic_participants(ctl->client, topic, &cursor, page, PAGE);
		if (n < 0)
			return ctl_failed(ctl, topic, info, (int)n);
		if (!list && ctl->json)
			list = json_add_array(
				entry ? entry : json_new_entry(ctl, topic), "clients");
		for (ssize_t i = 0; i < n; i++)
			put_client(list, topic, &page[i]);
	} while (n > 0);
	return CTL_DONE;
}

static int clients_of(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	return gather(ctl, topic, info, NULL);
}

int ctl_print_participants(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	struct ctl_column of_one[COUNT_OF(columns)];
	const struct ctl_columns listing = CTL_COLUMNS(of_one);

	memcpy(of_one, columns, sizeof columns);
	of_one[TOPIC].is_shown = false;
	table = ctl_table_new(ctl, &listing);
	int status = gather(ctl, topic, info, ctl->json ? json_last_entry(ctl) : NULL);
	if (status == CTL_DONE)
		ctl_table_print(table, NULL, "Nobody takes part.");
	ctl_table_free(table);
	return status;
}

int ctl_clients(struct ctl *ctl)
{
	table = ctl_table_new(ctl, &ctl_clients_columns);
	int status = ctl_for_each(ctl, clients_of);

	ctl_table_print(table, NULL, status == CTL_DONE ? "Nobody takes part." : NULL);
	ctl_table_free(table);
	return status;
}
