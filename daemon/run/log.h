/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry for each event: text, its kind (log_event.h), and the peer and the topic that it is
 * about. Levels are those of syslog(3).
 *
 *   where stderr is         an entry is
 *   the journal             structured: MESSAGE, MESSAGE_ID, PRIORITY, KICKMSG_* (log_journal.c)
 *   systemd's, but no       a line that begins with <LEVEL>
 *   journal is there
 *   anything else           a line that begins with "kickmsgd: "
 *
 * Text that came from a peer can't begin a line of its own. An event of the same kind about the
 * same peer or topic, again and again, is counted instead of logged (log_limit.h). A line that
 * nobody has room for is dropped, so neither a stuck pipe nor a stuck journal stops the broker; how
 * many were lost is told when somebody takes entries again.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "common/protocol/name.h"
#include "daemon/run/log_entry.h"
#include "daemon/run/log_event.h"

struct km_session;
struct km_topic;

/* Functions of higher rooms, which know what a session and a topic are; they are set at the start.
 * Each describes its object in `about`, and returns the number by which its entries are counted
 * (log_limit.h). */
struct km_log_describers {
	uint64_t (*session)(const struct km_session *session, struct km_log_about *about);
	/* `name` is room for the whole name, as kickmsgctl prints it */
	uint64_t (*topic)(const struct km_topic *topic, struct km_log_about *about,
		char name[KM_NAME_WHOLE_SIZE]);
};
void km_log_set_describers(const struct km_log_describers *describers);

/* Begins; levels beyond this one are left out. */
void km_log_init(int level);
int km_log_level(void);

/* `what` is a level | a kind. session and topic may be null. Never fails, keeps errno. */
#define km_log(what, session, topic, ...)                                                          \
	km_log_at(&(const struct km_log_place){ __FILE__, __LINE__, __func__ }, what, session,     \
		topic, __VA_ARGS__)
void km_log_at(const struct km_log_place *place, unsigned what, const struct km_session *session,
	const struct km_topic *topic, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* Is called with each event that has a kind, whatever its level and however often it comes, until it
 * is set to null. It must not log. */
typedef void km_log_listener(void *userdata, const struct km_log_entry *entry);
void km_log_set_listener(km_log_listener *listener, void *userdata);

/* The kind's name as operators read it, as "topic-made"; the rest of `what` is its level. */
#define KM_LOG_WORD_SIZE 32
const char *km_log_word(unsigned what, char ret[KM_LOG_WORD_SIZE]);

/* How many events of this kind there were, logged or not. */
uint64_t km_log_count(enum km_event kind);

/* Tells how many entries were suppressed, where that is due; at the end (all of it) as well. */
void km_log_tell_suppressed(int64_t now_ns);
void km_log_deinit(void);
