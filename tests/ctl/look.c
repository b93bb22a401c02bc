/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kickmsgctl's verbs that look, and unlink: what they say is what was done.
 *
 * The file is long because each verb that looks has a case, over one fixture.
 */
#include "common/clock.h"
#include "tests/support/broker/ctl.h"

START_TEST(list_and_info_tell_the_shape)
{
	start();
	expect(0, "list", NULL);
	tells("NAME STATE PUBS SUBS RATE LOST TRANSPORT PAYLOAD MEMORY AGE\n"
	      "kickmsg:t ok 1 1 0/s 2 rings 64 ");
	expect(0, "list", "--no-legend", "-o",
		"name,max-pubs,max-subs,capacity,pool,persistent,region", NULL);
	squeeze();
	ck_assert_str_eq(output, "kickmsg:t 2 3 4 64 no /kickmsg_t\n");
	expect(0, "list", "-o", "+id", NULL);
	tells(" AGE ID\n");
	expect(0, "info", "t", NULL);
	tells(" Region: /kickmsg_t\n");
	tells("Needed pool: ");
	tells("Schema: no\n");
	tells("Linger: 0s\n");
	tells("\nCLIENT PID UID ROLE PUBS SUBS PUB-ID RINGS LOANS BORROWS AGE STATE\n");
	tells("\nworker ");
	tells(" both 1 1 ");
	expect(0, "info", NULL);
	tells(" Region: /kickmsg_t\n");

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
	tells("lab:in/lab ok 1 0 ");
	tells("channel:kickmsg:t ok 1 1 ");
	tells("mailbox:kickmsg:worker:t ok 0 1 ");
	tells("kickmsg:%1B%5B31m%0A%C3%A9%FF ");
	says_not("\033");
	struct json_object *root = json(0, "list", NULL);
	ck_assert_uint_eq(length(root, "topics"), 5);
	ck_assert_str_eq(text(at(root, "topics", 2), "kind"), "channel");
	ck_assert_str_eq(text(at(root, "topics", 3), "kind"), "mailbox");
	ck_assert_str_eq(text(at(root, "topics", 3), "owner"), "worker");
	ck_assert_str_eq(text(at(root, "topics", 4), "topic"), "%1B%5B31m%0A%C3%A9%FF");
	json_object_put(root);

	expect(0, "info", "in/lab", "--prefix", "lab", NULL);
	tells("Region: /lab_in/lab\n");
	expect(0, "--channel", "info", "t", NULL);
	tells("Region: /kickmsg_broadcast_t\n");
	expect(0, "--mailbox", "worker", "info", "t", NULL);
	tells("Region: /kickmsg_worker_mbx_t\n");
	expect(0, "--mailbox", "worker", "diagnose", "t", NULL);
	tells("mailbox:kickmsg:worker:t healthy ");
	expect(0, "--mailbox", "worker", "recover", "t", NULL);
	/* every verb that looks works for all of these topics at once */
	const char *const verbs[] = { "info", "stats", "clients", "schema", "diagnose", "recover" };
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		root = json(0, verbs[i], NULL);
		ck_assert_uint_eq(length(root, "topics"), 5);
		json_object_put(root);
		expect(0, verbs[i], NULL);
		says("channel:kickmsg:t");
	}
	kickmsg_client_free(second);
	stop();
}
END_TEST

/* Returns the first words of list's lines. Each verb takes each of them, even if it has bytes
 * beyond ASCII. */
START_TEST(what_list_prints_every_verb_takes)
{
	static const char *const verbs[] = { "info", "stats", "clients", "schema", "diagnose",
		"repair", "recover", "rights", "unlink" };
	static const char *const names[] = { "t%C3%BCr", "t%C3%B6r", "a.b", "a/b", "100%25",
		"a%3Ab", "two%20words" };
	static const char *const raws[] = { "t\xc3\xbcr", "t\xc3\xb6r", "a.b", "a/b", "100%", "a:b",
		"two words" };
	const size_t count = sizeof names / sizeof names[0];
	struct kickmsg_client_config other = { .name = "\xc3\xbc",
		.socket_path = broker.socket,
		.prefix = "n\xc3\xa4he/s\xc3\xbc"
			  "d" };
	struct kickmsg_publisher *pub;
	struct kickmsg_subscriber *sub;
	struct kickmsg_client *second;
	char lines[32][256];
	size_t n = 0;

	start();
	ck_assert_int_eq(kickmsg_client_new(&other, &second), 0);
	for (size_t i = 0; i < count; i++)
		flow_advertise(second, raws[i], &small);
	ck_assert_int_eq(kickmsg_join_broadcast(second, "t", &small, NULL, &pub, &sub), 0);
	ck_assert_int_eq(kickmsg_create_mailbox(second, "t", NULL, NULL, &sub), 0);
	expect(0, "list", "--no-legend", NULL);
	for (char *rest = output, *line; (line = strsep(&rest, "\n")) && *line; n++)
		ck_assert_int_eq(sscanf(line, "%255s", lines[n]), 1);
	ck_assert_uint_eq(n, count + 3);
	for (size_t i = 0; i < count; i++) {
		char whole[128];

		snprintf(whole, sizeof whole, "n%%C3%%A4he/s%%C3%%BCd:%s", names[i]);
		ck_assert_str_eq(lines[i + 1], whole);
	}
	ck_assert_str_eq(lines[count + 1], "channel:n%C3%A4he/s%C3%BCd:t");
	ck_assert_str_eq(lines[count + 2], "mailbox:n%C3%A4he/s%C3%BCd:%C3%BC:t");
	for (size_t verb = 0; verb < sizeof verbs / sizeof verbs[0]; verb++)
		for (size_t i = 0; i < n; i++) {
			expect(0, verbs[verb], lines[i], NULL);
			says(lines[i]);
		}
	expect(1, "info", lines[1], NULL); /* the first topic was unlinked, the others weren't */
	/* a person writes the name and the prefix */
	flow_advertise(second, raws[0], &small);
	expect(0, "info", raws[0], "--prefix", other.prefix, NULL);
	says(lines[1]);
	kickmsg_client_free(second);
	stop();
}
END_TEST

/* --prefix alone makes every verb take the topics of that prefix only. */
START_TEST(prefix_without_a_topic_is_for_its_topics)
{
	static const char *const verbs[] = { "list", "info", "stats", "clients", "schema",
		"diagnose", "recover" };
	const struct kickmsg_client_config other = {
		.name = "other", .socket_path = broker.socket, .prefix = "lab"
	};
	struct kickmsg_client *second;

	start();
	ck_assert_int_eq(kickmsg_client_new(&other, &second), 0);
	flow_advertise(second, "x", &small);
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		expect(0, verbs[i], "--prefix", "lab", NULL);
		says("lab:x");
		says_not("kickmsg:t");
		struct json_object *root = json(0, verbs[i], "--prefix", "nobody", NULL);
		ck_assert_uint_eq(length(root, "topics"), 0);
		json_object_put(root);
	}
	expect(0, "stats", "--watch", "-n", "1", "-i", "0.001", "--prefix", "lab", NULL);
	says("lab:x");
	says_not("kickmsg:t");
	kickmsg_client_free(second);
	stop();
}
END_TEST

/* The index is the topic's transport, here and below where there is one: a shared ring's messages lie
 * in its cells. */
/* Checks the first words of the lines. */
static void names_are(const char *wanted)
{
	char names[256] = "";
	size_t used = 0;

	for (char *rest = output, *line; (line = strsep(&rest, "\n")) && *line;)
		used += (size_t)snprintf(
			names + used, sizeof names - used, "%.*s ", (int)strcspn(line, " "), line);
	ck_assert_str_eq(names, wanted);
}

START_TEST(patterns_and_orders_choose_topics)
{
	struct kickmsg_topic_config large = small;
	struct kickmsg_subscriber *sub;

	start();
	large.max_payload_size = 100000;
	flow_advertise(client, "a/one", &large);
	flow_advertise(client, "b/one", &small);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "one", NULL, NULL, &sub), 0);
	expect(0, "list", "--no-legend", "*one", NULL);
	names_are("kickmsg:a/one kickmsg:b/one mailbox:kickmsg:worker:one ");
	expect(0, "list", "--no-legend", "kickmsg:*", NULL);
	names_are("kickmsg:t kickmsg:a/one kickmsg:b/one ");
	expect(0, "list", "--no-legend", "[ab]/one", "t", NULL);
	names_are("kickmsg:t kickmsg:a/one kickmsg:b/one ");
	expect(0, "list", "--no-legend", "t", NULL);
	names_are("kickmsg:t ");
	expect(0, "stats", "--no-legend", "?/one", NULL);
	names_are("kickmsg:a/one kickmsg:b/one ");
	expect(0, "list", "--no-legend", "--sort", "-name", NULL);
	names_are("mailbox:kickmsg:worker:one kickmsg:t kickmsg:b/one kickmsg:a/one ");
	expect(0, "list", "--no-legend", "--sort", "-memory", "kickmsg:*", NULL);
	names_are("kickmsg:a/one kickmsg:t kickmsg:b/one ");
	/* the youngest has the least age */
	expect(0, "list", "--no-legend", "--sort", "age", "kickmsg:*", NULL);
	names_are("kickmsg:b/one kickmsg:a/one kickmsg:t ");
	struct json_object *root = json(0, "list", "--sort", "-name", NULL);
	ck_assert_str_eq(text(at(root, "topics", 3), "name"), "kickmsg:a/one");
	json_object_put(root);
	expect(1, "list", "c*", NULL);
	says("no topic matches 'c*'");
	expect(1, "diagnose", "--prefix", "lab", "*one", NULL);
	says("no topic matches '*one'");
	json_object_put(json(1, "info", "c*", NULL));
	stop();
}
END_TEST

START_TEST(stats_are_what_was_sent_received_and_lost)
{
	const int free_slots = _i == KICKMSG_TRANSPORT_SHARED ? 64 : 61;
	char ring_line[64];

	start_with((uint32_t)_i);
	expect(0, "stats", "t", NULL);
	tells("NAME SENT BYTES RECEIVED LOST FAILED FREE POOL SUBS\nkickmsg:t 6 6 1 2 0 ");
	tells(free_slots == 64 ? " 64 64 1\n" : " 61 64 1\n");
	tells("SUBSCRIBER RING PID WRITTEN RECEIVED LOST WAITING SLEEPING RELIABLE\n");
	snprintf(ring_line, sizeof ring_line,
		_i ? " - %d 6 1 2 3 no no\n" : " 0 %d 6 1 2 3 no no\n", getpid());
	tells(ring_line);
	expect(0, "stats", NULL);
	tells("kickmsg:t 6 6 1 2 0 ");
	says_not("SUBSCRIBER");

	struct json_object *root = json(0, "stats", "t", NULL), *topic = at(root, "topics", 0);
	struct json_object *ring = at(topic, "rings", 0);
	ck_assert_int_eq(number(topic, "sent"), 6);
	ck_assert_int_eq(number(topic, "sent_bytes"), 6);
	ck_assert_int_eq(number(topic, "received"), 1);
	ck_assert_int_eq(number(topic, "lost"), 2);
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

/* Returns the rate of the first topic's one live ring. */
static double rate_of_one_round(void)
{
	struct json_object *root = json(0, "stats", "--watch", "-i", "0.05", "-n", "1", NULL);
	struct json_object *topic = at(root, "topics", 0);
	double rate = json_object_get_double(get(at(topic, "rings", 0), "written_per_s"));
	double messages = rate * json_object_get_double(get(topic, "seconds"));
	double fraction = messages - (double)(int64_t)(messages + 0.5);

	ck_assert(json_object_get_double(get(topic, "seconds")) > 0);
	ck_assert(json_object_get_double(get(topic, "sent_per_s")) >= 0);
	ck_assert(json_object_get_double(get(topic, "sent_bytes_per_s")) >= 0);
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
		(expect(0, "stats", "--watch", "-i", "0.05", "-n", "2", "t", NULL), squeeze(),
			strstr(output, "kickmsg:t ") && !strstr(output, "kickmsg:t 0/s")),
		FLOW_WAIT_MS));
	says("/s ");
	says("SUBSCRIBER RING PID ");
	/* a rate is whole messages, divided by the time that the document says */
	ck_assert(test_wait_until(rate_of_one_round() > 0, FLOW_WAIT_MS));

	/* two rounds are two documents, a line each */
	expect(0, "--json", "stats", "--watch", "-i", "0.01", "-n", "2", NULL);
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

static double seconds_of(const char *document)
{
	struct json_object *root = json_tokener_parse(document);
	double seconds = json_object_get_double(get(at(root, "topics", 0), "seconds"));

	json_object_put(root);
	return seconds;
}

/* The first look at rates is two looks, and the next one comes an interval after the second of them. */
START_TEST(watch_looks_an_interval_apart_from_the_first_look_on)
{
	start();
	expect(0, "--json", "stats", "--watch", "-i", "0.2", "-n", "2", _i ? "t" : NULL, NULL);
	char *document = output;
	for (int look = 0; look < 2; look++) {
		char *end = strchr(document, '\n');

		ck_assert_ptr_nonnull(end);
		*end = '\0';
		ck_assert_msg(seconds_of(document) >= 0.2, "look %d: %s", look, document);
		document = end + 1;
	}
	int64_t before = km_clock_ns();
	expect(0, "list", "--watch", "-i", "0.2", "-n", "2", NULL);
	ck_assert_int_ge(km_clock_ns() - before, 400000000);
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

	snprintf(worker, sizeof worker, "kickmsg:t worker %d %u subscriber 0 1 ", getpid(),
		geteuid());
	snprintf(visitor, sizeof visitor, "kickmsg:t visitor %d %u both 1 2 ", child, geteuid());
	expect(0, "clients", "t", NULL);
	tells(worker);
	tells(visitor);
	tells(" alive\n");
	expect(0, "clients", NULL);
	tells(visitor);
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
	tells(worker);
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
	says("kickmsg:a\n  name=\"point\" version=1 flags=0x1\n  identity=");
	says(" identity_algo=1 (fnv1a64)\n  layout=\"two doubles\" layout_algo=2 (text)\n");
	char identity[32];
	snprintf(identity, sizeof identity, "%016llx",
		(unsigned long long)kickmsg_fnv1a64(KICKMSG_FNV1A64_INIT, "point", 5));
	says(identity);
	expect(0, "schema", NULL);
	says("kickmsg:t no schema\n");
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
	says("kickmsg:t unlinked\n");
	expect(0, "list", NULL);
	tells("kickmsg:t unlinked 1 1 ");
	struct json_object *root = json(0, "list", NULL);
	ck_assert(json_object_get_boolean(get(at(root, "topics", 0), "unlinked")));
	json_object_put(root);
	/* a verb that asks by name passes over the old topic, whose name is another topic's now */
	const char *const verbs[] = { "stats", "clients", "schema", "diagnose", "recover" };
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		expect(0, verbs[i], NULL);
	expect(1, "unlink", "t", NULL);
	says("there is no topic");

	ck_assert_int_eq(kickmsg_send(publisher, "y", 1), 1);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
	struct kickmsg_client *second = flow_client("newcomer");
	flow_advertise(second, "t", NULL);
	expect(0, "list", "-o", "name,pubs,max-pubs,subs,max-subs", NULL);
	tells("kickmsg:t 1 16 0 16\n");
	/* each verb shows the new topic, which has the name, once */
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

static int line_count(void)
{
	int count = 0;

	for (const char *c = output; *c; c++)
		count += *c == '\n';
	return count;
}

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
	/* every second topic goes, in the broker's own time */
	for (int i = 0; i < 1000; i += 2)
		kickmsg_publisher_free(many[i]);
	ck_assert(test_wait_until(
		(expect(0, "list", "--no-legend", NULL), line_count() == 501), FLOW_WAIT_MS));
	const char *line = output;
	int found, lines = 0, n;

	for (; sscanf(line, "kickmsg:n%d ok %n", &found, &n) == 1 ||
		strncmp(line, "kickmsg:t ", 10) == 0;
		line = strchr(line, '\n') + 1) {
		if (strncmp(line, "kickmsg:t ", 10) == 0)
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
	tcase_add_test(tc, what_list_prints_every_verb_takes);
	tcase_add_test(tc, prefix_without_a_topic_is_for_its_topics);
	tcase_add_test(tc, patterns_and_orders_choose_topics);
	tcase_add_loop_test(tc, stats_are_what_was_sent_received_and_lost, KICKMSG_TRANSPORT_RINGS,
		KICKMSG_TRANSPORT_SHARED + 1);
	tcase_add_loop_test(tc, watch_looks_an_interval_apart_from_the_first_look_on, 0, 2);
	tcase_add_loop_test(tc, watch_shows_the_rates_of_each_ring, KICKMSG_TRANSPORT_RINGS,
		KICKMSG_TRANSPORT_SHARED + 1);
	tcase_add_test(tc, clients_are_named_with_role_and_process);
	tcase_add_test(tc, schemas_are_shown_and_compared);
	tcase_add_test(tc, unlink_takes_the_name_and_leaves_the_traffic);
	tcase_add_test(tc, a_thousand_topics_are_listed_once_each);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
