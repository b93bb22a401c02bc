/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "tests/support/stress/stress_message.h"

/* splitmix64's step: each state gives an unrelated-looking word */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t stress_random(struct stress_rng *rng)
{
	rng->state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(rng->state);
}

uint32_t stress_below(struct stress_rng *rng, uint32_t below)
{
	return below == 0 ? 0 : (uint32_t)(stress_random(rng) >> 32) % below;
}

bool stress_once_in(struct stress_rng *rng, uint32_t times)
{
	return times != 0 && stress_below(rng, times) == 0;
}

/* A checksum over all bytes but its own. The last bytes count with their number. */
static uint64_t checksum(const unsigned char *bytes, size_t len)
{
	uint64_t sum = len, word;
	size_t at = sizeof(uint64_t);

	for (; at + sizeof(word) <= len; at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 29;
	}
	for (; at < len; at++)
		sum = (sum ^ bytes[at]) * UINT64_C(0x100000001b3);
	return mix(sum);
}

void stress_message_write(
	void *to, size_t len, uint32_t publisher, uint32_t life, uint64_t sequence)
{
	unsigned char *bytes = to;
	struct stress_message message = {
		.publisher = publisher,
		.life = life,
		.sequence = sequence,
		.len = len,
	};
	uint64_t word = mix(sequence) ^ ((uint64_t)publisher << 32 | life);
	size_t at = sizeof(message);

	memcpy(bytes, &message, sizeof(message));
	for (; at + sizeof(word) <= len; at += sizeof(word)) {
		word = word * UINT64_C(0x9e3779b97f4a7c15) + at;
		memcpy(bytes + at, &word, sizeof(word));
	}
	for (; at < len; at++)
		bytes[at] = (unsigned char)(word >> at % 8);
	message.checksum = checksum(bytes, len);
	memcpy(bytes, &message.checksum, sizeof(message.checksum));
}

const char *stress_message_check(const void *from, size_t len, struct stress_message *ret)
{
	if (len < sizeof(*ret))
		return "shorter than any that was sent";
	memcpy(ret, from, sizeof(*ret));
	if (ret->checksum != checksum(from, len))
		return "checksum";
	if (ret->len != len)
		return "length";
	return NULL;
}

static int wrong(char *ret_why, size_t why_size, const struct stress_message *message,
	const struct stress_tracker *tracker, const char *what, uint64_t seen)
{
	const struct stress_track_line *line =
		&tracker->lines[message->publisher % STRESS_TRACK_MAX];

	snprintf(ret_why, why_size,
		"%s (%llu): publisher %u life %u message %llu of %llu bytes, after life %u message "
		"%llu; "
		"received %llu, skipped %llu, missing %llu, last position %llu",
		what, (unsigned long long)seen, message->publisher, message->life,
		(unsigned long long)message->sequence, (unsigned long long)message->len, line->life,
		(unsigned long long)line->last, (unsigned long long)tracker->received,
		(unsigned long long)tracker->skipped, (unsigned long long)tracker->missing,
		(unsigned long long)tracker->last_position);
	return -1;
}

int stress_tracker_take(struct stress_tracker *tracker, const struct kickmsg_sample *sample,
	const void *data, size_t len, char *ret_why, size_t why_size)
{
	struct stress_message message = { 0 };
	const char *broken = stress_message_check(data, len, &message);
	struct stress_track_line *line = &tracker->lines[message.publisher % STRESS_TRACK_MAX];

#define WRONG(what, seen) wrong(ret_why, why_size, &message, tracker, what, seen)
	if (broken != NULL)
		return WRONG(broken, len);
	if (message.publisher >= STRESS_TRACK_MAX)
		return WRONG("no such publisher", message.publisher);
	if (sample != NULL) {
		if (tracker->positions && sample->ring_pos <= tracker->last_position)
			return WRONG("ring position went back", sample->ring_pos);
		if (tracker->positions)
			tracker->skipped += sample->ring_pos - tracker->last_position - 1;
		tracker->positions = true;
		tracker->last_position = sample->ring_pos;
		if (sample->publisher_sequence != message.sequence)
			return WRONG("the sample's sequence differs", sample->publisher_sequence);
	}
	if (message.life < line->life)
		return WRONG("a message from an earlier life", message.life);
	if (message.life > line->life) {
		*line = (struct stress_track_line){
			.life = message.life,
			.publisher_id = sample != NULL ? sample->publisher_id : 0,
			.first = message.sequence,
			.last = message.sequence - 1,
			.ended_life = line->life,
			.ended_last = line->last,
		};
	}
	if (message.sequence <= line->last)
		return WRONG("out of order", message.sequence);
	if (sample != NULL && sample->publisher_id != line->publisher_id)
		return WRONG("publisher id changed", sample->publisher_id);
	tracker->missing += message.sequence - line->last - 1;
	line->last = message.sequence;
	line->received++;
	tracker->received++;
	tracker->latest = message.publisher;
	if (sample != NULL && tracker->missing > tracker->skipped)
		return WRONG("lost without being counted", tracker->missing - tracker->skipped);
#undef WRONG
	return 0;
}
