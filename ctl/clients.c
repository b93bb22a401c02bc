/* SPDX-License-Identifier: Apache-2.0 */
/* clients, and the participants that info and client show: see ctl.h. */
#include <stdio.h>
#include <string.h>

#include "ctl/listings.h"

enum { PAGE = 64 };

enum {
	TOPIC,
	CLIENT,
	PID,
	UID,
	ROLE,
	PUBLISHERS,
	SUBSCRIBERS,
	PUBLISHER_ID,
	RINGS,
	LOANS,
	BORROWS,
	RELIABLE,
	AGE,
	STATE,
	ALIVE,
	ID
};

static const struct ctl_column columns[] = {
	[TOPIC] = { "TOPIC", NULL, CTL_TYPE_TEXT, true },
	[CLIENT] = { "CLIENT", "name", CTL_TYPE_TEXT, true },
	[PID] = { "PID", "pid", CTL_TYPE_COUNT, true },
	[UID] = { "UID", "uid", CTL_TYPE_COUNT, true },
	[ROLE] = { "ROLE", "role", CTL_TYPE_TEXT, true },
	[PUBLISHERS] = { "PUBS", "publishers", CTL_TYPE_COUNT, true },
	[SUBSCRIBERS] = { "SUBS", "subscribers", CTL_TYPE_COUNT, true },
	[PUBLISHER_ID] = { "PUB-ID", "publisher_id", CTL_TYPE_COUNT, false },
	[RINGS] = { "RINGS", NULL, CTL_TYPE_TEXT, false },
	[LOANS] = { "LOANS", "loans", CTL_TYPE_COUNT, true },
	[BORROWS] = { "BORROWS", "borrows", CTL_TYPE_COUNT, true },
	[RELIABLE] = { "RELIABLE", "reliable", CTL_TYPE_COUNT, false },
	[AGE] = { "AGE", "since_realtime_ns", CTL_TYPE_MOMENT, true },
	[STATE] = { "STATE", NULL, CTL_TYPE_TEXT, true },
	[ALIVE] = { "ALIVE", "alive", CTL_TYPE_BOOL, false },
	[ID] = { "CLIENT-ID", "client_id", CTL_TYPE_COUNT, false },
};
const struct ctl_columns ctl_clients_columns = CTL_LISTING(columns);

static struct ctl_table *table;

/* Puts the numbers of the rings that the participant has, "0,3", and into JSON an array of them. */
static void put_rings(struct ctl_table *into, struct json_object *object, uint64_t rings)
{
	struct json_object *list = object ? json_add_array(object, "rings") : NULL;
	char text[64 * 3 + 1] = "";
	size_t used = 0;

	for (uint64_t left = rings; left; left &= left - 1) {
		int ring = __builtin_ctzll(left);

		used += (size_t)snprintf(
			text + used, sizeof text - used, "%s%d", used ? "," : "", ring);
		if (list)
			json_object_array_add(list, json_object_new_int(ring));
	}
	if (rings)
		ctl_put_text(into, RINGS, text);
}

void ctl_put_participant(struct ctl_table *into, struct json_object *object,
	const struct kickmsg_topic_ref *topic, const struct kickmsg_participant *who)
{
	static const char *const roles[] = { "none", "publisher", "subscriber", "both" };
	char name[KICKMSG_WHOLE_NAME_SIZE];

	ctl_table_row(into, object);
	ctl_put_text(into, TOPIC, ctl_write_name(topic, name));
	ctl_put_part(into, CLIENT, who->client_name);
	ctl_put_count(into, ID, who->client_id);
	ctl_put_count(into, PID, (uint64_t)who->pid);
	ctl_put_count(into, UID, who->uid);
	ctl_put_text(into, ROLE, roles[who->role & KICKMSG_ROLE_BOTH]);
	ctl_put_count(into, PUBLISHERS, who->publishers);
	ctl_put_count(into, SUBSCRIBERS, who->subscribers);
	if (who->publisher_id)
		ctl_put_count(into, PUBLISHER_ID, who->publisher_id);
	put_rings(into, object, who->rings);
	ctl_put_count(into, LOANS, who->loans);
	ctl_put_count(into, BORROWS, who->borrows);
	ctl_put_count(into, RELIABLE, who->reliable);
	ctl_put_count(into, AGE, who->since_realtime_ns);
	ctl_put_bool(into, ALIVE, who->alive != 0);
	ctl_put_text(into, STATE, who->alive ? "alive" : "dead");
	if (!who->alive)
		ctl_mark_bad(into);
}

struct ctl_table *ctl_participants_new(struct ctl *ctl, bool with_topic)
{
	static const size_t of_the_client[] = { CLIENT, PID, UID, ALIVE, ID };
	static struct ctl_column of_some[COUNT_OF(columns)];
	static const struct ctl_columns listing = CTL_COLUMNS(of_some);

	memcpy(of_some, columns, sizeof columns);
	of_some[TOPIC].is_shown = with_topic;
	/* the entry above says these, and the topic's own has a name */
	for (size_t i = 0; with_topic && i < COUNT_OF(of_the_client); i++)
		of_some[of_the_client[i]].key = NULL;
	of_some[PUBLISHER_ID].is_shown = of_some[RINGS].is_shown = true;
	return ctl_table_new(ctl, &listing);
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
			ctl_put_participant(table,
				list ? json_object_get(json_add_object(list)) : NULL, topic,
				&page[i]);
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
	table = ctl_participants_new(ctl, false);
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
