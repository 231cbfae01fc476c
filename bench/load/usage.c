#include "usage.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"

void usage_watch(struct usage *usage, const char *list)
{
    usage->count = 0;
    while (list && *list) {
        size_t name_size = strcspn(list, ":");
        if (usage->count == USAGE_MAX || list[name_size] != ':' || name_size >= USAGE_NAME)
            die("cannot watch '%s'", list);
        memcpy(usage->names[usage->count], list, name_size);
        usage->names[usage->count][name_size] = 0;
        char *end;
        usage->pids[usage->count++] = (int)strtol(list + name_size + 1, &end, 10);
        list = *end == ',' ? end + 1 : end;
        if (*end && *end != ',')
            die("cannot watch '%s'", end);
    }
    usage_read(usage);
}

/* utime and stime are fields 14 and 15 of /proc/<pid>/stat; their sum is exact to a tick (proc(5)). */
static double seconds_of(int pid)
{
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, pid ? "/proc/%d/stat" : "/proc/self/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return -1.0;
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = 0;
    const char *after_name = strrchr(line, ')');
    if (!after_name
        || sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return -1.0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double own_seconds;

void usage_read(struct usage *usage)
{
    own_seconds = seconds_of(0);
    for (int i = 0; i < usage->count; i++)
        usage->seconds[i] = seconds_of(usage->pids[i]);
}

void usage_print_since(struct usage *usage, FILE *out)
{
    double own = seconds_of(0);
    double used[USAGE_MAX] = {0};
    for (int i = 0; i < usage->count; i++) {
        double now = seconds_of(usage->pids[i]);
        int first = 0;
        while (strcmp(usage->names[first], usage->names[i]) != 0)
            first++;
        if (now >= 0.0 && usage->seconds[i] >= 0.0)
            used[first] += now - usage->seconds[i];
    }
    fprintf(out, "{\"load\":%.2f", own - own_seconds);
    for (int i = 0; i < usage->count; i++) {
        int first = 0;
        while (strcmp(usage->names[first], usage->names[i]) != 0)
            first++;
        if (first == i)
            fprintf(out, ",\"%s\":%.2f", usage->names[i], used[i]);
    }
    fputc('}', out);
}
