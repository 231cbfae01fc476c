/* Growable byte strings. */
#ifndef HUBBUB_LOAD_BYTES_H
#define HUBBUB_LOAD_BYTES_H

#include <stddef.h>

struct bytes {
    char *data;
    size_t size;
    size_t room; /* allocated */
};

/* Append `size` bytes. Ends the program when out of memory. */
void bytes_add(struct bytes *bytes, const void *data, size_t size);

/* Remove the first `size` bytes. */
void bytes_drop(struct bytes *bytes, size_t size);

/* Free the memory: an idle socket holds none. */
void bytes_free(struct bytes *bytes);

/* Print one line to stderr and end the program with status 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* calloc or die. */
void *zeroed(size_t count, size_t size);

#endif
