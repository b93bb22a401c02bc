/* SPDX-License-Identifier: Apache-2.0 */
/* The page for browsers and its JSON: numbers, keys, pages, headers, and requests that mean harm. The file
 * is long because all cases share the words by which they read JSON. */
#include <json-c/json.h>

#include "tests/support/broker/http.h"

enum { KEYS = 128, KEY_SIZE = 40, CROWD = 300, TOLD = 256 };

static struct kickmsg_topic_config small = {
	.max_subscribers = 3,
	.ring_capacity = 4,
	.pool_size = 64,
	.max_publishers = 2,
	.max_payload_size = 64,
	.max_loans = 2,
	.max_borrows = 2,
};

static struct kickmsg_topic_config wide = {
	.max_subscribers = CROWD,
	.ring_capacity = 8,
	.max_publishers = 2,
	.max_payload_size = 64,
	.max_loans = 2,
	.max_borrows = 2,
	.transport = KICKMSG_TRANSPORT_SHARED,
};

static const char *body(void)
{
	const char *found = strstr(http_answer, "\r\n\r\n");

	ck_assert_ptr_nonnull(found);
	return found + 4;
}

/* Fetches the document at that path. */
static struct json_object *fetch(const char *what)
{
	ck_assert_msg(http_get(what) == 200, "%s: %s", what, http_answer);
	ck_assert_ptr_nonnull(strstr(http_answer, "\r\nContent-Type: application/json\r\n"));
	struct json_object *document = json_tokener_parse(body());
	ck_assert_msg(json_object_is_type(document, json_type_object), "%s: %s", what, body());
	return document;
}

static struct json_object *get(struct json_object *of, const char *key)
{
	struct json_object *value = NULL;

	ck_assert_msg(json_object_object_get_ex(of, key, &value), "no %s in %s", key,
		json_object_to_json_string(of));
	return value;
}

static int64_t number(struct json_object *of, const char *key)
{
	struct json_object *value = get(of, key);

	ck_assert_msg(json_object_is_type(value, json_type_int), "%s", key);
	return json_object_get_int64(value);
}

static const char *text(struct json_object *of, const char *key)
{
	return json_object_get_string(get(of, key));
}

static size_t count(struct json_object *of, const char *key)
{
	return json_object_array_length(get(of, key));
}

static struct json_object *item(struct json_object *of, const char *key, size_t i)
{
	ck_assert_uint_lt(i, count(of, key));
	return json_object_array_get_idx(get(of, key), i);
}

START_TEST(a_topic_is_told_with_its_rings)
{
	struct kickmsg_sample held;

	http_start("");
	struct kickmsg_client *client = flow_client("the worker");
	struct kickmsg_publisher *publisher = flow_advertise(client, "a b", &small);
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, "a b");
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(kickmsg_send(publisher, "xyz", 3), 3);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &held), 0);
	struct json_object *topic = fetch("/topic.json?name=kickmsg:a%2520b");
	ck_assert_str_eq(text(topic, "name"), "kickmsg:a%20b");
	ck_assert_str_eq(text(topic, "kind"), "topic");
	ck_assert_int_eq(number(topic, "sent"), 6);
	ck_assert_int_eq(number(topic, "sent_bytes"), 18);
	ck_assert_int_eq(number(topic, "received"), 1);
	ck_assert_int_eq(number(topic, "lost"), 2);
	ck_assert_int_eq(number(topic, "ring_capacity"), 4);
	ck_assert_int_eq(number(topic, "pool_size"), 64);
	/* three messages wait in the ring, one is held */
	ck_assert_int_eq(number(topic, "free_slots"), 60);
	ck_assert_int_eq(number(topic, "endpoints_left_out"), 0);
	ck_assert_uint_eq(count(topic, "endpoints"), 2);
	struct json_object *ring = item(topic, "endpoints", 0);
	ck_assert_str_eq(text(ring, "role"), "subscriber");
	ck_assert_str_eq(text(ring, "client"), "the%20worker");
	ck_assert_int_eq(number(ring, "pid"), getpid());
	ck_assert_int_eq(number(ring, "uid"), getuid());
	ck_assert_int_eq(number(ring, "written"), 6);
	ck_assert_int_eq(number(ring, "waiting"), 3);
	ck_assert_int_eq(number(ring, "lost"), 2);
	struct json_object *sender = item(topic, "endpoints", 1);
	ck_assert_str_eq(text(sender, "role"), "publisher");
	ck_assert_int_eq(number(sender, "sent"), 6);
	ck_assert_int_eq(number(sender, "sent_bytes"), 18);
	json_object_put(topic);
	ck_assert_int_eq(kickmsg_sample_release(&held), 0);
	kickmsg_client_free(client);
	ck_assert(
		test_wait_until(http_get("/topic.json?name=kickmsg:a%2520b") == 404, FLOW_WAIT_MS));
	/* the sums keep what a topic had when the topic is gone */
	struct json_object *status = fetch("/status.json");
	ck_assert_int_eq(number(status, "sent"), 6);
	ck_assert_int_eq(number(status, "sent_bytes"), 18);
	ck_assert_int_eq(number(status, "lost"), 2);
	ck_assert_int_eq(number(status, "topics"), 0);
	ck_assert_int_eq(number(status, "max_topics"), 4096);
	ck_assert_int_eq(number(status, "pid"), broker.pid);
	ck_assert_str_eq(text(status, "config_error"), "");
	json_object_put(status);
	flow_stop();
}
END_TEST

START_TEST(topics_come_in_pages)
{
	static const char *const names[] = { "a", "b", "c" };
	char next[64], all[64];
	int64_t ids[3];

	http_start("listed_topics = 1\n");
	struct kickmsg_client *client = flow_client("worker");
	for (int i = 0; i < 3; i++)
		flow_advertise(client, names[i], &small);
	struct json_object *page = fetch("/topics.json?n=2");
	ck_assert_uint_eq(count(page, "topics"), 2);
	for (size_t i = 0; i < 2; i++)
		ids[i] = number(item(page, "topics", i), "id");
	ck_assert_int_eq(number(page, "next"), ids[1]);
	/* a topic that goes between two pages doesn't shift the rest */
	ck_assert_int_eq(flow_ctl(all, sizeof all, "unlink", "a", NULL), 0);
	snprintf(next, sizeof next, "/topics.json?after=%d&n=2", (int)ids[1]);
	json_object_put(page);
	page = fetch(next);
	ck_assert_uint_eq(count(page, "topics"), 1);
	ids[2] = number(item(page, "topics", 0), "id");
	ck_assert_str_eq(text(item(page, "topics", 0), "name"), "kickmsg:c");
	ck_assert_int_eq(number(page, "next"), 0);
	json_object_put(page);
	page = fetch("/topics.json");
	ck_assert_uint_eq(count(page, "topics"), 3);
	ck_assert(!json_object_object_get_ex(item(page, "topics", 0), "endpoints", NULL));
	json_object_put(page);
	/* topics are asked for by id, in any order; an id that isn't there is left out */
	snprintf(all, sizeof all, "/topics.json?ids=%d,999999,%d", (int)ids[2], (int)ids[1]);
	page = fetch(all);
	ck_assert_uint_eq(count(page, "topics"), 2);
	ck_assert_str_eq(text(item(page, "topics", 0), "name"), "kickmsg:b");
	ck_assert_str_eq(text(item(page, "topics", 1), "name"), "kickmsg:c");
	ck_assert_uint_eq(count(item(page, "topics", 0), "endpoints"), 1);
	json_object_put(page);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

/* A document lists a bounded number of publishers and subscribers; the rest is counted. */
START_TEST(endpoints_are_bounded)
{
	http_start("");
	struct kickmsg_client *client = flow_client("worker");
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", &wide);
	/* a client may have 256 endpoints */
	struct kickmsg_client *other = flow_client("other");
	for (int i = 0; i < CROWD; i++)
		flow_subscribe(i % 2 ? client : other, "t");
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	struct json_object *topic = fetch("/topic.json?name=kickmsg:t");
	ck_assert_str_eq(text(topic, "transport"), "shared");
	ck_assert_int_eq(number(topic, "subscribers"), CROWD);
	ck_assert_uint_eq(count(topic, "endpoints"), TOLD + 1);
	ck_assert_int_eq(number(topic, "endpoints_left_out"), CROWD - TOLD);
	ck_assert_int_eq(number(item(topic, "endpoints", 0), "waiting"), 1);
	ck_assert(get(item(topic, "endpoints", 0), "ring") == NULL);
	json_object_put(topic);
	kickmsg_client_free(other);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

/* Texts of clients are data, even if they look like JSON or HTML. */
START_TEST(texts_are_escaped)
{
	static const char bad[] = "<img src=x onerror=\"a\\b\">\n\x01\x7f\xff";
	struct kickmsg_schema schema = { .version = 7, .identity[0] = 1 };

	http_start("");
	memset(schema.name, '"', sizeof schema.name - 1);
	memcpy(schema.name, bad, sizeof bad - 1);
	struct kickmsg_topic_config config = small;
	config.schema = &schema;
	struct kickmsg_client *client = flow_client("<img src=x onerror=alert(1)>\"\\");
	flow_advertise(client, "</script><b>\"", &config);
	struct json_object *topics = fetch("/topics.json");
	const char *name = text(item(topics, "topics", 0), "name");
	ck_assert_str_eq(name, "kickmsg:%3C/script%3E%3Cb%3E%22");
	struct json_object *topic = fetch(
		"/topic.json?name=kickmsg:%253C/script%253E%253Cb%253E%2522");
	const char *shown = text(get(topic, "schema"), "name");
	ck_assert_uint_eq(strlen(shown), sizeof schema.name - 1);
	ck_assert_int_eq(strncmp(shown, "<img src=x onerror=\"a\\b\">????", 29), 0);
	ck_assert_int_eq(number(get(topic, "schema"), "version"), 7);
	ck_assert_str_eq(
		text(topic, "creator"), "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%22%5C");
	json_object_put(topics);
	json_object_put(topic);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

START_TEST(bad_requests_get_their_status)
{
	static const char *const bad[] = { "/topics.json?n=0", "/topics.json?n=1001",
		"/topics.json?n=", "/topics.json?n=-1", "/topics.json?n=1x", "/topics.json?n=1,2",
		"/topics.json?after=99999999999999999999999", "/topics.json?after=1&after=2",
		"/topics.json?x=1", "/topics.json?n", "/topics.json?ids=", "/topics.json?ids=1,",
		"/topics.json?ids=,1", "/topics.json?ids=0", "/topics.json?ids=1&n=2",
		"/topics.json?ids=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,"
		"25,"
		"26,27,28,29,30,31,32,33",
		"/topic.json", "/topic.json?name=", "/topic.json?name=t",
		"/topic.json?name=:", "/topic.json?name=a:", "/topic.json?name=:a",
		"/topic.json?name=a:b:c", "/topic.json?name=topic:a:b",
		"/topic.json?name=mailbox:a:b", "/topic.json?name=channel:a:b:c",
		"/topic.json?name=a:b&name=c:d", "/topic.json?name=a:%3Cb",
		"/topic.json?name=a:b%00c%00", "/topic.json?id=1" };
	static const char *const unknown[] = { "/topic.json?name=kickmsg:t",
		"/topic.json?name=channel:a:b", "/topic.json?name=mailbox:a:b:c",
		"/topic.json?name=service:a:b", "/status", "/topics", "/index.html",
		"/%2e%2e/etc/passwd" };
	static const char *const others[] = { "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE",
		"PATCH" };
	char long_name[3000], ask[128];

	http_start("");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int status = http_get(bad[i]);

		/* a text ends at a byte 0, so one of these names a topic that isn't there */
		ck_assert_msg(status == 400 || (status == 404 && strstr(bad[i], "%00")), "%s: %d",
			bad[i], status);
	}
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
		ck_assert_msg(http_get(unknown[i]) == 404, "%s: %s", unknown[i], http_answer);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		snprintf(ask, sizeof ask, "%s /topics.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
			others[i]);
		ck_assert_msg(http_ask(ask) == 405, "%s: %s", others[i], http_answer);
		ck_assert_ptr_nonnull(strstr(http_answer, "\r\nAllow: GET\r\n"));
	}
	memset(long_name, 'a', sizeof long_name - 1);
	memcpy(long_name, "/topic.json?name=p:", 19);
	long_name[sizeof long_name - 1] = '\0';
	ck_assert_int_eq(http_get(long_name), 400);
	ck_assert_int_eq(http_get("/status.json"), 200);
	flow_stop();
}
END_TEST

/* A page from elsewhere may have its own name resolve to this host: requests by that name are
 * refused. */
START_TEST(other_hosts_names_are_refused)
{
	static const char *const paths[] = { "/", "/status.json", "/topics.json",
		"/topic.json?name=a:b" };
	static const char *const hosts[] = { "evil.example", "localhost.evil.example",
		"evil.example:80", "127.0.0.1.evil.example", "127.1", "" };
	char ask[256];

	http_start("");
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		for (size_t k = 0; k < sizeof hosts / sizeof hosts[0]; k++) {
			snprintf(ask, sizeof ask, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", paths[i],
				hosts[k]);
			ck_assert_msg(http_ask(ask) == 403, "%s: %s", ask, http_answer);
		}
	ck_assert_int_eq(
		http_ask("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n"), 403);
	ck_assert_int_eq(http_ask("GET / HTTP/1.1\r\nHost: [::1]:9470\r\n\r\n"), 200);
	flow_stop();
}
END_TEST

START_TEST(each_answer_has_its_headers)
{
	static const char *const paths[] = { "/", "/status.json", "/topics.json", "/metrics",
		"/healthz", "/nothing", "/topics.json?n=0" };
	static const char *const headers[] = { "X-Content-Type-Options: nosniff",
		"Referrer-Policy: no-referrer", "Cache-Control: no-store",
		"Content-Security-Policy: default-src 'none'; ",
		"Cross-Origin-Resource-Policy: same-origin" };
	char line[128];

	http_start("");
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		http_get(paths[i]);
		for (size_t k = 0; k < sizeof headers / sizeof headers[0]; k++) {
			snprintf(line, sizeof line, "\r\n%s", headers[k]);
			ck_assert_msg(strstr(http_answer, line), "%s: %s", paths[i], headers[k]);
		}
		ck_assert_ptr_null(strstr(http_answer, "Access-Control"));
	}
	ck_assert_int_eq(http_get("/"), 200);
	ck_assert_ptr_nonnull(
		strstr(http_answer, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
	ck_assert_ptr_null(strstr(http_answer, "unsafe-inline"));
	/* the page is one document, which loads no other */
	ck_assert_int_eq(strncmp(body(), "<!DOCTYPE html>", 15), 0);
	ck_assert_ptr_null(strstr(body(), "href=\"http"));
	ck_assert_ptr_null(strstr(body(), " src="));
	ck_assert_ptr_null(strstr(body(), "https:"));
	flow_stop();
}
END_TEST

static void churn(void *unused)
{
	struct kickmsg_client *client = flow_client("churn");

	test_child_ready();
	for (;;) {
		struct kickmsg_publisher *publisher = flow_advertise(client, "t", &small);

		kickmsg_send(publisher, "x", 1);
		kickmsg_publisher_free(publisher);
	}
}

/* Many requests ask for a topic that comes and goes, and some clients don't wait for their
 * answer. */
START_TEST(askers_may_leave_and_topics_may_end)
{
	static const char ask[] =
		"GET /topic.json?name=kickmsg:t HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int fds[8], found = 0;

	http_start("");
	pid_t child = test_child_start(churn, NULL);
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
			ck_assert_int_ge(fds[i] = http_connect(), 0);
			send(fds[i], ask, sizeof ask - 1, MSG_NOSIGNAL);
		}
		for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
			close(fds[i]);
		int status = http_get("/topic.json?name=kickmsg:t");
		ck_assert_msg(status == 200 || status == 404, "%d", status);
		found += status == 200;
		json_object_put(fetch("/topics.json"));
	}
	ck_assert_int_gt(found, 0);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	test_child_end(child, 0);
	ck_assert(test_wait_until(http_get("/topic.json?name=kickmsg:t") == 404, FLOW_WAIT_MS));
	flow_stop();
}
END_TEST

struct keys {
	char keys[KEYS][KEY_SIZE];
	size_t count;
};

static bool has(const struct keys *keys, const char *key)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->keys[i], key) == 0)
			return true;
	return false;
}

static void add(struct keys *keys, const char *key)
{
	if (has(keys, key))
		return;
	ck_assert_uint_lt(keys->count, KEYS);
	snprintf(keys->keys[keys->count++], KEY_SIZE, "%s", key);
}

static void collect(struct json_object *value, struct keys *ret)
{
	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, key, inner)
		{
			add(ret, key);
			collect(inner, ret);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			collect(json_object_array_get_idx(value, i), ret);
	}
}

/* Returns the words between '_' that the manual has in the paragraph of that path, and in the
 * paragraph for all paths. */
static void documented(const char *path, struct keys *ret)
{
	static char page[65536];
	char head[64];
	FILE *file = fopen(TEST_MAN_PAGE, "r");

	ck_assert_ptr_nonnull(file);
	page[fread(page, 1, sizeof page - 1, file)] = '\0';
	fclose(file);
	snprintf(head, sizeof head, "\n*%s*\n\t", path);
	char *begin = strstr(page, head);
	ck_assert_msg(begin != NULL, "kickmsgd(8) has no %s", path);
	begin += strlen(head);
	*strstr(begin, "\n\n") = '\0';
	for (char *word = strtok(begin, " \t\n"); word; word = strtok(NULL, " \t\n")) {
		char *end = strrchr(word, '_');

		if (*word != '_' || end == word)
			continue;
		*end = '\0';
		add(ret, word + 1);
	}
}

static void compare(const char *path, struct json_object *document)
{
	struct keys told = { .count = 0 }, known = { .count = 0 };

	collect(document, &told);
	documented(path, &known);
	for (size_t i = 0; i < told.count; i++)
		ck_assert_msg(has(&known, told.keys[i]), "%s: %s isn't in kickmsgd(8)", path,
			told.keys[i]);
	for (size_t i = 0; i < known.count; i++)
		ck_assert_msg(has(&told, known.keys[i]), "%s: kickmsgd(8) promises %s", path,
			known.keys[i]);
	json_object_put(document);
}

START_TEST(keys_are_those_of_the_manual)
{
	struct kickmsg_schema schema = { .version = 1, .identity[0] = 1, .name = "s" };
	struct kickmsg_topic_config config = small;

	http_start("");
	config.schema = &schema;
	struct kickmsg_client *client = flow_client("worker");
	flow_advertise(client, "t", &config);
	flow_subscribe(client, "t");
	compare("/status.json", fetch("/status.json"));
	struct json_object *topics = fetch("/topics.json");
	char ids[64];
	snprintf(ids, sizeof ids, "/topics.json?ids=%d",
		(int)number(item(topics, "topics", 0), "id"));
	json_object_put(topics);
	compare("/topics.json", fetch(ids));
	compare("/topic.json", fetch("/topic.json?name=kickmsg:t"));
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-json");
	TCase *tc = tcase_create("flow-json");

	tcase_set_timeout(tc, 90);
	tcase_add_checked_fixture(tc, http_setup, http_teardown);
	tcase_add_test(tc, a_topic_is_told_with_its_rings);
	tcase_add_test(tc, topics_come_in_pages);
	tcase_add_test(tc, endpoints_are_bounded);
	tcase_add_test(tc, texts_are_escaped);
	tcase_add_test(tc, bad_requests_get_their_status);
	tcase_add_test(tc, other_hosts_names_are_refused);
	tcase_add_test(tc, each_answer_has_its_headers);
	tcase_add_test(tc, askers_may_leave_and_topics_may_end);
	tcase_add_test(tc, keys_are_those_of_the_manual);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
