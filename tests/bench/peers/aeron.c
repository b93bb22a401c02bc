/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aeron over aeron:ipc, by its C client: exclusive publications, claims in place up to an MTU, which is set
 * as large as it can be, and offers above it; polls of one fragment, which is looked at where it lies (the
 * publisher can't come there before the next poll). Each stage has a media driver of its own, aeronmd. Its
 * one thread sleeps, since no message goes through it. There is no receive that sleeps.
 */
#include <aeronc.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define CHANNEL      "aeron:ipc?term-length=16m"
#define MTU          65504 /* bytes, the largest that it takes */
#define HEADER       32    /* bytes of a fragment, within the MTU */
#define FIRST_STREAM 1000
#define OPEN_TRIES   5000 /* of 1 ms */

struct aeron_end {
	struct worker *worker;
	aeron_exclusive_publication_t *publication;
	aeron_subscription_t *subscription;
	aeron_fragment_assembler_t *assembler;
	const uint8_t *data; /* the fragment that was polled, or null */
	size_t size;
	_Alignas(64) unsigned char message[];
};

/* The state of this process. */
static aeron_context_t *context;
static aeron_t *client;
static pid_t driver; /* worker 0 alone has it */

static void directory_of(const struct worker *worker, char *ret, size_t size)
{
	snprintf(ret, size, "%s/%s.aeron", worker->dir, worker->name);
}

static void start_driver(const struct worker *worker)
{
	pid_t parent = getpid();
	char directory[200], mtu[12];

	directory_of(worker, directory, sizeof(directory));
	snprintf(mtu, sizeof(mtu), "%d", MTU);
	driver = fork();
	if (driver != 0)
		return;
	bench_die_with(parent);
	/* a SIGINT ends the driver in order: it has files to remove */
	prctl(PR_SET_PDEATHSIG, SIGINT);
	setenv("AERON_DIR", directory, 1);
	setenv("AERON_DIR_DELETE_ON_SHUTDOWN", "true", 1);
	setenv("AERON_THREADING_MODE", "SHARED", 1);
	setenv("AERON_SHARED_IDLE_STRATEGY", "sleep-ns", 1);
	setenv("AERON_IPC_MTU_LENGTH", mtu, 1);
	int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(nothing, STDOUT_FILENO);
	dup2(nothing, STDERR_FILENO);
	execlp("aeronmd", "aeronmd", (char *)NULL);
	_exit(127);
}

/* Is the driver still there? */
static void look_at_driver(struct worker *worker)
{
	int status;

	if (driver > 0 && waitpid(driver, &status, WNOHANG) == driver) {
		driver = 0;
		stage_refuse(worker, "no aeronmd, or it ends at once");
	}
}

/* Waits a moment for what isn't there yet. */
static void wait_a_while(struct worker *worker, unsigned *tries, const char *what)
{
	look_at_driver(worker);
	if (++*tries == OPEN_TRIES)
		stage_refuse(worker, "%s: %s", what, aeron_errmsg());
	usleep(1000);
}

/* The driver may end before this process does. */
static void ignore(void *userdata, int error, const char *text)
{
}

static void connect_to_driver(struct worker *worker)
{
	char directory[200];
	unsigned tries = 0;

	if (worker->index == 0)
		start_driver(worker);
	directory_of(worker, directory, sizeof(directory));
	for (;;) {
		if (aeron_context_init(&context) < 0)
			bench_die("aeron_context_init: %s", aeron_errmsg());
		aeron_context_set_dir(context, directory);
		aeron_context_set_driver_timeout_ms(context, 1000);
		aeron_context_set_error_handler(context, ignore, NULL);
		if (aeron_init(&client, context) == 0 && aeron_start(client) == 0)
			return;
		aeron_context_close(context);
		wait_a_while(worker, &tries, "no media driver");
	}
}

static struct aeron_end *open_end(struct worker *worker)
{
	struct aeron_end *end = peer_end_new(worker, sizeof(*end));

	end->worker = worker;
	if (worker->shape.block)
		stage_refuse(worker, "it has no receive that sleeps");
	if (!client)
		connect_to_driver(worker);
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	struct aeron_end *end = open_end(worker);
	aeron_async_add_exclusive_publication_t *adding;
	unsigned tries = 0;
	int r;

	if (aeron_async_add_exclusive_publication(
		    &adding, client, CHANNEL, FIRST_STREAM + (int32_t)channel) < 0)
		stage_refuse(worker, "a publication: %s", aeron_errmsg());
	while ((r = aeron_async_add_exclusive_publication_poll(&end->publication, adding)) == 0)
		wait_a_while(worker, &tries, "a publication");
	if (r < 0)
		stage_refuse(worker, "a publication: %s", aeron_errmsg());
	return end;
}

static void on_fragment(void *userdata, const uint8_t *data, size_t size, aeron_header_t *header)
{
	struct aeron_end *end = userdata;

	end->data = data;
	end->size = size;
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	struct aeron_end *end = open_end(worker);
	aeron_async_add_subscription_t *adding;
	unsigned tries = 0;
	int r;

	if (aeron_fragment_assembler_create(&end->assembler, on_fragment, end) < 0 ||
		aeron_async_add_subscription(&adding, client, CHANNEL,
			FIRST_STREAM + (int32_t)channel, NULL, NULL, NULL, NULL) < 0)
		stage_refuse(worker, "a subscription: %s", aeron_errmsg());
	while ((r = aeron_async_add_subscription_poll(&end->subscription, adding)) == 0)
		wait_a_while(worker, &tries, "a subscription");
	if (r < 0)
		stage_refuse(worker, "a subscription: %s", aeron_errmsg());
	return end;
}

/* Says whether to try a message again, which is so if its publication's window is full. If
 * nobody listens yet the message is dropped: settling sends others. */
static bool is_to_go_on(struct worker *worker, int64_t position)
{
	if (position > 0 || position == AERON_PUBLICATION_NOT_CONNECTED)
		return false;
	if (position != AERON_PUBLICATION_BACK_PRESSURED &&
		position != AERON_PUBLICATION_ADMIN_ACTION)
		stage_refuse(worker, "a publication says %lld", (long long)position);
	stage_look_for_end(worker);
	return true;
}

static void adapter_send(void *sender, size_t size, uint64_t key)
{
	struct aeron_end *end = sender;
	aeron_buffer_claim_t claim;
	int64_t position;

	if (size > MTU - HEADER) {
		message_write(end->message, size, key);
		do
			position = aeron_exclusive_publication_offer(
				end->publication, end->message, size, NULL, NULL);
		while (is_to_go_on(end->worker, position));
		return;
	}
	do
		position = aeron_exclusive_publication_try_claim(end->publication, size, &claim);
	while (is_to_go_on(end->worker, position));
	if (position > 0) {
		message_write(claim.data, size, key);
		aeron_buffer_claim_commit(&claim);
	}
}

static const void *adapter_take(void *receiver, size_t size, bool block)
{
	struct aeron_end *end = receiver;

	end->data = NULL;
	if (size <= MTU - HEADER)
		aeron_subscription_poll(end->subscription, on_fragment, end, 1);
	else
		aeron_subscription_poll(
			end->subscription, aeron_fragment_assembler_handler, end->assembler, 1);
	if (end->data && end->size != size)
		stage_refuse(end->worker, "%zu bytes", end->size);
	return end->data;
}

static void adapter_release(void *receiver)
{
}

static void close_client(struct worker *worker)
{
	int status;

	if (client)
		aeron_close(client);
	if (context)
		aeron_context_close(context);
	if (driver > 0) {
		kill(driver, SIGINT);
		waitpid(driver, &status, 0);
	}
}

LOOPS(aeron_round, peer_aeron)

const struct adapter peer_aeron = {
	.name = "aeron",
	.setting = "ipc, exclusive publication, claims up to an MTU, polled",
	.shapes = PEER_ALL_SHAPES & ~(1 << SHAPE_WAKE),
	.max_size = MESSAGE_MAX,
	.lossless = true,
	.exact = true,
	.needs_settling = true,
	.peer = true,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = adapter_send,
	.take = adapter_take,
	.release = adapter_release,
	.close = close_client,
	.round = aeron_round,
};
