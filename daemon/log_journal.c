/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries with fields: see log_journal.h.
 *
 *   MESSAGE, PRIORITY, MESSAGE_ID      as everybody's; MESSAGE_ID is the kind's (log_event.h)
 *   CODE_FILE, CODE_LINE, CODE_FUNC    where it was decided
 *   KICKMSG_PID, KICKMSG_UID           the peer
 *   KICKMSG_CLIENT                     its name
 *   KICKMSG_TOPIC, KICKMSG_REGION      the topic's name, and the one with prefix and owner
 *   KICKMSG_SUPPRESSED                 how many more like this were not logged
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libsystemd.h"
#include "log_journal.h"

/* libsystemd takes a journal that isn't there for one that took the entry. */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

bool km_log_journal_is_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino &&
	       access(JOURNAL_SOCKET, W_OK) == 0;
}

static const char *message_id(unsigned what)
{
	static const char *const ids[] = { NULL,
#define X(name, id) id,
		KM_EVENTS(X)
#undef X
	};

	return ids[what >> KM_EVENT_SHIFT];
}

struct fields {
	char *buffer;
	size_t used;
	struct iovec *list;
	size_t count;
};

__attribute__((format(printf, 2, 3))) static void add(
	struct fields *fields, const char *format, ...)
{
	size_t room = KM_LOG_FIELDS_SIZE - fields->used;
	char *start = fields->buffer + fields->used;
	va_list args;

	va_start(args, format);
	int n = vsnprintf(start, room, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= room)
		return;
	fields->list[fields->count++] = (struct iovec){ start, (size_t)n };
	fields->used += (size_t)n + 1;
}

size_t km_log_journal_fields(const struct km_log_place *place, const struct km_log_entry *entry,
	const char *message, char buffer[KM_LOG_FIELDS_SIZE],
	struct iovec ret_fields[KM_LOG_MAX_FIELDS])
{
	struct fields fields = { .buffer = buffer, .list = ret_fields };
	const struct km_log_about *about = entry->about;

	add(&fields, "PRIORITY=%d", LOG_PRI(entry->what));
	if (message_id(entry->what))
		add(&fields, "MESSAGE_ID=%s", message_id(entry->what));
	add(&fields, "MESSAGE=%s", message);
	if (about->pid)
		add(&fields, "KICKMSG_PID=%d", (int)about->pid);
	if (about->pid)
		add(&fields, "KICKMSG_UID=%u", about->uid);
	if (*about->client)
		add(&fields, "KICKMSG_CLIENT=%s", about->client);
	if (*about->topic)
		add(&fields, "KICKMSG_TOPIC=%s", about->topic);
	if (*about->region)
		add(&fields, "KICKMSG_REGION=%s", about->region);
	if (entry->suppressed)
		add(&fields, "KICKMSG_SUPPRESSED=%u", entry->suppressed);
	if (place) {
		add(&fields, "CODE_FILE=%s", place->file);
		add(&fields, "CODE_LINE=%u", place->line);
		add(&fields, "CODE_FUNC=%s", place->function);
	}
	return fields.count;
}

int km_log_journal_send(
	const struct km_log_place *place, const struct km_log_entry *entry, const char *message)
{
	int (*send)(const struct iovec *fields, int count) = km_libsystemd_function(
		"sd_journal_sendv");
	char buffer[KM_LOG_FIELDS_SIZE];
	struct iovec fields[KM_LOG_MAX_FIELDS];

	if (!send)
		return -EOPNOTSUPP;
	size_t count = km_log_journal_fields(place, entry, message, buffer, fields);
	return send(fields, (int)count);
}
