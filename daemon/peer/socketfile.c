/* SPDX-License-Identifier: Apache-2.0 */
/* Where a broker listens: see socketfile.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/peer/socketfile.h"
#include "daemon/run/hangup.h"
#include "daemon/run/log.h"

#define HINT_SIZE (KM_SOCKET_PATH_SIZE + 200)

/* A text on the reason of many an error: a folder in which everybody can make and hold files. */
static const char *hint(const struct km_socketfile *file, char ret[HINT_SIZE])
{
	const char *slash = strrchr(file->path, '/');
	size_t len = slash == file->path ? 1 : slash ? (size_t)(slash - file->path) : 0;
	char folder[KM_SOCKET_PATH_SIZE] = ".";
	struct stat st;

	if (len > 0)
		snprintf(folder, sizeof folder, "%.*s", (int)len, file->path);
	*ret = '\0';
	if (stat(folder, &st) == 0 && st.st_mode & S_IWOTH)
		snprintf(ret, HINT_SIZE,
			" (everybody can write to %s, so any user can keep a broker from starting "
			"there: give it a folder of its own, as /run/kickmsg or "
			"$XDG_RUNTIME_DIR/kickmsg is)",
			folder);
	return ret;
}

__attribute__((format(printf, 3, 4))) static int cant_start(
	const struct km_socketfile *file, int error, const char *format, ...)
{
	char text[2 * KM_SOCKET_PATH_SIZE + 100], why[HINT_SIZE];
	va_list args;

	if (file->told)
		return error; /* it was said when it began */
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL, "%s%s", text, hint(file, why));
	return error;
}

static bool is_file(const char *path, const struct km_file_id *id)
{
	struct stat st;

	return id->ino && lstat(path, &st) == 0 && st.st_dev == id->dev && st.st_ino == id->ino;
}

/* Finds the path when nobody gave one; its last folder is made. */
static int default_path(struct km_socketfile *file)
{
	const struct km_socket_choice choice = km_socket_choose(NULL);
	char dir[KM_SOCKET_PATH_SIZE];
	size_t len = km_socket_broker_folder(&choice, dir, sizeof dir);

	if (len == 0)
		return cant_start(
			file, -ENOENT, "XDG_RUNTIME_DIR is not set; say where with --socket");
	if (len >= sizeof dir || (size_t)snprintf(file->path, sizeof file->path,
					 "%s/" KM_SOCKET_NAME, dir) >= sizeof file->path)
		return cant_start(
			file, -ENAMETOOLONG, "%s is too long for a socket's path", choice.runtime);
	file->is_default = true;
	if (mkdir(dir, geteuid() == 0 ? 0755 : 0700) < 0 && errno != EEXIST) {
		int r = -errno;

		return cant_start(file, r, "can't make %s: %s", dir, strerror(-r));
	}
	return 0;
}

static int take_lock(struct km_socketfile *file)
{
	const char *path = file->lock_path;
	struct stat mine;

	for (;;) {
		_cleanup_(km_closep) int fd = open(
			path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
		if (fd < 0 || fstat(fd, &mine) < 0) {
			int r = -errno;

			return cant_start(file, r, "can't open %s: %s", path, strerror(-r));
		}
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return cant_start(file, -EADDRINUSE,
				"%s is in use by another broker: a process has %s locked, a file "
				"of uid %u",
				file->path, path, mine.st_uid);
		struct km_file_id id = { mine.st_dev, mine.st_ino };
		if (is_file(path, &id)) {
			km_close(file->lock);
			file->lock = km_steal_fd(fd);
			file->lock_file = id;
			return 0;
		}
		/* the lock's last holder has just removed the file: take the next one */
	}
}

/* Removes a dead broker's socket file. Needs the lock file's lock. */
static int clear_file(const struct km_socketfile *file)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = file->path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return cant_start(file, -EEXIST, "%s exists and is not a socket", path);
	_cleanup_(km_closep) int fd = socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno != ECONNREFUSED)
		return cant_start(file, -EADDRINUSE, "%s is in use by another program", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	km_log(LOG_NOTICE | KM_EVENT_SOCKET_REPLACED, NULL, NULL,
		"replaced %s of a broker that is gone", path);
	return 0;
}

static int bind_and_listen(struct km_socketfile *file, int *ret)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t old = umask(0777 & ~file->mode);
	struct stat st;
	int r = 0;

	strcpy(address.sun_path, file->path);
	_cleanup_(km_closep) int fd = socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		km_hangup_refuse_rights(fd);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		r = -errno;
	umask(old);
	if (r == 0 && (lstat(file->path, &st) < 0 || listen(fd, SOMAXCONN) < 0))
		r = -errno;
	if (r < 0)
		return r;
	file->socket_file = (struct km_file_id){ st.st_dev, st.st_ino };
	*ret = km_steal_fd(fd);
	return 0;
}

/* Binds the file. These errors have been logged already: -EADDRINUSE, -EEXIST. */
static int bind_file(struct km_socketfile *file, int *ret_socket)
{
	int r = clear_file(file);

	return r < 0 ? r : bind_and_listen(file, ret_socket);
}

int km_socketfile_take(struct km_socketfile *file, const struct km_config *config, int *ret_socket)
{
	char why[HINT_SIZE];
	int r = 0;

	*file = (struct km_socketfile){ .lock = -1, .mode = config->socket_mode };
	strcpy(file->path, config->socket);
	if (!*file->path)
		r = default_path(file);
	if (r < 0)
		return r;
	snprintf(file->lock_path, sizeof file->lock_path, "%s.lock", file->path);
	r = take_lock(file);
	if (r < 0)
		return r;
	r = bind_file(file, ret_socket);
	if (r < 0 && r != -EADDRINUSE && r != -EEXIST)
		cant_start(file, r, "can't listen at %s: %s", file->path, strerror(-r));
	if (r < 0)
		return r;
	km_log(LOG_INFO | KM_EVENT_LISTENING, NULL, NULL, "listening at %s", file->path);
	if (*hint(file, why))
		km_log(LOG_WARNING | KM_EVENT_UNSAFE_PLACE, NULL, NULL, "%s is no good place%s",
			file->path, why);
	return 0;
}

void km_socketfile_of_manager(struct km_socketfile *file, int socket)
{
	struct sockaddr_un address = { 0 };
	socklen_t size = sizeof address;
	struct stat st;

	*file = (struct km_socketfile){ .lock = -1, .is_managers = true };
	if (getsockname(socket, (struct sockaddr *)&address, &size) < 0 ||
		size <= offsetof(struct sockaddr_un, sun_path) || address.sun_path[0] != '/')
		return; /* one without a file */
	snprintf(file->path, sizeof file->path, "%.*s", (int)sizeof address.sun_path,
		address.sun_path);
	if (lstat(file->path, &st) == 0)
		file->socket_file = (struct km_file_id){ st.st_dev, st.st_ino };
}

static int bind_again(struct km_socketfile *file, int *ret_socket)
{
	int r = file->is_default ? default_path(file) : 0;

	if (r == 0 && !is_file(file->lock_path, &file->lock_file))
		r = take_lock(file);
	return r < 0 ? r : bind_file(file, ret_socket);
}

int km_socketfile_check(struct km_socketfile *file, int *ret_socket)
{
	if (!file->socket_file.ino || is_file(file->path, &file->socket_file)) {
		file->told = 0;
		return 0;
	}
	if (file->is_managers && !file->told)
		km_log(LOG_ERR | KM_EVENT_SOCKET_GONE, NULL, NULL,
			"%s is gone, and nobody can connect. It is the service manager's: "
			"'systemctl "
			"restart' its socket unit",
			file->path);
	file->told = file->is_managers ? -ENOENT : file->told;
	if (file->is_managers)
		return 0;
	int r = bind_again(file, ret_socket);
	if (r == 0) {
		km_log(LOG_WARNING | KM_EVENT_SOCKET_GONE, NULL, NULL, "%s was gone: made again",
			file->path);
		return 1;
	}
	if (r != file->told)
		km_log(LOG_ERR | KM_EVENT_SOCKET_GONE, NULL, NULL,
			"%s is gone, and nobody can connect: %s; trying again", file->path,
			strerror(-r));
	file->told = r;
	return 0;
}

/* A moment lies between the look and the removal. Only a broker whose lock file was removed under
 * it has another broker beside it then. */
void km_socketfile_leave(struct km_socketfile *file)
{
	if (file->is_managers || file->lock < 0)
		return;
	if (is_file(file->path, &file->socket_file))
		unlink(file->path);
	if (is_file(file->lock_path, &file->lock_file))
		unlink(file->lock_path);
	file->lock = km_close(file->lock);
}
