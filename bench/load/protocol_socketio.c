/* Socket.IO (Engine.IO 4 over WebSocket), as the reference stack and Hubbub's Socket.IO door speak it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static void upgraded(struct load *load, struct client *client)
{
    (void)load, (void)client; /* the server speaks first: "0{…}" */
}

/* "43<id>[{…}]" acknowledges the message with this id. A failure has the stack's `error`, or Hubbub's `"ok":false` and `reason`. */
static void answered(struct load *load, const char *text, size_t size)
{
    char *rest;
    uint32_t id = (uint32_t)strtoul(text + 2, &rest, 10);
    size_t left = size - (size_t)(rest - text);
    const char *reason = memmem(rest, left, "\"error\":\"", 9);
    if (reason)
        reason += 9;
    else if (memmem(rest, left, "\"ok\":false", 10))
        reason = (reason = memmem(rest, left, "\"reason\":\"", 10)) ? reason + 10 : "error\"";
    if (reason)
        inflight_failed(load, id, reason, strcspn(reason, "\""));
    else
        inflight_acked(load, id);
}

static bool starts(const char *text, size_t size, const char *start)
{
    size_t length = strlen(start);
    return size >= length && !memcmp(text, start, length);
}

static void received(struct load *load, struct client *client, const char *text, size_t size)
{
    if (starts(text, size, "42[\"message\",") || starts(text, size, "42[\"event\","))
        inflight_received(load, text, size);
    else if (starts(text, size, "43"))
        answered(load, text, size);
    else if (text[0] == '2' && size == 1)
        client_send_text(load, client, "3", 1);
    else if (text[0] == '0')
        client_send_text(load, client, "40", 2);
    else if (starts(text, size, "42[\"hello\""))
        client_ready(load, client);
    else
        load->counters.others++;
}

static size_t format_message(char *out, size_t room, const struct message *message, const char *room_id, const char *text)
{
    return (size_t)snprintf(out, room,
                            "42%u[\"send\",{\"channel\":\"%s\",\"key\":\"%08x-0000-4000-8000-%012llx\",\"text\":\"%s\"}]",
                            message->id, room_id, message->id, (unsigned long long)message->at_ns & 0xffffffffffffull,
                            text);
}

const struct protocol PROTOCOL_SOCKETIO = {
    .path = "/socket.io/?EIO=4&transport=websocket",
    .headers = "",
    .acks = true,
    .upgraded = upgraded,
    .received = received,
    .send = format_message,
};
