/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: see options.h. What it says goes over what the config file says. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "options.h"
#include "systemd.h"

static const char usage[] =
	"Usage: kickmsgd [OPTION]...\n"
	"The broker of kickmsg: makes the shared memory of topics, says who may join, and\n"
	"repairs what dead processes leave. Runs in the foreground until SIGTERM.\n"
	"\n"
	"  --socket PATH      listen there (default: /run/kickmsg/kickmsgd.sock for root,\n"
	"                     $XDG_RUNTIME_DIR/kickmsg/kickmsgd.sock otherwise)\n"
	"  --config FILE      read this config file and no other\n"
	"  --config-root DIR  look below DIR for /etc/kickmsg, /run/kickmsg, /usr/lib/kickmsg\n"
	"  --check-config     say which config files are read and whether they are right\n"
	"  --log-level LEVEL  error, warning, notice, info (default) or debug\n"
	"  --version          print the version\n"
	"  --help             print this\n";

static enum km_options_result wrong(const char *text, const char *value)
{
	fprintf(stderr, "kickmsgd: %s%s\nTry 'kickmsgd --help'.\n", text, value);
	return KM_OPTIONS_WRONG;
}

static void print_file(const char *path)
{
	puts(path);
}

/* What the command line says, and no more. */
static enum km_options_result parse(
	int argc, char **argv, struct km_config_source *ret, bool *ret_check)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "config", required_argument, NULL, 'c' },
		{ "config-root", required_argument, NULL, 'r' },
		{ "check-config", no_argument, NULL, 'k' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};

	*ret = (struct km_config_source){ .root = "", .log_level = -1 };
	optind = 0; /* also a second call in one process begins at the beginning */
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
		switch (c) {
		case 's':
			ret->socket = optarg;
			break;
		case 'c':
			ret->file = optarg;
			break;
		case 'r':
			ret->root = optarg;
			break;
		case 'k':
			*ret_check = true;
			break;
		case 'l':
			if (km_config_parse_level(optarg, &ret->log_level) < 0)
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
	if (ret->file && !*ret->file)
		return wrong("--config: an empty path", "");
	if (ret->socket && !*ret->socket)
		return wrong("--socket: an empty path", "");
	if (ret->socket && strlen(ret->socket) >= KM_SOCKET_PATH_SIZE)
		return wrong("--socket: longer than 107 bytes: ", ret->socket);
	return KM_OPTIONS_RUN;
}

/* To who asked on the command line, or to who starts brokers. */
static void complain(bool check, const char *text)
{
	if (check) {
		fprintf(stderr, "kickmsgd: %s\n", text);
		return;
	}
	km_log_init(LOG_INFO);
	km_log(LOG_ERR | KM_EVENT_CONFIG_REFUSED, NULL, NULL, "%s", text);
	km_systemd_notify("ERRNO=%d\nSTATUS=can't start: %s", EINVAL, text);
}

enum km_options_result km_options_parse(
	int argc, char **argv, struct km_config_source *ret_source, struct km_config *ret)
{
	bool check = false;
	enum km_options_result result = parse(argc, argv, ret_source, &check);
	char text[512];

	if (result != KM_OPTIONS_RUN)
		return result;
	if (km_config_read(ret_source, ret, check ? print_file : NULL, text, sizeof text) < 0) {
		complain(check, text);
		return KM_OPTIONS_BAD_CONFIG;
	}
	if (check) {
		puts("OK");
		km_config_deinit(ret);
	}
	return check ? KM_OPTIONS_DONE : KM_OPTIONS_RUN;
}
