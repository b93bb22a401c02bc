/* SPDX-License-Identifier: Apache-2.0 */
/* A topic's segments: see segments.h. */
#include <stdio.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/memory/atomic.h"
#include "common/memory/segment.h"
#include "common/shared/bell.h"
#include "daemon/topic/grave.h"
#include "daemon/topic/segments.h"
#include "daemon/topic/topic.h"

int km_segments_map_bell(struct km_topic *topic)
{
	void *bell;
	int r = km_segment_map(topic->bell_fd, KM_BELL_SIZE, PROT_READ | PROT_WRITE, &bell);

	if (r == 0)
		topic->region.bell = bell;
	return r;
}

/* Makes the memory that the subscribers of a shared ring may write. */
static int make_bell(struct km_topic *topic, const struct km_geometry *geometry)
{
	uint64_t size = km_geometry_bell_size(geometry);
	char name[KM_REGION_NAME_SIZE];

	topic->bell_fd = -1;
	if (size == 0)
		return 0;
	snprintf(name, sizeof name, "%.230s_bell", topic->region_name);
	int r = km_segment_create(name, size, &topic->bell_fd);
	if (r == 0)
		r = km_segments_map_bell(topic);
	if (r < 0)
		topic->bell_fd = km_close(topic->bell_fd);
	return r;
}

int km_segments_format(
	struct km_topic *topic, const struct km_geometry *geometry, int control_fd, int payload_fd)
{
	uint64_t control_size = km_geometry_control_size(geometry);
	void *control;
	int r = km_segment_map_resident(control_fd, control_size, PROT_READ | PROT_WRITE, &control);

	if (r < 0)
		return r;
	km_region_format(control, geometry, topic->region_name, topic->kept.key.name,
		topic->kept.created_realtime_ns);
	r = km_region_attach(&topic->region, geometry, control, control_size, NULL, 0);
	if (r == 0)
		topic->live = km_load(L4, relaxed, &topic->region.header->live);
	if (r == 0)
		r = make_bell(topic, geometry);
	if (r < 0) {
		km_segment_unmap(control, control_size);
		return r;
	}
	topic->control_fd = control_fd;
	topic->payload_fd = payload_fd;
	return 0;
}

void km_segments_close(struct km_topic *topic)
{
	km_segment_unmap(topic->region.bell, KM_BELL_SIZE);
	km_segment_unmap(topic->region.header, topic->region.control_size);
	topic->control_fd = km_close(topic->control_fd);
	topic->payload_fd = km_close(topic->payload_fd);
	topic->bell_fd = km_close(topic->bell_fd);
}

uint64_t km_segments_bytes(const struct km_topic *topic)
{
	const struct km_geometry *geometry = &topic->region.geometry;

	/* what stays is the bell, and the header's page, where clients look whether the region is
	 * given up */
	return topic->kept.emptied ? KM_PAGE_SIZE + km_geometry_bell_size(geometry)
				   : km_geometry_total_size(geometry);
}

void km_segments_empty_quarantined(struct km_topic *topic)
{
	if (topic->kept.emptied)
		return;
	topic->kept.emptied = true;
	km_keep_topic(topic);
	uint64_t left = km_segments_bytes(topic);
	km_account_give(topic->account, KM_BYTES, topic->bytes - left);
	topic->bytes = left;
	km_grave_empty(topic->broker, topic->account, topic->control_fd, KM_PAGE_SIZE,
		topic->region.control_size, NULL);
	km_grave_empty(topic->broker, topic->account, topic->payload_fd, 0,
		km_geometry_payload_size(&topic->region.geometry), NULL);
}

void km_segments_give_back(struct km_topic *topic)
{
	struct km_region *region = &topic->region;

	if (topic->kept.emptied) {
		km_grave_empty(
			topic->broker, topic->account, topic->control_fd, 0, KM_PAGE_SIZE, NULL);
	} else {
		km_grave_empty(topic->broker, topic->account, topic->payload_fd, 0,
			km_geometry_payload_size(&region->geometry), NULL);
		km_grave_empty(topic->broker, topic->account, topic->control_fd, 0,
			region->control_size, region->header);
		region->header = NULL;
	}
	if (topic->bell_fd >= 0)
		km_grave_empty(
			topic->broker, topic->account, topic->bell_fd, 0, KM_BELL_SIZE, NULL);
}
