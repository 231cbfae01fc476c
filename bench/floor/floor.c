/* The floor: the minimum cost of a fan-out. It sends every frame that it receives to every socket.
 *
 *   hubbub-floor PORT [JOIN]
 *
 * One send() per delivery; with JOIN, one send() per socket for every JOIN messages. Plain C, one thread, epoll, WebSocket
 * framing, without limits, rooms or state. No real server can cost less, so Hubbub is compared with it.
 * Listens on the loopback interface only.
 */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept_key.h"

enum { BATCH = 256, REQUEST_MAX = 16384, FRAME_MAX = 65536, JOIN_MAX = 1 << 20 };

struct peer {
    int fd;
    bool upgraded;
    uint32_t slot; /* index in peers */
};

static struct peer **peers; /* upgraded sockets */
static uint32_t peer_count, peer_room;
static int epoll;
static int join; /* messages per write */

static char joined[JOIN_MAX]; /* frames waiting for the next joined write */
static size_t joined_size;
static int joined_count;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "hubbub-floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void add_peer(struct peer *peer)
{
    if (peer_count == peer_room) {
        peer_room = peer_room ? peer_room * 2 : 1024;
        peers = realloc(peers, peer_room * sizeof *peers);
        if (!peers)
            die("peers");
    }
    peer->slot = peer_count;
    peers[peer_count++] = peer;
    peer->upgraded = true;
}

static void remove_peer(struct peer *peer)
{
    if (peer->upgraded) {
        peers[peer->slot] = peers[--peer_count];
        peers[peer->slot]->slot = peer->slot;
    }
    close(peer->fd);
    free(peer);
}

/* Data that does not fit into a socket buffer is lost: the floor measures writes, not the handling of slow readers. */
static void send_to_all(const char *data, size_t size)
{
    for (uint32_t i = 0; i < peer_count; i++)
        send(peers[i]->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void broadcast(const char *payload, size_t size)
{
    char *frame = joined + joined_size;
    size_t head_size = 2;
    frame[0] = (char)0x81;
    if (size < 126) {
        frame[1] = (char)size;
    } else {
        uint16_t wide = htobe16((uint16_t)size);
        frame[1] = 126;
        memcpy(frame + 2, &wide, sizeof wide);
        head_size = 4;
    }
    memcpy(frame + head_size, payload, size);
    joined_size += head_size + size;
    if (++joined_count < join && joined_size + FRAME_MAX + 4 < JOIN_MAX)
        return;
    send_to_all(joined, joined_size);
    joined_size = 0;
    joined_count = 0;
}

/* Process every complete masked frame. The load generator sends small frames whole, so incomplete ones do not occur. */
static void take_frames(unsigned char *data, size_t size)
{
    while (size >= 6) {
        size_t length = data[1] & 0x7f, head_size = 2;
        if (length == 126) {
            length = (size_t)data[2] << 8 | data[3];
            head_size = 4;
        }
        if (length == 127 || size < head_size + 4 + length)
            return;
        unsigned char *mask = data + head_size, *payload = mask + 4;
        for (size_t i = 0; i < length; i++)
            payload[i] ^= mask[i & 3];
        if ((data[0] & 0x0f) == 1)
            broadcast((const char *)payload, length);
        data = payload + length;
        size -= head_size + 4 + length;
    }
}

static void upgrade(struct peer *peer, char *request, size_t size)
{
    char answer[256];
    request[size] = 0;
    const char *key = strcasestr(request, "sec-websocket-key: ");
    if (!key || !strstr(request, "\r\n\r\n"))
        return;
    char accept[ACCEPT_KEY_SIZE];
    accept_key(key + 19, strcspn(key + 19, "\r"), accept);
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    send(peer->fd, answer, (size_t)length, MSG_NOSIGNAL);
    add_peer(peer);
}

static void serve(struct peer *peer)
{
    static char buffer[FRAME_MAX + 1];
    ssize_t got = recv(peer->fd, buffer, peer->upgraded ? FRAME_MAX : REQUEST_MAX, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        remove_peer(peer);
    else if (peer->upgraded)
        take_frames((unsigned char *)buffer, (size_t)got);
    else
        upgrade(peer, buffer, (size_t)got);
}

static void accept_all(int listener)
{
    int on = 1, fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *peer = calloc(1, sizeof *peer);
        if (!peer)
            die("peer");
        peer->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_on(int port)
{
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0)
        die("cannot listen");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    return listener;
}

int main(int count, char **arguments)
{
    struct rlimit files;
    struct epoll_event events[BATCH];
    if (count < 2) {
        fprintf(stderr, "usage: hubbub-floor PORT [JOIN]\n");
        return 2;
    }
    join = count > 2 ? atoi(arguments[2]) : 1;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(atoi(arguments[1]));
    for (;;) {
        int ready = epoll_wait(epoll, events, BATCH, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr);
            else
                accept_all(listener);
        }
    }
}
