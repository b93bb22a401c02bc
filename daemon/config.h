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
 *   [limits]
 *   clients = 1024
 *   topics = 4096
 *   endpoints = 256            of one client
 *   memory = 2G                bytes in all, K M G T; 0: half of the machine's
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

struct km_config_file;

struct km_config {
	char socket[KM_SOCKET_PATH_SIZE]; /* "": the default */
	mode_t socket_mode;
	int log_level;
	unsigned max_clients;
	unsigned max_topics;
	unsigned max_endpoints; /* of one client */
	uint64_t max_memory;    /* bytes; 0: half of the machine's */
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
