/* SPDX-License-Identifier: Apache-2.0 */
/* STATUS: how the broker itself is. Each number is counted where it comes to be, so nothing is
 * walked. */
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/serve/serve.h"

static_assert((int)KM_STATUS_CLIENTS == (int)KM_CLIENTS &&
		      (int)KM_STATUS_TOPICS == (int)KM_TOPICS &&
		      (int)KM_STATUS_ENDPOINTS == (int)KM_ENDPOINTS &&
		      (int)KM_STATUS_BYTES == (int)KM_BYTES &&
		      (int)KM_STATUS_RESOURCES == (int)KM_LIMITED,
	"the limited resources are those that are told");

void km_serve_status(struct km_session *session, const struct km_msg_list *request)
{
	const struct km_broker *broker = session->broker;
	const struct km_config *config = broker->config;
	struct km_msg_status_ok answer = {
		.header.op = KM_OP_STATUS_OK,
		.version = KM_VERSION,
		.uptime_ns = (uint64_t)(km_clock_ns() - broker->started_ns),
		.refused = km_session_refusals(),
		.gone = km_log_count(KM_EVENT_CLIENT_LEFT) + km_log_count(KM_EVENT_CLIENT_DIED),
		.repaired = km_log_count(KM_EVENT_REPAIRED),
		.quarantined = km_log_count(KM_EVENT_QUARANTINED),
		.config_reads = km_log_count(KM_EVENT_CONFIG_READ) +
				km_log_count(KM_EVENT_CONFIG_REFUSED),
		.interval_ms = config->interval_ms,
		.pid = (int32_t)getpid(),
		.strangers = (uint32_t)broker->accounts.used[KM_STRANGERS],
		.automatic = config->automatic,
		.kept = broker->store.active && broker->state != NULL,
		.log_level = (uint32_t)km_log_level(),
	};

	answer.started_realtime_ns = km_clock_realtime_ns() - answer.uptime_ns;
	for (int i = 0; i < KM_LIMITED; i++) {
		answer.used[i] = broker->accounts.used[i];
		answer.limits[i] = config->total[i].value;
	}
	snprintf(answer.config_error, sizeof answer.config_error, "%.*s",
		(int)sizeof answer.config_error - 1, broker->config_error);
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
