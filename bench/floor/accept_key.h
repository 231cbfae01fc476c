/* Owns the answer to a WebSocket handshake's key: base64(SHA-1(key + GUID)) (RFC 6455, section 4.2.2). */
#ifndef HUBBUB_FLOOR_ACCEPT_KEY_H
#define HUBBUB_FLOOR_ACCEPT_KEY_H

#include <stddef.h>

enum { ACCEPT_KEY_SIZE = 29, KEY_MAX = 80 };

/* Write the answer, ended by a null byte. Keys longer than KEY_MAX are cut: no client of ours sends one. */
void accept_key(const char *key, size_t size, char answer[ACCEPT_KEY_SIZE]);

#endif
