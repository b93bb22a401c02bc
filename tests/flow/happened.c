/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg_broker_watch(): each kind of event, watchers that don't read or may not, and the next broker. */
#include <poll.h>
#include <stdatomic.h>

#include "libclient/handle/handle.h"
#include "libclient/kickmsg-operator.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/manager.h"
#include "tests/support/broker/user.h"

static struct kickmsg_client *watcher;

/* All that was told, a line each: "KIND TOPIC CLIENT TEXT". */
static struct heard {
	char lines[1 << 20];
	size_t used;
	unsigned count;
	uint64_t missed;
} heard;

static void on_happening(void *userdata, const struct kickmsg_happening *happening)
{
	struct heard *all = userdata;

	all->used += (size_t)snprintf(all->lines + all->used, sizeof all->lines - all->used,
		"%s %s %s %s\n", happening->kind, happening->topic, happening->client_name,
		happening->text);
	ck_assert_uint_lt(all->used, sizeof all->lines);
	ck_assert_uint_gt(happening->realtime_ns, 0);
	all->count++;
	all->missed += happening->missed;
}

/* Was it told from this place on? Moves the place behind it. */
static bool was_told(const char **from, const char *line)
{
	char *at = strstr(*from, line);

	if (at)
		*from = at + strlen(line);
	return at != NULL;
}

/* Turns the application's loop until this is told. */
static void expect_told(const char **from, const char *line)
{
	for (int i = 0; !was_told(from, line); i++) {
		struct pollfd readable = { kickmsg_client_get_fd(watcher), POLLIN, 0 };

		ck_assert_msg(i < 1000 && poll(&readable, 1, FLOW_WAIT_MS) == 1,
			"'%s' isn't told behind '%.40s': %s", line, *from, heard.lines);
		int r = kickmsg_client_dispatch(watcher);
		ck_assert(r >= 0 || r == -ENOTCONN);
	}
}

static void watch(void)
{
	const char *from = heard.lines;

	heard = (struct heard){ 0 };
	watcher = flow_client("watcher");
	ck_assert_int_eq(kickmsg_broker_watch(watcher, on_happening, &heard), 0);
	expect_told(&from, "watch-began  watcher ");
}

static void end(void)
{
	kickmsg_client_free(watcher);
	flow_stop();
}

static void die_with_a_loan(void *topic)
{
	struct kickmsg_client *mine = flow_client("dead one");
	void *payload;

	ck_assert_int_eq(kickmsg_loan(flow_advertise(mine, topic, NULL), 1, &payload), 0);
	test_child_ready();
	pause();
}

START_TEST(each_kind_is_told_in_its_order)
{
	struct kickmsg_schema schema = { .version = 1 };
	const struct kickmsg_topic_ref made = { .name = "made" };
	const char *from = heard.lines;

	test_broker_start(&broker, "[limits]\ntopics = 2\n[recovery]\ninterval = 5\n");
	watch();
	struct kickmsg_client *other = flow_client("other");
	struct kickmsg_publisher *publisher = flow_advertise(other, "made", NULL), *none;
	struct kickmsg_subscriber *subscriber = flow_subscribe(other, "made");

	expect_told(&from, "client-came  other ");
	expect_told(&from, "topic-made kickmsg:made other ");
	expect_told(&from, "endpoint-joined kickmsg:made other publisher joined");
	expect_told(&from, "endpoint-joined kickmsg:made other subscriber joined");
	ck_assert_int_eq(kickmsg_claim_schema(other, &made, &schema, NULL), 0);
	expect_told(&from, "schema-claimed kickmsg:made other ");
	ck_assert_int_eq(kickmsg_subscribe(other, "nowhere", NULL, &subscriber), -ENOENT);
	expect_told(&from, "refused  other refused: there is no topic 'nowhere'");
	flow_advertise(other, "second", NULL);
	ck_assert_int_eq(kickmsg_advertise(other, "third", NULL, &none), -EDQUOT);
	expect_told(&from, "limit-hit  other refused: topic 'third': the limit of 2 topics");
	test_child_end(test_child_start(die_with_a_loan, (char[]){ "made" }), SIGKILL);
	expect_told(&from, "client-died  dead one client died (its process ended) with 1");
	expect_told(&from, "endpoint-died kickmsg:made dead one publisher died");
	expect_told(&from, "repaired kickmsg:made  repaired: ");
	ck_assert_int_eq(kickmsg_unlink_topic(other, "made"), 0);
	expect_told(&from, "topic-unlinked kickmsg:made other ");
	atomic_fetch_xor(&publisher->handle.place.region.header->live, 1);
	expect_told(&from, "quarantined kickmsg:made  quarantined: ");
	ck_assert_int_eq(kill(broker.pid, SIGHUP), 0);
	expect_told(&from, "config-read   ");
	kickmsg_publisher_free(publisher);
	expect_told(&from, "endpoint-left kickmsg:made other publisher left");
	kickmsg_client_free(other);
	expect_told(&from, "endpoint-left kickmsg:made other subscriber left");
	expect_told(&from, "topic-freed kickmsg:second  ");
	expect_told(&from, "client-left  other ");
	ck_assert_uint_eq(heard.missed, 0);
	end();
}
END_TEST

/* A ring that its subscriber left with messages in it is emptied, which no operator hears of as a repair. */
START_TEST(one_that_leaves_messages_is_no_damage)
{
	struct kickmsg_topic_config config;
	const char *from = heard.lines;
	struct kickmsg_broker_status status;
	struct kickmsg_subscriber *next;

	test_broker_start(&broker, NULL);
	watch();
	struct kickmsg_client *other = flow_client("other");
	kickmsg_topic_config_init(&config);
	config.max_subscribers = 1;
	struct kickmsg_publisher *publisher = flow_advertise(other, "a", &config);
	struct kickmsg_subscriber *subscriber = flow_subscribe(other, "a");
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	kickmsg_subscriber_free(subscriber);
	/* there is one ring, so it has been emptied when it is given to the next subscriber */
	ck_assert(test_wait_until(kickmsg_subscribe(other, "a", NULL, &next) == 0, FLOW_WAIT_MS));
	ck_assert_int_eq(kickmsg_broker_get_status(other, &status), 0);
	ck_assert_uint_eq(status.repaired, 0);
	kickmsg_subscriber_free(next);
	expect_told(&from, "client-came  other ");
	expect_told(&from, "topic-made kickmsg:a other ");
	expect_told(&from, "endpoint-joined kickmsg:a other publisher joined");
	expect_told(&from, "endpoint-joined kickmsg:a other subscriber joined");
	expect_told(&from, "endpoint-left kickmsg:a other subscriber left");
	ck_assert_ptr_null(strstr(heard.lines, "repaired"));
	kickmsg_client_free(other);
	end();
}
END_TEST

static void be_denied(void *unused)
{
	struct kickmsg_client *mine = user_client(USER_A, 0);

	heard.count = 0;
	NEED(kickmsg_broker_watch(mine, on_happening, &heard) == -EPERM);
	NEED(flow_said(mine, "only root, the broker's user and the group kickmsg-admin may watch"));
	NEED(kickmsg_unlink_topic(mine, "roots") == -EPERM);
	/* the refused client was told nothing, and may ask again */
	NEED(kickmsg_client_dispatch(mine) == 0 && heard.count == 0);
	NEED(kickmsg_broker_watch(mine, on_happening, &heard) == -EPERM);
	kickmsg_client_free(mine);
	test_child_ready();
}

START_TEST(only_operators_may_watch)
{
	const char *from = heard.lines;
	int status;

	if (user_cannot_change())
		return;
	user_start_broker("");
	heard = (struct heard){ 0 };
	struct kickmsg_client *root = flow_client("root");
	flow_advertise(root, "roots", NULL);
	pid_t child = test_child_start(be_denied, NULL);
	ck_assert(waitpid(child, &status, 0) == child && status == 0);
	watch();
	child = test_child_start(be_denied, NULL);
	ck_assert(waitpid(child, &status, 0) == child && status == 0);
	expect_told(&from, "denied  mine refused: only root");
	expect_told(&from, "denied kickmsg:roots mine refused: ");
	kickmsg_client_free(root);
	end();
}
END_TEST

START_TEST(a_client_watches_once)
{
	test_broker_start(&broker, NULL);
	watch();
	ck_assert_int_eq(kickmsg_broker_watch(watcher, on_happening, &heard), -EBUSY);
	ck_assert(flow_said(watcher, "watches the broker already"));
	ck_assert_int_eq(kickmsg_broker_watch(watcher, NULL, NULL), -EINVAL);
	end();
}
END_TEST

/* Makes a topic and frees it: made, joined, left, freed. */
static void come_and_go(struct kickmsg_client *client, unsigned times)
{
	struct kickmsg_publisher *publisher;

	for (unsigned i = 0; i < times; i++) {
		ck_assert_int_eq(kickmsg_advertise(client, "guest", NULL, &publisher), 0);
		kickmsg_publisher_free(publisher);
	}
}

/* A peer that watches and doesn't read. Others are served meanwhile, and its books balance in the end. */
START_TEST(one_that_never_reads_holds_nobody)
{
	struct km_msg_list request = { .header.op = KM_OP_WATCH };
	static union km_msg message;
	const char *from = heard.lines;
	uint64_t missed = 0;
	unsigned count = 0;

	test_broker_start(&broker, "[limits]\nuser_topic_rate = 0\n");
	struct kickmsg_client *other = flow_client("other");
	int peer = test_peer_hello(broker.socket, "deaf", NULL);

	ck_assert_int_eq(test_peer_call(peer, &request, sizeof request, &message), KM_OP_OK);
	watch();
	for (int i = 0; i < 20; i++) {
		come_and_go(other, 25);
		while (kickmsg_client_dispatch(watcher) > 0)
			;
	}
	kickmsg_client_free(other);
	expect_told(&from, "client-left  other ");
	do {
		ck_assert_int_eq(test_peer_answer(peer, &message), KM_OP_HAPPENED);
		missed += message.happened.missed;
		count += message.happened.count;
	} while (strcmp(message.happened.happenings[message.happened.count - 1].kind,
			 "client-left") != 0);
	/* beside these it heard that it watches, and that the watcher came */
	ck_assert_uint_eq(count + missed, heard.count + heard.missed + 2);
	ck_assert_uint_gt(missed, 500);
	close(peer);
	end();
}
END_TEST

/* The library keeps a bounded number between two dispatches, and counts the others. */
START_TEST(one_that_dispatches_late_is_told_what_it_missed)
{
	static struct heard seen;
	const char *from = heard.lines;

	test_broker_start(&broker, "[limits]\nuser_topic_rate = 0\n");
	watch();
	unsigned before = heard.count;
	struct kickmsg_client *witness = flow_client("witness");
	ck_assert_int_eq(kickmsg_broker_watch(witness, on_happening, &seen), 0);
	/* the watcher's own calls take the happenings that come meanwhile */
	for (int i = 0; i < 20; i++) {
		come_and_go(watcher, 25);
		ck_assert(test_wait_until(flow_sleeps(), FLOW_WAIT_MS));
		while (kickmsg_client_dispatch(witness) > 0)
			;
	}
	struct kickmsg_publisher *last = flow_advertise(watcher, "last", NULL);
	expect_told(&from, "endpoint-joined kickmsg:last watcher ");
	ck_assert(
		test_wait_until(kickmsg_client_dispatch(witness) >= 0 &&
					strstr(seen.lines, "endpoint-joined kickmsg:last watcher "),
			FLOW_WAIT_MS));
	/* beside these it heard that the witness came */
	ck_assert_uint_eq(heard.count - before + heard.missed, seen.count + seen.missed + 1);
	ck_assert_uint_gt(heard.missed, seen.missed);
	kickmsg_client_free(witness);
	kickmsg_publisher_free(last);
	end();
}
END_TEST

START_TEST(the_next_broker_is_asked_anew)
{
	const char *from = heard.lines;

	test_broker_start(&broker, NULL);
	watch();
	test_broker_kill(&broker);
	expect_told(&from, "watch-lost   the broker has closed the connection");
	test_broker_resume(&broker);
	expect_told(&from, "watch-resumed   there is a broker again");
	struct kickmsg_client *other = flow_client("other");
	expect_told(&from, "client-came  other ");
	kickmsg_client_free(other);
	end();
}
END_TEST

START_TEST(one_that_takes_over_goes_on_telling)
{
	static struct test_manager manager;
	const char *from = heard.lines;

	if (test_skip_emulated("one_that_takes_over_goes_on_telling", TEST_LACKS_PEEKING))
		return;
	test_manager_start(&manager, NULL);
	strcpy(broker.socket, manager.socket);
	watch();
	for (int i = 0; i < 3; i++) {
		char name[16], line[64];

		test_manager_kill(&manager, i == 2 ? SIGTERM : SIGKILL);
		test_manager_resume(&manager);
		expect_told(&from, "serving   kickmsgd ");
		snprintf(name, sizeof name, "after%d", i);
		snprintf(line, sizeof line, "topic-made kickmsg:%s watcher ", name);
		flow_advertise(watcher, name, NULL);
		expect_told(&from, line);
	}
	ck_assert_ptr_null(strstr(heard.lines, "watch-lost"));
	kickmsg_client_free(watcher);
	test_manager_stop(&manager);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("happened");
	TCase *tc = tcase_create("happened");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, each_kind_is_told_in_its_order);
	tcase_add_test(tc, one_that_leaves_messages_is_no_damage);
	tcase_add_test(tc, only_operators_may_watch);
	tcase_add_test(tc, a_client_watches_once);
	tcase_add_test(tc, one_that_never_reads_holds_nobody);
	tcase_add_test(tc, one_that_dispatches_late_is_told_what_it_missed);
	tcase_add_test(tc, the_next_broker_is_asked_anew);
	tcase_add_test(tc, one_that_takes_over_goes_on_telling);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
