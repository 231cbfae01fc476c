/* The load generator's command line, and its loop between commands.
 *
 *   hubbub-load --protocol hubbub|socketio|plain --plan FILE [--first N] --count N [--resume] [--gather] --target HOST:PORT …
 *
 * Reads commands from stdin, one per line (see commands.c). The end of stdin ends the program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "load.h"

enum { SPARE_FILES = 32 };

static void add_target(struct load *load, const char *text)
{
    char host[32];
    const char *colon = strchr(text, ':');
    struct sockaddr_in *target = &load->targets[load->target_count];
    if (load->target_count == LOAD_TARGETS || !colon || colon - text >= (long)sizeof host)
        die("cannot use the target %s", text);
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    *target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    if (inet_pton(AF_INET, host, &target->sin_addr) != 1)
        die("cannot use the target %s", text);
    if (ntohl(target->sin_addr.s_addr) >> 24 != 127)
        die("%s is not on this machine; only local servers may be loaded", text);
    snprintf(load->target_names[load->target_count++], sizeof load->target_names[0], "%s", text);
}

static const struct protocol *protocol_named(const char *name)
{
    if (!strcmp(name, "hubbub"))
        return &PROTOCOL_HUBBUB;
    if (!strcmp(name, "socketio"))
        return &PROTOCOL_SOCKETIO;
    if (!strcmp(name, "plain"))
        return &PROTOCOL_PLAIN;
    die("unknown protocol '%s'", name);
}

static void read_options(struct load *load, int count, char **arguments)
{
    static const struct option OPTIONS[] = {
        {"protocol", required_argument, NULL, 's'}, {"plan", required_argument, NULL, 'p'},
        {"first", required_argument, NULL, 'f'},  {"count", required_argument, NULL, 'c'},
        {"target", required_argument, NULL, 't'}, {"resume", no_argument, NULL, 'r'},
        {"gather", no_argument, NULL, 'g'},       {NULL, 0, NULL, 0},
    };
    const char *plan = NULL;
    uint32_t first = 0, clients = 0;
    for (int option; (option = getopt_long(count, arguments, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 's': load->protocol = protocol_named(optarg); break;
        case 'p': plan = optarg; break;
        case 'f': first = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'c': clients = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 't': add_target(load, optarg); break;
        case 'r': load->resume = true; break;
        case 'g': load->gather = true; break;
        default: exit(2);
        }
    }
    if (!load->protocol || !plan || !clients || !load->target_count)
        die("--protocol, --plan, --count and --target are required");
    plan_read(&load->plan, plan, first, clients);
}

static void allow_files(uint32_t clients)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t wanted = (rlim_t)clients + SPARE_FILES;
    if (limit.rlim_max < wanted) {
        struct rlimit higher = {wanted, wanted};
        if (setrlimit(RLIMIT_NOFILE, &higher) < 0)
            die("%u sockets need %llu open files, but the limit is %llu: use several processes", clients,
                (unsigned long long)wanted, (unsigned long long)limit.rlim_max);
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Run every complete line of stdin. Returns false at its end. */
static bool run_commands(struct load *load, struct bytes *input)
{
    char block[4096];
    ssize_t got = read(STDIN_FILENO, block, sizeof block);
    if (got < 0)
        return errno == EAGAIN;
    if (got == 0)
        return false;
    bytes_add(input, block, (size_t)got);
    for (char *end; (end = memchr(input->data, '\n', input->size));) {
        size_t size = (size_t)(end - input->data);
        char *command = zeroed(size + 1, 1);
        memcpy(command, input->data, size);
        bytes_drop(input, size + 1);
        commands_run(load, command);
        free(command);
    }
    return true;
}

int main(int count, char **arguments)
{
    struct load *load = zeroed(1, sizeof *load);
    struct bytes input = {0};
    read_options(load, count, arguments);
    allow_files(load->plan.member_count);
    inflight_start(load);
    loop_start(load);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    while (run_commands(load, &input))
        loop_turn(load, clock_ns() + NS_PER_SECOND);
    return 0;
}
