/* The load generator's state, and who owns which part of it.
 *
 * client.c   one socket: connecting, the handshake, frames in and out
 * crowd.c    all of them: the event loop, the pace of connecting, heartbeats, coming back
 * flight.c   messages under way: sent, answered, delivered
 * speech_*.c what is said in the frames, one file per protocol
 * rounds.c   the commands that measure
 */
#ifndef HUBBUB_LOAD_LOAD_H
#define HUBBUB_LOAD_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "plan.h"
#include "tally.h"

enum { LOAD_TARGETS = 16, LOAD_TEXT_MAX = 4096, LOAD_PAYLOAD_MAX = LOAD_TEXT_MAX + 1024 };

enum client_state {
    DOWN,       /* no socket */
    CONNECTING, /* connect() under way */
    SHAKING,    /* request sent, no answer yet */
    GREETING,   /* upgraded, not yet in its rooms */
    READY,      /* receives and may send */
};

struct client {
    int fd;
    uint8_t state;
    uint8_t target;      /* which server it is at, or tries next */
    uint16_t turn;       /* which of its rooms is next */
    uint32_t number;     /* in the plan */
    uint64_t since_ns;   /* began to connect; while DOWN, when it may try again */
    struct bytes unread; /* the first part of a frame or of the handshake's answer */
    struct bytes unsent; /* what the socket's buffer had no room for */
    struct bytes positions; /* what to resume from, where that is asked for */
};

/* One message under way. */
struct message {
    uint64_t at_ns; /* when it was, or in an open round should have been, sent */
    uint32_t id;
    uint32_t room;
    uint32_t expected;
    uint32_t delivered;
    bool acked;
    bool done;
};

enum { FLIGHT_SLOTS = 1 << 18 };

struct flight {
    struct message *slots;
    uint32_t next_id;
    uint32_t outstanding;
    uint16_t tag; /* tells this process's messages from another generator's */
};

struct load;

/* What is said in the frames. */
struct speech {
    const char *path;    /* of the handshake */
    const char *headers; /* of the handshake, each with its line end */
    bool acks;           /* a message is answered */
    double beat_seconds; /* how often a client must say something; 0: only when asked */
    void (*upgraded)(struct load *load, struct client *client);
    void (*heard)(struct load *load, struct client *client, const char *text, size_t size);
    size_t (*send)(char *out, size_t room, const struct message *message, const char *room_id, const char *text);
    size_t (*beat)(char *out, size_t room);
};

extern const struct speech SPEECH_HUBBUB, SPEECH_SOCKETIO, SPEECH_PLAIN;

struct load {
    const struct speech *speech;
    struct plan plan;
    struct client *clients; /* as many as the plan has members */
    struct sockaddr_in targets[LOAD_TARGETS];
    char target_names[LOAD_TARGETS][32];
    int target_count;
    bool resume;            /* remember positions and sync from them */
    bool gather;            /* all connect to the first target at first, else they spread over all */
    bool comes_back;        /* a socket that ends connects again, elsewhere */
    uint64_t spread_ns;     /* over which those that come back are spread */
    uint32_t opening_limit; /* sockets that may be on their way at a time; 0: none is opened */
    uint32_t opening;       /* that are */
    uint32_t ready;
    uint32_t open_cursor, beat_cursor, send_cursor;
    uint64_t beats_done_ns; /* up to when heartbeats were given */
    int epoll;
    struct flight flight;
    struct tally tally;
};

/* client.c */
void client_open(struct load *load, struct client *client);
void client_close(struct load *load, struct client *client);
void client_serve(struct load *load, struct client *client, uint32_t epoll_events);
void client_say(struct load *load, struct client *client, const char *payload, size_t size);
void client_ready(struct load *load, struct client *client); /* called by the speech */

/* crowd.c */
void crowd_start(struct load *load);
void crowd_turn(struct load *load, uint64_t until_ns); /* serve sockets once, waiting for them until then at most */

/* flight.c */
void flight_start(struct load *load);
bool flight_send(struct load *load, uint64_t at_ns, uint32_t senders, uint32_t text_size); /* false: no sender can */
void flight_acked(struct load *load, uint32_t id);
void flight_failed(struct load *load, uint32_t id, const char *reason, size_t size);
void flight_heard(struct load *load, const char *text, size_t size); /* a message's text arrived at a socket */
void flight_forget(struct load *load);                               /* give up what is under way */

/* rounds.c: each prints one line of JSON */
void rounds_obey(struct load *load, char *command);

#endif
