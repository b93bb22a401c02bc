/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of a scenario. Each is a program of the product's own calls (kickmsg_loan,
 * kickmsg_publish, kickmsg_receive, kickmsg_sample_release, ...), and of the broker's on the region
 * (km_pass_step, km_live_open, km_live_give_up). Only the broker's knowledge is played here: who is
 * dead, which rings have an owner, which ids are free.
 */
#pragma once

#include "tests/explore/engine.h"
#include "tests/explore/world.h"

#define ACTOR_MAX_CALLS 3

enum actor_kind {
	ACTOR_NONE,
	ACTOR_PUBLISHER,
	ACTOR_SUBSCRIBER,
	ACTOR_BROKER,
	ACTOR_WATCHER,     /* the library's thread */
	ACTOR_INTERRUPTER, /* of subscriber `index` */
};

enum actor_flags {
	/* publisher */
	ACTOR_DISCARDS = 1,  /* gives every second loan back */
	ACTOR_TWO_LOANS = 2, /* has two loans before it publishes the first */
	/* Begins when the id of publisher 0, who died, is free again, with that id. */
	ACTOR_AFTER_REUSE = 4,
	ACTOR_LOANS = 32768, /* shared ring: publishes by loans, else sends */
	/* The subscriber attaches when it begins, whatever the others are doing. */
	ACTOR_COMES = 131072,
	/* subscriber */
	ACTOR_ASKS = 262144, /* with JOINS: is let in between two pieces of a pass */
	/* Takes by kickmsg_receive(), without end. Without this flag it tries `count` times. */
	ACTOR_SLEEPS = 8,
	/* The subscriber has a descriptor, and sleeps once that isn't readable. */
	ACTOR_POLLS = 524288,
	ACTOR_BY_THREAD = 1048576,   /* with POLLS: the library's thread sleeps for it */
	ACTOR_BY_RING = 134217728,   /* POLLS, where the thread sleeps in its io_uring */
	ACTOR_INTERRUPTED = 2097152, /* with SLEEPS: another thread ends its sleep */
	/* Has all subscribers in a wait set; with BY_RING by standing waits. */
	ACTOR_SETS = 4194304,
	ACTOR_KEEPS = 16,  /* holds a sample while it takes the next */
	ACTOR_LEAVES = 32, /* detaches at its end */
	/* Gives its place back with the first sample in its hands. */
	ACTOR_LEAVES_HOLDING = 64,
	ACTOR_JOINS = 128,  /* is no subscriber before the broker lets it in */
	ACTOR_COPIES = 256, /* kickmsg_try_receive_copy, and looks at its numbers */
	/* Shared ring: at its end the subscriber says that it has left for a fresh region. */
	ACTOR_SAYS_LEFT = 65536,
	/* With POLLS: before each receive the subscriber goes over to another waiting word,
	 * which happens to be the same one. */
	ACTOR_MOVES = 33554432,
	/* publisher: waits for `count` subscribers, and publishes nothing */
	ACTOR_MATCHES = 8388608,
	/* publisher: leaves all subscribers out, as the member of a channel that doesn't hear itself leaves
	 * out its own */
	ACTOR_UNHEARD = 1 << 30,
	/* publisher: sends all of its messages in one call, or with LOANS publishes them; subscriber:
	 * receives and releases what is there, `count` times */
	ACTOR_MANY = 67108864,
	/* publisher: answers `count` calls as a server, and leaves; subscriber: a caller that has
	 * `count` calls in flight, and takes what becomes of them. The shape's messages have times. */
	ACTOR_CALLS = 1 << 28,
	/* publisher: sends `count` requests as a caller; subscriber: a server that polls, and looks `count`
	 * times before it knows that all were sent. The shape's messages have times. */
	ACTOR_SERVES = INT64_C(1) << 34,
	/* broker: says that the publishers are gone */
	ACTOR_TELLS_END = 1 << 29,
	/* publisher of a topic with reliable subscribers: waits for room before each message */
	ACTOR_WAITS = INT64_C(1) << 31, /* with POLLS: by its descriptor */
	/* broker */
	ACTOR_DEMOTES = INT64_C(1) << 32, /* makes all reliable subscribers ordinary ones */
	ACTOR_TELLS = 16777216,           /* lets `count` subscribers in, and tells of them */
	ACTOR_AFTER_DEATH = 512,          /* begins when an endpoint died or left */
	ACTOR_AFTER_BROKER = 1024,        /* begins when the broker before it has died */
	/* After its passes lets the joining subscriber in, if its ring has no owner. */
	ACTOR_ADMITS = 2048,
	/* with ADMITS: rings were opened until `live` had its number again, once a first one was opened */
	ACTOR_ROUND = INT64_C(1) << 33,
	ACTOR_LOOKS = 4096,    /* repairs nothing */
	ACTOR_GIVES_UP = 8192, /* gives the region up in place of a repair */
	/* After its passes passes a dead publisher's privilege on. */
	ACTOR_GRANTS = 16384,
};

struct actor {
	enum actor_kind kind;
	int index;      /* of publishers, of subscribers */
	int count;      /* messages, tries, passes */
	uint64_t flags; /* enum actor_flags: each has a bit of its own */
};

struct scenario {
	const char *name;
	const char *about;
	struct world_shape shape;
	struct actor actors[EX_MAX_THREADS];
	int prefill;                  /* messages that publisher 0 has published before */
	unsigned victims;             /* a bit for each actor that may die, one in a run */
	bool two_deaths;              /* the first broker may die too */
	int interruptions, old_reads; /* bounds of the exhaustive search, */
	int death_interruptions;      /* and of the search where an actor dies */
	bool tight;                   /* a send may find the pool empty */
};

/* The scenario as a program; valid until the next call. */
const struct ex_program *actors_program(const struct scenario *scenario);
