/* SPDX-License-Identifier: Apache-2.0 */
/* See asker.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/memory/cell.h"
#include "common/memory/region.h"
#include "tests/support/broker/asker.h"
#include "tests/support/broker/peer.h"

#define SUBSCRIBERS 200 /* the limit of a client's endpoints is 256 */
#define ON_THE_WAY  16

static struct {
	const char *path;
	enum asker_what what;
} order;

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "asker: %s\n", what);
	_exit(99);
}

static void attach(int peer, uint32_t op, const char *topic, const struct km_geometry *geometry,
	union km_msg *ret, int *fds)
{
	struct km_msg_attach request = { .header.op = op };
	size_t count = 0;

	snprintf(request.topic, sizeof request.topic, "%s", topic);
	request.has_geometry = geometry != NULL;
	if (geometry)
		request.geometry = *geometry;
	must(send(peer, &request, sizeof request, MSG_NOSIGNAL) == sizeof request, "send");
	must(km_wire_receive(peer, ret, fds, &count) > 0 && ret->header.op == KM_OP_ATTACHED,
		ret->header.op == KM_OP_ERROR ? ret->error.text : "attach");
	while (count > 3) /* client segments stay open: they are its life */
		count--;
	while (count > 1)
		close(fds[--count]);
}

/* Returns the endpoint. */
static uint64_t make_pool(int peer)
{
	struct km_geometry geometry;
	union km_msg answer;
	int fds[KM_WIRE_MAX_FDS];

	km_geometry_init(&geometry);
	geometry.transport = KM_TRANSPORT_RINGS;
	geometry.pool_size = KM_MAX_POOL;
	geometry.max_subscribers = KM_MAX_RINGS;
	geometry.ring_capacity = KM_MAX_CAPACITY;
	geometry.max_payload_size = 8;
	attach(peer, KM_OP_ADVERTISE, "asked-pool", &geometry, &answer, fds);
	close(fds[0]);
	return answer.attached.endpoint;
}

static void make_and_leave(int peer, uint64_t endpoint)
{
	for (;;) {
		struct km_msg_detach request = { .header.op = KM_OP_DETACH, .endpoint = endpoint };

		must(send(peer, &request, sizeof request, MSG_NOSIGNAL) == sizeof request,
			"detach");
		endpoint = make_pool(peer);
	}
}

static void make_ring(int peer)
{
	struct km_geometry geometry;
	union km_msg answer;
	int fds[KM_WIRE_MAX_FDS], unused[KM_WIRE_MAX_FDS];
	struct km_region region;

	km_geometry_init(&geometry);
	geometry.transport = KM_TRANSPORT_SHARED;
	geometry.pool_size = 2;
	geometry.max_subscribers = KM_MAX_SUBSCRIBERS;
	geometry.ring_capacity = KM_MAX_CAPACITY;
	geometry.max_payload_size = 8;
	attach(peer, KM_OP_ADVERTISE, "asked-ring", &geometry, &answer, fds);
	uint64_t size = answer.attached.control_size;
	void *control = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	must(control != MAP_FAILED &&
			km_region_attach(&region, &geometry, control, size, NULL, 0) == 0,
		"map");
	close(fds[0]);
	for (int i = 0; i < SUBSCRIBERS; i++) {
		attach(peer, KM_OP_SUBSCRIBE, "asked-ring", NULL, &answer, unused);
		close(unused[0]);
	}
	for (uint32_t i = 0; i < geometry.ring_capacity; i++)
		atomic_store(&km_region_cell(&region, i)->word, km_cell_word(1, KM_SHARED_INLINE));
	atomic_store(&region.shared->hint, geometry.ring_capacity);
}

static void ask_list(int peer, unsigned which)
{
	static const uint32_t ops[] = { KM_OP_STATUS, KM_OP_LIST, KM_OP_NUMBERS, KM_OP_SESSIONS };
	struct km_msg_list request = { .header.op = ops[which % 4] };

	must(send(peer, &request, sizeof request, MSG_NOSIGNAL) == sizeof request, "ask");
}

static void ask(int peer, enum asker_what what)
{
	struct km_msg_topic stats = { .header.op = KM_OP_STATS };
	struct km_msg_topic diagnose = { .header.op = KM_OP_DIAGNOSE };
	struct km_msg_repair repair = { .topic.header.op = KM_OP_REPAIR, .what = KM_REPAIR_ALL };
	const void *request = &stats;
	size_t size = sizeof stats;

	strcpy(stats.topic, what == ASKER_RING_STATS ? "asked-ring" : "asked-pool");
	strcpy(diagnose.topic, "asked-pool");
	strcpy(repair.topic.topic, "asked-pool");
	if (what == ASKER_DIAGNOSE) {
		request = &diagnose;
		size = sizeof diagnose;
	} else if (what == ASKER_REPAIR) {
		request = &repair;
		size = sizeof repair;
	}
	must(send(peer, request, size, MSG_NOSIGNAL) == (ssize_t)size, "ask");
}

static void run(void *unused)
{
	int peer = test_peer_hello(order.path, "asker", NULL);
	unsigned next = 0, on_the_way = 0;
	uint64_t endpoint = 0;
	union km_msg answer;

	if (order.what != ASKER_RING_STATS)
		endpoint = make_pool(peer);
	if (order.what == ASKER_RING_STATS || order.what == ASKER_ALL)
		make_ring(peer);
	test_child_ready();
	if (order.what == ASKER_MAKE)
		make_and_leave(peer, endpoint);
	for (;;) {
		for (; on_the_way < ON_THE_WAY; on_the_way++, next++)
			if (order.what == ASKER_LISTS)
				ask_list(peer, next);
			else
				ask(peer,
					order.what == ASKER_ALL ? next % ASKER_KINDS : order.what);
		/* an answer may take long: it has asked for much */
		int op = test_peer_answer(peer, &answer);
		must(op > 0 || op == -EAGAIN, "no answer");
		on_the_way -= op > 0;
	}
}

pid_t asker_start(const char *socket, enum asker_what what)
{
	order.path = socket;
	order.what = what;
	return test_child_start(run, NULL);
}
