#include "counters.h"

#include <string.h>

void counters_reason(struct counters *counters, const char *reason, size_t size)
{
    if (size >= COUNTERS_REASON_SIZE)
        size = COUNTERS_REASON_SIZE - 1;
    int slot = 0;
    while (slot < COUNTERS_REASONS - 1 && counters->reasons[slot][0]
           && (strlen(counters->reasons[slot]) != size || memcmp(counters->reasons[slot], reason, size) != 0))
        slot++;
    if (!counters->reasons[slot][0])
        for (size_t i = 0; i < size; i++) /* printed as JSON: replace characters that would need an escape */
            counters->reasons[slot][i] = reason[i] < ' ' || reason[i] == '"' || reason[i] == '\\' ? '_' : reason[i];
    counters->reason_counts[slot]++;
}

static void print_count(const char *name, uint64_t count, FILE *out)
{
    fprintf(out, "\"%s\":%llu,", name, (unsigned long long)count);
}

static void print_histogram(const char *name, const struct histogram *histogram, FILE *out)
{
    fprintf(out, "\"%s\":", name);
    histogram_print(histogram, out);
    fputc(',', out);
}

void counters_print(const struct counters *counters, FILE *out)
{
    print_count("sent", counters->sent, out);
    print_count("acked", counters->acked, out);
    print_count("completed", counters->completed, out);
    print_count("deliveries", counters->deliveries, out);
    print_count("duplicates", counters->duplicates, out);
    print_count("others", counters->others, out);
    print_count("reads", counters->reads, out);
    print_count("bytes", counters->bytes, out);
    print_count("opened", counters->opened, out);
    print_count("dropped", counters->dropped, out);
    print_histogram("delivery_us", &counters->delivery, out);
    print_histogram("last_us", &counters->last, out);
    print_histogram("ack_us", &counters->ack, out);
    print_histogram("opening_us", &counters->opening, out);
    fputs("\"reasons\":{", out);
    for (int i = 0; i < COUNTERS_REASONS && counters->reasons[i][0]; i++)
        fprintf(out, "%s\"%s\":%llu", i ? "," : "", counters->reasons[i], (unsigned long long)counters->reason_counts[i]);
    fputs("},", out);
}
