/* SPDX-License-Identifier: Apache-2.0 */
/* A page of metrics: see page.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/protocol/wire.h"
#include "daemon/metrics/page.h"
#include "daemon/metrics/pulse.h"
#include "daemon/metrics/text.h"
#include "daemon/metrics/topics.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/serve/list.h"
#include "daemon/topic/topic.h"

struct km_page {
	struct km_work work;
	struct km_broker *broker;
	const struct km_pulse *pulse;
	bool openmetrics;
	bool failed; /* memory ran out: half a page is none */
	km_page_fn *on_done;
	void *userdata;
	struct evbuffer *body;
	struct km_topic_lines lines;
	uint64_t cursor; /* the topic that was told last */
	uint64_t end;    /* the newest topic when the page was begun */
	unsigned listed;
	uint64_t unlisted;
	struct km_totals sum;
};

#define COUNTER KM_METRIC_COUNTER
#define GAUGE   KM_METRIC_GAUGE

__attribute__((format(printf, 2, 3))) static void put(struct km_page *page, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	page->failed |= evbuffer_add_vprintf(page->body, format, args) < 0;
	va_end(args);
}

static void begin(
	struct km_page *page, const char *name, enum km_metric_type type, const char *help)
{
	const struct km_metric metric = { name, type, help };

	page->failed |= km_metric_begin(page->body, &metric, page->openmetrics) < 0;
}

static void tell(struct km_page *page, const char *name, enum km_metric_type type, const char *help,
	uint64_t value)
{
	const struct km_metric metric = { name, type, help };

	page->failed |= km_metric_begin(page->body, &metric, page->openmetrics) < 0;
	put(page, "%s%s %" PRIu64 "\n", name, km_metric_suffix(&metric), value);
}

static void tell_histogram(struct km_page *page, const char *name, const char *help,
	const struct km_histogram *histogram)
{
	uint64_t count = 0;

	begin(page, name, KM_METRIC_HISTOGRAM, help);
	for (int i = 0; i < KM_HISTOGRAM_STEPS; i++) {
		count += histogram->counts[i];
		put(page, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name, km_histogram_steps[i], count);
	}
	count += histogram->counts[KM_HISTOGRAM_STEPS];
	put(page, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
	put(page, "%s_sum %.9f\n%s_count %" PRIu64 "\n", name, (double)histogram->sum_ns / 1e9,
		name, count);
}

static void tell_limits(struct km_page *page)
{
	static const char *const names[] = { [KM_CLIENTS] = "clients",
		[KM_TOPICS] = "topics",
		[KM_ENDPOINTS] = "endpoints",
		[KM_BYTES] = "memory_bytes" };
	const struct km_broker *broker = page->broker;

	begin(page, "kickmsg_used", GAUGE, "What all users have of each limited resource.");
	for (int i = 0; i < KM_LIMITED; i++)
		put(page, "kickmsg_used{resource=\"%s\"} %" PRIu64 "\n", names[i],
			broker->accounts.used[i]);
	begin(page, "kickmsg_limit", GAUGE, "What all users may have of it.");
	for (int i = 0; i < KM_LIMITED; i++)
		put(page, "kickmsg_limit{resource=\"%s\"} %" PRIu64 "\n", names[i],
			broker->config->total[i].value);
}

static void tell_process(struct km_page *page)
{
	uint64_t pages = 0;
	struct rusage usage;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file) {
		if (fscanf(file, "%*u %" SCNu64, &pages) == 1)
			tell(page, "process_resident_memory_bytes", GAUGE,
				"Resident memory of the broker.",
				pages * (uint64_t)sysconf(_SC_PAGESIZE));
		fclose(file);
	}
	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		begin(page, "process_cpu_seconds", COUNTER, "Time of the processor that it took.");
		put(page, "process_cpu_seconds_total %.6f\n",
			(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	}
	begin(page, "process_start_time_seconds", GAUGE, "When it began, since 1970.");
	put(page, "process_start_time_seconds %.3f\n",
		((double)km_clock_realtime_ns() -
			(double)(km_clock_ns() - page->broker->started_ns)) /
			1e9);
}

static void tell_events(struct km_page *page)
{
	tell(page, "kickmsg_denials", COUNTER, "Requests that a right or a limit refused.",
		km_session_refusals());
	tell(page, "kickmsg_clients_gone", COUNTER, "Clients that are gone.",
		km_log_count(KM_EVENT_CLIENT_LEFT) + km_log_count(KM_EVENT_CLIENT_DIED));
	tell(page, "kickmsg_recoveries", COUNTER,
		"Passes over a topic that repaired what the dead had left.",
		km_log_count(KM_EVENT_REPAIRED));
	tell(page, "kickmsg_quarantines", COUNTER, "Damaged topics that were given up.",
		km_log_count(KM_EVENT_QUARANTINED));
	tell(page, "kickmsg_config_refused", GAUGE,
		"1: the config that is there isn't used, since it is wrong.",
		page->broker->config_error[0] != '\0');
	tell_histogram(page, "kickmsg_recovery_seconds",
		"From a client's death till an endpoint of its was settled.",
		&page->broker->recoveries);
	tell_histogram(page, "kickmsg_loop_delay_seconds",
		"How late the event loop heard a clock, ten times a second.", &page->pulse->delays);
	tell(page, "kickmsg_loop_stalls", COUNTER, "Such delays of more than 5 ms.",
		page->pulse->stalls);
}

static void raise_to(uint64_t *told, uint64_t now)
{
	if (*told < now)
		*told = now;
}

/* Tells the sums. They never go down either: a topic's numbers stay in them when it is gone. */
static void tell_sums(struct km_page *page)
{
	struct km_totals *told = &page->broker->told;

	raise_to(&told->sent, page->sum.sent);
	raise_to(&told->received, page->sum.received);
	raise_to(&told->lost, page->sum.lost);
	raise_to(&told->failed, page->sum.failed);
	tell(page, "kickmsg_messages", COUNTER, "Messages that were sent, in all.", told->sent);
	tell(page, "kickmsg_received", COUNTER, "Messages that subscribers received.",
		told->received);
	tell(page, "kickmsg_lost", COUNTER,
		"Messages that subscribers were entitled to and did not get.", told->lost);
	tell(page, "kickmsg_failed_sends", COUNTER, "Sends that met an empty pool.", told->failed);
	tell(page, "kickmsg_unlisted_topics", GAUGE,
		"Topics that are in the sums alone (listed_topics in kickmsgd.conf).",
		page->unlisted);
}

static bool finish(struct km_page *page)
{
	begin(page, "kickmsg_build_info", GAUGE, "The broker's versions.");
	put(page, "kickmsg_build_info{version=\"%s\",wire=\"%d\",layout=\"%d\"} 1\n", KM_VERSION,
		KM_WIRE_VERSION, KM_LAYOUT_VERSION);
	tell_limits(page);
	tell_sums(page);
	tell_events(page);
	tell_process(page);
	page->failed |= km_topic_lines_join(&page->lines, page->body) < 0;
	if (page->openmetrics)
		put(page, "# EOF\n");
	return !page->failed;
}

/* Adds a topic's lines. Returns how much work that was; -ENOMEM. */
static int64_t add_topic(struct km_page *page, struct km_topic *topic)
{
	uint64_t members = topic->publishers + topic->subscribers;

	page->cursor = topic->kept.id;
	km_topic_count(topic);
	km_topic_add_numbers(&page->sum, &topic->told);
	if (km_kind_is_private(topic->kept.key.kind) ||
		page->listed >= page->broker->config->metrics.topics) {
		page->unlisted++;
		return 64 + (int64_t)members * 16;
	}
	page->listed++;
	int64_t work = km_topic_lines_add(&page->lines, topic);
	return work < 0 ? work : work + (int64_t)members * 16;
}

static bool step(struct km_work *work)
{
	struct km_page *page = (struct km_page *)work;
	struct km_broker *broker = page->broker;
	struct km_topic *topic = km_list_first_after(broker, page->cursor);
	int64_t done = 0;

	while (topic && topic->kept.id <= page->end && done >= 0 && done < KM_PIECE) {
		int64_t more = add_topic(page, topic);

		done = more < 0 ? more : done + more;
		topic = TAILQ_NEXT(topic, in_all);
	}
	broker->list_cursor = page->cursor;
	broker->list_next = topic;
	if (done >= 0 && topic && topic->kept.id <= page->end)
		return true;
	struct evbuffer *body = done >= 0 && finish(page) ? page->body : NULL;
	page->on_done(page->userdata, body);
	return false;
}

int km_page_new(struct km_broker *broker, const struct km_pulse *pulse, bool openmetrics,
	km_page_fn *on_done, void *userdata, struct km_page **ret)
{
	struct km_page *page = calloc(1, sizeof *page);

	if (!page)
		return -ENOMEM;
	*page = (struct km_page){ .work.step = step,
		.broker = broker,
		.pulse = pulse,
		.openmetrics = openmetrics,
		.on_done = on_done,
		.userdata = userdata,
		.body = evbuffer_new(),
		.end = broker->next_topic,
		/* before any topic, so a topic that ends meanwhile isn't counted twice */
		.sum = broker->freed };
	if (!page->body || km_topic_lines_init(&page->lines, openmetrics) < 0) {
		km_page_free(page);
		return -ENOMEM;
	}
	km_turn_add(&broker->turns, &page->work);
	*ret = page;
	return 0;
}

void km_page_free(struct km_page *page)
{
	if (!page)
		return;
	km_turn_remove(&page->broker->turns, &page->work);
	km_topic_lines_deinit(&page->lines);
	if (page->body)
		evbuffer_free(page->body);
	free(page);
}
