/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one config file: see config_load.h. */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/cleanup.h"
#include "daemon/run/config_keys.h"
#include "daemon/run/config_load.h"

struct parser {
	struct km_config *config;
	FILE *file;
	const char *path;
	unsigned line; /* that was read last */
	enum km_config_section section;
	bool skips;          /* the keys of this section, which is wrong */
	unsigned error_line; /* the first line that is wrong, or 0 */
	char error[640];
};

__attribute__((format(printf, 2, 3))) static int wrong(
	struct parser *parser, const char *format, ...)
{
	va_list args;

	if (parser->error_line)
		return 0;
	parser->error_line = parser->line;
	va_start(args, format);
	vsnprintf(parser->error, sizeof parser->error, format, args);
	va_end(args);
	return 0;
}

/* Takes a pair. Returns what inih wants: not 0 for a good pair. */
static int on_pair(void *userdata, const char *section, const char *key, const char *value)
{
	struct parser *parser = userdata;
	const struct km_origin origin = { parser->path, parser->line };
	char text[600];

	if (parser->skips)
		return 0; /* the section was found wrong, and that was said */
	if (km_config_set(parser->config, parser->section, key, value, &origin, text, sizeof text) <
		0)
		return wrong(parser, "%s", text);
	return 1;
}

static void begin_section(struct parser *parser, const char *name)
{
	char text[600];
	int r = km_config_begin(parser->config, name, &parser->section, text, sizeof text);

	parser->skips = r < 0;
	if (r < 0)
		wrong(parser, "%s", text);
}

/* Sections are looked at here: inih cuts their names short, tells only of those with keys, takes
 * what begins with a blank for more of the value before, and doesn't look behind the bracket. */
static void begin_line(struct parser *parser, char *line)
{
	static const char blanks[] = " \t\r\n\v\f";

	if (parser->line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
		line += 3; /* a byte order mark */
	char *text = line + strspn(line, blanks);
	char *end = strchr(text, ']');
	if (!*text || *text == '#' || *text == ';')
		return;
	if (text > line) {
		wrong(parser, "begins with a blank");
		return;
	}
	if (*text != '[' || !end)
		return;
	const char *rest = end + 1 + strspn(end + 1, blanks);
	if (*rest && *rest != '#' && *rest != ';') {
		wrong(parser, "something stands behind the section");
		return;
	}
	*end = '\0';
	begin_section(parser, text + 1);
	*end = ']';
}

/* Reads a line for inih, and counts lines as inih does, so that an error has its line. A byte 0
 * would hide the rest of the file: after a crash of the machine a file may be full of them and say
 * nothing else. */
static char *read_line(char *ret, int size, void *userdata)
{
	struct parser *parser = userdata;
	int len = 0, c;

	parser->line++;
	while ((c = getc(parser->file)) != EOF && c != '\n') {
		if (c == 0)
			wrong(parser, "has a byte 0");
		else if (len < size - 2)
			ret[len++] = (char)c;
		else
			wrong(parser, "longer than %d bytes", size - 2);
	}
	if (c == EOF && len == 0)
		return NULL;
	ret[len++] = '\n';
	ret[len] = '\0';
	begin_line(parser, ret);
	return ret;
}

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* Opens a regular file alone. A pipe would be waited for, and some devices never end. */
static int open_file(const char *path, FILE **ret, char *ret_text, size_t size)
{
	_cleanup_(km_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		r = -errno;
	else if (S_ISDIR(st.st_mode))
		r = -EISDIR;
	if (r == 0 && !S_ISREG(st.st_mode) &&
		!(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))) {
		snprintf(ret_text, size, "%s: neither a file nor /dev/null", path);
		return -EINVAL;
	}
	*ret = r == 0 ? fdopen(fd, "r") : NULL;
	if (*ret)
		km_steal_fd(fd);
	else if (r == 0)
		r = -errno;
	if (r < 0)
		snprintf(ret_text, size, "%s: %s", path, strerror(-r));
	return r;
}

int km_config_load(struct km_config *config, const char *path, char *ret_text, size_t size)
{
	_cleanup_(close_file) FILE *file = NULL;
	int r = open_file(path, &file, ret_text, size);

	if (r < 0)
		return r;
	const char *known = km_config_add_file(config, path);
	if (!known) {
		snprintf(ret_text, size, "%s: %s", path, strerror(ENOMEM));
		return -ENOMEM;
	}
	struct parser parser = { .config = config, .file = file, .path = known };
	errno = 0;
	int first = ini_parse_stream(read_line, &parser, on_pair, &parser);
	if (ferror(file)) {
		r = errno ? -errno : -EIO;
		snprintf(ret_text, size, "%s: %s", path, strerror(-r));
		return r;
	}
	/* inih tells of lines that are neither a section nor a pair by their number alone */
	if (first > 0 && (!parser.error_line || (unsigned)first < parser.error_line)) {
		snprintf(ret_text, size, "%s:%d: neither [section] nor key = value", path, first);
		return -EINVAL;
	}
	if (parser.error_line) {
		snprintf(ret_text, size, "%s:%u: %s", path, parser.error_line, parser.error);
		return -EINVAL;
	}
	return first < 0 ? -ENOMEM : 0;
}
