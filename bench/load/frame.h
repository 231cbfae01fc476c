/* WebSocket frames (RFC 6455, section 5): writes masked client frames, reads unmasked server frames. */
#ifndef HUBBUB_LOAD_FRAME_H
#define HUBBUB_LOAD_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum { FRAME_TEXT = 0x1, FRAME_CLOSE = 0x8, FRAME_PING = 0x9, FRAME_PONG = 0xA };
enum { FRAME_HEAD_MAX = 14 };

struct frame {
    int opcode;
    int final;
    char *payload;
    size_t size;
};

/* Read one frame from the start of `data`. Returns its length on the wire, or 0 if it is incomplete. */
size_t frame_read(char *data, size_t size, struct frame *frame);

/* Write one masked frame to `out`, which has room for `size` + FRAME_HEAD_MAX. Returns its length on the wire. */
size_t frame_write(char *out, int opcode, const char *payload, size_t size);

#endif
