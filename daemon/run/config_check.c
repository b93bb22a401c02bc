/* SPDX-License-Identifier: Apache-2.0 */
/* Checking the config from outside: see config_check.h. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/run/config_check.h"
#include "daemon/run/config_files.h"

#define SERVICE_USER "kickmsg"

static void print_file(const char *path, const char *why)
{
	if (why)
		printf("%s: not read: %s\n", path, why);
	else
		puts(path);
}

static const struct passwd *find_user(const char *name)
{
	const struct passwd *user = getpwnam(name);
	char *end;

	if (user || *name < '0' || *name > '9')
		return user;
	unsigned long uid = strtoul(name, &end, 10);
	return *end ? NULL : getpwuid((uid_t)uid);
}

/* From here on this process reads as that user. */
static int become(const char *name)
{
	const struct passwd *user = find_user(name ? name : SERVICE_USER);

	if (!name && (!user || geteuid() != 0))
		return 0;
	if (!user)
		return fprintf(stderr, "kickmsgd: --user: there is no user '%s'\n", name), -ENOENT;
	if (user->pw_uid == geteuid())
		return 0;
	if (initgroups(user->pw_name, user->pw_gid) < 0 ||
		setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
		setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0) {
		int r = -errno;
		fprintf(stderr, "kickmsgd: can't read as user %s: %s\n", user->pw_name,
			strerror(-r));
		return r;
	}
	printf("as user %s\n", user->pw_name);
	return 0;
}

/* Reads the whole config, and says what is wrong. */
static int try(
	const struct km_config_source *source, km_config_file_fn *on_file, struct km_config *ret)
{
	char text[768];
	int r = km_config_read(source, ret, on_file, text, sizeof text);

	if (r < 0)
		fprintf(stderr, "kickmsgd: %s\n", text);
	return r;
}

int km_check_config(const struct km_config_source *source, const char *user)
{
	struct km_config config;
	int r = become(user);

	if (r == 0)
		r = try(source, print_file, &config);
	if (r < 0)
		return r;
	km_policy_print(&config.policy, stdout);
	puts("OK");
	km_config_deinit(&config);
	return 0;
}

int km_check_reload(const struct km_config_source *source, pid_t pid)
{
	struct km_config config;
	int r = try(source, NULL, &config);

	if (r == 0)
		km_config_deinit(&config);
	if (kill(pid, SIGHUP) < 0) {
		r = -errno;
		fprintf(stderr, "kickmsgd: --reload %d: %s\n", (int)pid, strerror(-r));
	}
	return r;
}
