/* Bulk: whoever sends does it by sendfile(2) from a memfd, whoever receives discards by MSG_TRUNC. Neither copies a byte,
 * so that the generator is not what is measured. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is sent again and again; what a sink takes at once at most. */
enum { SOURCE_SIZE = 4 << 20, GULP = 1 << 20 };

static int source_file(void) {
    int file = memfd_create("bulk", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, SOURCE_SIZE)) die("memfd");
    void *bytes = mmap(NULL, SOURCE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED) die("mmap");
    memset(bytes, 7, SOURCE_SIZE);
    munmap(bytes, SOURCE_SIZE);
    return file;
}

/* One end of a connection does one of these each time that it is ready. Both return bytes, -1 where there is nothing to do
 * after all, 0 where the other side has gone. */
static ssize_t fill(int peer, int file, off_t *offset) {
    if (*offset >= SOURCE_SIZE) *offset = 0;
    ssize_t sent = sendfile(peer, file, offset, (size_t)(SOURCE_SIZE - *offset));
    if (sent < 0) return errno == EAGAIN ? -1 : 0;
    return sent;
}

static ssize_t discard(int peer) {
    /* With MSG_TRUNC a TCP socket copies nothing, see tcp(7). */
    ssize_t received = recv(peer, NULL, GULP, MSG_TRUNC);
    if (received < 0) return errno == EAGAIN ? -1 : 0;
    return received;
}

void bulk_server(const struct options *options) {
    int listeners[MAX_PORTS], set = poller(), file = source_file();
    bool sends = !options->upstream;
    enum { PEERS = 4096 };
    static off_t offsets[PEERS];
    listen_and_tell(options, listeners, set);
    for (uint64_t end = now() + ns(options->limit); now() < end;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(set, events, EVENTS, until(end));
        for (int i = 0; i < count; i++) {
            int ready = (int)events[i].data.u64;
            if (ready == STDIN_FILENO) {
                if (input_ended()) return;
            } else if (ready >= listeners[0] && ready <= listeners[options->listeners - 1]) {
                int peer = accept4(ready, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (peer < 0) continue;
                if (peer >= PEERS) {
                    close(peer);
                    continue;
                }
                offsets[peer] = 0;
                watch(set, EPOLL_CTL_ADD, peer, sends ? EPOLLOUT | EPOLLRDHUP : EPOLLIN, (uint64_t)peer);
            } else {
                bool gone = sends ? (events[i].events & EPOLLRDHUP) || fill(ready, file, &offsets[ready]) == 0
                                  : discard(ready) == 0;
                if (gone) close(ready);
            }
        }
    }
}

void bulk_client(const struct options *options) {
    int set = poller(), file = source_file(), *peers = calloc((size_t)options->connections, sizeof *peers);
    off_t *offsets = calloc((size_t)options->connections, sizeof *offsets);
    uint64_t *bytes = calloc((size_t)options->connections, sizeof *bytes);
    if (!peers || !offsets || !bytes) die("calloc");
    for (int i = 0; i < options->connections; i++) {
        peers[i] = client_connection(options, (unsigned)i, false);
        watch(set, EPOLL_CTL_ADD, peers[i], options->upstream ? EPOLLOUT : EPOLLIN, (uint64_t)i);
    }
    uint64_t begun = 0, ended = 0;
    double cpu = 0;
    for (int phase = 0; phase < 2; phase++) {
        memset(bytes, 0, (size_t)options->connections * sizeof *bytes);
        cpu = cpu_seconds();
        begun = now();
        for (uint64_t end = begun + ns(phase == 0 ? options->warmup : options->seconds); (ended = now()) < end;) {
            struct epoll_event events[EVENTS];
            int count = epoll_wait(set, events, EVENTS, until(end));
            for (int i = 0; i < count; i++) {
                uint64_t ready = events[i].data.u64;
                ssize_t moved = options->upstream ? fill(peers[ready], file, &offsets[ready]) : discard(peers[ready]);
                if (moved == 0) {
                    fprintf(stderr, "load: connection %d was closed\n", (int)ready);
                    exit(1);
                }
                if (moved > 0) bytes[ready] += (uint64_t)moved;
            }
        }
        /* Between the two nothing moves: all buffers are full, and so they are at the end. */
        if (phase == 0) wait_for_go(options);
    }
    cpu = cpu_seconds() - cpu;
    uint64_t total = 0, least = UINT64_MAX, most = 0;
    for (int i = 0; i < options->connections; i++) {
        total += bytes[i];
        if (bytes[i] < least) least = bytes[i];
        if (bytes[i] > most) most = bytes[i];
    }
    double seconds = (double)(ended - begun) / 1e9;
    printf("{\"bytes\":%lu,\"seconds\":%.6f,\"gbit_per_second\":%.4f,\"least_bytes\":%lu,\"most_bytes\":%lu,"
           "\"cpu_seconds\":%.6f}\n",
           total, seconds, (double)total * 8 / 1e9 / seconds, least, most, cpu);
}
