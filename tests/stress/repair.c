/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live repair: while messages flow, clients with loans, samples and unread messages are killed, and
 * the operator repairs kind by kind what they left, for the broker is told not to. All that is the
 * dead one's comes back, nothing of anybody else's is taken, and the sums are exact as ever.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "libclient/client/control.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/peer.h"
#include "tests/support/stress/stress_main.h"
#include "tests/support/stress/stress_region.h"

#define VICTIMS 12
#define LOANS   2

static void be_victim(void *userdata)
{
	struct stress_run *run = userdata;
	struct kickmsg_client_config config = { .name = "victim", .socket_path = run->socket_path };
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_sample sample;
	void *payload;
	int r = kickmsg_client_new(&config, &client);

	if (r == 0)
		r = kickmsg_subscribe(client, run->topic, NULL, &subscriber);
	if (r == 0)
		r = kickmsg_receive(subscriber, -1, &sample);
	if (r == 0)
		r = kickmsg_advertise(client, run->topic, NULL, &publisher);
	for (int n = 0; r == 0 && n < LOANS;) {
		r = kickmsg_loan(publisher, 1, &payload);
		n += r == 0;
		if (r == -EAGAIN) {
			r = 0;
			stress_idle(0);
		}
	}
	if (r < 0)
		_exit(1);
	test_child_ready();
	pause();
}

static int repair(struct stress_run *run, uint32_t what, struct km_msg_repair_ok *ret)
{
	struct km_msg_repair request = { .topic.header.op = KM_OP_REPAIR, .what = what };
	union km_msg answer;

	snprintf(request.topic.topic, sizeof(request.topic.topic), "%s", run->topic);
	int r = km_client_call(run->region->client, &request, sizeof(request), KM_OP_REPAIR_OK,
		&answer, NULL, NULL);
	if (r < 0)
		return stress_fail(run->board, "repair: %s (%s)", kickmsg_strerror(r),
			kickmsg_client_last_error(run->region->client));
	*ret = answer.repair_ok;
	return 0;
}

/* Waits until the broker has seen the death: what it finds from then on is the dead client's. */
static int await_damage(struct stress_run *run)
{
	struct km_health health;

	do {
		if (stress_over(run, "waiting for the broker to see a death"))
			return -1;
		int r = stress_region_health(run, &health);
		if (r < 0)
			return stress_fail(run->board, "diagnose: %s", kickmsg_strerror(r));
	} while (health.endpoints_dead != 2);
	if (health.slots_orphaned != LOANS)
		return stress_fail(run->board, "%u slots are orphaned, not the dead one's %d",
			health.slots_orphaned, LOANS);
	return 0;
}

/* Repairs kind by kind, beginning with another kind each time. A reference that a hazard
 * protects is repaired by a later pass. */
static int repair_all(struct stress_run *run, uint32_t first)
{
	static const uint32_t kinds[] = { KM_REPAIR_REFERENCES, KM_REPAIR_RINGS, KM_REPAIR_SLOTS };
	uint32_t slots = 0, endpoints = 0;
	struct km_msg_repair_ok did;

	for (uint32_t i = first; endpoints < 2; i++) {
		if (stress_over(run, "repairing") || repair(run, kinds[i % 3], &did) < 0)
			return -1;
		slots += did.slots_reclaimed;
		endpoints += did.endpoints_freed;
	}
	if (slots != LOANS || endpoints != 2 || did.after.endpoints_dead != 0 ||
		did.after.slots_orphaned != 0)
		return stress_fail(run->board,
			"repaired %u slots and %u endpoints; %u slots and %u endpoints are left",
			slots, endpoints, did.after.slots_orphaned, did.after.endpoints_dead);
	return 0;
}

/* Lets all the others send and receive their messages. */
static int await_traffic(struct stress_run *run)
{
	for (uint32_t i = 0; i < run->what->publishers; i++) {
		_Atomic uint64_t *sent = &run->board->publishers[i].sent;
		uint64_t enough = atomic_load(sent) + 50;

		for (uint32_t times = 0; atomic_load(sent) < enough; times++) {
			if (stress_over(run, "waiting for traffic after a repair"))
				return -1;
			stress_idle(times);
		}
	}
	return 0;
}

static int kill_and_repair(struct stress_run *run)
{
	struct km_msg_repair_ok did;

	for (uint32_t i = 0; i < VICTIMS; i++) {
		test_child_end(test_child_start(be_victim, run), SIGKILL);
		if (await_damage(run) < 0 || repair_all(run, i) < 0 || await_traffic(run) < 0)
			return -1;
		/* a repair of nothing does nothing; but a publisher that had loaded its targets
		 * before may have delivered to the dead one's ring */
		if (repair(run, KM_REPAIR_ALL, &did) < 0)
			return -1;
		if (did.slots_reclaimed != 0 || did.endpoints_freed != 0)
			return stress_fail(run->board, "a repair took what isn't the dead's");
	}
	return 0;
}

static const struct stress_case cases[] = {
	{ .name = "live-repair 4x4 zc",
		.publishers = 4,
		.subscribers = 4,
		.spare = 1,
		.pool = 128,
		.ring = 16,
		.messages = 5000,
		.pause_every = 200,
		.meanwhile = kill_and_repair },
	{ .name = "live-repair 2x2 copy, little room",
		.publishers = 2,
		.subscribers = 2,
		.spare = 1,
		.pool = 24,
		.ring = 4,
		.messages = 5000,
		.pause_every = 200,
		.copying = true,
		.blocking = true,
		.meanwhile = kill_and_repair },
	{ .name = "live-repair shared 4x4",
		.publishers = 4,
		.subscribers = 4,
		.spare = 1,
		.pool = 128,
		.ring = 16,
		.messages = 5000,
		.pause_every = 200,
		.shared = true,
		.meanwhile = kill_and_repair },
};

int main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]),
		"[recovery]\nautomatic = no\n");
}
