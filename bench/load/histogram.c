#include "histogram.h"

#include <string.h>

/* Values below 64 have one bucket each; every power of two above is divided into 64. */
static unsigned bucket_of(uint64_t value)
{
    if (value < 64)
        return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - 6u;
    unsigned bucket = 64u * shift + (unsigned)(value >> shift);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t edge_of(unsigned bucket)
{
    if (bucket < 128)
        return bucket;
    unsigned shift = bucket / 64u - 1u;
    return (uint64_t)(bucket % 64u + 64u) << shift;
}

void histogram_add(struct histogram *histogram, uint64_t duration_ns)
{
    histogram->counts[bucket_of(duration_ns / 1000u)]++;
    histogram->total++;
}

void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void histogram_print(const struct histogram *histogram, FILE *out)
{
    const char *separator = "";
    fputc('[', out);
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        if (!histogram->counts[bucket])
            continue;
        fprintf(out, "%s[%llu,%llu]", separator, (unsigned long long)edge_of(bucket),
                (unsigned long long)histogram->counts[bucket]);
        separator = ",";
    }
    fputc(']', out);
}
