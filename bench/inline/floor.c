/*
 * The least an inline program can do: takes packets from an NFQUEUE, one at a time, and accepts each. What it costs
 * is the floor for any other. floor QUEUE
 */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct message {
	struct nlmsghdr header;
	struct nfgenmsg family;
	char attributes[256];
};

static char buffer[0x20000];

static void start(struct message *message, int type, int queue)
{
	memset(message, 0, sizeof *message);
	message->header.nlmsg_type = (NFNL_SUBSYS_QUEUE << 8) | type;
	message->header.nlmsg_flags = NLM_F_REQUEST;
	message->header.nlmsg_len = NLMSG_LENGTH(sizeof message->family);
	message->family.res_id = htons(queue);
}

static void add(struct message *message, int type, const void *value, int length)
{
	struct nlattr *attribute = (struct nlattr *)((char *)message + message->header.nlmsg_len);

	attribute->nla_type = type;
	attribute->nla_len = NLA_HDRLEN + length;
	memcpy((char *)attribute + NLA_HDRLEN, value, length);
	message->header.nlmsg_len += NLA_ALIGN(attribute->nla_len);
}

static void check(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	int queue = argc > 1 ? atoi(argv[1]) : 0;
	int size = 64 << 20;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	struct sockaddr_nl own = { .nl_family = AF_NETLINK };
	struct nfqnl_msg_config_cmd bind_queue = { .command = NFQNL_CFG_CMD_BIND };
	struct nfqnl_msg_config_params whole = { .copy_range = htonl(0xffff), .copy_mode = NFQNL_COPY_PACKET };
	unsigned int length = htonl(8192);
	struct message message;

	check(fd, "socket");
	check(bind(fd, (struct sockaddr *)&own, sizeof own), "bind");
	check(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size), "SO_RCVBUFFORCE");
	start(&message, NFQNL_MSG_CONFIG, queue);
	add(&message, NFQA_CFG_CMD, &bind_queue, sizeof bind_queue);
	add(&message, NFQA_CFG_PARAMS, &whole, sizeof whole);
	add(&message, NFQA_CFG_QUEUE_MAXLEN, &length, sizeof length);
	check(send(fd, &message, message.header.nlmsg_len, 0), "NFQNL_MSG_CONFIG");
	puts("pinholes taken up: none, all accepted");
	fflush(stdout);
	for (;;) {
		ssize_t got = recv(fd, buffer, sizeof buffer, 0);
		struct nlmsghdr *header = (struct nlmsghdr *)buffer;
		struct nlattr *attribute;
		struct nfqnl_msg_verdict_hdr verdict = { .verdict = htonl(NF_ACCEPT) };

		if (got < (ssize_t)NLMSG_LENGTH(sizeof(struct nfgenmsg)))
			continue;
		attribute = (struct nlattr *)((char *)NLMSG_DATA(header) + sizeof(struct nfgenmsg));
		/* The first attribute is NFQA_PACKET_HDR, whose first member is the id. */
		memcpy(&verdict.id, (char *)attribute + NLA_HDRLEN, sizeof verdict.id);
		start(&message, NFQNL_MSG_VERDICT, queue);
		add(&message, NFQA_VERDICT_HDR, &verdict, sizeof verdict);
		send(fd, &message, message.header.nlmsg_len, 0);
	}
}
