/* What the Glibc import of Swift lacks: GNU-only prototypes, variadic calls, macros that compute, and libcap.
 *
 * _GNU_SOURCE is not defined here on purpose: in a header it changes the Glibc module that Swift has already built. The
 * GNU-only prototypes are repeated instead; clinux.c defines the macro and checks them against the C library's own. */
#ifndef LIMPET_CLINUX_H
#define LIMPET_CLINUX_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/capability.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#ifndef _GNU_SOURCE
ssize_t splice(int fd_in, off_t *_Nullable off_in, int fd_out, off_t *_Nullable off_out, size_t length, unsigned int flags);
int accept4(int fd, struct sockaddr *_Nullable address, socklen_t *_Nullable length, int flags);
int pipe2(int *_Nonnull ends, int flags);
int memfd_create(const char *_Nonnull name, unsigned int flags);
long syscall(long number, ...);
int setresuid(uid_t real, uid_t effective, uid_t saved);
int setresgid(gid_t real, gid_t effective, gid_t saved);
int pthread_setname_np(pthread_t thread, const char *_Nonnull name);
#endif

/* Values that are GNU-only or computed in the C library's headers. */
enum {
    LIMPET_SPLICE_MOVE = 1,
    LIMPET_SPLICE_NONBLOCK = 2,
    LIMPET_SO_PEERGROUPS = 59,
    LIMPET_TCP_USER_TIMEOUT = 18,
    LIMPET_O_PATH = 010000000,
    LIMPET_AT_EMPTY_PATH = 0x1000,
    LIMPET_SEEK_DATA = 3,
    LIMPET_SEEK_HOLE = 4,
    LIMPET_SIGNAL_HANDED_ON = 40 /* a real-time signal that the C library leaves alone */
};

/* The credentials that SO_PEERCRED answers with; GNU-only in the C library. */
struct limpet_ucred {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

/* recv(2), send(2), splice(2) and epoll_wait(2) as the kernel has them. The C library's are cancellation points: in a
 * program with threads each call takes two atomic exchanges more. */
static inline ssize_t limpet_recv(int fd, void *_Nullable buffer, size_t length, int flags) {
    return syscall(SYS_recvfrom, fd, buffer, length, flags, NULL, NULL);
}
static inline ssize_t limpet_send(int fd, const void *_Nonnull buffer, size_t length, int flags) {
    return syscall(SYS_sendto, fd, buffer, length, flags, NULL, 0);
}
static inline ssize_t limpet_splice(int from, int to, size_t length, unsigned int flags) {
    return syscall(SYS_splice, from, NULL, to, NULL, length, flags);
}
static inline int limpet_epoll_wait(int fd, struct epoll_event *_Nonnull events, int capacity, int milliseconds) {
    return (int)syscall(SYS_epoll_pwait, fd, events, capacity, milliseconds, NULL, 0);
}

/* F_SETPIPE_SZ and F_GETPIPE_SZ: bytes, or -1 with errno. */
int limpet_pipe_set_size(int fd, int bytes);
int limpet_pipe_get_size(int fd);

/* SIOCOUTQ: bytes that the peer has not acknowledged, or -1 with errno. */
int limpet_unacknowledged(int fd);

/* Sends LIMPET_SIGNAL_HANDED_ON with another signal's number. 0, or -1 with errno. */
int limpet_signal_hand_on(pid_t process, int number);

/* tgkill(2): 0, or -1 with errno. */
int limpet_signal_thread(pid_t process, pid_t thread, int number);

/* sigtimedwait(2): 0, or -1 with errno. nanoseconds: -1 waits for ever. */
typedef struct {
    int number;
    int sender; /* process id; 0: the kernel */
    int value;  /* of LIMPET_SIGNAL_HANDED_ON: what it carries */
} limpet_arrival;
int limpet_signal_wait(const sigset_t *_Nonnull set, int64_t nanoseconds, limpet_arrival *_Nonnull arrival);

/* A descriptor's copy that an exec closes, at the lowest number that is free; -1 with errno. */
int limpet_duplicate(int fd);

/* FIONREAD: bytes in a pipe, or -1 with errno. */
int limpet_unread(int fd);

/* What TCP counts on a socket, all of one moment. */
struct limpet_tcp_counters {
    uint64_t received;     /* bytes that have come, in order; a FIN counts as one */
    uint64_t acknowledged; /* bytes that the peer has acknowledged; our SYN (not SYN-ACK) and our FIN count as one each */
    uint32_t unread;       /* bytes that have come and were not read; the FIN does not count */
    uint32_t unacknowledged; /* bytes that were written and are not acknowledged; our FIN counts as one */
    uint8_t state;         /* LIMPET_TCP_x */
};
enum {
    LIMPET_TCP_ESTABLISHED = 1,
    LIMPET_TCP_SYN_SENT = 2,
    LIMPET_TCP_SYN_RECEIVED = 3,
    LIMPET_TCP_FIN_WAIT_1 = 4,
    LIMPET_TCP_FIN_WAIT_2 = 5,
    LIMPET_TCP_TIME_WAIT = 6,
    LIMPET_TCP_CLOSE = 7,
    LIMPET_TCP_CLOSE_WAIT = 8,
    LIMPET_TCP_LAST_ACK = 9,
    LIMPET_TCP_LISTEN = 10,
    LIMPET_TCP_CLOSING = 11
};
/* 0, or -1 with errno: ENOTSUP where the kernel or the socket has no such counters, EAGAIN where they never stood still. */
int limpet_tcp_counters(int fd, struct limpet_tcp_counters *_Nonnull counters);

/* What is known of the way to the peer, for people; each figure of its own moment. */
struct limpet_tcp_path {
    uint32_t rtt;          /* smoothed, in microseconds; 0: not known yet */
    uint32_t rtt_variance; /* in microseconds */
    uint32_t retransmits;  /* segments that were sent again, ever */
    uint32_t unread;
    uint32_t unacknowledged;
    uint8_t state; /* LIMPET_TCP_x */
};
/* 0, or -1 with errno. Changes nothing, whatever the descriptor is. */
int limpet_tcp_path(int fd, struct limpet_tcp_path *_Nonnull path);

/* A TCP socket of this network namespace, whoever has it: what its ports say. */
typedef struct {
    uint8_t family; /* AF_x */
    uint8_t state;  /* LIMPET_TCP_x */
    uint16_t local_port;
    uint16_t peer_port;
    uint8_t local[16]; /* network order; IPv4 in the first four bytes */
    uint8_t peer[16];
} limpet_tcp_socket;
typedef void (*limpet_socket_visitor)(const limpet_tcp_socket *_Nonnull socket, void *_Nullable context);
/* Calls `visit` with each TCP socket of a family that has a peer, those in TIME_WAIT included (sock_diag(7)). 0, or -1 with
 * errno: then not all were visited. Takes as long as there are sockets: about a microsecond each. */
int limpet_visit_tcp_sockets(int family, limpet_socket_visitor _Nonnull visit, void *_Nullable context);

/* Looks at an ended child without taking its end out of the kernel (waitid(2) with WNOWAIT): `child`, or any where that
 * is 0. Its id, 0 where none has ended, or -1 with errno. status: its exit status, or the number of the signal that ended
 * it where is_signal says so. */
pid_t limpet_look_at_ended(pid_t child, int *_Nonnull status, int *_Nonnull is_signal);

/* The variadic prctl(2) and syscall(2), typed. 0 or -1 with errno. */
int limpet_no_new_privileges(void);
int limpet_is_no_new_privileges(void);
int limpet_set_dumpable(int is_dumpable);

/* Number of processors that the process may run on, at least 1. */
int limpet_usable_processors(void);

/* The way from root to an ordinary user that keeps a few capabilities (numbers as in capabilities(7)):
 * limpet_bound_capabilities() while still root, limpet_keep_capabilities(), the change of user,
 * limpet_reduce_capabilities(), which leaves `keep` in the permitted, effective, inheritable and ambient sets and nothing
 * else (ambient: so that they survive an exec under no_new_privs). Each answers 0, or -1 with errno. All of it is per
 * thread: call before the first one is started. */
int limpet_keep_capabilities(void);
int limpet_reduce_capabilities(const int *_Nonnull keep, int count);
/* Whether the permitted, effective, inheritable and ambient sets hold `keep` and nothing else. */
int limpet_capabilities_are(const int *_Nonnull keep, int count);
/* Drops every capability but `keep` from the bounding set; needs CAP_SETPCAP. */
int limpet_bound_capabilities(const int *_Nonnull keep, int count);
/* cap_to_name(3) for the capabilities that this kernel knows, from 0 up; NULL past the last. Give it back with
 * limpet_capability_name_free(). */
char *_Nullable limpet_capability_name(int capability);
void limpet_capability_name_free(char *_Nonnull name);
/* Whether the calling thread has the capability in its effective set. */
int limpet_has_capability(int capability);

/* A program that has the whole terminal, which standard input and output are: another screen, no cursor, keys as they are
 * pressed. Whatever signal ends or stops the process, a fault of its own among them, the terminal is given back before.
 * 0, or -1 with errno. */
int limpet_screen_open(void);
/* Gives it back. */
void limpet_screen_close(void);
/* Whether it must be drawn anew since the last call: its size has changed, or the process was stopped. */
int limpet_screen_changed(void);

#endif
