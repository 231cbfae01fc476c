#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

static char *slurp(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        die("cannot read the plan %s", path);
    struct bytes text = {0};
    char block[65536];
    size_t size;
    while ((size = fread(block, 1, sizeof block, file)) > 0)
        bytes_add(&text, block, size);
    fclose(file);
    bytes_add(&text, "", 1);
    return text.data;
}

/* Rooms by id while reading the plan: open addressing, at most half full. */
struct index {
    uint32_t *slots; /* room + 1, or 0 */
    uint32_t mask;
};

static uint32_t hash(const char *id)
{
    uint32_t value = 2166136261u;
    for (; *id; id++)
        value = (value ^ (unsigned char)*id) * 16777619u;
    return value;
}

static uint32_t room_of(struct plan *plan, struct index *index, const char *id)
{
    uint32_t slot = hash(id) & index->mask;
    for (; index->slots[slot]; slot = (slot + 1) & index->mask)
        if (!strcmp(plan->rooms[index->slots[slot] - 1].id, id))
            return index->slots[slot] - 1;
    plan->rooms[plan->room_count] = (struct room){.id = id};
    index->slots[slot] = ++plan->room_count;
    return plan->room_count - 1;
}

static void read_member(struct plan *plan, struct index *index, char *line)
{
    char *rest = NULL;
    struct member *member = &plan->members[plan->member_count++];
    member->token = strtok_r(line, " ", &rest);
    member->first_room = plan->membership_count;
    if (!member->token)
        die("the plan has an empty line");
    for (char *id = strtok_r(NULL, " ", &rest); id; id = strtok_r(NULL, " ", &rest)) {
        plan->memberships[plan->membership_count++] = room_of(plan, index, id);
        member->room_count++;
    }
}

void plan_read(struct plan *plan, const char *path, uint32_t first, uint32_t count)
{
    plan->text = slurp(path);
    size_t words = 1;
    for (const char *at = plan->text; *at; at++)
        words += *at == ' ';
    uint32_t slots = 16;
    while (slots < 2 * words)
        slots *= 2;
    struct index index = {zeroed(slots, sizeof(uint32_t)), slots - 1};
    plan->members = zeroed(count, sizeof *plan->members);
    plan->memberships = zeroed(words, sizeof *plan->memberships);
    plan->rooms = zeroed(words, sizeof *plan->rooms);
    char *rest = NULL;
    uint32_t number = 0;
    for (char *line = strtok_r(plan->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), number++)
        if (number >= first && plan->member_count < count)
            read_member(plan, &index, line);
    free(index.slots);
    if (plan->member_count < count)
        die("the plan %s has only %u lines from line %u on", path, plan->member_count, first);
}
