/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about topics: numbers, health, sizing, participants, and a list of ten thousand. */
#include <inttypes.h>
#include <sys/resource.h>

#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"

#define MANY 10000

/* Ten thousand, or as many as this machine lets the broker have descriptors for, two each. The
 * broker raises its hard limit itself where it may; in a container not even root may. */
static int many(void)
{
	struct rlimit limit;

	ck_assert_int_eq(prlimit(broker.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	if (limit.rlim_cur >= 2 * MANY + 100)
		return MANY;
	printf("%d topics: the broker may open no more than %llu descriptors\n",
		(int)(limit.rlim_cur - 100) / 2, (unsigned long long)limit.rlim_cur);
	return (int)(limit.rlim_cur - 100) / 2;
}

static struct kickmsg_client *client, *other;

static void setup(void)
{
	test_broker_start(&broker, "[log]\nlevel = error\n[limits]\ntopics = 10010\n");
	client = flow_client("a");
	other = flow_client("b");
}

static void setup_plain(void)
{
	test_broker_start(&broker, NULL);
	client = flow_client("a");
	other = flow_client("b");
}

static void teardown(void)
{
	kickmsg_client_free(client);
	kickmsg_client_free(other);
	flow_stop();
}

/* Measures all segments that this process maps: their bytes, and the bytes whose pages are
 * there. */
static void measure_mappings(uint64_t *ret_size, uint64_t *ret_resident)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	bool segment = false;
	char line[512], access[5];
	uint64_t number;

	ck_assert_ptr_nonnull(file);
	*ret_size = *ret_resident = 0;
	while (fgets(line, sizeof line, file)) {
		if (sscanf(line, "%*x-%*x %4s", access) == 1)
			segment = strstr(line, "memfd:") != NULL;
		if (segment && sscanf(line, "Size: %" SCNu64 " kB", &number) == 1)
			*ret_size += number;
		if (segment && sscanf(line, "Rss: %" SCNu64 " kB", &number) == 1)
			*ret_resident += number;
	}
	fclose(file);
}

/* All pages are there, since else each first touch of a page would be a fault on the hot path. */
START_TEST(attach_any_all_pages_are_there)
{
	uint64_t size, resident;

	if (test_skip_emulated("attach_any_all_pages_are_there", "MADV_POPULATE_WRITE"))
		return;
	for (uint32_t transport = 0; transport < 2; transport++) {
		struct kickmsg_topic_config config;
		char name[2] = { (char)('a' + transport), 0 };

		kickmsg_topic_config_init(&config);
		config.max_payload_size = 8192;
		config.transport = transport ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
		flow_advertise(client, name, &config);
		flow_subscribe(other, name);
	}
	measure_mappings(&size, &resident);
	ck_assert_uint_ge(size, 4 * 64 * 8192 / 1024);
	ck_assert_uint_eq(size, resident);
}
END_TEST

/* A client joins a large topic without waiting for all its pages, since others may be publishing
 * meanwhile. */
START_TEST(attach_large_pages_come_by_themselves)
{
	struct kickmsg_topic_config config;
	uint64_t size, resident, payloads;

	kickmsg_topic_config_init(&config);
	config.max_payload_size = 1 << 20;
	config.pool_size = 16;
	flow_advertise(client, "t", &config);
	flow_subscribe(other, "t");
	payloads = 2 * (uint64_t)config.pool_size * config.max_payload_size / 1024; /* both ends */
	measure_mappings(&size, &resident);
	ck_assert_uint_gt(size, payloads);
	ck_assert_uint_le(resident, size - payloads);
}
END_TEST

START_TEST(stats_of_rings_topic_and_handles)
{
	struct kickmsg_topic_config config;
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_stats stats;
	struct kickmsg_ring_stats rings[3];
	uint64_t cursor = 0;
	struct kickmsg_publisher_stats sent;
	struct kickmsg_subscriber_stats got;
	struct kickmsg_topic_diagnosis health;
	struct kickmsg_sample sample;
	void *loan;

	kickmsg_topic_config_init(&config);
	config.ring_capacity = 8;
	config.pool_size = 16;
	config.max_subscribers = 3;
	config.max_loans = 8;
	struct kickmsg_publisher *p = flow_advertise(client, "t", &config);
	ck_assert_ptr_nonnull(strstr(kickmsg_client_last_error(client), "pool_size = 16"));
	ck_assert(test_broker_logged(&broker, "pool_size = 16 is below"));
	struct kickmsg_subscriber *s = flow_subscribe(other, "t");
	struct kickmsg_subscriber *t = flow_subscribe(other, "t");
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(kickmsg_send(p, &i, sizeof i), sizeof i);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(kickmsg_try_receive(s, &sample), 0);
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	}
	memset(&stats, 0xa5, sizeof stats);
	ck_assert_int_eq(kickmsg_topic_get_stats(client, &ref, &stats), 0);
	/* newest first */
	ck_assert_int_eq(kickmsg_topic_ring_stats(client, &ref, &cursor, rings, 3), 2);
	ck_assert_int_eq(kickmsg_topic_ring_stats(client, &ref, &cursor, rings, 3), 0);
	ck_assert_uint_eq(rings[0].reserved[0] | rings[0].reserved[1] | rings[0].reliable, 0);
	ck_assert_uint_eq(stats.sent, 20);
	ck_assert_uint_eq(stats.bytes, 20 * sizeof(int));
	ck_assert_uint_eq(stats.ring_count, 3);
	ck_assert_uint_eq(stats.live_rings, 2);
	ck_assert_uint_eq(stats.free_slots, 8);
	ck_assert_uint_eq(stats.received, 3);
	ck_assert_uint_eq(stats.lost, 24);
	ck_assert_uint_eq(rings[1].ring, 0);
	ck_assert_uint_eq(rings[1].written, 20);
	ck_assert_uint_eq(rings[1].lost, 12);
	ck_assert_uint_eq(rings[1].received, 3);
	ck_assert_uint_eq(rings[1].waiting, 5);
	ck_assert_uint_eq(rings[1].pid, (uint32_t)getpid());
	ck_assert_uint_eq(rings[0].ring, 1);
	ck_assert_uint_eq(rings[0].waiting, 8);
	ck_assert_uint_gt(rings[0].subscriber_id, rings[1].subscriber_id);
	cursor = 0;
	ck_assert_int_eq(kickmsg_topic_ring_stats(client, &ref, &cursor, rings, 0), -EINVAL);
	kickmsg_subscriber_get_stats(s, &got);
	ck_assert_uint_eq(got.received, 3);
	ck_assert_uint_eq(got.lost, 12);
	ck_assert_uint_eq(got.waiting, 5);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(kickmsg_loan(p, 4, &loan), 0);
	ck_assert_int_eq(kickmsg_send(p, "x", 1), -EAGAIN);
	kickmsg_publisher_get_stats(p, &sent);
	ck_assert_uint_eq(sent.sent, 20);
	ck_assert_uint_eq(sent.bytes, 20 * sizeof(int));
	ck_assert_uint_eq(sent.failed, 1);
	ck_assert_uint_eq(sent.evicted, 24);
	ck_assert_uint_eq(sent.loans, 8);
	ck_assert_int_eq(kickmsg_topic_diagnose(other, &ref, &health), 0);
	ck_assert_uint_eq(health.healthy, 1);
	ck_assert_uint_eq(health.slots_loaned, 8);
	/* what those did who left stays in the sums; what lay unread in a ring isn't lost */
	kickmsg_subscriber_free(s);
	kickmsg_publisher_free(p);
	ck_assert_int_eq(kickmsg_topic_get_stats(client, &ref, &stats), 0);
	ck_assert_uint_eq(stats.sent, 20);
	ck_assert_uint_eq(stats.bytes, 20 * sizeof(int));
	ck_assert_uint_eq(stats.failed, 1);
	ck_assert_uint_eq(stats.received, 3);
	ck_assert_uint_eq(stats.lost, 24);
	ck_assert_uint_eq(stats.live_rings, 1);
	kickmsg_subscriber_free(t); /* doesn't wait for the broker */
	ck_assert(test_wait_until(
		kickmsg_topic_get_stats(client, &ref, &stats) == -ENOENT, FLOW_WAIT_MS));
}
END_TEST

START_TEST(config_check_says_cost_and_need)
{
	struct kickmsg_topic_config config;
	struct kickmsg_topic_sizing sizing;
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_info info;

	ck_assert_int_eq(kickmsg_topic_config_check(NULL, &sizing), 0);
	kickmsg_topic_config_init(&config);
	config.pool_size = (uint32_t)sizing.needed_pool - 1;
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), 1);
	config.pool_size++;
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), 0);
	flow_advertise(client, "t", &config);
	ck_assert_str_eq(kickmsg_client_last_error(client), "");
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
	ck_assert_uint_eq(info.config_hash, sizing.config_hash);
	ck_assert_uint_eq(info.total_bytes, sizing.total_bytes);
	config.persistent = 1;
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), 0);
	ck_assert_uint_ne(info.config_hash, sizing.config_hash);
	config.ring_capacity = 3;
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), -EINVAL);
	ck_assert_str_eq(sizing.bad_field, "ring_capacity");
}
END_TEST

enum { PEOPLE = 75, SMALL_PAGE = 7 };

/* More than one message of the broker's holds: each exactly once, newest first, however they are
 * asked for, while others come and go. */
START_TEST(participants_more_than_a_page)
{
	static struct kickmsg_client *crowd[PEOPLE], *late;
	static struct kickmsg_participant all[PEOPLE + 25];
	struct kickmsg_topic_config config;
	struct kickmsg_topic_ref ref = { .name = "t" };
	uint64_t cursor = 0;
	char name[16];
	ssize_t n;
	int left = PEOPLE;

	kickmsg_topic_config_init(&config);
	config.max_publishers = 100;
	for (int i = 0; i < PEOPLE; i++) {
		snprintf(name, sizeof name, "p%d", i);
		crowd[i] = flow_client(name);
		flow_advertise(crowd[i], "t", &config);
		if (i % 3 == 0) /* one entry a client, whatever it has */
			flow_advertise(crowd[i], "t", &config);
	}
	ck_assert_int_eq(
		kickmsg_topic_participants(client, &ref, &cursor, all, PEOPLE + 25), PEOPLE);
	for (int i = 0; i < PEOPLE; i++) {
		snprintf(name, sizeof name, "p%d", PEOPLE - 1 - i);
		ck_assert_str_eq(all[i].client_name, name);
		ck_assert_uint_eq(all[i].publishers, (PEOPLE - 1 - i) % 3 == 0 ? 2 : 1);
		ck_assert_int_eq(all[i].role, KICKMSG_ROLE_PUBLISHER);
	}
	ck_assert_int_eq(kickmsg_topic_participants(client, &ref, &cursor, all, 1), 0);
	cursor = 0;
	while ((n = kickmsg_topic_participants(client, &ref, &cursor, all, SMALL_PAGE)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			snprintf(name, sizeof name, "p%d", --left);
			ck_assert_str_eq(all[i].client_name, name);
		}
		/* the last one that was told goes, and another one comes */
		kickmsg_client_free(crowd[left]);
		crowd[left] = NULL;
		kickmsg_client_free(late);
		late = flow_client("late");
		flow_advertise(late, "t", &config);
	}
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(left, 0);
	kickmsg_client_free(late);
	for (int i = 0; i < PEOPLE; i++)
		kickmsg_client_free(crowd[i]);
}
END_TEST

/* Every topic exactly once, in order, while others come and go. */
START_TEST(list_ten_thousand_topics)
{
	struct kickmsg_topic_config config;
	struct kickmsg_topic_info page[37];
	uint64_t cursor = 0, last = 0;
	char name[32];
	unsigned found = 0;
	const int count = many();
	ssize_t n;

	kickmsg_topic_config_init(&config);
	config.max_subscribers = config.ring_capacity = 1;
	config.pool_size = 2;
	config.max_payload_size = 8;
	config.persistent = 1;
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "t%d", i);
		kickmsg_publisher_free(flow_advertise(client, name, &config));
	}
	while ((n = kickmsg_topic_list(other, &cursor, page, 37)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			ck_assert_uint_gt(page[i].id, last);
			last = page[i].id;
			if (page[i].name[0] != 't')
				continue;
			snprintf(name, sizeof name, "t%u", found++);
			ck_assert_str_eq(page[i].name, name);
		}
		/* the last one that was told goes, and another one comes and goes */
		if (found % 5 == 0)
			ck_assert_int_eq(kickmsg_unlink_topic(client, page[n - 1].name), 0);
		kickmsg_publisher_free(flow_advertise(client, "other", NULL));
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(found, (unsigned)count);
}
END_TEST

/* The topic goes also while the broker is in the middle of looking after it, since a large topic
 * takes several turns. */
START_TEST(free_of_the_last_one_lets_another_shape_in)
{
	static const struct {
		uint32_t pool;
		unsigned rounds;
	} cases[] = { { 16384, 1000 }, { 1 << 17, 50 } };
	struct kickmsg_topic_config large, config;

	kickmsg_topic_config_init(&large);
	large.pool_size = 1 << 19;
	large.max_payload_size = 8;
	kickmsg_topic_config_init(&config);
	config.max_payload_size = 8;
	test_broker_start(&broker, "[log]\nlevel = error\n[recovery]\ninterval = 1\n");
	client = flow_client("a");
	flow_advertise(client, "large", &large);
	for (unsigned i = 0; i < cases[_i].rounds; i++) {
		config.pool_size = cases[_i].pool + i % 2;
		kickmsg_publisher_free(flow_advertise(client, "t", &config));
	}
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

/* A client ends with all that it has, and was the topic's last. */
START_TEST(end_of_the_last_client_lets_another_shape_in)
{
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	test_broker_start(&broker, "[log]\nlevel = error\n");
	for (unsigned i = 0; i < 100; i++) {
		client = flow_client("a");
		config.pool_size = 4096 + i % 2;
		config.max_subscribers = 1 + i % 2;
		flow_advertise(client, "t", &config);
		flow_subscribe(client, "t");
		flow_advertise(client, "u", &config);
		kickmsg_client_free(client);
	}
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("topics");
	TCase *tc = tcase_create("topics"), *list = tcase_create("many"),
	      *busy = tcase_create("busy");

	tcase_add_checked_fixture(tc, setup_plain, teardown);
	tcase_add_test(tc, attach_any_all_pages_are_there);
	tcase_add_test(tc, attach_large_pages_come_by_themselves);
	tcase_add_test(tc, stats_of_rings_topic_and_handles);
	tcase_add_test(tc, config_check_says_cost_and_need);
	tcase_add_test(tc, participants_more_than_a_page);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(list, setup, teardown);
	tcase_set_timeout(list, 100);
	tcase_add_test(list, list_ten_thousand_topics);
	suite_add_tcase(suite, list);
	tcase_set_timeout(busy, 60);
	tcase_add_loop_test(busy, free_of_the_last_one_lets_another_shape_in, 0, 2);
	tcase_add_test(busy, end_of_the_last_client_lets_another_shape_in);
	suite_add_tcase(suite, busy);
	return flow_main(suite);
}
