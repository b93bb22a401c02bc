/* SPDX-License-Identifier: Apache-2.0 */
/* Regions, participants and their books: see crash_world.h. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/support/crash/crash_world.h"

char crash_where[256];
unsigned crash_failures;
enum crash_transport crash_transport;
bool crash_timed;

enum crash_transport crash_transport_of(const char *word)
{
	if (strncmp(word, "sole", 4) == 0)
		return CRASH_SOLE;
	if (strncmp(word, "shared-other", 12) == 0)
		return CRASH_SHARED_OTHER;
	return strncmp(word, "shared", 6) == 0 ? CRASH_SHARED : CRASH_RINGS;
}

bool crash_fail(const char *format, ...)
{
	va_list args;

	if (crash_failures++ < 20) {
		printf("FAIL %s: ", crash_where);
		va_start(args, format);
		vprintf(format, args);
		va_end(args);
		printf("\n");
		fflush(stdout);
	}
	return false;
}

static void bark(int signal)
{
	static const char text[] = "FAIL hang: ";

	/* a write to stderr that fails can't be helped */
	if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 ||
		write(STDOUT_FILENO, crash_where, strlen(crash_where)) < 0 ||
		write(STDOUT_FILENO, "\n", 1) < 0)
		_exit(2);
	_exit(1);
}

void crash_watchdog(unsigned seconds)
{
	struct itimerval timer = { .it_value.tv_sec = seconds };

	signal(SIGPROF, bark);
	setitimer(ITIMER_PROF, &timer, NULL);
}

static size_t align(size_t size)
{
	return (size + 127) & ~(size_t)127;
}

void *crash_map(
	size_t size, const struct km_geometry *geometry, uint32_t endpoints, struct crash_map *ret)
{
	const size_t control = align(size);
	const size_t payload = control + align(km_geometry_control_size(geometry));
	const size_t records = payload + align(km_geometry_payload_size(geometry));

	ret->record = align(km_geometry_endpoint_size(geometry, KM_ROLE_SUBSCRIBER));
	const size_t bell = records + endpoints * ret->record;
	ret->size = bell + align(km_geometry_bell_size(geometry));
	unsigned char *base = mmap(
		NULL, ret->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		abort();
	ret->records = base + records;
	km_region_format(base + control, geometry, "/crash_test", "test", 1);
	if (km_region_attach(&ret->region, geometry, base + control,
		    km_geometry_control_size(geometry), base + payload,
		    km_geometry_payload_size(geometry)) < 0)
		abort();
	if (ret->region.shared)
		ret->region.bell = (void *)(base + bell);
	return base;
}

struct crash_world *crash_world_new(void)
{
	struct km_geometry geometry = {
		.max_subscribers = CRASH_SUBSCRIBERS,
		.ring_capacity = CRASH_CAPACITY,
		.pool_size = CRASH_POOL,
		.max_publishers = crash_transport == CRASH_SOLE ? 1 : CRASH_PUBLISHERS,
		.max_payload_size = sizeof(struct crash_message),
		.max_loans = CRASH_LOANS,
		.max_borrows = CRASH_BORROWS,
		.timestamps = crash_timed,
		.transport = crash_transport == CRASH_RINGS ? KM_TRANSPORT_RINGS
							    : KM_TRANSPORT_SHARED,
	};
	struct crash_map map;
	struct crash_world *world = crash_map(
		sizeof *world, &geometry, CRASH_PUBLISHERS + CRASH_SUBSCRIBERS, &map);

	world->size = map.size;
	world->region = map.region;
	if (world->region.shared)
		world->region.header->privileged = crash_transport == CRASH_SHARED_OTHER ? 2 : 1;
	for (uint32_t i = 0; i < CRASH_PUBLISHERS; i++) {
		world->publishers[i].handle.place.record = crash_map_record(&map, i);
		if (i < geometry.max_publishers)
			crash_attach_publisher(world, i);
	}
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++) {
		world->subscribers[i].handle.place.record = crash_map_record(
			&map, CRASH_PUBLISHERS + i);
		world->frontier[i] = CRASH_CAPACITY;
	}
	return world;
}

void crash_world_free(struct crash_world *world)
{
	munmap(world, world->size);
}

void *crash_world_save(const struct crash_world *world, void *to)
{
	if (!to && !(to = malloc(world->size)))
		abort();
	return memcpy(to, world, world->size);
}

void crash_world_restore(struct crash_world *world, const void *saved)
{
	memcpy(world, saved, world->size);
}

void crash_attach_publisher(struct crash_world *world, uint32_t index)
{
	struct kickmsg_publisher *publisher = &world->publishers[index];
	struct km_endpoint *endpoint = publisher->handle.place.record;

	memset(publisher, 0, sizeof *publisher);
	publisher->handle.place.role = KM_ROLE_PUBLISHER;
	publisher->handle.place.region = world->region;
	km_endpoint_format(endpoint, KM_ROLE_PUBLISHER, index + 1, 0, 0);
	if (km_place_publish(&publisher->handle.place, endpoint, index + 1) < 0)
		abort();
	free(publisher->handle.place.loans);
	publisher->handle.place.loans = memset(world->loans[index], 0, sizeof world->loans[index]);
	world->publisher_state[index] = KM_ENDPOINT_LIVE;
}

void crash_attach_subscriber(struct crash_world *world, uint32_t index)
{
	struct kickmsg_subscriber *subscriber = &world->subscribers[index];
	struct km_endpoint *endpoint = subscriber->handle.place.record;
	bool shared = world->region.shared != NULL;
	uint64_t start = shared ? crash_frontier(world, index)
				: km_load(R2, acquire,
					  &km_region_ring(&world->region, index)->head);

	memset(subscriber, 0, sizeof *subscriber);
	subscriber->handle.place.role = KM_ROLE_SUBSCRIBER;
	subscriber->handle.place.region = world->region;
	km_endpoint_format(endpoint, KM_ROLE_SUBSCRIBER, 0, index,
		km_geometry_held_count(&world->region.geometry));
	if (km_place_subscribe(&subscriber->handle.place, endpoint, index, start) < 0)
		abort();
	/* a sleeper that isn't woken sleeps on: no look of its own hides a lost wake-up */
	subscriber->patience_ns = INT64_MAX / 2;
	free(subscriber->handle.place.holds);
	km_place_take_holds(&subscriber->handle.place, world->holds[index]);
	if (shared) { /* memory that all participants see */
		free(subscriber->handle.place.copies_memory);
		subscriber->handle.place.copies_memory = NULL;
		subscriber->handle.place.copies = (unsigned char *)world->copies[index];
	}
	world->readers[index] = (struct crash_reader){ .state = KM_ENDPOINT_LIVE, .start = start };
	world->frontier[index] = start;
	if (!shared)
		atomic_fetch_or(&world->region.header->live, UINT64_C(1) << index);
}

void crash_pass_privilege_on(struct crash_world *world)
{
	if (crash_transport == CRASH_SOLE) {
		crash_attach_publisher(world, 0);
		world->lent_count[0] = 0;
	} else if (world->region.header->privileged == 1) {
		world->region.header->privileged = 2;
	}
}

static uint64_t message_sum(const struct crash_message *message)
{
	uint64_t sum = message->publisher * UINT64_C(0x9e3779b97f4a7c15) + message->sequence;

	for (int i = 0; i < 5; i++)
		sum = (sum ^ message->filler[i]) * UINT64_C(0xbf58476d1ce4e5b9);
	return sum;
}

struct crash_message crash_message(struct crash_world *world, uint32_t publisher)
{
	struct crash_message message = { .publisher = publisher,
		.sequence = ++world->sent[publisher] };

	for (uint64_t i = 0; i < 5; i++)
		message.filler[i] = (message.sequence << 8 | publisher << 4 | i) *
				    UINT64_C(0x94d049bb133111eb);
	message.sum = message_sum(&message);
	return message;
}

bool crash_send(struct crash_world *world, uint32_t publisher)
{
	struct crash_message message = crash_message(world, publisher);
	uint64_t live = world->region.shared ? UINT64_MAX : world->region.header->live;
	ssize_t r = kickmsg_send(&world->publishers[publisher], &message, sizeof message);

	if (r != (ssize_t)sizeof message)
		return crash_fail("publisher %u can't send: %zd", publisher, r);
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++)
		world->frontier[i] += live >> i & 1;
	return true;
}

bool crash_publish(struct crash_world *world, uint32_t publisher, void *loan)
{
	struct crash_message message = crash_message(world, publisher);
	uint64_t live = world->region.shared ? UINT64_MAX : world->region.header->live;

	memcpy(loan, &message, sizeof message);
	int r = kickmsg_publish(&world->publishers[publisher], loan, sizeof message);
	if (r < 0)
		return crash_fail("publisher %u can't publish a loan: %d", publisher, r);
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++)
		world->frontier[i] += live >> i & 1;
	return true;
}

bool crash_send_in_turn(struct crash_world *world, uint32_t i)
{
	void *loan;

	if (crash_transport != CRASH_SOLE || i % 2 == 0)
		return crash_send(world, crash_transport == CRASH_SOLE ? 0 : 1 + i % 2);
	int r = kickmsg_loan(&world->publishers[0], sizeof(struct crash_message), &loan);
	if (r < 0)
		return crash_fail("the sole publisher gets no loan: %d", r);
	return crash_publish(world, 0, loan);
}

bool crash_note(struct crash_world *world, uint32_t subscriber, const struct crash_message *message)
{
	struct crash_reader *reader = &world->readers[subscriber];
	uint32_t publisher = message->publisher;

	if (publisher >= CRASH_PUBLISHERS || message->sum != message_sum(message))
		return crash_fail("subscriber %u got a spoilt message", subscriber);
	if (message->sequence <= reader->last[publisher] ||
		message->sequence > world->sent[publisher])
		return crash_fail("subscriber %u got message %lu of publisher %u after %lu",
			subscriber, message->sequence, publisher, reader->last[publisher]);
	reader->last[publisher] = message->sequence;
	reader->received++;
	return true;
}

int crash_read(struct crash_world *world, uint32_t subscriber, bool copy)
{
	struct kickmsg_subscriber *from = &world->subscribers[subscriber];
	struct kickmsg_sample sample;
	struct crash_message message;
	ssize_t r;

	if (copy) {
		r = kickmsg_try_receive_copy(from, &message, sizeof message);
		if (r == (ssize_t)sizeof message)
			return crash_note(world, subscriber, &message) ? 1 : -1;
	} else {
		r = kickmsg_try_receive(from, &sample);
		if (r == 0 && sample.len == sizeof message) {
			bool good = crash_note(world, subscriber, sample.data);

			return kickmsg_sample_release(&sample) == 0 && good ? 1 : -1;
		}
	}
	if (r == -EAGAIN)
		return 0;
	crash_fail("subscriber %u can't receive: %zd", subscriber, r);
	return -1;
}

void crash_borrow(struct crash_world *world, uint32_t subscriber, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct kickmsg_sample *sample =
			&world->kept[subscriber][world->kept_count[subscriber]++];

		if (kickmsg_try_receive(&world->subscribers[subscriber], sample) < 0 ||
			!crash_note(world, subscriber, sample->data))
			crash_fail("set-up: subscriber %u can't borrow", subscriber);
	}
}

void crash_release(struct crash_world *world, uint32_t subscriber)
{
	while (world->kept_count[subscriber] > 0)
		if (kickmsg_sample_release(
			    &world->kept[subscriber][--world->kept_count[subscriber]]) < 0)
			crash_fail("subscriber %u can't release", subscriber);
}

void crash_lend(struct crash_world *world, uint32_t publisher, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (kickmsg_loan(&world->publishers[publisher], sizeof(struct crash_message),
			    &world->lent[publisher][world->lent_count[publisher]++]) < 0)
			crash_fail("set-up: publisher %u gets no loan", publisher);
}

void crash_give_back(struct crash_world *world, uint32_t publisher)
{
	while (world->lent_count[publisher] > 0)
		if (kickmsg_discard(&world->publishers[publisher],
			    world->lent[publisher][--world->lent_count[publisher]]) < 0)
			crash_fail("publisher %u can't discard", publisher);
}
