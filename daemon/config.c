/* SPDX-License-Identifier: Apache-2.0 */
/* The config file: see config.h for what may be in it. A key that isn't known is an error, so that
 * a misspelt limit isn't taken for one. */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>

#include "cleanup.h"
#include "config.h"

struct km_config_file {
	struct km_config_file *next;
	char path[];
};

void km_config_init(struct km_config *config)
{
	*config = (struct km_config){
		.socket_mode = 0660,
		.log_level = LOG_INFO,
		.total = { [KM_CLIENTS] = { 1024 },
			[KM_TOPICS] = { 4096 },
			[KM_ENDPOINTS] = { 65536 } },
		.client_endpoints = { 256 },
		.automatic = true,
		.interval_ms = 1000,
	};
	km_policy_init(&config->policy);
}

void km_config_deinit(struct km_config *config)
{
	struct km_config_file *file;

	km_policy_deinit(&config->policy);
	while ((file = config->files)) {
		config->files = file->next;
		free(file);
	}
}

int km_config_parse_level(const char *text, int *ret)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = { { "error", LOG_ERR }, { "warning", LOG_WARNING }, { "notice", LOG_NOTICE },
		{ "info", LOG_INFO }, { "debug", LOG_DEBUG } };

	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
		if (strcmp(levels[i].name, text) == 0) {
			*ret = levels[i].level;
			return 0;
		}
	return -EINVAL;
}

enum section { NO_SECTION, BROKER, LIMITS, RECOVERY, LOG, TOPIC, WRONG_SECTION };

struct parser {
	struct km_config *config;
	FILE *file;
	const char *path;
	unsigned line; /* that was read last */
	enum section section;
	unsigned error_line; /* the first wrong one, or 0 */
	char error[256];
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

/* A whole number with an optional K, M, G or T behind it where `units` says so. */
static int parse_number(const char *text, int base, bool units, uint64_t max, uint64_t *ret)
{
	static const char names[] = "KMGT";
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, base);
	if (errno || value > max)
		return -ERANGE;
	if (units && *end && strchr(names, *end)) {
		unsigned shift = 10 * (unsigned)(strchr(names, *end) - names + 1);

		if (value > max >> shift)
			return -ERANGE;
		value <<= shift;
		end++;
	}
	if (*end)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int set_number(
	struct parser *parser, const char *key, const char *value, uint64_t min, unsigned *field)
{
	uint64_t number;

	if (parse_number(value, 10, false, UINT_MAX / 4, &number) < 0 || number < min)
		return wrong(parser, "%s = %s: not a number from %llu to %u", key, value,
			(unsigned long long)min, UINT_MAX / 4);
	*field = (unsigned)number;
	return 1;
}

static int set_broker(struct parser *parser, const char *key, const char *value)
{
	struct km_config *config = parser->config;
	uint64_t number;

	if (strcmp(key, "socket") == 0) {
		if (!*value || strlen(value) >= sizeof config->socket)
			return wrong(parser, "socket: a path of 1 to %zu bytes",
				sizeof config->socket - 1);
		strcpy(config->socket, value);
		return 1;
	}
	if (strcmp(key, "socket_mode") == 0) {
		if (parse_number(value, 8, false, 0777, &number) < 0)
			return wrong(parser, "socket_mode = %s: not an octal mode", value);
		config->socket_mode = (mode_t)number;
		return 1;
	}
	return wrong(parser, "[broker] has no key '%s'", key);
}

static struct km_origin here(const struct parser *parser)
{
	return (struct km_origin){ parser->path, parser->line };
}

static int set_limit(struct parser *parser, const char *key, const char *value)
{
	static const struct {
		const char *key;
		size_t offset;
		uint64_t min;
	} limits[] = {
		{ "clients", offsetof(struct km_config, total[KM_CLIENTS]), 1 },
		{ "topics", offsetof(struct km_config, total[KM_TOPICS]), 1 },
		{ "endpoints", offsetof(struct km_config, total[KM_ENDPOINTS]), 1 },
		{ "memory", offsetof(struct km_config, total[KM_BYTES]), 0 },
		{ "user_clients", offsetof(struct km_config, user[KM_CLIENTS]), 0 },
		{ "user_topics", offsetof(struct km_config, user[KM_TOPICS]), 0 },
		{ "user_endpoints", offsetof(struct km_config, user[KM_ENDPOINTS]), 0 },
		{ "user_memory", offsetof(struct km_config, user[KM_BYTES]), 0 },
		{ "client_endpoints", offsetof(struct km_config, client_endpoints), 1 },
	};
	struct km_limit limit = { .origin = here(parser) };
	const size_t count = sizeof limits / sizeof limits[0];
	unsigned number = 0;
	size_t i = 0;

	while (i < count && strcmp(key, limits[i].key) != 0)
		i++;
	if (i == count)
		return wrong(parser, "[limits] has no key '%s'", key);
	if (strstr(key, "memory")) {
		if (parse_number(value, 10, true, INT64_MAX, &limit.value) < 0)
			return wrong(parser, "%s = %s: not a number of bytes", key, value);
	} else {
		if (!set_number(parser, key, value, limits[i].min, &number))
			return 0;
		limit.value = number;
	}
	memcpy((char *)parser->config + limits[i].offset, &limit, sizeof limit);
	return 1;
}

static int set_recovery(struct parser *parser, const char *key, const char *value)
{
	struct km_config *config = parser->config;

	if (strcmp(key, "automatic") == 0) {
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return wrong(parser, "automatic = %s: not yes or no", value);
		config->automatic = value[0] == 'y';
		return 1;
	}
	if (strcmp(key, "interval") == 0)
		return set_number(parser, key, value, 1, &config->interval_ms);
	return wrong(parser, "[recovery] has no key '%s'", key);
}

static int set_log(struct parser *parser, const char *key, const char *value)
{
	if (strcmp(key, "level") != 0)
		return wrong(parser, "[log] has no key '%s'", key);
	if (km_config_parse_level(value, &parser->config->log_level) < 0)
		return wrong(
			parser, "level = %s: not error, warning, notice, info or debug", value);
	return 1;
}

static int on_pair(void *userdata, const char *section, const char *key, const char *value)
{
	struct parser *parser = userdata;
	struct km_origin origin = here(parser);
	char text[200];

	switch (parser->section) {
	case BROKER:
		return set_broker(parser, key, value);
	case LIMITS:
		return set_limit(parser, key, value);
	case RECOVERY:
		return set_recovery(parser, key, value);
	case LOG:
		return set_log(parser, key, value);
	case TOPIC:
		if (km_policy_set(&parser->config->policy, key, value, &origin, text, sizeof text) <
			0)
			return wrong(parser, "%s", text);
		return 1;
	case NO_SECTION:
		return wrong(parser, "'%s' stands before any [section]", key);
	default:
		return 0; /* it was said */
	}
}

static void begin_section(struct parser *parser, const char *name)
{
	static const char *const names[] = {
		[BROKER] = "broker", [LIMITS] = "limits", [RECOVERY] = "recovery", [LOG] = "log"
	};
	char text[200];

	for (int i = BROKER; i <= LOG; i++)
		if (strcmp(name, names[i]) == 0) {
			parser->section = (enum section)i;
			return;
		}
	parser->section = WRONG_SECTION;
	if (strncmp(name, "topic", 5) != 0 || (name[5] && name[5] != ' ')) {
		wrong(parser, "there is no section [%s]", name);
		return;
	}
	parser->section = TOPIC;
	name += 5 + strspn(name + 5, " ");
	if (km_policy_add(&parser->config->policy, name, text, sizeof text) < 0)
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

/* Counts lines as inih reads them, so that an error has its line. A 0 would hide what stands behind it:
 * a file that a crash of the machine left full of them says nothing else. */
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

/* A pipe would be waited for, and some devices never end. */
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
	struct km_config_file *known = malloc(sizeof *known + strlen(path) + 1);
	if (!known) {
		snprintf(ret_text, size, "%s: %s", path, strerror(ENOMEM));
		return -ENOMEM;
	}
	known->next = config->files;
	config->files = known;
	strcpy(known->path, path);
	struct parser parser = { .config = config, .file = file, .path = known->path };
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
