/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line on stderr for each event: text, then who and what it is about as fields. Under systemd
 * the line begins with its level as <N>. Levels are those of syslog(3).
 */
#pragma once

#include <syslog.h>

struct km_session;
struct km_topic;

void km_log_init(int level);

/* session and topic may be null. Never fails, keeps errno. */
void km_log(int level, const struct km_session *session, const struct km_topic *topic,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
