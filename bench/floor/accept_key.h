/* The accept value of a WebSocket handshake: base64(SHA-1(key + GUID)) (RFC 6455, section 4.2.2). */
#ifndef HUBBUB_FLOOR_ACCEPT_KEY_H
#define HUBBUB_FLOOR_ACCEPT_KEY_H

#include <stddef.h>

enum { ACCEPT_KEY_SIZE = 29, KEY_MAX = 80 };

/* Write the value, null-terminated. Keys longer than KEY_MAX, which the load generator never sends, are truncated. */
void accept_key(const char *key, size_t size, char answer[ACCEPT_KEY_SIZE]);

#endif
