/* Connect, one byte there and back, close; so many at a time.
 *
 * The client closes first, by FIN, as clients do. What it leaves in TIME_WAIT is spread over many source addresses, each
 * of which has all the ephemeral ports. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct churn {
    const struct options *options;
    int set;
    unsigned begun; /* connections, ever: each takes the next source address and the next target */
    int open;
    uint64_t done, failed;
    struct histogram *times;
};

struct visit {
    int descriptor;
    bool asked;
    uint64_t begun;
};

static void enter(struct churn *churn, struct visit *visit) {
    unsigned number = churn->begun++;
    visit->descriptor = client_socket(churn->options, number, SOCK_NONBLOCK);
    visit->asked = false;
    visit->begun = now();
    const struct sockaddr *to = (const struct sockaddr *)target(churn->options, number);
    if (connect(visit->descriptor, to, sizeof(struct sockaddr_in)) && errno != EINPROGRESS)
        die("connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = visit};
    if (epoll_ctl(churn->set, EPOLL_CTL_ADD, visit->descriptor, &event)) die("epoll_ctl");
    churn->open++;
}

static void leave(struct churn *churn, struct visit *visit, bool echoed) {
    close(visit->descriptor);
    churn->open--;
    if (echoed) {
        churn->done++;
        histogram_add(churn->times, now() - visit->begun);
    } else {
        churn->failed++;
    }
}

/* Whether the visit is over. */
static bool go_on(struct churn *churn, struct visit *visit) {
    char byte = 'x';
    if (!visit->asked) {
        visit->asked = true;
        if (send(visit->descriptor, &byte, 1, MSG_NOSIGNAL) != 1) {
            leave(churn, visit, false);
            return true;
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = visit};
        if (epoll_ctl(churn->set, EPOLL_CTL_MOD, visit->descriptor, &event)) die("epoll_ctl");
        return false;
    }
    ssize_t received = recv(visit->descriptor, &byte, 1, 0);
    if (received < 0 && errno == EAGAIN) return false;
    leave(churn, visit, received == 1);
    return true;
}

/* Begins new visits for so long, then waits for those that are under way. Returns when the last has ended. */
static double visit_for(struct churn *churn, struct visit *visits, double seconds) {
    churn->done = churn->failed = 0;
    histogram_clear(churn->times);
    uint64_t begun = now(), end = begun + ns(seconds);
    for (int i = 0; i < churn->options->connections; i++) enter(churn, &visits[i]);
    while (churn->open > 0) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(churn->set, events, EVENTS, 5000);
        if (count == 0) errno = ETIMEDOUT, die("an echo");
        for (int i = 0; i < count; i++) {
            struct visit *visit = events[i].data.ptr;
            if (go_on(churn, visit) && now() < end) enter(churn, visit);
        }
    }
    return (double)(now() - begun) / 1e9;
}

void churn_client(const struct options *options) {
    struct churn churn = {.options = options, .set = poller(), .times = histogram_new()};
    struct visit *visits = calloc((size_t)options->connections, sizeof *visits);
    if (!visits) die("calloc");
    visit_for(&churn, visits, options->warmup);
    wait_for_go(options);
    double cpu = cpu_seconds();
    double seconds = visit_for(&churn, visits, options->seconds);
    printf("{\"connections\":%lu,\"failed\":%lu,\"seconds\":%.6f,\"connections_per_second\":%.1f,\"p50_us\":%.3f,"
           "\"p99_us\":%.3f,\"cpu_seconds\":%.6f}\n",
           churn.done, churn.failed, seconds, (double)churn.done / seconds, histogram_quantile(churn.times, 0.5) / 1e3,
           histogram_quantile(churn.times, 0.99) / 1e3,
           cpu_seconds() - cpu);
}
