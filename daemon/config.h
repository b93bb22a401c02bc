/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the broker is to behave: defaults, then the config files, then the command line.
 *
 * The files: kickmsgd.conf of the first of /etc/kickmsg, /run/kickmsg and /usr/lib/kickmsg that has
 * one; then kickmsgd.conf.d/NAME.conf of all three, in the order of their names, each from the first
 * folder that has that name. An empty one, or a link to /dev/null, masks. What is read later goes
 * over what was read before.
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
 *
 *   [recovery]
 *   automatic = yes | no       repair what the dead leave, or wait for the operator
 *   interval = 1000            ms between two looks at the regions' health
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

#include "policy.h"

#define KM_SOCKET_PATH_SIZE 108 /* sun_path */

/* Where it comes from; strings are not copied. */
struct km_config_source {
	const char *file;   /* read this one alone; null: the folders' */
	const char *root;   /* before the folders' names; "" */
	const char *socket; /* over what files say; or null */
	int log_level;      /* likewise; or -1 */
};

/* What there may be only so much of; km_broker counts it in all and for each user (account.h). */
enum km_resource {
	KM_CLIENTS,
	KM_TOPICS,
	KM_ENDPOINTS,
	KM_BYTES, /* of all segments */
	KM_LIMITED,
	KM_CONNECTIONS = KM_LIMITED, /* counted; clients are what is limited */
	KM_RESOURCES
};

struct km_limit {
	uint64_t value;
	struct km_origin origin;
};

struct km_config_file;

struct km_config {
	char socket[KM_SOCKET_PATH_SIZE]; /* "": the default */
	mode_t socket_mode;
	int log_level;
	struct km_limit total[KM_LIMITED];
	struct km_limit user[KM_LIMITED]; /* of one uid; 0: none */
	struct km_limit client_endpoints; /* of one client */
	bool automatic;
	unsigned interval_ms;
	struct km_policy policy;
	struct km_config_file *files; /* those that origins name */
};

void km_config_init(struct km_config *config);
void km_config_deinit(struct km_config *config);

/*
 * Defaults, files, command line. `on_file`, if not null, is told of each file that was read. *ret is
 * the caller's, to deinit. On an error ret_text says what is wrong, with file and line, and *ret is
 * not to be used.
 * Errors: -EINVAL; -ENOENT there is no `source->file`; others of open(2), read(2); -ENOMEM.
 */
int km_config_read(const struct km_config_source *source, struct km_config *ret,
	void (*on_file)(const char *path), char *ret_text, size_t size);

/*
 * Reads a file over what `config` has. On an error ret_text says what is wrong, with file and line.
 * Errors: -EINVAL a line that can't be; others of open(2) and read(2).
 */
int km_config_load(struct km_config *config, const char *path, char *ret_text, size_t size);

/* -EINVAL: no such level. */
int km_config_parse_level(const char *text, int *ret);
