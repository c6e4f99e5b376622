/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any text as numa_maps, in pieces of any size: no crash, and the same result however it is cut. The first byte says how. */
#include <string.h>

#include "core/util.h"
#include "host/numa-maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_IDS 4u

static void require(bool condition) {
        if (!condition)
                abort();
}

static uint64_t mix(uint64_t h, uint64_t value) {
        return (h ^ value) * 1099511628211ULL;
}

static uint64_t mix_text(uint64_t h, const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                h = mix(h, (unsigned char) s[i]);
        return mix(h, n);
}

static int take(const struct numa_mapping *m, void *userdata) {
        uint64_t *h = userdata;
        require((int) m->policy >= 0 && m->policy < _POLICY_MODE_MAX);
        require(m->policy_length > 0 && m->kernel_page_bytes > 0);
        require((m->policy == POLICY_DEFAULT) == (m->policy_length == 7 && memcmp(m->policy_text, "default", 7) == 0));
        require(m->is_file == (m->file != NULL));
        *h = mix_text(mix(*h, m->start), m->policy_text, m->policy_length);
        if (m->is_file) {
                require(!memchr(m->file, ' ', m->file_length) && !memchr(m->file, '\n', m->file_length));
                *h = mix_text(*h, m->file, m->file_length);
        }
        *h = mix(*h, m->anon_pages + m->dirty_pages + m->mapped_pages + m->mapmax + m->swapcache_pages + m->active_pages);
        *h = mix(*h, m->truncated + 2U * m->is_heap + 4U * m->is_stack + 8U * m->is_hugetlb);
        for (unsigned i = 0; i < N_IDS; i++)
                *h = mix(*h, m->pages_by_node[i]);
        return 0;
}

static int parse(const char *text, size_t size, size_t piece, uint64_t *ret_hash) {
        _cleanup_(numa_maps_parser_freep) struct numa_maps_parser *p = numa_maps_parser_new(N_IDS, 4096, take, ret_hash);
        require(p != NULL);
        int r = 0;
        for (size_t i = 0; i < size && r == 0; i += piece)
                r = numa_maps_parser_feed(p, text + i, MIN2(piece, size - i));
        return r < 0 ? r : numa_maps_parser_finish(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size == 0)
                return 0;
        uint64_t whole = 0, cut = 0;
        const char *text = (const char *) data + 1;
        int r = parse(text, size - 1, size, &whole);
        require(r == 0 || r == -EBADMSG || r == -ERANGE);
        require(parse(text, size - 1, (size_t) data[0] + 1, &cut) == r);
        require(whole == cut);
        return 0;
}
