#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "clinux.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>

/* Listening sockets have no peer; everything else that TCP knows has one, TIME_WAIT included. */
#define STATES ((uint32_t)~((1u << LIMPET_TCP_LISTEN) | (1u << LIMPET_TCP_CLOSE)))

static int ask(int fd, int family) {
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } message = {
        .header = {.nlmsg_len = sizeof message, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = STATES},
    };
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t sent;
    do sent = sendto(fd, &message, sizeof message, 0, (struct sockaddr *)&kernel, sizeof kernel);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

/* Hands on what one datagram holds. 1: there are more, 0: that was the last, -1 with errno. */
static int take(const char *bytes, size_t length, limpet_socket_visitor visit, void *context) {
    const struct nlmsghdr *header = (const struct nlmsghdr *)bytes;
    for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
        if (header->nlmsg_type == NLMSG_DONE) return 0;
        if (header->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *error = NLMSG_DATA(header);
            errno = header->nlmsg_len < NLMSG_LENGTH(sizeof *error) || error->error == 0 ? EPROTO : -error->error;
            return -1;
        }
        if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || header->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
            continue;
        const struct inet_diag_msg *found = NLMSG_DATA(header);
        limpet_tcp_socket socket = {
            .family = found->idiag_family,
            .state = found->idiag_state,
            .local_port = ntohs(found->id.idiag_sport),
            .peer_port = ntohs(found->id.idiag_dport),
        };
        memcpy(socket.local, found->id.idiag_src, sizeof socket.local);
        memcpy(socket.peer, found->id.idiag_dst, sizeof socket.peer);
        visit(&socket, context);
    }
    return 1;
}

int limpet_visit_tcp_sockets(int family, limpet_socket_visitor visit, void *context) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0) return -1;
    /* A kernel that does not answer must not keep the thread for ever. */
    struct timeval limit = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    static _Thread_local union {
        struct nlmsghdr header;
        char bytes[32768];
    } buffer;
    int result = ask(fd, family) == 0 ? 1 : -1;
    while (result == 1) {
        ssize_t length = recv(fd, &buffer, sizeof buffer, 0);
        if (length < 0 && errno == EINTR) continue;
        result = length < 0 ? -1 : take(buffer.bytes, (size_t)length, visit, context);
    }
    int error = errno;
    close(fd);
    errno = error;
    return result;
}
