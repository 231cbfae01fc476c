/* The load generator's state, and its modules:
 *
 * client.c      one socket: connecting, handshake, frames
 * loop.c        the event loop over all sockets: pace of connecting, heartbeats, reconnects
 * inflight.c    messages in flight: sent, acknowledged, delivered
 * protocol_*.c  the content of frames, one file per protocol
 * commands.c    the commands on stdin
 */
#ifndef HUBBUB_LOAD_LOAD_H
#define HUBBUB_LOAD_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "counters.h"
#include "plan.h"

enum { LOAD_TARGETS = 16, LOAD_TEXT_MAX = 4096, LOAD_PAYLOAD_MAX = LOAD_TEXT_MAX + 1024 };

enum client_state {
    DOWN,        /* no socket */
    CONNECTING,  /* connect() in progress */
    HANDSHAKING, /* request sent, no response yet */
    JOINING,     /* upgraded, has not joined its rooms yet */
    READY,       /* receives, and may send */
};

struct client {
    int fd;
    uint8_t state;
    uint8_t target;         /* its server, or the next one to try */
    uint16_t turn;          /* next room to send to */
    uint32_t number;        /* line in the plan */
    uint64_t since_ns;      /* start of connecting; while DOWN, time of the next attempt */
    struct bytes unread;    /* incomplete frame or handshake response */
    struct bytes unsent;    /* did not fit into the socket's buffer */
    struct bytes positions; /* positions to resume from, with --resume */
};

/* One message in flight. */
struct message {
    uint64_t at_ns; /* send time; with a rate, the scheduled send time */
    uint32_t id;
    uint32_t room;
    uint32_t expected;
    uint32_t delivered;
    bool acked;
    bool done;
};

enum { INFLIGHT_SLOTS = 1 << 18 };

struct inflight {
    struct message *slots;
    uint32_t next_id;
    uint32_t outstanding;
    uint16_t tag; /* distinguishes this process's messages from other generators' */
};

struct load;

/* A protocol spoken over WebSocket. */
struct protocol {
    const char *path;         /* handshake path */
    const char *headers;      /* additional handshake headers, each with its line end */
    bool acks;                /* the server acknowledges messages */
    double heartbeat_seconds; /* interval of heartbeats; 0: only on request */
    void (*upgraded)(struct load *load, struct client *client);
    void (*received)(struct load *load, struct client *client, const char *text, size_t size);
    size_t (*send)(char *out, size_t room, const struct message *message, const char *room_id, const char *text);
    size_t (*heartbeat)(char *out, size_t room);
};

extern const struct protocol PROTOCOL_HUBBUB, PROTOCOL_SOCKETIO, PROTOCOL_PLAIN;

struct load {
    const struct protocol *protocol;
    struct plan plan;
    struct client *clients; /* one per plan member */
    struct sockaddr_in targets[LOAD_TARGETS];
    char target_names[LOAD_TARGETS][32];
    int target_count;
    bool resume;            /* resume from positions after a reconnect */
    bool gather;            /* first connect all sockets to the first target instead of spreading them */
    bool reconnects;        /* a closed socket reconnects to the next target */
    uint64_t spread_ns;     /* reconnects are spread over this time */
    uint32_t opening_limit; /* sockets that may connect concurrently; 0: open none */
    uint32_t opening;       /* sockets that are connecting */
    uint32_t ready;
    uint32_t open_cursor, heartbeat_cursor, send_cursor;
    uint64_t heartbeats_until_ns; /* heartbeats were sent up to this time */
    int epoll;
    struct inflight inflight;
    struct counters counters;
};

/* client.c */
void client_open(struct load *load, struct client *client);
void client_close(struct load *load, struct client *client);
void client_serve(struct load *load, struct client *client, uint32_t epoll_events);
void client_send_text(struct load *load, struct client *client, const char *payload, size_t size);
void client_ready(struct load *load, struct client *client); /* called by the protocol */

/* loop.c */
void loop_start(struct load *load);
void loop_turn(struct load *load, uint64_t until_ns); /* one iteration; waits for events at most until then */

/* inflight.c */
void inflight_start(struct load *load);
bool inflight_send(struct load *load, uint64_t at_ns, uint32_t senders, uint32_t text_size); /* false: no client can send */
void inflight_acked(struct load *load, uint32_t id);
void inflight_failed(struct load *load, uint32_t id, const char *reason, size_t size);
void inflight_received(struct load *load, const char *text, size_t size); /* a socket received a message */
void inflight_abandon(struct load *load);                                 /* give up on all messages in flight */

/* commands.c: each prints one line of JSON */
void commands_run(struct load *load, char *command);

#endif
