/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that look at topics and the broker, and repairs, in a child of fork: see fork.h. */
#include "tests/support/fork/fork.h"

static struct kickmsg_topic_info info;
static struct kickmsg_broker_status broker_status;

FORK_IS(kickmsg_topic_get_info, kickmsg_topic_get_info(fork_client, &fork_ref, &info))

FORK_CALL(kickmsg_topic_get_stats)
{
	struct kickmsg_topic_stats stats;

	(void)h;
	return fork_says(kickmsg_topic_get_stats(fork_client, &fork_ref, &stats));
}

FORK_CALL(kickmsg_topic_get_rights)
{
	struct kickmsg_topic_rights rights;

	(void)h;
	return fork_says(kickmsg_topic_get_rights(fork_client, &fork_ref, NULL, &rights));
}

FORK_CALL(kickmsg_topic_anomalies)
{
	struct kickmsg_anomaly anomaly;
	uint64_t start = 0, end = UINT64_MAX;

	(void)h;
	return fork_says(kickmsg_topic_anomalies(fork_client, &fork_ref, &start, &anomaly, 1)) &&
	       fork_says(kickmsg_topic_anomalies(fork_client, &fork_ref, &end, &anomaly, 1)) &&
	       fork_says(kickmsg_topic_anomalies(fork_client, &fork_ref, &start, &anomaly, 0));
}

FORK_CALL(kickmsg_topic_list)
{
	uint64_t cursor = 0;

	(void)h;
	return fork_says(kickmsg_topic_list(fork_client, &cursor, &info, 1)) &&
	       fork_says(kickmsg_topic_list(fork_client, &cursor, &info, 0));
}

FORK_IS(kickmsg_broker_get_status, kickmsg_broker_get_status(fork_client, &broker_status))

static void hear_nothing(void *userdata, const struct kickmsg_happening *happening)
{
}

FORK_IS(kickmsg_broker_set_log_level, kickmsg_broker_set_log_level(fork_client, 6))
FORK_IS(kickmsg_broker_watch, kickmsg_broker_watch(fork_client, hear_nothing, NULL))

FORK_CALL(kickmsg_broker_clients)
{
	struct kickmsg_broker_client one;
	uint64_t start = 0, end = UINT64_MAX;

	(void)h;
	return fork_says(kickmsg_broker_clients(fork_client, &start, &one, 1)) &&
	       fork_says(kickmsg_broker_clients(fork_client, &end, &one, 1)) &&
	       fork_says(kickmsg_broker_clients(fork_client, &start, &one, 0));
}

FORK_CALL(kickmsg_broker_config)
{
	struct kickmsg_config_value one;
	uint64_t start = 0;

	(void)h;
	return fork_says(kickmsg_broker_config(fork_client, &start, &one, 1)) &&
	       fork_says(kickmsg_broker_config(fork_client, &start, &one, 0));
}

FORK_CALL(kickmsg_topic_list_numbers)
{
	struct kickmsg_topic_numbers one;
	uint64_t start = 0;

	(void)h;
	return fork_says(kickmsg_topic_list_numbers(fork_client, &start, &one, 1)) &&
	       fork_says(kickmsg_topic_list_numbers(fork_client, &start, &one, 0));
}

FORK_CALL(kickmsg_topic_participants)
{
	struct kickmsg_participant participant;
	uint64_t start = 0, end = UINT64_MAX;

	(void)h;
	return fork_says(kickmsg_topic_participants(
		       fork_client, &fork_ref, &start, &participant, 1)) &&
	       fork_says(
		       kickmsg_topic_participants(fork_client, &fork_ref, &end, &participant, 1)) &&
	       fork_says(
		       kickmsg_topic_participants(fork_client, &fork_ref, &start, &participant, 0));
}

FORK_CALL(kickmsg_topic_ring_stats)
{
	struct kickmsg_ring_stats ring;
	uint64_t start = 0, end = UINT64_MAX;

	(void)h;
	return fork_says(kickmsg_topic_ring_stats(fork_client, &fork_ref, &start, &ring, 1)) &&
	       fork_says(kickmsg_topic_ring_stats(fork_client, &fork_ref, &end, &ring, 1)) &&
	       fork_says(kickmsg_topic_ring_stats(fork_client, &fork_ref, &start, &ring, 0));
}

FORK_CALL(kickmsg_topic_diagnose)
{
	struct kickmsg_topic_diagnosis diagnosis;

	(void)h;
	return fork_says(kickmsg_topic_diagnose(fork_client, &fork_ref, &diagnosis));
}

FORK_IS(kickmsg_topic_recover, kickmsg_topic_recover(fork_client, &fork_ref, NULL))
FORK_IS(kickmsg_topic_repair, kickmsg_topic_repair(fork_client, &fork_ref, NULL))
FORK_IS(kickmsg_topic_reset_rings, kickmsg_topic_reset_rings(fork_client, &fork_ref, NULL))
FORK_IS(kickmsg_topic_reclaim, kickmsg_topic_reclaim(fork_client, &fork_ref, NULL))

static const struct fork_call calls[] = {
	FORK_ROW(kickmsg_topic_diagnose),
	FORK_ROW(kickmsg_topic_anomalies),
	FORK_ROW(kickmsg_topic_get_info),
	FORK_ROW(kickmsg_topic_get_rights),
	FORK_NO_HANDLE(kickmsg_kind_name),
	FORK_NO_HANDLE(kickmsg_name_write),
	FORK_NO_HANDLE(kickmsg_part_read),
	FORK_NO_HANDLE(kickmsg_part_write),
	FORK_NO_HANDLE(kickmsg_socket_path),
	FORK_NO_HANDLE(kickmsg_system_socket),
	FORK_ROW(kickmsg_topic_get_stats),
	FORK_ROW(kickmsg_broker_clients),
	FORK_ROW(kickmsg_broker_config),
	FORK_ROW(kickmsg_broker_get_status),
	FORK_ROW(kickmsg_broker_set_log_level),
	FORK_ROW(kickmsg_broker_watch),
	FORK_ROW(kickmsg_topic_list),
	FORK_ROW(kickmsg_topic_list_numbers),
	FORK_ROW(kickmsg_topic_participants),
	FORK_ROW(kickmsg_topic_reclaim),
	FORK_ROW(kickmsg_topic_recover),
	FORK_ROW(kickmsg_topic_repair),
	FORK_ROW(kickmsg_topic_ring_stats),
	FORK_ROW(kickmsg_topic_reset_rings),
};

const struct fork_table fork_looks_calls = { calls, sizeof calls / sizeof calls[0] };
