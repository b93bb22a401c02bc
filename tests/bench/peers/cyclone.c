/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cyclone DDS with its shared memory (iceoryx): types of a fixed size, lent samples on both sides, reliable,
 * history within iceoryx' queue. RouDi, iceoryx' daemon, is there once on a machine: ours runs if
 * there is none, and the loopback interface is used for discovery. Receives wait in a waitset.
 */
#include <dds/dds.h>
#include <dds/ddsc/dds_loan_api.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cyclone-types.h" /* made by idlc */
#include "tests/bench/loops.h"
#include "tests/bench/peers/peers.h"

#define DOMAINS 200

static const char config[] =
	"<CycloneDDS><Domain><General><Interfaces><NetworkInterface name=\"lo\" "
	"multicast=\"false\"/></Interfaces></General><Discovery><ParticipantIndex>auto"
	"</ParticipantIndex><Peers><Peer address=\"localhost\"/></Peers></Discovery>"
	"<SharedMemory><Enable>true</Enable><LogLevel>off</LogLevel></SharedMemory></Domain>"
	"</CycloneDDS>";

struct cyclone_end {
	struct worker *worker;
	dds_entity_t endpoint;
	dds_entity_t waitset;
	void *sample; /* lent to a reader */
};

static dds_entity_t participant; /* this process' */
static pid_t roudi;              /* worker 0's */

static const dds_topic_descriptor_t *type_of(size_t size)
{
	switch (size) {
	case 8:
		return &Bench_Bytes8_desc;
	case 64:
		return &Bench_Bytes64_desc;
	case 1024:
		return &Bench_Bytes1024_desc;
	case 4096:
		return &Bench_Bytes4096_desc;
	case 8192:
		return &Bench_Bytes8192_desc;
	case 16384:
		return &Bench_Bytes16384_desc;
	case 65536:
		return &Bench_Bytes65536_desc;
	default:
		return size == MESSAGE_MAX ? &Bench_Bytes1048576_desc : NULL;
	}
}

/* Waits until RouDi says that it is ready. False: it ended before that, since another RouDi
 * serves or none is installed. */
static bool roudi_ready(int fd)
{
	char text[4096];
	size_t used = 0;

	while (used < sizeof(text) - 1) {
		ssize_t got = read(fd, text + used, sizeof(text) - 1 - used);

		if (got <= 0)
			return false;
		used += (size_t)got;
		text[used] = 0;
		if (strstr(text, "ready for clients"))
			return true;
	}
	return false;
}

static void start_roudi(struct worker *worker)
{
	pid_t parent = getpid();
	int pipes[2], status;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		bench_die("pipe: error %d", errno);
	roudi = fork();
	if (roudi == 0) {
		bench_die_with(parent);
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* RouDi has files to remove */
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		execlp("iox-roudi", "iox-roudi", "-m", "off", (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	if (roudi_ready(pipes[0])) /* its later words stay in the pipe: they are few */
		return;
	waitpid(roudi, &status, 0);
	roudi = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		stage_refuse(worker, "no iox-roudi");
}

static unsigned domain_of(const struct worker *worker)
{
	unsigned hash = 0;

	for (const char *c = worker->name; *c; c++)
		hash = hash * 31 + (unsigned char)*c;
	return 1 + hash % DOMAINS;
}

/* Samples that a history keeps: RouDi has 10 chunks of the largest size. */
static int depth_of(size_t size)
{
	return size > 65536 ? 4 : size > 16384 ? 16 : 128;
}

static struct cyclone_end *open_end(struct worker *worker, unsigned channel, bool writes)
{
	const dds_topic_descriptor_t *type = type_of(worker->shape.size);
	struct cyclone_end *end = peer_end_new(worker, sizeof(*end));
	dds_qos_t *qos = dds_create_qos();
	dds_entity_t topic;
	char name[64];

	end->worker = worker;
	if (!type)
		stage_refuse(worker, "no type of this size");
	if (participant == 0) {
		if (dds_create_domain(domain_of(worker), config) < 0)
			stage_refuse(worker, "the domain can't be made");
		participant = dds_create_participant(domain_of(worker), NULL, NULL);
	}
	snprintf(name, sizeof(name), "channel%u", channel);
	topic = dds_create_topic(participant, type, name, NULL, NULL);
	if (participant < 0 || topic < 0)
		stage_refuse(worker, "no participant or topic");
	dds_qset_reliability(qos, DDS_RELIABILITY_RELIABLE, DDS_SECS(1));
	dds_qset_durability(qos, DDS_DURABILITY_VOLATILE);
	dds_qset_history(qos, DDS_HISTORY_KEEP_LAST, depth_of(worker->shape.size));
	end->endpoint = writes ? dds_create_writer(participant, topic, qos, NULL)
			       : dds_create_reader(participant, topic, qos, NULL);
	dds_delete_qos(qos);
	if (end->endpoint < 0)
		stage_refuse(worker, "%s", dds_strretcode(end->endpoint));
	if (!dds_is_loan_available(end->endpoint))
		stage_refuse(worker, "no shared memory");
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	if (worker->index == 0) {
		start_roudi(worker);
		atomic_store(&worker->stage->helper, 1);
	}
	while (!atomic_load(&worker->stage->helper))
		usleep(1000);
	return open_end(worker, channel, true);
}

static void *open_receiver(struct worker *worker, unsigned channel, unsigned index)
{
	struct cyclone_end *end = open_end(worker, channel, false);
	dds_entity_t condition = dds_create_readcondition(end->endpoint, DDS_ANY_STATE);

	end->waitset = dds_create_waitset(participant);
	if (dds_waitset_attach(end->waitset, condition, 0) < 0)
		stage_refuse(worker, "no waitset");
	return end;
}

static void adapter_send(void *sender, size_t size, uint64_t key)
{
	struct cyclone_end *end = sender;
	void *sample;
	dds_return_t r = dds_loan_sample(end->endpoint, &sample);

	if (r < 0)
		stage_refuse(end->worker, "no sample is lent: %s", dds_strretcode(r));
	message_write(sample, size, key);
	r = dds_write(end->endpoint, sample);
	if (r < 0)
		stage_refuse(end->worker, "write: %s", dds_strretcode(r));
}

static const void *adapter_take(void *receiver, size_t size, bool block)
{
	struct cyclone_end *end = receiver;
	dds_sample_info_t info;
	dds_attach_t triggered;

	for (;;) {
		end->sample = NULL;
		dds_return_t r = dds_take(end->endpoint, &end->sample, &info, 1, 1);
		if (r < 0)
			stage_refuse(end->worker, "take: %s", dds_strretcode(r));
		if (r == 1 && info.valid_data)
			return end->sample;
		if (r == 1)
			dds_return_loan(end->endpoint, &end->sample, 1);
		if (!block || dds_waitset_wait(end->waitset, &triggered, 1, DDS_MSECS(1)) <= 0)
			return NULL;
	}
}

static void adapter_release(void *receiver)
{
	struct cyclone_end *end = receiver;

	dds_return_loan(end->endpoint, &end->sample, 1);
}

/* A RouDi that ends sends SIGTERM to its clients, which would leave their socket and a lock
 * behind. */
static void remove_socket(void)
{
	char pattern[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/tmp/iceoryx_rt_%d_*", (int)getpid());
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		unlink(found.gl_pathv[i]);
	globfree(&found);
}

static void adapter_close(struct worker *worker)
{
	if (participant > 0)
		dds_delete(participant);
	if (roudi > 0) {
		remove_socket();
		kill(roudi, SIGTERM);
		waitpid(roudi, NULL, 0);
	}
}

LOOPS(cyclone_round, peer_cyclone)

const struct adapter peer_cyclone = {
	.name = "cyclonedds",
	.setting = "shared memory (iceoryx), lent samples, reliable, sleeps",
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
	.close = adapter_close,
	.round = cyclone_round,
};
