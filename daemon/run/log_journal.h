/* SPDX-License-Identifier: Apache-2.0 */
/* Entries with fields, for the journal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "daemon/run/log_entry.h"

#define KM_LOG_FIELDS_SIZE 2048
#define KM_LOG_MAX_FIELDS  13

/* Is stderr connected to a journal that can be reached? */
bool km_log_journal_is_stderr(void);

/* Sends an entry, never waiting. `message` is its text with all that it is about; `place` may be
 * null. Errors: -EAGAIN the journal takes nothing now; others of socket(2) and sendmsg(2). */
int km_log_journal_send(
	const struct km_log_place *place, const struct km_log_entry *entry, const char *message);

/*
 * Writes the fields of an entry, NAME=VALUE each, into `buffer` and lists them in ret_fields.
 * Returns how many there are. A field that there is no room for is left out whole.
 */
size_t km_log_journal_fields(const struct km_log_place *place, const struct km_log_entry *entry,
	const char *message, char buffer[KM_LOG_FIELDS_SIZE],
	struct iovec ret_fields[KM_LOG_MAX_FIELDS]);
