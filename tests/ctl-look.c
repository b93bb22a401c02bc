/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl's verbs that look, and unlink: what they say is what was done. */
#include "support/ctl.h"

START_TEST(list_and_info_tell_the_shape)
{
	start();
	expect(0, "list", NULL);
	says("kickmsg/t: publishers=1/2 subscribers=1/3 ring_capacity=4 pool_size=64");
	expect(0, "info", "t", NULL);
	says("region=/kickmsg_t ");
	says("needed_pool=");
	says("schema=none lives=0.000s-after-last-participant");
	expect(0, "info", NULL);
	says("region=/kickmsg_t ");

	for (int verb = 0; verb < 3; verb++) {
		struct json_object *root = verb == 0   ? json(0, "list", NULL)
					   : verb == 1 ? json(0, "info", NULL)
						       : json(0, "info", "t", NULL);
		struct json_object *topic = at(root, "topics", 0);

		ck_assert_uint_eq(length(root, "topics"), 1);
		ck_assert_str_eq(text(topic, "topic"), "t");
		ck_assert_str_eq(text(topic, "prefix"), "kickmsg");
		ck_assert_str_eq(text(topic, "kind"), "topic");
		ck_assert_str_eq(text(topic, "region"), "/kickmsg_t");
		ck_assert_int_eq(number(topic, "publishers"), 1);
		ck_assert_int_eq(number(topic, "max_subscribers"), 3);
		ck_assert_int_eq(number(topic, "pool_size"), 64);
		ck_assert_int_eq(number(topic, "owner_uid"), geteuid());
		ck_assert_int_gt(number(topic, "total_bytes"), 64 * 64);
		ck_assert_uint_eq(strlen(text(topic, "config_hash")), 16);
		json_object_put(root);
	}
	stop();
}
END_TEST

START_TEST(kinds_prefixes_and_strange_names_can_be_told_apart)
{
	const struct kickmsg_client_config other = {
		.name = "other", .socket_path = broker.socket, .prefix = "lab"
	};
	struct kickmsg_publisher *pub;
	struct kickmsg_subscriber *sub;
	struct kickmsg_client *second;

	start();
	ck_assert_int_eq(kickmsg_client_new(&other, &second), 0);
	flow_advertise(second, "in/lab", &small);
	ck_assert_int_eq(kickmsg_join_broadcast(client, "t", &small, NULL, &pub, &sub), 0);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "t", NULL, NULL, &sub), 0);
	/* an escape sequence, a newline, a letter in UTF-8, and a byte that is none */
	flow_advertise(client, "\033[31m\n\xc3\xa9\xff", &small);

	expect(0, "list", NULL);
	says("lab/in/lab: publishers=1");
	says("kickmsg/t (channel): publishers=1/2 subscribers=1/3");
	says("kickmsg/t (mailbox of worker): publishers=0/");
	says("kickmsg/?[31m????: ");
	says_not("\033");
	struct json_object *root = json(0, "list", NULL);
	ck_assert_uint_eq(length(root, "topics"), 5);
	ck_assert_str_eq(text(at(root, "topics", 2), "kind"), "channel");
	ck_assert_str_eq(text(at(root, "topics", 3), "kind"), "mailbox");
	ck_assert_str_eq(text(at(root, "topics", 3), "owner"), "worker");
	ck_assert_str_eq(text(at(root, "topics", 4), "topic"), "\033[31m\n\xc3\xa9\xef\xbf\xbd");
	json_object_put(root);

	expect(0, "info", "in/lab", "--prefix", "lab", NULL);
	says("region=/lab_in.lab ");
	expect(0, "--channel", "info", "t", NULL);
	says("region=/kickmsg_broadcast_t ");
	expect(0, "--mailbox", "worker", "info", "t", NULL);
	says("region=/kickmsg_worker_mbx_t ");
	expect(0, "--mailbox", "worker", "diagnose", "t", NULL);
	says("kickmsg/t (mailbox of worker): healthy");
	expect(0, "--mailbox", "worker", "recover", "t", NULL);
	/* every verb works for all of them at once */
	const char *const verbs[] = { "info", "stats", "clients", "schema", "diagnose", "recover" };
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		root = json(0, verbs[i], NULL);
		ck_assert_uint_eq(length(root, "topics"), 5);
		json_object_put(root);
		expect(0, verbs[i], NULL);
		says("kickmsg/t (channel)");
	}
	kickmsg_client_free(second);
	stop();
}
END_TEST

/* The index is the topic's transport, here and below where there is one: a shared ring's messages lie
 * in its cells. */
START_TEST(stats_are_what_was_sent_received_and_lost)
{
	const int free_slots = _i == KICKMSG_TRANSPORT_SHARED ? 64 : 61;

	start_with((uint32_t)_i);
	expect(0, "stats", "t", NULL);
	says("kickmsg/t: sent=6 received=1 evicted=2 failed=0 free_slots=");
	says(free_slots == 64 ? "free_slots=64/64 live_rings=1/3"
			      : "free_slots=61/64 live_rings=1/3");
	says("ring 0: pid=");
	says(" written=6 received=1 evicted=2 waiting=3\n");
	expect(0, "stats", NULL);
	says("sent=6");

	struct json_object *root = json(0, "stats", "t", NULL), *topic = at(root, "topics", 0);
	struct json_object *ring = at(topic, "rings", 0);
	ck_assert_int_eq(number(topic, "sent"), 6);
	ck_assert_int_eq(number(topic, "received"), 1);
	ck_assert_int_eq(number(topic, "evicted"), 2);
	ck_assert_int_eq(number(topic, "failed"), 0);
	ck_assert_int_eq(number(topic, "free_slots"), free_slots);
	ck_assert_uint_eq(length(topic, "rings"), 1);
	ck_assert_int_eq(number(ring, "pid"), getpid());
	ck_assert_int_eq(number(ring, "written"), 6);
	ck_assert_int_eq(number(ring, "waiting"), 3);
	ck_assert(!json_object_get_boolean(get(ring, "sleeping")));
	json_object_put(root);
	stop();
}
END_TEST

/* A process that publishes until it is killed. */
static void publish_for_ever(void *unused)
{
	struct kickmsg_client *mine = flow_client("steady");
	struct kickmsg_publisher *pub = flow_advertise(mine, "t", NULL);

	test_child_ready();
	for (;;) {
		kickmsg_send(pub, "x", 1);
		test_nap();
	}
}

/* Of the one live ring of the first topic. */
static double rate_of_one_round(void)
{
	struct json_object *root = json(0, "watch", "-i", "0.05", "-n", "1", NULL);
	struct json_object *topic = at(root, "topics", 0);
	double rate = json_object_get_double(get(at(topic, "rings", 0), "written_per_s"));
	double messages = rate * json_object_get_double(get(topic, "seconds"));
	double fraction = messages - (double)(int64_t)(messages + 0.5);

	ck_assert(json_object_get_double(get(topic, "seconds")) > 0);
	ck_assert(json_object_get_double(get(topic, "sent_per_s")) >= 0);
	ck_assert_msg(fraction > -1e-3 && fraction < 1e-3, "%.9f messages", messages);
	json_object_put(root);
	return rate;
}

START_TEST(watch_shows_the_rates_of_each_ring)
{
	start_with((uint32_t)_i);
	pid_t child = test_child_start(publish_for_ever, NULL);

	/* a rate is positive as soon as the child got to send in a round */
	ck_assert(test_wait_until(
		(expect(0, "watch", "-i", "0.05", "-n", "2", "t", NULL),
			strstr(output, "  ring 0: pid=") && !strstr(output, "written=0.0/s")),
		FLOW_WAIT_MS));
	says("kickmsg/t: sent=");
	says("/s evicted=");
	/* a rate is whole messages in the time that it says */
	ck_assert(test_wait_until(rate_of_one_round() > 0, FLOW_WAIT_MS));

	/* two rounds are two documents, a line each */
	expect(0, "--json", "watch", "-i", "0.01", "-n", "2", NULL);
	char *newline = strchr(output, '\n');
	ck_assert(newline && strchr(newline + 1, '\n') && strchr(newline + 1, '\n')[1] == '\0' &&
		  newline[1] == '{');
	*newline = newline[strlen(newline + 1)] = '\0';
	keep(output);
	keep(newline + 1);

	test_child_end(child, SIGKILL);
	stop();
}
END_TEST

static void take_both_roles(void *unused)
{
	struct kickmsg_client *mine = flow_client("visitor");

	flow_advertise(mine, "t", NULL);
	flow_subscribe(mine, "t");
	flow_subscribe(mine, "t");
	test_child_ready();
	pause();
}

START_TEST(clients_are_named_with_role_and_process)
{
	char visitor[128], worker[128];

	start();
	kickmsg_publisher_free(publisher);
	pid_t child = test_child_start(take_both_roles, NULL);

	snprintf(worker, sizeof worker,
		"  worker: pid=%d uid=%u role=subscriber publishers=0 subscribers=1 since=",
		getpid(), geteuid());
	snprintf(visitor, sizeof visitor,
		"  visitor: pid=%d uid=%u role=both publishers=1 subscribers=2 since=", child,
		geteuid());
	expect(0, "clients", "t", NULL);
	says("kickmsg/t:\n");
	says(worker);
	says(visitor);
	says("Z alive\n");
	expect(0, "clients", NULL);
	says(visitor);
	struct json_object *root = json(0, "clients", "t", NULL), *topic = at(root, "topics", 0);
	ck_assert_uint_eq(length(topic, "clients"), 2);
	bool found = false;
	for (size_t i = 0; i < 2; i++) {
		struct json_object *who = at(topic, "clients", i);

		if (number(who, "pid") != child)
			continue;
		found = true;
		ck_assert_str_eq(text(who, "name"), "visitor");
		ck_assert_str_eq(text(who, "role"), "both");
		ck_assert_int_eq(number(who, "subscribers"), 2);
		ck_assert(json_object_get_boolean(get(who, "alive")));
		ck_assert_int_gt(number(who, "since_realtime_ns"), 0);
	}
	ck_assert(found);
	json_object_put(root);

	test_child_end(child, SIGKILL);
	ck_assert(test_wait_until(
		(expect(0, "clients", "t", NULL), !strstr(output, "visitor")), FLOW_WAIT_MS));
	says(worker);
	stop();
}
END_TEST

static void make_topic(const char *name, const char *type, uint32_t version)
{
	struct kickmsg_schema schema = { .version = version, .flags = version };
	struct kickmsg_topic_config config = small;

	config.schema = &schema;
	snprintf(schema.name, sizeof schema.name, "%s", type);
	kickmsg_schema_set_identity(&schema, type, strlen(type));
	memcpy(schema.layout, "two doubles", 11);
	schema.layout_algo = KICKMSG_ALGO_TEXT;
	flow_advertise(client, name, &config);
}

START_TEST(schemas_are_shown_and_compared)
{
	start();
	make_topic("a", "point", 1);
	make_topic("b", "point", 2);
	make_topic("c", "line", 1);

	expect(0, "schema", "a", NULL);
	says("kickmsg/a:\n  name=\"point\" version=1 flags=0x1\n  identity=");
	says(" identity_algo=1 (fnv1a64)\n  layout=\"two doubles\" layout_algo=2 (text)\n");
	char identity[32];
	snprintf(identity, sizeof identity, "%016llx",
		(unsigned long long)kickmsg_fnv1a64(KICKMSG_FNV1A64_INIT, "point", 5));
	says(identity);
	expect(0, "schema", NULL);
	says("kickmsg/t: no schema\n");
	says("name=\"line\"");
	struct json_object *root = json(0, "schema", NULL);
	ck_assert_uint_eq(length(root, "topics"), 4);
	ck_assert_ptr_null(get(at(root, "topics", 0), "schema"));
	struct json_object *schema = get(at(root, "topics", 1), "schema");
	ck_assert_str_eq(text(schema, "name"), "point");
	ck_assert_int_eq(strncmp(text(schema, "identity"), identity, 16), 0);
	ck_assert_uint_eq(strlen(text(schema, "layout")), 128);
	json_object_put(root);

	expect(0, "schema-diff", "a", "a", NULL);
	says("the same: mask=0\n");
	expect(1, "schema-diff", "a", "b", NULL);
	says("different: mask=4 version\n");
	expect(1, "schema-diff", "a", "c", NULL);
	says("different: mask=9 identity name\n");
	expect(1, "schema-diff", "a", "t", NULL);
	says("t: it has no schema");
	root = json(1, "schema-diff", "c", "b", NULL);
	ck_assert_int_eq(number(root, "mask"), 13);
	ck_assert_uint_eq(length(root, "differs"), 3);
	ck_assert_uint_eq(length(root, "topics"), 2);
	json_object_put(root);
	root = json(0, "schema-diff", "b", "b", NULL);
	ck_assert_int_eq(number(root, "mask"), 0);
	json_object_put(root);
	json_object_put(json(1, "schema-diff", "t", "a", NULL));
	stop();
}
END_TEST

START_TEST(unlink_takes_the_name_and_leaves_the_traffic)
{
	struct kickmsg_sample sample;

	start();
	expect(0, "unlink", "t", NULL);
	says("kickmsg/t: unlinked\n");
	expect(0, "list", NULL);
	says("kickmsg/t: publishers=1/2 subscribers=1/3");
	says(" UNLINKED\n");
	struct json_object *root = json(0, "list", NULL);
	ck_assert(json_object_get_boolean(get(at(root, "topics", 0), "unlinked")));
	json_object_put(root);
	/* what asks by name passes it over; there is none to ask for */
	const char *const verbs[] = { "stats", "clients", "schema", "diagnose", "recover" };
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		expect(0, verbs[i], NULL);
	expect(1, "unlink", "t", NULL);
	says("there is no topic");

	ck_assert_int_eq(kickmsg_send(publisher, "y", 1), 1);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
	struct kickmsg_client *second = flow_client("newcomer");
	flow_advertise(second, "t", NULL);
	expect(0, "list", NULL);
	says("kickmsg/t: publishers=1/64 subscribers=0/16");
	/* by the name it is the new one that is looked at, once */
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		root = json(0, verbs[i], NULL);
		ck_assert_uint_eq(length(root, "topics"), 1);
		json_object_put(root);
	}
	root = json(0, "unlink", "t", NULL);
	ck_assert(json_object_get_boolean(get(at(root, "topics", 0), "unlinked")));
	json_object_put(root);
	kickmsg_client_free(second);
	stop();
}
END_TEST

START_TEST(a_thousand_topics_are_listed_once_each)
{
	static struct kickmsg_publisher *many[1000];
	const struct kickmsg_topic_config tiny = { 1, 1, 2, 1, 1, 1, 1 };
	static struct kickmsg_client *makers[10]; /* a client has a limit of its own */
	static bool seen[1000];

	start();
	for (int i = 0; i < 1000; i++) {
		char name[16];

		if (i % 100 == 0)
			makers[i / 100] = flow_client("maker");
		snprintf(name, sizeof name, "n%d", i);
		many[i] = flow_advertise(makers[i / 100], name, &tiny);
	}
	/* every second is gone again */
	for (int i = 0; i < 1000; i += 2)
		kickmsg_publisher_free(many[i]);
	ck_assert(test_wait_until(
		(expect(0, "list", NULL), !strstr(output, "kickmsg/n0:")), FLOW_WAIT_MS));
	const char *line = output;
	int found, lines = 0, n;

	for (; sscanf(line, "kickmsg/n%d: publishers=1/1%n", &found, &n) == 1 ||
		strncmp(line, "kickmsg/t:", 10) == 0;
		line = strchr(line, '\n') + 1) {
		if (strncmp(line, "kickmsg/t:", 10) == 0)
			continue;
		ck_assert(found >= 0 && found < 1000 && found % 2 == 1 && !seen[found]);
		seen[found] = true;
		lines++;
	}
	ck_assert_int_eq(lines, 500);
	ck_assert_str_eq(line, "");
	for (int i = 0; i < 10; i++)
		kickmsg_client_free(makers[i]);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-look");
	TCase *tc = tcase_create("ctl-look");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, list_and_info_tell_the_shape);
	tcase_add_test(tc, kinds_prefixes_and_strange_names_can_be_told_apart);
	tcase_add_loop_test(tc, stats_are_what_was_sent_received_and_lost, KICKMSG_TRANSPORT_RINGS,
		KICKMSG_TRANSPORT_SHARED + 1);
	tcase_add_loop_test(tc, watch_shows_the_rates_of_each_ring, KICKMSG_TRANSPORT_RINGS,
		KICKMSG_TRANSPORT_SHARED + 1);
	tcase_add_test(tc, clients_are_named_with_role_and_process);
	tcase_add_test(tc, schemas_are_shown_and_compared);
	tcase_add_test(tc, unlink_takes_the_name_and_leaves_the_traffic);
	tcase_add_test(tc, a_thousand_topics_are_listed_once_each);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
