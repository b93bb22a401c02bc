/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's log: see log.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker.h"
#include "log.h"

static int max_level = LOG_INFO;
static bool has_prefix;

/* Is stderr what systemd says that it connected to the journal? */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void km_log_init(int level)
{
	max_level = level;
	has_prefix = stderr_is_journal();
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

void km_log(int level, const struct km_session *session, const struct km_topic *topic,
	const char *format, ...)
{
	int saved = errno;
	char line[1024];
	const size_t size = sizeof line - 1; /* for the end of the line */
	size_t used = 0;
	va_list args;

	if (level > max_level)
		return;
	used = has_prefix ? append(line, size, used, "<%d>", level)
			  : append(line, size, used, "kickmsgd: ");
	va_start(args, format);
	int n = vsnprintf(line + used, size - used, format, args);
	va_end(args);
	used = n < 0 ? used : used + (size_t)n < size ? used + (size_t)n : size - 1;
	if (session)
		used = append(line, size, used, " pid=%d uid=%u", (int)session->pid, session->uid);
	if (session && *session->name)
		used = append(line, size, used, " client=%s", session->name);
	if (topic)
		used = append(line, size, used, " topic=%s", topic->region_name);
	line[used++] = '\n';
	/* a log that nobody takes must not stop the broker */
	if (write(STDERR_FILENO, line, used) < 0)
		used = 0;
	errno = saved;
}
