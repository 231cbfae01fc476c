/* The messages in flight: sends them, and recognises their acknowledgements and deliveries.
 *
 * A message's text begins with a mark: sending process, message id, send time. Any generator on the same machine can therefore
 * measure its latency, and only the text has to arrive unchanged.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "load.h"

enum { MARK_SIZE = 1 + 4 + 8 + 16 + 1 }; /* ~tag id time~ in hexadecimal */

void inflight_start(struct load *load)
{
    load->inflight.slots = zeroed(INFLIGHT_SLOTS, sizeof *load->inflight.slots);
    load->inflight.tag = (uint16_t)getpid();
    load->inflight.next_id = 1;
}

static struct message *find(struct load *load, uint32_t id)
{
    struct message *message = &load->inflight.slots[id % INFLIGHT_SLOTS];
    return message->id == id ? message : NULL;
}

static void settle(struct load *load, struct message *message, uint64_t now_ns)
{
    if (message->done || message->delivered < message->expected || (load->protocol->acks && !message->acked))
        return;
    message->done = true;
    load->inflight.outstanding--;
    load->counters.completed++;
    histogram_add(&load->counters.last, now_ns - message->at_ns);
}

/* The next of the first `senders` sockets that is ready and has no unsent data. */
static struct client *next_sender(struct load *load, uint32_t senders)
{
    for (uint32_t tries = 0; tries < senders; tries++) {
        struct client *client = &load->clients[load->send_cursor % senders];
        load->send_cursor = (load->send_cursor + 1) % senders;
        if (client->state == READY && !client->unsent.size && load->plan.members[client->number].room_count)
            return client;
    }
    return NULL;
}

bool inflight_send(struct load *load, uint64_t at_ns, uint32_t senders, uint32_t text_size)
{
    struct client *client = next_sender(load, senders);
    if (!client || load->inflight.outstanding >= INFLIGHT_SLOTS / 2)
        return false;
    const struct member *member = &load->plan.members[client->number];
    uint32_t room = load->plan.memberships[member->first_room + client->turn++ % member->room_count];
    uint32_t id = load->inflight.next_id++;
    struct message *message = &load->inflight.slots[id % INFLIGHT_SLOTS];
    *message = (struct message){.at_ns = at_ns, .id = id, .room = room, .expected = load->plan.rooms[room].present};
    char text[LOAD_TEXT_MAX + 1], payload[LOAD_PAYLOAD_MAX];
    snprintf(text, sizeof text, "~%04x%08x%016llx~", load->inflight.tag, id, (unsigned long long)at_ns);
    if (text_size > MARK_SIZE)
        memset(text + MARK_SIZE, 'x', text_size - MARK_SIZE);
    text[text_size > MARK_SIZE ? text_size : MARK_SIZE] = 0;
    load->inflight.outstanding++;
    load->counters.sent++;
    client_send_text(load, client, payload,
               load->protocol->send(payload, sizeof payload, message, load->plan.rooms[room].id, text));
    return true;
}

void inflight_acked(struct load *load, uint32_t id)
{
    uint64_t now_ns = clock_ns();
    struct message *message = find(load, id);
    if (!message || message->acked)
        return;
    message->acked = true;
    load->counters.acked++;
    histogram_add(&load->counters.ack, now_ns - message->at_ns);
    settle(load, message, now_ns);
}

void inflight_failed(struct load *load, uint32_t id, const char *reason, size_t size)
{
    struct message *message = find(load, id);
    counters_reason(&load->counters, reason, size);
    if (!message || message->done)
        return;
    message->done = true;
    load->inflight.outstanding--;
}

/* For valid digits only: strtoull would cost as much as the rest of a delivery. */
static uint64_t hexadecimal(const char *digits, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 4 | (uint64_t)((digits[i] & 0xf) + (digits[i] > '9' ? 9 : 0));
    return value;
}

void inflight_received(struct load *load, const char *text, size_t size)
{
    const char *mark = size >= MARK_SIZE ? memmem(text, size, "\"~", 2) : NULL;
    if (!mark || text + size - mark <= MARK_SIZE || mark[MARK_SIZE] != '~') {
        load->counters.others++;
        return;
    }
    uint64_t now_ns = clock_ns();
    load->counters.deliveries++;
    histogram_add(&load->counters.delivery, now_ns - hexadecimal(mark + 14, 16));
    if ((uint16_t)hexadecimal(mark + 2, 4) != load->inflight.tag)
        return;
    struct message *message = find(load, (uint32_t)hexadecimal(mark + 6, 8));
    if (!message)
        return;
    if (++message->delivered > message->expected)
        load->counters.duplicates++;
    settle(load, message, now_ns);
}

void inflight_abandon(struct load *load)
{
    for (uint32_t slot = 0; slot < INFLIGHT_SLOTS; slot++)
        load->inflight.slots[slot].done = true;
    load->inflight.outstanding = 0;
}
