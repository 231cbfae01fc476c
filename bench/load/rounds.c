/* Owns the commands, one line each on stdin, answered by one line of JSON on stdout when done.
 *
 *   connect at_once=64 timeout=60            open every socket; ready means authenticated and in its rooms
 *   disconnect                               close them all
 *   round seconds=5 [watch=name:pid,…]       send messages of text=200 bytes by the first senders=N sockets in turn:
 *         window=1 [burst=1]                 … keep that many under way (burst: only all anew when all are done)
 *         rate=500                           … or a fixed number a second; times count from the schedule
 *         messages=N                         … and at most so many
 *   listen expect=N timeout=10               wait for deliveries of another generator's messages; "listening" comes first
 *   idle seconds=5                           heartbeats only
 *   recover expect=N spread_ms=2000 timeout=30   sockets that end come back to the next target; until N have
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
    load->tally = (struct tally){0};
    usage_watch(&usage, list);
    return clock_ns();
}

static void finish(struct load *load, const char *command, uint64_t began_ns, bool whole)
{
    double seconds = (double)(clock_ns() - began_ns) / 1e9;
    printf("{\"command\":\"%.*s\",\"whole\":%s,\"seconds\":%.6f,\"ready\":%u,\"unfinished\":%u,",
           (int)strcspn(command, " "), command, whole ? "true" : "false", seconds, load->ready,
           load->flight.outstanding);
    tally_print(&load->tally, stdout);
    fputs("\"cpu\":", stdout);
    usage_print_since(&usage, stdout);
    fputs("}\n", stdout);
    fflush(stdout);
}

static void open_all(struct load *load, const char *command)
{
    uint64_t began_ns = begin(load, command), until_ns = later_ns(number_of(command, "timeout", 60));
    load->opening_limit = (uint32_t)number_of(command, "at_once", 64);
    /* A server that refuses more often than there are clients will not change its mind. */
    while (load->ready < load->plan.member_count && load->tally.dropped <= load->plan.member_count && clock_ns() < until_ns)
        crowd_turn(load, until_ns);
    load->opening_limit = 0;
    finish(load, command, began_ns, load->ready == load->plan.member_count);
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

/* Send what is due now; returns when to look again. */
static uint64_t send_due(struct load *load, const struct pace *pace)
{
    uint64_t now_ns = clock_ns();
    if (pace->interval_ns) {
        uint64_t due_ns = pace->began_ns + load->tally.sent * pace->interval_ns;
        while (due_ns <= now_ns && load->tally.sent < pace->limit) {
            if (!flight_send(load, due_ns, pace->senders, pace->text_size))
                return now_ns + NS_PER_MS;
            due_ns += pace->interval_ns;
        }
        return due_ns;
    }
    if (pace->burst && load->flight.outstanding)
        return pace->until_ns;
    while (load->flight.outstanding < pace->window && load->tally.sent < pace->limit)
        if (!flight_send(load, clock_ns(), pace->senders, pace->text_size))
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
    while (clock_ns() < pace.until_ns && !(load->tally.sent >= pace.limit && !load->flight.outstanding))
        crowd_turn(load, send_due(load, &pace));
    /* What is under way belongs to the round: processor time and deliveries are of the same messages. */
    uint64_t patience_ns = later_ns(5);
    while (load->flight.outstanding && clock_ns() < patience_ns)
        crowd_turn(load, patience_ns);
    finish(load, command, pace.began_ns, load->flight.outstanding == 0);
    flight_forget(load);
}

static void listen_in(struct load *load, const char *command)
{
    uint64_t began_ns = begin(load, command), until_ns = later_ns(number_of(command, "timeout", 10));
    uint64_t expected = (uint64_t)number_of(command, "expect", 0);
    puts("listening"); /* what comes before it is not counted */
    fflush(stdout);
    while (load->tally.deliveries < expected && clock_ns() < until_ns)
        crowd_turn(load, until_ns);
    finish(load, command, began_ns, load->tally.deliveries >= expected);
}

static void idle(struct load *load, const char *command)
{
    uint64_t began_ns = begin(load, command), until_ns = later_ns(number_of(command, "seconds", 5));
    while (clock_ns() < until_ns)
        crowd_turn(load, until_ns);
    finish(load, command, began_ns, true);
}

static void recover(struct load *load, const char *command)
{
    uint64_t began_ns = begin(load, command), until_ns = later_ns(number_of(command, "timeout", 30));
    uint64_t expected = (uint64_t)number_of(command, "expect", 1);
    load->comes_back = true;
    load->spread_ns = (uint64_t)(number_of(command, "spread_ms", 2000) * 1e6);
    load->opening_limit = (uint32_t)number_of(command, "at_once", 256);
    while ((load->tally.opened < expected || load->ready < load->plan.member_count) && clock_ns() < until_ns)
        crowd_turn(load, until_ns);
    load->comes_back = false;
    load->opening_limit = 0;
    finish(load, command, began_ns, load->ready == load->plan.member_count);
}

void rounds_obey(struct load *load, char *command)
{
    static const struct {
        const char *name;
        void (*run)(struct load *load, const char *command);
    } COMMANDS[] = {{"connect", open_all}, {"disconnect", close_all}, {"round", run_round},
                    {"listen", listen_in}, {"idle", idle},            {"recover", recover}};
    size_t size = strcspn(command, " ");
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (strlen(COMMANDS[i].name) == size && !memcmp(COMMANDS[i].name, command, size)) {
            COMMANDS[i].run(load, command);
            return;
        }
    }
    die("unknown command '%s'", command);
}
