/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the broker is to behave: defaults, then the config files, then the command line.
 *
 * The files: first kickmsgd.conf of the first of /etc/kickmsg, /run/kickmsg and /usr/lib/kickmsg
 * that has one. Then come kickmsgd.conf.d/NAME.conf of all three, in the order of their names, each
 * from the first folder that has that name. An empty file, or a link to /dev/null, masks those of
 * its name. A later value replaces an earlier one.
 *
 *   [broker]
 *   socket = /run/kickmsg/kickmsgd.sock
 *   socket_mode = 0660
 *
 *   [limits]                   in all, and (0: none of its own) of one user
 *   clients = 1024             user_clients = 0
 *   topics = 4096              user_topics = 0
 *   endpoints = 65536          user_endpoints = 0
 *   memory = 2G                user_memory = 0      bytes, K M G T; 0: half of the machine's
 *   client_endpoints = 256     of one client
 *   user_client_rate = 500     of one user, a second (0: any)
 *   user_topic_rate = 1000
 *
 *   [recovery]
 *   automatic = yes | no       repair what the dead leave, or wait for the operator
 *   interval = 1000            ms between two looks at the regions' health
 *
 *   [metrics]
 *   listen = off | ADDRESS:PORT | unix:PATH
 *   listen_anywhere = no | yes  or only where other hosts can't reach it
 *   listen_mode = 0660         of a Unix socket
 *   listed_topics = 1000       with numbers of their own
 *
 *   [log]
 *   level = error | warning | notice | info | debug
 *
 *   [topic PATTERN]            see policy.h
 *   publish = robot, @drivers
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/protocol/socketpath.h"
#include "daemon/run/address.h"
#include "daemon/run/policy.h"

/* The place that a config is read from; strings are not copied. */
struct km_config_source {
	const char *file;    /* read this one alone; null: the folders' */
	const char *root;    /* before the folders' names; "" */
	const char *socket;  /* over what files say; or null */
	const char *metrics; /* likewise */
	int log_level;       /* likewise; or -1 */
};

/* The things that are limited; km_broker counts them in all and for each user (account.h). */
enum km_resource {
	KM_CLIENTS,
	KM_TOPICS,
	KM_RATED, /* these two have a rate as well */
	KM_ENDPOINTS = KM_RATED,
	KM_BYTES, /* of all segments */
	KM_LIMITED,
	/* Connections before hello, and connections that can't be closed yet. */
	KM_STRANGERS = KM_LIMITED,
	/* Descriptors of answers that clients may not have read. */
	KM_UNREAD,
	KM_RESOURCES
};

struct km_limit {
	uint64_t value;
	struct km_origin origin;
};

/* The keys that aren't limits and stand in no rule. */
enum km_config_key {
	KM_KEY_SOCKET,
	KM_KEY_SOCKET_MODE,
	KM_KEY_AUTOMATIC,
	KM_KEY_INTERVAL,
	KM_KEY_LISTEN,
	KM_KEY_LISTEN_ANYWHERE,
	KM_KEY_LISTEN_MODE,
	KM_KEY_LISTED_TOPICS,
	KM_KEY_LEVEL,
	KM_KEYS
};

struct km_config_file;

/* Where numbers are served over HTTP (daemon/metrics/server.h). */
struct km_config_metrics {
	char listen[KM_ADDRESS_SIZE]; /* "": nowhere */
	bool anywhere;
	mode_t mode;
	unsigned topics; /* so many topics at most have numbers of their own */
};

struct km_config {
	char socket[KM_SOCKET_PATH_SIZE]; /* "": the default */
	mode_t socket_mode;
	int log_level;
	struct km_limit total[KM_LIMITED];
	struct km_limit user[KM_LIMITED];    /* of one uid; 0: none */
	struct km_limit user_rate[KM_RATED]; /* made by one uid in a second; 0: any */
	struct km_limit client_endpoints;    /* of one client */
	bool automatic;
	unsigned interval_ms;
	struct km_config_metrics metrics;
	struct km_origin origins[KM_KEYS];
	struct km_policy policy;
	struct km_config_file *files; /* those that origins name */
};

void km_config_init(struct km_config *config);
void km_config_deinit(struct km_config *config);

/* Remembers a file that is being read. Returns the copy of its path that origins may name; null: no
 * memory. */
const char *km_config_add_file(struct km_config *config, const char *path);

/* The files that were read, in their order, with blanks in between; "none". Returns ret. */
const char *km_config_files_text(const struct km_config *config, char *ret, size_t size);

/* Reads the name of a level. Errors: -EINVAL there is no such level. */
int km_config_parse_level(const char *text, int *ret);
/* The name of a level from LOG_ERR to LOG_DEBUG. */
const char *km_config_level_name(int level);
