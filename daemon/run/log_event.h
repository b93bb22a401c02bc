/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of events that the broker logs, each with the id that the journal knows it by
 * (MESSAGE_ID). systemd/kickmsgd.catalog says of each what has happened and what to do; a test
 * holds the two against each other. An id stays with its kind for good.
 *
 * Operators who watch the broker hear of each kind by its word (daemon/serve/happened.h): TOPIC_MADE is
 * "topic-made". So a name stays with its kind for good, too.
 *
 * A kind is or-ed to a level, as a facility is in syslog(3): km_log(LOG_ERR | KM_EVENT_REFUSED,
 * ...). A level alone is a line without a kind, which is for debugging only.
 */
#pragma once

/* clang-format off */
#define KM_EVENTS(X) \
	X(SERVING, "db59916c98e84467ac1f644b60a7149a") \
	X(LISTENING, "595065aabcf14bafac82c3717d699293") \
	X(SOCKET_REPLACED, "96207160c3d54ce2bafdac0aaffb6037") \
	X(CANT_START, "267c0e8bf8ba41cdb5f0377008224397") \
	X(ENDING, "68254b40ae174cd9ad6f6a49c5d4cc24") \
	X(NO_LIBSYSTEMD, "655e316387444dd5810f66098a0c107b") \
	X(CONFIG_READ, "e9ac19dd5d00477e849f48b0a1f3df08") \
	X(CONFIG_REFUSED, "f06937dac0a94f99bded585a636f9fa1") \
	X(CONFIG_NEEDS_RESTART, "fbdcc1b048d4487384d6466a5067b922") \
	X(TOO_FEW_DESCRIPTORS, "747dbd58ec174396882435e1fd9c7524") \
	X(CANT_ACCEPT, "20e6ca29274e46c39189f53b666758b6") \
	X(NOT_KEPT, "3ddce7c55c034f189212689a6cf5aa1e") \
	X(TAKEN_BACK, "b7654c24dfe44c9b84a8ec6862a0f667") \
	X(NOT_TAKEN_BACK, "c9246bb0d78a436e9e4ee70d95d3d05b") \
	X(STATE_REFUSED, "2dc4896f18ea4e95b5d628f55220b9a9") \
	X(FOREIGN_DESCRIPTOR, "2e5dfe4532a347ada50f856dde274cf7") \
	X(TOPIC_MADE, "04779e8df278404e9557680ce6e20341") \
	X(TOPIC_FREED, "ce2fff429eb640c6ae8a73438b7b356a") \
	X(TOPIC_UNLINKED, "4eecd9b189eb4d07801f4a5495c2e832") \
	X(SCHEMA_CLAIMED, "87b37ae63f3b4e6f973efcb7d45ae1ec") \
	X(POOL_TOO_SMALL, "edcbaf794dd24ae39b29e97d79098e88") \
	X(REFUSED, "30dfc9734cbf4bf1a4706d799ba9247c") \
	X(DENIED, "8686bda4cf6345e58d310752c8fead48") \
	X(LIMIT_HIT, "85b81f9f0666430e84e96ea8063310e4") \
	X(CLIENT_CAME, "0eeed9fd26534b9a9dbd98e0aa79d990") \
	X(CLIENT_LEFT, "21a569e5e1234368860453deef2bb7bc") \
	X(CLIENT_DIED, "3db353f1a8b14022a42b904a049caa0e") \
	X(CLIENT_SENT_AWAY, "dc0d70975693450eab1b6be86da6d534") \
	X(ENDPOINT_JOINED, "60f9953535d042e8913509d0ebc3d1d6") \
	X(ENDPOINT_LEFT, "67bf01f24c624512bfbc587fd4477d13") \
	X(ENDPOINT_DIED, "362512ac05614fa0b2fd5b68dc83c3cd") \
	X(LOG_LEVEL_SET, "9336ceb0366941cb9b54304548437df0") \
	X(WATCH_BEGAN, "ee0d5d5e76634ff38bca8bff919629e3") \
	X(REPAIRED, "285e2edb538245b4b93175fdbb809b19") \
	X(CANT_RECONCILE, "19914d0adb54411cb210da4bef590fa8") \
	X(QUARANTINED, "a467c19f9f7c42a1be75fd6559c3cd7e") \
	X(CANT_CLOSE, "1099e82ffb394137b0fff100a1a16124") \
	X(UNSAFE_PLACE, "751b1113835a42d7abb41db7d81c3153") \
	X(SOCKET_GONE, "10e420dd7d6a44e6a793395be7ea9d71") \
	X(LOG_LOST, "084e79d7e0c84d9b97f77780604c0c6e") \
	X(HEADER_MENDED, "9c1f7f0a5d3b4b7c8f2e6a0d41c85e27") \
	X(NO_METRICS, "23f7a7b8d6e8489ea48bd6265a1bad7e") \
	X(DEMOTED, "76da97ef8464429b8973104e9195fde4")
/* clang-format on */

enum km_event_number {
	KM_EVENT_NUMBER_NONE,
#define X(name, id) KM_EVENT_NUMBER_##name,
	KM_EVENTS(X)
#undef X
		KM_EVENT_NUMBERS
};

#define KM_EVENT_SHIFT 3 /* over the levels */

enum km_event {
#define X(name, id) KM_EVENT_##name = KM_EVENT_NUMBER_##name << KM_EVENT_SHIFT,
	KM_EVENTS(X)
#undef X
};
