/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: see options.h. Its values replace those of the config files. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/run/backoff.h"
#include "daemon/run/config_check.h"
#include "daemon/run/config_files.h"
#include "daemon/run/log.h"
#include "daemon/run/options.h"
#include "daemon/run/systemd.h"

static const char usage[] =
	"Usage: kickmsgd [OPTION]...\n"
	"The broker of kickmsg: makes the shared memory of topics, says who may join, and\n"
	"repairs what dead processes leave. Runs in the foreground until SIGTERM.\n"
	"\n"
	"  --socket PATH      listen there (default: /run/kickmsg/kickmsgd.sock for root,\n"
	"                     $XDG_RUNTIME_DIR/kickmsg/kickmsgd.sock otherwise)\n"
	"  --config FILE      read this config file and no other\n"
	"  --config-root DIR  look below DIR for /etc/kickmsg, /run/kickmsg, /usr/lib/kickmsg\n"
	"  --metrics ADDRESS  serve metrics and a page at ADDRESS:PORT or unix:PATH; off: don't\n"
	"  --check-config     say which config files are read, what each rule is for, and whether\n"
	"                     they are right; for root: as the user kickmsg\n"
	"  --user USER        --check-config: as this user (root only)\n"
	"  --reload PID       check the config, then have the broker PID read it again\n"
	"  --log-level LEVEL  error, warning, notice, info (default) or debug\n"
	"  --version          print the version\n"
	"  --help             print this\n";

static enum km_options_result wrong(const char *text, const char *value)
{
	fprintf(stderr, "kickmsgd: %s%s\nTry 'kickmsgd --help'.\n", text, value);
	return KM_OPTIONS_WRONG;
}

/* The command line. */
struct options {
	struct km_config_source source;
	bool check;
	const char *user;
	pid_t reload; /* or 0 */
};

static enum km_options_result check_metrics(struct km_config_source *source)
{
	struct km_address address;
	char text[256];

	if (source->metrics && strcmp(source->metrics, "off") == 0)
		source->metrics = "";
	else if (source->metrics &&
		 km_address_parse(source->metrics, &address, text, sizeof text) < 0)
		return wrong("--metrics: ", text);
	return KM_OPTIONS_RUN;
}

static enum km_options_result check_values(struct options *options)
{
	struct km_config_source *source = &options->source;

	if (source->file && !*source->file)
		return wrong("--config: an empty path", "");
	if (source->socket && !*source->socket)
		return wrong("--socket: an empty path", "");
	if (source->socket && strlen(source->socket) >= KM_SOCKET_PATH_SIZE)
		return wrong("--socket: longer than 107 bytes: ", source->socket);
	if (options->user && !options->check)
		return wrong("--user is for --check-config", "");
	return check_metrics(source);
}

static pid_t parse_pid(const char *text)
{
	char *end;
	long pid = strtol(text, &end, 10);

	return *text < '0' || *text > '9' || *end || pid < 1 || pid > INT_MAX ? -1 : (pid_t)pid;
}

/* Returns the place of an argument that is a text, or null. */
static const char **text_of(struct options *options, int letter)
{
	switch (letter) {
	case 's':
		return &options->source.socket;
	case 'c':
		return &options->source.file;
	case 'r':
		return &options->source.root;
	case 'm':
		return &options->source.metrics;
	case 'u':
		return &options->user;
	default:
		return NULL;
	}
}

/* Parses the words of the command line, and reads no file. */
static enum km_options_result parse(int argc, char **argv, struct options *ret)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "config", required_argument, NULL, 'c' },
		{ "config-root", required_argument, NULL, 'r' },
		{ "metrics", required_argument, NULL, 'm' },
		{ "check-config", no_argument, NULL, 'k' },
		{ "user", required_argument, NULL, 'u' },
		{ "reload", required_argument, NULL, 'p' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};

	*ret = (struct options){ .source = { .root = "", .log_level = -1 } };
	/* Also a second call in one process begins at the beginning. */
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
		const char **text = text_of(ret, c);

		if (text) {
			*text = optarg;
			continue;
		}
		switch (c) {
		case 'k':
			ret->check = true;
			break;
		case 'p':
			ret->reload = parse_pid(optarg);
			if (ret->reload < 0)
				return wrong("--reload: not a process' number: ", optarg);
			break;
		case 'l':
			if (km_config_parse_level(optarg, &ret->source.log_level) < 0)
				return wrong("--log-level: not error, warning, notice, info or "
					     "debug: ",
					optarg);
			break;
		case 'v':
			puts("kickmsgd " KM_VERSION);
			return KM_OPTIONS_DONE;
		case 'h':
			fputs(usage, stdout);
			return KM_OPTIONS_DONE;
		default: /* getopt has said what is wrong */
			fputs("Try 'kickmsgd --help'.\n", stderr);
			return KM_OPTIONS_WRONG;
		}
	}
	if (optind < argc)
		return wrong("unexpected argument: ", argv[optind]);
	return check_values(ret);
}

/* Takes over the options of the broker `pid`, which is to read its config again: this process then
 * reads the same files. */
static void read_options_of(pid_t pid, struct km_config_source *ret)
{
	static char text[65536], *words[64];
	char path[64];
	struct options options;
	int count = 0;

	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	_cleanup_(km_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	for (char *word = text; n > 0 && word < text + n && count < 63; word += strlen(word) + 1)
		words[count++] = word;
	if (count > 0 && parse(count, words, &options) == KM_OPTIONS_RUN)
		*ret = options.source;
}

/* Tells the user that started the broker. */
static void complain(const char *text)
{
	km_log_init(LOG_INFO);
	km_log(LOG_ERR | KM_EVENT_CONFIG_REFUSED, NULL, NULL, "%s", text);
	km_systemd_notify("ERRNO=%d\nSTATUS=can't start: %s", EINVAL, text);
}

enum km_options_result km_options_parse(
	int argc, char **argv, struct km_config_source *ret_source, struct km_config *ret)
{
	struct options options;
	enum km_options_result result = parse(argc, argv, &options);
	char text[768];
	int r;

	if (result != KM_OPTIONS_RUN)
		return result;
	if (options.reload)
		read_options_of(options.reload, &options.source);
	if (options.reload || options.check) {
		r = options.reload ? km_check_reload(&options.source, options.reload)
				   : km_check_config(&options.source, options.user);
		return r < 0 ? KM_OPTIONS_FAILED : KM_OPTIONS_DONE;
	}
	*ret_source = options.source;
	while (km_config_read(ret_source, ret, NULL, text, sizeof text) < 0) {
		complain(text);
		if (!km_back_off(ret_source, text))
			return KM_OPTIONS_FAILED;
	}
	return KM_OPTIONS_RUN;
}
