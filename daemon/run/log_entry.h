/* SPDX-License-Identifier: Apache-2.0 */
/* An entry of the log, on its way through log.c, log_limit.c and log_journal.c. */
#pragma once

#include <sys/types.h>
#include <syslog.h>

#include "daemon/run/log_event.h"

/* The place in the source. */
struct km_log_place {
	const char *file;
	unsigned line;
	const char *function;
};

/* The peer and the topic that an entry is about. */
struct km_log_about {
	pid_t pid; /* -1: no peer; 0: one of another pid namespace */
	/* The uid of the peer, else of the topic's owner, else -1. */
	uid_t uid;
	const char *client; /* the peer's; "": none */
	const char *topic;  /* the topic's; "": none */
	const char *region; /* the topic's whole name (common/protocol/name.h) */
};

struct km_log_entry {
	unsigned what; /* level | kind */
	const struct km_log_about *about;
	const char *text;
	/* How many more entries like this weren't logged; 0: the entry stands for itself. */
	unsigned suppressed;
};
