/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconcile: the slots of the dead come back here. It has one rule: a reference that nobody alive
 * accounts for is dropped.
 *
 * The caller (the broker) says which endpoints the region has, from its own memory; the region
 * says what they hold. A pass works under live traffic and holds nothing. It may be interrupted
 * anywhere and run again. There is one reconciler at a time: the caller has the region's lock
 * (km_segment_lock).
 *
 * A pass over a large region takes long, so it is made in pieces: km_pass_init(), km_pass_step()
 * until there is no more, km_pass_deinit(). Between two pieces endpoints may come, leave and
 * die, and rings without an owner may get one.
 */
#pragma once

#include "common/memory/region.h"
#include "common/protocol/wire.h"

enum km_endpoint_state {
	KM_ENDPOINT_LIVE = 1,
	/* The owner lives and gave the endpoint back; the endpoint's hazards still count. */
	KM_ENDPOINT_LEAVING = 2,
	KM_ENDPOINT_DEAD = 3, /* its owner is dead or doesn't map it any more */
};

/* One endpoint record that is, or was, attached to the region. */
struct km_known_endpoint {
	const struct km_endpoint *record; /* not looked at when dead */
	enum km_endpoint_state state;
	enum km_role role;
	uint32_t id;   /* publisher */
	uint32_t ring; /* subscriber */
	/* Subscriber: entries to read, from the broker's own memory. */
	uint32_t held_count;
};

/* The endpoints of the region, as the caller knows them at the moment at which it is asked. */
struct km_endpoint_source {
	/* Begins a walk through the endpoints. Those that come during a walk may be left out of it. */
	void (*rewind)(void *userdata);
	/* The walk's next endpoint, or false. */
	bool (*next)(void *userdata, struct km_known_endpoint *ret);
	/* Rings that have a living owner that stays. */
	uint64_t (*owned)(void *userdata);
	void *userdata;
};

struct km_reconcile_result {
	struct km_health health; /* as it was found */
	uint32_t bits_cleared;
	uint32_t slots_reclaimed; /* of dead publishers */
	uint32_t rings_drained;   /* had something in them */
	uint32_t messages_drained;
};

/* A slot as a pass knows it. */
struct km_look {
	uint64_t generation;
	uint64_t word;
	uint64_t explained; /* bits of rings whose window or whose holder has it */
	bool shielded;      /* some delivering or evicting names it */
};

struct km_pass {
	/* what the caller says, before km_pass_init() */
	const struct km_region *region;
	struct km_endpoint_source endpoints;
	/* Kinds of repair (enum km_repair_what); 0 only looks, and needs no lock. */
	unsigned what;
	/* Called for each thing found, before it is repaired; kind, slot, ring and owner_id alone
	 * are filled in. May be null. */
	void (*on_anomaly)(void *userdata, const struct km_anomaly *anomaly);
	void *userdata;
	/* what it says */
	struct km_reconcile_result result;
	const char *reason; /* of -ESTALE */
	/* Rings without an owner, as the step on rings found them: a pass that resets rings has
	 * closed these. */
	uint64_t unowned;
	/* the pass' own */
	struct km_look *looks;     /* [pool_size] */
	uintptr_t looks_given;     /* the end of those that the kernel has back, or 0 */
	unsigned char *id_is_live; /* [max_publishers + 1] */
	unsigned step;             /* which of those in reconcile.c */
	bool begun;                /* the step has begun; what follows says how far */
	bool dead_publisher;       /* there is one */
	uint64_t at;               /* slot, ring or cell that is next */
	uint64_t live;             /* rings that were when the step on rings began */
	uint64_t position;         /* in the ring `at` */
	uint32_t left;             /* of what is done in the ring `at` */
	uint32_t drained;
};

/*
 * Begins a pass. Every publisher and subscriber that attached, and whose id or ring hasn't been
 * settled since, must be among the endpoints at each walk. Errors: -ENOMEM.
 *
 * A pass with KM_REPAIR_ALL that comes to its end settles ids and rings: those of endpoints that were
 * dead in the first walk may be used again. This holds also when the pass had to leave bits
 * (health.left_by_hazard). No word carries a dead id any more. A slot with a stale bit isn't used
 * again before a later pass has dropped the bit, so it is never mistaken for a new owner's. Nothing
 * is settled while a pass that repairs is under way.
 */
int km_pass_init(struct km_pass *pass);

/* Looks at no more than `work` (at least 1) slots, cells, endpoints and messages. Returns 1: there is
 * more to do; 0: the pass is at its end. Errors: -ESTALE the memory makes no sense (pass->reason
 * says what); nothing more is changed, and the pass is over. */
int km_pass_step(struct km_pass *pass, uint64_t work);

/* Ends a pass, also in the middle of it: repairs that were made stay, and nothing is settled. */
void km_pass_deinit(struct km_pass *pass);
