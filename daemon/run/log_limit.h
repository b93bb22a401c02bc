/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often an event is logged. In an interval, of each kind (lines without a kind are one):
 *   - KM_LOG_PEER_BURST about one process, or about one topic where no process is in it;
 *   - KM_LOG_USER_BURST about all processes and topics of one user, who may have any number.
 * Of level debug it is KM_LOG_DEBUG_TIMES as many: an operator who sets that level looks for something. The entries
 * beyond that are counted, and the count is told once the interval is over.
 *
 * The memory is bounded: a process whose place another one needs has its count added to its user's.
 * The users have places of their own for each kind, and nobody can take another uid.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/run/log_entry.h"

#define KM_LOG_INTERVAL_NS INT64_C(30000000000)
#define KM_LOG_PEER_BURST  50
#define KM_LOG_USER_BURST  200
#define KM_LOG_DEBUG_TIMES 10

/* May this entry be logged? If not it is counted. `peer` is a pid or a topic's id. `say` is called
 * for each count that has to be told because of this entry. */
bool km_log_limit_allow(int64_t now_ns, uint64_t peer, const struct km_log_entry *entry,
	void (*say)(const struct km_log_entry *entry));

/* Calls for each count whose interval is over at now_ns. INT64_MAX: for all. */
void km_log_limit_tell(int64_t now_ns, void (*say)(const struct km_log_entry *entry));
