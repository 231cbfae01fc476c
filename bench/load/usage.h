/* Owns the kernel's accounting of processor time: of the processes under test and of the load generator itself. */
#ifndef HUBBUB_LOAD_USAGE_H
#define HUBBUB_LOAD_USAGE_H

#include <stdio.h>

enum { USAGE_MAX = 256, USAGE_NAME = 32 };

/* Processes that are watched, some under one name (PostgreSQL has a process for each connection). */
struct usage {
    int count;
    int pids[USAGE_MAX];
    char names[USAGE_MAX][USAGE_NAME];
    double seconds[USAGE_MAX]; /* at the last reading; user and system, all threads */
};

/* Take "name:pid,name:pid". Ends the program when it is malformed. */
void usage_watch(struct usage *usage, const char *list);

/* Remember how much each has used up to now. */
void usage_read(struct usage *usage);

/* Print {"load": s, "name": s, …}: seconds used since the last reading, those of one name added up. */
void usage_print_since(struct usage *usage, FILE *out);

#endif
