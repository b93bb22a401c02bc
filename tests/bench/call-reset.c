/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How soon a caller hears that its server is dead: the server is killed with 100 calls in flight, and the
 * time goes on until the last of them has ended with -ECONNRESET. It begins at the kill, so the kernel's and
 * the broker's part is in it, before the death notice; what comes behind the notice is shorter still.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libclient/kickmsg-service.h"
#include "tests/bench/kick.h"

#define CALLS     100
#define MAX_KILLS 200
#define WAIT_NS   INT64_C(10000000000)
#define GOAL_US   1000

/* Starts a server that answers nothing. */
static pid_t start_server(
	const struct bench *bench, const char *name, const struct kickmsg_service_config *config)
{
	struct kickmsg_server *server;
	struct kickmsg_request request;
	pid_t pid = bench_fork();

	if (pid > 0)
		return pid;
	struct kickmsg_client *client = kick_client(bench->socket_path);
	if (kickmsg_serve(client, name, config, &server) < 0)
		bench_die("serve: %s", kickmsg_client_last_error(client));
	while (kickmsg_take_request(server, -1, &request) == 0)
		;
	_exit(1);
}

static void begin_all(struct kickmsg_caller *caller, uint64_t *ids)
{
	for (int i = 0; i < CALLS; i++) {
		int r = kickmsg_call_begin(caller, &i, sizeof(i), -1, &ids[i]);

		if (r < 0)
			bench_die("call: %s", kickmsg_strerror(r));
	}
}

/* Takes the end of each call, and checks that each ends once. */
static void take_all(struct kickmsg_caller *caller, uint64_t *ids)
{
	struct kickmsg_reply reply;

	for (int left = CALLS; left > 0; left--) {
		int r = kickmsg_take_reply(caller, WAIT_NS, &reply), i = 0;

		while (r == 0 && i < CALLS && ids[i] != reply.id)
			i++;
		if (r < 0 || reply.error != -ECONNRESET || i == CALLS)
			bench_die("a call ends with %s", kickmsg_strerror(r < 0 ? r : reply.error));
		ids[i] = 0;
	}
	if (kickmsg_take_reply(caller, 0, &reply) != -ENOENT)
		bench_die("a call ends twice");
}

/* us */
static double kill_once(struct bench *bench, struct kickmsg_caller *caller, pid_t server)
{
	uint64_t ids[CALLS];
	int r = kickmsg_caller_wait_server(caller, WAIT_NS);

	if (r < 0)
		bench_die("no server: %s", kickmsg_strerror(r));
	begin_all(caller, ids);
	uint64_t start = bench_ticks();
	kill(server, SIGKILL);
	take_all(caller, ids);
	uint64_t end = bench_ticks();
	bench_reap(server, WAIT_NS / 1e9);
	bench->report.verified += CALLS;
	return (double)(end - start) * bench_ns_per_tick() / 1e3;
}

static void reset_row(
	struct bench *bench, const char *load, const char *system, enum kickmsg_transport transport)
{
	unsigned count = bench->scale.kills < MAX_KILLS ? bench->scale.kills : MAX_KILLS;
	const struct kickmsg_caller_options options = { .wait_ns = WAIT_NS };
	struct kickmsg_client *client = kick_client(bench->socket_path);
	struct kickmsg_service_config config;
	struct kickmsg_caller *caller = NULL;
	double values[MAX_KILLS];

	kickmsg_service_config_init(&config);
	config.max_calls = CALLS;
	config.max_request_size = config.max_reply_size = 64;
	config.transport = transport;
	for (unsigned i = 0; i < count; i++) {
		pid_t server = start_server(bench, system, &config);

		/* the service is made by the first server */
		if (!caller && kickmsg_open_service(client, system, &options, &caller) < 0)
			bench_die("open: %s", kickmsg_client_last_error(client));
		values[i] = kill_once(bench, caller, server);
	}
	kickmsg_client_free(client);
	struct bench_row *row = bench_row_new(&bench->report, load, system, "us");
	bench_row_times(row, values, count, GOAL_US);
	snprintf(row->note, sizeof(row->note), "from the SIGKILL to the last of %d -ECONNRESET",
		CALLS);
}

void bench_call_reset(struct bench *bench, const char *load)
{
	reset_row(bench, load, "kickmsg-call", KICKMSG_TRANSPORT_SHARED);
	reset_row(bench, load, "kickmsg-call-rings", KICKMSG_TRANSPORT_RINGS);
}
