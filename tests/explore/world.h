/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that the explored threads share, and what must hold in it. Everything lies in one
 * block, so that a run begins by copying it back: the region as km_region_format() makes it, the
 * endpoint records, and behind them what is private to the actors. Beside it stands what only an
 * onlooker can know (the ghost): which message went where.
 *
 * Violations that end a run
 *   hole            a commit anywhere but at its ring's frontier
 *   window          a slot in a ring's window whose word lacks the ring's bit, or whose payload was overwritten
 *   double free     a drop of what wasn't there; a word that lost what a living owner has
 *   eviction        from a ring that isn't full and whose subscriber lives; from a reliable one
 *   no wake         a publisher asleep for want of room when all have stopped, and there is room
 *   torn, order     a sample that isn't what was published; one twice, or out of its publisher's order
 *   lost wake-up    a subscriber asleep with an unread message of a finished publish, or on a region that was given up
 *   foreign time    a sample with the time of another message, or of none
 *   loss count      received + lost isn't what was committed to the ring since it joined, or to the kept ring
 *                   since where its history begins
 *   leak            at the end, after reconcile, a slot that isn't free, a hazard that still stands
 *
 * With a shared ring (check_shared.c)
 *   hole            as the first hole
 *   double free     a cell names a slot whose word lacks RING, or that was overwritten
 *   torn, foreign   what was read at a position isn't what was committed there
 *   hazard          a cell forgot a slot that its publisher's `evicting` didn't name
 *   exact           at the end, after reconcile, RING at a slot that no cell names, or the other way round
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WORLD_SIZE          8192 /* bytes of memory that threads share */
#define WORLD_PRIVATE_SIZE  24576
#define WORLD_MAX_SLOTS     14
#define WORLD_MAX_RINGS     4
#define WORLD_MAX_CAPACITY  4
#define WORLD_KEPT          WORLD_MAX_RINGS /* number of the kept ring */
#define WORLD_MAX_ENDPOINTS 8
#define WORLD_MAX_COMMITS   32 /* to a shared ring */
#define WORLD_MAX_EVENTFDS  4
#define WORLD_MAX_WAITS     8 /* in the ring of the library's thread */

struct km_region;
struct km_endpoint;
struct kickmsg_sample;
struct kickmsg_subscriber;

struct world_shape {
	uint32_t rings, capacity, pool, publishers, subscribers;
	uint32_t max_borrows; /* 0 means 1 */
	bool shared;
	/* Shared ring: bytes by which max_payload_size exceeds what is sent. */
	uint32_t spare;
	bool timed;          /* each message's time is the message plus 1 */
	uint32_t privileged; /* shared: id of the first privileged publisher */
	uint32_t words;      /* shared: words of a payload; 0: 1, in the cell */
	uint32_t short_by;   /* shared: bytes that the last word is short of 8 */
	uint32_t places;     /* max_publishers; 0: as many as publishers */
	uint32_t work;       /* of each piece of a pass; 0: a pass is one piece */
	uint32_t reliable;   /* bits: rings of reliable subscribers */
	uint32_t history;    /* messages that newcomers get and all joiners want */
};

/* The broker's and the onlooker's knowledge of an endpoint. Publishers come first. */
struct world_endpoint {
	struct km_endpoint *record;
	bool present; /* attached, or dead and not settled yet */
	bool asks;    /* asks to be let in while a pass is made */
	bool left;    /* has given its place back; counts as leaving */
	bool dead;
	bool settled; /* a pass that began after its death is complete */
	uint32_t role, id, ring;
	int thread;

	/* publisher */
	int loan;            /* slot + 1 */
	uint32_t finished;   /* sequence of its last finished publish */
	uint64_t publishing; /* the message that its call is to commit */
	unsigned told;       /* how often it was told that subscribers have left */
	/* subscriber */
	const struct kickmsg_subscriber *subscriber;
	bool joined;
	int holds[4]; /* slot + 1 */
	uint64_t start, received;
	uint64_t kept_from;                 /* its history begins there in the kept ring */
	uint32_t last[WORLD_MAX_ENDPOINTS]; /* sequence, by publisher */
	uint64_t taken;                     /* the message that its ring's last take got */
	uint64_t took[WORLD_MAX_CAPACITY];  /* messages, if the take got many */
	uint32_t took_count;
	bool knows_left;             /* it sleeps on although subscribers have left */
	bool polls;                  /* polls its descriptor, which isn't readable */
	bool calls_ended;            /* a caller has heard, or sent, all */
	unsigned asked, interrupted; /* interruptions: asked for, and those that ended it */
};

struct world {
	struct world_shape shape;
	struct km_region *region;
	struct world_endpoint endpoints[WORLD_MAX_ENDPOINTS];
	uint32_t private_used, shared_used;
	uint64_t frontier[WORLD_MAX_RINGS + 1];
	uint64_t in_cell[WORLD_MAX_RINGS + 1][WORLD_MAX_CAPACITY];
	uint64_t opened[WORLD_MAX_RINGS]; /* the ring's head when its live bit was set */
	struct {
		uint64_t message;
		bool voided;
	} commits[WORLD_MAX_COMMITS]; /* of the shared or the kept ring, by position */
	unsigned deaths, leaves, passes;
	unsigned comers; /* subscribers that join while others are at work */
	uint64_t live;   /* rings that are live as far as the broker knows */
	bool giving_up;  /* the broker has begun to give the region up, */
	bool given_up;   /* and has ended it */
	bool tight;      /* a send may find the pool empty */
	bool by_thread;  /* there is no io_uring */
	bool sharing;    /* threads may share what is allocated now */
	bool matched;    /* the publisher that waited for peers has seen them */
	bool unmapped;   /* an interrupter may know words of this region */
	/* Messages are replies, which have tags in place of times. */
	bool calls;
	bool leaving;   /* a subscriber will say that it has left, */
	bool said_left; /* and has said it */
	/* The state of the kernel (kernel.c). */
	uint32_t eventfds[WORLD_MAX_EVENTFDS], eventfd_count;
	struct world_uring {
		const volatile void *word;
		uint32_t eventfd;
		bool waits, completed, silent;
	} urings[WORLD_MAX_EVENTFDS];
	uint32_t uring_count;
	/* The io_uring of the library's thread: the waits that were pushed, those that wait, and
	 * the tags of those that are completed. */
	struct world_wait {
		const volatile void *word; /* null: cancels the wait with that tag */
		uint32_t expected;
		uint64_t tag;
	} pushed[WORLD_MAX_WAITS], waits[WORLD_MAX_WAITS];
	uint32_t pushed_count, wait_count, completed_count;
	uint64_t completed[WORLD_MAX_WAITS];
	void *(*thread)(void *argument); /* the library's thread */
	void *thread_argument;
};

extern struct world world;

/* Makes a region of that shape with its endpoint records. The caller calls world_save() when its
 * set-up is complete. */
void world_make(const struct world_shape *shape);
void world_save(void);
void world_restore(void);

/* For programs without a topic (litmus.c): a shared word that is 0 after world_make(), and a
 * payload; both are slot `index`'s. */
uint64_t *world_spot(uint32_t index);
void *world_payload(uint32_t index);

/* Allocates zeroed memory that is restored with the rest. */
void *world_private(uint64_t size);
/* The product's sources call these as calloc(), aligned_alloc() and free() here. */
void *world_calloc(uint64_t count, uint64_t size);
void *world_aligned_alloc(uint64_t alignment, uint64_t size);
void world_free(void *memory);

/* Allocates as world_private() for memory that several threads touch: each atomic operation on
 * it is a step. Only set-ups call it. */
void *world_shared(uint64_t size);

/* Where does an address lie? */
bool world_is_shared(const volatile void *memory);
unsigned world_offset(const volatile void *memory);
int world_slot_of_payload(const volatile void *memory);

uint64_t world_word(uint32_t slot);
uint64_t world_live(void);
uint64_t world_message(uint32_t slot);
/* The size of a payload, in words and in bytes. */
uint32_t world_words(void);
uint32_t world_size(void);

/* The callbacks of struct ex_program. */
struct km_site;
void world_after_write(
	const struct km_site *site, const volatile void *memory, uint64_t before, uint64_t after);
void world_name_of(const volatile void *memory, char *ret, unsigned long size);
void world_value_of(const volatile void *memory, uint64_t value, char *ret, unsigned long size);
/* Does any subscriber sleep through a finished publish? */
void world_check_sleepers(void);
/* Does any subscriber poll, at the run's end, a descriptor that should be readable? */
void world_check_polled(void);
/* Has each attached reliable subscriber room for a message? */
bool world_has_room(void);
/* Checks, after a pass that began when that endpoint was dead, that nothing of it is left and
 * nobody waits for it. */
void world_check_settled(int endpoint);
/* The checks of a shared ring (check_shared.c). */
void world_note_commit(uint64_t message);
uint64_t world_committed(uint64_t position);
/* The oldest position that an attached reliable subscriber needs. If `truly`, what it has
 * announced doesn't count. */
uint64_t world_floor(bool truly);
void world_check_shared_cell(uint32_t cell, uint64_t before, uint64_t after);
void world_check_shared(void);
void world_check_shared_sleepers(void);
void world_check_shared_exact(const char *when);
/* All words are free, all hazards of the living are clear, rings without an owner are empty. */
void world_check_free(const char *when);
