/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics over HTTP: see server.h.
 *
 * evhttp bounds neither how many connections there are nor how long one takes, and it tells of a
 * connection only with its first request. But it asks for a bufferevent when it accepts, and gives
 * that its struct evhttp_connection for all callbacks. The connection is adopted right after that:
 * from then on its end is heard of. Between the two the loop hears no socket, so none can have ended.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "daemon/metrics/listen.h"
#include "daemon/metrics/pulse.h"
#include "daemon/metrics/requests.h"
#include "daemon/metrics/server.h"
#include "daemon/run/log.h"

#define PLACES      8
#define LOOK_MS     250
#define LOOKS_RETRY 4 /* looks between two attempts to listen */
#define LIFE_NS     INT64_C(15000000000)
#define QUIET_S     5
#define ANSWER_NS   INT64_C(1000000000) /* an answer takes less to write and to read */
#define HEADERS_MAX 8192
#define INPUT_MAX   (2 * HEADERS_MAX) /* bytes that nobody has read */

struct place {
	struct km_metrics *metrics;
	struct bufferevent *connection; /* or null: free */
	bool adopted;
	bool asked; /* its request was heard whole */
	int64_t since_ns;
};

struct km_metrics {
	struct km_broker *broker;
	struct km_config_metrics config; /* as it is served */
	struct evhttp *http;             /* or null: not now */
	struct evconnlistener *listener; /* http's */
	struct event *look_event;
	struct event *adopt_event;
	unsigned looks;
	bool complained;
	struct km_pulse pulse;
	struct place places[PLACES];
	struct km_requests requests;
};

/* Frees the connection's place. evhttp calls this also where it hangs up by itself. */
static void on_closed(struct evhttp_connection *connection, void *userdata)
{
	struct place *place = userdata;

	place->connection = NULL;
	if (place->metrics->listener)
		evconnlistener_enable(place->metrics->listener);
}

static void adopt(struct km_metrics *metrics)
{
	for (int i = 0; i < PLACES; i++) {
		struct place *place = &metrics->places[i];
		void *connection = NULL;

		if (!place->connection || place->adopted)
			continue;
		bufferevent_getcb(place->connection, NULL, NULL, NULL, &connection);
		bufferevent_decref(place->connection);
		place->adopted = true;
		if (connection)
			evhttp_connection_set_closecb(connection, on_closed, place);
		else
			place->connection = NULL; /* evhttp had no memory for it */
	}
}

static void on_adopt(evutil_socket_t fd, short what, void *userdata)
{
	adopt(userdata);
}

static void take_place(struct km_metrics *metrics, struct bufferevent *connection)
{
	int i = 0;

	while (i < PLACES && metrics->places[i].connection)
		i++;
	if (i == PLACES)
		return;
	bufferevent_incref(connection);
	metrics->places[i] = (struct place){
		.metrics = metrics, .connection = connection, .since_ns = km_clock_ns()
	};
	event_active(metrics->adopt_event, EV_TIMEOUT, 0);
}

static bool is_full(const struct km_metrics *metrics)
{
	for (int i = 0; i < PLACES; i++)
		if (!metrics->places[i].connection)
			return false;
	return true;
}

/* May the connection go for a newcomer? It has asked for nothing, and has said nothing that only waits
 * for its turn; or it has had time enough to read its answer. */
static bool may_go(const struct place *place, int64_t now_ns)
{
	struct pollfd state = { bufferevent_getfd(place->connection), POLLIN, 0 };

	if (!place->adopted || state.fd < 0)
		return false;
	return place->asked ? now_ns - place->since_ns > ANSWER_NS : poll(&state, 1, 0) == 0;
}

/* The last place is for a newcomer: the connection that may go and is there for longest goes. evhttp
 * hears of it and frees the place. */
static void make_room(struct km_metrics *metrics)
{
	const int64_t now = km_clock_ns();
	const struct place *oldest = NULL;

	for (int i = 0; i < PLACES; i++)
		if (may_go(&metrics->places[i], now) &&
			(!oldest || metrics->places[i].since_ns < oldest->since_ns))
			oldest = &metrics->places[i];
	if (oldest)
		shutdown(bufferevent_getfd(oldest->connection), SHUT_RDWR);
}

/* evhttp bounds neither what comes while it answers nor the line of a chunk's size. It hears of the
 * shutdown, and frees the connection. */
static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *userdata)
{
	const size_t length = evbuffer_get_length(input);

	if (length <= INPUT_MAX)
		return;
	shutdown(bufferevent_getfd(userdata), SHUT_RDWR);
	evbuffer_drain(input, length);
}

/* Gives evhttp a bufferevent for the connection that it has accepted. */
static struct bufferevent *on_connection(struct event_base *base, void *userdata)
{
	struct km_metrics *metrics = userdata;
	struct bufferevent *connection = bufferevent_socket_new(base, -1, 0);

	if (connection &&
		!evbuffer_add_cb(bufferevent_get_input(connection), on_input, connection)) {
		bufferevent_free(connection);
		connection = NULL;
	}
	adopt(metrics);
	if (connection)
		take_place(metrics, connection);
	if (is_full(metrics)) {
		evconnlistener_disable(metrics->listener);
		make_room(metrics);
	}
	return connection;
}

static void mark_asked(struct km_metrics *metrics, const struct bufferevent *connection)
{
	for (int i = 0; i < PLACES; i++)
		metrics->places[i].asked |= metrics->places[i].connection == connection;
}

static void on_request(struct evhttp_request *request, void *userdata)
{
	struct km_metrics *metrics = userdata;

	mark_asked(
		metrics, evhttp_connection_get_bufferevent(evhttp_request_get_connection(request)));
	km_requests_serve(&metrics->requests, request, metrics->config.anywhere);
}

/* No descriptor is free for one more connection: try later. */
static void on_accept_error(struct evconnlistener *listener, void *userdata)
{
	evconnlistener_disable(listener);
}

/* Serves at the socket, which isn't the caller's any more. */
static int serve_at(struct km_metrics *metrics, int socket)
{
	struct evhttp *http = evhttp_new(metrics->broker->base);
	struct evconnlistener *listener = evconnlistener_new(metrics->broker->base, NULL, NULL,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 2 * PLACES, socket);

	if (!listener)
		km_close(socket);
	if (!http || !listener || !evhttp_bind_listener(http, listener)) {
		if (listener)
			evconnlistener_free(listener);
		if (http)
			evhttp_free(http);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(listener, on_accept_error);
	/* others than GET are told so */
	evhttp_set_allowed_methods(http, UINT16_MAX);
	evhttp_set_max_headers_size(http, HEADERS_MAX);
	evhttp_set_max_body_size(http, 0);
	evhttp_set_timeout(http, QUIET_S);
	evhttp_set_bevcb(http, on_connection, metrics);
	evhttp_set_gencb(http, on_request, metrics);
	metrics->http = http;
	metrics->listener = listener;
	return 0;
}

static void listen_now(struct km_metrics *metrics)
{
	int socket = -1, r = km_metrics_bind(&metrics->config, &socket);

	if (r == 0)
		r = serve_at(metrics, socket);
	if (r == 0)
		km_log(LOG_NOTICE | KM_EVENT_LISTENING, NULL, NULL, "metrics are served at %s",
			metrics->config.listen);
	else if (!metrics->complained)
		km_log(LOG_WARNING | KM_EVENT_NO_METRICS, NULL, NULL,
			"metrics at %s: %s; trying again each second", metrics->config.listen,
			strerror(-r));
	metrics->complained = r < 0;
}

static void on_look(evutil_socket_t fd, short what, void *userdata)
{
	struct km_metrics *metrics = userdata;
	int64_t now = km_clock_ns();

	if (!metrics->http && metrics->looks++ % LOOKS_RETRY == 0)
		listen_now(metrics);
	for (int i = 0; i < PLACES; i++) {
		struct place *place = &metrics->places[i];
		int socket = place->connection ? bufferevent_getfd(place->connection) : -1;

		/* evhttp hears of it and frees the connection */
		if (socket >= 0 && now - place->since_ns > LIFE_NS)
			shutdown(socket, SHUT_RDWR);
	}
	/* also after an accept that failed */
	if (metrics->http && !is_full(metrics))
		evconnlistener_enable(metrics->listener);
	else if (metrics->http)
		make_room(metrics);
}

static void stop_serving(struct km_metrics *metrics)
{
	km_requests_drop(&metrics->requests);
	metrics->listener = NULL;
	if (metrics->http) {
		adopt(metrics);
		evhttp_free(metrics->http);
		km_metrics_unbind(&metrics->config);
	}
	metrics->http = NULL;
}

static void stay_silent(int severity, const char *message)
{
	km_log(LOG_DEBUG, NULL, NULL, "libevent: %s", message);
}

static int begin(struct km_broker *broker)
{
	static const struct timeval look = { 0, LOOK_MS * 1000 };
	struct km_metrics *metrics = calloc(1, sizeof *metrics);

	if (!metrics)
		return -ENOMEM;
	metrics->broker = broker;
	metrics->pulse.fd = -1;
	km_requests_init(&metrics->requests, broker, &metrics->pulse);
	broker->metrics = metrics;
	event_set_log_callback(stay_silent);
	metrics->look_event = event_new(broker->base, -1, EV_PERSIST, on_look, metrics);
	metrics->adopt_event = event_new(broker->base, -1, 0, on_adopt, metrics);
	if (!metrics->adopt_event || !metrics->look_event ||
		event_add(metrics->look_event, &look) < 0)
		return -ENOMEM;
	return km_pulse_init(&metrics->pulse, broker->base);
}

static bool is_same(const struct km_config_metrics *a, const struct km_config_metrics *b)
{
	return strcmp(a->listen, b->listen) == 0 && a->mode == b->mode &&
	       a->anywhere == b->anywhere;
}

void km_metrics_settle(struct km_broker *broker)
{
	const struct km_config_metrics *config = &broker->config->metrics;
	int r = 0;

	if (!*config->listen) {
		km_metrics_free(broker);
		return;
	}
	if (!broker->metrics)
		r = begin(broker);
	if (r < 0) {
		km_log(LOG_WARNING | KM_EVENT_NO_METRICS, NULL, NULL, "metrics: %s", strerror(-r));
		km_metrics_free(broker);
		return;
	}
	if (broker->metrics->http && is_same(config, &broker->metrics->config))
		return;
	stop_serving(broker->metrics);
	broker->metrics->config = *config;
	listen_now(broker->metrics);
}

void km_metrics_free(struct km_broker *broker)
{
	struct km_metrics *metrics = broker->metrics;

	if (!metrics)
		return;
	broker->metrics = NULL;
	stop_serving(metrics);
	if (metrics->look_event)
		event_free(metrics->look_event);
	if (metrics->adopt_event)
		event_free(metrics->adopt_event);
	km_pulse_deinit(&metrics->pulse);
	free(metrics);
}
