/* SPDX-License-Identifier: MIT */
#include "routing/nft_table.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "routing/netlink.h"

int nft_table_find(const char *name)
{
	union netlink_request request = {0};
	struct netlink *netlink = netlink_open(NETLINK_NETFILTER);
	struct nlmsghdr *header;
	struct nfgenmsg *payload;
	int error;

	if (netlink == NULL)
		return -errno;
	header = mnl_nlmsg_put_header(request.bytes);
	header->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
	payload = mnl_nlmsg_put_extra_header(header, sizeof(*payload));
	payload->nfgen_family = NFPROTO_INET;
	payload->version = NFNETLINK_V0;
	mnl_attr_put_strz(header, NFTA_TABLE_NAME, name);
	error = netlink_ask(netlink, header, NULL, NULL, NULL);
	netlink_close(netlink);
	return error;
}
