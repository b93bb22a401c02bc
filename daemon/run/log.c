/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's log: see log.h. */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/run/log.h"
#include "daemon/run/log_journal.h"
#include "daemon/run/log_limit.h"

#define LINE_SIZE 1024

static const struct km_log_describers *describe;
static int max_level = LOG_INFO;
static bool has_journal;
static bool has_prefix;
static unsigned lost; /* entries that nobody took */

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

int km_log_level(void)
{
	return max_level;
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

/* A text in which a peer has a hand becomes printable: it makes no line of its own and gives a
 * terminal no commands, and the journal shows it as text. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text > '~')
			*text = '?';
}

/* Writes a line, or loses it: a log that nobody takes must not stop the broker. Another process may
 * fill a pipe between the look and the write, so the kernel is asked not to wait where it knows
 * how. Of a file the kernel would take that for a reason to write less. */
static bool write_line(const char *line, size_t len)
{
	struct pollfd room = { STDERR_FILENO, POLLOUT, 0 };
	struct iovec part = { (void *)line, len };
	struct stat st;

	if (fstat(STDERR_FILENO, &st) < 0)
		return false;
	if (!S_ISREG(st.st_mode)) {
		ssize_t n = pwritev2(STDERR_FILENO, &part, 1, -1, RWF_NOWAIT);
		if (n >= 0 || errno != EOPNOTSUPP)
			return n == (ssize_t)len;
	}
	return poll(&room, 1, 0) == 1 && write(STDERR_FILENO, line, len) == (ssize_t)len;
}

/* Writes the entry where stderr goes. False: it is lost. */
static bool put(const struct km_log_place *place, const struct km_log_entry *entry)
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
	if (about->pid >= 0)
		used = append(line, size, used, " pid=%d uid=%u", (int)about->pid, about->uid);
	if (*about->client)
		used = append(line, size, used, " client=%s", about->client);
	if (*about->region)
		used = append(line, size, used, " topic=%s", about->region);
	make_plain(line + start);
	int r = has_journal ? km_log_journal_send(place, entry, line + start) : -ENOENT;
	if (r == 0 || r == -EAGAIN)
		return r == 0;
	line[used++] = '\n';
	return write_line(line, used);
}

/* Tells how many were lost, once somebody takes entries again. */
static void tell_lost(void)
{
	static const struct km_log_about nobody = { -1, (uid_t)-1, "", "", "" };
	char text[80];
	struct km_log_entry entry = { LOG_WARNING | KM_EVENT_LOG_LOST, &nobody, text, 0 };

	snprintf(text, sizeof text, "%u entries of the log were lost: nobody took them", lost);
	if (lost > 0 && put(NULL, &entry))
		lost = 0;
}

static void write_entry(const struct km_log_place *place, const struct km_log_entry *entry)
{
	tell_lost();
	lost += lost > 0 || !put(place, entry);
}

static void write_suppressed(const struct km_log_entry *entry)
{
	write_entry(NULL, entry);
}

void km_log_set_describers(const struct km_log_describers *describers)
{
	describe = describers;
}

/* Counts by a kind's number; lines without a kind have the first. */
static uint64_t counts[KM_EVENT_NUMBERS];

uint64_t km_log_count(enum km_event kind)
{
	return counts[(unsigned)kind >> KM_EVENT_SHIFT];
}

static km_log_listener *listener;
static void *listener_userdata;

void km_log_set_listener(km_log_listener *fresh, void *userdata)
{
	listener = fresh;
	listener_userdata = userdata;
}

const char *km_log_word(unsigned what, char ret[KM_LOG_WORD_SIZE])
{
	static const char *const names[KM_EVENT_NUMBERS] = { [KM_EVENT_NUMBER_NONE] = "",
#define X(name, id) [KM_EVENT_NUMBER_##name] = #name,
		KM_EVENTS(X)
#undef X
	};
	char *to = ret;

	for (const char *name = names[what >> KM_EVENT_SHIFT]; *name; name++)
		*to++ = *name == '_' ? '-' : (char)tolower(*name);
	*to = '\0';
	return ret;
}

void km_log_at(const struct km_log_place *place, unsigned what, const struct km_session *session,
	const struct km_topic *topic, const char *format, ...)
{
	int saved = errno;
	char text[LINE_SIZE];
	va_list args;

	if (what >> KM_EVENT_SHIFT < KM_EVENT_NUMBERS)
		counts[what >> KM_EVENT_SHIFT]++;
	const bool has_kind = what >> KM_EVENT_SHIFT != KM_EVENT_NUMBER_NONE;
	const bool is_logged = (int)LOG_PRI(what) <= max_level;
	if (!is_logged && !(has_kind && listener))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	char name[KM_NAME_WHOLE_SIZE];
	struct km_log_about about = { -1, (uid_t)-1, "", "", "" };
	struct km_log_entry entry = { what, &about, text, 0 };
	uint64_t peer = 0;

	/* an entry about both has the session's user, and is counted for the session */
	if (topic)
		peer = describe->topic(topic, &about, name);
	if (session)
		peer = describe->session(session, &about);
	if (has_kind && listener)
		listener(listener_userdata, &entry);
	if (is_logged && km_log_limit_allow(km_clock_ns(), peer, &entry, write_suppressed))
		write_entry(place, &entry);
	errno = saved;
}

void km_log_tell_suppressed(int64_t now_ns)
{
	km_log_limit_tell(now_ns, write_suppressed);
	tell_lost();
}

void km_log_deinit(void)
{
	km_log_limit_tell(INT64_MAX, write_suppressed);
	tell_lost();
}
