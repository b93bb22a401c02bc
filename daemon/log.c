/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's log: see log.h. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "log.h"
#include "log_journal.h"
#include "log_limit.h"
#include "waiter.h"

#define LINE_SIZE 1024

static int max_level = LOG_INFO;
static bool has_journal;
static bool has_prefix;

/* Is stderr what systemd gave to this process itself? */
static bool stderr_is_systemds(void)
{
	const char *pid = getenv("SYSTEMD_EXEC_PID");

	if (isatty(STDERR_FILENO))
		return false;
	return pid ? strtol(pid, NULL, 10) == getpid() : getenv("NOTIFY_SOCKET") != NULL;
}

void km_log_init(int level)
{
	max_level = level;
	has_journal = km_log_journal_is_stderr();
	has_prefix = stderr_is_systemds() || has_journal;
}

/* Appends to line[size] and never beyond it. */
__attribute__((format(printf, 4, 5))) static size_t append(
	char *line, size_t size, size_t used, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(line + used, size - used, format, args);
	va_end(args);
	if (n < 0)
		return used;
	return used + (size_t)n < size ? used + (size_t)n : size - 1;
}

/* What a peer has a hand in says nothing but letters: no line of its own, no terminal's commands,
 * and the journal shows it as text. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text > '~')
			*text = '?';
}

/* A log that nobody takes must not stop the broker: what would wait is dropped. */
static void write_line(const char *line, size_t len)
{
	struct pollfd room = { STDERR_FILENO, POLLOUT, 0 };

	if (poll(&room, 1, 0) == 1 && write(STDERR_FILENO, line, len) < 0)
		return;
}

static void write_entry(const struct km_log_place *place, const struct km_log_entry *entry)
{
	const struct km_log_about *about = entry->about;
	const int level = LOG_PRI(entry->what);
	char line[LINE_SIZE];
	const size_t size = sizeof line - 1; /* for the end of the line */
	size_t used = has_prefix ? append(line, size, 0, "<%d>", level)
				 : append(line, size, 0, "kickmsgd: ");
	size_t start = used;

	if (entry->suppressed)
		used = append(
			line, size, used, "%u more like this suppressed: ", entry->suppressed);
	used = append(line, size, used, "%s", entry->text);
	if (about->pid)
		used = append(line, size, used, " pid=%d uid=%u", (int)about->pid, about->uid);
	if (*about->client)
		used = append(line, size, used, " client=%s", about->client);
	if (*about->region)
		used = append(line, size, used, " topic=%s", about->region);
	make_plain(line + start);
	if (has_journal && km_log_journal_send(place, entry, line + start) == 0)
		return;
	line[used++] = '\n';
	write_line(line, used);
}

static void write_suppressed(const struct km_log_entry *entry)
{
	write_entry(NULL, entry);
}

void km_log_at(const struct km_log_place *place, unsigned what, const struct km_session *session,
	const struct km_topic *topic, const char *format, ...)
{
	int saved = errno;
	char text[LINE_SIZE];
	va_list args;

	if ((int)LOG_PRI(what) > max_level)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	struct km_log_about about = {
		.pid = session ? session->pid : 0,
		.uid = session ? session->uid
		       : topic ? topic->owner_uid
			       : (uid_t)-1,
		.client = session ? session->name : "",
		.topic = topic ? topic->key.name : "",
		.region = topic ? topic->region_name : "",
	};
	struct km_log_entry entry = { what, &about, text, 0 };
	uint64_t peer = session ? (uint64_t)session->pid : topic ? topic->id << 32 : 0;
	if (what >> KM_EVENT_SHIFT == KM_EVENT_NUMBER_NONE ||
		km_log_limit_allow(km_clock_ns(), peer, &entry, write_suppressed))
		write_entry(place, &entry);
	errno = saved;
}

void km_log_tell_suppressed(int64_t now_ns)
{
	km_log_limit_tell(now_ns, write_suppressed);
}

void km_log_deinit(void)
{
	km_log_limit_tell(INT64_MAX, write_suppressed);
}
