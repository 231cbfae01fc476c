/* The protocol of the floor server, which sends every frame to every socket: frames as long as Hubbub's events. */
#include <stdio.h>

#include "load.h"

static void upgraded(struct load *load, struct client *client)
{
    client_ready(load, client);
}

static void received(struct load *load, struct client *client, const char *text, size_t size)
{
    (void)client;
    inflight_received(load, text, size);
}

static size_t format_message(char *out, size_t room, const struct message *message, const char *room_id, const char *text)
{
    return (size_t)snprintf(
        out, room,
        "{\"type\":\"event\",\"channel\":\"%s\",\"seq\":%u,\"kind\":\"message.posted\",\"actor\":\"u00000001\","
        "\"at\":\"2026-01-01T00:00:00.000000Z\",\"data\":{\"message\":\"%s\",\"key\":\"%08x-0000-4000-8000-%012llx\","
        "\"text\":\"%s\",\"thread\":null,\"attachments\":[],\"mentions\":[]}}",
        room_id, message->id, room_id, message->id, (unsigned long long)message->at_ns & 0xffffffffffffull, text);
}

const struct protocol PROTOCOL_PLAIN = {
    .path = "/",
    .headers = "",
    .upgraded = upgraded,
    .received = received,
    .send = format_message,
};
