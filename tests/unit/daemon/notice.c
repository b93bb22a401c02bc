/* SPDX-License-Identifier: Apache-2.0 */
/* Clients hear that a topic has changed: once for many changes, once they have read what was sent before,
 * and in a bounded time whatever else changes. */
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/protocol/wire.h"
#include "daemon/run/handlers.h"
#include "daemon/run/turn.h"
#include "daemon/serve/notice.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"
#include "tests/support/broker/fixture.h"

#define CLIENTS 2
#define TOPICS  64

static const struct km_handlers handlers = { .notice_changed = km_notice_changed };
static struct km_broker broker;
static struct km_topic topics[TOPICS];
static struct km_session sessions[CLIENTS];
static struct km_member members[CLIENTS];
static struct fixture_region region;
static int peers[CLIENTS];

static void after(void *userdata)
{
}

static void setup(void)
{
	struct km_geometry geometry = fixture_geometry(8, 16);

	memset(&broker, 0, sizeof broker);
	memset(topics, 0, sizeof topics);
	memset(sessions, 0, sizeof sessions);
	memset(members, 0, sizeof members);
	broker.handlers = &handlers;
	broker.base = event_base_new();
	ck_assert_int_eq(km_turns_init(&broker.turns, broker.base, after, NULL), 0);
	ck_assert_int_eq(km_notice_init(&broker), 0);
	fixture_region_init(&region, &geometry);
	for (int i = 0; i < TOPICS; i++) {
		topics[i].broker = &broker;
		topics[i].region = region.region;
	}
	for (int i = 0; i < CLIENTS; i++) {
		int ends[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
		sessions[i] = (struct km_session){ .broker = &broker, .socket = ends[0] };
		peers[i] = ends[1];
		members[i] = (struct km_member){
			.session = &sessions[i], .topic = &topics[0], .kept.wants_events = 1
		};
		LIST_INSERT_HEAD(&topics[0].members, &members[i], of_topic);
	}
}

static void teardown(void)
{
	km_notice_deinit(&broker);
	km_turns_deinit(&broker.turns);
	for (int i = 0; i < CLIENTS; i++) {
		close(sessions[i].socket);
		close(peers[i]);
	}
	fixture_region_deinit(&region);
	event_base_free(broker.base);
	libevent_global_shutdown();
}

/* Waits for the next event, a timer or a turn. */
static void go_on(void)
{
	ck_assert_int_eq(event_base_loop(broker.base, EVLOOP_ONCE), 0);
}

/* Takes a message; how many there were. */
static int hear(int client)
{
	struct km_msg_event event;
	int count = 0;

	while (recv(peers[client], &event, sizeof event, 0) == sizeof event) {
		ck_assert_uint_eq(event.header.op, KM_OP_EVENT);
		ck_assert_uint_eq(event.what, KM_NEWS_TOPICS_CHANGED);
		count++;
	}
	return count;
}

static void leave_unread(int client)
{
	ck_assert_int_eq(send(sessions[client].socket, "", 1, 0), 1);
}

static void read_it(int client)
{
	char byte;

	ck_assert_int_eq(recv(peers[client], &byte, 1, 0), 1);
}

START_TEST(many_changes_each_client_one_event)
{
	members[1].kept.wants_events = 0;
	for (int i = 0; i < 5; i++)
		km_notice_changed(&topics[0]);
	while (topics[0].has_news || sessions[0].has_news)
		go_on();
	ck_assert_int_eq(hear(0), 1);
	ck_assert_int_eq(hear(1), 0);
	ck_assert_uint_eq(region.region.header->changes, 5);
}
END_TEST

/* The next broker has the count as it was last committed, while the header has the new one
 * already. */
START_TEST(leave_broker_killed_before_its_commit_is_counted_once)
{
	const struct km_gone *gone = &region.region.header->gone_publishers;

	for (int i = 0; i < CLIENTS; i++) {
		members[i].kept.role = KM_ROLE_PUBLISHER;
		members[i].kept.state = KM_ENDPOINT_LIVE;
	}
	topics[0].publishers = CLIENTS;
	km_leave_detach(&members[0]);
	ck_assert_uint_eq(gone->left, 1);
	topics[0].kept.gone_publishers.left = 0;
	topics[0].publishers = CLIENTS;
	members[0].kept.state = KM_ENDPOINT_LIVE;
	km_leave_detach(&members[0]);
	ck_assert_uint_eq(gone->left, 1);
	km_leave_detach(&members[1]);
	ck_assert_uint_eq(gone->left, 2);
	ck_assert_uint_eq(gone->died, 0);
}
END_TEST

START_TEST(client_with_unread_messages_hears_once_it_has_read)
{
	leave_unread(0);
	km_notice_changed(&topics[0]);
	while (topics[0].has_news || sessions[1].has_news)
		go_on();
	ck_assert_int_eq(hear(1), 1);
	ck_assert(sessions[0].has_news);
	go_on(); /* the timer, */
	go_on(); /* and its turn: still unread */
	ck_assert(sessions[0].has_news);
	read_it(0);
	while (sessions[0].has_news)
		go_on();
	ck_assert_int_eq(hear(0), 1);
}
END_TEST

/* Between the timer and the turn that it asked for. */
START_TEST(client_goes_before_its_turn_is_forgotten)
{
	leave_unread(0);
	leave_unread(1);
	km_notice_changed(&topics[0]);
	while (topics[0].has_news || !TAILQ_EMPTY(&broker.turns.works))
		go_on();
	ck_assert(sessions[0].has_news && sessions[1].has_news);
	while (TAILQ_EMPTY(&broker.turns.works))
		go_on();
	km_notice_forget_session(&sessions[0]);
	km_notice_forget_session(&sessions[1]);
	go_on();
	ck_assert(!sessions[0].has_news && !sessions[1].has_news);
	read_it(0);
	read_it(1);
	ck_assert_int_eq(hear(0), 0);
	ck_assert_int_eq(hear(1), 0);
}
END_TEST

static void change_another(evutil_socket_t fd, short what, void *userdata)
{
	unsigned *changed = userdata;

	if (*changed < TOPICS - 1)
		km_notice_changed(&topics[++*changed]);
}

/* Another topic changes each 3 ms; the first one's news don't wait for the last of these. */
START_TEST(other_topics_change_news_are_not_put_off)
{
	struct timeval often = { 0, 3000 };
	unsigned changed = 0;
	struct event *event = event_new(broker.base, -1, EV_PERSIST, change_another, &changed);

	ck_assert_int_eq(event_add(event, &often), 0);
	km_notice_changed(&topics[0]);
	while (topics[0].has_news || sessions[0].has_news)
		go_on();
	ck_assert_uint_lt(changed, TOPICS - 1);
	event_free(event);
}
END_TEST

static void make_and_free_another(evutil_socket_t fd, short what, void *userdata)
{
	const unsigned *changed = userdata;

	change_another(fd, what, userdata);
	km_notice_forget_topic(&topics[*changed]);
}

/* A topic comes and goes each 3 ms. A client that had something unread hears of the first one all the
 * same. */
START_TEST(topics_come_and_go_late_readers_hear)
{
	struct timeval often = { 0, 3000 };
	unsigned changed = 0;
	struct event *event = event_new(
		broker.base, -1, EV_PERSIST, make_and_free_another, &changed);

	leave_unread(0);
	km_notice_changed(&topics[0]);
	while (topics[0].has_news || sessions[1].has_news)
		go_on();
	ck_assert(sessions[0].has_news);
	ck_assert_int_eq(event_add(event, &often), 0);
	read_it(0);
	while (sessions[0].has_news && changed < TOPICS - 1)
		go_on();
	ck_assert_int_eq(hear(0), 1);
	ck_assert_uint_lt(changed, TOPICS - 1);
	event_free(event);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("notice");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, many_changes_each_client_one_event);
	tcase_add_test(tcase, leave_broker_killed_before_its_commit_is_counted_once);
	tcase_add_test(tcase, client_with_unread_messages_hears_once_it_has_read);
	tcase_add_test(tcase, client_goes_before_its_turn_is_forgotten);
	tcase_add_test(tcase, other_topics_change_news_are_not_put_off);
	tcase_add_test(tcase, topics_come_and_go_late_readers_hear);
	return fixture_run("notice", tcase);
}
