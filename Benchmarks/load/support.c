/* Clock, sockets, and the conversation with whoever measures. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const int one = 1;

void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

double cpu_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

uint64_t ns(double seconds) { return (uint64_t)(seconds * 1e9); }

int poller(void) {
    int descriptor = epoll_create1(EPOLL_CLOEXEC);
    if (descriptor < 0) die("epoll_create1");
    return descriptor;
}

void watch(int poller, int operation, int descriptor, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    if (epoll_ctl(poller, operation, descriptor, &event)) die("epoll_ctl");
}

int until(uint64_t end) {
    uint64_t time = now();
    return time >= end ? 0 : (int)((end - time + 999999) / 1000000);
}

void listen_and_tell(const struct options *options, int *descriptors, int poller) {
    printf("{\"ports\":[");
    for (int i = 0; i < options->listeners; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof address;
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (listener < 0) die("socket");
        if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)) die("listen");
        if (getsockname(listener, (struct sockaddr *)&address, &length)) die("getsockname");
        printf("%s%d", i ? "," : "", ntohs(address.sin_port));
        descriptors[i] = listener;
        watch(poller, EPOLL_CTL_ADD, listener, EPOLLIN, (uint64_t)listener);
    }
    watch(poller, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, STDIN_FILENO);
    printf("]}\n");
    fflush(stdout);
}

int client_socket(const struct options *options, unsigned number, int flags) {
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (client < 0) die("socket");
    unsigned source = number % (unsigned)options->sources;
    /* 127.1.0.1 and on, without the addresses that end in 0 or 255. The port is chosen at connect, when the kernel
     * knows the target too: so many more are free. */
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(0x7f010000 + (source / 254 << 8) + source % 254 + 1)};
    if (setsockopt(client, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one)) die("IP_BIND_ADDRESS_NO_PORT");
    if (bind(client, (struct sockaddr *)&address, sizeof address)) die("bind");
    if (setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one)) die("TCP_NODELAY");
    return client;
}

const struct sockaddr_in *target(const struct options *options, unsigned number) {
    return &options->to[number % (unsigned)options->targets];
}

int client_connection(const struct options *options, unsigned number, bool proved) {
    int client = client_socket(options, number, 0);
    struct timeval patience = {.tv_sec = 5};
    if (setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience)) die("SO_RCVTIMEO");
    if (connect(client, (const struct sockaddr *)target(options, number), sizeof(struct sockaddr_in))) die("connect");
    if (proved) {
        char byte = 'x';
        errno = 0;
        if (send(client, &byte, 1, MSG_NOSIGNAL) != 1 || recv(client, &byte, 1, 0) != 1) die("no echo");
    }
    if (fcntl(client, F_SETFL, O_NONBLOCK)) die("O_NONBLOCK");
    return client;
}

void wait_for_go(const struct options *options) {
    char line[16];
    if (!options->wait) return;
    printf("ready\n");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(1);
}

bool input_ended(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char rest[64];
    return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, rest, sizeof rest) <= 0;
}
