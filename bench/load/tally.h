/* Owns what is counted during one command, and how it is printed. */
#ifndef HUBBUB_LOAD_TALLY_H
#define HUBBUB_LOAD_TALLY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "histogram.h"

enum { TALLY_REASONS = 8, TALLY_REASON_SIZE = 48 };

struct tally {
    uint64_t sent;       /* messages of ours */
    uint64_t acked;      /* of those, answered */
    uint64_t completed;  /* of those, answered and delivered to every member connected here */
    uint64_t deliveries; /* messages received, ours or another generator's */
    uint64_t duplicates; /* of those, once too often */
    uint64_t others;     /* frames that are none of the above */
    uint64_t reads;      /* recv() calls that brought something */
    uint64_t bytes;      /* received */
    uint64_t opened;     /* sockets that became ready */
    uint64_t dropped;    /* sockets that ended without our wish */
    struct histogram delivery; /* send → each socket */
    struct histogram last;     /* send → the last of the members */
    struct histogram ack;      /* send → answer */
    struct histogram opening;  /* connect() → ready */
    char reasons[TALLY_REASONS][TALLY_REASON_SIZE]; /* of errors and of ends, with … */
    uint64_t reason_counts[TALLY_REASONS];          /* … how often each came */
};

/* Count an error or an end; beyond TALLY_REASONS kinds they are counted under the last. */
void tally_reason(struct tally *tally, const char *reason, size_t size);

/* Print the members of a JSON object, each followed by a comma. */
void tally_print(const struct tally *tally, FILE *out);

#endif
