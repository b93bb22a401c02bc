/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes of services and trailers of messages, on fabricated bytes. */
#include <errno.h>
#include <stdio.h>

#include "common/memory/region.h"
#include "libclient/service/message.h"
#include "libclient/service/shape.h"
#include "tests/support/broker/fixture.h"

static struct kickmsg_service_config config;
static struct km_service_shape shape;
static char text[256];

static void bad(const char *field)
{
	ck_assert_int_eq(km_service_shape_of(&config, &shape, text, sizeof text), -EINVAL);
	ck_assert_msg(strstr(text, field), "\"%s\" should name %s", text, field);
	kickmsg_service_config_init(&config);
}

START_TEST(shape_of_each_bad_field_is_named)
{
	kickmsg_service_config_init(&config);
	ck_assert_int_eq(km_service_shape_of(&config, &shape, text, sizeof text), 0);
	config.max_callers = 0;
	bad("max_callers");
	config.max_callers = 65536;
	bad("max_callers");
	config.max_calls = 1024;
	bad("max_calls");
	config.max_replies = 0;
	bad("max_replies");
	config.transport = 3;
	bad("transport");
	config.max_request_size = 0;
	bad("max_request_size");
	config.max_reply_size = KM_MAX_PAYLOAD - 63;
	bad("max_reply_size");
	config.max_calls = 1023;
	config.max_replies = 33;
	bad("max_calls * max_replies");
	config.reserved[7] = 1;
	bad("reserved");
}
END_TEST

static bool is_read(const struct km_service_shape *said)
{
	struct km_schema schema = { 0 };
	struct km_service_shape found;

	km_service_shape_write(said, &schema);
	return km_service_shape_read(&schema, &found);
}

/* A server may say anything of itself. */
START_TEST(shape_read_believes_nothing_impossible)
{
	struct km_service_shape lie;
	struct km_schema schema = { 0 };

	kickmsg_service_config_init(&config);
	ck_assert_int_eq(km_service_shape_of(&config, &shape, text, sizeof text), 0);
	ck_assert(is_read(&shape));
	ck_assert(!km_service_shape_read(&schema, &lie));
#define LIE(field, value)                                                                          \
	do {                                                                                       \
		lie = shape;                                                                       \
		lie.field = (value);                                                               \
		ck_assert(!is_read(&lie));                                                         \
	} while (0)
	LIE(magic, 0);
	LIE(max_calls, 0);
	LIE(max_calls, UINT32_MAX);
	LIE(max_replies, 0);
	LIE(max_replies, UINT32_MAX);
	LIE(max_request_size, 0);
	LIE(max_request_size, UINT64_MAX);
	LIE(max_reply_size, 0);
	LIE(max_reply_size, UINT64_MAX);
	LIE(transport, 2);
	LIE(max_callers, 0);
	LIE(max_callers, 65536);
}
END_TEST

/* The topics of each possible config are possible, and have room for all that may be under way. */
START_TEST(geometries_are_possible_and_have_room)
{
	static const uint32_t counts[] = { 1, 2, 3, 16, 31, 1023 };
	static const uint64_t sizes[] = { 1, 7, 8, 1024, 1025, KM_MAX_PAYLOAD - 64 };

	for (size_t c = 0; c < 6; c++)
		for (size_t m = 0; m < 6; m++)
			for (size_t s = 0; s < 6; s++)
				for (uint32_t transport = 0; transport < 2; transport++) {
					shape = (struct km_service_shape){ .max_calls = counts[c],
						.max_replies = counts[m],
						.max_request_size = sizes[s],
						.max_reply_size = sizes[5 - s],
						.transport = transport,
						.max_callers = 1 };
					if (counts[c] * counts[m] > 32768)
						continue;
					struct km_geometry requests = km_service_requests(&shape);
					struct km_geometry replies = km_service_replies(&shape);
					struct km_geometry service = km_service_geometry(&shape);

					ck_assert_ptr_null(km_geometry_check(&requests));
					ck_assert_ptr_null(km_geometry_check(&replies));
					ck_assert_ptr_null(km_geometry_check(&service));
					ck_assert_uint_ge(requests.ring_capacity,
						counts[c] + KM_SERVICE_CANCELS);
					ck_assert_uint_ge(requests.pool_size,
						counts[c] + KM_SERVICE_CANCELS + KM_SERVICE_LOANS);
					/* what is read, and a message that the library copies */
					ck_assert_uint_gt(requests.max_borrows, counts[c]);
					ck_assert_uint_gt(requests.max_loans, KM_SERVICE_LOANS);
					ck_assert_uint_gt(replies.max_loans, KM_SERVICE_LOANS);
					ck_assert_uint_gt(
						replies.ring_capacity, counts[c] * counts[m]);
					if (transport == KM_TRANSPORT_RINGS)
						ck_assert_uint_ge(replies.pool_size,
							counts[c] * counts[m] + counts[c] +
								KM_SERVICE_LOANS);
					ck_assert_uint_ge(requests.max_payload_size, sizes[s]);
				}
}
END_TEST

START_TEST(label_is_found_in_its_tag)
{
	for (unsigned kind = 0; kind < 16; kind++) {
		const struct km_label label = {
			.id = KM_CALL_IDS - kind, .word = (uint64_t)-5, .kind = kind
		};
		struct km_label found = km_message_label(km_message_tag(&label), label.word);

		ck_assert_uint_eq(found.id, label.id);
		ck_assert_uint_eq(found.kind, kind);
		ck_assert_uint_eq(found.word, label.word);
	}
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("service-shape");

	tcase_add_test(tc, shape_of_each_bad_field_is_named);
	tcase_add_test(tc, label_is_found_in_its_tag);
	tcase_add_test(tc, shape_read_believes_nothing_impossible);
	tcase_add_test(tc, geometries_are_possible_and_have_room);
	return fixture_run("service-shape", tc);
}
