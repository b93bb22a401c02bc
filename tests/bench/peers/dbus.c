/* SPDX-License-Identifier: Apache-2.0 */
/*
 * D-Bus: signals with one array of bytes through a dbus-daemon of our own, by libdbus. The bus is the
 * reference one with the limits of a session. A signal goes to all who have a match for its interface.
 * Receives sleep.
 */
#include <dbus/dbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define CONNECT_TRIES 500

struct dbus_end {
	struct worker *worker;
	DBusConnection *connection;
	DBusMessage *message;
	char member[16];
	_Alignas(64) unsigned char bytes[];
};

static struct dbus_end *open_end(struct worker *worker, unsigned channel)
{
	struct dbus_end *end = peer_end_new(worker, sizeof(*end));
	char address[200];
	DBusError error;

	peer_bus(worker, address, sizeof(address));
	end->worker = worker;
	dbus_error_init(&error);
	for (unsigned i = 0; !end->connection; i++) {
		end->connection = dbus_connection_open_private(address, &error);
		if (end->connection)
			break;
		if (i == CONNECT_TRIES)
			stage_refuse(worker, "no dbus-daemon: %s", error.message);
		dbus_error_free(&error);
		usleep(10000);
	}
	dbus_connection_set_exit_on_disconnect(end->connection, FALSE);
	if (!dbus_bus_register(end->connection, &error))
		stage_refuse(worker, "%s", error.message);
	snprintf(end->member, sizeof(end->member), "channel%u", channel);
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	return open_end(worker, channel);
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	struct dbus_end *end = open_end(worker, channel);
	char match[128];
	DBusError error;

	dbus_error_init(&error);
	snprintf(match, sizeof(match), "type='signal',interface='bench.kickmsg',member='%s'",
		end->member);
	dbus_bus_add_match(end->connection, match, &error);
	if (dbus_error_is_set(&error))
		stage_refuse(worker, "%s", error.message);
	return end;
}

static void adapter_send(void *sender, size_t size, uint64_t key)
{
	struct dbus_end *end = sender;
	DBusMessage *message = dbus_message_new_signal("/bench", "bench.kickmsg", end->member);
	const unsigned char *bytes = end->bytes;

	message_write(end->bytes, size, key);
	if (!message || !dbus_message_append_args(message, DBUS_TYPE_ARRAY, DBUS_TYPE_BYTE, &bytes,
				(int)size, DBUS_TYPE_INVALID))
		bench_die("no memory");
	if (!dbus_connection_send(end->connection, message, NULL))
		bench_die("no memory");
	dbus_connection_flush(end->connection);
	dbus_message_unref(message);
	if (!dbus_connection_get_is_connected(end->connection))
		stage_refuse(end->worker, "the bus hung up");
}

static const void *adapter_take(void *receiver, size_t size, bool block)
{
	struct dbus_end *end = receiver;
	const unsigned char *bytes = NULL;
	int count = 0;

	end->message = dbus_connection_pop_message(end->connection);
	if (!end->message) {
		if (!dbus_connection_read_write(end->connection, block ? -1 : 0))
			stage_refuse(end->worker, "the bus hung up");
		end->message = dbus_connection_pop_message(end->connection);
	}
	if (!end->message)
		return NULL;
	if (!dbus_message_is_signal(end->message, "bench.kickmsg", end->member)) {
		dbus_message_unref(end->message); /* the bus' own signal on joining */
		return NULL;
	}
	if (!dbus_message_get_args(end->message, NULL, DBUS_TYPE_ARRAY, DBUS_TYPE_BYTE, &bytes,
		    &count, DBUS_TYPE_INVALID) ||
		(size_t)count != size)
		stage_refuse(end->worker, "%d bytes", count);
	/* the array begins where its length ended, so not always at a multiple of 8 */
	if ((uintptr_t)bytes % 8 == 0)
		return bytes;
	memcpy(end->bytes, bytes, size);
	return end->bytes;
}

static void adapter_release(void *receiver)
{
	struct dbus_end *end = receiver;

	dbus_message_unref(end->message);
}

LOOPS(dbus_round, peer_dbus)

const struct adapter peer_dbus = {
	.name = "dbus",
	.setting = "signals through a dbus-daemon, sleeps",
	.shapes = PEER_ALL_SHAPES,
	.max_size = MESSAGE_MAX,
	.needs_settling = true,
	.sleeps = true,
	.peer = true,
	.open_sender = open_sender,
	.open_receiver = open_receiver,
	.send = adapter_send,
	.take = adapter_take,
	.release = adapter_release,
	.close = peer_bus_end,
	.round = dbus_round,
};
