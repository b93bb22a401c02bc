/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the broker's socket is, for all who have to know: the broker, the library, kickmsgctl.
 *
 *                                     a broker listens at           a client looks at
 *   a path that was said              it                            it
 *   $KICKMSG_SOCKET is set            (doesn't count)               its value
 *   root                              /run/kickmsg/kickmsgd.sock    the same
 *   $XDG_RUNTIME_DIR isn't empty      its kickmsg/kickmsgd.sock     the same
 *   none of these                     nowhere                       /run/kickmsg/kickmsgd.sock
 *
 * In a program that has more rights than its caller (set-user-ID) neither variable counts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#define KM_SOCKET_PATH_SIZE   (sizeof((struct sockaddr_un *)0)->sun_path)
#define KM_SOCKET_NAME        "kickmsgd.sock"
#define KM_SOCKET_SYSTEM_PATH "/run/kickmsg/" KM_SOCKET_NAME

/* The origin of a socket's path, which decides. */
struct km_socket_choice {
	const char *said;     /* a path, or null */
	const char *variable; /* $KICKMSG_SOCKET, or null */
	const char *runtime;  /* $XDG_RUNTIME_DIR, or null; empty: the same */
	bool is_root;
};

/* The choice of this process, by its environment; `said` may be null. */
struct km_socket_choice km_socket_choose(const char *said);

/* The path that a client looks at. Returns its length; `ret` gets as much of it as it has room
 * for. */
size_t km_socket_client_path(const struct km_socket_choice *choice, char *ret, size_t size);

/* The folder in which a broker listens that was told no path. Returns as km_socket_client_path();
 * 0: there is none. */
size_t km_socket_broker_folder(const struct km_socket_choice *choice, char *ret, size_t size);
