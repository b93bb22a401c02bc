/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that victims are walked through, and what they must have brought if nobody was
 * killed. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/crash/crash_judge.h"
#include "tests/support/crash/crash_states.h"
#include "tests/support/crash/crash_step.h"

/* --- what the victim does --- */

static CRASH_OP void run_send(void *arg)
{
	struct crash_world *world = arg;

	world->result = kickmsg_send(&world->publishers[0], &world->message, sizeof world->message);
}

static CRASH_OP void run_loan_publish(void *arg)
{
	struct crash_world *world = arg;
	struct kickmsg_publisher *publisher = &world->publishers[0];

	world->result = kickmsg_loan(publisher, sizeof world->message, &world->payload);
	if (world->result < 0)
		return;
	*(struct crash_message *)world->payload = world->message;
	world->result = kickmsg_publish(publisher, world->payload, sizeof world->message);
}

static CRASH_OP void run_send_many(void *arg)
{
	struct crash_world *world = arg;
	struct iovec messages[CRASH_MANY];

	for (uint32_t i = 0; i < CRASH_MANY; i++)
		messages[i] = (struct iovec){ &world->many[i], sizeof world->many[i] };
	world->result = kickmsg_send_many(&world->publishers[0], messages, CRASH_MANY);
}

static CRASH_OP void run_publish_many(void *arg)
{
	struct crash_world *world = arg;
	struct kickmsg_publisher *publisher = &world->publishers[0];
	struct iovec loans[CRASH_MANY] = { 0 };
	uint32_t lent = 0;

	for (; lent < CRASH_MANY; lent++) {
		loans[lent].iov_len = sizeof world->message;
		world->result = kickmsg_loan(
			publisher, sizeof world->message, &loans[lent].iov_base);
		if (world->result < 0)
			break;
		*(struct crash_message *)loans[lent].iov_base = world->many[lent];
	}
	if (lent == CRASH_MANY)
		world->result = kickmsg_publish_many(publisher, loans, CRASH_MANY);
}

static CRASH_OP void run_loan_discard(void *arg)
{
	struct crash_world *world = arg;
	struct kickmsg_publisher *publisher = &world->publishers[0];

	world->result = kickmsg_loan(publisher, sizeof world->message, &world->payload);
	if (world->result == 0)
		world->result = kickmsg_discard(publisher, world->payload);
}

static CRASH_OP void run_publisher_detach(void *arg)
{
	struct crash_world *world = arg;

	km_place_end(&world->publishers[0].handle.place);
}

static CRASH_OP void run_receive(void *arg)
{
	struct crash_world *world = arg;

	world->result = kickmsg_try_receive(&world->subscribers[0], &world->sample);
}

static CRASH_OP void run_receive_release(void *arg)
{
	struct crash_world *world = arg;

	world->result = kickmsg_try_receive(&world->subscribers[0], &world->sample);
	if (world->result < 0)
		return;
	world->copy = *(const struct crash_message *)world->sample.data;
	world->result = kickmsg_sample_release(&world->sample);
}

static CRASH_OP void run_receive_many(void *arg)
{
	struct crash_world *world = arg;

	world->result = kickmsg_receive_many(&world->subscribers[0], 0, world->samples, CRASH_MANY);
	if (world->result < 0)
		return;
	for (ssize_t i = 0; i < world->result; i++)
		world->many[i] = *(const struct crash_message *)world->samples[i].data;
	world->result = kickmsg_release_many(world->samples, (size_t)world->result);
}

static CRASH_OP void run_receive_copy(void *arg)
{
	struct crash_world *world = arg;

	world->result = kickmsg_try_receive_copy(
		&world->subscribers[0], &world->copy, sizeof world->copy);
}

/* Empties the ring, announces that it sleeps, and is up again at once. */
static CRASH_OP void run_wait(void *arg)
{
	struct crash_world *world = arg;
	struct kickmsg_subscriber *subscriber = &world->subscribers[0];

	do
		world->result = kickmsg_receive_copy(
			subscriber, &world->copy, sizeof world->copy, 1);
	while (world->result >= 0);
}

static CRASH_OP void run_release(void *arg)
{
	struct crash_world *world = arg;

	world->result = kickmsg_sample_release(&world->kept[0][--world->kept_count[0]]);
}

static CRASH_OP void run_subscriber_detach(void *arg)
{
	struct crash_world *world = arg;

	km_place_end(&world->subscribers[0].handle.place);
}

/* The end of a handle frees memory of the library's own, which comes from the heap. */
static void prepare_publisher_detach(void *arg)
{
	struct crash_world *world = arg;
	void *loans = malloc(sizeof world->loans[0]);

	world->publishers[0].handle.place.loans = memcpy(
		loans, world->loans[0], sizeof world->loans[0]);
}

/* The victim's message is the first of several. */
static void prepare_send_many(void *arg)
{
	struct crash_world *world = arg;

	world->is_many = true;
	world->many[0] = world->message;
	for (uint32_t i = 1; i < CRASH_MANY; i++)
		world->many[i] = crash_message(world, 0);
	world->message = world->many[CRASH_MANY - 1];
}

static void prepare_subscriber_detach(void *arg)
{
	struct crash_world *world = arg;
	void *holds = malloc(sizeof world->holds[0]);

	world->subscribers[0].handle.place.holds = memcpy(
		holds, world->holds[0], sizeof world->holds[0]);
	if (world->region.shared)
		world->subscribers[0].handle.place.copies_memory = malloc(64);
}

/* --- what it must have got, when it was spared --- */

static bool check_sent(struct crash_world *world)
{
	return world->result == sizeof world->message || crash_fail("send: %zd", world->result);
}

static bool check_loaned(struct crash_world *world)
{
	return world->result == 0 || crash_fail("loan: %zd", world->result);
}

static bool check_published(struct crash_world *world)
{
	return world->result >= 0 || crash_fail("publish: %zd", world->result);
}

static bool check_sent_many(struct crash_world *world)
{
	return world->result == CRASH_MANY || crash_fail("many: %zd", world->result);
}

static bool check_zero(struct crash_world *world)
{
	return world->result == 0 || crash_fail("result %zd", world->result);
}

static bool check_received(struct crash_world *world)
{
	if (world->result != 0 || world->sample.len != sizeof world->message)
		return crash_fail("receive: %zd, %zu bytes", world->result, world->sample.len);
	world->kept[0][world->kept_count[0]++] = world->sample;
	return crash_note(world, 0, world->sample.data);
}

static bool check_released(struct crash_world *world)
{
	return check_zero(world) && crash_note(world, 0, &world->copy);
}

static bool check_received_many(struct crash_world *world)
{
	if (world->result <= 0)
		return crash_fail("receive_many, release_many: %zd", world->result);
	for (ssize_t i = 0; i < world->result; i++)
		if (!crash_note(world, 0, &world->many[i]))
			return false;
	return true;
}

static bool check_copied(struct crash_world *world)
{
	if (world->result != sizeof world->copy)
		return crash_fail("receive_copy: %zd", world->result);
	return crash_note(world, 0, &world->copy);
}

/* Checks a victim that went to sleep in the end. The messages that it took before are counted,
 * their contents aren't compared. */
static bool check_waited(struct crash_world *world)
{
	struct crash_reader *reader = &world->readers[0];

	reader->received = world->subscribers[0].handle.place.next - reader->start -
			   world->subscribers[0].handle.place.lost;
	return world->result == -ETIMEDOUT || crash_fail("wait: %zd", world->result);
}

const struct crash_op crash_operations[] = {
	{ "send", KM_ROLE_PUBLISHER, run_send, NULL, 1, 0, false, check_sent },
	{ "loan+publish", KM_ROLE_PUBLISHER, run_loan_publish, NULL, 1, 0, false, check_published },
	{ "send-many", KM_ROLE_PUBLISHER, run_send_many, prepare_send_many, CRASH_MANY, 0, false,
		check_sent_many, .many = CRASH_BOTH },
	{ "publish-many", KM_ROLE_PUBLISHER, run_publish_many, prepare_send_many, CRASH_MANY, 0,
		false, check_sent_many, .many = CRASH_RINGS_ONLY },
	{ "loan+discard", KM_ROLE_PUBLISHER, run_loan_discard, NULL, 0, 0, false, check_loaned },
	{ "detach", KM_ROLE_PUBLISHER, run_publisher_detach, prepare_publisher_detach, 0, 0, true,
		NULL },
	{ "receive", KM_ROLE_SUBSCRIBER, run_receive, NULL, 0, 1, false, check_received },
	{ "receive+release", KM_ROLE_SUBSCRIBER, run_receive_release, NULL, 0, 1, false,
		check_released },
	{ "receive-many", KM_ROLE_SUBSCRIBER, run_receive_many, NULL, 0, CRASH_MANY, false,
		check_received_many, .many = CRASH_BOTH },
	{ "receive_copy", KM_ROLE_SUBSCRIBER, run_receive_copy, NULL, 0, 1, false, check_copied },
	{ "wait", KM_ROLE_SUBSCRIBER, run_wait, NULL, 0, 0, false, check_waited, .waits = true },
	{ "release", KM_ROLE_SUBSCRIBER, run_release, NULL, 0, 0, false, check_zero },
	{ "detach", KM_ROLE_SUBSCRIBER, run_subscriber_detach, prepare_subscriber_detach, 0, 0,
		true, NULL },
};

const size_t crash_operation_count = sizeof crash_operations / sizeof *crash_operations;
