/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a worker comes to its publisher or subscriber: through the broker, or, in a bare run, on the
 * run's own piece of memory. The latter is for ThreadSanitizer: two mappings of one memfd are two
 * addresses to it, so that it sees no race between clients; on bare memory every access of every
 * worker is at one address.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/handle/handle.h"
#include "tests/support/stress/stress_region.h"

int stress_connect(struct stress_worker *worker)
{
	struct stress_run *run = worker->run;
	char name[64];
	struct kickmsg_client_config config = {
		.name = name,
		.socket_path = run->socket_path,
		.timeout_ns = UINT64_C(60000000000),
	};

	if (run->what->bare)
		return 0;
	snprintf(name, sizeof(name), "stress-%u", worker->index);
	int r = kickmsg_client_new(&config, &worker->client);

	return r < 0 ? stress_fail(run->board, "client %u: %s", worker->index, kickmsg_strerror(r))
		     : 0;
}

void stress_disconnect(struct stress_worker *worker)
{
	kickmsg_client_free(worker->client);
	worker->client = NULL;
}

int stress_advertise(struct stress_worker *worker, struct kickmsg_publisher **ret)
{
	struct stress_run *run = worker->run;
	int r;

	if (run->what->bare)
		r = stress_bare_advertise(run->region, ret);
	else
		r = kickmsg_advertise(worker->client, run->topic, NULL, ret);
	return r < 0 ? stress_fail(run->board, "advertise %u: %s (%s)", worker->index,
			       kickmsg_strerror(r),
			       worker->client != NULL ? kickmsg_client_last_error(worker->client)
						      : "")
		     : 0;
}

void stress_unadvertise(struct stress_worker *worker, struct kickmsg_publisher *publisher)
{
	if (worker->run->what->bare)
		stress_bare_unadvertise(publisher);
	else
		kickmsg_publisher_free(publisher);
}

int stress_subscribe(struct stress_worker *worker, struct kickmsg_subscriber **ret)
{
	struct stress_run *run = worker->run;
	int r;

	if (run->what->bare)
		r = stress_bare_subscribe(run->region, ret);
	else
		r = kickmsg_subscribe(worker->client, run->topic, worker->options, ret);
	return r < 0 ? stress_fail(run->board, "subscribe %u: %s (%s)", worker->index,
			       kickmsg_strerror(r),
			       worker->client != NULL ? kickmsg_client_last_error(worker->client)
						      : "")
		     : 0;
}

void stress_unsubscribe(struct stress_worker *worker, struct kickmsg_subscriber *subscriber)
{
	if (worker->run->what->bare)
		stress_bare_unsubscribe(subscriber);
	else
		kickmsg_subscriber_free(subscriber);
}
