/* Histograms of durations in microseconds, with log-linear buckets of 1.6 % width, so that rounds can be merged. */
#ifndef HUBBUB_LOAD_HISTOGRAM_H
#define HUBBUB_LOAD_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum { HISTOGRAM_BUCKETS = 64 * 40 };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
};

void histogram_add(struct histogram *histogram, uint64_t duration_ns);

void histogram_clear(struct histogram *histogram);

/* Print [[lower edge in microseconds, count], …] for the buckets that are not empty. */
void histogram_print(const struct histogram *histogram, FILE *out);

#endif
