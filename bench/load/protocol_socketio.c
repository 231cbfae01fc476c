/* The reference stack's protocol: the same operations over Socket.IO (Engine.IO 4 over WebSocket). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static void upgraded(struct load *load, struct client *client)
{
    (void)load, (void)client; /* the server speaks first: "0{…}" */
}

/* "43<id>[{…}]" acknowledges the message with this id: an object with `seq`, or with `error`. */
static void answered(struct load *load, const char *text, size_t size)
{
    char *rest;
    uint32_t id = (uint32_t)strtoul(text + 2, &rest, 10);
    const char *error = memmem(rest, size - (size_t)(rest - text), "\"error\":\"", 9);
    if (error)
        inflight_failed(load, id, error + 9, strcspn(error + 9, "\""));
    else
        inflight_acked(load, id);
}

static void received(struct load *load, struct client *client, const char *text, size_t size)
{
    if (size >= 13 && !memcmp(text, "42[\"message\",", 13))
        inflight_received(load, text, size);
    else if (size >= 2 && !memcmp(text, "43", 2))
        answered(load, text, size);
    else if (text[0] == '2' && size == 1)
        client_send_text(load, client, "3", 1);
    else if (text[0] == '0')
        client_send_text(load, client, "40", 2);
    else if (size >= 10 && !memcmp(text, "42[\"hello\"", 10))
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
