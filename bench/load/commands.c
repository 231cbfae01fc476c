/* The commands: one line each on stdin, answered with one line of JSON on stdout when done.
 *
 *   connect at_once=64 timeout=60            open every socket, until it is authenticated and in its rooms
 *   disconnect                               close every socket
 *   round seconds=5 [watch=name:pid,…]       send messages of text=200 bytes from the first senders=N sockets in turn:
 *         window=1 [burst=1]                 … keep that many in flight (burst: send all again when all are done)
 *         rate=500                           … or that many per second; latencies count from the scheduled time
 *         messages=N                         … and at most that many in all
 *   listen expect=N timeout=10               print "listening", then wait for deliveries from another generator
 *   idle seconds=5                           heartbeats only
 *   storm expect=N at_once=256 timeout=60    as connect, until N messages have come as well
 *   recover expect=N spread_ms=2000 timeout=30   closed sockets reconnect to the next target, until N have
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "load.h"
#include "usage.h"

static struct usage usage;

/* The value of `name=value` in the command, or NULL. */
static const char *text_of(const char *command, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = command; (at = strstr(at, name)); at += size)
        if (at > command && at[-1] == ' ' && at[size] == '=')
            return at + size + 1;
    return NULL;
}

static double number_of(const char *command, const char *name, double otherwise)
{
    const char *text = text_of(command, name);
    return text ? strtod(text, NULL) : otherwise;
}

static uint64_t later_ns(double seconds)
{
    return clock_ns() + (uint64_t)(seconds * 1e9);
}

static uint64_t begin(struct load *load, const char *command)
{
    const char *watch = text_of(command, "watch");
    char list[8192] = "";
    if (watch)
        snprintf(list, sizeof list, "%.*s", (int)strcspn(watch, " "), watch);
    load->counters = (struct counters){0};
    usage_watch(&usage, list);
    return clock_ns();
}

static void finish(struct load *load, const char *command, uint64_t began_ns, bool complete)
{
    double seconds = (double)(clock_ns() - began_ns) / 1e9;
    printf("{\"command\":\"%.*s\",\"complete\":%s,\"seconds\":%.6f,\"ready\":%u,\"unfinished\":%u,",
           (int)strcspn(command, " "), command, complete ? "true" : "false", seconds, load->ready,
           load->inflight.outstanding);
    counters_print(&load->counters, stdout);
    fputs("\"cpu\":", stdout);
    usage_print_since(&usage, stdout);
    fputs("}\n", stdout);
    fflush(stdout);
}

static void open_all(struct load *load, const char *command)
{
    uint64_t began_ns = begin(load, command), until_ns = later_ns(number_of(command, "timeout", 60));
    load->opening_limit = (uint32_t)number_of(command, "at_once", 64);
    /* Give up when there are more refusals than clients. */
    while (load->ready < load->plan.member_count && load->counters.dropped <= load->plan.member_count && clock_ns() < until_ns)
        loop_turn(load, until_ns);
    load->opening_limit = 0;
    finish(load, command, began_ns, load->ready == load->plan.member_count);
}

static void storm(struct load *load, const char *command)
{
    uint64_t began_ns = begin(load, command), until_ns = later_ns(number_of(command, "timeout", 60));
    uint64_t expected = (uint64_t)number_of(command, "expect", 0);
    load->opening_limit = (uint32_t)number_of(command, "at_once", 256);
    while ((load->ready < load->plan.member_count || load->counters.deliveries < expected) && clock_ns() < until_ns)
        loop_turn(load, until_ns);
    load->opening_limit = 0;
    finish(load, command, began_ns, load->ready == load->plan.member_count && load->counters.deliveries >= expected);
}

static void close_all(struct load *load, const char *command)
{
    uint64_t began_ns = begin(load, command);
    for (uint32_t i = 0; i < load->plan.member_count; i++)
        client_close(load, &load->clients[i]);
    finish(load, command, began_ns, true);
}

struct pace {
    uint64_t began_ns, until_ns, interval_ns;
    uint64_t limit;
    uint32_t window, senders, text_size;
    bool burst;
};

/* Send the messages that are due. Returns the time of the next check. */
static uint64_t send_due(struct load *load, const struct pace *pace)
{
    uint64_t now_ns = clock_ns();
    if (pace->interval_ns) {
        uint64_t due_ns = pace->began_ns + load->counters.sent * pace->interval_ns;
        while (due_ns <= now_ns && load->counters.sent < pace->limit) {
            if (!inflight_send(load, due_ns, pace->senders, pace->text_size))
                return now_ns + NS_PER_MS;
            due_ns += pace->interval_ns;
        }
        return due_ns;
    }
    if (pace->burst && load->inflight.outstanding)
        return pace->until_ns;
    while (load->inflight.outstanding < pace->window && load->counters.sent < pace->limit)
        if (!inflight_send(load, clock_ns(), pace->senders, pace->text_size))
            break;
    return pace->until_ns;
}

static void run_round(struct load *load, const char *command)
{
    struct pace pace = {
        .window = (uint32_t)number_of(command, "window", 1),
        .burst = number_of(command, "burst", 0) != 0,
        .senders = (uint32_t)number_of(command, "senders", load->plan.member_count),
        .text_size = (uint32_t)number_of(command, "text", 200),
        .limit = (uint64_t)number_of(command, "messages", 1e18),
    };
    double rate = number_of(command, "rate", 0);
    pace.interval_ns = rate > 0 ? (uint64_t)(1e9 / rate) : 0;
    if (pace.text_size > LOAD_TEXT_MAX || pace.senders < 1 || pace.senders > load->plan.member_count)
        die("cannot do '%s'", command);
    pace.began_ns = begin(load, command);
    pace.until_ns = later_ns(number_of(command, "seconds", 5));
    while (clock_ns() < pace.until_ns && !(load->counters.sent >= pace.limit && !load->inflight.outstanding))
        loop_turn(load, send_due(load, &pace));
    /* Wait for the messages in flight, so that processor time and deliveries belong to the same messages. */
    uint64_t patience_ns = later_ns(5);
    while (load->inflight.outstanding && clock_ns() < patience_ns)
        loop_turn(load, patience_ns);
    finish(load, command, pace.began_ns, load->inflight.outstanding == 0);
    inflight_abandon(load);
}

static void listen_in(struct load *load, const char *command)
{
    uint64_t began_ns = begin(load, command), until_ns = later_ns(number_of(command, "timeout", 10));
    uint64_t expected = (uint64_t)number_of(command, "expect", 0);
    puts("listening"); /* earlier deliveries are not counted */
    fflush(stdout);
    while (load->counters.deliveries < expected && clock_ns() < until_ns)
        loop_turn(load, until_ns);
    finish(load, command, began_ns, load->counters.deliveries >= expected);
}

static void idle(struct load *load, const char *command)
{
    uint64_t began_ns = begin(load, command), until_ns = later_ns(number_of(command, "seconds", 5));
    while (clock_ns() < until_ns)
        loop_turn(load, until_ns);
    finish(load, command, began_ns, true);
}

static void recover(struct load *load, const char *command)
{
    uint64_t began_ns = begin(load, command), until_ns = later_ns(number_of(command, "timeout", 30));
    uint64_t expected = (uint64_t)number_of(command, "expect", 1);
    load->reconnects = true;
    load->spread_ns = (uint64_t)(number_of(command, "spread_ms", 2000) * 1e6);
    load->opening_limit = (uint32_t)number_of(command, "at_once", 256);
    while ((load->counters.opened < expected || load->ready < load->plan.member_count) && clock_ns() < until_ns)
        loop_turn(load, until_ns);
    load->reconnects = false;
    load->opening_limit = 0;
    finish(load, command, began_ns, load->ready == load->plan.member_count);
}

void commands_run(struct load *load, char *command)
{
    static const struct {
        const char *name;
        void (*run)(struct load *load, const char *command);
    } COMMANDS[] = {{"connect", open_all}, {"disconnect", close_all}, {"round", run_round},
                    {"listen", listen_in}, {"idle", idle},            {"recover", recover},
                    {"storm", storm}};
    size_t size = strcspn(command, " ");
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (strlen(COMMANDS[i].name) == size && !memcmp(COMMANDS[i].name, command, size)) {
            COMMANDS[i].run(load, command);
            return;
        }
    }
    die("unknown command '%s'", command);
}
