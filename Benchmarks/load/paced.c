/* Ping-pong at a pace: one message at a time, then a pause, over all connections in turn. What is measured is how long somebody
 * waits who does not hurry, while others do. */
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static char message[1 << 16];

static uint64_t ask(int descriptor, size_t bytes) {
    uint64_t asked = now();
    if (send(descriptor, message, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) die("send");
    for (size_t missing = bytes; missing > 0;) {
        struct pollfd answer = {.fd = descriptor, .events = POLLIN};
        if (poll(&answer, 1, 10000) == 0) errno = ETIMEDOUT, die("an answer");
        ssize_t received = recv(descriptor, message, missing, 0);
        if (received < 0 && errno == EAGAIN) continue;
        if (received == 0) errno = ECONNRESET;
        if (received <= 0) die("an answer");
        missing -= (size_t)received;
    }
    return now() - asked;
}

void paced_client(const struct options *options) {
    int *descriptors = calloc((size_t)options->connections, sizeof *descriptors);
    struct histogram *latencies = histogram_new();
    if (!descriptors) die("calloc");
    if (options->bytes > sizeof message) errno = EINVAL, die("--bytes");
    for (int i = 0; i < options->connections; i++) descriptors[i] = client_connection(options, (unsigned)i, true);
    struct timespec pause = {.tv_nsec = (long)(options->pause * 1e9)};
    wait_for_go(options);
    uint64_t begun = now(), end = begun + ns(options->seconds);
    uint64_t longest = 0;
    unsigned long messages = 0;
    while (now() < end && !(options->wait && input_ended())) {
        uint64_t took = ask(descriptors[messages++ % (unsigned long)options->connections], options->bytes);
        histogram_add(latencies, took);
        if (took > longest) longest = took;
        nanosleep(&pause, NULL);
    }
    printf("{\"messages\":%lu,\"seconds\":%.6f,\"p50_us\":%.3f,\"p99_us\":%.3f,\"p999_us\":%.3f,\"max_us\":%.3f}\n", messages,
           (double)(now() - begun) / 1e9, histogram_quantile(latencies, 0.5) / 1e3,
           histogram_quantile(latencies, 0.99) / 1e3, histogram_quantile(latencies, 0.999) / 1e3,
           (double)longest / 1e3);
}
