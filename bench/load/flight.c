/* Owns the messages under way: sending them, and recognising them when they are answered and delivered.
 *
 * A message's text begins with a mark that says which process sent it, its number and when: any generator on the same
 * machine can measure its way, and nothing but the text needs to come through unchanged.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "load.h"

enum { MARK_SIZE = 1 + 4 + 8 + 16 + 1 }; /* ~tag id time~ in hexadecimal */

void flight_start(struct load *load)
{
    load->flight.slots = zeroed(FLIGHT_SLOTS, sizeof *load->flight.slots);
    load->flight.tag = (uint16_t)getpid();
    load->flight.next_id = 1;
}

static struct message *find(struct load *load, uint32_t id)
{
    struct message *message = &load->flight.slots[id % FLIGHT_SLOTS];
    return message->id == id ? message : NULL;
}

static void settle(struct load *load, struct message *message, uint64_t now_ns)
{
    if (message->done || message->delivered < message->expected || (load->speech->acks && !message->acked))
        return;
    message->done = true;
    load->flight.outstanding--;
    load->tally.completed++;
    histogram_add(&load->tally.last, now_ns - message->at_ns);
}

/* The next socket whose turn it is, among the first `senders`, that is ready and not held up. */
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

bool flight_send(struct load *load, uint64_t at_ns, uint32_t senders, uint32_t text_size)
{
    struct client *client = next_sender(load, senders);
    if (!client || load->flight.outstanding >= FLIGHT_SLOTS / 2)
        return false;
    const struct member *member = &load->plan.members[client->number];
    uint32_t room = load->plan.memberships[member->first_room + client->turn++ % member->room_count];
    uint32_t id = load->flight.next_id++;
    struct message *message = &load->flight.slots[id % FLIGHT_SLOTS];
    *message = (struct message){.at_ns = at_ns, .id = id, .room = room, .expected = load->plan.rooms[room].present};
    char text[LOAD_TEXT_MAX + 1], payload[LOAD_PAYLOAD_MAX];
    snprintf(text, sizeof text, "~%04x%08x%016llx~", load->flight.tag, id, (unsigned long long)at_ns);
    if (text_size > MARK_SIZE)
        memset(text + MARK_SIZE, 'x', text_size - MARK_SIZE);
    text[text_size > MARK_SIZE ? text_size : MARK_SIZE] = 0;
    load->flight.outstanding++;
    load->tally.sent++;
    client_say(load, client, payload,
               load->speech->send(payload, sizeof payload, message, load->plan.rooms[room].id, text));
    return true;
}

void flight_acked(struct load *load, uint32_t id)
{
    uint64_t now_ns = clock_ns();
    struct message *message = find(load, id);
    if (!message || message->acked)
        return;
    message->acked = true;
    load->tally.acked++;
    histogram_add(&load->tally.ack, now_ns - message->at_ns);
    settle(load, message, now_ns);
}

void flight_failed(struct load *load, uint32_t id, const char *reason, size_t size)
{
    struct message *message = find(load, id);
    tally_reason(&load->tally, reason, size);
    if (!message || message->done)
        return;
    message->done = true;
    load->flight.outstanding--;
}

/* Hexadecimal digits only: strtoull would cost as much as the rest of a delivery. */
static uint64_t hexadecimal(const char *digits, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 4 | (uint64_t)((digits[i] & 0xf) + (digits[i] > '9' ? 9 : 0));
    return value;
}

void flight_heard(struct load *load, const char *text, size_t size)
{
    const char *mark = size >= MARK_SIZE ? memmem(text, size, "\"~", 2) : NULL;
    if (!mark || text + size - mark <= MARK_SIZE || mark[MARK_SIZE] != '~') {
        load->tally.others++;
        return;
    }
    uint64_t now_ns = clock_ns();
    load->tally.deliveries++;
    histogram_add(&load->tally.delivery, now_ns - hexadecimal(mark + 14, 16));
    if ((uint16_t)hexadecimal(mark + 2, 4) != load->flight.tag)
        return;
    struct message *message = find(load, (uint32_t)hexadecimal(mark + 6, 8));
    if (!message)
        return;
    if (++message->delivered > message->expected)
        load->tally.duplicates++;
    settle(load, message, now_ns);
}

void flight_forget(struct load *load)
{
    for (uint32_t slot = 0; slot < FLIGHT_SLOTS; slot++)
        load->flight.slots[slot].done = true;
    load->flight.outstanding = 0;
}
