/* load ROLE [OPTION]...: one of the programs between which a proxy is measured. Prints one JSON object; ends by itself,
 * or when its input does. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
    "usage: load bulk-server | bulk | echo-server | pingpong | paced | churn | idle\n"
    "  servers:  [--listeners N] [--upstream]   listen on 127.0.0.1, ports by the kernel's choice, and print them\n"
    "  clients:  --to ADDRESS:PORT[,ADDRESS:PORT]... [--sources N] [--connections N] [--bytes N] [--seconds S]\n"
    "            [--warmup S] [--wait] [--upstream] [--pause S]\n"
    "  all:      [--limit S]                    end after so many seconds at the latest (120)\n";

static const struct {
    const char *name;
    void (*run)(const struct options *);
    bool is_client;
} roles[] = {{"bulk-server", bulk_server, false}, {"bulk", bulk_client, true},   {"echo-server", echo_server, false},
             {"pingpong", pingpong_client, true}, {"paced", paced_client, true},         {"churn", churn_client, true},
             {"idle", idle_client, true}};

static _Noreturn void misuse(void) {
    fputs(usage, stderr);
    exit(2);
}

static double number(const char *text, double least, double most) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most)) misuse();
    return value;
}

static void targets(struct options *options, char *text) {
    for (char *part = strtok(text, ","); part; part = strtok(NULL, ",")) {
        char *colon = strrchr(part, ':');
        if (!colon || options->targets == MAX_PORTS) misuse();
        *colon = '\0';
        struct sockaddr_in *address = &options->to[options->targets++];
        address->sin_family = AF_INET;
        address->sin_port = htons((uint16_t)number(colon + 1, 1, 65535));
        if (inet_pton(AF_INET, part, &address->sin_addr) != 1) misuse();
    }
}

static struct options parse(int count, char **arguments) {
    static const struct option names[] = {
        {"to", 1, 0, 't'},      {"listeners", 1, 0, 'l'}, {"sources", 1, 0, 'a'}, {"connections", 1, 0, 'n'},
        {"bytes", 1, 0, 'b'},   {"seconds", 1, 0, 's'},   {"warmup", 1, 0, 'w'},  {"limit", 1, 0, 'm'},
        {"wait", 0, 0, 'g'},    {"upstream", 0, 0, 'u'},  {"pause", 1, 0, 'p'},     {0},
    };
    struct options options = {
        .listeners = 1, .connections = 1, .sources = 1, .bytes = 64, .seconds = 1, .warmup = 0.2, .limit = 120, .pause = 0.001};
    for (int option; (option = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        switch (option) {
        case 't': targets(&options, optarg); break;
        case 'l': options.listeners = (int)number(optarg, 1, MAX_PORTS); break;
        case 'a': options.sources = (int)number(optarg, 1, 60000); break;
        case 'n': options.connections = (int)number(optarg, 1, 100000); break;
        case 'b': options.bytes = (size_t)number(optarg, 1, 1 << 16); break;
        case 's': options.seconds = number(optarg, 0.01, 3600); break;
        case 'w': options.warmup = number(optarg, 0, 3600); break;
        case 'm': options.limit = number(optarg, 0.01, 86400); break;
        case 'g': options.wait = true; break;
        case 'u': options.upstream = true; break;
        case 'p': options.pause = number(optarg, 0.00001, 0.9); break;
        default: misuse();
        }
    }
    if (optind != count) misuse();
    return options;
}

/* Every role looks at the clock itself; this is for one that is stuck in the kernel. */
static void bound(const struct options *options) {
    alarm((unsigned)(options->limit + options->seconds + options->warmup) + 30);
}

int main(int count, char **arguments) {
    if (count < 2) misuse();
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(arguments[1], roles[i].name)) continue;
        struct options options = parse(count - 1, arguments + 1);
        if (roles[i].is_client != (options.targets > 0)) misuse();
        struct rlimit descriptors;
        if (!getrlimit(RLIMIT_NOFILE, &descriptors)) {
            descriptors.rlim_cur = descriptors.rlim_max;
            setrlimit(RLIMIT_NOFILE, &descriptors);
        }
        signal(SIGPIPE, SIG_IGN);
        bound(&options);
        roles[i].run(&options);
        return 0;
    }
    misuse();
}
