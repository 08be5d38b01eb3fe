/* The load generator of `make bench`: what its parts share. One program, one role per run; see main.c. */
#ifndef LOAD_H
#define LOAD_H
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_PORTS = 16, EVENTS = 256 };

struct options {
    struct sockaddr_in to[MAX_PORTS]; /* where clients connect: connection i goes to the i-th, cyclically */
    int targets;
    int listeners;   /* of a server: so many ports, all on 127.0.0.1 */
    int connections; /* at a time */
    int sources;     /* so many source addresses, so that a hash of the client's address has something to choose by */
    size_t bytes;    /* of a message */
    double seconds, warmup;
    double limit;  /* the program ends after so many seconds, whatever happens */
    bool wait;     /* says "ready" once everything is set up and warm, and begins with the next line of input */
    bool upstream; /* bulk flows from the client to the server */
    double pause;  /* paced: from an answer to the next message */
};

/* Each runs one role to its end and prints its JSON object. */
void bulk_server(const struct options *options);
void bulk_client(const struct options *options);
void echo_server(const struct options *options);
void pingpong_client(const struct options *options);
void paced_client(const struct options *options);
void churn_client(const struct options *options);
void idle_client(const struct options *options);

/* ---- support.c ---- */

/* Ends the program: "load: WHAT: REASON". */
_Noreturn void die(const char *what);
/* CLOCK_MONOTONIC, ns. */
uint64_t now(void);
uint64_t ns(double seconds);
/* CPU seconds of this process so far. */
double cpu_seconds(void);
/* An epoll set. */
int poller(void);
void watch(int poller, int operation, int descriptor, uint32_t events, uint64_t data);
/* Milliseconds until `end`, rounded up, for epoll_wait. */
int until(uint64_t end);
/* Listens on options->listeners ports of 127.0.0.1, each chosen by the kernel, and prints them. The listeners go into the
 * epoll set by their numbers, and so does standard input: when it ends, so does a server. */
void listen_and_tell(const struct options *options, int *descriptors, int poller);
/* A socket bound to the source address of connection `number`, not connected yet. */
int client_socket(const struct options *options, unsigned number, int flags);
const struct sockaddr_in *target(const struct options *options, unsigned number);
/* A connected, non-blocking socket. With `proved`, one byte has gone to the server and back. */
int client_connection(const struct options *options, unsigned number, bool proved);
/* With --wait: says "ready" and returns at the next line of input. Everything is quiet then, so whoever reads CPU times
 * before answering misses nothing and counts nothing twice. */
void wait_for_go(const struct options *options);
/* Whether whoever started this program has gone: standard input has ended. */
bool input_ended(void);

/* ---- histogram.c ---- */

/* Latencies in fixed buckets, 128 to each power of two: a value is known to 0.8 %. */
struct histogram;
struct histogram *histogram_new(void);
void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t value);
/* The middle of the bucket below which `share` of the values lie, ns; 0 where there are none. */
double histogram_quantile(const struct histogram *histogram, double share);

#endif
