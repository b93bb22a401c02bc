/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnosis, the operator's repairs, and regions that make no sense; of both transports, which is
 * what a test's index is.
 *
 * The file is long because each kind of repair has a case, over one fixture.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/shared/bell.h"
#include "common/shared/shared.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/flow.h"

#define ADD_OF_BOTH(test)                                                                          \
	tcase_add_loop_test(tc, test, KICKMSG_TRANSPORT_RINGS, KICKMSG_TRANSPORT_SHARED + 1)

static struct kickmsg_topic_config small = {
	.max_subscribers = 4,
	.ring_capacity = 8,
	.pool_size = 32,
	.max_publishers = 4,
	.max_payload_size = 64,
	.max_loans = 4,
	.max_borrows = 4,
};

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_subscriber *subscriber;
static char output[65536];

static void start_with(uint32_t transport, const char *config)
{
	test_broker_start(&broker, config);
	small.transport = transport;
	client = flow_client("survivor");
	publisher = flow_advertise(client, "t", &small);
	subscriber = flow_subscribe(client, "t");
}

static void start(const char *config)
{
	start_with(KICKMSG_TRANSPORT_RINGS, config);
}

static bool is_shared(void)
{
	return small.transport == KICKMSG_TRANSPORT_SHARED;
}

static void stop(void)
{
	kickmsg_client_free(client);
	ck_assert(test_wait_until(test_map_count(broker.pid, "memfd:") == 0, FLOW_WAIT_MS));
	flow_stop();
}

/* Runs kickmsgctl, and makes each run of blanks one: the widths of columns don't matter here. */
static int run_ctl(const char *verb, const char *topic)
{
	int r = flow_ctl(output, sizeof output, verb, topic, NULL);
	char *to = output;

	for (const char *from = output; *from; from++)
		if (*from != ' ' || to == output || to[-1] != ' ')
			*to++ = *from;
	*to = '\0';
	return r;
}

static void expect_ctl(int status, const char *verb, const char *topic, const char *says)
{
	int r = run_ctl(verb, topic);

	ck_assert_msg(
		r == status, "kickmsgctl %s ended with %d, not %d: %s", verb, r, status, output);
	ck_assert_msg(
		strstr(output, says), "kickmsgctl %s doesn't say '%s': %s", verb, says, output);
}

static void says(const char *text)
{
	ck_assert_msg(strstr(output, text), "doesn't say '%s': %s", text, output);
}

/* A publisher seems to stand between the change of a loan's word and its commit: no cell names the
 * slot. */
static void stand_before_commit(struct kickmsg_publisher *of)
{
	uint32_t slot = of->handle.place.loans[0].slot;

	km_hazard_set(&of->handle.place.record->delivering, slot);
	atomic_store(&of->handle.place.region.slots[slot].word, KM_SLOT_RING);
}

/* Two loans, and a held sample and messages in its ring, or in a shared ring a third loan on its
 * way. */
static void hold_some(void *unused)
{
	struct kickmsg_client *mine = flow_client("victim");
	struct kickmsg_publisher *pub = flow_advertise(mine, "t", NULL);
	struct kickmsg_subscriber *sub = flow_subscribe(mine, "t");
	struct kickmsg_sample sample;
	void *payload;

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_send(pub, "x", 1), 1);
	ck_assert_int_eq(kickmsg_try_receive(sub, &sample), 0);
	for (int i = is_shared() ? 0 : 1; i < 3; i++)
		ck_assert_int_eq(kickmsg_loan(pub, 1, &payload), 0);
	if (is_shared())
		stand_before_commit(pub);
	test_child_ready();
	pause();
}

static bool is_privileged(const struct kickmsg_publisher *one)
{
	return one->handle.place.region.header->privileged == one->handle.place.id;
}

/* Leaves a dead client in the topic; returns its pid. With a shared ring the client is the
 * privileged publisher in the end. It isn't yet when it sends, so that its messages lie in
 * slots. */
static pid_t make_damage(void)
{
	struct kickmsg_sample sample;
	pid_t victim = test_child_start(hold_some, NULL);

	if (is_shared()) {
		kickmsg_publisher_free(publisher);
		publisher = flow_advertise(client, "t", NULL);
		ck_assert(!is_privileged(publisher));
	}
	test_child_end(victim, SIGKILL);
	ck_assert(test_wait_until(flow_health("t").endpoints_dead == 2, FLOW_WAIT_MS));
	/* the survivor takes its three, so that what is left is the dead one's alone */
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	}
	return victim;
}

START_TEST(without_automatic_repair_the_operator_repairs_kind_by_kind)
{
	const uint32_t undrained = _i == KICKMSG_TRANSPORT_RINGS;
	char owner[64];

	start_with((uint32_t)_i, "[recovery]\nautomatic = no\ninterval = 5\n");
	expect_ctl(0, "diagnose", "t", "healthy");
	pid_t victim = make_damage();
	/* ticks go by, and nobody touches it */
	for (int i = 0; i < 100; i++) {
		struct km_health h = flow_health("t");

		ck_assert_uint_eq(h.slots_orphaned, 2);
		ck_assert_uint_eq(h.endpoints_dead, 2);
		ck_assert_uint_eq(h.rings_undrained, undrained);
		ck_assert_uint_eq(h.slots_stale, 1);
		test_nap();
	}
	expect_ctl(1, "diagnose", "t", "DAMAGED");
	says("kickmsg:t orphaned-slot ");
	snprintf(owner, sizeof owner, " victim %d %d dead ", (int)victim, (int)geteuid());
	says(owner);
	says("kickmsg:t stale-reference ");
	ck_assert(!strstr(output, " survivor "));
	ck_assert_int_eq(strstr(output, "dead-ring - 1 ") != NULL, undrained);
	says("kickmsg:t dead-endpoint ");
	expect_ctl(1, "diagnose", NULL, "DAMAGED");
	expect_ctl(1, "repair", "t", "kickmsg:t DAMAGED 1 0 0 ");
	expect_ctl(1, "reset-rings", "t",
		undrained ? "kickmsg:t DAMAGED 0 0 1 " : "kickmsg:t DAMAGED 0 0 0 ");
	ck_assert(!is_shared() || !is_privileged(publisher));
	expect_ctl(0, "reclaim", "t", "NAME STATE DROPPED RECLAIMED RESET FREED WERE-FREE FREE ");
	says("kickmsg:t healthy 0 2 0 2 ");
	expect_ctl(0, "diagnose", "t", "healthy");
	ck_assert_uint_eq(flow_health("t").slots_free, is_shared() ? 32 - 3 : 32);
	ck_assert(!is_shared() || is_privileged(publisher));
	stop();
}
END_TEST

START_TEST(recover_does_all_of_it)
{
	start_with((uint32_t)_i, "[recovery]\nautomatic = no\ninterval = 5\n");
	make_damage();
	expect_ctl(0, "recover", NULL,
		is_shared() ? "kickmsg:t healthy 1 2 0 2 " : "kickmsg:t healthy 1 2 1 2 ");
	ck_assert(flow_is_healthy("t"));
	ck_assert(!is_shared() || is_privileged(publisher));
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	stop();
}
END_TEST

/* The library's calls are the operator's: each does its kind, and the last one finds the dead. */
START_TEST(library_repairs_kind_by_kind)
{
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_repair_report report;

	start_with((uint32_t)_i, "[recovery]\nautomatic = no\ninterval = 5\n");
	make_damage();
	ck_assert_int_eq(kickmsg_topic_repair(client, &ref, &report), 0);
	ck_assert_uint_eq(report.before.stale_references, 1);
	ck_assert_uint_eq(report.references_dropped, 1);
	ck_assert_uint_eq(report.slots_reclaimed + report.rings_reset, 0);
	ck_assert_uint_eq(report.after.stale_references, 0);
	ck_assert_uint_eq(report.after.dead, 2);
	ck_assert_uint_eq(report.after.healthy, 0);
	ck_assert_int_eq(kickmsg_topic_reset_rings(client, &ref, &report), 0);
	ck_assert_uint_eq(report.rings_reset, _i == KICKMSG_TRANSPORT_RINGS);
	ck_assert_uint_eq(report.slots_reclaimed, 0);
	ck_assert_uint_eq(report.after.rings_undrained, 0);
	ck_assert_int_eq(kickmsg_topic_reclaim(client, &ref, &report), 0);
	ck_assert_uint_eq(report.before.slots_orphaned, 2);
	ck_assert_uint_eq(report.slots_reclaimed, 2);
	ck_assert_uint_eq(report.endpoints_freed, 2);
	ck_assert_uint_eq(report.after.healthy, 1);
	make_damage();
	ck_assert_int_eq(kickmsg_topic_recover(client, &ref, &report), 0);
	ck_assert_uint_eq(report.references_dropped, 1);
	ck_assert_uint_eq(report.slots_reclaimed, 2);
	ck_assert_uint_eq(report.after.healthy, 1);
	ck_assert_int_eq(kickmsg_topic_recover(client, &ref, NULL), 0);
	ref.name = "nowhere";
	ck_assert_int_eq(kickmsg_topic_recover(client, &ref, &report), -ENOENT);
	ck_assert(flow_said(client, "nowhere"));
	stop();
}
END_TEST

START_TEST(with_automatic_repair_nothing_is_left_for_the_operator)
{
	start_with((uint32_t)_i, "[recovery]\ninterval = 5\n");
	test_child_end(test_child_start(hold_some, NULL), SIGKILL);
	ck_assert(test_wait_until(flow_is_healthy("t"), FLOW_WAIT_MS));
	expect_ctl(0, "diagnose", NULL, "healthy");
	expect_ctl(0, "recover", NULL, "kickmsg:t healthy 0 0 0 0 ");
	stop();
}
END_TEST

START_TEST(leaving_in_good_order_needs_no_operator)
{
	start_with((uint32_t)_i, "[recovery]\nautomatic = no\ninterval = 5\n");
	for (int i = 0; i < 20; i++) {
		struct kickmsg_subscriber *more = flow_subscribe(client, "t");
		struct kickmsg_publisher *pub = flow_advertise(client, "t", NULL);

		ck_assert_int_eq(kickmsg_send(pub, "x", 1), 1);
		kickmsg_subscriber_free(more);
		kickmsg_publisher_free(pub);
	}
	ck_assert(test_wait_until(flow_is_healthy("t"), FLOW_WAIT_MS));
	stop();
}
END_TEST

/* The client is gone before the broker reads its farewell. It has left an answer unread, so the
 * kernel tells of a reset before it gives the farewell out. */
START_TEST(leaving_before_the_broker_reads_it_needs_no_operator)
{
	struct km_msg_attach subscribe = { .header.op = KM_OP_SUBSCRIBE, .topic = "t" };
	struct km_msg_topic info = { .header.op = KM_OP_INFO, .topic = "t" };
	struct km_msg_detach detach = { .header.op = KM_OP_DETACH };
	union km_msg answer;
	int segment, status;

	start_with((uint32_t)_i, "[recovery]\nautomatic = no\ninterval = 5\n");
	int peer = test_peer_hello(broker.socket, "hasty", &segment);
	ck_assert_int_eq(
		test_peer_call(peer, &subscribe, sizeof subscribe, &answer), KM_OP_ATTACHED);
	detach.endpoint = answer.attached.endpoint;
	ck_assert_int_eq(send(peer, &info, sizeof info, 0), sizeof info);
	struct pollfd answered = { .fd = peer, .events = POLLIN };
	ck_assert_int_eq(poll(&answered, 1, FLOW_WAIT_MS), 1);
	ck_assert_int_eq(kill(broker.pid, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(broker.pid, &status, WUNTRACED), broker.pid);
	ck_assert_int_eq(send(peer, &detach, sizeof detach, 0), sizeof detach);
	close(peer);
	close(segment);
	ck_assert_int_eq(kill(broker.pid, SIGCONT), 0);
	ck_assert(test_wait_until(flow_is_healthy("t"), FLOW_WAIT_MS));
	ck_assert_uint_eq(flow_health("t").rings_live, 1);
	stop();
}
END_TEST

static void hold_a_sample(void)
{
	struct kickmsg_sample sample;

	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
	ck_assert(test_wait_until(
		run_ctl("diagnose", "t") == 0 && strstr(output, "kickmsg:t long-held "),
		FLOW_WAIT_MS));
	says(" survivor ");
	says(" alive ");
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	ck_assert(test_wait_until(
		run_ctl("diagnose", "t") == 0 && !strstr(output, "long-held"), FLOW_WAIT_MS));
}

START_TEST(what_stands_still_is_named_and_no_damage)
{
	start_with((uint32_t)_i, "[recovery]\ninterval = 5\n");
	if (!is_shared()) /* whose samples are copies */
		hold_a_sample();

	/* as if it stood in the middle of a send */
	km_hazard_set(&publisher->handle.place.record->delivering, 7);
	ck_assert(test_wait_until(
		run_ctl("diagnose", "t") == 0 && strstr(output, "kickmsg:t still-hazard 7 "),
		FLOW_WAIT_MS));
	km_hazard_clear(&publisher->handle.place.record->delivering);
	ck_assert(test_wait_until(
		run_ctl("diagnose", "t") == 0 && !strstr(output, "still-hazard"), FLOW_WAIT_MS));
	stop();
}
END_TEST

START_TEST(json_says_the_same)
{
	start_with((uint32_t)_i, "[recovery]\nautomatic = no\n");
	make_damage();
	ck_assert_int_eq(flow_ctl(output, sizeof output, "--json", "diagnose", "t"), 1);
	says("\"ok\":false");
	says("\"kind\":\"orphaned-slot\"");
	says("\"owner\":\"victim\"");
	says("\"owner_alive\":false");
	ck_assert_int_eq(flow_ctl(output, sizeof output, "--json", "list", NULL), 0);
	says("\"topic\":\"t\"");
	says("\"pool_size\":32");
	ck_assert_int_eq(flow_ctl(output, sizeof output, "--json", "recover", "t"), 0);
	says("\"ok\":true");
	says("\"slots_reclaimed\":2");
	ck_assert_int_eq(flow_ctl(output, sizeof output, "--json", "repair", "nowhere"), 1);
	says("\"errno\":2");
	stop();
}
END_TEST

START_TEST(usage_errors_end_with_2)
{
	start(NULL);
	expect_ctl(2, NULL, NULL, "no verb");
	expect_ctl(2, "mend", NULL, "mend");
	expect_ctl(2, "--verbose", NULL, "verbose");
	expect_ctl(1, "list", "nothing", "no such topic");
	expect_ctl(2, "repair", "", "topic's name");
	expect_ctl(0, "--help", NULL, "reset-rings");
	expect_ctl(0, "--version", NULL, "kickmsgctl 0.");
	ck_assert_int_eq(flow_ctl(output, sizeof output, "diagnose", "t", "u"), 2);
	const char *argv[] = { getenv("KICKMSGCTL") ? getenv("KICKMSGCTL") : TEST_KICKMSGCTL,
		"--socket", "/nonexistent/s", "list", NULL };
	ck_assert_int_eq(test_run(argv, output, sizeof output), 3);
	says("no broker");
	stop();
}
END_TEST

START_TEST(repair_of_an_unknown_topic_is_an_error)
{
	start(NULL);
	expect_ctl(1, "repair", "nowhere", "nowhere");
	expect_ctl(1, "diagnose", "nowhere", "nowhere");
	stop();
}
END_TEST

static void ask_as_nobody(void *unused)
{
	struct km_msg_repair repair = { .topic = { .header.op = KM_OP_REPAIR, .topic = "t" },
		.what = KM_REPAIR_ALL };
	struct km_msg_topic diagnose = { .header.op = KM_OP_DIAGNOSE, .topic = "t" };
	union km_msg answer;

	if (setgid(65534) < 0 || setuid(65534) < 0)
		_exit(1);
	int socket = test_peer_hello(broker.socket, "nobody", NULL);
	if (test_peer_call(socket, &repair, sizeof repair, &answer) != KM_OP_ERROR ||
		answer.error.error != -EPERM || !strstr(answer.error.text, "65534"))
		_exit(2);
	if (test_peer_call(socket, &diagnose, sizeof diagnose, &answer) != KM_OP_ERROR ||
		answer.error.error != -EPERM)
		_exit(3);
	test_child_ready();
	_exit(0);
}

START_TEST(repair_without_the_right_is_eperm)
{
	if (geteuid() != 0)
		return; /* nobody to become */
	start("[broker]\nsocket_mode = 0666\n[recovery]\nautomatic = no\n");
	ck_assert_int_eq(chmod(broker.dir, 0755), 0);
	make_damage();
	pid_t child = test_child_start(ask_as_nobody, NULL);
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_uint_eq(flow_health("t").slots_orphaned, 2);
	/* the operator may, also when nobody living is left: then it is freed */
	kickmsg_client_free(client);
	client = NULL;
	expect_ctl(0, "recover", "t", "kickmsg:t healthy 1 2 ");
	stop();
}
END_TEST

/* Opens the memfd whose lock says who may reconcile, as a description of the test's own. */
static int open_reconcile_lock(void)
{
	char path[300], target[128];
	struct dirent *entry;
	int fd = -1;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)broker.pid);
	DIR *dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (fd < 0 && (entry = readdir(dir))) {
		snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)broker.pid, entry->d_name);
		ssize_t n = readlink(path, target, sizeof target - 1);

		target[n < 0 ? 0 : n] = 0;
		if (strstr(target, "kickmsgd-reconcile"))
			fd = open(path, O_RDWR | O_CLOEXEC);
	}
	closedir(dir);
	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(repair_while_another_runs_is_ebusy_and_changes_nothing)
{
	start("[recovery]\nautomatic = no\n");
	make_damage();
	int fd = open_reconcile_lock();
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	expect_ctl(1, "recover", "t", "another repair is running");
	ck_assert_uint_eq(flow_health("t").slots_orphaned, 2);
	close(fd);
	expect_ctl(0, "recover", "t", "kickmsg:t healthy 1 2 ");
	stop();
}
END_TEST

/* Sleeps until the region is given up. Ends with 42 if it is told so. */
static void sleep_in_receive(void *unused)
{
	struct kickmsg_client *mine = flow_client("sleeper");
	struct kickmsg_subscriber *sub = flow_subscribe(mine, "t");
	struct kickmsg_sample sample;

	test_child_ready();
	_exit(kickmsg_receive(sub, -1, &sample) == -ESTALE ? 42 : 1);
}

enum { CORRUPTIONS = 5 };

/* The ways in which a participant may spoil the memory. */
static void corrupt(struct km_region *region, int how)
{
	struct km_ring *ring = is_shared() ? NULL : km_region_ring(region, 0);

	switch (how) {
	case 0: /* a publisher that can't be */
		atomic_store(&region->slots[5].word, km_slot_id_word(60000));
		break;
	case 1: /* a ring that isn't there */
		atomic_store(&region->slots[5].word, UINT64_C(1) << 40);
		break;
	/* A head beyond all that was committed, or who may write into cells. */
	case 2:
		if (ring)
			atomic_store(&ring->head, atomic_load(&ring->head) + 1000);
		else
			atomic_store(&region->header->privileged, 7);
		break;
	/* A cell that names no slot: the next one to be read, or any. */
	case 3:
		if (ring)
			atomic_store(&ring->cells[1], km_cell_word(1, 0xffffff));
		else
			atomic_store(
				&km_region_cell(region, 3)->word, km_cell_word(1, small.pool_size));
		break;
	case 4: /* the broker's own word */
		atomic_fetch_xor(&region->header->live, 1);
		break;
	}
}

static bool somebody_sleeps(void)
{
	const struct km_region *region = &publisher->handle.place.region;

	return region->shared ? !(region->bell->word & KM_BELL_WOKEN)
			      : flow_health("t").rings_sleeping == 1;
}

/* The index: each corruption of the one transport, then each of the other. */
START_TEST(corrupt_region_is_quarantined_and_a_fresh_one_can_be_made)
{
	struct kickmsg_sample sample;
	struct kickmsg_subscriber *late = NULL;
	int status;

	start_with((uint32_t)(_i / CORRUPTIONS), "[recovery]\ninterval = 20\n");
	/* after it the bell says that nobody sleeps */
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	ck_assert(!somebody_sleeps());
	pid_t sleeper = test_child_start(sleep_in_receive, NULL);
	ck_assert(test_wait_until(somebody_sleeps(), FLOW_WAIT_MS));
	corrupt(&publisher->handle.place.region, _i % CORRUPTIONS);
	ck_assert(test_wait_until(flow_health("t").quarantined, FLOW_WAIT_MS));
	ck_assert(test_broker_logged(&broker, "quarantined: "));

	/* the participants are told, asleep or awake */
	ck_assert_int_eq(waitpid(sleeper, &status, 0), sleeper);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 42);
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), -ESTALE);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), -ESTALE);

	/* closed to newcomers, and the operator is told */
	struct kickmsg_client *other = flow_client("other");
	ck_assert_int_eq(kickmsg_subscribe(other, "t", NULL, &late), -ENOENT);
	expect_ctl(1, "diagnose", "t", "kickmsg:t quarantined ");
	says("corrupt");
	expect_ctl(1, "repair", "t", "is quarantined");
	says("advertise it anew");
	expect_ctl(1, "recover", NULL, "is quarantined");

	/* the name is free */
	struct kickmsg_publisher *fresh = flow_advertise(other, "t", NULL);
	late = flow_subscribe(other, "t");
	ck_assert_int_eq(kickmsg_send(fresh, "new", 3), 3);
	ck_assert_int_eq(kickmsg_try_receive(late, &sample), 0);
	ck_assert_int_eq(sample.len, 3);
	expect_ctl(0, "diagnose", "t", "healthy");
	expect_ctl(0, "list", NULL, "quarantined");
	expect_ctl(1, "diagnose", NULL, "an older topic of this name is quarantined");

	/* the old topic goes with its participants */
	kickmsg_publisher_free(publisher);
	kickmsg_subscriber_free(subscriber);
	expect_ctl(0, "diagnose", NULL, "healthy");
	kickmsg_client_free(other);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-daemon-repair");
	TCase *tc = tcase_create("repair");

	tcase_set_timeout(tc, 60);
	ADD_OF_BOTH(without_automatic_repair_the_operator_repairs_kind_by_kind);
	ADD_OF_BOTH(recover_does_all_of_it);
	ADD_OF_BOTH(library_repairs_kind_by_kind);
	ADD_OF_BOTH(with_automatic_repair_nothing_is_left_for_the_operator);
	ADD_OF_BOTH(leaving_in_good_order_needs_no_operator);
	ADD_OF_BOTH(leaving_before_the_broker_reads_it_needs_no_operator);
	ADD_OF_BOTH(what_stands_still_is_named_and_no_damage);
	ADD_OF_BOTH(json_says_the_same);
	tcase_add_test(tc, usage_errors_end_with_2);
	tcase_add_test(tc, repair_of_an_unknown_topic_is_an_error);
	tcase_add_test(tc, repair_without_the_right_is_eperm);
	tcase_add_test(tc, repair_while_another_runs_is_ebusy_and_changes_nothing);
	tcase_add_loop_test(
		tc, corrupt_region_is_quarantined_and_a_fresh_one_can_be_made, 0, 2 * CORRUPTIONS);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
