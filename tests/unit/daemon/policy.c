/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [topic PATTERN] rules: what can be written, what a pattern is for, which rule decides, for whom.
 *
 * The file is long because it is a list: one short case for each kind of rule.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/protocol/name.h"
#include "daemon/run/config_load.h"
#include "tests/support/broker/fixture.h"

#define SELF  4000
#define ADMIN 4001
#define OWNER 1000
#define OTHER 1001

static struct km_config config;
static char path[64], said[512];

/* Reads the file at `path` over what there is. */
static int read_more(void)
{
	struct km_config_load reading;
	int r = km_config_load_begin(&reading, &config, path, said, sizeof said);

	ck_assert_int_eq(r, 0);
	do
		r = km_config_load_some(&reading, said, sizeof said);
	while (r > 0);
	km_config_load_end(&reading);
	return r;
}

/* Reads this text as a config file named `path`. */
static int load(const char *text)
{
	int fd = memfd_create("config", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	km_config_init(&config);
	int r = read_more();
	config.policy.self = SELF;
	config.policy.admin_group = ADMIN;
	close(fd);
	return r;
}

static void load_good(const char *text)
{
	ck_assert_msg(load(text) == 0, "%s", said);
}

static const gid_t *groups;
static size_t group_count;

/* The line of the rule that decides, 0: the default; negative: it refuses. */
static int decision(enum km_right right, uint32_t kind, const char *name, uid_t uid)
{
	struct km_peer peer = {
		.uid = uid, .gid = uid, .groups = groups, .group_count = group_count
	};
	const char *colon = strchr(name, ':');
	char prefix[64];

	ck_assert_ptr_nonnull(colon);
	snprintf(prefix, sizeof prefix, "%.*s", (int)(colon - name), name);
	struct km_object object = {
		.kind = kind, .prefix = prefix, .name = colon + 1, .owner = OWNER
	};
	struct km_verdict verdict = km_policy_judge(&config.policy, right, &object, &peer);
	int line = (int)verdict.origin.line;

	if (verdict.origin.file)
		ck_assert_str_eq(verdict.origin.file, path);
	else
		ck_assert_int_eq(line, 0);
	return verdict.allowed ? line : -1 - line;
}
#define REFUSED_BY(line) (-1 - (line))

static int publishing(const char *name, uid_t uid)
{
	return decision(KM_RIGHT_PUBLISH, KM_KIND_PUBSUB, name, uid);
}

static const struct {
	const char *text;
	unsigned line;
	const char *says;
} wrong[] = {
	{ "[topic]\n", 1, "'' is not * or PREFIX:NAME" },
	{ "\n[topic ]\n", 2, "'' is not" },
	/* a name without its prefix: what it may have been meant for, each as it is to be written */
	{ "[topic pose]\npublish = none\n", 1,
		"[topic pose] doesn't say of which prefix: "
		"[topic kickmsg:pose] is for what has that name and the default prefix, "
		"[topic *:pose] for all prefixes" },
	{ "[topic robot/*]\npublish = root\n", 1, "[topic kickmsg:robot/*] is for" },
	{ "[topic robot/*]\npublish = root\n", 1, "[topic *:robot/*] for all prefixes" },
	{ "[topic robot/*]\npublish = root\n", 1, "[topic robot:*] for '*' of the prefix 'robot'" },
	{ "[topic kickmsg/a/b]\n", 1, "[topic kickmsg:a/b] for 'a/b' of the prefix 'kickmsg'" },
	{ "[topic **]\n", 1, "doesn't say of which prefix" },
	{ "[topic /pose]\n", 1, "doesn't say of which prefix" },
	{ "[topic channel:x]\n", 1,
		"two ways: [topic channel:*:x] is for that kind and all prefixes, "
		"[topic *:channel:x] for the prefix 'channel'" },
	{ "[topic mailbox:*]\n", 1, "[topic mailbox:*:*:*] is for that kind" },
	{ "[topic topic:*]\n", 1, "[topic *:topic:*] for the prefix 'topic'" },
	{ "[topic kickmsg:]\n", 1, "'kickmsg:' has an empty part" },
	{ "[topic kickmsg:/]\n", 1, "'kickmsg:/' has an empty part" },
	{ "[topic :x]\n", 1, "':x' has an empty part" },
	{ "[topic a:b c]\n", 1, "'a:b c' has a blank, which a name has as %20" },
	{ "[topic a:b ]\n", 1, "has a blank" },
	{ "[topic a:100%]\n", 1, "has a '%' without" },
	{ "[topic a:%0]\n", 1, "has a '%' without" },
	{ "[topic a:%00]\n", 1, "has a '%' without" },
	{ "[topic 0123456789012345678901234567890123456789012345678901234567890123:x]\n", 1,
		"is longer than any name" },
	{ "[topic "
	  "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
	  ":*]\n",
		1, "is longer than any name" },
	{ "[topic chanel:a:b]\npublish = none\n", 1,
		"'chanel:' is not topic:, channel:, mailbox:, service: or *:" },
	{ "[topic mailbox:a:b]\n", 1, "write topic:PREFIX:NAME" },
	{ "[topic channel:a:b:c]\n", 1, "write topic:PREFIX:NAME" },
	{ "[topic *:a:b:c]\n", 1, "write topic:PREFIX:NAME" },
	{ "[topic mailbox:a:b:c:d]\n", 1, "is not * or PREFIX:NAME" },
	{ "[topic a:b]\npublish = root\npublish = everyone\n", 3,
		"publish is said twice in one section, before in line 2" },
	{ "[topics a:b]\npublish = none\n", 1, "no section [topics a:b]" },
	{ "[limitz]\n", 1, "no section [limitz]" },
	{ "[topic a:b] publish = none\n", 1, "behind the section" },
	{ "[limits] topics = 3\n", 1, "behind the section" },
	{ " [topic a:b]\npublish = none\n", 1, "begins with a blank" },
	{ "[topic a:b]\npublish = 1,\n 2\n", 3, "begins with a blank" },
	{ "[topic a:b]\npublic = none\n", 2, "no key 'public'" },
	{ "[topic a:b]\npublish =\n", 2, "nobody is named" },
	{ "[topic a:b]\npublish = ,\n", 2, "nobody is named" },
	{ "[topic a:b]\n\npublish = none, 3\n", 3, "stand alone" },
	{ "[topic a:b]\nsubscribe = root everyone\n", 2, "stand alone" },
	{ "[topic a:b]\ncreate = owner\n", 2, "has none" },
	{ "[topic a:b]\npublish = km-no-such-user\n", 2, "no user 'km-no-such-user'" },
	{ "[topic a:b]\npublish = @km-no-such-group\n", 2, "no group 'km-no-such-group'" },
	{ "[topic a:b]\npublish = @\n", 2, "no group ''" },
	{ "[topic a:b]\npublish = 12x\n", 2, "'12x' is not a user's number" },
	{ "[topic a:b]\npublish = 4294967295\n", 2, "not a user's number" },
	{ "[topic a:b]\npublish = @99999999999999999999\n", 2, "not a group's number" },
};

START_TEST(load_wrong_rule_says_what_and_where)
{
	char where[96];

	ck_assert_int_eq(load(wrong[_i].text), -EINVAL);
	snprintf(where, sizeof where, "%s:%u: ", path, wrong[_i].line);
	ck_assert_msg(strncmp(said, where, strlen(where)) == 0, "%s, not %s", said, where);
	ck_assert_msg(strstr(said, wrong[_i].says), "%s doesn't say %s", said, wrong[_i].says);
	km_config_deinit(&config);
}
END_TEST

START_TEST(load_byte_order_mark_and_comments_are_no_part)
{
	load_good("\xef\xbb\xbf[topic a:b] ; comment\n  # another one\npublish = none\n");
	ck_assert_int_eq(publishing("a:b", OTHER), REFUSED_BY(3));
	km_config_deinit(&config);
}
END_TEST

START_TEST(allows_no_rule_everyone_but_administer)
{
	load_good("");
	for (int right = KM_RIGHT_CREATE; right < KM_RIGHT_ADMINISTER; right++)
		ck_assert_int_eq(decision((enum km_right)right, KM_KIND_PUBSUB, "a:b", OTHER), 0);
	for (uid_t uid = OWNER; uid <= OTHER; uid++)
		ck_assert_int_eq(decision(KM_RIGHT_ADMINISTER, KM_KIND_PUBSUB, "a:b", uid),
			uid == OWNER ? 0 : REFUSED_BY(0));
	km_config_deinit(&config);
}
END_TEST

static const struct {
	const char *pattern;
	uint32_t kind;
	const char *name;
	bool matches;
} patterns[] = {
	{ "*", KM_KIND_PUBSUB, "a:b", true },
	{ "*", KM_KIND_MAILBOX, "a:b:c", true },
	{ "a:b", KM_KIND_PUBSUB, "a:b", true },
	{ "a:b", KM_KIND_BROADCAST, "a:b", true },
	{ "*:a:b", KM_KIND_BROADCAST, "a:b", true },
	{ "a:b", KM_KIND_PUBSUB, "a:bb", false },
	{ "a:b", KM_KIND_PUBSUB, "aa:b", false },
	{ "*:b", KM_KIND_PUBSUB, "x.y:b", true },
	{ "*:b", KM_KIND_MAILBOX, "a:c:b", false }, /* no prefix has a ':' */
	{ "a:*", KM_KIND_PUBSUB, "ab:c", false },
	{ "a:?", KM_KIND_PUBSUB, "a:bb", false },
	{ "a:b?d", KM_KIND_PUBSUB, "a:bcd", true },
	{ "kickmsg:robot/*", KM_KIND_PUBSUB, "kickmsg:robot/cmd", true },
	{ "*:robot/*", KM_KIND_PUBSUB, "fleet/1:robot/cmd", true },
	{ "robot:*", KM_KIND_PUBSUB, "kickmsg:robot/cmd", false },
	{ "a:b/*", KM_KIND_PUBSUB, "a:b.c", false },
	{ "a:b.c", KM_KIND_PUBSUB, "a:bxc", false },
	{ "/a:///b", KM_KIND_PUBSUB, "a:b", true }, /* as in names */
	{ "a:\xc3\xbc", KM_KIND_PUBSUB, "a:%C3%BC", true },
	{ "a:%c3%bc", KM_KIND_PUBSUB, "a:%C3%BC", true },
	{ "a:%62", KM_KIND_PUBSUB, "a:b", true },
	{ "a:t?r", KM_KIND_PUBSUB, "a:t%C3%BCr", true }, /* one character */
	{ "a:t?r", KM_KIND_PUBSUB, "a:t%20r", true },
	{ "a:t??r", KM_KIND_PUBSUB, "a:t%C3%BCr", false },
	{ "a:t??r", KM_KIND_PUBSUB, "a:t%FF%FFr", true },  /* no UTF-8 */
	{ "a:*BC*", KM_KIND_PUBSUB, "a:t%C3%BCr", false }, /* a part of one isn't */
	{ "a:%2A", KM_KIND_PUBSUB, "a:b", false },
	{ "a:%2A", KM_KIND_PUBSUB, "a:%2A", true },
	{ "topic:a:b", KM_KIND_PUBSUB, "a:b", true },
	{ "topic:a:b", KM_KIND_BROADCAST, "a:b", false },
	{ "channel:*:*", KM_KIND_BROADCAST, "a:b", true },
	{ "channel:*:*", KM_KIND_PUBSUB, "a:b", false },
	{ "*:channel:b", KM_KIND_PUBSUB, "channel:b", true },
	{ "mailbox:a:b:*", KM_KIND_MAILBOX, "a:b:c", true },
	{ "mailbox:a:b:*", KM_KIND_MAILBOX, "a:bb:c", false },
	{ "mailbox:*:*:c", KM_KIND_MAILBOX, "a:b:c", true },
	{ "mailbox:*:*:*", KM_KIND_PUBSUB, "a:b", false },
	{ "a:*", KM_KIND_MAILBOX, "a:b:c", true },
	{ "a:b", KM_KIND_MAILBOX, "a:b:c", false },
	{ "a:*a*a*a*a*b", KM_KIND_PUBSUB, "a:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	/* longer than what inih takes for a section's name */
	{ "robot:a.very.long.name.of.a.topic.that.goes.on.and.on.until.its.end", KM_KIND_PUBSUB,
		"robot:a.very.long.name.of.a.topic.that.goes.on.and.on.until.its.end", true },
	{ "robot:a.very.long.name.of.a.topic.that.goes.on.and.on.until.its.end", KM_KIND_PUBSUB,
		"robot:a.very.long.name.of.a.topic.that.goes.on.and.on.until.its.enD", false },
};

START_TEST(allows_pattern_is_for_what_it_says)
{
	char text[200];

	snprintf(text, sizeof text, "[topic %s]\npublish = none\n", patterns[_i].pattern);
	load_good(text);
	int r = decision(KM_RIGHT_PUBLISH, patterns[_i].kind, patterns[_i].name, OTHER);
	ck_assert_msg(r == (patterns[_i].matches ? REFUSED_BY(2) : 0), "%s, %s: %d",
		patterns[_i].pattern, patterns[_i].name, r);
	km_config_deinit(&config);
}
END_TEST

/* If two of these patterns match, the later one in this list decides, wherever its rule stands. */
static const char *const by_weight[] = { "*", "topic:*:?????*", "k*:*", "kick*:*", "kickmsg:*",
	"kickmsg:robot*", "kickmsg:robot/arm/*", "topic:kickmsg:robot/arm/?*",
	"kickmsg:robot/arm/joint", "topic:kickmsg:robot/arm/joint" };
#define RULES ((int)(sizeof by_weight / sizeof by_weight[0]))

START_TEST(allows_most_specific_decides_in_any_order)
{
	uint64_t random = 1;
	int order[RULES];

	for (int round = 0; round < 200; round++) {
		char text[2048] = "";
		int count = 1 + (int)(fixture_random(&random) % RULES), best = 0;

		for (int i = 0; i < RULES; i++) {
			int k = (int)(fixture_random(&random) % (uint64_t)(i + 1));

			order[i] = order[k];
			order[k] = i;
		}
		for (int i = 0; i < count; i++) {
			snprintf(text + strlen(text), sizeof text - strlen(text),
				"[topic %s]\npublish = none\n", by_weight[order[i]]);
			best = order[i] > order[best] ? i : best;
		}
		load_good(text);
		ck_assert_msg(
			publishing("kickmsg:robot/arm/joint", OTHER) == REFUSED_BY(2 * best + 2),
			"%s", text);
		km_config_deinit(&config);
	}
}
END_TEST

/* Two different patterns weigh the same and both match. A peer that one of them refuses may not,
 * whichever stands last. */
START_TEST(allows_of_equal_patterns_all_must)
{
	static const char *const texts[] = {
		"[topic c:?d]\npublish = everyone\n[topic c:*d]\npublish = 1001\n",
		"[topic c:*d]\npublish = 1001\n[topic c:?d]\npublish = everyone\n",
	};

	load_good(texts[_i]);
	ck_assert_int_gt(publishing("c:xd", OTHER), 0);
	ck_assert_int_eq(publishing("c:xd", 1002), REFUSED_BY(_i == 0 ? 4 : 2));
	km_config_deinit(&config);
}
END_TEST

static void printed(char text[4096])
{
	FILE *file = fmemopen(text, 4096, "w");

	ck_assert_ptr_nonnull(file);
	km_policy_print(&config.policy, file);
	fclose(file);
}

START_TEST(print_says_what_each_rule_is_for)
{
	char text[4096], line[256];

	load_good("[topic *]\n[topic kickmsg:t\xc3\xbcr]\npublish = root, @0\n"
		  "[topic mailbox:a*:b:*]\ncreate = none\n[topic channel:p:*]\ncreate = 1\n"
		  "[topic kickmsg:t%C3%BCr]\npublish = everyone\n[topic k:x?]\ncreate = 1\n");
	printed(text);
	snprintf(
		line, sizeof line, "  publish = everyone    (%s:9, instead of %s:3)\n", path, path);
	ck_assert_msg(strstr(text, line), "no %s in %s", line, text);
	ck_assert(strstr(text, "rule for all topics, channels, mailboxes and services of all "
			       "prefixes\n"
			       "  says nothing\n"));
	ck_assert(strstr(text,
		"rule for topics, channels and services named t%C3%BCr of the prefix kickmsg\n"));
	ck_assert(strstr(text, "rule for mailboxes named b:* of the prefix a*\n"));
	ck_assert(strstr(text, "rule for all channels of the prefix p\n"));
	ck_assert(strstr(text,
		"rule for topics, channels, mailboxes and services named x? of the prefix k\n"));
	km_config_deinit(&config);
}
END_TEST

START_TEST(allows_of_equals_the_last_read)
{
	load_good("[topic a:b]\npublish = none\n[topic a:b]\npublish = everyone\n"
		  "[topic c:?d]\npublish = everyone\n[topic c:*d]\npublish = none\n");
	ck_assert_int_eq(publishing("a:b", OTHER), 4);
	ck_assert_int_eq(publishing("c:xd", OTHER), REFUSED_BY(8));
	km_config_deinit(&config);
	/* also where they stand in two files */
	load_good("[topic a:b]\npublish = none\n");
	int fd = memfd_create("second", MFD_CLOEXEC);
	ck_assert_int_gt(dprintf(fd, "\n\n[topic a:b]\npublish = 1001\n"), 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ck_assert_int_eq(read_more(), 0);
	close(fd);
	ck_assert_int_eq(publishing("a:b", OTHER), 4);
	ck_assert_int_eq(publishing("a:b", 1002), REFUSED_BY(4));
	km_config_deinit(&config);
}
END_TEST

/* A rule that says nothing of a right leaves it to the next one; one pattern twice: the second counts. */
START_TEST(allows_each_right_for_itself)
{
	load_good("[topic *]\ncreate = 1\npublish = 2\nsubscribe = 3\nadminister = 4\n"
		  "[topic a:*]\npublish = 5\n[topic a:b]\nsubscribe = 6\n[topic a:b]\nsubscribe = "
		  "7\n");
	for (uid_t uid = 1; uid <= 8; uid++) {
		static const uint32_t kind = KM_KIND_PUBSUB;

		ck_assert_int_eq(
			decision(KM_RIGHT_CREATE, kind, "a:b", uid), uid == 1 ? 2 : REFUSED_BY(2));
		ck_assert_int_eq(
			decision(KM_RIGHT_PUBLISH, kind, "a:b", uid), uid == 5 ? 7 : REFUSED_BY(7));
		ck_assert_int_eq(decision(KM_RIGHT_SUBSCRIBE, kind, "a:b", uid),
			uid == 7 ? 11 : REFUSED_BY(11));
		ck_assert_int_eq(decision(KM_RIGHT_ADMINISTER, kind, "a:b", uid),
			uid == 4 ? 5 : REFUSED_BY(5));
	}
	ck_assert_int_eq(
		decision(KM_RIGHT_ADMINISTER, KM_KIND_PUBSUB, "a:b", OWNER), REFUSED_BY(5));
	km_config_deinit(&config);
}
END_TEST

START_TEST(allows_users_and_groups_by_name_and_number)
{
	static const gid_t with_root[] = { 7, 0 }, with_50[] = { 7, 8, 50 };

	load_good("[topic a:b]\npublish = root, 1002 @root\t@50 , owner\n");
	for (uid_t uid = OWNER; uid <= 1003; uid++)
		ck_assert_int_eq(
			publishing("a:b", uid), uid == OWNER || uid == 1002 ? 2 : REFUSED_BY(2));
	ck_assert_int_eq(publishing("a:b", 50), 2); /* its primary group */
	groups = with_root;
	group_count = 1;
	ck_assert_int_eq(publishing("a:b", OTHER), REFUSED_BY(2));
	group_count = 2;
	ck_assert_int_eq(publishing("a:b", OTHER), 2);
	groups = with_50;
	ck_assert_int_eq(publishing("a:b", OTHER), REFUSED_BY(2));
	group_count = 3;
	ck_assert_int_eq(publishing("a:b", OTHER), 2);
	km_config_deinit(&config);
}
END_TEST

START_TEST(allows_root_and_self_everything_admins_to_administer)
{
	static const gid_t admin[] = { ADMIN };

	load_good("[topic *]\ncreate=none\npublish=none\nsubscribe=none\nadminister=none\n"
		  "serve=none\ncall=none\nreliable=none\n");
	for (int right = 0; right < KM_RIGHTS; right++) {
		int line = 2 + right;

		groups = NULL;
		group_count = 0;
		ck_assert_int_eq(decision((enum km_right)right, KM_KIND_PUBSUB, "a:b", 0), line);
		ck_assert_int_eq(decision((enum km_right)right, KM_KIND_PUBSUB, "a:b", SELF), line);
		ck_assert_int_eq(decision((enum km_right)right, KM_KIND_PUBSUB, "a:b", OWNER),
			REFUSED_BY(line));
		groups = admin;
		group_count = 1;
		ck_assert_int_eq(decision((enum km_right)right, KM_KIND_PUBSUB, "a:b", OTHER),
			right == KM_RIGHT_ADMINISTER ? line : REFUSED_BY(line));
	}
	/* no such group: nobody is in it, whatever number stands for that */
	config.policy.admin_group = (gid_t)-1;
	groups = &config.policy.admin_group;
	ck_assert_int_eq(
		decision(KM_RIGHT_ADMINISTER, KM_KIND_PUBSUB, "a:b", OTHER), REFUSED_BY(5));
	km_config_deinit(&config);
}
END_TEST

START_TEST(origin_text_keeps_the_line_of_a_long_path)
{
	char text[KM_ORIGIN_TEXT_SIZE], file[1000];
	struct km_origin origin = { 0 };

	ck_assert_str_eq(km_origin_text(&origin, text), "the default");
	origin = (struct km_origin){ "/etc/x.conf", 12 };
	ck_assert_str_eq(km_origin_text(&origin, text), "/etc/x.conf:12");
	memset(file, 'x', sizeof file);
	strcpy(file + sizeof file - 10, "/end.conf");
	origin = (struct km_origin){ file, UINT32_MAX };
	km_origin_text(&origin, text);
	ck_assert_str_eq(text + strlen(text) - 20, "/end.conf:4294967295");
	ck_assert_int_eq(strncmp(text, "...xx", 5), 0);
}
END_TEST

/* Every limit's key, with where it was said. */
START_TEST(load_limits_keep_their_lines)
{
	static const char text[] = "[limits]\nclients = 1\ntopics = 2\nendpoints = 3\nmemory = 4K\n"
				   "user_clients = 5\nuser_topics = 6\nuser_endpoints = 7\n"
				   "user_memory = 8M\nclient_endpoints = 9\n";
	static const uint64_t values[] = { 1, 2, 3, 4 << 10, 5, 6, 7, 8 << 20 };

	load_good(text);
	for (unsigned i = 0; i < KM_LIMITED; i++) {
		ck_assert_uint_eq(config.total[i].value, values[i]);
		ck_assert_uint_eq(config.total[i].origin.line, 2 + i);
		ck_assert_uint_eq(config.user[i].value, values[KM_LIMITED + i]);
		ck_assert_uint_eq(config.user[i].origin.line, 6 + i);
	}
	ck_assert_uint_eq(config.client_endpoints.value, 9);
	ck_assert_uint_eq(config.client_endpoints.origin.line, 10);
	ck_assert_str_eq(config.client_endpoints.origin.file, path);
	km_config_deinit(&config);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("policy");

	tcase_add_loop_test(
		tc, load_wrong_rule_says_what_and_where, 0, (int)(sizeof wrong / sizeof wrong[0]));
	tcase_add_test(tc, load_byte_order_mark_and_comments_are_no_part);
	tcase_add_test(tc, load_limits_keep_their_lines);
	tcase_add_test(tc, allows_no_rule_everyone_but_administer);
	tcase_add_loop_test(tc, allows_pattern_is_for_what_it_says, 0,
		(int)(sizeof patterns / sizeof patterns[0]));
	tcase_add_test(tc, allows_most_specific_decides_in_any_order);
	tcase_add_test(tc, allows_of_equals_the_last_read);
	tcase_add_loop_test(tc, allows_of_equal_patterns_all_must, 0, 2);
	tcase_add_test(tc, print_says_what_each_rule_is_for);
	tcase_add_test(tc, allows_each_right_for_itself);
	tcase_add_test(tc, allows_users_and_groups_by_name_and_number);
	tcase_add_test(tc, allows_root_and_self_everything_admins_to_administer);
	tcase_add_test(tc, origin_text_keeps_the_line_of_a_long_path);
	return fixture_run("policy", tc);
}
