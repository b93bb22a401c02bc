/* SPDX-License-Identifier: Apache-2.0 */
/*
 * services: the servers and callers of each service. The broker tells of these as of topics: the
 * publishers of a service are its servers, of which the oldest serves, and its subscribers are its
 * callers. A call is in flight once the caller's requests count it as sent, until its replies do.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/listings.h"

enum { PAGE = 64, NUMBERS_PAGE = 256 };

enum { NAME, SERVER, PID, STANDBY, CALLERS, IN_FLIGHT, STATE, SERVERS, MAX_CALLERS, AGE, ID };

static const struct ctl_column columns[] = {
	[NAME] = { "NAME", NULL, CTL_TYPE_TEXT, true },
	[SERVER] = { "SERVER", "server", CTL_TYPE_TEXT, true },
	[PID] = { "PID", "server_pid", CTL_TYPE_COUNT, true },
	[STANDBY] = { "STANDBY", "standby", CTL_TYPE_COUNT, true },
	[CALLERS] = { "CALLERS", "callers", CTL_TYPE_COUNT, true },
	[IN_FLIGHT] = { "IN-FLIGHT", "in_flight", CTL_TYPE_COUNT, true },
	[STATE] = { "STATE", "state", CTL_TYPE_TEXT, true },
	[SERVERS] = { "SERVERS", "servers", CTL_TYPE_COUNT, false },
	[MAX_CALLERS] = { "MAX-CALLERS", "max_callers", CTL_TYPE_COUNT, false },
	[AGE] = { "AGE", "created_realtime_ns", CTL_TYPE_MOMENT, false },
	[ID] = { "ID", "id", CTL_TYPE_COUNT, false },
};
const struct ctl_columns ctl_services_columns = CTL_LISTING(columns);

/* All topics, and as many numbers, in the order of their ids. */
struct looks {
	struct kickmsg_topic_info *topics;
	size_t count;
	struct kickmsg_topic_numbers *numbers;
	size_t number_count;
};

/* Looks at all topics. Returns 0 or a negative errno; what *ret has is to be freed in any case. */
static int look(struct ctl *ctl, struct looks *ret)
{
	uint64_t cursor = 0;
	ssize_t n;
	int r = ctl_fetch_topics(ctl->client, &ret->topics, &ret->count);

	for (; r == 0; ret->number_count += (size_t)n) {
		struct kickmsg_topic_numbers *more = reallocarray(
			ret->numbers, ret->number_count + NUMBERS_PAGE, sizeof *more);

		if (!more)
			return -ENOMEM;
		ret->numbers = more;
		n = kickmsg_topic_list_numbers(
			ctl->client, &cursor, more + ret->number_count, NUMBERS_PAGE);
		if (n <= 0)
			return (int)n;
	}
	return r;
}

static int compare_ids(const void *key, const void *element)
{
	const uint64_t *id = key;
	const struct kickmsg_topic_numbers *numbers = element;

	return *id < numbers->topic_id ? -1 : *id > numbers->topic_id;
}

static uint64_t sent(const struct looks *looks, uint64_t id)
{
	const struct kickmsg_topic_numbers *found = looks->numbers ? bsearch(&id, looks->numbers,
									     looks->number_count,
									     sizeof *looks->numbers,
									     compare_ids)
								   : NULL;

	return found ? found->sent : 0;
}

static bool is_of(const struct kickmsg_topic_info *info, enum kickmsg_kind kind,
	const struct kickmsg_topic_info *service)
{
	return info->kind == kind && !info->unlinked && strcmp(info->name, service->name) == 0 &&
	       strcmp(info->prefix, service->prefix) == 0;
}

/* Calls of one caller that are in flight. Its replies may have been looked at later than its
 * requests. */
static uint64_t in_flight_of(const struct looks *looks, const struct kickmsg_topic_info *service,
	const struct kickmsg_topic_info *requests)
{
	uint64_t answered = 0, asked = sent(looks, requests->id);

	for (size_t i = 0; i < looks->count; i++)
		if (is_of(&looks->topics[i], KICKMSG_REPLIES, service) &&
			strcmp(looks->topics[i].owner, requests->owner) == 0)
			answered += sent(looks, looks->topics[i].id);
	return asked > answered ? asked - answered : 0;
}

static uint64_t in_flight(const struct looks *looks, const struct kickmsg_topic_info *service)
{
	uint64_t ret = 0;

	for (size_t i = 0; i < looks->count; i++)
		if (is_of(&looks->topics[i], KICKMSG_REQUESTS, service))
			ret += in_flight_of(looks, service, &looks->topics[i]);
	return ret;
}

/* Finds the server that is active; `*ret_name` is empty where there is none. Returns 0 or a
 * negative errno. */
static int find_server(
	struct ctl *ctl, const struct kickmsg_topic_ref *service, struct kickmsg_participant *ret)
{
	struct kickmsg_participant page[PAGE];
	uint64_t cursor = 0;
	ssize_t n;

	*ret = (struct kickmsg_participant){ .since_realtime_ns = UINT64_MAX };
	do {
		n = kickmsg_topic_participants(ctl->client, service, &cursor, page, PAGE);
		/* newest first */
		for (ssize_t i = 0; i < n; i++)
			if (page[i].publishers && page[i].alive &&
				page[i].since_realtime_ns <= ret->since_realtime_ns)
				*ret = page[i];
	} while (n > 0);
	return (int)n;
}

static int put_service(struct ctl *ctl, struct ctl_table *table, const struct looks *looks,
	const struct kickmsg_topic_info *info)
{
	const struct kickmsg_topic_ref service = ctl_ref(info);
	char name[KICKMSG_WHOLE_NAME_SIZE];
	struct kickmsg_participant server;
	int r = find_server(ctl, &service, &server);

	/* gone since it was listed */
	if (r < 0)
		return r == -ENOENT || r == -ESTALE ? 0 : r;
	ctl_table_row(table, ctl->json ? json_new_named(&service) : NULL);
	ctl_put_text(table, NAME, ctl_write_name(&service, name));
	ctl_put_text(table, STATE, server.publishers ? "ok" : "no server");
	if (server.publishers) {
		ctl_put_part(table, SERVER, server.client_name);
		ctl_put_count(table, PID, (uint64_t)server.pid);
	} else {
		ctl_mark_bad(table);
	}
	ctl_put_count(table, SERVERS, info->publishers);
	ctl_put_count(table, STANDBY, info->publishers ? info->publishers - 1 : 0);
	ctl_put_count(table, CALLERS, info->subscribers);
	ctl_put_count(table, MAX_CALLERS, info->config.max_subscribers);
	ctl_put_count(table, IN_FLIGHT, in_flight(looks, info));
	ctl_put_count(table, AGE, info->created_realtime_ns);
	ctl_put_count(table, ID, info->id);
	return 0;
}

int ctl_services(struct ctl *ctl)
{
	_cleanup_free_ struct kickmsg_topic_info *services = NULL;
	_cleanup_table_ struct ctl_table *table = ctl_table_new(ctl, &ctl_services_columns);
	struct looks looks = { 0 };
	size_t count = 0;
	int status = ctl_select_topics(ctl, &services, &count);
	int r = look(ctl, &looks);

	for (size_t i = 0; i < count && r == 0; i++)
		if (!services[i].unlinked)
			r = put_service(ctl, table, &looks, &services[i]);
	if (r < 0)
		status = ctl_failed(ctl, NULL, NULL, r);
	ctl_table_print(table, ctl->out, status == CTL_DONE ? "There is no service." : NULL);
	free(looks.topics);
	free(looks.numbers);
	return status;
}
