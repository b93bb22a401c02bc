/* SPDX-License-Identifier: Apache-2.0 */
/* A broker with less memory than the machine: what it can't have is a refusal, and it lives on. */
#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"

static struct kickmsg_client *client;

static void configure(struct kickmsg_topic_config *ret, uint64_t bytes)
{
	kickmsg_topic_config_init(ret);
	ret->transport = KICKMSG_TRANSPORT_RINGS;
	ret->pool_size = 256;
	ret->max_payload_size = bytes / 256;
}

static int advertise(const char *topic, uint64_t bytes)
{
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *publisher;

	configure(&config, bytes);
	return kickmsg_advertise(client, topic, &config, &publisher);
}

/* The broker is there, and a small topic can be had. */
static void check_service(void)
{
	ck_assert(test_broker_alive(&broker));
	ck_assert_int_eq(advertise("small", 65536), 0);
	kickmsg_client_free(client);
	client = flow_client("again");
	ck_assert_int_eq(advertise("another", 65536), 0);
}

static bool write_text(const char *folder, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "we");
	bool good = file && fputs(text, file) >= 0;
	if (file && fclose(file) != 0)
		good = false;
	return good;
}

/* A control group with a limit of its own, of whichever version there is: null, no such thing here. */
static const char *make_group(char ret[128], const char *limit)
{
	static const char *const mounts[][2] = {
		{ "/sys/fs/cgroup/memory", "memory.limit_in_bytes" },
		{ "/sys/fs/cgroup", "memory.max" },
	};

	for (size_t i = 0; i < 2; i++) {
		snprintf(ret, 128, "%s/kickmsg-test-%d", mounts[i][0], getpid());
		if (mkdir(ret, 0755) < 0)
			continue;
		if (write_text(ret, mounts[i][1], limit))
			return ret;
		rmdir(ret);
	}
	return NULL;
}

/* Puts the broker into a group. */
static bool join_group(const char *group)
{
	char pid[16];

	snprintf(pid, sizeof pid, "%d", broker.pid);
	return write_text(group, "cgroup.procs", pid);
}

/* Takes the broker out of its group, whose end it would be in the way of. */
static bool leave_groups(void)
{
	return join_group("/sys/fs/cgroup/memory") || join_group("/sys/fs/cgroup");
}

/* The limit comes while the broker runs. Without a look at it the kernel would kill the broker. */
START_TEST(memory_of_a_control_group)
{
	char group[128];

	if (!make_group(group, "67108864")) {
		printf("skipped: no memory control group can be made here\n");
		return;
	}
	test_broker_start(&broker, NULL);
	client = flow_client("c");
	bool is_in = join_group(group);
	int r = is_in ? advertise("large", 256u << 20) : 0;
	bool said = flow_said(client, "the control group");
	int fits = is_in ? advertise("fits", 30u << 20) : 0;
	/* a second topic doesn't fit beside the first */
	int more = is_in ? advertise("more", 32u << 20) : 0;
	bool alive = test_broker_alive(&broker);
	bool out = !alive || test_wait_until(leave_groups(), FLOW_WAIT_MS);
	bool removed = test_wait_until(rmdir(group) == 0, FLOW_WAIT_MS);
	ck_assert(is_in && out && removed && alive);
	ck_assert_int_eq(r, -ENOMEM);
	ck_assert(said);
	ck_assert_int_eq(fits, 0);
	ck_assert_int_eq(more, -ENOMEM);
	check_service();
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

static uint64_t usage_of(const char *group)
{
	static const char *const names[] = { "memory.usage_in_bytes", "memory.current" };
	unsigned long long ret = 0;

	for (size_t i = 0; i < 2; i++) {
		char path[256];

		snprintf(path, sizeof path, "%s/%s", group, names[i]);
		FILE *file = fopen(path, "re");
		if (file && fscanf(file, "%llu", &ret) != 1)
			ret = 0;
		if (file)
			fclose(file);
	}
	return ret;
}

/* Bytes of the broker's segments that were made ahead of time, for topics that are to come or there. */
static uint64_t bytes_of_spares(void)
{
	char path[320], target[256];
	uint64_t ret = 0;
	struct stat st;

	snprintf(path, sizeof path, "/proc/%d/fd", broker.pid);
	DIR *dir = opendir(path);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof path, "/proc/%d/fd/%s", broker.pid, entry->d_name);
		ssize_t n = readlink(path, target, sizeof target - 1);
		target[n > 0 ? n : 0] = '\0';
		if (strstr(target, "memfd:kickmsgd-spare") && stat(path, &st) == 0)
			ret += 512 * (uint64_t)st.st_blocks;
	}
	if (dir)
		closedir(dir);
	return ret;
}

/* A topic of 1.5 MiB gets the memory of spares, since the broker keeps the 4 MiB that are left for
 * itself. Where spares have gone by themselves the topic can be had as well. */
START_TEST(spares_make_way)
{
	char group[128], limit[32], name[16];
	uint64_t all = 0;

	if (!make_group(group, "268435456")) {
		printf("skipped: no memory control group can be made here\n");
		return;
	}
	test_broker_start(&broker, NULL);
	client = flow_client("c");
	bool is_in = join_group(group);
	for (unsigned i = 0; i < 8; i++) {
		/* a slot is whole pairs of lines */
		uint64_t slot = 2816 + i / 2 * 256;

		snprintf(name, sizeof name, "t%u", i);
		ck_assert_int_eq(
			advertise(name, 256 * (slot - sizeof(struct km_sample_header))), 0);
		all += i % 2 * 256 * slot;
	}
	test_wait_until(bytes_of_spares() == all, FLOW_WAIT_MS);
	snprintf(limit, sizeof limit, "%llu", (unsigned long long)usage_of(group) + (4ull << 20));
	bool limited = write_text(group, "memory.limit_in_bytes", limit) ||
		       write_text(group, "memory.max", limit);
	/* what the broker knows of its memory is up to 0.1 s old */
	int64_t later = km_clock_ns() + INT64_C(150000000);
	test_wait_until(km_clock_ns() > later, FLOW_WAIT_MS);
	int r = is_in ? advertise("more", 3u << 19) : 0;
	bool out = test_wait_until(leave_groups(), FLOW_WAIT_MS);
	bool removed = test_wait_until(rmdir(group) == 0, FLOW_WAIT_MS);
	ck_assert(is_in && limited && out && removed);
	ck_assert_msg(r == 0, "%s", kickmsg_client_last_error(client));
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

static void start_with_limit(int what, uint64_t value)
{
	struct rlimit before, limit;

	ck_assert_int_eq(getrlimit(what, &before), 0);
	limit = (struct rlimit){ value, before.rlim_max };
	ck_assert_int_eq(setrlimit(what, &limit), 0);
	test_broker_start(&broker, NULL);
	ck_assert_int_eq(setrlimit(what, &before), 0);
	client = flow_client("c");
}

START_TEST(size_of_files_limited)
{
	start_with_limit(RLIMIT_FSIZE, 1u << 20);
	ck_assert_int_eq(advertise("large", 256u << 20), -ENOMEM);
	ck_assert_msg(
		flow_said(client, "RLIMIT_FSIZE 1048576"), "%s", kickmsg_client_last_error(client));
	check_service();
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

#ifndef SANITIZED /* sanitizers need address space */
/* The broker maps the control segment alone: here one with many slots. */
START_TEST(address_space_limited)
{
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *publisher;

	if (test_skip_emulated("address_space_limited", TEST_LACKS_ADDRESS_LIMIT))
		return;
	start_with_limit(RLIMIT_AS, 64u << 20);
	configure(&config, 256 * 8);
	config.pool_size = 1u << 20;
	config.max_payload_size = 8;
	ck_assert_int_eq(kickmsg_advertise(client, "large", &config, &publisher), -ENOMEM);
	ck_assert_msg(
		flow_said(client, "RLIMIT_AS 67108864"), "%s", kickmsg_client_last_error(client));
	check_service();
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("room");
	TCase *tc = tcase_create("room");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, memory_of_a_control_group);
	tcase_add_test(tc, spares_make_way);
	tcase_add_test(tc, size_of_files_limited);
#ifndef SANITIZED
	tcase_add_test(tc, address_space_limited);
#endif
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
