/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loads, once, for all systems. LOOPS(function, adapter) makes the function that runs a round
 * of any shape. The adapter's calls are inlined where they can be, so that a floor of some
 * nanoseconds isn't measured through pointers. Include it in the file that defines the adapter.
 */
#pragma once

#include <sched.h>
#include <unistd.h>

#include "tests/bench/stage.h"

#define LOOP              static inline __attribute__((always_inline))
#define LOOP_QUIET_US     20000 /* after such a silence no message comes any more */
#define LOOP_CREDIT       64    /* messages on their way, where a stream needs credit */
#define LOOP_CREDIT_BYTES (UINT64_C(1) << 20)

LOOP bool loop_blocks(const struct adapter *adapter, const struct worker *worker)
{
	return worker->shape.block || adapter->sleeps;
}

LOOP void loop_send(const struct adapter *adapter, struct worker *worker)
{
	unsigned sender = worker->shape.kind == SHAPE_PING_PONG ? 0 : worker->index;

	adapter->send(worker->sender, worker->shape.size, message_key(sender, worker->sent++));
}

LOOP void loop_flush(const struct adapter *adapter, struct worker *worker)
{
	if (adapter->flush)
		adapter->flush(worker->sender);
}

/* Receives the message that is due at this end, and checks it. */
LOOP void loop_receive(
	const struct adapter *adapter, struct worker *worker, unsigned end, bool block)
{
	uint64_t key = worker->expected[end]++;
	const void *data;

	while (!(data = adapter->take(worker->receivers[end], worker->shape.size, block)))
		if (adapter->peer)
			stage_look_for_end(worker);
	if (worker->shape.sparse ? !message_good_ends(data, worker->shape.size, key)
				 : !message_good(data, worker->shape.size, key))
		stage_wrong(worker, data, key);
	adapter->release(worker->receivers[end]);
	worker->verified++;
}

LOOP void loop_ping_pong(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	bool block = loop_blocks(adapter, worker);
	uint64_t start = bench_ticks();

	for (unsigned i = 0; i < count; i++) {
		if (worker->index == 0 && worker->shape.block)
			start = stage_let_sleep();
		if (worker->index == 1)
			loop_receive(adapter, worker, 0, block);
		loop_send(adapter, worker);
		if (worker->index == 1)
			continue;
		loop_receive(adapter, worker, 0, block);
		uint64_t end = bench_ticks();
		histogram_add(&worker->times, end - start);
		start = end;
	}
}

/* How many messages may be on their way: what fits 1 MiB, at least 4, or as many as the shape's cells. */
LOOP uint64_t loop_window(const struct worker *worker)
{
	uint64_t window = LOOP_CREDIT_BYTES / worker->shape.size;

	if (worker->shape.capacity > 0)
		return worker->shape.capacity;
	return window > LOOP_CREDIT ? LOOP_CREDIT : window < 4 ? 4 : window;
}

LOOP void loop_stream(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	struct tally *tally = &worker->stage->tallies[worker->index];
	_Atomic uint64_t *credit = &worker->stage->credit;
	uint64_t window = loop_window(worker);
	bool block = loop_blocks(adapter, worker);

	tally->start = bench_ticks();
	for (unsigned i = 0; i < count; i++) {
		if (worker->index == 1) {
			loop_receive(adapter, worker, 0, block);
			if (i == 0)
				tally->start = bench_ticks();
			if (!adapter->lossless && worker->expected[0] % (window / 4) == 0)
				atomic_store_explicit(
					credit, worker->expected[0], memory_order_release);
			continue;
		}
		while (!adapter->lossless && worker->sent - worker->credit_seen >= window) {
			worker->credit_seen = atomic_load_explicit(credit, memory_order_acquire);
			if (adapter->sleeps)
				sched_yield();
		}
		loop_send(adapter, worker);
	}
	if (worker->index == 0)
		loop_flush(adapter, worker);
	tally->end = bench_ticks();
	tally->messages = worker->index == 1 ? count - 1 : count;
}

/* Takes one of the answers that are due, in their order. True: there was one. */
LOOP bool loop_calls_take(const struct adapter *adapter, struct worker *worker, bool block)
{
	const void *data = adapter->take(worker->receivers[0], worker->shape.size, block);
	uint64_t key = message_key(worker->index, worker->expected[0]);

	if (!data)
		return false;
	if (!message_good(data, worker->shape.size, key))
		stage_wrong(worker, data, key);
	worker->expected[0]++;
	worker->verified++;
	adapter->release(worker->receivers[0]);
	return true;
}

LOOP void loop_calls_ask(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	struct tally *tally = &worker->stage->tallies[worker->index];
	const uint64_t last = worker->sent + count;

	tally->start = bench_ticks();
	while (worker->expected[0] < last) {
		while (worker->sent < last &&
			worker->sent - worker->expected[0] < SHAPE_CALLS_WINDOW) {
			adapter->send(worker->sender, worker->shape.size,
				message_key(worker->index, worker->sent++));
		}
		loop_flush(adapter, worker);
		if (!loop_calls_take(adapter, worker, loop_blocks(adapter, worker))) {
			if (adapter->peer)
				stage_look_for_end(worker);
			sched_yield(); /* callers share a CPU */
			continue;
		}
		while (worker->expected[0] < worker->sent &&
			loop_calls_take(adapter, worker, false))
			;
	}
	tally->end = bench_ticks();
	tally->messages = count;
}

LOOP void loop_calls_answer(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	uint64_t left = (uint64_t)count * worker->shape.senders;

	while (left > 0) {
		const uint64_t *words = adapter->take(
			worker->receivers[0], worker->shape.size, loop_blocks(adapter, worker));

		if (!words) {
			if (adapter->peer)
				stage_look_for_end(worker);
			continue;
		}
		uint64_t key = words[0];

		if (!message_good(words, worker->shape.size, key))
			stage_wrong(worker, words, key);
		adapter->release(worker->receivers[0]);
		adapter->send(worker->sender, worker->shape.size, key);
		left--;
	}
}

LOOP void loop_calls(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	if (worker->index < worker->shape.senders)
		loop_calls_ask(adapter, worker, count);
	else
		loop_calls_answer(adapter, worker, count);
}

LOOP void loop_flood_send(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	struct tally *tally = &worker->stage->tallies[worker->index];

	tally->start = bench_ticks();
	for (unsigned i = 0; i < count; i++)
		loop_send(adapter, worker);
	loop_flush(adapter, worker);
	tally->end = bench_ticks();
	tally->messages = count;
	atomic_fetch_add(&worker->stage->senders_done, 1);
}

/* Takes what one end has. Each sender's messages come in their order, with gaps. Returns how
 * many came. */
LOOP unsigned loop_flood_take(
	const struct adapter *adapter, struct worker *worker, unsigned end, uint64_t *next)
{
	unsigned taken = 0;
	const uint64_t *words;

	for (; taken < 256; taken++) {
		words = adapter->take(worker->receivers[end], worker->shape.size, false);
		if (!words)
			break;
		uint64_t key = words[0];
		unsigned sender = message_sender(key);

		if (sender >= worker->shape.senders || message_sequence(key) < next[sender])
			stage_wrong(worker, words, message_key(sender, 0));
		if (!message_good(words, worker->shape.size, key))
			stage_wrong(worker, words, key);
		next[sender] = message_sequence(key) + 1;
		adapter->release(worker->receivers[end]);
	}
	return taken;
}

LOOP void loop_flood_receive(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	static uint64_t next[STAGE_MAX_ENDS][STAGE_MAX_WORKERS];
	struct tally *tally = &worker->stage->tallies[worker->index];
	bool crowded = worker->shape.senders + worker->shape.receivers > bench_cpus();
	uint64_t received = 0, lost = 0;
	int64_t quiet_since = 0;

	for (;;) {
		bool over = atomic_load_explicit(&worker->stage->senders_done,
				    memory_order_acquire) == worker->shape.senders;
		unsigned taken = 0;

		/* the start is before the first message: a late process takes many at once */
		if (received == 0)
			tally->start = bench_ticks();
		for (unsigned end = 0; end < worker->shape.ends; end++)
			taken += loop_flood_take(adapter, worker, end, next[end]);
		if (taken > 0) {
			tally->end = bench_ticks();
			received += taken;
			quiet_since = 0;
			continue;
		}
		if (over && adapter->exact)
			break;
		if (over && quiet_since == 0)
			quiet_since = bench_now_ns();
		if (over && bench_now_ns() - quiet_since > LOOP_QUIET_US * INT64_C(1000))
			break;
		if (crowded || adapter->sleeps)
			sched_yield();
	}
	for (unsigned end = 0; adapter->lost && end < worker->shape.ends; end++)
		lost += adapter->lost(worker->receivers[end]);
	worker->verified += received;
	worker->sent += (uint64_t)count * worker->shape.ends *
			(worker->shape.apart ? 1 : worker->shape.senders);
	tally->messages = received;
	tally->lost = lost - worker->lost;
	worker->lost = lost;
	if (adapter->exact && adapter->lost && worker->verified + lost != worker->sent)
		bench_die("%s: received %llu + lost %llu != sent %llu", adapter->name,
			(unsigned long long)worker->verified, (unsigned long long)lost,
			(unsigned long long)worker->sent);
}

LOOP void loop_flood(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	if (worker->index < worker->shape.senders)
		loop_flood_send(adapter, worker, count);
	else
		loop_flood_receive(adapter, worker, count);
	stage_meet(worker);
	if (worker->index == 0)
		atomic_store(&worker->stage->senders_done, 0);
	stage_meet(worker);
}

/* Times bursts into ends that don't take meanwhile. After each burst the ends take all, untimed. */
LOOP void loop_burst(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	for (unsigned burst = 0; burst < count / SHAPE_BURST_SIZE + 1; burst++) {
		if (worker->index == 0) {
			uint64_t start = bench_ticks();

			for (unsigned i = 0; i < SHAPE_BURST_SIZE; i++)
				loop_send(adapter, worker);
			histogram_add(&worker->times, (bench_ticks() - start) / SHAPE_BURST_SIZE);
		}
		stage_meet(worker);
		for (unsigned end = 0; worker->index > 0 && end < worker->shape.ends; end++)
			for (unsigned i = 0; i < SHAPE_BURST_SIZE; i++)
				loop_receive(adapter, worker, end, adapter->sleeps);
		stage_meet(worker);
	}
}

/* Sends one message at a time, each when all receivers sleep again. */
LOOP void loop_wake(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	_Atomic uint32_t *entered = &worker->stage->receivers_done;
	_Atomic uint32_t *taken = &worker->stage->taken;

	for (unsigned i = 0; i < count; i++) {
		if (worker->index > 0) {
			atomic_fetch_add(entered, 1);
			loop_receive(adapter, worker, 0, true);
			atomic_fetch_add(taken, 1);
			continue;
		}
		while (atomic_load(entered) < worker->shape.receivers)
			usleep(20);
		stage_wait_asleep(worker);
		atomic_store(entered, 0);
		uint64_t start = bench_ticks();

		loop_send(adapter, worker);
		histogram_add(&worker->times, bench_ticks() - start);
		while (atomic_load(taken) < worker->shape.receivers)
			usleep(20);
		atomic_store(taken, 0);
	}
}

/* Sends one message each SHAPE_PACE_NS to ends that poll. */
LOOP void loop_paced(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	uint64_t pace = (uint64_t)(SHAPE_PACE_NS / bench_ns_per_tick());
	_Atomic uint32_t *taken = &worker->stage->taken;

	for (unsigned i = 0; i < count; i++) {
		if (worker->index > 0) {
			for (unsigned end = 0; end < worker->shape.ends; end++)
				loop_receive(adapter, worker, end, adapter->sleeps);
			atomic_store_explicit(taken, i + 1, memory_order_release);
			continue;
		}
		uint64_t start = bench_ticks();

		loop_send(adapter, worker);
		uint64_t end = bench_ticks();
		histogram_add(&worker->times, end - start);
		/* messages may not pile up: no ring is ever full */
		while (atomic_load_explicit(taken, memory_order_acquire) < i + 1 ||
			bench_ticks() - start < pace)
			;
	}
	stage_meet(worker);
	if (worker->index == 0)
		atomic_store(taken, 0);
	stage_meet(worker);
}

LOOP void loop_round(const struct adapter *adapter, struct worker *worker, unsigned count)
{
	switch (worker->shape.kind) {
	case SHAPE_PING_PONG:
		loop_ping_pong(adapter, worker, count);
		break;
	case SHAPE_STREAM:
		loop_stream(adapter, worker, count);
		break;
	case SHAPE_CALLS:
		loop_calls(adapter, worker, count);
		break;
	case SHAPE_FLOOD:
		loop_flood(adapter, worker, count);
		break;
	case SHAPE_BURST:
		loop_burst(adapter, worker, count);
		break;
	case SHAPE_WAKE:
		loop_wake(adapter, worker, count);
		break;
	case SHAPE_PACED:
		loop_paced(adapter, worker, count);
		break;
	case SHAPE_COPY: /* only one floor does it */
		break;
	}
}

/* In the file that defines the adapter: LOOPS(x_round, x); x has .round = x_round. */
#define LOOPS(function, adapter)                                                                   \
	static void function(struct worker *worker, unsigned count)                                \
	{                                                                                          \
		loop_round(&adapter, worker, count);                                               \
	}
