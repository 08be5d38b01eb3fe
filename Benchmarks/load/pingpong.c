/* Ping-pong: each connection has one message under way, and sends the next when the whole answer is back. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct peer {
    int descriptor;
    size_t missing; /* bytes of the answer that have not come yet; 0: nothing is under way */
    uint64_t asked;
};

static char question[1 << 16], answer[1 << 16];

static void ask(struct peer *peer, size_t bytes, uint64_t time) {
    peer->asked = time;
    peer->missing = bytes;
    if (send(peer->descriptor, question, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) die("send");
}

struct outcome {
    uint64_t in_time, late; /* messages that came back before the end, and those that were under way at it */
    double seconds;
};

/* Asks on all connections for so long, then waits for the last answers, so that nothing moves when it returns. */
static struct outcome play(int set, struct peer *peers, const struct options *options, double seconds,
                           struct histogram *latencies) {
    struct outcome outcome = {0};
    uint64_t begun = now(), end = begun + ns(seconds), ended = begun;
    int under_way = options->connections;
    for (int i = 0; i < options->connections; i++) ask(&peers[i], options->bytes, now());
    while (under_way > 0) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(set, events, EVENTS, 5000);
        if (count == 0) errno = ETIMEDOUT, die("an answer");
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            ssize_t received = recv(peer->descriptor, answer, sizeof answer, 0);
            if (received < 0 && errno == EAGAIN) continue;
            if (received < 0) die("an answer");
            if (received == 0 || (size_t)received > peer->missing) errno = EPROTO, die("an answer");
            peer->missing -= (size_t)received;
            if (peer->missing > 0) continue;
            uint64_t time = now();
            histogram_add(latencies, time - peer->asked);
            if (time < end) {
                outcome.in_time++;
                ended = time;
                ask(peer, options->bytes, time);
            } else {
                outcome.late++;
                under_way--;
            }
        }
    }
    outcome.seconds = (double)(ended - begun) / 1e9;
    return outcome;
}

void pingpong_client(const struct options *options) {
    int set = poller();
    struct peer *peers = calloc((size_t)options->connections, sizeof *peers);
    struct histogram *latencies = histogram_new();
    if (!peers) die("calloc");
    if (options->bytes < 1 || options->bytes > sizeof question) errno = EINVAL, die("--bytes");
    for (int i = 0; i < options->connections; i++) {
        peers[i].descriptor = client_connection(options, (unsigned)i, true);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
        if (epoll_ctl(set, EPOLL_CTL_ADD, peers[i].descriptor, &event)) die("epoll_ctl");
    }
    play(set, peers, options, options->warmup, latencies);
    wait_for_go(options);
    histogram_clear(latencies);
    double cpu = cpu_seconds();
    struct outcome outcome = play(set, peers, options, options->seconds, latencies);
    printf("{\"messages\":%lu,\"seconds\":%.6f,\"messages_per_second\":%.1f,\"p50_us\":%.3f,\"p99_us\":%.3f,"
           "\"p999_us\":%.3f,\"cpu_seconds\":%.6f}\n",
           outcome.in_time + outcome.late, outcome.seconds,
           outcome.seconds > 0 ? (double)outcome.in_time / outcome.seconds : 0,
           histogram_quantile(latencies, 0.5) / 1e3, histogram_quantile(latencies, 0.99) / 1e3,
           histogram_quantile(latencies, 0.999) / 1e3, cpu_seconds() - cpu);
}
