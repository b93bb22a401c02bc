/* SPDX-License-Identifier: Apache-2.0 */
/* What top looks at: see top.h. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "ctl/top.h"

/* Descriptions change rarely and are long, so they are fetched anew only each few looks, or when a
 * topic has come or gone. */
enum { FETCH_EACH = 10, RINGS_PAGE = 64, ASKS_A_LOOK = 128 };

const char *const top_orders[TOP_ORDERS] = { "rate", "bytes", "lost", "pool", "subs", "memory",
	"name" };

static bool is_known(const struct top *top)
{
	if (!top->infos || top->age >= FETCH_EACH || top->info_count != top->now.count)
		return false;
	for (size_t i = 0; i < top->info_count; i++)
		if (top->infos[i].id != top->now.all[i].topic_id)
			return false;
	return true;
}

/* Takes the topics that were fetched, in the order of their ids, and what is known of them. */
static void take_infos(struct top *top, struct kickmsg_topic_info *infos, size_t count)
{
	struct top_detail *details = calloc(count + 1, sizeof *details);
	size_t old = 0;

	if (!details)
		abort();
	for (size_t i = 0; i < count; i++) {
		while (old < top->info_count && top->infos[old].id < infos[i].id)
			old++;
		if (old < top->info_count && top->infos[old].id == infos[i].id)
			details[i] = top->details[old];
	}
	free(top->rows); /* they point there */
	top->rows = NULL;
	top->row_count = 0;
	free(top->infos);
	free(top->details);
	top->infos = infos;
	top->details = details;
	top->info_count = count;
	top->age = 0;
}

int top_look(struct top *top)
{
	struct kickmsg_topic_info *infos = NULL;
	struct ctl_looks now = { 0 };
	size_t count = 0;
	int r = ctl_look(top->client, &now);

	if (r < 0) {
		free(now.all);
		return r;
	}
	free(top->before.all);
	top->before = top->now;
	top->now = now;
	top->age++;
	top->looks++;
	if (is_known(top))
		return 0;
	r = ctl_fetch_topics(top->client, &infos, &count);
	if (r < 0)
		return r;
	take_infos(top, infos, count);
	return 0;
}

void top_forget(struct top *top)
{
	kickmsg_client_free(top->client);
	free(top->rows);
	free(top->infos);
	free(top->details);
	free(top->before.all);
	free(top->now.all);
	*top = (struct top){ .order = top->order };
}

static bool is_wanted(const struct top *top, const struct kickmsg_topic_info *info)
{
	const struct kickmsg_topic_ref topic = ctl_ref(info);
	char name[KICKMSG_WHOLE_NAME_SIZE], pattern[sizeof top->filter + 2];

	if (!*top->filter)
		return true;
	ctl_write_name(&topic, name);
	/* a word without a wildcard is a part of the name */
	snprintf(pattern, sizeof pattern, strpbrk(top->filter, "*?[") ? "%s" : "*%s*", top->filter);
	return fnmatch(pattern, name, 0) == 0;
}

static double pool_use(const struct top_row *row)
{
	return row->detail->slots ? (double)row->detail->used / (double)row->detail->slots : 0;
}

/* Rows are sorted by this; the greatest comes first. */
static double weight(const struct top_row *row, enum top_order order)
{
	switch (order) {
	case TOP_BY_RATE:
		return row->sent;
	case TOP_BY_BYTES:
		return row->bytes;
	case TOP_BY_LOST:
		return row->lost > 0 ? row->lost : (double)row->lost_in_all / 1e18;
	case TOP_BY_POOL:
		return pool_use(row);
	case TOP_BY_SUBSCRIBERS:
		return row->info->subscribers;
	case TOP_BY_MEMORY:
		return (double)row->info->total_bytes;
	default:
		return 0;
	}
}

static int compare(const void *a, const void *b, void *order)
{
	const struct top_row *first = a, *second = b;
	double x = weight(first, *(enum top_order *)order);
	double y = weight(second, *(enum top_order *)order);
	int r = x > y ? -1 : x < y;

	if (r == 0)
		r = strcmp(first->info->name, second->info->name);
	if (r == 0)
		r = first->info->id < second->info->id ? -1 : 1;
	return r;
}

static struct top_row make_row(const struct top *top, size_t i)
{
	const struct kickmsg_topic_info *info = &top->infos[i];
	const struct kickmsg_topic_numbers *now = ctl_find_numbers(&top->now, info->id);
	const struct kickmsg_topic_numbers *old = ctl_find_numbers(&top->before, info->id);
	struct top_row row = { .info = info, .detail = &top->details[i] };

	if (!now || !now->complete)
		return row;
	row.has_numbers = true;
	row.lost_in_all = now->lost;
	if (!old || !old->complete)
		return row;
	row.sent = ctl_rate(old, now, old->sent, now->sent);
	row.bytes = ctl_rate(old, now, old->bytes, now->bytes);
	row.received = ctl_rate(old, now, old->received, now->received);
	row.lost = ctl_rate(old, now, old->lost, now->lost);
	return row;
}

/* All topics are asked about in turn. A question about each at each look would keep the broker busy. */
static void ask_some(struct top *top)
{
	if (top->asked_at == top->looks)
		return;
	top->asked_at = top->looks;
	for (size_t i = 0; i < ASKS_A_LOOK && i < top->row_count; i++)
		top_ask(top, &top->rows[top->next++ % top->row_count]);
}

void top_arrange(struct top *top)
{
	free(top->rows);
	top->row_count = 0;
	top->rows = calloc(top->info_count + 1, sizeof *top->rows);
	if (!top->rows)
		abort();
	for (size_t i = 0; i < top->info_count; i++) {
		if (!is_wanted(top, &top->infos[i]))
			continue;
		struct top_row *row = &top->rows[top->row_count++];

		*row = make_row(top, i);
	}
	if (top->order == TOP_BY_POOL)
		ask_some(top);
	qsort_r(top->rows, top->row_count, sizeof *top->rows, compare, &top->order);
}

static void find_slowest(
	struct top *top, const struct kickmsg_topic_ref *topic, struct top_detail *ret)
{
	struct kickmsg_ring_stats rings[RINGS_PAGE];
	uint64_t cursor = 0;
	ssize_t n = kickmsg_topic_ring_stats(top->client, topic, &cursor, rings, RINGS_PAGE);

	/* the first page: a user who wants a thousand subscribers opens the topic */
	for (ssize_t i = 0; i < n; i++)
		if (rings[i].waiting > ret->waiting || ret->pid == 0) {
			ret->waiting = rings[i].waiting;
			ret->pid = rings[i].pid;
		}
}

bool top_knows(const struct top *top, const struct top_row *row)
{
	return row->detail->look == top->looks || (top->order == TOP_BY_POOL && row->detail->look);
}

void top_ask(struct top *top, const struct top_row *row)
{
	const struct kickmsg_topic_ref topic = ctl_ref(row->info);
	struct top_detail *detail = row->detail;
	struct kickmsg_topic_stats stats;

	if (!top->client || detail->look == top->looks ||
		kickmsg_topic_get_stats(top->client, &topic, &stats) < 0 ||
		stats.topic_id != row->info->id)
		return;
	*detail = (struct top_detail){
		.look = top->looks,
		.slots = stats.pool_size,
		.used = stats.pool_size - stats.free_slots,
	};
	if (stats.live_rings > 0)
		find_slowest(top, &topic, detail);
}
