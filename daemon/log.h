/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry for each event: text, its kind (log_event.h), and who and what it is about. Levels are
 * those of syslog(3).
 *
 *   where stderr is         an entry is
 *   the journal             structured: MESSAGE, MESSAGE_ID, PRIORITY, KICKMSG_* (log_journal.c)
 *   systemd's, but no       a line that begins with <LEVEL>
 *   journal is there
 *   anything else           a line that begins with "kickmsgd: "
 *
 * Text that came from a peer can't begin a line of its own. An event of the same kind about the
 * same peer or topic, again and again, is counted instead of logged (log_limit.h). A line that
 * nobody has room for is dropped, so a stuck pipe doesn't stop the broker; a journal that is stuck
 * for long does, as it does all services.
 */
#pragma once

#include <sys/types.h>
#include <syslog.h>

#include "log_event.h"

struct km_session;
struct km_topic;

/* Where in the source. */
struct km_log_place {
	const char *file;
	unsigned line;
	const char *function;
};

/* Who and what an entry is about. */
struct km_log_about {
	pid_t pid;          /* 0: no peer */
	uid_t uid;          /* the peer's, else that of the topic's owner, else -1 */
	const char *client; /* its name; "": none */
	const char *topic;  /* its name; "": none */
	const char *region; /* the topic's, with prefix and owner */
};

struct km_log_entry {
	unsigned what; /* level | kind */
	const struct km_log_about *about;
	const char *text;
	unsigned suppressed; /* that many more like this weren't logged; 0: it stands for itself */
};

/* Levels beyond this one are left out. */
void km_log_init(int level);

/* `what` is a level | a kind. session and topic may be null. Never fails, keeps errno. */
#define km_log(what, session, topic, ...)                                                          \
	km_log_at(&(const struct km_log_place){ __FILE__, __LINE__, __func__ }, what, session,     \
		topic, __VA_ARGS__)
void km_log_at(const struct km_log_place *place, unsigned what, const struct km_session *session,
	const struct km_topic *topic, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* Says what was suppressed and is due; now and then, and (all of it) at the end. */
void km_log_tell_suppressed(int64_t now_ns);
void km_log_deinit(void);
