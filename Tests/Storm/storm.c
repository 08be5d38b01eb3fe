/* storm TARGET CORPUS [OPTION]...: mutated conversations, as many as there is time for, with whoever listens at TARGET, a
 * path or ADDRESS:PORT. A conversation is one or several files of CORPUS, each most often spoilt in some places, sent at once or in
 * pieces; then its author waits for an answer for a moment, or goes at once, by FIN or by RST. Prints one JSON object.
 *
 * It is one thread with one epoll set, and the same numbers in, the same bytes out: --seed. */
#include "storm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONVERSATION = 96 * 1024, MOST_CONNECTIONS = 4096, PATIENCE_MS = 60 };

struct speaker {
    int descriptor;
    size_t length, sent, heard;
    uint64_t deadline;
    bool is_connected, waits, resets;
    char bytes[CONVERSATION];
};

static struct sockaddr_storage target;
static socklen_t target_length;
static struct {
    long requests, connections;
    double seconds;
    int per_conversation;
    uint64_t seed;
    long uid, gid;
} options = {.requests = 1000, .connections = 32, .seconds = 3600, .per_conversation = 1, .seed = 1, .uid = -1, .gid = -1};
static struct {
    long requests, conversations, statuses[6], unheard, refused;
} counts;

_Noreturn void die(const char *what) {
    fprintf(stderr, "storm: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void read_target(const char *text) {
    const char *colon = strrchr(text, ':');
    if (*text == '/') {
        struct sockaddr_un *address = (struct sockaddr_un *)&target;
        address->sun_family = AF_UNIX;
        if (strlen(text) >= sizeof address->sun_path) errno = ENAMETOOLONG, die(text);
        strcpy(address->sun_path, text);
        target_length = sizeof *address;
        return;
    }
    struct sockaddr_in *address = (struct sockaddr_in *)&target;
    char host[64] = "";
    address->sin_family = AF_INET;
    if (colon && (size_t)(colon - text) < sizeof host) memcpy(host, text, (size_t)(colon - text));
    if (!colon || inet_pton(AF_INET, host, &address->sin_addr) != 1) errno = EINVAL, die(text);
    address->sin_port = htons((uint16_t)atoi(colon + 1));
    target_length = sizeof *address;
}

static void begin(int set, struct speaker *speaker) {
    static unsigned number;
    static const int one = 1;
    int client = socket(target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client < 0) die("socket");
    if (target.ss_family == AF_INET) {
        /* From many addresses, so that no port is waited for. */
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f020001 + number++ % 250)};
        setsockopt(client, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(client, (struct sockaddr *)&from, sizeof from)) die("bind");
    }
    speaker->descriptor = client;
    speaker->sent = speaker->heard = speaker->length = 0;
    speaker->is_connected = false;
    int many = options.per_conversation > 1 ? 1 + (int)chance((uint64_t)options.per_conversation) : 1;
    for (int i = 0; i < many; i++)
        speaker->length += mutated(speaker->bytes + speaker->length, CONVERSATION - speaker->length);
    counts.requests += many;
    counts.conversations++;
    speaker->waits = chance(4) > 0;
    speaker->resets = chance(8) > 0;
    speaker->deadline = now() + (uint64_t)PATIENCE_MS * 1000000;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = speaker};
    if (connect(client, (struct sockaddr *)&target, target_length) && errno != EINPROGRESS) {
        /* A Unix socket's queue is full: there is no waiting for that. */
        if (errno != EAGAIN && errno != ECONNREFUSED) die("connect");
        close(client);
        speaker->descriptor = -1;
        counts.refused++;
        counts.requests -= many;
        return;
    }
    if (epoll_ctl(set, EPOLL_CTL_ADD, client, &event)) die("epoll_ctl");
}

static void end(struct speaker *speaker) {
    if (speaker->resets) {
        struct linger linger = {.l_onoff = 1};
        setsockopt(speaker->descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    if (speaker->heard == 0) counts.unheard++;
    close(speaker->descriptor);
    speaker->descriptor = -1;
}

/* Counts the status lines that begin a piece of what was heard: of several in one piece the first. */
static void listen_to(struct speaker *speaker, const char *bytes, size_t length) {
    if (length > 12 && !memcmp(bytes, "HTTP/1.", 7) && bytes[9] >= '1' && bytes[9] <= '5') counts.statuses[bytes[9] - '0']++;
    else if (speaker->heard == 0) counts.statuses[0]++;
    speaker->heard += length;
}

/* False: the conversation is over. */
static bool go_on(int set, struct speaker *speaker, uint32_t events) {
    static char buffer[1 << 17];
    if (events & (EPOLLERR | EPOLLHUP)) return false;
    if (events & EPOLLOUT && speaker->sent < speaker->length) {
        size_t piece = speaker->length - speaker->sent;
        if (chance(8) == 0) piece = 1 + chance(piece);
        ssize_t sent = send(speaker->descriptor, speaker->bytes + speaker->sent, piece, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN;
        speaker->sent += (size_t)sent;
        if (speaker->sent == speaker->length) {
            if (!speaker->waits) return false;
            if (chance(8) == 0) shutdown(speaker->descriptor, SHUT_WR);
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = speaker};
            if (epoll_ctl(set, EPOLL_CTL_MOD, speaker->descriptor, &event)) die("epoll_ctl");
        }
    }
    if (events & EPOLLIN) {
        ssize_t received = recv(speaker->descriptor, buffer, sizeof buffer, 0);
        if (received < 0) return errno == EAGAIN;
        if (received == 0) return false;
        listen_to(speaker, buffer, (size_t)received);
        /* Who has its answer mostly goes; some wait for what else may come. */
        if (speaker->sent == speaker->length && chance(4) > 0) return false;
    }
    return true;
}

static void blow(void) {
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct speaker *speakers = calloc((size_t)options.connections, sizeof *speakers);
    if (set < 0 || !speakers) die("epoll_create1");
    for (long i = 0; i < options.connections; i++) speakers[i].descriptor = -1;
    uint64_t begun = now(), last = begun + (uint64_t)(options.seconds * 1e9);
    for (;;) {
        uint64_t time = now();
        bool is_over = counts.requests >= options.requests || time >= last;
        long open = 0;
        for (long i = 0; i < options.connections; i++) {
            struct speaker *speaker = &speakers[i];
            if (speaker->descriptor >= 0 && time >= speaker->deadline) end(speaker);
            if (speaker->descriptor < 0 && !is_over) begin(set, speaker);
            open += speaker->descriptor >= 0;
        }
        if (is_over && !open) break;
        struct epoll_event events[256];
        int count = epoll_wait(set, events, 256, 10);
        for (int i = 0; i < count; i++) {
            struct speaker *speaker = events[i].data.ptr;
            if (!go_on(set, speaker, events[i].events)) end(speaker);
        }
    }
    printf("{\"requests\":%ld,\"conversations\":%ld,\"seconds\":%.3f,\"unheard\":%ld,\"refused\":%ld,\"other\":%ld,\"1xx\":%ld,"
           "\"2xx\":%ld,\"3xx\":%ld,\"4xx\":%ld,\"5xx\":%ld}\n",
           counts.requests, counts.conversations, (double)(now() - begun) / 1e9, counts.unheard, counts.refused,
           counts.statuses[0], counts.statuses[1], counts.statuses[2], counts.statuses[3], counts.statuses[4],
           counts.statuses[5]);
}

int main(int count, char **arguments) {
    static const struct option names[] = {
        {"requests", 1, 0, 'n'}, {"connections", 1, 0, 'c'}, {"seconds", 1, 0, 's'}, {"most", 1, 0, 'm'},
        {"seed", 1, 0, 'r'},     {"uid", 1, 0, 'u'},         {"gid", 1, 0, 'g'},     {"skip", 1, 0, 'x'},
        {"plain", 0, 0, 'p'},    {0},
    };
    for (int option; (option = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        switch (option) {
        case 'n': options.requests = atol(optarg); break;
        case 'c': options.connections = atol(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'm': options.per_conversation = atoi(optarg); break;
        case 'r': options.seed = strtoull(optarg, NULL, 10); break;
        case 'u': options.uid = atol(optarg); break;
        case 'g': options.gid = atol(optarg); break;
        case 'x': skip(optarg); break;
        case 'p': has_plain_files(); break;
        default: count = 0;
        }
    }
    if (count - optind != 2 || options.connections < 1 || options.connections > MOST_CONNECTIONS) {
        fputs("usage: storm PATH|ADDRESS:PORT CORPUS [--requests N] [--connections N] [--seconds S] [--most N] [--seed N]\n"
              "             [--uid N] [--gid N] [--skip NAME]... [--plain]\n"
              "  --most N    requests in a conversation, at most\n"
              "  --skip NAME a file of the corpus whose name begins so is left out\n"
              "  --plain     the files are what is sent; else their first byte is not\n",
              stderr);
        return 2;
    }
    read_target(arguments[optind]);
    read_corpus(arguments[optind + 1], options.seed);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit descriptors;
    if (!getrlimit(RLIMIT_NOFILE, &descriptors)) {
        descriptors.rlim_cur = descriptors.rlim_max;
        setrlimit(RLIMIT_NOFILE, &descriptors);
    }
    if (options.gid >= 0 && (setgroups(0, NULL) || setgid((gid_t)options.gid))) die("setgid");
    if (options.uid >= 0 && setuid((uid_t)options.uid)) die("setuid");
    blow();
    return 0;
}
