/* Processor time of the processes under test and of the load generator, from the kernel. */
#ifndef HUBBUB_LOAD_USAGE_H
#define HUBBUB_LOAD_USAGE_H

#include <stdio.h>

enum { USAGE_MAX = 256, USAGE_NAME = 32 };

/* Watched processes. Several may share a name (PostgreSQL has a process per connection). */
struct usage {
    int count;
    int pids[USAGE_MAX];
    char names[USAGE_MAX][USAGE_NAME];
    double seconds[USAGE_MAX]; /* at the last reading: user and system time of all threads */
};

/* Parse "name:pid,name:pid". Ends the program if it is malformed. */
void usage_watch(struct usage *usage, const char *list);

/* Read the time used so far. */
void usage_read(struct usage *usage);

/* Print {"load": s, "name": s, …}: seconds used since the last reading, summed by name. */
void usage_print_since(struct usage *usage, FILE *out);

#endif
