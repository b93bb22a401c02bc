/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening socket: its place, who owns the place, and accept.
 *
 * Two brokers that start at once can't both win: who listens at PATH holds an exclusive lock on
 * PATH.lock for as long as it lives, and the kernel drops that lock with it. Only its holder looks
 * whether the socket file is a dead broker's (connect says ECONNREFUSED) and replaces it. The lock
 * file is removed by its holder; so who got the lock looks whether the file is still the one with
 * that name.
 *
 * When descriptors or memory run out, accept pauses and tries again, longer each time, instead of
 * spinning.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "listener.h"
#include "log.h"

#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 1000
#define ACCEPT_BURST 16

struct km_listener {
	struct km_broker *broker;
	int socket;
	int lock;
	char path[KM_SOCKET_PATH_SIZE]; /* "": made by systemd, and its to remove */
	char lock_path[KM_SOCKET_PATH_SIZE + 8];
	struct event *accept_event;
	struct event *resume_event;
	unsigned pause_ms;
};

/* The path when nobody gave one; its last directory is made. */
static int default_path(char *ret, size_t size)
{
	const char *runtime = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
	char dir[KM_SOCKET_PATH_SIZE];

	if (!runtime || !*runtime) {
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL,
			"XDG_RUNTIME_DIR is not set; say where with --socket");
		return -ENOENT;
	}
	if ((size_t)snprintf(dir, sizeof dir, "%s/kickmsg", runtime) >= sizeof dir ||
		(size_t)snprintf(ret, size, "%s/kickmsgd.sock", dir) >= size) {
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL,
			"%s is too long for a socket's path", runtime);
		return -ENAMETOOLONG;
	}
	if (mkdir(dir, geteuid() == 0 ? 0755 : 0700) < 0 && errno != EEXIST) {
		int r = -errno;

		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL, "can't make %s: %s", dir,
			strerror(-r));
		return r;
	}
	return 0;
}

static int take_lock(struct km_listener *listener)
{
	const char *path = listener->lock_path;
	struct stat mine, named;

	for (;;) {
		_cleanup_(km_closep) int fd = open(
			path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
		if (fd < 0) {
			int r = -errno;

			km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL, "can't open %s: %s", path,
				strerror(-r));
			return r;
		}
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL,
				"%s is in use by another broker", listener->path);
			return -EADDRINUSE;
		}
		if (fstat(fd, &mine) == 0 && stat(path, &named) == 0 &&
			mine.st_dev == named.st_dev && mine.st_ino == named.st_ino) {
			listener->lock = km_steal_fd(fd);
			return 0;
		}
		/* its last holder has just removed it: take the next one */
	}
}

/* Removes a dead broker's socket file. With the lock. */
static int clear_place(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL, "%s exists and is not a socket",
			path);
		return -EEXIST;
	}
	_cleanup_(km_closep) int fd = socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ||
		errno != ECONNREFUSED) {
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL, "%s is in use by another program",
			path);
		return -EADDRINUSE;
	}
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	km_log(LOG_NOTICE | KM_EVENT_SOCKET_REPLACED, NULL, NULL,
		"replaced %s of a broker that is gone", path);
	return 0;
}

static int bind_and_listen(struct km_listener *listener, mode_t mode)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t old = umask(0777 & ~mode);
	int r = 0;

	strcpy(address.sun_path, listener->path);
	_cleanup_(km_closep) int fd = socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		r = -errno;
	umask(old);
	if (r < 0)
		return r;
	/* from here on the file is this broker's to remove */
	listener->socket = km_steal_fd(fd);
	return listen(listener->socket, SOMAXCONN) < 0 ? -errno : 0;
}

static int open_socket(struct km_listener *listener, const struct km_config *config)
{
	struct km_store *store = &listener->broker->store;
	int r;

	if (store->listen_fd >= 0) {
		listener->socket = store->listen_fd;
		return 0;
	}
	strcpy(listener->path, config->socket);
	if (!*listener->path) {
		r = default_path(listener->path, sizeof listener->path);
		if (r < 0) {
			*listener->path = 0;
			return r;
		}
	}
	snprintf(listener->lock_path, sizeof listener->lock_path, "%s.lock", listener->path);
	r = take_lock(listener);
	if (r < 0)
		return r;
	r = clear_place(listener->path);
	if (r == -EADDRINUSE || r == -EEXIST)
		return r;
	if (r == 0)
		r = bind_and_listen(listener, config->socket_mode);
	if (r < 0)
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL, "can't listen at %s: %s",
			listener->path, strerror(-r));
	else
		km_log(LOG_INFO | KM_EVENT_LISTENING, NULL, NULL, "listening at %s",
			listener->path);
	return r;
}

static void pause_accepting(struct km_listener *listener, int error)
{
	unsigned ms = listener->pause_ms;
	struct timeval wait = { ms / 1000, ms % 1000 * 1000 };

	km_log(LOG_WARNING | KM_EVENT_CANT_ACCEPT, NULL, NULL, "accept: %s; trying again in %u ms",
		strerror(-error), ms);
	listener->pause_ms = 2 * ms < PAUSE_MAX_MS ? 2 * ms : PAUSE_MAX_MS;
	if (evtimer_add(listener->resume_event, &wait) == 0)
		event_del(listener->accept_event);
}

static void on_resume(evutil_socket_t fd, short what, void *userdata)
{
	struct km_listener *listener = userdata;

	event_add(listener->accept_event, NULL);
}

static void on_accept(evutil_socket_t fd, short what, void *userdata)
{
	struct km_listener *listener = userdata;

	for (int i = 0; i < ACCEPT_BURST; i++) {
		int peer = accept4(listener->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		int r = peer < 0 ? -errno : 0;

		if (r == -EAGAIN)
			break;
		if (r == -EINTR || r == -ECONNABORTED)
			continue;
		if (r < 0) {
			pause_accepting(listener, r);
			break;
		}
		listener->pause_ms = PAUSE_MIN_MS;
		km_session_accept(listener->broker, peer);
	}
	km_broker_sweep(listener->broker);
}

int km_listener_new(struct km_broker *broker, struct km_listener **ret)
{
	struct km_listener *listener = calloc(1, sizeof *listener);
	int r;

	if (!listener)
		return -ENOMEM;
	listener->broker = broker;
	listener->socket = listener->lock = -1;
	listener->pause_ms = PAUSE_MIN_MS;
	r = open_socket(listener, broker->config);
	if (r < 0) {
		km_listener_free(listener);
		return r;
	}
	listener->accept_event = event_new(
		broker->base, listener->socket, EV_READ | EV_PERSIST, on_accept, listener);
	listener->resume_event = evtimer_new(broker->base, on_resume, listener);
	if (!listener->accept_event || !listener->resume_event ||
		event_add(listener->accept_event, NULL) < 0) {
		km_listener_free(listener);
		return -ENOMEM;
	}
	*ret = listener;
	return 0;
}

void km_listener_free(struct km_listener *listener)
{
	if (!listener)
		return;
	if (listener->accept_event)
		event_free(listener->accept_event);
	if (listener->resume_event)
		event_free(listener->resume_event);
	/* without the lock the place is somebody else's */
	if (listener->lock >= 0) {
		struct stat st;

		if (listener->socket >= 0 && lstat(listener->path, &st) == 0 &&
			S_ISSOCK(st.st_mode))
			unlink(listener->path);
		unlink(listener->lock_path);
	}
	km_close(listener->socket);
	km_close(listener->lock);
	free(listener);
}
