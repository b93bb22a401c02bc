/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: see options.h. What it says goes over what the config file says. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

static const char usage[] =
	"Usage: kickmsgd [OPTION]...\n"
	"The broker of kickmsg: makes the shared memory of topics, says who may join, and\n"
	"repairs what dead processes leave. Runs in the foreground until SIGTERM.\n"
	"\n"
	"  --socket PATH      listen there (default: /run/kickmsg/kickmsgd.sock for root,\n"
	"                     $XDG_RUNTIME_DIR/kickmsg/kickmsgd.sock otherwise)\n"
	"  --config FILE      read this config file\n"
	"  --log-level LEVEL  error, warning, notice, info (default) or debug\n"
	"  --version          print the version\n"
	"  --help             print this\n";

static enum km_options_result wrong(const char *text, const char *value)
{
	fprintf(stderr, "kickmsgd: %s%s\nTry 'kickmsgd --help'.\n", text, value);
	return KM_OPTIONS_WRONG;
}

enum km_options_result km_options_parse(int argc, char **argv, struct km_config *ret)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "config", required_argument, NULL, 'c' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *socket = NULL, *file = NULL, *level = NULL;
	char text[512];

	km_config_init(ret);
	optind = 0; /* also a second call in one process begins at the beginning */
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
		switch (c) {
		case 's':
			socket = optarg;
			break;
		case 'c':
			file = optarg;
			break;
		case 'l':
			level = optarg;
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
	if (file && km_config_load(ret, file, text, sizeof text) < 0) {
		fprintf(stderr, "kickmsgd: %s\n", text);
		return KM_OPTIONS_BAD_CONFIG;
	}
	if (level && km_config_parse_level(level, &ret->log_level) < 0)
		return wrong("--log-level: not error, warning, notice, info or debug: ", level);
	if (socket) {
		if (!*socket)
			return wrong("--socket: an empty path", "");
		if (strlen(socket) >= sizeof ret->socket)
			return wrong("--socket: longer than 107 bytes: ", socket);
		strcpy(ret->socket, socket);
	}
	return KM_OPTIONS_RUN;
}
