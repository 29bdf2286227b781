/* The least a program can do with diverted packets: take each and put it back. */
#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

int
main(int argc, char **argv)
{
	static char packet[65536];
	struct sockaddr_in name;
	struct pollfd ready;
	socklen_t size;
	ssize_t length;
	int s;

	if ((s = socket(PF_DIVERT, SOCK_RAW, 0)) == -1)
		err(1, "socket");
	memset(&name, 0, sizeof(name));
	name.sin_len = sizeof(name);
	name.sin_family = AF_INET;
	name.sin_port = htons(argc > 1 ? atoi(argv[1]) : 8668);
	if (bind(s, (struct sockaddr *)&name, sizeof(name)) == -1)
		err(1, "bind");
	ready.fd = s;
	ready.events = POLLIN;
	while (poll(&ready, 1, -1) != -1) {
		size = sizeof(name);
		length = recvfrom(s, packet, sizeof(packet), MSG_DONTWAIT, (struct sockaddr *)&name, &size);
		if (length != -1)
			sendto(s, packet, length, 0, (struct sockaddr *)&name, sizeof(name));
	}
	err(1, "poll");
}
