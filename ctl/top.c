/* SPDX-License-Identifier: Apache-2.0 */
/* top: the verb, and what it prints where there is no screen. See top.h. */
#include <stdio.h>
#include <string.h>

#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/top.h"

/* ID, header, key, type. */
#define COLUMNS(X)                                                                                 \
	X(NAME, "NAME", NULL, TEXT)                                                                \
	X(PUBLISHERS, "PUBS", "publishers", COUNT)                                                 \
	X(SUBSCRIBERS, "SUBS", "subscribers", COUNT)                                               \
	X(SENT, "RATE", "sent_per_s", RATE)                                                        \
	X(BYTES, "BYTES/S", "sent_bytes_per_s", BYTE_RATE)                                         \
	X(RECEIVED, "RECEIVED", "received_per_s", RATE)                                            \
	X(LOST, "LOST/S", "lost_per_s", RATE)                                                      \
	X(LOST_IN_ALL, "LOST", "lost", COUNT)                                                      \
	X(USED, "USED", "used_slots", COUNT)                                                       \
	X(SLOTS, "SLOTS", "pool_size", COUNT)                                                      \
	X(WAITING, "BEHIND", "waiting", COUNT)                                                     \
	X(PID, "SLOWEST", "slowest_pid", COUNT)                                                    \
	X(MEMORY, "MEMORY", "total_bytes", BYTES)

enum {
#define ID_OF(id, ...) COLUMN_##id,
	COLUMNS(ID_OF)
};

static const struct ctl_column columns[] = {
#define OF_TOP(id, name, key, type) { name, key, CTL_TYPE_##type, true },
	COLUMNS(OF_TOP)
};
static const struct ctl_columns top_columns = CTL_COLUMNS(columns);

enum { FIRST_LOOK_NS = 200000000, DETAILED_ROWS = 64 };

static void put_row(
	struct ctl *ctl, struct ctl_table *table, const struct top *top, const struct top_row *row)
{
	const struct top_detail *detail = row->detail;
	const struct kickmsg_topic_ref topic = ctl_ref(row->info);
	char name[KICKMSG_WHOLE_NAME_SIZE];

	ctl_table_row(table, ctl->json ? json_new_named(&topic) : NULL);
	ctl_put_text(table, COLUMN_NAME, ctl_write_name(&topic, name));
	ctl_put_count(table, COLUMN_PUBLISHERS, row->info->publishers);
	ctl_put_count(table, COLUMN_SUBSCRIBERS, row->info->subscribers);
	ctl_put_count(table, COLUMN_MEMORY, row->info->total_bytes);
	if (row->has_numbers) {
		ctl_put_real(table, COLUMN_SENT, row->sent);
		ctl_put_real(table, COLUMN_BYTES, row->bytes);
		ctl_put_real(table, COLUMN_RECEIVED, row->received);
		ctl_put_real(table, COLUMN_LOST, row->lost);
		ctl_put_count(table, COLUMN_LOST_IN_ALL, row->lost_in_all);
		if (row->lost_in_all)
			ctl_mark_bad(table);
	}
	ctl_put_count(table, COLUMN_SLOTS, row->info->config.pool_size);
	if (!top_knows(top, row))
		return;
	ctl_put_count(table, COLUMN_USED, detail->used);
	if (detail->pid == 0)
		return;
	ctl_put_count(table, COLUMN_WAITING, detail->waiting);
	ctl_put_count(table, COLUMN_PID, detail->pid);
}

static int print_look(struct ctl *ctl, struct top *top)
{
	_cleanup_table_ struct ctl_table *table = ctl_table_new(ctl, &top_columns);
	int r = top_look(top);

	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	top_arrange(top);
	print_begin(ctl);
	for (size_t i = 0; i < top->row_count; i++) {
		if (i < DETAILED_ROWS)
			top_ask(top, &top->rows[i]);
		put_row(ctl, table, top, &top->rows[i]);
	}
	ctl_table_print(table, ctl->out, "There is no topic.");
	print_end(ctl, CTL_DONE);
	fflush(stdout);
	return CTL_DONE;
}

/* Prints looks. The rates of the first look are those of a moment before it. */
static int print_looks(struct ctl *ctl, struct top *top, int64_t interval_ns, uint64_t rounds)
{
	int64_t when = ctl_now_ns() + FIRST_LOOK_NS;
	int r = top_look(top);

	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	for (uint64_t round = 0; !rounds || round < rounds; round++) {
		if (!ctl_sleep_until(when))
			break;
		if (round > 0 && !ctl->json)
			putchar('\n');
		int status = print_look(ctl, top);
		if (status != CTL_DONE)
			return status;
		if (ferror(stdout))
			break;
		when = ctl_next_look(when, interval_ns);
	}
	return CTL_DONE;
}

/* The order that --sort names, by default the first; TOP_ORDERS: there is no such order. */
static enum top_order find_order(const struct ctl *ctl)
{
	const char *sort = ctl->values[CTL_OPT_SORT].text;
	int order = 0;

	while (sort && order < TOP_ORDERS && strcmp(sort, top_orders[order]) != 0)
		order++;
	return (enum top_order)order;
}

int ctl_check_top(struct ctl *ctl)
{
	if ((int)find_order(ctl) == TOP_ORDERS)
		return ctl_wrong(ctl,
			"--sort: not rate, bytes, lost, pool, subs, memory or name: %s",
			ctl->values[CTL_OPT_SORT].text);
	if (ctl->word_count && strlen(ctl->arguments[0]) >= sizeof((struct top *)NULL)->filter)
		return ctl_wrong(ctl, "too long a pattern: %s", ctl->arguments[0]);
	return 0;
}

int ctl_top(struct ctl *ctl)
{
	const struct ctl_value *interval = &ctl->values[CTL_OPT_INTERVAL];
	const uint64_t rounds = ctl->values[CTL_OPT_COUNT].count;
	int64_t interval_ns = (int64_t)((interval->given ? interval->seconds : 1) * 1e9);
	struct top top = { .client = ctl_steal(ctl->client), .order = find_order(ctl) };
	bool is_shown = ctl_is_terminal() && !ctl->json && !ctl_given(ctl, CTL_OPT_BATCH);

	if (ctl->word_count)
		snprintf(top.filter, sizeof top.filter, "%s", ctl->arguments[0]);
	ctl_catch_interrupts(NULL, NULL);
	int status = is_shown ? top_show(ctl, &top, interval_ns, rounds) : -1;
	if (status < 0)
		status = print_looks(ctl, &top, interval_ns, rounds);
	top_forget(&top);
	return status;
}
