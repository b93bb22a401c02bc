/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory there is: see room.h. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "daemon/run/room.h"

typedef unsigned long long ull;

#define LOOK_NS INT64_C(100000000)
/* Bytes kept for the broker's own memory, and for what the kernel needs beside the pages. */
#define RESERVE(size) ((UINT64_C(4) << 20) + (size) / 64)

/* Reads the first number of a file, or, with a key, the number behind the key at a line's begin.
 * "max" is no number. */
static bool read_number(const char *path, const char *key, uint64_t *ret)
{
	char line[256];
	FILE *file = fopen(path, "re");
	bool found = false;

	while (file && !found && fgets(line, sizeof line, file)) {
		size_t skip = key ? strlen(key) : 0;
		char *end, *from = line + skip;

		if (key && (strncmp(line, key, skip) != 0 || !strchr(": \t", *from)))
			continue;
		from += strspn(from, ": \t");
		*ret = strtoull(from, &end, 10);
		found = end > from;
		if (!found)
			break;
	}
	if (file)
		fclose(file);
	return found;
}

static void look_at_machine(const char *root, struct km_room *ret)
{
	char path[PATH_MAX];
	uint64_t kib;

	snprintf(path, sizeof path, "%s/proc/meminfo", root);
	if (read_number(path, "MemTotal", &kib))
		ret->total = kib * 1024;
	if (read_number(path, "MemAvailable", &kib))
		ret->left = kib * 1024;
}

/* A version of control groups: the folder where it is mounted, and its files. */
struct version {
	const char *mount, *limit, *usage, *cache;
};

static const struct version versions[] = {
	{ "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file" },
	{ "", "memory.max", "memory.current", "inactive_file" },
	{ "unified", "memory.max", "memory.current", "inactive_file" },
};

/* Looks at one group. Memory that the kernel drops first when a group is full counts as left. */
static void look_at_group(const char *folder, const struct version *version, struct km_room *ret)
{
	char path[PATH_MAX];
	uint64_t limit, used, cache = 0;

	snprintf(path, sizeof path, "%.3000s/%s", folder, version->limit);
	if (!read_number(path, NULL, &limit))
		return;
	snprintf(path, sizeof path, "%.3000s/%s", folder, version->usage);
	if (!read_number(path, NULL, &used))
		return;
	snprintf(path, sizeof path, "%.3000s/memory.stat", folder);
	read_number(path, version->cache, &cache);
	used -= cache < used ? cache : used;
	uint64_t left = limit > used ? limit - used : 0;
	if (limit < ret->total)
		ret->total = limit;
	if (left >= ret->left)
		return;
	ret->left = left;
	snprintf(ret->what, sizeof ret->what, "the control group %.96s", folder);
}

/* Looks at the group itself and at all above it up to the root. In a container some of these may
 * not be there. */
static void look_at_groups(
	const char *root, const struct version *version, char *group, struct km_room *ret)
{
	char folder[PATH_MAX];

	for (;;) {
		snprintf(folder, sizeof folder, "%.1000s/sys/fs/cgroup%s%s%.2000s", root,
			*version->mount ? "/" : "", version->mount, group);
		look_at_group(folder, version, ret);
		char *slash = strrchr(group, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

/* Is `memory` one of the names between commas? */
static bool has_memory(const char *controllers)
{
	for (const char *at = controllers; (at = strstr(at, "memory")); at++)
		if ((at == controllers || at[-1] == ',') && (at[6] == ',' || at[6] == '\0'))
			return true;
	return false;
}

void km_room_look(const char *root, struct km_room *ret)
{
	char line[PATH_MAX], group[PATH_MAX];

	*ret = (struct km_room){ UINT64_MAX, UINT64_MAX, "the machine" };
	look_at_machine(root, ret);
	snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
	FILE *file = fopen(line, "re");
	/* NUMBER:CONTROLLERS:PATH; version 2 has number 0 and no controllers */
	while (file && fgets(line, sizeof line, file)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		bool second = strcmp(line, "0:") == 0;
		for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
			if (i == 0 ? !has_memory(controllers + 1) : !second)
				continue;
			strcpy(group, path);
			look_at_groups(root, &versions[i], group, ret);
		}
	}
	if (file)
		fclose(file);
}

int km_room_check(uint64_t size, char *ret_text, size_t text_size)
{
	static struct km_room room;
	static int64_t looked_ns;
	uint64_t needed = size + RESERVE(size);
	int64_t now = km_clock_ns();

	if (looked_ns == 0 || now - looked_ns > LOOK_NS || needed > room.left / 2) {
		km_room_look("", &room);
		looked_ns = now;
	}
	if (needed > room.left) {
		snprintf(ret_text, text_size,
			"%llu bytes are needed, %s has %llu left, of which the broker keeps %llu",
			(ull)size, room.what, (ull)room.left, (ull)RESERVE(size));
		return -ENOMEM;
	}
	if (room.left != UINT64_MAX)
		room.left -= size;
	return 0;
}

const char *km_room_limits(char ret[KM_ROOM_LIMITS_SIZE])
{
	static const struct {
		int what;
		const char *name;
	} limits[] = { { RLIMIT_FSIZE, "RLIMIT_FSIZE" }, { RLIMIT_AS, "RLIMIT_AS" } };
	size_t used = 0;
	struct rlimit limit;

	*ret = '\0';
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		if (getrlimit((__rlimit_resource_t)limits[i].what, &limit) == 0 &&
			limit.rlim_cur != RLIM_INFINITY)
			used += (size_t)snprintf(ret + used, KM_ROOM_LIMITS_SIZE - used,
				"%s%s %llu", used ? ", " : "; the broker has ", limits[i].name,
				(ull)limit.rlim_cur);
	return ret;
}
