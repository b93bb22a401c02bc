/* SPDX-License-Identifier: Apache-2.0 */
/* An answer for a collector: see scrape.h. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/protocol/wire.h"
#include "daemon/metrics/pulse.h"
#include "daemon/metrics/scrape.h"
#include "daemon/metrics/text.h"
#include "daemon/metrics/topics.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/topic/topic.h"

struct scrape {
	struct km_answer answer;
	const struct km_pulse *pulse;
	bool openmetrics;
	struct km_topic_lines lines;
	unsigned listed;
	uint64_t unlisted;
	struct km_totals sum;
};

#define COUNTER          KM_METRIC_COUNTER
#define GAUGE            KM_METRIC_GAUGE

#define put(scrape, ...) km_answer_put(&(scrape)->answer, __VA_ARGS__)

static void begin(
	struct scrape *scrape, const char *name, enum km_metric_type type, const char *help)
{
	const struct km_metric metric = { name, type, help };

	scrape->answer.failed |= km_metric_begin(
					 scrape->answer.body, &metric, scrape->openmetrics) < 0;
}

static void tell(struct scrape *scrape, const char *name, enum km_metric_type type,
	const char *help, uint64_t value)
{
	const struct km_metric metric = { name, type, help };

	scrape->answer.failed |= km_metric_begin(
					 scrape->answer.body, &metric, scrape->openmetrics) < 0;
	put(scrape, "%s%s %" PRIu64 "\n", name, km_metric_suffix(&metric), value);
}

static void tell_histogram(struct scrape *scrape, const char *name, const char *help,
	const struct km_histogram *histogram)
{
	uint64_t count = 0;

	begin(scrape, name, KM_METRIC_HISTOGRAM, help);
	for (int i = 0; i < KM_HISTOGRAM_STEPS; i++) {
		count += histogram->counts[i];
		put(scrape, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name, km_histogram_steps[i],
			count);
	}
	count += histogram->counts[KM_HISTOGRAM_STEPS];
	put(scrape, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
	put(scrape, "%s_sum %.9f\n%s_count %" PRIu64 "\n", name, (double)histogram->sum_ns / 1e9,
		name, count);
}

static void tell_limits(struct scrape *scrape)
{
	static const char *const names[] = { [KM_CLIENTS] = "clients",
		[KM_TOPICS] = "topics",
		[KM_ENDPOINTS] = "endpoints",
		[KM_BYTES] = "memory_bytes" };
	const struct km_broker *broker = scrape->answer.broker;

	begin(scrape, "kickmsg_used", GAUGE, "What all users have of each limited resource.");
	for (int i = 0; i < KM_LIMITED; i++)
		put(scrape, "kickmsg_used{resource=\"%s\"} %" PRIu64 "\n", names[i],
			broker->accounts.used[i]);
	begin(scrape, "kickmsg_limit", GAUGE, "What all users may have of it.");
	for (int i = 0; i < KM_LIMITED; i++)
		put(scrape, "kickmsg_limit{resource=\"%s\"} %" PRIu64 "\n", names[i],
			broker->config->total[i].value);
}

static void tell_process(struct scrape *scrape)
{
	uint64_t pages = 0;
	struct rusage usage;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file) {
		if (fscanf(file, "%*u %" SCNu64, &pages) == 1)
			tell(scrape, "process_resident_memory_bytes", GAUGE,
				"Resident memory of the broker.",
				pages * (uint64_t)sysconf(_SC_PAGESIZE));
		fclose(file);
	}
	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		begin(scrape, "process_cpu_seconds", COUNTER,
			"Time of the processor that it took.");
		put(scrape, "process_cpu_seconds_total %.6f\n",
			(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	}
	begin(scrape, "process_start_time_seconds", GAUGE, "When it began, since 1970.");
	put(scrape, "process_start_time_seconds %.3f\n",
		((double)km_clock_realtime_ns() -
			(double)(km_clock_ns() - scrape->answer.broker->started_ns)) /
			1e9);
}

static void tell_events(struct scrape *scrape)
{
	tell(scrape, "kickmsg_denials", COUNTER, "Requests that a right or a limit refused.",
		km_session_refusals());
	tell(scrape, "kickmsg_clients_gone", COUNTER, "Clients that are gone.",
		km_log_count(KM_EVENT_CLIENT_LEFT) + km_log_count(KM_EVENT_CLIENT_DIED));
	tell(scrape, "kickmsg_recoveries", COUNTER,
		"Passes over a topic that repaired what the dead had left.",
		km_log_count(KM_EVENT_REPAIRED));
	tell(scrape, "kickmsg_quarantines", COUNTER, "Damaged topics that were given up.",
		km_log_count(KM_EVENT_QUARANTINED));
	tell(scrape, "kickmsg_demotions", COUNTER,
		"Reliable subscribers that stood still and were made ordinary ones.",
		km_log_count(KM_EVENT_DEMOTED));
	tell(scrape, "kickmsg_config_refused", GAUGE,
		"1: the config that is there isn't used, since it is wrong.",
		scrape->answer.broker->config_error[0] != '\0');
	tell_histogram(scrape, "kickmsg_recovery_seconds",
		"From a client's death till an endpoint of its was settled.",
		&scrape->answer.broker->recoveries);
	tell_histogram(scrape, "kickmsg_loop_delay_seconds",
		"How late the event loop heard a clock, ten times a second.",
		&scrape->pulse->delays);
	tell(scrape, "kickmsg_loop_stalls", COUNTER, "Such delays of more than 5 ms.",
		scrape->pulse->stalls);
}

/* Tells the sums. They never go down either: a topic's numbers stay in them when it is gone. */
static void tell_sums(struct scrape *scrape)
{
	const struct km_totals *told = km_topics_tell(scrape->answer.broker, &scrape->sum);

	tell(scrape, "kickmsg_messages", COUNTER, "Messages that were sent, in all.", told->sent);
	tell(scrape, "kickmsg_bytes", COUNTER, "Bytes of the payloads that were sent, in all.",
		told->bytes);
	tell(scrape, "kickmsg_received", COUNTER, "Messages that subscribers received.",
		told->received);
	tell(scrape, "kickmsg_lost", COUNTER,
		"Messages that subscribers were entitled to and did not get.", told->lost);
	tell(scrape, "kickmsg_failed_sends", COUNTER, "Sends that met an empty pool.",
		told->failed);
	tell(scrape, "kickmsg_unlisted_topics", GAUGE,
		"Topics that are in the sums alone (listed_topics in kickmsgd.conf).",
		scrape->unlisted);
}

static void finish(struct scrape *scrape)
{
	begin(scrape, "kickmsg_build_info", GAUGE, "The broker's versions.");
	put(scrape, "kickmsg_build_info{version=\"%s\",wire=\"%d\",layout=\"%d\"} 1\n", KM_VERSION,
		KM_WIRE_VERSION, KM_LAYOUT_VERSION);
	tell_limits(scrape);
	tell_sums(scrape);
	tell_events(scrape);
	tell_process(scrape);
	scrape->answer.failed |= km_topic_lines_join(&scrape->lines, scrape->answer.body) < 0;
	if (scrape->openmetrics)
		put(scrape, "# EOF\n");
}

static int64_t tell_topic(struct km_answer *answer, struct km_topic *topic)
{
	struct scrape *scrape = (struct scrape *)answer;
	int64_t work = km_topic_sum(&scrape->sum, topic);

	if (km_kind_is_private(topic->kept.key.kind) ||
		scrape->listed >= answer->broker->config->metrics.topics) {
		scrape->unlisted++;
		return work;
	}
	scrape->listed++;
	int64_t more = km_topic_lines_add(&scrape->lines, topic);
	answer->failed |= more < 0;
	return work + more;
}

static bool step(struct km_answer *answer)
{
	if (km_answer_tour(answer))
		return true;
	if (!answer->failed)
		finish((struct scrape *)answer);
	return false;
}

static void deinit(struct km_answer *answer)
{
	km_topic_lines_deinit(&((struct scrape *)answer)->lines);
}

int km_scrape_new(struct km_broker *broker, const struct km_pulse *pulse, bool openmetrics,
	struct km_answer **ret)
{
	struct scrape *scrape = km_answer_new(broker, sizeof *scrape,
		openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
			    : "text/plain; version=0.0.4; charset=utf-8",
		step);

	if (!scrape)
		return -ENOMEM;
	scrape->answer.tell = tell_topic;
	scrape->answer.deinit = deinit;
	scrape->pulse = pulse;
	scrape->openmetrics = openmetrics;
	/* before any topic, so a topic that ends meanwhile isn't counted twice */
	scrape->sum = broker->freed;
	if (km_topic_lines_init(&scrape->lines, openmetrics) < 0) {
		km_answer_free(&scrape->answer);
		return -ENOMEM;
	}
	*ret = &scrape->answer;
	return 0;
}
