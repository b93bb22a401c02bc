/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket file: where in the file system a broker listens, PATH, and the file PATH.lock beside it.
 *
 * Two brokers that start at once can't both win: the broker that listens at PATH holds an exclusive
 * lock on PATH.lock for as long as it lives, and the kernel drops that lock with it. Only its
 * holder looks whether the socket file is a dead broker's (connect says ECONNREFUSED) and replaces
 * it. The lock file is removed by its holder. So a broker that got the lock looks whether the file
 * is still the one with that name.
 *
 * Both files are known by their inode. A file that took the name of one of them since is somebody
 * else's: it is neither removed nor replaced. When the socket file is gone under a living broker (a
 * cleaner of /tmp, the end of a login), the broker binds a fresh one.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/run/config.h"

struct km_file_id {
	dev_t dev;
	ino_t ino; /* 0: none */
};

struct km_socketfile {
	char path[KM_SOCKET_PATH_SIZE];
	char lock_path[KM_SOCKET_PATH_SIZE + 8];
	bool is_default;  /* its folder is made */
	bool is_managers; /* systemd made the socket, and removes it */
	mode_t mode;
	int lock;
	struct km_file_id socket_file, lock_file;
	int told; /* the error of binding again that was logged last */
};

/* Takes the path that the config names and gives the listening socket, the caller's. Errors are
 * logged: -EADDRINUSE another broker is there; others of the system calls. km_socketfile_leave() is to
 * be called also after an error. */
int km_socketfile_take(struct km_socketfile *file, const struct km_config *config, int *ret_socket);

/* The file of a socket that the service manager has bound; it is only watched. */
void km_socketfile_of_manager(struct km_socketfile *file, int socket);

/* Is the socket still where clients look for it? 0: yes, or that can't be helped (which is logged
 * once). 1: the socket was bound again, and *ret_socket is the fresh one. */
int km_socketfile_check(struct km_socketfile *file, int *ret_socket);

/* Removes the files that are still this broker's. */
void km_socketfile_leave(struct km_socketfile *file);
