/* Owns the event loop over all sockets: the pace of connecting, heartbeats, coming back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "clock.h"
#include "load.h"

enum { BATCH = 512 };

static const uint64_t SWEEP_NS = 5 * NS_PER_MS;

void crowd_start(struct load *load)
{
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->clients = zeroed(load->plan.member_count, sizeof *load->clients);
    for (uint32_t i = 0; i < load->plan.member_count; i++) {
        load->clients[i].fd = -1;
        load->clients[i].number = i;
        load->clients[i].target = load->gather ? 0 : (uint8_t)(i % (uint32_t)load->target_count);
    }
    load->beats_done_ns = clock_ns();
    srandom((unsigned)load->flight.tag);
}

/* Open sockets that are due, as many as may be on their way at a time. */
static void open_some(struct load *load, uint64_t now_ns)
{
    uint32_t looked_at = 0;
    while (load->opening < load->opening_limit && load->ready + load->opening < load->plan.member_count
           && looked_at++ < load->plan.member_count) {
        struct client *client = &load->clients[load->open_cursor];
        load->open_cursor = (load->open_cursor + 1) % load->plan.member_count;
        if (client->state == DOWN && client->since_ns <= now_ns)
            client_open(load, client);
    }
}

/* Heartbeats without a timer for each socket: the cursor goes round once in the interval. */
static void beat_some(struct load *load, uint64_t now_ns)
{
    if (load->speech->beat_seconds <= 0.0)
        return;
    char payload[128];
    size_t size = load->speech->beat(payload, sizeof payload);
    uint64_t each_ns = (uint64_t)(load->speech->beat_seconds * 1e9) / load->plan.member_count;
    for (; load->beats_done_ns + each_ns <= now_ns; load->beats_done_ns += each_ns) {
        struct client *client = &load->clients[load->beat_cursor];
        load->beat_cursor = (load->beat_cursor + 1) % load->plan.member_count;
        if (client->state == READY)
            client_say(load, client, payload, size);
    }
}

void crowd_turn(struct load *load, uint64_t until_ns)
{
    struct epoll_event events[BATCH];
    uint64_t now_ns = clock_ns();
    open_some(load, now_ns);
    beat_some(load, now_ns);
    uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    if (wait_ns > SWEEP_NS)
        wait_ns = SWEEP_NS;
    struct timespec wait = {.tv_nsec = (long)wait_ns};
    int count = epoll_pwait2(load->epoll, events, BATCH, &wait, NULL);
    if (count < 0 && errno != EINTR)
        die("epoll: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        client_serve(load, events[i].data.ptr, events[i].events);
}
