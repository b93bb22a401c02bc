/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measuring harness: what all loads share.
 *
 *   main.c       options              loads.c   which rows there are, and their goals
 *   loads-many.c the sets with many ends               set-rows.c rows of figures
 *   set.c        rows that are measured together       conduct.c  their turns
 *   stage.c      pinned processes of one system        loops.h    what they do in a round
 *   message.h    the payload, and its verification
 *   floor-*.c    what the hardware and the kernel cost without us: line, futex, ring, memcpy
 *   kick.c       kickmsg                               peers/     other systems
 *   service.c    attach time           scale.c   a broker with many topics and many clients
 *   history.c    what a newcomer's history costs it
 *   call-reset.c how soon a caller hears that its server is dead
 *   frozen.c     how long a frozen reliable subscriber delays its publisher
 *   pool.c       a send when almost all slots are held
 *   instructions.c  what a call executes
 *   recovery.c   time from a SIGKILL to a region without a trace of the dead
 *   stall.c      what survivors feel meanwhile
 *   report.c     rows, table, JSON
 *
 * A row is (load, system). Rounds are short and interleaved (A B C A B C). A row's figure is the
 * median over rounds of the round's own median. A ratio is the median over rounds of (this system /
 * floor of the same round): a machine that changes its pace in the middle changes both.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BENCH_MAX_ROUNDS 64
#define BENCH_MAX_ROWS   512
#define BENCH_NOTE_SIZE  200
#define BENCH_MORE_SIZE  64

struct bench_row {
	char load[32];
	char system[32];
	char unit[12];
	/* False: the row can't be measured here, and its note says why. */
	bool known;
	double median; /* in `unit`, over rounds */
	double min;
	double max;
	/* In `unit`, over all samples. 0: the load has no histogram. */
	double p99;
	double p999;
	double p9999;
	double ratio; /* to the row's floor; 0: the row has none */
	double tail;  /* p99.9 / median, to the floor's; 0: unknown */
	/* The ratio is to stay below it; of a row without a ratio, the median. 0: the row has no
	 * goal. */
	double goal;
	bool goal_is_least;    /* the ratio is to stay above the goal */
	bool goal_is_absolute; /* the goal is the median's, not the ratio's */
	bool is_flood;         /* messages are counted: */
	uint64_t sent;         /* those that were due at all subscribers, */
	uint64_t received;     /* and those that all subscribers got */
	/* Share of what was sent, by the subscribers' own counts. */
	double lost;
	bool noisy;                 /* rounds whose two probes of the line differed */
	char more[BENCH_MORE_SIZE]; /* verdicts on goals besides `goal` */
	char note[BENCH_NOTE_SIZE];
};

struct bench_report {
	struct bench_row rows[BENCH_MAX_ROWS];
	unsigned count;
	uint64_t verified; /* payloads that were compared and were right */
};

/* How much is measured. */
struct bench_scale {
	bool smoke;
	unsigned rounds;
	unsigned kills;
	unsigned attaches;
	unsigned topics;
	unsigned clients;
	unsigned attempts;    /* times that a turn whose probes differ is taken */
	double seconds;       /* that a set's rounds may take */
	double round_seconds; /* that one system's round takes */
};

struct bench {
	struct bench_scale scale;
	struct bench_report report;
	const char *kickmsgd; /* path of the broker's program */
	const char *socket_path;
	pid_t broker;
	char dir[64];
};

/* The clock for short times: ticks of the time stamp counter, or ns where there is none. */
static inline uint64_t bench_ticks(void);
double bench_ns_per_tick(void);
/* Some machines let the counter go in steps of many ticks: the least step. */
double bench_tick_step(void);
void bench_clock_init(void);
int64_t bench_now_ns(void);

/* CPUs that this process may run on. */
unsigned bench_cpus(void);

/* Restricts the calling process to a CPU (modulo what there is). */
void bench_pin(unsigned cpu);

/* Makes the calling process die with its parent. */
void bench_die_with(pid_t parent);
/* Forks; the child dies with this process. Ends the bench when there can be no child. */
pid_t bench_fork(void);

/* Memory that children of fork share, zeroed; never null (exits when there is none). */
void *bench_shared(size_t size);

/* Prints "kickmsg-bench: ..." and ends the process with status 1. */
__attribute__((format(printf, 1, 2), noreturn)) void bench_die(const char *format, ...);

/* Sorts `values` and returns the one in the middle. */
double bench_median(double *values, unsigned count);

/* Waits until one of the children has ended, for at most `seconds`, and leaves the child to
 * bench_reap(). False when none has ended. */
bool bench_wait_any(const pid_t *pids, unsigned count, double seconds);

/* Waits until `pid` ends, for at most `seconds`; kills it then. Returns its wait status. */
int bench_reap(pid_t pid, double seconds);

/* Starts the broker of this run, on a private socket in a private directory. */
void bench_broker_start(struct bench *bench);
void bench_broker_stop(struct bench *bench);
/* Ends the broker without waiting for it: for signal handlers. */
void bench_broker_abandon(const struct bench *bench);

struct bench_row *bench_row_new(
	struct bench_report *report, const char *load, const char *system, const char *unit);

/* Fills median, min, max from one value a round; `values` stays as it is. */
void bench_row_values(struct bench_row *row, const double *values, unsigned count);

/* Fills median, min, max and p99 from single times, which it sorts. `goal` is their median's, in the
 * row's unit. */
void bench_row_times(struct bench_row *row, double *values, unsigned count, double goal);

/* Adds to a row's note, behind a comma if the note has text already. */
__attribute__((format(printf, 2, 3))) void bench_row_note(
	struct bench_row *row, const char *format, ...);

/* Adds a verdict to those that the table shows for a row: `what` is to be at most `goal`. */
void bench_row_judge(struct bench_row *row, const char *what, double value, double goal);

/* Notes that too little was measured for a verdict. */
void bench_row_judge_not(struct bench_row *row, const char *what, double goal);

void bench_report_table(const struct bench_report *report);

/* Returns 0 or a negative errno. */
int bench_report_json(const struct bench_report *report, const char *path);

/* The loads that aren't sets. Each adds its rows, or ends the process when something is wrong. */
void bench_attach(struct bench *bench, const char *load);
void bench_history(struct bench *bench, const char *load);
void bench_broker_memory(struct bench *bench, const char *load);
void bench_broker_topics(struct bench *bench, const char *load);
void bench_broker_clients(struct bench *bench, const char *load);
void bench_topic_memory(struct bench *bench, const char *load);
void bench_pool(struct bench *bench, const char *load);
void bench_instructions(struct bench *bench, const char *load);
void bench_recovery(struct bench *bench, const char *load);
void bench_stall(struct bench *bench, const char *load);
void bench_call_reset(struct bench *bench, const char *load);
void bench_frozen(struct bench *bench, const char *load);
void bench_wait_cpu(struct bench *bench, const char *load);

/* The programs that run under the instruction counter: see instructions.c, which names them. */
#define BENCH_HOT_TURNS 10240 /* whole batches */
int bench_hot_path(const char *program, const char *socket_path);

#if defined(__x86_64__)
static inline uint64_t bench_ticks(void)
{
	return __builtin_ia32_rdtsc();
}
#else
static inline uint64_t bench_ticks(void)
{
	return (uint64_t)bench_now_ns();
}
#endif
