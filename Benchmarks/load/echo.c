/* The backend of everything but bulk: sends back what it receives. One thread for all connections. */
#include "load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void echo_server(const struct options *options) {
    static char bytes[1 << 16];
    static const int one = 1;
    int listeners[MAX_PORTS], set = poller();
    listen_and_tell(options, listeners, set);
    for (uint64_t end = now() + ns(options->limit); now() < end;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(set, events, EVENTS, until(end));
        for (int i = 0; i < count; i++) {
            int ready = (int)events[i].data.u64;
            if (ready == STDIN_FILENO) {
                if (input_ended()) return;
            } else if (ready >= listeners[0] && ready <= listeners[options->listeners - 1]) {
                for (int peer; (peer = accept4(ready, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    watch(set, EPOLL_CTL_ADD, peer, EPOLLIN, (uint64_t)peer);
                }
            } else {
                ssize_t received = recv(ready, bytes, sizeof bytes, 0);
                if (received < 0 && errno == EAGAIN) continue;
                /* One message at a time is under way on a connection: it fits the socket's buffer. */
                if (received <= 0 || send(ready, bytes, (size_t)received, MSG_NOSIGNAL) != received) close(ready);
            }
        }
    }
}
