/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at the broker: see kickmsg-operator.h. */
#include <errno.h>
#include <string.h>

#include "libclient/client/control.h"
#include "libclient/export.h"
#include "libclient/kickmsg-operator.h"
#include "libclient/look/look.h"

static int ask(struct kickmsg_client *client, uint32_t op, uint32_t expected, uint64_t cursor,
	union km_msg *ret)
{
	struct km_msg_list request = { .header.op = op, .cursor = cursor };

	return km_client_call(client, &request, sizeof request, expected, ret, NULL, NULL);
}

KM_EXPORT int kickmsg_broker_get_status(
	struct kickmsg_client *client, struct kickmsg_broker_status *ret)
{
	union km_msg answer;
	const struct km_msg_status_ok *said = &answer.status_ok;
	int r = ask(client, KM_OP_STATUS, KM_OP_STATUS_OK, 0, &answer);

	if (r < 0)
		return r;
	*ret = (struct kickmsg_broker_status){
		.pid = said->pid,
		.repairs = said->automatic,
		.survives_restart = said->kept,
		.strangers = said->strangers,
		.started_realtime_ns = said->started_realtime_ns,
		.uptime_ns = said->uptime_ns,
		.clients = said->used[KM_STATUS_CLIENTS],
		.max_clients = said->limits[KM_STATUS_CLIENTS],
		.topics = said->used[KM_STATUS_TOPICS],
		.max_topics = said->limits[KM_STATUS_TOPICS],
		.endpoints = said->used[KM_STATUS_ENDPOINTS],
		.max_endpoints = said->limits[KM_STATUS_ENDPOINTS],
		.bytes = said->used[KM_STATUS_BYTES],
		.max_bytes = said->limits[KM_STATUS_BYTES],
		.refused = said->refused,
		.gone = said->gone,
		.repaired = said->repaired,
		.quarantined = said->quarantined,
		.config_reads = said->config_reads,
		.interval_ns = said->interval_ms * 1000000,
		.log_level = said->log_level,
	};
	strcpy(ret->version, said->version);
	strcpy(ret->config_error, said->config_error);
	return 0;
}

KM_EXPORT int kickmsg_broker_set_log_level(struct kickmsg_client *client, uint32_t level)
{
	union km_msg answer;

	if (level < KM_LEAST_LOG_LEVEL || level > KM_MOST_LOG_LEVEL)
		return km_client_fail(client, -EINVAL, "%u is no level of a log: 3 to 7", level);
	return ask(client, KM_OP_LOG_LEVEL, KM_OP_OK, level, &answer);
}

static void read_client(const struct km_session_entry *entry, struct kickmsg_broker_client *ret)
{
	*ret = (struct kickmsg_broker_client){
		.client_id = entry->id,
		.age_ns = entry->age_ns,
		.pid = entry->pid,
		.uid = entry->uid,
		.publishers = entry->publishers,
		.subscribers = entry->subscribers,
		.waits = entry->waits,
		.connected = entry->connected,
		.alive = entry->alive,
	};
	km_name_unescape(entry->name, ret->name, sizeof ret->name);
	km_name_unescape(entry->prefix, ret->prefix, sizeof ret->prefix);
}

KM_EXPORT ssize_t kickmsg_broker_clients(struct kickmsg_client *client, uint64_t *cursor,
	struct kickmsg_broker_client *ret, size_t capacity)
{
	size_t count = 0;

	if (capacity == 0)
		return km_client_fail(client, -EINVAL, "no room for any client");
	while (count < capacity) {
		union km_msg answer;
		int r = ask(client, KM_OP_SESSIONS, KM_OP_SESSIONS_OK, *cursor, &answer);

		if (r < 0)
			return count > 0 ? (ssize_t)count : r;
		for (uint32_t i = 0; i < answer.sessions_ok.count && count < capacity; i++) {
			read_client(&answer.sessions_ok.sessions[i], &ret[count++]);
			*cursor = answer.sessions_ok.sessions[i].id;
		}
		if (answer.sessions_ok.next == 0)
			break;
	}
	return (ssize_t)count;
}

KM_EXPORT ssize_t kickmsg_topic_list_numbers(struct kickmsg_client *client, uint64_t *cursor,
	struct kickmsg_topic_numbers *ret, size_t capacity)
{
	size_t count = 0;

	if (capacity == 0)
		return km_client_fail(client, -EINVAL, "no room for any topic");
	while (count < capacity) {
		union km_msg answer;
		int r = ask(client, KM_OP_NUMBERS, KM_OP_NUMBERS_OK, *cursor, &answer);

		if (r < 0)
			return count > 0 ? (ssize_t)count : r;
		for (uint32_t i = 0; i < answer.numbers_ok.count && count < capacity; i++) {
			const struct km_topic_numbers *numbers = &answer.numbers_ok.topics[i];

			ret[count++] = (struct kickmsg_topic_numbers){
				.topic_id = numbers->id,
				.sent = numbers->sent,
				.bytes = numbers->bytes,
				.received = numbers->received,
				.failed = numbers->failed,
				.lost = numbers->lost,
				.monotonic_ns = answer.numbers_ok.monotonic_ns,
				.complete = numbers->complete,
				.demoted = numbers->demoted,
				.no_room = numbers->no_room,
			};
			*cursor = numbers->id;
		}
		if (answer.numbers_ok.next == 0)
			break;
	}
	return (ssize_t)count;
}

KM_EXPORT ssize_t kickmsg_broker_config(struct kickmsg_client *client, uint64_t *cursor,
	struct kickmsg_config_value *ret, size_t capacity)
{
	size_t count = 0;

	if (capacity == 0)
		return km_client_fail(client, -EINVAL, "no room for any value");
	while (count < capacity) {
		union km_msg answer;
		int r = ask(client, KM_OP_CONFIG, KM_OP_CONFIG_OK, *cursor, &answer);

		if (r < 0)
			return count > 0 ? (ssize_t)count : r;
		for (uint32_t i = 0; i < answer.config_ok.count && count < capacity; i++) {
			const struct km_config_entry *entry = &answer.config_ok.entries[i];

			ret[count] = (struct kickmsg_config_value){ 0 };
			strcpy(ret[count].section, entry->section);
			strcpy(ret[count].key, entry->key);
			strcpy(ret[count].value, entry->value);
			strcpy(ret[count++].origin, entry->origin);
			++*cursor;
		}
		if (answer.config_ok.next == 0)
			break;
	}
	return (ssize_t)count;
}
