/* The event loop over all sockets: pace of connecting, heartbeats, reconnects. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "clock.h"
#include "load.h"

enum { BATCH = 512 };

static const uint64_t SWEEP_NS = 5 * NS_PER_MS;

void loop_start(struct load *load)
{
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->clients = zeroed(load->plan.member_count, sizeof *load->clients);
    for (uint32_t i = 0; i < load->plan.member_count; i++) {
        load->clients[i].fd = -1;
        load->clients[i].number = i;
        load->clients[i].target = load->gather ? 0 : (uint8_t)(i % (uint32_t)load->target_count);
    }
    load->heartbeats_until_ns = clock_ns();
    srandom((unsigned)load->inflight.tag);
}

/* Open sockets that are due, within the limit of concurrent connects. */
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

/* Heartbeats without a timer per socket: the cursor visits every socket once per interval. */
static void send_heartbeats(struct load *load, uint64_t now_ns)
{
    if (load->protocol->heartbeat_seconds <= 0.0)
        return;
    char payload[128];
    size_t size = load->protocol->heartbeat(payload, sizeof payload);
    uint64_t each_ns = (uint64_t)(load->protocol->heartbeat_seconds * 1e9) / load->plan.member_count;
    for (; load->heartbeats_until_ns + each_ns <= now_ns; load->heartbeats_until_ns += each_ns) {
        struct client *client = &load->clients[load->heartbeat_cursor];
        load->heartbeat_cursor = (load->heartbeat_cursor + 1) % load->plan.member_count;
        if (client->state == READY)
            client_send_text(load, client, payload, size);
    }
}

void loop_turn(struct load *load, uint64_t until_ns)
{
    struct epoll_event events[BATCH];
    uint64_t now_ns = clock_ns();
    open_some(load, now_ns);
    send_heartbeats(load, now_ns);
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
