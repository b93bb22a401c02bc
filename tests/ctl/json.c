/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of kickmsgctl's JSON are those that the man page's section JSON KEYS has, and no others. */
#include <ctype.h>

#include "libclient/kickmsg-service.h"
#include "tests/support/broker/ctl.h"

enum { KEYS = 256, KEY_SIZE = 40 };

/* A set of keys. */
struct keys {
	char keys[KEYS][KEY_SIZE];
	size_t count;
};

static char page[65536];

static bool has(const struct keys *keys, const char *key)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->keys[i], key) == 0)
			return true;
	return false;
}

static void add(struct keys *keys, const char *key, size_t len)
{
	char copy[KEY_SIZE];

	ck_assert_uint_lt(len, sizeof copy);
	memcpy(copy, key, len);
	copy[len] = '\0';
	if (has(keys, copy))
		return;
	ck_assert_uint_lt(keys->count, KEYS);
	strcpy(keys->keys[keys->count++], copy);
}

/* Collects all keys of a value, at any depth. */
static void collect(struct json_object *value, struct keys *ret)
{
	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, key, inner)
		{
			add(ret, key, strlen(key));
			collect(inner, ret);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			collect(json_object_array_get_idx(value, i), ret);
	}
}

static void read_page(void)
{
	FILE *file = fopen(TEST_MAN_PAGE, "r");

	ck_assert_ptr_nonnull(file);
	page[fread(page, 1, sizeof page - 1, file)] = '\0';
	fclose(file);
	char *begin = strstr(page, "\n# JSON KEYS\n");
	ck_assert_ptr_nonnull(begin);
	memmove(page, begin + 2, strlen(begin + 2) + 1);
	char *end = strstr(page, "\n# ");
	ck_assert_ptr_nonnull(end);
	end[1] = '\0';
}

/* Finds the keys that the page has for this verb: words between '_' in the lines below *VERB*.
 * The keys of another verb that is named there count too. */
static void documented(const char *verb, struct keys *ret)
{
	char head[64], word[KEY_SIZE];

	snprintf(head, sizeof head, "*%s*", verb);
	const char *line = page;
	while ((line = strchr(line, '\n'))) {
		line++;
		const char *end = strchrnul(line, '\n');
		const char *at = *line == '*' ? strstr(line, head) : NULL;

		if (at && at < end && end[1] == '\t')
			break;
	}
	ck_assert_msg(line != NULL, "JSON KEYS has no %s", verb);
	line = strchr(line, '\n') + 1;
	for (; *line == '\t'; line = strchr(line, '\n') + 1) {
		const char *end = strchr(line, '\n');

		for (const char *at = line; at < end; at++) {
			const char *stop;

			if (*at != '_' && *at != '*')
				continue;
			for (stop = at + 1; stop < end && !(*stop == *at && !isalnum(stop[1]));
				stop++)
				;
			ck_assert_uint_lt((size_t)(stop - at), sizeof word);
			if (*at == '_') {
				add(ret, at + 1, (size_t)(stop - at - 1));
			} else if (at[1] != '-') {
				memcpy(word, at + 1, (size_t)(stop - at - 1));
				word[stop - at - 1] = '\0';
				documented(word, ret);
			}
			at = stop;
		}
	}
}

/* Finds the keys in the paragraph that begins so. */
static void documented_in_paragraph(const char *begin, struct keys *ret)
{
	const char *at = strstr(page, begin), *stop;

	ck_assert_msg(at != NULL, "JSON KEYS has no '%s'", begin);
	for (const char *end = strstr(at, "\n\n"); (at = strchr(at, '_')) && at < end;
		at = stop + 1) {
		for (stop = at + 1; !(*stop == '_' && !isalnum(stop[1])); stop++)
			ck_assert(stop < end);
		add(ret, at + 1, (size_t)(stop - at - 1));
	}
}

/* Takes a document of this verb. With `all`, each key that is documented must be in the
 * documents. */
static void check(struct keys *seen, struct json_object *document)
{
	collect(document, seen);
	json_object_put(document);
}

static void check_verb(const char *verb, const struct keys *seen, bool all)
{
	static const char *const common[] = { "verb", "ok", "topics", "name", "topic", "prefix",
		"kind", "owner", "healthy", "errno", "error" };
	struct keys said = { 0 };

	documented(verb, &said);
	for (size_t i = 0; all && i < said.count; i++)
		ck_assert_msg(
			has(seen, said.keys[i]), "%s: '%s' is never there", verb, said.keys[i]);
	for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
		add(&said, common[i], strlen(common[i]));
	for (size_t i = 0; i < seen->count; i++)
		ck_assert_msg(has(&said, seen->keys[i]), "%s: '%s' isn't documented", verb,
			seen->keys[i]);
}

/* Takes what the last run has printed: an object a line, and lines for people. */
static void check_lines(const char *begin)
{
	struct keys seen = { 0 }, said = { 0 };
	char *rest = NULL;

	for (char *line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (*line == '{')
			check(&seen, json_tokener_parse(line));
	documented_in_paragraph(begin, &said);
	for (size_t i = 0; i < seen.count; i++)
		ck_assert_msg(
			has(&said, seen.keys[i]), "%s: '%s' isn't documented", begin, seen.keys[i]);
	for (size_t i = 0; i < said.count; i++)
		ck_assert_msg(
			has(&seen, said.keys[i]), "%s: '%s' is never there", begin, said.keys[i]);
}

static void send_for_ever(void *unused)
{
	struct kickmsg_topic_config config = small;

	config.transport = KICKMSG_TRANSPORT_SHARED;
	config.timestamps = 1;
	struct kickmsg_publisher *mine = flow_advertise(flow_client("steady"), "h", &config);

	test_child_ready();
	for (;;) {
		kickmsg_send(mine, "x", 1);
		test_nap();
	}
}

static void die_with_a_loan(void *unused)
{
	struct kickmsg_client *mine = flow_client("victim");
	void *payload;

	ck_assert_int_eq(kickmsg_loan(flow_advertise(mine, "t", NULL), 1, &payload), 0);
	test_child_ready();
	pause();
}

START_TEST(keys_are_those_of_the_page)
{
	struct kickmsg_schema schema = { .version = 1, .name = "point" };
	struct kickmsg_topic_config config = small;
	struct keys seen = { 0 };

	read_page();
	test_broker_start(&broker, "[recovery]\nautomatic = no\n");
	client = flow_client("worker");
	config.schema = &schema;
	flow_advertise(client, "t", &small);
	subscriber = flow_subscribe(client, "t");
	flow_advertise(client, "s", &config);

	check(&seen, json(0, "list", "-o", "+rate", NULL));
	check_verb("list", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "info", "t", NULL));
	check_verb("info", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "find", "*", NULL));
	check_verb("find", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "status", NULL));
	check_verb("status", &seen, false);
	seen.count = 0;
	check(&seen, json(0, "client", "worker", NULL));
	check_verb("client", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "stats", NULL));
	check(&seen, json(0, "stats", "--watch", "-n", "1", "-i", "0.01", NULL));
	check_verb("stats", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "clients", NULL));
	check_verb("clients", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "schema", NULL));
	check_verb("schema", &seen, true);
	check(&seen, json(0, "schema-diff", "s", "s", NULL));
	check_verb("schema-diff", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "config", NULL));
	check_verb("config", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "top", "-n", "1", NULL));
	check_verb("top", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "rights", "t", NULL));
	check_verb("rights", &seen, geteuid() == 0);
	seen.count = 0;
	check(&seen, json(0, "log-level", NULL));
	check_verb("log-level", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "unlink", "s", NULL));
	check_verb("unlink", &seen, true);

	seen.count = 0;
	pid_t child = test_child_start(send_for_ever, NULL);
	check(&seen, json(0, "hz", "h", "-n", "3", NULL));
	check_verb("hz", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "bw", "h", "-n", "3", NULL));
	check_verb("bw", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "delay", "h", "-n", "3", NULL));
	check_verb("delay", &seen, true);
	char file[128];
	snprintf(file, sizeof file, "%s/out.mcap", broker.dir);
	seen.count = 0;
	check(&seen, json(0, "record", "h", "-n", "3", "-o", file, NULL));
	check_verb("record", &seen, true);
	seen.count = 0;
	check(&seen, json(0, "play", file, "--rate", "1000000", NULL));
	check_verb("play", &seen, true);
	ck_assert_int_eq(unlink(file), 0);
	test_child_end(child, SIGKILL);

	test_child_end(test_child_start(die_with_a_loan, NULL), SIGKILL);
	struct keys found;
	do {
		found = (struct keys){ 0 };
		int status = flow_ctl(output, sizeof output, "diagnose", "t", "--json");
		ck_assert(status == 0 || status == 1);
		check(&found, json_tokener_parse(output));
		test_nap();
	} while (!has(&found, "owner_alive") || !has(&found, "slot"));
	check_verb("diagnose", &found, false);
	seen.count = 0;
	check(&seen, json(0, "recover", "t", NULL));
	check_verb("recover", &seen, true);
	check_verb("repair", &seen, false);
	static const char *const repairs[] = { "repair", "reset-rings", "reclaim" };
	for (size_t i = 0; i < sizeof repairs / sizeof repairs[0]; i++) {
		seen.count = 0;
		check(&seen, json(0, repairs[i], "t", NULL));
		check_verb(repairs[i], &seen, true);
	}
	seen.count = 0;
	check(&seen, json(1, "info", "nowhere", NULL));
	check_verb("unlink", &seen, false); /* the keys of an error are the common ones */
	stop();
}
END_TEST

static void serve_for_ever(void *unused)
{
	struct kickmsg_client *mine = flow_client("busy");
	struct kickmsg_service_config how;
	struct kickmsg_request request;
	struct kickmsg_server *server;

	kickmsg_service_config_init(&how);
	ck_assert_int_eq(kickmsg_serve(mine, "svc", &how, &server), 0);
	test_child_ready();
	for (;;)
		if (kickmsg_take_request(server, 10000000, &request) == 0)
			kickmsg_reply(&request, "y", 1);
		else
			kickmsg_publisher_free(flow_advertise(mine, "seen", NULL));
}

START_TEST(lines_have_the_keys_of_the_page)
{
	struct keys seen = { 0 };
	char both[sizeof output];

	read_page();
	test_broker_start(&broker, NULL);
	client = flow_client("worker");
	pid_t sends = test_child_start(send_for_ever, NULL);
	pid_t serves = test_child_start(serve_for_ever, NULL);
	check(&seen, json(0, "services", "svc", NULL));
	check_verb("services", &seen, true);
	expect(0, "echo", "h", "-n", "1", "--json", NULL);
	strcpy(both, output);
	expect(0, "echo", "h", "-n", "1", "--json", "--base64", NULL);
	strcat(both, output);
	expect(0, "call", "svc", "x", "--json", NULL);
	strcat(both, output);
	strcpy(output, both);
	check_lines("\n*echo* prints an object");
	test_child_end(sends, SIGKILL);
	test_child_end(serves, SIGKILL);
	stop();
}
END_TEST

START_TEST(each_verb_that_prints_json_is_on_the_page)
{
	static const char *const others[] = { "pub", "reload", "evict", "completion", "help" };
	char word[64];

	read_page();
	test_broker_start(&broker, NULL);
	for (char **verb = all_verbs(); *verb; verb++) {
		bool is_other = false;

		for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
			is_other |= strcmp(others[i], *verb) == 0;
		snprintf(word, sizeof word, "*%s*", *verb);
		ck_assert_msg(is_other || strstr(page, word), "JSON KEYS has no %s", *verb);
	}
	test_broker_stop(&broker);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-json");
	TCase *tc = tcase_create("ctl-json");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, keys_are_those_of_the_page);
	tcase_add_test(tc, lines_have_the_keys_of_the_page);
	tcase_add_test(tc, each_verb_that_prints_json_is_on_the_page);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
