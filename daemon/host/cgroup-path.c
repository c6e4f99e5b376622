/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Units, services and owners by cgroup path. Who owns what follows systemd's rules (systemd's "Control Group APIs and Delegation"):
 * what is not below a delegated unit belongs to the manager, and nobody else writes there. */
#include "host/cgroup-path.h"

#include <fnmatch.h>
#include <limits.h>
#include <string.h>

#include "core/util.h"

static bool unit_with_suffix(const char *s, size_t n, const char *suffix, const char **ret_name, size_t *ret_length) {
        size_t length = strlen(suffix);
        if (n > 0 && s[0] == '_') {
                s++;
                n--;
        }
        if (n <= length || memcmp(s + n - length, suffix, length) != 0)
                return false;
        *ret_name = s;
        *ret_length = n;
        return true;
}

bool component_is_unit(const char *s, size_t n, const char **ret_name, size_t *ret_length) {
        return unit_with_suffix(s, n, ".service", ret_name, ret_length) || unit_with_suffix(s, n, ".scope", ret_name, ret_length);
}

bool component_is_slice(const char *s, size_t n, const char **ret_name, size_t *ret_length) {
        return unit_with_suffix(s, n, ".slice", ret_name, ret_length);
}

bool next_component(const char *path, size_t *offset, const char **ret, size_t *ret_length) {
        const char *s = path + *offset;
        s += strspn(s, "/");
        size_t n = strcspn(s, "/");
        if (n == 0)
                return false;
        *offset = (size_t) (s - path) + n;
        *ret = s;
        *ret_length = n;
        return true;
}

/* Length of the deepest prefix that a rule selects; 0: none. */
static size_t selected_prefix(const struct config *c, const char *path) {
        if (!config_needs(c, MATCH_CGROUP))
                return 0;
        char prefix[PATH_MAX];
        size_t offset = 0, found = 0, n;
        const char *component;
        while (next_component(path, &offset, &component, &n) && offset < sizeof prefix) {
                memcpy(prefix, path, offset);
                prefix[offset] = 0;
                if (config_selects_cgroup(c, prefix))
                        found = offset;
        }
        return found;
}

int service_key_of(const struct config *c, const char *path, struct service_key *ret) {
        size_t selected = selected_prefix(c, path);
        size_t offset = 0, n, unit_end = 0, slice_end = 0, unit_n = 0, slice_n = 0;
        unsigned depth = 0, unit_depth = 0;
        const char *component, *unit = "", *slice = "";
        while ((selected == 0 || offset < selected) && next_component(path, &offset, &component, &n)) {
                depth++;
                if (component_is_unit(component, n, &unit, &unit_n)) {
                        unit_end = offset;
                        unit_depth = depth;
                } else if (component_is_slice(component, n, &slice, &slice_n))
                        slice_end = offset;
        }
        struct service_key k = { .length = offset, .depth = depth };
        if (selected == 0 && unit_end > 0) {
                k.length = unit_end;
                k.depth = unit_depth;
                if (slice_end > unit_end) {
                        /* A slice below the unit (a manager in a container) is not one that the unit is in. */
                        slice_n = 0;
                        offset = 0;
                        while (offset < unit_end && next_component(path, &offset, &component, &n))
                                (void) component_is_slice(component, n, &slice, &slice_n);
                }
        }
        if (unit_end == 0 && slice_end == k.length) {
                unit = slice;
                unit_n = slice_n;
                unit_end = slice_end;
        }
        k.is_unit = k.length > 0 && unit_end == k.length;
        k.unit = strndup(unit, unit_n);
        k.slice = strndup(slice, slice_n);
        if (!k.unit || !k.slice) {
                service_key_done(&k);
                return -ENOMEM;
        }
        *ret = k;
        return 0;
}

void service_key_done(struct service_key *k) {
        free(k->unit);
        free(k->slice);
        *k = (struct service_key) { 0 };
}

bool name_is_container_scope(const char *name) {
        static const char *const patterns[] = { "docker-*.scope", "libpod-*.scope",  "libpod-conmon-*.scope",
                                                "crio-*.scope",   "machine-*.scope", "cri-containerd-*.scope",
                                                "nerdctl-*.scope" };
        for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
                if (fnmatch(patterns[i], name, 0) == 0)
                        return true;
        return false;
}

static bool name_is_user_manager(const char *name) {
        return fnmatch("user@*.service", name, 0) == 0;
}

struct rights rights_of_root(bool has_systemd) {
        return (struct rights) { .owner = OWNER_NONE, .realm = REALM_HOST, .children = has_systemd ? REALM_HOST : REALM_FOREIGN };
}

static bool is_host_unit(const struct rights *parent, const char *name) {
        const char *ignored;
        size_t n;
        return parent->children == REALM_HOST && component_is_unit(name, strlen(name), &ignored, &n);
}

bool rights_needs_delegation(const struct rights *parent, const char *name) {
        return is_host_unit(parent, name) && !name_is_user_manager(name);
}

struct rights rights_of_child(const struct rights *parent, const char *name, unsigned depth, bool delegated) {
        const char *ignored;
        size_t n;
        struct rights r = { .realm = parent->children, .children = parent->children, .decided_by = parent->decided_by };
        switch (parent->children) {
        case REALM_HOST:
                r.decided_by = depth;
                if (component_is_slice(name, strlen(name), &ignored, &n))
                        r.owner = OWNER_SYSTEMD;
                else if (is_host_unit(parent, name)) {
                        r.owner = OWNER_SYSTEMD;
                        r.children = name_is_user_manager(name) ? REALM_USER : delegated ? REALM_DELEGATED : REALM_UNIT;
                } else if (depth == 1) {
                        r.owner = OWNER_CGROUPFS;
                        r.realm = r.children = REALM_FOREIGN;
                } else {
                        /* Somebody's own directory in a slice, which systemd does not hand out. */
                        r.owner = OWNER_NONE;
                        r.realm = r.children = REALM_UNIT;
                        r.decided_by = depth - 1;
                }
                break;
        case REALM_DELEGATED:
        case REALM_FOREIGN:
                r.owner = OWNER_CGROUPFS;
                if (name_is_user_manager(name)) {
                        r.children = REALM_USER;
                        r.decided_by = depth;
                }
                break;
        case REALM_UNIT:
        case REALM_USER: r.owner = OWNER_NONE; break;
        }
        return r;
}

char *rights_explain(const struct rights *r, const char *path) {
        size_t offset = 0, n = 0;
        const char *component = "";
        for (unsigned depth = 0; depth < r->decided_by && next_component(path, &offset, &component, &n);)
                depth++;
        if (r->realm == REALM_USER)
                return format_string("its cgroup belongs to the user manager %.*s", (int) n, component);
        if (r->realm == REALM_UNIT)
                return format_string("its cgroup is inside %.*s, which is not delegated (Delegate=)", (int) n, component);
        return strdup("the root cgroup cannot be restricted");
}
