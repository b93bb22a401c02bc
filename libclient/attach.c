/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaching: what the broker's ATTACHED answer brought is mapped and checked, and given back in the
 * end. Descriptors are closed once mapped; the mappings are the only thing that stays.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "control.h"
#include "rejoin.h"
#include "segment.h"

/* The endpoint record that the answer names, if it lies where a record can. */
static int find_record(struct kickmsg_client *client, const struct km_msg_attached *answer,
	const struct km_region *region, enum km_role role, struct km_endpoint **ret)
{
	uint64_t size = km_geometry_endpoint_size(&region->geometry, role);

	if (answer->segment >= client->memory->segment_count ||
		answer->record_offset % KM_CACHE_LINE != 0 ||
		answer->record_offset + size > client->memory->segments[answer->segment].size)
		return -EPROTO;

	struct km_endpoint *record =
		(void *)((unsigned char *)client->memory->segments[answer->segment].memory +
			 answer->record_offset);
	if (record->role != role || answer->role != (uint32_t)role)
		return -EPROTO;
	if (role == KM_ROLE_PUBLISHER &&
		(answer->id == 0 || answer->id > region->geometry.max_publishers))
		return -EPROTO;
	if (role == KM_ROLE_SUBSCRIBER &&
		((!region->shared && answer->ring >= region->ring_count) ||
			record->held_count != km_geometry_held_count(&region->geometry)))
		return -EPROTO;
	*ret = record;
	return 0;
}

/* fds: control, payload, and the bell of a shared ring, whose subscribers write nothing else. */
static int map_region(
	struct km_attachment *ret, const struct km_msg_attached *answer, const int *fds)
{
	int read_write = PROT_READ | PROT_WRITE;
	int access = ret->role == KM_ROLE_PUBLISHER ? read_write : PROT_READ;
	bool shared = answer->bell_size > 0 || ret->observes;
	int r = km_segment_map_resident(fds[0], answer->control_size,
		shared && !ret->writable ? access : read_write, &ret->control);

	if (r == 0)
		r = km_segment_map_resident(fds[1], answer->payload_size, access, &ret->payload);
	if (r == 0)
		r = km_region_attach(&ret->region, ret->control, answer->control_size, ret->payload,
			answer->payload_size);
	if (r == 0 && shared != (ret->region.shared != NULL))
		r = -EPROTO;
	if (r == 0 && answer->bell_size > 0) {
		r = answer->bell_size < sizeof(struct km_bell)
			    ? -EPROTO
			    : km_segment_map_resident(
				      fds[2], answer->bell_size, read_write, &ret->bell);
		ret->region.bell = ret->bell;
	}
	return r;
}

int km_attachment_map(struct km_attachment *ret, struct kickmsg_client *client,
	const struct km_msg_attached *answer, const int *fds, struct km_endpoint **ret_endpoint)
{
	struct stat st;
	int r = 0;

	if (ret->observes != (answer->observes != 0))
		return -EPROTO;
	ret->connection = client->connection;
	ret->endpoint_name = answer->endpoint;
	ret->control_size = answer->control_size;
	ret->payload_size = answer->payload_size;
	ret->bell_size = answer->bell_size;
	if (fstat(fds[0], &st) < 0)
		return -errno;
	ret->inode = st.st_ino;
	if (answer->new_segment_size > 0)
		r = km_client_add_segment(
			client, fds[answer->bell_size > 0 ? 3 : 2], answer->new_segment_size);
	if (r == 0)
		r = map_region(ret, answer, fds);
	if (r == 0 && !ret->observes)
		r = find_record(client, answer, &ret->region, ret->role, ret_endpoint);
	if (r == 0)
		ret->memory = km_client_memory_ref(client->memory);
	return r;
}

static void link_to(struct km_attachment *attachment, struct kickmsg_client *client)
{
	attachment->client = client;
	attachment->latest = client->connection;
	attachment->next = client->attachments;
	if (attachment->next)
		attachment->next->previous = attachment;
	client->attachments = attachment;
}

int km_attachment_ask(struct km_attachment *attachment, struct kickmsg_client *client,
	struct km_msg_attach *request, union km_msg *ret_answer, struct km_endpoint **ret_endpoint)
{
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;

	attachment->request = malloc(sizeof *request);
	if (!attachment->request)
		return -ENOMEM;
	request->header.op = attachment->role == KM_ROLE_PUBLISHER ? KM_OP_ADVERTISE
								   : KM_OP_SUBSCRIBE;
	/* one step: what the answer names is of the connection that it came by */
	pthread_mutex_lock(&client->lock);
	int r = km_client_call_locked(
		client, request, sizeof *request, KM_OP_ATTACHED, ret_answer, fds, &count);
	if (r == 0) {
		r = km_attachment_map(attachment, client, &ret_answer->attached, fds, ret_endpoint);
		km_close_fds(fds, count);
		memcpy(attachment->request, request, sizeof *request);
		link_to(attachment, client);
	}
	pthread_mutex_unlock(&client->lock);
	return r;
}

void km_attachment_unmap(struct km_attachment *attachment)
{
	km_segment_unmap(attachment->control, attachment->control_size);
	km_segment_unmap(attachment->payload, attachment->payload_size);
	km_segment_unmap(attachment->bell, attachment->bell_size);
	attachment->control = attachment->payload = attachment->bell = NULL;
	km_client_memory_unref(attachment->memory);
	attachment->memory = NULL;
}

void km_attachment_unlink(struct km_attachment *attachment)
{
	struct kickmsg_client *client = attachment->client;

	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	km_rejoin_forget(attachment);
	if (attachment->previous)
		attachment->previous->next = attachment->next;
	else
		client->attachments = attachment->next;
	if (attachment->next)
		attachment->next->previous = attachment->previous;
	pthread_mutex_unlock(&client->lock);
}

void km_attachment_detach(struct km_attachment *attachment)
{
	struct kickmsg_client *client = attachment->client;
	struct km_msg_detach detach = { .header.op = KM_OP_DETACH,
		.endpoint = attachment->endpoint_name };
	union km_msg answer;

	if (!client) { /* it was refused */
		free(attachment->request);
		return;
	}
	pthread_mutex_lock(&client->lock);
	/* unmapped first: when the broker hears of it, nothing here can touch the region any more */
	km_attachment_unmap(attachment);
	/* if the broker is gone, the end of the mapping says the same */
	if (client->link == KM_LINK_UP && attachment->connection == client->connection &&
		attachment->endpoint_name > 0)
		km_client_call_locked(
			client, &detach, sizeof detach, KM_OP_OK, &answer, NULL, NULL);
	pthread_mutex_unlock(&client->lock);
	free(attachment->request);
}
