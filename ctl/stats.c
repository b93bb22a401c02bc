/* SPDX-License-Identifier: Apache-2.0 */
/* stats, and watch, which takes the difference of two of them: see ctl.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "ctl.h"

/* A number that only grows while what has it stays the same. */
struct counter {
	const char *name;
	size_t offset;
};

static const struct counter topic_counters[] = {
	{ "sent", offsetof(struct kickmsg_topic_stats, sent) },
	{ "received", offsetof(struct kickmsg_topic_stats, received) },
	{ "evicted", offsetof(struct kickmsg_topic_stats, evicted) },
	{ "failed", offsetof(struct kickmsg_topic_stats, failed) },
};

static const struct counter ring_counters[] = {
	{ "written", offsetof(struct kickmsg_ring_stats, written) },
	{ "received", offsetof(struct kickmsg_ring_stats, received) },
	{ "evicted", offsetof(struct kickmsg_ring_stats, evicted) },
};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

struct sample {
	struct kickmsg_topic_info info;
	struct kickmsg_topic_stats stats;
};

/* What is printed of a topic: numbers, or with `seconds` the rates since `before`. */
struct view {
	struct ctl *ctl;
	const struct kickmsg_topic_ref *topic;
	const struct kickmsg_topic_stats *now, *before;
	double seconds; /* 0: numbers */
};

static uint64_t value_of(const void *stats, const struct counter *counter)
{
	uint64_t value;

	memcpy(&value, (const char *)stats + counter->offset, sizeof value);
	return value;
}

static void print_counters(const struct view *view, struct json_object *object,
	const struct counter *counters, size_t count, const void *now, const void *before)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = value_of(now, &counters[i]);
		uint64_t old = before ? value_of(before, &counters[i]) : 0;
		/* read one after the other under traffic: a number may seem to go back */
		double rate = view->seconds > 0 && value > old
				      ? (double)(value - old) / view->seconds
				      : 0;
		char key[32];

		if (!object && view->seconds > 0) {
			printf(" %s=%.1f/s", counters[i].name, rate);
		} else if (!object) {
			printf(" %s=%" PRIu64, counters[i].name, value);
		} else if (view->seconds > 0) {
			snprintf(key, sizeof key, "%s_per_s", counters[i].name);
			json_object_object_add(object, key, json_object_new_double(rate));
		} else {
			json_add_int(object, counters[i].name, value);
		}
	}
}

/* A ring's numbers begin anew with each subscriber. */
static const struct kickmsg_ring_stats *same_ring_before(const struct view *view, uint32_t i)
{
	const struct kickmsg_ring_stats *now = &view->now->rings[i], *before;

	if (!view->before || i >= view->before->ring_count)
		return NULL;
	before = &view->before->rings[i];
	if (!before->live || before->pid != now->pid || before->written > now->written ||
		before->received > now->received)
		return NULL;
	return before;
}

static void print_ring(const struct view *view, struct json_object *list, uint32_t i)
{
	const struct kickmsg_ring_stats *now = &view->now->rings[i];
	const struct kickmsg_ring_stats *before = same_ring_before(view, i);
	struct json_object *object = list ? json_add_object(list) : NULL;

	if (object) {
		json_add_int(object, "ring", now->ring);
		json_add_int(object, "pid", now->pid);
	} else {
		printf("  ring %" PRIu32 ": pid=%" PRIu32, now->ring, now->pid);
	}
	print_counters(view, object, ring_counters, COUNT_OF(ring_counters), now, before);
	if (object) {
		json_add_int(object, "waiting", now->waiting);
		json_add_bool(object, "sleeping", now->sleeping != 0);
	} else {
		printf(" waiting=%" PRIu64 "%s\n", now->waiting, now->sleeping ? " sleeping" : "");
	}
}

static void print_view(const struct view *view)
{
	const struct kickmsg_topic_stats *now = view->now;
	struct json_object *object = NULL, *list = NULL;

	if (view->ctl->json) {
		object = json_new_entry(view->ctl, view->topic);
		json_add_int(object, "id", now->topic_id);
		json_add_int(object, "realtime_ns", now->realtime_ns);
	} else {
		print_name(view->topic);
		putchar(':');
	}
	print_counters(view, object, topic_counters, COUNT_OF(topic_counters), now, view->before);
	if (object) {
		if (view->seconds > 0)
			json_object_object_add(
				object, "seconds", json_object_new_double(view->seconds));
		json_add_int(object, "free_slots", now->free_slots);
		json_add_int(object, "pool_size", now->pool_size);
		json_add_int(object, "live_rings", now->live_rings);
		json_add_int(object, "ring_count", now->ring_count);
		list = json_add_array(object, "rings");
	} else {
		printf(" free_slots=%" PRIu64 "/%" PRIu64 " live_rings=%" PRIu32 "/%" PRIu32 "\n",
			now->free_slots, now->pool_size, now->live_rings, now->ring_count);
	}
	for (uint32_t i = 0; i < now->ring_count && i < KICKMSG_MAX_RINGS; i++)
		if (now->rings[i].live)
			print_ring(view, list, i);
}

int ctl_stats(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	struct kickmsg_topic_stats stats;
	const struct view view = { .ctl = ctl, .topic = topic, .now = &stats };
	int r = kickmsg_topic_stats(ctl->client, topic, &stats);

	if (r < 0)
		return ctl_failed(ctl, topic, info, r);
	print_view(&view);
	return CTL_HEALTHY;
}

/* The numbers of this topic, or of all that can be asked by name. *ret is the caller's to free.
 * Returns an exit status. */
static int collect(struct ctl *ctl, const struct kickmsg_topic_ref *topic, struct sample **ret,
	size_t *ret_count)
{
	_cleanup_(km_freep) struct kickmsg_topic_info *infos = NULL;
	size_t count = 1, used = 0;
	int r = 0;

	if (topic) {
		infos = calloc(1, sizeof *infos);
		r = infos ? kickmsg_topic_info(ctl->client, topic, infos) : -ENOMEM;
	} else {
		r = ctl_fetch_topics(ctl, &infos, &count);
	}
	_cleanup_(km_freep) struct sample *samples = r < 0 ? NULL
							   : calloc(count + 1, sizeof *samples);
	if (r == 0 && !samples)
		r = -ENOMEM;
	if (r < 0)
		return ctl_failed(ctl, topic, NULL, r);
	for (size_t i = 0; i < count; i++) {
		struct kickmsg_topic_ref named = ctl_ref(&infos[i]);

		if (!topic && (infos[i].unlinked || infos[i].quarantined))
			continue;
		r = kickmsg_topic_stats(ctl->client, &named, &samples[used].stats);
		if (r < 0 && (topic || (r != -ENOENT && r != -ESTALE)))
			return ctl_failed(ctl, &named, NULL, r);
		if (r == 0)
			samples[used++].info = infos[i];
	}
	*ret = km_steal_ptr(samples);
	*ret_count = used;
	return CTL_HEALTHY;
}

static const struct kickmsg_topic_stats *find_before(
	const struct sample *samples, size_t count, uint64_t topic_id)
{
	size_t low = 0, high = count;

	/* a listing is in the order of creation, in which ids grow */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (samples[middle].stats.topic_id < topic_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && samples[low].stats.topic_id == topic_id ? &samples[low].stats : NULL;
}

static void print_round(struct ctl *ctl, const struct sample *now, size_t now_count,
	const struct sample *before, size_t before_count)
{
	for (size_t i = 0; i < now_count; i++) {
		struct kickmsg_topic_ref topic = ctl_ref(&now[i].info);
		struct view view = {
			.ctl = ctl,
			.topic = &topic,
			.now = &now[i].stats,
			.before = find_before(before, before_count, now[i].stats.topic_id),
		};

		/* one that is new has no rates before the next round */
		if (!view.before || view.now->monotonic_ns <= view.before->monotonic_ns)
			continue;
		view.seconds = (double)(view.now->monotonic_ns - view.before->monotonic_ns) / 1e9;
		print_view(&view);
	}
	if (!ctl->json) {
		putchar('\n');
		fflush(stdout);
	}
	print_end(ctl, CTL_HEALTHY);
}

static void pause_until(struct timespec *when, double more_s)
{
	when->tv_sec += (time_t)more_s;
	when->tv_nsec += (long)((more_s - (double)(time_t)more_s) * 1e9);
	if (when->tv_nsec >= 1000000000) {
		when->tv_nsec -= 1000000000;
		when->tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, when, NULL) == EINTR)
		;
}

int ctl_watch(struct ctl *ctl, const struct kickmsg_topic_ref *topic)
{
	_cleanup_(km_freep) struct sample *before = NULL;
	size_t before_count = 0;
	struct timespec when;
	int status = collect(ctl, topic, &before, &before_count);

	clock_gettime(CLOCK_MONOTONIC, &when);
	for (unsigned long round = 0; status == CTL_HEALTHY; round++) {
		struct sample *now = NULL;
		size_t now_count = 0;

		if (ctl->rounds && round == ctl->rounds)
			break;
		pause_until(&when, ctl->interval_s);
		if (!ctl->root)
			print_begin(ctl);
		status = collect(ctl, topic, &now, &now_count);
		if (status != CTL_HEALTHY)
			break;
		print_round(ctl, now, now_count, before, before_count);
		free(before);
		before = now;
		before_count = now_count;
	}
	return status;
}
