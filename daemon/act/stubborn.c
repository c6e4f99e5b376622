/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A sorted array of ranges. They come in order of address nearly always, and are then put at the end. */
#include "act/stubborn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

struct entry {
        struct process_ref process;
        uint64_t start, end;
        uint64_t until_usec, hold_usec;
};

struct stubborn {
        struct entry *entries; /* by process and address; none overlap */
        size_t n, capacity;
};

static int compare_process(const struct process_ref *a, const struct process_ref *b) {
        if (a->pid != b->pid)
                return a->pid < b->pid ? -1 : 1;
        return a->start_ticks < b->start_ticks ? -1 : a->start_ticks > b->start_ticks;
}

/* The first entry that ends behind `address`, or is of a later process. */
static size_t find(const struct stubborn *s, const struct process_ref *p, uint64_t address) {
        size_t low = 0, high = s->n;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const struct entry *e = &s->entries[middle];
                int order = compare_process(&e->process, p);
                if (order < 0 || (order == 0 && e->end <= address))
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool meets(const struct stubborn *s, size_t i, const struct process_ref *p, uint64_t end) {
        return i < s->n && compare_process(&s->entries[i].process, p) == 0 && s->entries[i].start < end;
}

int stubborn_copy(const struct stubborn *s, uint64_t now_usec, struct stubborn **ret) {
        struct stubborn *copy = calloc(1, sizeof(*copy));
        int r = copy ? 0 : -ENOMEM;
        if (r >= 0 && s && s->n > 0)
                r = array_reserve(&copy->entries, &copy->capacity, s->n, sizeof(*copy->entries));
        if (r < 0) {
                stubborn_free(copy);
                return r;
        }
        /* What is due stays for a while, for how long it was held. */
        for (size_t i = 0; s && i < s->n; i++)
                if (now_usec < s->entries[i].until_usec + s->entries[i].hold_usec)
                        copy->entries[copy->n++] = s->entries[i];
        *ret = copy;
        return 0;
}

struct stubborn *stubborn_free(struct stubborn *s) {
        if (s)
                free(s->entries);
        free(s);
        return NULL;
}

int stubborn_add(struct stubborn *s, const struct process_ref *p, uint64_t start, uint64_t end, uint64_t now_usec) {
        struct entry new = { *p, start, end, 0, STUBBORN_HOLD_MIN_USEC };
        size_t first = find(s, p, start), last = first;
        for (; meets(s, last, p, end); last++) { /* it failed before */
                const struct entry *e = &s->entries[last];
                uint64_t twice = e->until_usec <= now_usec ? e->hold_usec * 2 : e->hold_usec;
                new.hold_usec = MIN2(MAX2(new.hold_usec, twice), STUBBORN_HOLD_MAX_USEC);
                new.start = MIN2(new.start, e->start);
                new.end = MAX2(new.end, e->end);
        }
        new.until_usec = now_usec + new.hold_usec;
        /* Neighbours of one kind are one range. */
        if (first > 0 && compare_process(&s->entries[first - 1].process, p) == 0 && s->entries[first - 1].end == new.start &&
            s->entries[first - 1].hold_usec == new.hold_usec)
                new.start = s->entries[--first].start;
        if (first == last) {
                if (s->n >= STUBBORN_MAX)
                        return 0;
                int r = array_reserve(&s->entries, &s->capacity, s->n + 1, sizeof(*s->entries));
                if (r < 0)
                        return r;
        }
        memmove(&s->entries[first + 1], &s->entries[last], (s->n - last) * sizeof(*s->entries));
        s->entries[first] = new;
        s->n += 1 - (last - first);
        return 0;
}

bool stubborn_has_any(const struct stubborn *s, const struct process_ref *p, uint64_t start, uint64_t end, uint64_t now_usec) {
        for (size_t i = s ? find(s, p, start) : 0; s && meets(s, i, p, end); i++)
                if (now_usec < s->entries[i].until_usec)
                        return true;
        return false;
}

bool stubborn_has_all(const struct stubborn *s, const struct process_ref *p, uint64_t start, uint64_t end, uint64_t now_usec) {
        for (size_t i = s ? find(s, p, start) : 0; s && meets(s, i, p, end); i++) {
                const struct entry *e = &s->entries[i];
                if (e->start > start || now_usec >= e->until_usec)
                        return false;
                start = e->end;
                if (start >= end)
                        return true;
        }
        return false;
}

size_t stubborn_count(const struct stubborn *s) {
        return s ? s->n : 0;
}
