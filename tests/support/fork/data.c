/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of publishers, subscribers and wait sets in a child of fork: see fork.h. */
#include "tests/support/fork/fork.h"

FORK_OF_PUBLISHER(
	kickmsg_send, kickmsg_send(h->publisher, fork_bytes, 8) == -ECHILD &&
				      kickmsg_send(h->publisher, NULL, 0) == -ECHILD &&
				      kickmsg_send(h->publisher, fork_bytes, SIZE_MAX) == -ECHILD
			      ? -ECHILD
			      : 0)
FORK_OF_PUBLISHER(kickmsg_send_many,
	kickmsg_send_many(h->publisher, &(struct iovec){ fork_bytes, 8 }, 1) == -ECHILD
		? kickmsg_send_many(
			  h->publisher, (struct iovec[]){ { fork_bytes, 8 }, { fork_bytes, 8 } }, 2)
		: 0)
FORK_OF_PUBLISHER(
	kickmsg_publish_many, kickmsg_publish_many(h->publisher, &(struct iovec){ h->loan, 1 }, 1))
FORK_OF_PUBLISHER(kickmsg_send_wait, kickmsg_send_wait(h->publisher, fork_bytes, 8, -1))
FORK_OF_PUBLISHER(kickmsg_publish_wait, kickmsg_publish_wait(h->publisher, h->loan, 1, -1))
FORK_OF_PUBLISHER(kickmsg_publisher_get_fd, kickmsg_publisher_get_fd(h->publisher))
FORK_OF_PUBLISHER(kickmsg_publish, kickmsg_publish(h->publisher, h->loan, 1))
FORK_OF_PUBLISHER(kickmsg_discard, kickmsg_discard(h->publisher, h->loan))

FORK_CALL(kickmsg_loan)
{
	void *loan;

	return !h->publisher || (fork_says(kickmsg_loan(h->publisher, 8, &loan)) &&
					fork_says(kickmsg_loan(h->publisher, 0, &loan)) &&
					fork_says(kickmsg_loan(h->publisher, SIZE_MAX, &loan)));
}

FORK_CALL(kickmsg_publisher_reached)
{
	return !h->publisher || kickmsg_publisher_reached(h->publisher) == 0;
}

FORK_CALL(kickmsg_publisher_get_matched)
{
	return !h->publisher || kickmsg_publisher_get_matched(h->publisher) == 0;
}

FORK_CALL(kickmsg_publisher_wait_matched)
{
	return !h->publisher || fork_says(kickmsg_publisher_wait_matched(h->publisher, 1, 0));
}

FORK_CALL(kickmsg_subscriber_get_matched)
{
	return !h->subscriber || kickmsg_subscriber_get_matched(h->subscriber) == 0;
}

FORK_CALL(kickmsg_publisher_get_stats)
{
	struct kickmsg_publisher_stats stats = { .sent = 1 };

	if (!h->publisher)
		return true;
	kickmsg_publisher_get_stats(h->publisher, &stats);
	return stats.sent == 0 && stats.publisher_id == 0;
}

FORK_CALL(kickmsg_try_receive)
{
	struct kickmsg_sample sample;

	return !h->subscriber || fork_says(kickmsg_try_receive(h->subscriber, &sample));
}

FORK_CALL(kickmsg_receive)
{
	struct kickmsg_sample sample;

	return !h->subscriber || (fork_says(kickmsg_receive(h->subscriber, 0, &sample)) &&
					 fork_says(kickmsg_receive(h->subscriber, -1, &sample)));
}

FORK_OF_SUBSCRIBER(kickmsg_try_receive_copy,
	kickmsg_try_receive_copy(h->subscriber, fork_bytes, sizeof fork_bytes))
FORK_OF_SUBSCRIBER(kickmsg_receive_copy,
	kickmsg_receive_copy(h->subscriber, fork_bytes, sizeof fork_bytes, -1))
FORK_OF_SUBSCRIBER(
	kickmsg_receive_into, kickmsg_receive_into(h->subscriber, fork_bytes, sizeof fork_bytes, -1,
				      &(struct kickmsg_sample){ 0 }))

FORK_CALL(kickmsg_receive_many)
{
	struct kickmsg_sample samples[2];

	return !h->subscriber ||
	       (fork_says(kickmsg_receive_many(h->subscriber, 0, samples, 2)) &&
		       fork_says(kickmsg_receive_many(h->subscriber, -1, samples, 1)));
}

FORK_CALL(kickmsg_release_many)
{
	return !h->sample.data || fork_says(kickmsg_release_many(&h->sample, 1));
}

FORK_CALL(kickmsg_sample_is_held)
{
	return !h->subscriber || kickmsg_sample_is_held(&h->sample) == 0;
}

FORK_CALL(kickmsg_sample_release)
{
	return !h->sample.data || (fork_says(kickmsg_sample_release(&h->sample)) &&
					  fork_says(kickmsg_sample_release(&h->sample)));
}

FORK_OF_SUBSCRIBER(kickmsg_subscriber_get_fd, kickmsg_subscriber_get_fd(h->subscriber))

/* The parent doesn't sleep there, and its next receive returns a message. */
FORK_CALL(kickmsg_subscriber_interrupt)
{
	if (!h->subscriber)
		return true;
	kickmsg_subscriber_interrupt(h->subscriber);
	return fork_says(kickmsg_receive_copy(h->subscriber, fork_bytes, sizeof fork_bytes, -1));
}

FORK_CALL(kickmsg_subscriber_lost)
{
	return !h->subscriber || kickmsg_subscriber_lost(h->subscriber) == 0;
}

FORK_CALL(kickmsg_subscriber_get_stats)
{
	struct kickmsg_subscriber_stats stats = { .received = 1 };

	if (!h->subscriber)
		return true;
	kickmsg_subscriber_get_stats(h->subscriber, &stats);
	return stats.received == 0 && stats.borrowed == 0;
}

/* Freeing does nothing in the child, so all calls are tried again after it. */
FORK_CALL(kickmsg_publisher_free)
{
	kickmsg_publisher_free(h->publisher);
	return !h->publisher || kickmsg_send(h->publisher, fork_bytes, 1) == -ECHILD;
}

FORK_CALL(kickmsg_subscriber_free)
{
	kickmsg_subscriber_free(h->subscriber);
	return !h->subscriber || kickmsg_receive_copy(h->subscriber, fork_bytes, 1, -1) == -ECHILD;
}

FORK_IS(kickmsg_waitset_add_client, kickmsg_waitset_add_client(fork_set, fork_client, NULL))
FORK_IS(kickmsg_waitset_add_deadline, kickmsg_waitset_add_deadline(fork_set, 1, NULL))
FORK_IS(kickmsg_waitset_add_fd, kickmsg_waitset_add_fd(fork_set, 0, 1, NULL))
FORK_OF_PUBLISHER(
	kickmsg_waitset_add_publisher, kickmsg_waitset_add_publisher(fork_set, h->publisher, NULL))
FORK_OF_SUBSCRIBER(kickmsg_waitset_add_subscriber,
	kickmsg_waitset_add_subscriber(fork_set, h->subscriber, NULL))
FORK_IS(kickmsg_waitset_remove, kickmsg_waitset_remove(fork_set, fork_set))
FORK_IS(kickmsg_waitset_wait, kickmsg_waitset_wait(fork_set, 0, &(void *){ NULL }, 1))

/* Nobody sleeps in the child's copy. */
FORK_CALL(kickmsg_waitset_interrupt)
{
	(void)h;
	kickmsg_waitset_interrupt(fork_set);
	return fork_says(kickmsg_waitset_wait(fork_set, -1, &(void *){ NULL }, 1));
}

/* A set of the child's own. */
FORK_CALL(kickmsg_waitset_new)
{
	struct kickmsg_waitset *own;
	void *ready = NULL;

	(void)h;
	if (kickmsg_waitset_new(&own) != 0)
		return false;
	bool good = kickmsg_waitset_add_deadline(own, 1, own) == 0 &&
		    kickmsg_waitset_wait(own, -1, &ready, 1) == 1 && ready == own;
	kickmsg_waitset_free(own);
	return good;
}

static const struct fork_call calls[] = {
	FORK_DATA_ROW(kickmsg_discard),
	FORK_DATA_ROW(kickmsg_loan),
	FORK_DATA_ROW(kickmsg_publish),
	FORK_DATA_ROW(kickmsg_publish_many),
	FORK_DATA_ROW(kickmsg_publish_wait),
	FORK_DATA_ROW(kickmsg_publisher_free),
	FORK_DATA_ROW(kickmsg_publisher_get_fd),
	FORK_DATA_ROW(kickmsg_publisher_get_matched),
	FORK_ROW(kickmsg_publisher_get_stats),
	FORK_DATA_ROW(kickmsg_publisher_reached),
	FORK_DATA_ROW(kickmsg_publisher_wait_matched),
	FORK_DATA_ROW(kickmsg_receive),
	FORK_DATA_ROW(kickmsg_receive_copy),
	FORK_DATA_ROW(kickmsg_receive_into),
	FORK_DATA_ROW(kickmsg_receive_many),
	FORK_DATA_ROW(kickmsg_release_many),
	FORK_DATA_ROW(kickmsg_sample_is_held),
	FORK_DATA_ROW(kickmsg_sample_release),
	FORK_DATA_ROW(kickmsg_send),
	FORK_DATA_ROW(kickmsg_send_many),
	FORK_DATA_ROW(kickmsg_send_wait),
	FORK_DATA_ROW(kickmsg_subscriber_free),
	FORK_DATA_ROW(kickmsg_subscriber_get_matched),
	FORK_ROW(kickmsg_subscriber_get_stats),
	FORK_DATA_ROW(kickmsg_subscriber_get_fd),
	FORK_DATA_ROW(kickmsg_subscriber_interrupt),
	FORK_DATA_ROW(kickmsg_subscriber_lost),
	FORK_DATA_ROW(kickmsg_try_receive),
	FORK_DATA_ROW(kickmsg_try_receive_copy),
	FORK_DATA_ROW(kickmsg_waitset_add_client),
	FORK_DATA_ROW(kickmsg_waitset_add_deadline),
	FORK_DATA_ROW(kickmsg_waitset_add_fd),
	FORK_DATA_ROW(kickmsg_waitset_add_publisher),
	FORK_DATA_ROW(kickmsg_waitset_add_subscriber),
	FORK_NO_HANDLE(kickmsg_waitset_free),
	FORK_DATA_ROW(kickmsg_waitset_interrupt),
	FORK_ROW(kickmsg_waitset_new),
	FORK_DATA_ROW(kickmsg_waitset_remove),
	FORK_DATA_ROW(kickmsg_waitset_wait),
};

const struct fork_table fork_data_calls = { calls, sizeof calls / sizeof calls[0] };
