/* SPDX-License-Identifier: MIT */
/* All that ABI 1.0 has. Compiled against its frozen header and against the current one, as the
 * table that LAYOUT names. */
#include "layout.h"

#include <mmproxy/plugin.h>

#define CONSTANT(name)                                                                             \
	{                                                                                          \
#name, name, 0                                                                     \
	}
#define MEMBER(type, member)                                                                       \
	{                                                                                          \
#type "." #member, offsetof(struct type, member),                                  \
			sizeof(((struct type *)NULL)->member)                                      \
	}

const struct layout_entry LAYOUT[] = {
	CONSTANT(MMPROXY_ABI_MAJOR),
	CONSTANT(MMPROXY_PROTOCOL_TCP),
	CONSTANT(MMPROXY_PROTOCOL_UDP),
	CONSTANT(MMPROXY_HEADER_V1),
	CONSTANT(MMPROXY_HEADER_V2),
	CONSTANT(MMPROXY_HEADER_SPP),
	CONSTANT(MMPROXY_CONN_LOCAL),
	CONSTANT(MMPROXY_END_CONNECTED),
	CONSTANT(MMPROXY_END_ADOPTED),
	CONSTANT(MMPROXY_PASS),
	CONSTANT(MMPROXY_DENY),
	CONSTANT(MMPROXY_RESET),
	CONSTANT(MMPROXY_PENDING),
	CONSTANT(MMPROXY_LOG_ERROR),
	CONSTANT(MMPROXY_LOG_WARNING),
	CONSTANT(MMPROXY_LOG_INFO),
	CONSTANT(MMPROXY_LOG_DEBUG),
	{"mmproxy_ticket", 0, sizeof(mmproxy_ticket)},

	{"mmproxy_address", 0, sizeof(struct mmproxy_address)},
	MEMBER(mmproxy_address, family),
	MEMBER(mmproxy_address, port),
	MEMBER(mmproxy_address, ip),

	MEMBER(mmproxy_conn, size),
	MEMBER(mmproxy_conn, flags),
	MEMBER(mmproxy_conn, id),
	MEMBER(mmproxy_conn, started),
	MEMBER(mmproxy_conn, now),
	MEMBER(mmproxy_conn, protocol),
	MEMBER(mmproxy_conn, header),
	MEMBER(mmproxy_conn, worker),
	MEMBER(mmproxy_conn, listener),
	MEMBER(mmproxy_conn, client),
	MEMBER(mmproxy_conn, destination),
	MEMBER(mmproxy_conn, balancer),
	MEMBER(mmproxy_conn, upstream),
	MEMBER(mmproxy_conn, slot),

	MEMBER(mmproxy_end, size),
	MEMBER(mmproxy_end, flags),
	MEMBER(mmproxy_end, code),
	MEMBER(mmproxy_end, error),
	MEMBER(mmproxy_end, reason),
	MEMBER(mmproxy_end, plugin),
	MEMBER(mmproxy_end, why),
	MEMBER(mmproxy_end, duration),
	MEMBER(mmproxy_end, bytes_from_client),
	MEMBER(mmproxy_end, bytes_from_upstream),
	MEMBER(mmproxy_end, datagrams_from_client),
	MEMBER(mmproxy_end, datagrams_from_upstream),
	MEMBER(mmproxy_end, upstream_sees),

	MEMBER(mmproxy_host, size),
	MEMBER(mmproxy_host, abi_major),
	MEMBER(mmproxy_host, abi_minor),
	MEMBER(mmproxy_host, version),
	MEMBER(mmproxy_host, workers),
	MEMBER(mmproxy_host, reserved),
	MEMBER(mmproxy_host, log),
	MEMBER(mmproxy_host, counter),
	MEMBER(mmproxy_host, count),
	MEMBER(mmproxy_host, config_text),
	MEMBER(mmproxy_host, config_int),
	MEMBER(mmproxy_host, config_float),
	MEMBER(mmproxy_host, config_bool),
	MEMBER(mmproxy_host, config_count),
	MEMBER(mmproxy_host, config_item),
	MEMBER(mmproxy_host, config_group),
	MEMBER(mmproxy_host, config_path),
	MEMBER(mmproxy_host, config_mistake),
	MEMBER(mmproxy_host, config_warning),
	MEMBER(mmproxy_host, tlv),
	MEMBER(mmproxy_host, tlv_at),
	MEMBER(mmproxy_host, explain),
	MEMBER(mmproxy_host, defer),
	MEMBER(mmproxy_host, complete),

	MEMBER(mmproxy_plugin, size),
	MEMBER(mmproxy_plugin, abi_major),
	MEMBER(mmproxy_plugin, abi_minor),
	MEMBER(mmproxy_plugin, name),
	MEMBER(mmproxy_plugin, version),
	MEMBER(mmproxy_plugin, flags),
	MEMBER(mmproxy_plugin, check),
	MEMBER(mmproxy_plugin, open),
	MEMBER(mmproxy_plugin, close),
	MEMBER(mmproxy_plugin, worker_start),
	MEMBER(mmproxy_plugin, worker_stop),
	MEMBER(mmproxy_plugin, filter),
	MEMBER(mmproxy_plugin, cancel),
	MEMBER(mmproxy_plugin, connected),
	MEMBER(mmproxy_plugin, closed),
	{NULL, 0, 0},
};
