/* One socket: connecting, handshake, frames. The protocol handles the content of frames. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "frame.h"
#include "load.h"

enum { READ_ROOM = 1 << 18, SOURCES = 8 };

static const uint64_t PAUSE_NS = 100 * NS_PER_MS; /* before a closed socket reconnects */

static char read_buffer[READ_ROOM]; /* shared: holds nothing between two calls */

/* Count a closed socket and, with `reconnects`, schedule its reconnect. */
static void disconnected(struct load *load, struct client *client, const char *reason)
{
    load->counters.dropped++;
    counters_reason(&load->counters, reason, strlen(reason));
    client_close(load, client);
    client->since_ns = clock_ns() + PAUSE_NS;
    if (load->reconnects) {
        client->target = (uint8_t)((client->target + 1) % load->target_count);
        client->since_ns += load->spread_ns ? (uint64_t)random() * 1000u % load->spread_ns : 0;
    }
}

static void await(struct load *load, struct client *client, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};
    epoll_ctl(load->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

void client_open(struct load *load, struct client *client)
{
    int on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        die("cannot open socket %u: %s", client->number, strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    /* Several source addresses: each has only 28,000 ports towards one server. */
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + client->number % SOURCES);
    if (bind(client->fd, (struct sockaddr *)&source, sizeof source) < 0)
        die("cannot bind to 127.0.0.%u: %s", 2 + client->number % SOURCES, strerror(errno));
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->fd, &event);
    client->state = CONNECTING;
    client->since_ns = clock_ns();
    load->opening++;
    struct sockaddr_in *target = &load->targets[client->target];
    if (connect(client->fd, (struct sockaddr *)target, sizeof *target) < 0 && errno != EINPROGRESS)
        disconnected(load, client, "refused");
}

void client_close(struct load *load, struct client *client)
{
    if (client->state == DOWN)
        return;
    if (client->state == READY) {
        const struct member *member = &load->plan.members[client->number];
        for (uint32_t i = 0; i < member->room_count; i++)
            load->plan.rooms[load->plan.memberships[member->first_room + i]].present--;
        load->ready--;
    } else {
        load->opening--;
    }
    close(client->fd);
    client->fd = -1;
    client->state = DOWN;
    client->since_ns = 0;
    bytes_free(&client->unread);
    bytes_free(&client->unsent);
}

void client_ready(struct load *load, struct client *client)
{
    if (client->state != JOINING)
        return;
    const struct member *member = &load->plan.members[client->number];
    for (uint32_t i = 0; i < member->room_count; i++)
        load->plan.rooms[load->plan.memberships[member->first_room + i]].present++;
    client->state = READY;
    load->ready++;
    load->opening--;
    load->counters.opened++;
    histogram_add(&load->counters.opening, clock_ns() - client->since_ns);
}

static void push(struct load *load, struct client *client, const char *data, size_t size)
{
    ssize_t sent = 0;
    if (!client->unsent.size) {
        sent = send(client->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            return; /* the next read returns the error */
        if (sent < 0)
            sent = 0;
    }
    if ((size_t)sent < size) {
        bytes_add(&client->unsent, data + sent, size - (size_t)sent);
        await(load, client, EPOLLIN | EPOLLOUT);
    }
}

void client_send_text(struct load *load, struct client *client, const char *payload, size_t size)
{
    static char wire[FRAME_HEAD_MAX + (1 << 16)];
    if (size > 1 << 16)
        die("a frame of %zu bytes is too long", size);
    push(load, client, wire, frame_write(wire, FRAME_TEXT, payload, size));
}

static void send_handshake(struct load *load, struct client *client)
{
    char request[16384];
    int failed = 0;
    socklen_t size = sizeof failed;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    if (failed) {
        disconnected(load, client, "refused");
        return;
    }
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: aHViYnViLWxvYWQta2V5IQ==\r\n"
                          "Authorization: Bearer %s\r\n%s\r\n",
                          load->protocol->path, load->target_names[client->target],
                          load->plan.members[client->number].token, load->protocol->headers);
    if (length >= (int)sizeof request)
        die("the token of line %u is too long", client->number);
    client->state = HANDSHAKING;
    await(load, client, EPOLLIN);
    push(load, client, request, (size_t)length);
}

/* Returns the length of the handshake response in `data`, or 0 if it is incomplete or a refusal. */
static size_t read_handshake(struct load *load, struct client *client, char *data, size_t size)
{
    char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (memcmp(data, "HTTP/1.1 101 ", 13) != 0) {
        char reason[16] = "HTTP ";
        memcpy(reason + 5, data + 9, size > 12 ? 3 : 0);
        disconnected(load, client, reason);
        return 0;
    }
    client->state = JOINING;
    load->protocol->upgraded(load, client);
    return (size_t)(end + 4 - data);
}

static void closed_by_peer(struct load *load, struct client *client, const struct frame *frame)
{
    char reason[32] = "close";
    if (frame->size >= 2)
        snprintf(reason, sizeof reason, "close %d",
                 (unsigned char)frame->payload[0] << 8 | (unsigned char)frame->payload[1]);
    disconnected(load, client, reason);
}

/* Process every complete frame in `data`. Returns the bytes processed. The socket may be DOWN afterwards. */
static size_t take_frames(struct load *load, struct client *client, char *data, size_t size)
{
    size_t taken = 0, length;
    struct frame frame;
    while (client->state != DOWN && (length = frame_read(data + taken, size - taken, &frame)) > 0) {
        taken += length;
        if (frame.opcode == FRAME_TEXT && frame.final) {
            load->protocol->received(load, client, frame.payload, frame.size);
        } else if (frame.opcode == FRAME_CLOSE) {
            closed_by_peer(load, client, &frame);
        } else if (frame.opcode == FRAME_PING && frame.size < 126) {
            char wire[FRAME_HEAD_MAX + 125];
            push(load, client, wire, frame_write(wire, FRAME_PONG, frame.payload, frame.size));
        } else {
            counters_reason(&load->counters, "unexpected frame", 16);
        }
    }
    return taken;
}

static void pull(struct load *load, struct client *client)
{
    size_t size = client->unread.size;
    if (size >= READ_ROOM)
        die("a frame is longer than %d bytes", READ_ROOM);
    memcpy(read_buffer, client->unread.data ? client->unread.data : "", size);
    bytes_free(&client->unread);
    ssize_t got = recv(client->fd, read_buffer + size, READ_ROOM - size, 0);
    if (got < 0 && errno == EAGAIN)
        got = 0;
    else if (got <= 0) {
        disconnected(load, client, got ? "reset" : "ended");
        return;
    }
    load->counters.reads++;
    load->counters.bytes += (uint64_t)got;
    size += (size_t)got;
    size_t taken = 0;
    if (client->state == HANDSHAKING)
        taken = read_handshake(load, client, read_buffer, size);
    if (client->state == JOINING || client->state == READY)
        taken += take_frames(load, client, read_buffer + taken, size - taken);
    if (client->state != DOWN && taken < size)
        bytes_add(&client->unread, read_buffer + taken, size - taken);
}

void client_serve(struct load *load, struct client *client, uint32_t epoll_events)
{
    if (client->state == CONNECTING) {
        send_handshake(load, client);
        return;
    }
    if (client->state != DOWN && (epoll_events & EPOLLOUT) && client->unsent.size) {
        ssize_t sent = send(client->fd, client->unsent.data, client->unsent.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            bytes_drop(&client->unsent, (size_t)sent);
        if (!client->unsent.size) {
            bytes_free(&client->unsent);
            await(load, client, EPOLLIN);
        }
    }
    if (client->state != DOWN && (epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        pull(load, client);
}
