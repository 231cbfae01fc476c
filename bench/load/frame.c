#include "frame.h"

#include <endian.h>
#include <string.h>

/* Masks protect proxies from hostile pages. A fixed mask suffices here, and costs the server the same. */
static const unsigned char MASK[4] = {0x5a, 0xc3, 0x96, 0x3c};

size_t frame_read(char *data, size_t size, struct frame *frame)
{
    if (size < 2)
        return 0;
    const unsigned char *head = (const unsigned char *)data;
    size_t length = head[1] & 0x7f;
    size_t head_size = 2;
    if (length == 126) {
        uint16_t wide;
        if (size < 4)
            return 0;
        memcpy(&wide, head + 2, sizeof wide);
        length = be16toh(wide);
        head_size = 4;
    } else if (length == 127) {
        uint64_t wide;
        if (size < 10)
            return 0;
        memcpy(&wide, head + 2, sizeof wide);
        length = be64toh(wide);
        head_size = 10;
    }
    if (size - head_size < length)
        return 0;
    frame->opcode = head[0] & 0x0f;
    frame->final = head[0] >> 7;
    frame->payload = data + head_size;
    frame->size = length;
    return head_size + length;
}

size_t frame_write(char *out, int opcode, const char *payload, size_t size)
{
    size_t head_size = 2;
    out[0] = (char)(0x80 | opcode);
    if (size < 126) {
        out[1] = (char)(0x80 | size);
    } else if (size <= 0xffff) {
        uint16_t wide = htobe16((uint16_t)size);
        out[1] = (char)(0x80 | 126);
        memcpy(out + 2, &wide, sizeof wide);
        head_size = 4;
    } else {
        uint64_t wide = htobe64(size);
        out[1] = (char)(0x80 | 127);
        memcpy(out + 2, &wide, sizeof wide);
        head_size = 10;
    }
    memcpy(out + head_size, MASK, sizeof MASK);
    char *body = out + head_size + sizeof MASK;
    for (size_t i = 0; i < size; i++)
        body[i] = (char)(payload[i] ^ MASK[i & 3]);
    return head_size + sizeof MASK + size;
}
