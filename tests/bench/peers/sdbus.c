/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of D-Bus methods with one array of bytes through a dbus-daemon, by sd-bus. Receives sleep. */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define CONNECT_TRIES 500
#define NAME          "bench.kickmsg"

struct sdbus_end {
	struct worker *worker;
	sd_bus *bus;
	sd_bus_message *message; /* taken last; a server has it until it answers */
	_Alignas(64) unsigned char bytes[];
};

static struct sdbus_end *end; /* this process' end */

static bool serves(const struct worker *worker)
{
	return worker->index >= worker->shape.senders;
}

static int connect_to(const char *address)
{
	int r = sd_bus_new(&end->bus);

	if (r >= 0)
		r = sd_bus_set_address(end->bus, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(end->bus, 1);
	if (r >= 0)
		r = sd_bus_start(end->bus);
	if (r < 0)
		end->bus = sd_bus_unref(end->bus);
	return r;
}

static void *open_end(struct worker *worker, unsigned channel)
{
	char address[200];
	int r;

	end = peer_end_new(worker, sizeof(*end));
	end->worker = worker;
	peer_bus(worker, address, sizeof(address));
	for (unsigned i = 0; (r = connect_to(address)) < 0; i++) {
		if (i == CONNECT_TRIES)
			stage_refuse(worker, "no dbus-daemon: %s", strerror(-r));
		usleep(10000);
	}
	if (serves(worker))
		r = sd_bus_request_name(end->bus, NAME, 0);
	if (r < 0)
		stage_refuse(worker, "%s: %s", NAME, strerror(-r));
	return end;
}

static void *get_end(struct worker *worker, unsigned channel, unsigned index)
{
	return end;
}

static void adapter_send(void *sender, size_t size, uint64_t key)
{
	sd_bus_message *message;
	uint64_t cookie;
	int r = serves(end->worker) ? sd_bus_message_new_method_return(end->message, &message)
				    : sd_bus_message_new_method_call(
					      end->bus, &message, NAME, "/bench", NAME, "Call");

	message_write(end->bytes, size, key);
	if (r >= 0)
		r = sd_bus_message_append_array(message, 'y', end->bytes, size);
	if (r >= 0)
		/* the cookie makes sd-bus ask for a reply */
		r = sd_bus_send(end->bus, message, &cookie);
	if (r >= 0)
		r = sd_bus_flush(end->bus);
	if (r < 0)
		stage_refuse(end->worker, "sd_bus_send: %s", strerror(-r));
	sd_bus_message_unref(message);
	if (serves(end->worker))
		end->message = sd_bus_message_unref(end->message);
}

static bool is_wanted(sd_bus_message *message)
{
	uint8_t type;

	if (sd_bus_message_get_type(message, &type) < 0)
		return false;
	if (serves(end->worker))
		return sd_bus_message_is_method_call(message, NAME, "Call") > 0;
	if (type == SD_BUS_MESSAGE_METHOD_ERROR)
		stage_refuse(end->worker, "%s", sd_bus_message_get_error(message)->message);
	return type == SD_BUS_MESSAGE_METHOD_RETURN;
}

static const void *adapter_take(void *receiver, size_t size, bool block)
{
	sd_bus_message *message = NULL;
	const void *bytes;
	size_t count;
	int r = sd_bus_process(end->bus, &message);

	if (r == 0 && block)
		r = sd_bus_wait(end->bus, UINT64_MAX);
	if (r < 0)
		stage_refuse(end->worker, "the bus hung up: %s", strerror(-r));
	if (!message || !is_wanted(message)) {
		sd_bus_message_unref(message);
		return NULL;
	}
	end->message = message;
	r = sd_bus_message_read_array(message, 'y', &bytes, &count);
	if (r < 0 || count != size)
		stage_refuse(end->worker, "%zu bytes", r < 0 ? 0 : count);
	/* the array begins behind its length, so not always at a multiple of 8 */
	if ((uintptr_t)bytes % 8 == 0)
		return bytes;
	memcpy(end->bytes, bytes, size);
	return end->bytes;
}

static void adapter_release(void *receiver)
{
	if (!serves(end->worker))
		end->message = sd_bus_message_unref(end->message);
}

LOOPS(sdbus_round, peer_sdbus)

const struct adapter peer_sdbus = {
	.name = "dbus-call",
	.setting = "methods through a dbus-daemon, sd-bus, sleeps",
	.shapes = 1 << SHAPE_PING_PONG | 1 << SHAPE_CALLS,
	.max_size = MESSAGE_MAX,
	.sleeps = true,
	.peer = true,
	.open_sender = open_end,
	.open_receiver = get_end,
	.send = adapter_send,
	.take = adapter_take,
	.release = adapter_release,
	.close = peer_bus_end,
	.round = sdbus_round,
};
