/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas through the broker: at creation, claimed, wanted, compared. */
#include <sys/socket.h>

#include "tests/support/broker/pair.h"

static struct kickmsg_schema schema_of(const char *type, uint32_t version)
{
	struct kickmsg_schema schema = { .version = version };

	kickmsg_schema_set_identity(&schema, type, strlen(type));
	kickmsg_schema_set_layout(&schema, "u32", 3);
	snprintf(schema.name, sizeof schema.name, "%s", type);
	return schema;
}

START_TEST(schema_at_creation_and_agreement)
{
	struct kickmsg_schema schema = schema_of("imu", 1), another = schema_of("gps", 2), got;
	struct kickmsg_topic_config config;
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_publisher *p = NULL;
	struct kickmsg_subscriber *s = NULL;
	uint32_t diff = 0;
	struct kickmsg_subscribe_options options = { .schema = &schema, .ret_schema_diff = &diff };

	ck_assert_uint_eq(
		kickmsg_fnv1a64(KICKMSG_FNV1A64_INIT, "a", 1), UINT64_C(0xaf63dc4c8601ec8c));
	ck_assert_uint_eq(schema.identity_algo, KICKMSG_ALGO_FNV1A64);
	kickmsg_topic_config_init(&config);
	config.schema = &schema;
	flow_advertise(client, "t", &config);
	ck_assert_int_eq(kickmsg_topic_schema(other, &ref, &got), 0);
	ck_assert_int_eq(memcmp(&got, &schema, sizeof got), 0);
	ck_assert_int_eq(kickmsg_subscribe(other, "t", &options, &s), 0);
	config.schema = &another;
	ck_assert_int_eq(kickmsg_advertise(other, "t", &config, &p), -EEXIST);
	ck_assert_ptr_nonnull(strstr(kickmsg_client_last_error(other), "identity, version, name"));
	ck_assert_int_eq(kickmsg_advertise_or_join(other, "t", &config, &p), 0);
	options.schema = &another;
	s = NULL;
	ck_assert_int_eq(kickmsg_subscribe(other, "t", &options, &s), -EPROTOTYPE);
	ck_assert_uint_eq(
		diff, KICKMSG_SCHEMA_IDENTITY | KICKMSG_SCHEMA_VERSION | KICKMSG_SCHEMA_NAME);
	ck_assert_ptr_null(s);
	another = schema;
	another.flags = 9;
	another.reserved[3] = 1;
	ck_assert_int_eq(kickmsg_subscribe(other, "t", &options, &s), 0);
}
END_TEST

START_TEST(schema_claimed_once)
{
	struct kickmsg_schema schema = schema_of("imu", 1), another = schema_of("gps", 1), got;
	struct kickmsg_topic_ref ref = { .name = "t" }, none = { .name = "none" };
	struct kickmsg_subscriber *s = NULL;
	struct kickmsg_subscribe_options options = { .schema = &schema };

	ck_assert_int_eq(kickmsg_subscribe_or_create(client, "t", NULL, &options, &s), -EPROTOTYPE);
	ck_assert_int_eq(kickmsg_topic_schema(other, &ref, &got), -ENOENT); /* nothing left of it */
	flow_advertise(client, "t", NULL);
	ck_assert_int_eq(kickmsg_topic_schema(other, &ref, &got), -ENODATA);
	ck_assert_int_eq(kickmsg_subscribe(other, "t", &options, &s), -EPROTOTYPE);
	ck_assert_int_eq(kickmsg_claim_schema(other, &ref, &schema, &got), -EPERM);
	ck_assert_int_eq(kickmsg_claim_schema(client, &none, &schema, &got), -ENOENT);
	ck_assert_int_eq(kickmsg_claim_schema(client, &ref, &schema, &got), 0);
	flow_advertise(other, "t", NULL);
	ck_assert_int_eq(kickmsg_claim_schema(other, &ref, &another, &got), -EEXIST);
	ck_assert_str_eq(got.name, "imu");
	ck_assert_int_eq(kickmsg_claim_schema(other, &ref, &schema, NULL), 0);
	ck_assert_int_eq(kickmsg_subscribe(other, "t", &options, &s), 0);
}
END_TEST

START_TEST(schema_diff_each_bit)
{
	static const struct {
		size_t offset;
		uint32_t bit;
	} fields[] = {
		{ offsetof(struct kickmsg_schema, identity) + 63, KICKMSG_SCHEMA_IDENTITY },
		{ offsetof(struct kickmsg_schema, layout), KICKMSG_SCHEMA_LAYOUT },
		{ offsetof(struct kickmsg_schema, version), KICKMSG_SCHEMA_VERSION },
		{ offsetof(struct kickmsg_schema, name), KICKMSG_SCHEMA_NAME },
		{ offsetof(struct kickmsg_schema, name) + 9, 0 }, /* behind its end */
		{ offsetof(struct kickmsg_schema, identity_algo), KICKMSG_SCHEMA_IDENTITY_ALGO },
		{ offsetof(struct kickmsg_schema, layout_algo), KICKMSG_SCHEMA_LAYOUT_ALGO },
		{ offsetof(struct kickmsg_schema, flags), 0 },
		{ offsetof(struct kickmsg_schema, reserved), 0 },
	};
	struct kickmsg_schema a = schema_of("imu", 1), b;

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		b = a;
		((unsigned char *)&b)[fields[i].offset] ^= 0x41;
		ck_assert_uint_eq(kickmsg_schema_diff(&a, &b), fields[i].bit);
	}
}
END_TEST

static struct kickmsg_topic_ref claimed = { .name = "t" };

/* Joins by hand and says CLAIM; who hears the answer is another matter. Returns the socket. */
static int claim_by_hand(const struct kickmsg_schema *schema, int *ret_segment)
{
	struct km_msg_attach attach = { .header.op = KM_OP_ADVERTISE, .topic = "t" };
	struct km_msg_claim claim = { .topic = { .header.op = KM_OP_CLAIM, .topic = "t" } };
	union km_msg answer;
	int socket = test_peer_hello(broker.socket, "by-hand", ret_segment);

	memcpy(&claim.schema, schema, sizeof claim.schema);
	if (test_peer_call(socket, &attach, sizeof attach, &answer) != KM_OP_ATTACHED)
		_exit(1);
	kill(broker.pid, SIGSTOP); /* no answer yet */
	if (send(socket, &claim, sizeof claim, MSG_NOSIGNAL) != sizeof claim)
		_exit(1);
	return socket;
}

static void claim_raw_and_stay(void *schema)
{
	int segment;

	claim_by_hand(schema, &segment);
	test_child_ready();
	pause();
}

static void claim_and_stay(void *schema)
{
	struct kickmsg_client *mine = flow_client("mine");

	flow_advertise(mine, "t", NULL);
	kill(broker.pid, SIGSTOP);
	test_child_ready();
	kickmsg_claim_schema(mine, &claimed, schema, NULL);
	_exit(1);
}

static bool sleeps(pid_t pid)
{
	char path[32], state = 0;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
	fclose(file);
	return state == 'S';
}

/* Whether the broker met the claim or the death first: a whole schema stands or none, others aren't
 * held up, and nothing of the dead one stays. */
START_TEST(schema_claimant_dies_before_the_answer)
{
	struct kickmsg_schema schema = schema_of("imu", 1), another = schema_of("gps", 1), got;
	struct flow_stock stock;

	flow_advertise(client, "t", NULL);
	stock.fds = test_fd_count(broker.pid);
	stock.maps = test_map_count(broker.pid, "memfd:");
	if (_i < 2) {
		pid_t pid = test_child_start(_i ? claim_and_stay : claim_raw_and_stay, &schema);

		ck_assert(test_wait_until(sleeps(pid), FLOW_WAIT_MS));
		test_child_end(pid, SIGKILL);
	} else {
		int segment;

		close(claim_by_hand(&schema, &segment));
		close(segment);
	}
	kill(broker.pid, SIGCONT);
	int r = kickmsg_claim_schema(client, &claimed, &another, &got);
	ck_assert(r == 0 || r == -EEXIST);
	ck_assert_int_eq(memcmp(&got, r == 0 ? &another : &schema, sizeof got), 0);
	another = got;
	ck_assert_int_eq(kickmsg_topic_schema(other, &claimed, &got), 0);
	ck_assert_int_eq(memcmp(&got, &another, sizeof got), 0);
	flow_check_stock(&stock);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("schema");
	TCase *tc = tcase_create("schema");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, schema_at_creation_and_agreement);
	tcase_add_test(tc, schema_claimed_once);
	tcase_add_test(tc, schema_diff_each_bit);
	tcase_add_loop_test(tc, schema_claimant_dies_before_the_answer, 0, 3);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
