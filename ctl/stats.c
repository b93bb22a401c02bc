/* SPDX-License-Identifier: Apache-2.0 */
/* stats; with --watch the difference of two of them: see ctl.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/listings.h"
#include "ctl/terminal.h"

enum {
	NAME,
	SENT,
	BYTES,
	RECEIVED,
	LOST,
	FAILED,
	FREE,
	POOL,
	LIVE,
	RINGS,
	RELIABLE,
	DEMOTED,
	NO_ROOM,
	ID,
	SECONDS,
	REALTIME
};

static const struct ctl_column columns[] = {
	[NAME] = { "NAME", NULL, CTL_TYPE_TEXT, true },
	[SENT] = { "SENT", "sent", CTL_TYPE_COUNT, true },
	[BYTES] = { "BYTES", "sent_bytes", CTL_TYPE_BYTES, true },
	[RECEIVED] = { "RECEIVED", "received", CTL_TYPE_COUNT, true },
	[LOST] = { "LOST", "lost", CTL_TYPE_COUNT, true },
	[FAILED] = { "FAILED", "failed", CTL_TYPE_COUNT, true },
	[FREE] = { "FREE", "free_slots", CTL_TYPE_COUNT, true },
	[POOL] = { "POOL", "pool_size", CTL_TYPE_COUNT, true },
	[LIVE] = { "SUBS", "live_rings", CTL_TYPE_COUNT, true },
	[RINGS] = { "MAX-SUBS", "ring_count", CTL_TYPE_COUNT, false },
	[RELIABLE] = { "RELIABLE", "reliable", CTL_TYPE_COUNT, false },
	[DEMOTED] = { "DEMOTED", "demoted", CTL_TYPE_COUNT, false },
	[NO_ROOM] = { "NO-ROOM", "no_room", CTL_TYPE_COUNT, false },
	[ID] = { "ID", "id", CTL_TYPE_COUNT, false },
	[SECONDS] = { "SECONDS", "seconds", CTL_TYPE_RATE, false },
	[REALTIME] = { "LOOKED", "realtime_ns", CTL_TYPE_MOMENT, false },
};
const struct ctl_columns ctl_stats_columns = CTL_LISTING(columns);

static const struct ctl_column rate_columns[] = {
	[NAME] = { "NAME", NULL, CTL_TYPE_TEXT, true },
	[SENT] = { "SENT", "sent_per_s", CTL_TYPE_RATE, true },
	[BYTES] = { "BYTES", "sent_bytes_per_s", CTL_TYPE_BYTE_RATE, true },
	[RECEIVED] = { "RECEIVED", "received_per_s", CTL_TYPE_RATE, true },
	[LOST] = { "LOST", "lost_per_s", CTL_TYPE_RATE, true },
	[FAILED] = { "FAILED", "failed_per_s", CTL_TYPE_RATE, true },
	[FREE] = { "FREE", "free_slots", CTL_TYPE_COUNT, true },
	[POOL] = { "POOL", "pool_size", CTL_TYPE_COUNT, true },
	[LIVE] = { "SUBS", "live_rings", CTL_TYPE_COUNT, true },
	[RINGS] = { "MAX-SUBS", "ring_count", CTL_TYPE_COUNT, false },
	[RELIABLE] = { "RELIABLE", "reliable", CTL_TYPE_COUNT, false },
	[DEMOTED] = { "DEMOTED", "demoted", CTL_TYPE_COUNT, false },
	[NO_ROOM] = { "NO-ROOM", "no_room_per_s", CTL_TYPE_RATE, false },
	[ID] = { "ID", "id", CTL_TYPE_COUNT, false },
	[SECONDS] = { "SECONDS", "seconds", CTL_TYPE_RATE, false },
	[REALTIME] = { "LOOKED", "realtime_ns", CTL_TYPE_MOMENT, false },
};
static const struct ctl_columns rates = CTL_LISTING(rate_columns);

enum {
	RING_ID,
	RING,
	RING_PID,
	WRITTEN,
	RING_RECEIVED,
	RING_LOST,
	WAITING,
	SLEEPING,
	RING_RELIABLE
};

static const struct ctl_column ring_columns[] = {
	[RING_ID] = { "SUBSCRIBER", "subscriber_id", CTL_TYPE_COUNT, true },
	[RING] = { "RING", "ring", CTL_TYPE_COUNT, true },
	[RING_PID] = { "PID", "pid", CTL_TYPE_COUNT, true },
	[WRITTEN] = { "WRITTEN", "written", CTL_TYPE_COUNT, true },
	[RING_RECEIVED] = { "RECEIVED", "received", CTL_TYPE_COUNT, true },
	[RING_LOST] = { "LOST", "lost", CTL_TYPE_COUNT, true },
	[WAITING] = { "WAITING", "waiting", CTL_TYPE_COUNT, true },
	[SLEEPING] = { "SLEEPING", "sleeping", CTL_TYPE_BOOL, true },
	[RING_RELIABLE] = { "RELIABLE", "reliable", CTL_TYPE_BOOL, true },
};
static const struct ctl_columns rings = CTL_COLUMNS(ring_columns);

static const struct ctl_column ring_rate_columns[] = {
	[RING_ID] = { "SUBSCRIBER", "subscriber_id", CTL_TYPE_COUNT, true },
	[RING] = { "RING", "ring", CTL_TYPE_COUNT, true },
	[RING_PID] = { "PID", "pid", CTL_TYPE_COUNT, true },
	[WRITTEN] = { "WRITTEN", "written_per_s", CTL_TYPE_RATE, true },
	[RING_RECEIVED] = { "RECEIVED", "received_per_s", CTL_TYPE_RATE, true },
	[RING_LOST] = { "LOST", "lost_per_s", CTL_TYPE_RATE, true },
	[WAITING] = { "WAITING", "waiting", CTL_TYPE_COUNT, true },
	[SLEEPING] = { "SLEEPING", "sleeping", CTL_TYPE_BOOL, true },
	[RING_RELIABLE] = { "RELIABLE", "reliable", CTL_TYPE_BOOL, true },
};
static const struct ctl_columns ring_rates = CTL_COLUMNS(ring_rate_columns);

enum { PAGE = 256 };

/* A topic's numbers, and those of all its rings, newest subscriber first. */
struct numbers {
	struct kickmsg_topic_stats topic;
	struct kickmsg_ring_stats *rings; /* to be freed */
	size_t ring_count;
};

/* The numbers of several topics, in the order of creation. */
struct samples {
	struct sample {
		struct kickmsg_topic_info info;
		struct numbers numbers;
	} * all;
	size_t count;
};

/* The last look, with --watch. */
static struct samples before;

static void free_samples(struct samples *samples)
{
	for (size_t i = 0; i < samples->count; i++)
		free(samples->all[i].numbers.rings);
	free(samples->all);
	*samples = (struct samples){ 0 };
}

/* Are rings printed? They are for programs, and where one topic was named. */
static bool wants_rings(const struct ctl *ctl)
{
	return ctl->json || (ctl->word_count == 1 && !ctl->words[0].pattern);
}

/* Fetches a topic's numbers. Returns 0 or a negative errno; ret->rings is to be freed in any
 * case. */
static int fetch_numbers(
	struct ctl *ctl, const struct kickmsg_topic_ref *topic, struct numbers *ret)
{
	uint64_t cursor = 0;
	ssize_t n = 0;
	int r = kickmsg_topic_get_stats(ctl->client, topic, &ret->topic);

	for (; r == 0 && wants_rings(ctl); ret->ring_count += (size_t)n) {
		struct kickmsg_ring_stats *more = reallocarray(
			ret->rings, ret->ring_count + PAGE, sizeof *more);

		if (!more)
			return -ENOMEM;
		ret->rings = more;
		n = kickmsg_topic_ring_stats(
			ctl->client, topic, &cursor, more + ret->ring_count, PAGE);
		if (n <= 0)
			return (int)n;
	}
	return r;
}

/* A topic's numbers, or, since `before`, rates. */
struct view {
	struct ctl *ctl;
	const struct numbers *now, *before;
	uint32_t reliable; /* of the topic's subscribers */
	double seconds;    /* 0: numbers */
};

static void put_number(
	const struct view *view, struct ctl_table *table, size_t column, uint64_t now, uint64_t old)
{
	/* read one after the other under traffic: a number may seem to go back */
	if (view->seconds > 0)
		ctl_put_real(table, column, now > old ? (double)(now - old) / view->seconds : 0);
	else
		ctl_put_count(table, column, now);
}

/* The numbers of the same subscriber before; null: it is new. */
static const struct kickmsg_ring_stats *find_ring(const struct numbers *old, uint64_t id)
{
	size_t low = 0, high = old ? old->ring_count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (old->rings[middle].subscriber_id > id)
			low = middle + 1;
		else
			high = middle;
	}
	return old && low < old->ring_count && old->rings[low].subscriber_id == id
		       ? &old->rings[low]
		       : NULL;
}

static void put_ring(
	const struct view *view, struct ctl_table *table, const struct kickmsg_ring_stats *now)
{
	static const struct kickmsg_ring_stats none;
	const struct kickmsg_ring_stats *old = find_ring(view->before, now->subscriber_id);

	old = old ? old : &none;
	ctl_table_row(table, view->ctl->json ? json_object_new_object() : NULL);
	ctl_put_count(table, RING_ID, now->subscriber_id);
	if (now->ring != UINT32_MAX)
		ctl_put_count(table, RING, now->ring);
	ctl_put_count(table, RING_PID, now->pid);
	put_number(view, table, WRITTEN, now->written, old->written);
	put_number(view, table, RING_RECEIVED, now->received, old->received);
	put_number(view, table, RING_LOST, now->lost, old->lost);
	if (now->lost > old->lost)
		ctl_mark_bad(table);
	ctl_put_count(table, WAITING, now->waiting);
	ctl_put_bool(table, SLEEPING, now->sleeping != 0);
	ctl_put_bool(table, RING_RELIABLE, now->reliable != 0);
}

static void print_rings(const struct view *view, struct json_object *array)
{
	_cleanup_table_ struct ctl_table *table = ctl_table_new(
		view->ctl, view->seconds > 0 ? &ring_rates : &rings);

	for (size_t i = view->now->ring_count; i > 0; i--)
		put_ring(view, table, &view->now->rings[i - 1]);
	ctl_table_print(table, array, NULL);
}

static void put_topic(
	const struct view *view, struct ctl_table *table, const struct kickmsg_topic_ref *topic)
{
	static const struct kickmsg_topic_stats none;
	const struct kickmsg_topic_stats *now = &view->now->topic;
	const struct kickmsg_topic_stats *old = view->before ? &view->before->topic : &none;
	struct json_object *object = view->ctl->json ? json_new_named(topic) : NULL;
	char name[KICKMSG_WHOLE_NAME_SIZE];

	ctl_table_row(table, object);
	ctl_put_text(table, NAME, ctl_write_name(topic, name));
	ctl_put_count(table, ID, now->topic_id);
	ctl_put_count(table, REALTIME, now->realtime_ns);
	put_number(view, table, SENT, now->sent, old->sent);
	put_number(view, table, BYTES, now->bytes, old->bytes);
	put_number(view, table, RECEIVED, now->received, old->received);
	put_number(view, table, LOST, now->lost, old->lost);
	if (now->lost > old->lost)
		ctl_mark_bad(table);
	put_number(view, table, FAILED, now->failed, old->failed);
	if (now->failed > old->failed)
		ctl_mark_bad(table);
	if (view->seconds > 0)
		ctl_put_real(table, SECONDS, view->seconds);
	ctl_put_count(table, FREE, now->free_slots);
	ctl_put_count(table, POOL, now->pool_size);
	ctl_put_count(table, LIVE, now->live_rings);
	ctl_put_count(table, RINGS, now->ring_count);
	ctl_put_count(table, RELIABLE, view->reliable);
	ctl_put_count(table, DEMOTED, now->demoted);
	if (now->demoted > old->demoted)
		ctl_mark_bad(table);
	put_number(view, table, NO_ROOM, now->no_room, old->no_room);
	if (object)
		print_rings(view, json_add_array(object, "rings"));
}

/* Adds one topic's numbers at the end of *ret. */
static int collect_one(struct ctl *ctl, const struct kickmsg_topic_info *info, struct samples *ret)
{
	const struct kickmsg_topic_ref topic = ctl_ref(info);
	struct sample *sample = &ret->all[ret->count];
	int r;

	/* the broker finds no such topic by its name */
	if (info->unlinked || info->quarantined)
		return CTL_DONE;
	*sample = (struct sample){ .info = *info };
	r = fetch_numbers(ctl, &topic, &sample->numbers);
	if (r == 0) {
		ret->count++;
		return CTL_DONE;
	}
	free(sample->numbers.rings);
	return r == -ENOENT || r == -ESTALE ? CTL_DONE : ctl_failed(ctl, &topic, info, r);
}

/* Collects the numbers of all topics that are meant. *ret is the caller's to free, also after a
 * failure. */
static int collect(struct ctl *ctl, struct samples *ret)
{
	_cleanup_free_ struct kickmsg_topic_info *infos = NULL;
	size_t count = 1;
	int status = CTL_DONE, r;

	if (ctl->word_count == 1 && !ctl->words[0].pattern) {
		infos = calloc(1, sizeof *infos);
		r = infos ? kickmsg_topic_get_info(ctl->client, ctl_topic(ctl), infos) : -ENOMEM;
		if (r < 0)
			return ctl_failed(ctl, ctl_topic(ctl), NULL, r);
	} else {
		status = ctl_select_topics(ctl, &infos, &count);
	}
	ret->all = calloc(count + 1, sizeof *ret->all);
	if (!ret->all)
		return ctl_failed(ctl, NULL, NULL, -ENOMEM);
	for (size_t i = 0; i < count; i++) {
		r = collect_one(ctl, &infos[i], ret);
		if (r != CTL_DONE)
			return r;
	}
	return status;
}

static const struct numbers *find_before(uint64_t topic_id)
{
	size_t low = 0, high = before.count;

	/* a listing is in the order of creation, in which ids grow */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (before.all[middle].numbers.topic.topic_id < topic_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < before.count && before.all[low].numbers.topic.topic_id == topic_id
		       ? &before.all[low].numbers
		       : NULL;
}

static void print_all(struct ctl *ctl, const struct samples *now, bool as_rates)
{
	_cleanup_table_ struct ctl_table *table = ctl_table_new(
		ctl, as_rates ? &rates : &ctl_stats_columns);
	struct view view = { .ctl = ctl };

	for (size_t i = 0; i < now->count; i++) {
		struct kickmsg_topic_ref topic = ctl_ref(&now->all[i].info);

		view.now = &now->all[i].numbers;
		view.reliable = now->all[i].info.reliable;
		view.before = as_rates ? find_before(view.now->topic.topic_id) : NULL;
		/* a topic that is new has no rates before the next round */
		if (as_rates && (!view.before || view.now->topic.monotonic_ns <=
							 view.before->topic.monotonic_ns))
			continue;
		if (as_rates)
			view.seconds = (double)(view.now->topic.monotonic_ns -
						view.before->topic.monotonic_ns) /
				       1e9;
		put_topic(&view, table, &topic);
	}
	bool one = view.now && ctl_table_rows(table) == 1 && wants_rings(ctl) && !ctl->json;
	ctl_table_print(table, ctl->out, "There is no topic.");
	if (one && view.now->ring_count) {
		putchar('\n');
		print_rings(&view, NULL);
	}
}

int ctl_stats(struct ctl *ctl)
{
	const struct ctl_value *interval = &ctl->values[CTL_OPT_INTERVAL];
	bool as_rates = ctl_given(ctl, CTL_OPT_WATCH);
	struct samples now = { 0 };
	int status = CTL_DONE;

	if (as_rates && !before.all) {
		status = collect(ctl, &before);
		if (status == CTL_NO_BROKER || (status != CTL_DONE && before.count == 0))
			return status;
		ctl_sleep_until(
			ctl_now_ns() + (int64_t)((interval->given ? interval->seconds : 1) * 1e9));
	}
	status = collect(ctl, &now);
	if (status == CTL_DONE || now.count)
		print_all(ctl, &now, as_rates);
	free_samples(&before);
	if (as_rates)
		before = now;
	else
		free_samples(&now);
	return status;
}
