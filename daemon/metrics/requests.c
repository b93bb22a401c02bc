/* SPDX-License-Identifier: Apache-2.0 */
/* Which answer a request gets: see requests.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/metrics/answer.h"
#include "daemon/metrics/browser.h"
#include "daemon/metrics/json.h"
#include "daemon/metrics/requests.h"
#include "daemon/metrics/scrape.h"

/* for all answers but the page */
#define POLICY "default-src 'none'; frame-ancestors 'none'"
#define TEXT   "text/plain; charset=utf-8"

/* A request whose answer is being written. */
struct km_request {
	TAILQ_ENTRY(km_request) next;
	struct km_requests *requests;
	struct evhttp_request *request;
	struct km_answer *answer;
};

static void reply(struct evhttp_request *request, int code, const char *reason, const char *type,
	const char *policy, struct evbuffer *body)
{
	const char *const headers[][2] = {
		{ "Content-Type", type },
		{ "Content-Security-Policy", policy },
		{ "Cache-Control", "no-store" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Connection", "close" },
	};

	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
		evhttp_add_header(
			evhttp_request_get_output_headers(request), headers[i][0], headers[i][1]);
	evhttp_send_reply(request, code, reason, body);
}

static void reply_text(
	struct evhttp_request *request, int code, const char *reason, const char *text)
{
	struct evbuffer *body = evbuffer_new();

	if (body)
		evbuffer_add(body, text, strlen(text));
	reply(request, code, reason, TEXT, POLICY, body);
	if (body)
		evbuffer_free(body);
}

static void reply_no_memory(struct evhttp_request *request)
{
	reply_text(request, HTTP_SERVUNAVAIL, "Unavailable", "no memory\n");
}

static void drop(struct km_request *waiting)
{
	TAILQ_REMOVE(&waiting->requests->waiting, waiting, next);
	km_answer_free(waiting->answer);
	free(waiting);
}

/* Sends the answer. A connection that ended meanwhile has left its request behind; evhttp knows. */
static void on_answer(void *userdata, struct evbuffer *body)
{
	struct km_request *waiting = userdata;

	if (body)
		reply(waiting->request, HTTP_OK, "OK", waiting->answer->type, POLICY, body);
	else
		reply_no_memory(waiting->request);
	drop(waiting);
}

/* Writes the answer in turns; `r` is what making it has brought. */
static void wait_for(struct km_requests *requests, struct evhttp_request *request, int r,
	struct km_answer *answer)
{
	struct km_request *waiting = r < 0 ? NULL : malloc(sizeof *waiting);

	if (r == -EINVAL) {
		reply_text(request, HTTP_BADREQUEST, "Bad Request",
			"ask for /topics.json?after=ID&n=COUNT, ?ids=ID,ID..., or "
			"/topic.json?name=NAME; at most 1000 topics, at most 32 ids\n");
		return;
	}
	if (r == -ENOENT) {
		reply_text(request, HTTP_NOTFOUND, "Not Found",
			"no such topic; /topics.json lists them\n");
		return;
	}
	if (!waiting) {
		if (r == 0)
			km_answer_free(answer);
		reply_no_memory(request);
		return;
	}
	*waiting = (struct km_request){
		.requests = requests, .request = request, .answer = answer
	};
	TAILQ_INSERT_TAIL(&requests->waiting, waiting, next);
	km_answer_begin(answer, on_answer, waiting);
}

static void serve_metrics(struct km_requests *requests, struct evhttp_request *request)
{
	const char *accepts = evhttp_find_header(
		evhttp_request_get_input_headers(request), "Accept");
	struct km_answer *answer = NULL;
	int r = km_scrape_new(requests->broker, requests->pulse,
		accepts && strstr(accepts, "application/openmetrics-text"), &answer);

	wait_for(requests, request, r, answer);
}

static void serve_status(struct km_requests *requests, struct evhttp_request *request)
{
	struct km_answer *answer = NULL;
	int r = km_json_status(requests->broker, requests->pulse, &answer);

	wait_for(requests, request, r, answer);
}

/* Serves what has a query. */
static void serve_asked(struct km_requests *requests, struct evhttp_request *request,
	int (*make)(
		struct km_broker *broker, const struct evkeyvalq *query, struct km_answer **ret))
{
	const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
	struct km_answer *answer = NULL;
	struct evkeyvalq query;
	int r = -EINVAL;

	TAILQ_INIT(&query);
	if (!text || evhttp_parse_query_str(text, &query) == 0)
		r = make(requests->broker, &query, &answer);
	evhttp_clear_headers(&query);
	wait_for(requests, request, r, answer);
}

static void serve_topics(struct km_requests *requests, struct evhttp_request *request)
{
	serve_asked(requests, request, km_json_topics);
}

static void serve_topic(struct km_requests *requests, struct evhttp_request *request)
{
	serve_asked(requests, request, km_json_topic);
}

static void serve_browser(struct km_requests *requests, struct evhttp_request *request)
{
	struct evbuffer *body = evbuffer_new();

	if (body && evbuffer_add_reference(body, km_browser_page, km_browser_size, NULL, NULL) == 0)
		reply(request, HTTP_OK, "OK", "text/html; charset=utf-8", km_browser_policy, body);
	else
		reply_no_memory(request);
	if (body)
		evbuffer_free(body);
}

static void serve_health(struct km_requests *requests, struct evhttp_request *request)
{
	reply_text(request, HTTP_OK, "OK", "ok\n");
}

/* Ready is a broker that would take one more client. */
static void serve_ready(struct km_requests *requests, struct evhttp_request *request)
{
	const struct km_broker *broker = requests->broker;

	if (broker->accounts.used[KM_CLIENTS] < broker->config->total[KM_CLIENTS].value)
		reply_text(request, HTTP_OK, "OK", "ready\n");
	else
		reply_text(request, HTTP_SERVUNAVAIL, "Unavailable",
			"not ready: as many clients are connected as may be\n");
}

static const struct {
	const char *path;
	void (*serve)(struct km_requests *requests, struct evhttp_request *request);
} served[] = {
	{ "/", serve_browser },
	{ "/metrics", serve_metrics },
	{ "/healthz", serve_health },
	{ "/readyz", serve_ready },
	{ "/status.json", serve_status },
	{ "/topics.json", serve_topics },
	{ "/topic.json", serve_topic },
};

/* Is the Host an address, or localhost? A page of a browser can have a name of its own lead to
 * this machine, but not these. */
static bool is_local_host(struct evhttp_request *request)
{
	const char *host = evhttp_request_get_host(request);
	struct in_addr four;

	return !host || *host == '[' || strcmp(host, "localhost") == 0 ||
	       inet_pton(AF_INET, host, &four) == 1;
}

void km_requests_init(
	struct km_requests *requests, struct km_broker *broker, const struct km_pulse *pulse)
{
	requests->broker = broker;
	requests->pulse = pulse;
	TAILQ_INIT(&requests->waiting);
}

void km_requests_drop(struct km_requests *requests)
{
	struct km_request *waiting;

	while ((waiting = TAILQ_FIRST(&requests->waiting)))
		drop(waiting);
}

void km_requests_serve(struct km_requests *requests, struct evhttp_request *request, bool anywhere)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;

	if (evhttp_request_get_command(request) != EVHTTP_REQ_GET) {
		evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET");
		reply_text(request, HTTP_BADMETHOD, "Method Not Allowed", "only GET is served\n");
		return;
	}
	if (!anywhere && !is_local_host(request)) {
		reply_text(request, 403, "Forbidden",
			"the request's Host has to be an address or localhost\n");
		return;
	}
	for (size_t i = 0; path && i < sizeof served / sizeof served[0]; i++)
		if (strcmp(path, served[i].path) == 0) {
			served[i].serve(requests, request);
			return;
		}
	reply_text(request, HTTP_NOTFOUND, "Not Found",
		"there are /, /metrics, /healthz, /readyz, /status.json, /topics.json and "
		"/topic.json\n");
}
