/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the state (state.h), and how long a record of each may be. */
#pragma once

enum km_state_table {
	KM_STATE_SESSIONS,
	KM_STATE_TOPICS,
	KM_STATE_MEMBERS,
	KM_STATE_WAITS,
	KM_STATE_TABLES,
};

/* Bytes of the largest record of each table. */
#define KM_STATE_SESSION_SIZE 496
#define KM_STATE_TOPIC_SIZE   2032
#define KM_STATE_MEMBER_SIZE  112
#define KM_STATE_WAIT_SIZE    2032

/* Bytes of each table, and of the log, that stay when nothing is in them. */
#define KM_STATE_STAYS 65536
