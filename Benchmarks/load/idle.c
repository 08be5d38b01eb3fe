/* Opens connections, proves each by one byte there and back, says so, and holds them until its input ends. */
#include "load.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

void idle_client(const struct options *options) {
    for (int i = 0; i < options->connections; i++) client_connection(options, (unsigned)i, true);
    printf("{\"connections\":%d}\n", options->connections);
    fflush(stdout);
    for (uint64_t end = now() + ns(options->limit); now() < end;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&input, 1, until(end)) > 0 && input_ended()) return;
    }
}
