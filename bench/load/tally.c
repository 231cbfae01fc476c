#include "tally.h"

#include <string.h>

void tally_reason(struct tally *tally, const char *reason, size_t size)
{
    if (size >= TALLY_REASON_SIZE)
        size = TALLY_REASON_SIZE - 1;
    int slot = 0;
    while (slot < TALLY_REASONS - 1 && tally->reasons[slot][0]
           && (strlen(tally->reasons[slot]) != size || memcmp(tally->reasons[slot], reason, size) != 0))
        slot++;
    if (!tally->reasons[slot][0])
        for (size_t i = 0; i < size; i++) /* printed as JSON: nothing that needs an escape */
            tally->reasons[slot][i] = reason[i] < ' ' || reason[i] == '"' || reason[i] == '\\' ? '_' : reason[i];
    tally->reason_counts[slot]++;
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

void tally_print(const struct tally *tally, FILE *out)
{
    print_count("sent", tally->sent, out);
    print_count("acked", tally->acked, out);
    print_count("completed", tally->completed, out);
    print_count("deliveries", tally->deliveries, out);
    print_count("duplicates", tally->duplicates, out);
    print_count("others", tally->others, out);
    print_count("reads", tally->reads, out);
    print_count("bytes", tally->bytes, out);
    print_count("opened", tally->opened, out);
    print_count("dropped", tally->dropped, out);
    print_histogram("delivery_us", &tally->delivery, out);
    print_histogram("last_us", &tally->last, out);
    print_histogram("ack_us", &tally->ack, out);
    print_histogram("opening_us", &tally->opening, out);
    fputs("\"reasons\":{", out);
    for (int i = 0; i < TALLY_REASONS && tally->reasons[i][0]; i++)
        fprintf(out, "%s\"%s\":%llu", i ? "," : "", tally->reasons[i], (unsigned long long)tally->reason_counts[i]);
    fputs("},", out);
}
