/* The plan: which clients connect and in which rooms each may send. A text file, one line per socket: `token room room …`. */
#ifndef HUBBUB_LOAD_PLAN_H
#define HUBBUB_LOAD_PLAN_H

#include <stddef.h>
#include <stdint.h>

struct room {
    const char *id;
    uint32_t present; /* ready sockets of this process in the room: the deliveries per message */
};

struct member {
    const char *token;
    uint32_t first_room; /* in plan.memberships */
    uint32_t room_count;
};

struct plan {
    char *text; /* the file; the strings above point into it */
    struct member *members;
    uint32_t member_count;
    uint32_t *memberships; /* indexes into rooms */
    uint32_t membership_count;
    struct room *rooms;
    uint32_t room_count;
};

/* Read `count` lines from line `first` (0-based). Ends the program if the file has fewer or cannot be read. */
void plan_read(struct plan *plan, const char *path, uint32_t first, uint32_t count);

#endif
