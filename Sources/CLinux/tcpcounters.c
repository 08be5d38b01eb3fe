/* Apart from clinux.c: the kernel's own struct tcp_info is longer than the C library's, and the two headers cannot be had
 * in one file. */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* As in clinux.h, which brings the C library's header. */
struct limpet_tcp_counters {
    uint64_t received;
    uint64_t acknowledged;
    uint32_t unread;
    uint32_t unacknowledged;
    uint8_t state;
};
int limpet_tcp_counters(int fd, struct limpet_tcp_counters *counters);

struct limpet_tcp_path {
    uint32_t rtt;
    uint32_t rtt_variance;
    uint32_t retransmits;
    uint32_t unread;
    uint32_t unacknowledged;
    uint8_t state;
};
int limpet_tcp_path(int fd, struct limpet_tcp_path *path);

/* The kernel's ABI: what it answers is cut or filled up to the length that is asked for, never arranged anew. */
_Static_assert(offsetof(struct tcp_info, tcpi_bytes_acked) == 120, "tcp_info.tcpi_bytes_acked");
_Static_assert(offsetof(struct tcp_info, tcpi_bytes_received) == 128, "tcp_info.tcpi_bytes_received");

_Static_assert(offsetof(struct tcp_info, tcpi_rtt) == 68 && offsetof(struct tcp_info, tcpi_rttvar) == 72 &&
                   offsetof(struct tcp_info, tcpi_total_retrans) == 100, "tcp_info: the path");

#define NEEDED (offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(uint64_t))

static int ask(int fd, struct tcp_info *info) {
    socklen_t length = NEEDED;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) != 0) return -1;
    if (length >= NEEDED) return 0;
    errno = ENOTSUP;
    return -1;
}

/* Four calls see four moments. Where the first and the last agree on everything that the network can change, nothing
 * has changed between them. */
int limpet_tcp_counters(int fd, struct limpet_tcp_counters *counters) {
    struct tcp_info before, after;
    int unread = 0, unacknowledged = 0;
    if (ask(fd, &before) != 0) return -1;
    for (int tries = 0; tries < 10000; tries++) {
        if (ioctl(fd, SIOCINQ, &unread) != 0 || ioctl(fd, SIOCOUTQ, &unacknowledged) != 0) return -1;
        if (ask(fd, &after) != 0) return -1;
        if (before.tcpi_state == after.tcpi_state && before.tcpi_bytes_received == after.tcpi_bytes_received &&
            before.tcpi_bytes_acked == after.tcpi_bytes_acked) {
            counters->received = after.tcpi_bytes_received;
            counters->acknowledged = after.tcpi_bytes_acked;
            counters->unread = (uint32_t)unread;
            counters->unacknowledged = (uint32_t)unacknowledged;
            counters->state = after.tcpi_state;
            return 0;
        }
        before = after;
    }
    errno = EAGAIN;
    return -1;
}

int limpet_tcp_path(int fd, struct limpet_tcp_path *path) {
    struct tcp_info info;
    int unread = 0, unacknowledged = 0;
    if (ask(fd, &info) != 0 || ioctl(fd, SIOCINQ, &unread) != 0 || ioctl(fd, SIOCOUTQ, &unacknowledged) != 0) return -1;
    path->rtt = info.tcpi_rtt;
    path->rtt_variance = info.tcpi_rttvar;
    path->retransmits = info.tcpi_total_retrans;
    path->unread = (uint32_t)unread;
    path->unacknowledged = (uint32_t)unacknowledged;
    path->state = info.tcpi_state;
    return 0;
}
