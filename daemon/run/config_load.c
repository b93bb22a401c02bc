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
#include "daemon/run/config_load.h"

/* Lines of a piece. Each may have some ten names of users, which are looked up at 6 us each. */
#define PIECE 16

__attribute__((format(printf, 2, 3))) static int wrong(
	struct km_config_load *load, const char *format, ...)
{
	va_list args;

	if (load->error_line)
		return 0;
	load->error_line = load->line;
	va_start(args, format);
	vsnprintf(load->error, sizeof load->error, format, args);
	va_end(args);
	return 0;
}

/* Takes a pair. Returns what inih wants: not 0 for a good pair. */
static int on_pair(void *userdata, const char *section, const char *key, const char *value)
{
	struct km_config_load *load = userdata;
	const struct km_origin origin = { load->path, load->line };
	char text[600];

	if (load->skips)
		return 0; /* the section was found wrong, and that was said */
	if (km_config_set(load->config, load->section, key, value, &origin, text, sizeof text) < 0)
		return wrong(load, "%s", text);
	return 1;
}

static void begin_section(struct km_config_load *load, const char *name)
{
	char text[600];
	int r = km_config_begin(load->config, name, &load->section, text, sizeof text);

	load->skips = r < 0;
	if (r < 0)
		wrong(load, "%s", text);
}

/* Sections are looked at here: inih cuts their names short, tells only of those with keys, takes
 * what begins with a blank for more of the value before, and doesn't look behind the bracket. */
static void begin_line(struct km_config_load *load, char *line)
{
	static const char blanks[] = " \t\r\n\v\f";

	if (load->line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
		line += 3; /* a byte order mark */
	char *text = line + strspn(line, blanks);
	char *end = strchr(text, ']');
	if (!*text || *text == '#' || *text == ';')
		return;
	if (text > line) {
		wrong(load, "begins with a blank");
		return;
	}
	if (*text != '[' || !end)
		return;
	const char *rest = end + 1 + strspn(end + 1, blanks);
	if (*rest && *rest != '#' && *rest != ';') {
		wrong(load, "something stands behind the section");
		return;
	}
	*end = '\0';
	begin_section(load, text + 1);
	*end = ']';
}

/* Reads a line for inih, and counts lines as inih does, so that an error has its line. A byte 0
 * would hide the rest of the file: after a crash of the machine a file may be full of them and say
 * nothing else. */
static char *read_line(char *ret, int size, void *userdata)
{
	struct km_config_load *load = userdata;
	int len = 0, c;

	/* for inih the file ends here; it keeps nothing that counts */
	if (load->piece == PIECE)
		return NULL;
	load->piece++;
	load->line++;
	while ((c = getc(load->file)) != EOF && c != '\n') {
		if (c == 0)
			wrong(load, "has a byte 0");
		else if (len < size - 2)
			ret[len++] = (char)c;
		else
			wrong(load, "longer than %d bytes", size - 2);
	}
	if (c == EOF && len == 0) {
		load->is_read = true;
		return NULL;
	}
	ret[len++] = '\n';
	ret[len] = '\0';
	begin_line(load, ret);
	return ret;
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

int km_config_load_begin(struct km_config_load *ret, struct km_config *config, const char *path,
	char *ret_text, size_t size)
{
	FILE *file;
	int r = open_file(path, &file, ret_text, size);

	if (r < 0)
		return r;
	const char *known = km_config_add_file(config, path);
	if (!known) {
		fclose(file);
		snprintf(ret_text, size, "%s: %s", path, strerror(ENOMEM));
		return -ENOMEM;
	}
	*ret = (struct km_config_load){ .config = config, .file = file, .path = known };
	return 0;
}

void km_config_load_end(struct km_config_load *load)
{
	if (load->file)
		fclose(load->file);
	load->file = NULL;
}

int km_config_load_some(struct km_config_load *load, char *ret_text, size_t size)
{
	const unsigned before = load->line;

	load->piece = 0;
	errno = 0;
	/* the first line of the piece that is wrong, or less than 0: no memory */
	int first = ini_parse_stream(read_line, load, on_pair, load);
	if (ferror(load->file)) {
		int r = errno ? -errno : -EIO;
		snprintf(ret_text, size, "%s: %s", load->path, strerror(-r));
		return r;
	}
	/* inih tells of lines that are neither a section nor a pair by their number alone */
	if (first > 0 && (!load->error_line || before + (unsigned)first < load->error_line)) {
		snprintf(ret_text, size, "%s:%u: neither [section] nor key = value", load->path,
			before + (unsigned)first);
		return -EINVAL;
	}
	if (load->error_line) {
		snprintf(ret_text, size, "%s:%u: %s", load->path, load->error_line, load->error);
		return -EINVAL;
	}
	return first < 0 ? -ENOMEM : !load->is_read;
}
