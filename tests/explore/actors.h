/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of a scenario. Each is a program of the product's own calls (kickmsg_loan,
 * kickmsg_publish, kickmsg_receive, kickmsg_sample_release, ...), and of the broker's on the region
 * (km_reconcile, km_live_open, km_live_give_up). What is played here is the broker's knowledge: who
 * is dead, which rings have an owner, which ids are free.
 */
#pragma once

#include "engine.h"
#include "world.h"

enum actor_kind {
	ACTOR_NONE,
	ACTOR_PUBLISHER,
	ACTOR_SUBSCRIBER,
	ACTOR_BROKER,
};

enum actor_flags {
	/* publisher */
	ACTOR_DISCARDS = 1,  /* gives every other loan back */
	ACTOR_TWO_LOANS = 2, /* has two loans before it publishes the first */
	ACTOR_AFTER_REUSE =
		4, /* begins when the id of publisher 0, who died, is free again, with that id */
	ACTOR_LOANS = 32768, /* shared ring: publishes by loans, else sends */
	/* subscriber */
	ACTOR_SLEEPS = 8,          /* kickmsg_receive, without end; else tries `count` times */
	ACTOR_KEEPS = 16,          /* holds a sample while it takes the next */
	ACTOR_LEAVES = 32,         /* detaches at its end */
	ACTOR_LEAVES_HOLDING = 64, /* gives its place back with the first sample in its hands */
	ACTOR_JOINS = 128,         /* is no subscriber before the broker says so */
	ACTOR_COPIES = 256,        /* kickmsg_try_receive_copy, and looks at its numbers */
	ACTOR_SAYS_LEFT =
		65536, /* shared ring: at its end says that it has left for a fresh region */
	/* broker */
	ACTOR_AFTER_DEATH = 512,   /* begins when somebody died or left */
	ACTOR_AFTER_BROKER = 1024, /* begins when the broker before it has died */
	ACTOR_ADMITS =
		2048, /* after its passes lets the joining subscriber in, if its ring has no owner */
	ACTOR_LOOKS = 4096,    /* repairs nothing */
	ACTOR_GIVES_UP = 8192, /* gives the region up instead */
	ACTOR_GRANTS = 16384,  /* after its passes passes a dead publisher's privilege on */
};

struct actor {
	enum actor_kind kind;
	int index; /* of publishers, of subscribers */
	int count; /* messages, tries, passes */
	unsigned flags;
};

struct scenario {
	const char *name;
	const char *about;
	struct world_shape shape;
	struct actor actors[EX_MAX_THREADS];
	int prefill;                  /* messages that publisher 0 has published before */
	unsigned victims;             /* bit for each actor that may die, one in a run */
	bool two_deaths;              /* the first broker as well */
	int interruptions, old_reads; /* bounds of the exhaustive search; */
	int death_interruptions;      /* when somebody dies */
	bool tight;                   /* an empty pool is no fault here */
};

/* The scenario as a program; valid until the next call. */
const struct ex_program *actors_program(const struct scenario *scenario);
