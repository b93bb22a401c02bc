/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that polls for one caller's requests: see actors.h. The product's code runs that takes them. The
 * rest is played: the caller was met, and nobody waits for the answers, so each is given up as if the
 * caller had just gone.
 */
#include <errno.h>

#include "libclient/service/server.h"
#include "tests/explore/cast.h"

struct server_world {
	struct kickmsg_server server;
	struct km_visitor visitor;
	struct km_task tasks[ACTOR_MAX_CALLS];
	struct kickmsg_publisher service;
};

static struct kickmsg_client nobody;
static struct server_world *polling;

/* --- calls that do nothing here: no actor asks a broker or has an event loop --- */

void km_server_look(struct kickmsg_server *server)
{
}

int64_t km_server_asks_at(const struct kickmsg_server *server)
{
	return INT64_MAX;
}

/* Beside the product's this one leaves it all to the look at one word. */
void km_server_look_after(struct kickmsg_server *server)
{
}

bool km_server_arm(struct kickmsg_server *server)
{
	return false;
}

/* --- the server --- */

void actor_set_up_polling(int index, uint32_t count)
{
	struct server_world *own = world_private(sizeof *own);

	polling = own;
	own->service.handle.place.region = *world.region;
	own->server.client = &nobody;
	own->server.service = &own->service;
	own->server.active = true;
	own->server.visitors = &own->visitor;
	own->visitor.server = &own->server;
	own->visitor.channel.in = subscribers[index];
	own->visitor.channel.out = &own->service;
	own->visitor.tasks = own->tasks;
	own->visitor.count = count;
	for (uint32_t i = 0; i < count; i++)
		own->tasks[i].next = i + 1 < count ? i + 1 : KM_TASK_NONE;
}

/* Gives the request's sample back, and the request up. */
static void give_up(int index, struct kickmsg_request *request)
{
	struct km_visitor *visitor = &polling->visitor;
	struct kickmsg_sample *sample = &visitor->tasks[request->task].sample;

	/* the server may have taken two together, of which the onlooker knows the last */
	actor_subscriber(index)->taken = *(const uint64_t *)sample->data;
	actor_give_back(index, sample, actor_check_received(index, sample));
	visitor->channel.gone = true;
	int r = kickmsg_reply(request, NULL, 0);
	visitor->channel.gone = false;
	if (r != -ECONNRESET || request->server)
		ex_fail("kickmsg_reply: %d for a caller that is gone", r);
}

static bool take(int index)
{
	struct kickmsg_request request;

	ex_call(4 * CALL_LIMIT);
	int r = kickmsg_take_request(&polling->server, 0, &request);
	if (r < 0 && r != -EAGAIN)
		ex_fail("kickmsg_take_request: %d", r);
	if (r == 0)
		give_up(index, &request);
	return r == 0;
}

static bool has_sent_all(void *argument)
{
	return actor_publisher(0)->calls_ended;
}

void actor_poll(const struct actor *actor)
{
	const uint32_t count = polling->visitor.count;

	for (int i = 0; i < actor->count; i++)
		take(actor->index);
	ex_wait(has_sent_all, NULL);
	ex_control();
	ex_memory_tell(ex.current);
	while (actor_subscriber(actor->index)->received < count)
		if (!take(actor->index))
			ex_fail("lost request: a take finds none, %lu of %u were taken",
				actor_subscriber(actor->index)->received, count);
}
