/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of a rule that name other things one by one: rules, devices, and nodes with their weights. */
#include <ctype.h>
#include <string.h>

#include "config/config-private.h"

static bool list_has(const struct string_list *l, const char *text) {
        for (size_t i = 0; i < l->n_items; i++)
                if (strcmp(l->items[i], text) == 0)
                        return true;
        return false;
}

static int add_name(struct config_file *f, const struct key *k, const struct value *v, const char *text, void *field) {
        int r = check_name(f, k, v, text);
        if (r < 0)
                return r;
        if (list_has(field, text))
                return wrong_text(f, k, v, "is named twice", "every rule once");
        return string_list_add(field, text);
}

int field_names(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        return each_text(f, k, v, "the name of a rule, or a list of them", CONFIG_RULE_NAMES_MAX, add_name, field);
}

/* -------- devices -------- */

/* Longest names, without the terminating NUL: IFNAMSIZ (linux/if.h), DISK_NAME_LEN (linux/blkdev.h). */
#define NET_NAME_BYTES_MAX   15u
#define BLOCK_NAME_BYTES_MAX 31u

static size_t count_hex(const char *s) {
        return strspn(s, "0123456789abcdefABCDEF");
}

/* "0000:3b:00.0" as sysfs has it, or "3b:00.0" as lspci prints it where there is one domain only → the first, in lower case; NULL for
 * anything else, or when memory ran out (*ret_failed). */
static char *pci_address(const char *text, bool *ret_failed) {
        const char *p = text;
        size_t domain = count_hex(p);
        *ret_failed = false;
        if (domain >= 4 && domain <= 8 && p[domain] == ':')
                p += domain + 1;
        else
                domain = 0;
        if (count_hex(p) != 2 || p[2] != ':' || count_hex(p + 3) != 2 || p[5] != '.' || p[6] < '0' || p[6] > '7' || p[7])
                return NULL;
        char *address = format_string("pci/%s%s", domain ? "" : "0000:", text);
        *ret_failed = !address;
        for (char *c = address; c && *c; c++)
                *c = (char) tolower((unsigned char) *c);
        return address;
}

/* A name as the kernel gives it: one word, and no path. */
static bool is_plain_name(const char *name, size_t bytes_max) {
        size_t n = strlen(name);
        if (n == 0 || n > bytes_max || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return false;
        for (const char *p = name; *p; p++)
                if (*p <= ' ' || *p == 0x7f || (unsigned char) *p >= 0x80 || *p == '/')
                        return false;
        return true;
}

static int add_device(struct config_file *f, const struct key *k, const struct value *v, const char *text, void *field) {
        static const char expected[] = "net/NAME, block/NAME or pci/ADDRESS, such as net/eth0 or pci/0000:3b:00.0";
        _cleanup_free_ char *address = NULL;
        const char *name = text;
        bool failed = false;
        if (strncmp(text, "pci/", 4) == 0) {
                address = pci_address(text + 4, &failed);
                name = address;
        } else if (!(strncmp(text, "net/", 4) == 0 && is_plain_name(text + 4, NET_NAME_BYTES_MAX)) &&
                   !(strncmp(text, "block/", 6) == 0 && is_plain_name(text + 6, BLOCK_NAME_BYTES_MAX)))
                name = NULL;
        if (failed)
                return -ENOMEM;
        if (!name)
                return wrong_text(f, k, v, "is not a device", expected);
        if (strpbrk(name, "*?["))
                return wrong_text(f, k, v, "is a pattern", "the name of one device, or a list of names");
        if (list_has(field, name))
                return wrong_text(f, k, v, "is named twice", "every device once");
        return string_list_add(field, name);
}

int field_devices(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        return each_text(f, k, v, "a device such as net/eth0, or a list of them", CONFIG_DEVICES_MAX, add_device, field);
}

/* -------- weights -------- */

static const char weights_expected[] = "equal, bandwidth, or a mapping of nodes to weights such as {\"0-1\": 3, \"4\": 1}";

/* One entry of the mapping. Weights by node id, 0: none. */
static int read_weight(struct config_file *f, const struct key *k, const struct value *key, uint8_t *weights) {
        static const struct range range = { 1, RULE_WEIGHT_MAX, "a whole number from 1 to 255" };
        const struct key number = { .name = k->name, .data = &range };
        struct node_set nodes;
        unsigned weight;
        if (key->kind == VALUE_REFUSED || key->next->kind == VALUE_REFUSED)
                return -EBADMSG;
        int r = field_nodes(f, k, key, &nodes);
        if (r < 0)
                return r;
        r = field_number(f, &number, key->next, &weight);
        if (r < 0)
                return r;
        NODE_SET_FOREACH (node, &nodes) {
                if (weights[node])
                        return complain(f, key->at, "weights: node %d has a weight already; expected every node once", node);
                weights[node] = (uint8_t) weight;
        }
        return 0;
}

static int read_weights(struct config_file *f, const struct key *k, const struct value *v, struct rule *r) {
        uint8_t weights[NODE_ID_MAX + 1] = { 0 };
        size_t n = 0, n_entries = 0;
        int result = 0;
        for (const struct value *key = v->first; key; key = key->next->next) {
                if (++n_entries > CONFIG_WEIGHTS_MAX)
                        return complain(f, key->at, "weights has more than %u entries; expected fewer", CONFIG_WEIGHTS_MAX);
                int e = read_weight(f, k, key, weights);
                if (e < 0 && e != -EBADMSG)
                        return e;
                result = MIN2(result, e);
        }
        if (result < 0)
                return result;
        for (size_t i = 0; i <= NODE_ID_MAX; i++)
                n += weights[i] > 0;
        r->weights = calloc(n, sizeof(*r->weights));
        if (!r->weights)
                return -ENOMEM;
        for (unsigned i = 0; i <= NODE_ID_MAX; i++)
                if (weights[i])
                        r->weights[r->n_weights++] = (struct node_weight) { .node = i, .weight = weights[i] };
        r->interleave_by = INTERLEAVE_GIVEN;
        return 0;
}

int field_weights(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        static const char *const words[] = { [INTERLEAVE_EQUAL] = "equal", [INTERLEAVE_BANDWIDTH] = "bandwidth" };
        static const struct choices choices = { words, ARRAY_SIZE(words) };
        struct rule *r = field;
        const char *text;
        if (v->kind == VALUE_MAPPING && v->first)
                return read_weights(f, k, v, r);
        if (v->kind == VALUE_MAPPING)
                return complain(f, v->at, "weights is empty; expected %s", weights_expected);
        int e = scalar(f, k, v, weights_expected, &text);
        if (e < 0)
                return e;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strcmp(text, words[i]) == 0) {
                        r->interleave_by = (enum interleave_by) i;
                        return 0;
                }
        return wrong_word(f, k, v, &choices, weights_expected);
}
