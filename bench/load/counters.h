/* The counters of one command, and their output. */
#ifndef HUBBUB_LOAD_COUNTERS_H
#define HUBBUB_LOAD_COUNTERS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "histogram.h"

enum { COUNTERS_REASONS = 8, COUNTERS_REASON_SIZE = 48 };

struct counters {
    uint64_t sent;       /* messages sent by this process */
    uint64_t acked;      /* of those, acknowledged */
    uint64_t completed;  /* of those, acknowledged and delivered to every member connected here */
    uint64_t deliveries; /* messages received, from any generator */
    uint64_t duplicates; /* of those, duplicates */
    uint64_t others;     /* other frames */
    uint64_t reads;      /* recv() calls that returned data */
    uint64_t bytes;      /* received */
    uint64_t opened;     /* sockets that became ready */
    uint64_t dropped;    /* sockets closed unexpectedly */
    struct histogram delivery; /* send → each socket */
    struct histogram last;     /* send → the last of the members */
    struct histogram ack;      /* send → acknowledgement */
    struct histogram opening;  /* connect() → ready */
    char reasons[COUNTERS_REASONS][COUNTERS_REASON_SIZE]; /* reasons of errors and disconnects */
    uint64_t reason_counts[COUNTERS_REASONS];          /* occurrences of each reason */
};

/* Count an error or disconnect. Beyond COUNTERS_REASONS kinds, the last one counts all others. */
void counters_reason(struct counters *counters, const char *reason, size_t size);

/* Print the members of a JSON object, each followed by a comma. */
void counters_print(const struct counters *counters, FILE *out);

#endif
