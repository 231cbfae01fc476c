/* The Hubbub protocol (hubbub.v1): hello, sync, send, ack, event, ping. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

/* Below the interval in the server's hello (25 s). */
static const double HEARTBEAT_SECONDS = 20.0;

static void upgraded(struct load *load, struct client *client)
{
    (void)load, (void)client; /* the server speaks first */
}

/* Collect `"id":seq` of every channel in hello: objects with both fields, in either order. */
static void remember_positions(struct client *client, const char *text, size_t size)
{
    const char *end = text + size;
    const char *at = memmem(text, size, "\"channels\":[", 12);
    bytes_free(&client->positions);
    while (at && (at = memmem(at, (size_t)(end - at), "{\"", 2))) {
        const char *stop = memchr(at, '}', (size_t)(end - at));
        const char *id = stop ? memmem(at, (size_t)(stop - at), "\"id\":", 5) : NULL;
        const char *seq = stop ? memmem(at, (size_t)(stop - at), "\"seq\":", 6) : NULL;
        if (!id || !seq)
            return;
        char entry[160];
        int length = snprintf(entry, sizeof entry, "%s%.*s:%llu", client->positions.size ? "," : "",
                              (int)(strcspn(id + 6, "\"") + 2), id + 5, strtoull(seq + 6, NULL, 10));
        bytes_add(&client->positions, entry, (size_t)length);
        at = stop;
    }
}

/* The first sync starts the event flow; positions resume channels. */
static void answer_hello(struct load *load, struct client *client, const char *text, size_t size)
{
    struct bytes sync = {0};
    bool known = client->positions.size > 0;
    bytes_add(&sync, "{\"type\":\"sync\",\"ref\":0,\"positions\":{", 36);
    if (known)
        bytes_add(&sync, client->positions.data, client->positions.size);
    bytes_add(&sync, "}}", 2);
    client_send_text(load, client, sync.data, sync.size);
    bytes_free(&sync);
    if (load->resume && !known)
        remember_positions(client, text, size);
}

static uint32_t reference_in(const char *text, size_t size)
{
    const char *found = memmem(text, size, "\"ref\":", 6);
    return found ? (uint32_t)strtoul(found + 6, NULL, 10) : 0;
}

static void failed(struct load *load, const char *text, size_t size)
{
    const char *reason = memmem(text, size, "\"reason\":\"", 10);
    inflight_failed(load, reference_in(text, size), reason ? reason + 10 : "error", reason ? strcspn(reason + 10, "\"") : 5);
}

static void received(struct load *load, struct client *client, const char *text, size_t size)
{
    if (size < 12 || memcmp(text, "{\"type\":\"", 9) != 0) {
        counters_reason(&load->counters, "unexpected frame", 16);
        return;
    }
    const char *type = text + 9;
    if (!memcmp(type, "ev", 2))
        inflight_received(load, text, size);
    else if (!memcmp(type, "ac", 2))
        inflight_acked(load, reference_in(text, size));
    else if (!memcmp(type, "er", 2))
        failed(load, text, size);
    else if (!memcmp(type, "he", 2))
        answer_hello(load, client, text, size);
    else if (!memcmp(type, "sy", 2))
        client_ready(load, client);
    else
        load->counters.others++;
}

static size_t format_message(char *out, size_t room, const struct message *message, const char *room_id, const char *text)
{
    return (size_t)snprintf(out, room,
                            "{\"type\":\"send\",\"ref\":%u,\"channel\":\"%s\",\"key\":\"%08x-0000-4000-8000-%012llx\","
                            "\"text\":\"%s\"}",
                            message->id, room_id, message->id, (unsigned long long)message->at_ns & 0xffffffffffffull,
                            text);
}

static size_t format_heartbeat(char *out, size_t room)
{
    return (size_t)snprintf(out, room, "{\"type\":\"ping\"}");
}

const struct protocol PROTOCOL_HUBBUB = {
    .path = "/v1/connect",
    .headers = "Sec-WebSocket-Protocol: hubbub.v1\r\n",
    .acks = true,
    .heartbeat_seconds = HEARTBEAT_SECONDS,
    .upgraded = upgraded,
    .received = received,
    .send = format_message,
    .heartbeat = format_heartbeat,
};
