/* SPDX-License-Identifier: MIT */
/*
 * The metrics over HTTP. libmicrohttpd has an epoll of its own, which the main thread's loop
 * watches; it gets the processor when that is ready or when a timeout of its is over.
 */
#include "daemon/metrics/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/metrics/exposition.h"
#include "daemon/metrics/metrics.h"
#include "daemon/server_state.h"
#include "os/listen.h"
#include "os/log.h"

/* Clients at one time: a few Prometheus servers and somebody with a browser. Others wait. */
#define CONNECTIONS_MAX 16

/* Bytes of a connection, for a request's line and headers. */
#define CONNECTION_MEMORY 16384

/* Seconds without a byte in either direction after which a connection is closed. */
#define CONNECTION_TIMEOUT 10

/* Descriptors of libmicrohttpd's own: its epoll, and one to spare. */
#define DESCRIPTORS_FIXED 2

/* Connections that wait while CONNECTIONS_MAX are there. */
#define BACKLOG 64

struct metrics_http {
	struct server *server;
	int listening; /* until the daemon has it; then -1 */
	struct MHD_Daemon *daemon;
	struct loop_source source;
	struct timer timer;
	struct loop_task again;
};

bool metrics_http_supported(void)
{
	return true;
}

/* Takes over a text of malloc's, or keeps one that is there for ever. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, char *text,
			      enum MHD_ResponseMemoryMode memory, const char *content_type)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, memory);
	enum MHD_Result result;

	if (response == NULL) {
		if (memory == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_line(struct MHD_Connection *connection, unsigned status,
				   const char *line)
{
	/* It is only read. */
	return answer(connection, status, (char *)(uintptr_t)line, MHD_RESPMEM_PERSISTENT,
		      "text/plain; charset=utf-8");
}

static enum MHD_Result answer_metrics(struct MHD_Connection *connection,
				      const struct server *server)
{
	char *text = metrics_text(server);

	if (text == NULL)
		return answer_line(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory\n");
	return answer(connection, MHD_HTTP_OK, text, MHD_RESPMEM_MUST_FREE,
		      EXPOSITION_CONTENT_TYPE);
}

/* A request's headers are there; then pieces of its body, if it has one; then it is whole. */
static enum MHD_Result request(void *user_data, struct MHD_Connection *connection, const char *url,
			       const char *method, const char *version, const char *body,
			       size_t *body_length, void **seen)
{
	const struct metrics_http *http = user_data;

	(void)version;
	(void)body;
	/* Before the body is there: the connection ends with the answer. */
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
				   "only GET and HEAD are answered here\n");
	if (*seen == NULL || *body_length > 0) {
		*seen = user_data;
		*body_length = 0;
		return MHD_YES;
	}
	if (strcmp(url, "/metrics") == 0)
		return answer_metrics(connection, http->server);
	if (strcmp(url, "/") == 0)
		return answer_line(connection, MHD_HTTP_OK,
				   "mmproxy: the metrics are at /metrics\n");
	return answer_line(connection, MHD_HTTP_NOT_FOUND,
			   "nothing is here; the metrics are at /metrics\n");
}

static unsigned count_connections(const struct metrics_http *http)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info != NULL ? info->num_connections : 0;
}

static void run(struct metrics_http *http)
{
	unsigned connections = count_connections(http);
	struct loop *loop = &http->server->loop;
	MHD_UNSIGNED_LONG_LONG wait;
	bool timed;

	MHD_run(http->daemon);
	timed = MHD_get_timeout(http->daemon, &wait) == MHD_YES;
	timer_drop(&http->timer);
	/*
	 * While it has all the connections that it may, it does not watch the listening socket, and
	 * it does not notice until it is called again that it has fewer now.
	 */
	if (count_connections(http) < connections || (timed && wait == 0))
		loop_defer(loop, &http->again);
	else if (timed)
		loop_timer_set(loop, &http->timer, wait);
}

static void daemon_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	run(container_of(source, struct metrics_http, source));
}

static void timer_expired(struct timer *timer)
{
	run(container_of(timer, struct metrics_http, timer));
}

static void again_run(struct loop_task *task)
{
	run(container_of(task, struct metrics_http, again));
}

static int cannot_listen(const struct config *config, const char *step, int error)
{
	log_error("metrics", "cannot listen",
		  config->metrics_where != NULL ? LOG_TEXT("where", config->metrics_where)
						: LOG_NOTHING,
		  LOG_ADDRESS("listen", &config->metrics_listen), LOG_TEXT("step", step),
		  LOG_ERRNO("error", error),
		  error == -EACCES && config->metrics_listen.port < 1024
			  ? LOG_TEXT("hint", "a port below 1024 needs a start as root")
			  : LOG_NOTHING);
	return -1;
}

int metrics_http_listen(struct server *server)
{
	const struct config *config = &server->generation->config;
	const struct listen_endpoint endpoint = {.address = config->metrics_listen};
	const struct listen_options options = {.backlog = BACKLOG};
	struct metrics_http *http;
	const char *step;

	if (config->metrics_listen.family == ADDRESS_NONE)
		return 0;
	http = calloc(1, sizeof(*http));
	if (http == NULL) {
		log_error("metrics", "cannot listen",
			  LOG_ADDRESS("listen", &config->metrics_listen),
			  LOG_TEXT("step", "calloc"), LOG_ERRNO("error", -ENOMEM));
		return -1;
	}
	server->metrics_http = http;
	http->server = server;
	http->source.ready = daemon_ready;
	timer_init(&http->timer, timer_expired);
	loop_task_init(&http->again, again_run);
	http->listening = listen_open_tcp(&endpoint, &options, LISTEN_ALONE, &step);
	return http->listening >= 0 ? 0 : cannot_listen(config, step, http->listening);
}

/* Returns its epoll, or -1. */
static int start_daemon(struct metrics_http *http)
{
	const union MHD_DaemonInfo *info;

	http->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, request, http, MHD_OPTION_LISTEN_SOCKET,
		(MHD_socket)http->listening, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT, MHD_OPTION_END);
	/* Its to close, started or not. */
	http->listening = -1;
	if (http->daemon == NULL)
		return -1;
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	return info != NULL ? info->epoll_fd : -1;
}

int metrics_http_start(struct server *server)
{
	const struct config *config = &server->generation->config;
	struct metrics_http *http = server->metrics_http;
	int epoll, error;

	if (http == NULL)
		return 0;
	errno = 0;
	epoll = start_daemon(http);
	if (epoll < 0)
		return cannot_listen(config, "libmicrohttpd", errno != 0 ? -errno : -EIO);
	error = loop_watch(&server->loop, epoll, EPOLLIN, &http->source);
	if (error < 0)
		return cannot_listen(config, "epoll_ctl", error);
	log_info("metrics", "listening", LOG_ADDRESS("listen", &config->metrics_listen));
	return 0;
}

unsigned metrics_http_descriptors(const struct server *server)
{
	return server->metrics_http != NULL ? CONNECTIONS_MAX + DESCRIPTORS_FIXED : 0;
}

void metrics_http_stop(struct server *server)
{
	struct metrics_http *http = server->metrics_http;

	if (http == NULL)
		return;
	server->metrics_http = NULL;
	timer_drop(&http->timer);
	loop_task_drop(&http->again);
	if (http->daemon != NULL)
		MHD_stop_daemon(http->daemon);
	if (http->listening >= 0)
		close(http->listening);
	free(http);
}
