/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A caller with calls in flight, and the server that answers them, dies or leaves: see actors.h. Of the two
 * sides the product's code runs that hears, sends, and sleeps. The rest is played: the calls have been begun,
 * and there is one line.
 */
#include <errno.h>
#include <string.h>

#include "common/ring/futex.h"
#include "libclient/service/caller.h"
#include "libclient/service/tagged.h"
#include "tests/explore/cast.h"

#define FIRST_ID (UINT64_C(1) << 16)

struct caller_world {
	struct kickmsg_caller caller;
	struct km_line line;
	struct km_call calls[ACTOR_MAX_CALLS];
	uint16_t free_calls[ACTOR_MAX_CALLS], ended[ACTOR_MAX_CALLS];
	bool has_ended[ACTOR_MAX_CALLS];
};

static struct kickmsg_client nobody;
static struct caller_world *callers[WORLD_MAX_ENDPOINTS];
static struct km_channel *servers[WORLD_MAX_ENDPOINTS];

/* --- calls that do nothing here: no actor reconnects or has an event loop --- */

void km_caller_look_after(struct kickmsg_caller *caller)
{
}

void km_caller_look_in_vain(struct kickmsg_caller *caller)
{
}

void km_caller_meet(struct kickmsg_caller *caller, struct km_line *line, uint64_t server)
{
}

void km_loop_set(struct km_loop *loop)
{
}

void km_loop_rest(struct km_loop *loop, int64_t until_ns)
{
}

void km_loop_mute(struct km_loop *loop, struct km_channel *channel, bool muted)
{
}

void km_loop_unwatch(struct km_loop *loop, struct km_watched *watched)
{
}

bool km_loop_arm(struct km_channel *channel)
{
	return false;
}

/* --- the server's side --- */

/* Publisher 0, the first actor, sends replies, or requests. */
static enum km_message_kind kind_of_messages(void)
{
	return actors_scenario->actors[0].flags & ACTOR_SERVES ? KM_MESSAGE_REQUEST
							       : KM_MESSAGE_LAST;
}

uint64_t actor_tag_of(uint64_t message)
{
	const struct km_label label = { .id = FIRST_ID + (uint32_t)message - 1,
		.kind = kind_of_messages() };

	return km_message_tag(&label);
}

void actor_set_up_server(int index)
{
	struct km_channel *channel = world_private(sizeof *channel);

	channel->out = publishers[index];
	servers[index] = channel;
}

/* Answers call `sequence` - 1, or sends its request. The onlooker knows both as messages. */
static void answer(int index, uint32_t sequence)
{
	struct world_endpoint *endpoint = actor_publisher(index);
	const uint64_t message = (uint64_t)index << 32 | sequence, words[2] = { message, ~message };
	/* with a shared ring the word stands where the onlooker finds the sequence */
	const struct km_label label = {
		.id = FIRST_ID + sequence - 1, .word = sequence, .kind = kind_of_messages()
	};

	ex_call(2 * CALL_LIMIT);
	endpoint->publishing = message;
	int r = km_channel_send(servers[index], words, world_size(), &label, NULL);
	if (r < 0)
		ex_fail("km_channel_send: %d", r);
	endpoint->finished = sequence;
	world_check_sleepers();
}

void actor_serve(const struct actor *actor)
{
	for (int i = 0; i < actor->count; i++)
		answer(actor->index, (uint32_t)i + 1);
	if (actor->flags & ACTOR_SERVES) {
		ex_memory_tell(ex.current); /* the server hears of it, say by another topic */
		actor_publisher(actor->index)->calls_ended = true;
		return;
	}
	ex_control();
	actor_publisher(actor->index)->left = true;
	world.leaves++;
}

/* Tells the caller of its server's end, as daemon/topic/leave.c and daemon/serve/notice.c do. */
void actor_tell_end(void)
{
	struct km_control_header *header = world.region->header;

	ex_memory_tell(ex.current); /* told by the kernel, or by the server that leaves */
	km_store(M3, relaxed, &header->gone_publishers.died, 1);
	km_store(G4, relaxed, &header->publishers, 0);
	km_add(M1, release, &header->changes, 1);
	km_futex_wake(&header->changes);
}

/* --- the caller's --- */

void actor_set_up_caller(int index, unsigned count, bool is_shared)
{
	struct caller_world *own = is_shared ? world_shared(sizeof *own)
					     : world_private(sizeof *own);

	callers[index] = own;
	own->caller.client = &nobody;
	own->caller.shape.max_calls = count;
	own->caller.line = &own->line;
	own->caller.calls = own->calls;
	own->caller.free_calls = own->free_calls;
	own->caller.ended = own->ended;
	own->caller.in_flight = count;
	/* with private rings as a caller one of whose calls has a deadline: it takes the unusual way */
	own->caller.next_ns = world.shape.shared ? INT64_MAX : INT64_MAX - 1;
	own->line.ready = true;
	own->line.calls = count;
	own->line.channel.in = subscribers[index];
	for (uint32_t i = 0; i < count; i++)
		own->calls[i] = (struct km_call){ .id = FIRST_ID + i,
			.line = &own->line,
			.deadline_ns = INT64_MAX,
			.waits = true };
}

/* Each call ends once: with the reply that was sent, or without one since its server is gone. */
static void account(int index, struct kickmsg_reply *reply)
{
	struct caller_world *own = callers[index];
	const uint64_t at = reply->id - FIRST_ID;

	if (at >= own->caller.shape.max_calls || own->has_ended[at] || reply->more)
		ex_fail("call: %lu of %u has ended twice", at, own->caller.shape.max_calls);
	own->has_ended[at] = true;
	if (reply->error == 0) {
		uint64_t message = actor_check_received(index, &reply->sample);

		if ((uint32_t)message != at + 1)
			ex_fail("call: %lu is answered by the reply %lx", at, message);
		actor_give_back(index, &reply->sample, message);
		return;
	}
	if (reply->error != -ECONNRESET || world.deaths + world.leaves == 0)
		ex_fail("call: %lu ends with %d", at, reply->error);
	if (at < actor_publisher(0)->finished)
		ex_fail("call: %lu was answered, and ends with -ECONNRESET", at);
}

void actor_call(const struct actor *actor)
{
	struct kickmsg_caller *caller = &callers[actor->index]->caller;
	struct world_endpoint *endpoint = actor_subscriber(actor->index);
	struct kickmsg_reply reply;
	int r;

	for (;;) {
		ex_call(4 * CALL_LIMIT);
		r = kickmsg_take_reply(caller, -1, &reply);
		if (r == -ENOENT)
			break;
		if (r == -EINTR && ++endpoint->interrupted <= endpoint->asked)
			continue;
		if (r < 0)
			ex_fail("kickmsg_take_reply: %d", r);
		account(actor->index, &reply);
	}
	for (uint32_t i = 0; i < caller->shape.max_calls; i++)
		if (!callers[actor->index]->has_ended[i])
			ex_fail("call: %u never ends", i);
	if (caller->free_count != caller->shape.max_calls || caller->to_tell > 0)
		ex_fail("call: a place isn't free");
	endpoint->calls_ended = true;
}

void actor_interrupt_call(int index)
{
	km_rest_interrupt(&callers[index]->caller.rest);
}

bool actor_is_asked(int index)
{
	return km_load(D8, seq_cst, &callers[index]->caller.rest.asked);
}
