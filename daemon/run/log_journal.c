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
 *
 * An entry is one datagram of lines NAME=VALUE, as systemd.journal-fields(7) and the page "Native
 * Journal Protocol" of systemd's documentation say. libsystemd's sd_journal_sendv() isn't used, since
 * it waits for a journal that stands still. A value has no line end (log.c), and an entry is of 2 KiB
 * at most, so the protocol's forms for other values and for large entries aren't needed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/run/log_journal.h"

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
	add(&fields, "SYSLOG_IDENTIFIER=kickmsgd");
	if (message_id(entry->what))
		add(&fields, "MESSAGE_ID=%s", message_id(entry->what));
	add(&fields, "MESSAGE=%s", message);
	if (about->pid >= 0)
		add(&fields, "KICKMSG_PID=%d", (int)about->pid);
	if (about->pid >= 0)
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
	static int journal = -1;
	struct sockaddr_un address = { AF_UNIX, JOURNAL_SOCKET };
	char buffer[KM_LOG_FIELDS_SIZE];
	struct iovec fields[KM_LOG_MAX_FIELDS];
	size_t count = km_log_journal_fields(place, entry, message, buffer, fields);
	/* each is followed by a 0, in whose place the line's end goes */
	for (size_t i = 0; i < count; i++)
		((char *)fields[i].iov_base)[fields[i].iov_len++] = '\n';
	struct msghdr header = {
		.msg_name = &address,
		.msg_namelen = sizeof address,
		.msg_iov = fields,
		.msg_iovlen = count,
	};
	ssize_t n;

	if (journal < 0)
		journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	do
		n = sendmsg(journal, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
