/*
 * Sends SIP from one network namespace to another through a firewall, and takes the time of every message from
 * just before its send until it is received. Both ends are this process, which never sleeps: what is measured is
 * the way, not the scheduler.
 *
 *   load CLIENT_NS SERVER_NS MODE COUNT PACE FIRST [EXTERNAL]
 *
 * MODE  options   OPTIONS, one way
 *       calls     INVITE with SDP, 200 with SDP, ACK, BYE, 200
 *       setup     the first three; the calls stay
 *       teardown  the last two, for calls that were set up
 * PACE  one       the next begins when the last is done
 *       N         so many begin each second
 *       wN        as fast as it goes with N under way
 * FIRST number of the first call: it makes Call-ID and ports
 * EXTERNAL  what the client announces, and is reached at, where there is NAT between
 *
 * Prints one line of JSON: seconds, messages, lost, and for each kind of message its p50, p99, p99.9 and max in ns.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum kind { OPTIONS, INVITE, ANSWER, ACK, BYE, END, KINDS };

static const char *const names[KINDS] = { "OPTIONS", "INVITE", "200 INVITE", "ACK", "BYE", "200 BYE" };
static const char *const starts[KINDS] = {
	"OPTIONS sip:bob@example.com SIP/2.0", "INVITE sip:bob@example.com SIP/2.0", "SIP/2.0 200 OK",
	"ACK sip:bob@example.com SIP/2.0",     "BYE sip:bob@example.com SIP/2.0",    "SIP/2.0 200 OK",
};
static const char *const methods[KINDS] = { "OPTIONS", "INVITE", "INVITE", "ACK", "BYE", "BYE" };
static const int cseqs[KINDS] = { 1, 1, 1, 1, 2, 2 };
/* Which end sends it: 0 is the client. */
static const int senders[KINDS] = { 0, 0, 1, 0, 0, 1 };
static const char *const addresses[2] = { "10.0.1.10", "10.0.2.10" };

static const char *announced[2] = { "10.0.1.10", "10.0.2.10" };

static int sockets[2];
static struct sockaddr_in ends[2];
static long long *sent[KINDS];
static long long *taken[KINDS];
static int taken_count[KINDS];
static int first;
static int staying;

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void open_end(int end, const char *namespace)
{
	char path[256];
	int fd;
	int size = 16 << 20;

	snprintf(path, sizeof path, "/var/run/netns/%s", namespace);
	fd = open(path, O_RDONLY);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail(path);
	close(fd);
	ends[end] = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(5060) };
	inet_pton(AF_INET, addresses[end], &ends[end].sin_addr);
	sockets[end] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	setsockopt(sockets[end], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	if (bind(sockets[end], (struct sockaddr *)&ends[end], sizeof ends[end]) < 0)
		fail("bind");
}

/* Calls that stay have ports of their own: the same ports would be the same pinholes, and nothing to do. */
static int port_of(int number)
{
	return staying ? 10000 + 2 * (number % 10000) : 30000 + 2 * (number % 17000);
}

static void say(enum kind kind, int call)
{
	char body[512] = "";
	char text[2048];
	int number = first + call;
	int from = senders[kind];
	int size;

	if (kind == INVITE || kind == ANSWER)
		snprintf(body, sizeof body,
			 "v=0\r\no=- %d 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\n"
			 "m=audio %d RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
			 "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n",
			 number, announced[from], announced[from], port_of(number));
	size = snprintf(text, sizeof text,
			"%s\r\nVia: SIP/2.0/UDP 10.0.1.10:5060;branch=z9hG4bK%s%d;rport\r\nMax-Forwards: 70\r\n"
			"From: \"Alice\" <sip:alice@example.com>;tag=a%d\r\nTo: <sip:bob@example.com>%s\r\n"
			"Call-ID: %010d-load@10.0.1.10\r\nCSeq: %d %s\r\nContact: <sip:alice@10.0.1.10:5060>\r\n"
			"Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY\r\nUser-Agent: load\r\n"
			"%sContent-Length: %zu\r\n\r\n%s",
			starts[kind], kind == ACK ? "ack" : methods[kind], number, number,
			kind == OPTIONS || kind == INVITE ? "" : ";tag=b", number, cseqs[kind], methods[kind],
			body[0] ? "Content-Type: application/sdp\r\n" : "", strlen(body), body);
	sent[kind][call] = now();
	if (sendto(sockets[from], text, size, 0, (struct sockaddr *)&ends[!from], sizeof ends[0]) < 0)
		fail("sendto");
}

/* Takes one message at an end. Returns its kind and call, or -1 where none is there. */
static int hear(int end, int *call)
{
	static char text[4096];
	ssize_t size = recv(sockets[end], text, sizeof text - 1, 0);
	long long at = now();
	const char *id, *cseq;
	int kind;

	if (size < 0)
		return -1;
	text[size] = 0;
	id = strstr(text, "Call-ID: ");
	cseq = strstr(text, "CSeq: ");
	if (id == NULL || cseq == NULL)
		return -1;
	*call = atoi(id + 9) - first;
	cseq += 8;
	for (kind = 0; kind < KINDS; kind++)
		if (senders[kind] != end && strncmp(cseq, methods[kind], strlen(methods[kind])) == 0 &&
		    (text[0] == 'S') == (senders[kind] == 1))
			break;
	if (kind == KINDS || *call < 0)
		return -1;
	taken[kind][taken_count[kind]++] = at - sent[kind][*call];
	return kind;
}

static int ascending(const void *a, const void *b)
{
	long long left = *(const long long *)a, right = *(const long long *)b;

	return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
	int count, window, begun = 0, finished = 0, kind, call;
	long long interval = 0, start, heard, end;
	enum kind opening, closing;
	const char *separator = "";
	int messages = 0, per_call;

	if (argc != 7 && argc != 8)
		return 2;
	open_end(0, argv[1]);
	open_end(1, argv[2]);
	if (argc == 8) {
		announced[0] = argv[7];
		inet_pton(AF_INET, announced[0], &ends[0].sin_addr);
	}
	opening = strcmp(argv[3], "options") == 0 ? OPTIONS : strcmp(argv[3], "teardown") == 0 ? BYE : INVITE;
	closing = opening == OPTIONS ? OPTIONS : strcmp(argv[3], "setup") == 0 ? ACK : END;
	staying = opening == BYE || closing == ACK;
	per_call = closing - opening + 1;
	count = atoi(argv[4]);
	window = strcmp(argv[5], "one") == 0 ? 1 : argv[5][0] == 'w' ? atoi(argv[5] + 1) : 1 << 30;
	if (window == 1 << 30)
		interval = 1000000000LL / atoi(argv[5]);
	first = atoi(argv[6]);
	for (kind = 0; kind < KINDS; kind++) {
		sent[kind] = calloc(count, sizeof **sent);
		taken[kind] = calloc(count + 1, sizeof **taken);
	}
	start = heard = now();
	while (finished < count) {
		long long time = now();

		/* What has not come by now will not come. */
		if (time - heard > 2000000000LL && begun == count)
			break;
		if (begun < count && begun - finished < window && time - start >= begun * interval) {
			say(opening, begun++);
			heard = time;
		}
		for (int side = 0; side < 2; side++) {
			kind = hear(side, &call);
			if (kind < 0)
				continue;
			heard = now();
			if (kind == (int)closing)
				finished++;
			else if (kind == ACK)
				continue;
			else if (kind == ANSWER) {
				say(ACK, call);
				if (closing == END)
					say(BYE, call);
			} else
				say(kind + 1, call);
		}
	}
	end = heard;
	for (kind = opening; kind <= (int)closing; kind++)
		messages += taken_count[kind];
	printf("{\"seconds\":%.6f,\"messages\":%d,\"lost\":%d,\"kinds\":{", (end - start) / 1e9, messages,
	       count * per_call - messages);
	for (kind = opening; kind <= (int)closing; kind++) {
		int n = taken_count[kind];

		if (n == 0)
			continue;
		qsort(taken[kind], n, sizeof **taken, ascending);
		printf("%s\"%s\":[%lld,%lld,%lld,%lld]", separator, names[kind], taken[kind][n / 2],
		       taken[kind][(int)(n * 0.99)], taken[kind][(int)(n * 0.999)], taken[kind][n - 1]);
		separator = ",";
	}
	puts("}}");
	return 0;
}
