/* SPDX-License-Identifier: Apache-2.0 */
/* How the broker itself is, with the sums of all topics: see json.h. */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/metrics/json.h"
#include "daemon/metrics/pulse.h"
#include "daemon/metrics/topics.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"

struct status {
	struct km_answer answer;
	const struct km_pulse *pulse;
	struct km_totals sum;
};

static int64_t tell(struct km_answer *answer, struct km_topic *topic)
{
	return km_topic_sum(&((struct status *)answer)->sum, topic);
}

static void put(struct km_answer *answer, const char *key, uint64_t value)
{
	km_answer_put(answer, "\"%s\":%" PRIu64 ",", key, value);
}

static void put_limits(struct km_answer *answer)
{
	static const char *const names[] = { [KM_CLIENTS] = "clients",
		[KM_TOPICS] = "topics",
		[KM_ENDPOINTS] = "endpoints",
		[KM_BYTES] = "bytes" };

	for (int i = 0; i < KM_LIMITED; i++)
		km_answer_put(answer, "\"%s\":%" PRIu64 ",\"max_%s\":%" PRIu64 ",", names[i],
			answer->broker->accounts.used[i], names[i],
			answer->broker->config->total[i].value);
}

static void finish(struct status *status)
{
	struct km_answer *answer = &status->answer;
	const struct km_broker *broker = answer->broker;
	const struct km_totals *told = km_topics_tell(answer->broker, &status->sum);
	const uint64_t uptime_ns = (uint64_t)(km_clock_ns() - broker->started_ns);

	km_json_put_head(answer);
	put(answer, "pid", (uint64_t)getpid());
	put(answer, "uptime_ns", uptime_ns);
	put(answer, "started_realtime_ns", km_clock_realtime_ns() - uptime_ns);
	put_limits(answer);
	put(answer, "sent", told->sent);
	put(answer, "sent_bytes", told->bytes);
	put(answer, "received", told->received);
	put(answer, "lost", told->lost);
	put(answer, "failed", told->failed);
	put(answer, "refused", km_session_refusals());
	put(answer, "gone",
		km_log_count(KM_EVENT_CLIENT_LEFT) + km_log_count(KM_EVENT_CLIENT_DIED));
	put(answer, "repaired", km_log_count(KM_EVENT_REPAIRED));
	put(answer, "quarantined", km_log_count(KM_EVENT_QUARANTINED));
	put(answer, "loop_stalls", status->pulse->stalls);
	km_answer_put(answer, "\"config_error\":");
	km_json_put_text(answer, broker->config_error, sizeof broker->config_error);
	km_answer_put(answer, "}\n");
}

static bool step(struct km_answer *answer)
{
	if (km_answer_tour(answer))
		return true;
	finish((struct status *)answer);
	return false;
}

int km_json_status(struct km_broker *broker, const struct km_pulse *pulse, struct km_answer **ret)
{
	struct status *status = km_answer_new(broker, sizeof *status, KM_JSON_TYPE, step);

	if (!status)
		return -ENOMEM;
	status->answer.tell = tell;
	status->pulse = pulse;
	/* before any topic, so a topic that ends meanwhile isn't counted twice */
	status->sum = broker->freed;
	*ret = &status->answer;
	return 0;
}
