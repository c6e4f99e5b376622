/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a cgroup's path tells: units, slices, which part of it is the service, and who may change its cpusets. Strings in, values
 * out; the one fact that is not in the path (is a unit delegated?) is passed in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/rule.h"
#include "core/sample.h"

/* Is a path component a service or scope (a slice)? `*ret_name` is the unit's name in it: systemd puts a '_' before names
 * that would collide with the kernel's own files ("_cpu.service"; systemd.resource-control, cg_escape). */
bool component_is_unit(const char *s, size_t n, const char **ret_name, size_t *ret_length);
bool component_is_slice(const char *s, size_t n, const char **ret_name, size_t *ret_length);
/* Next component of a path, from `*offset` on, which is moved past it. False at the end. */
bool next_component(const char *path, size_t *offset, const char **ret, size_t *ret_length);

/* Which cgroup the processes of a cgroup are managed as:
 *  - the deepest prefix of its path that some rule's `cgroup:` selects; else
 *  - its leaf-most unit with all that is below that; else
 *  - itself. */
struct service_key {
        size_t length;  /* bytes of the path that are the service's cgroup; 0: the root cgroup */
        unsigned depth; /* components of it */
        bool is_unit;   /* its last component is a unit */
        char *unit;     /* leaf-most unit of the service's path (where there is none, the slice that it is); "" if none */
        char *slice;    /* leaf-most slice, "" if none */
};
/* `path` begins with '/'. Returns 0 or -ENOMEM. */
int service_key_of(const struct config *c, const char *path, struct service_key *ret);
void service_key_done(struct service_key *k);

/* Whose the children of a cgroup are. */
enum realm {
        REALM_HOST,      /* of the host's service manager, if they are units: the root and its slices */
        REALM_UNIT,      /* inside a unit that was not delegated: nobody else's to change */
        REALM_DELEGATED, /* below Delegate=: the service's own (a container), so ours by its files */
        REALM_FOREIGN,   /* outside systemd's tree */
        REALM_USER,      /* below user@UID.service: that manager's */
};

/* Who may change one cgroup's cpusets. */
struct rights {
        enum owner owner;
        enum realm realm;    /* the cgroup's own */
        enum realm children; /* that of the cgroups in it */
        unsigned decided_by; /* depth of the component that the realm comes from (the unit, the user manager) */
};

struct rights rights_of_root(bool has_systemd);
/* The rights of a child cgroup named `name` at `depth` (1: below the root). `delegated` is used only where
 * rights_needs_delegation() says so. */
bool rights_needs_delegation(const struct rights *parent, const char *name);
struct rights rights_of_child(const struct rights *parent, const char *name, unsigned depth, bool delegated);
/* Container managers always delegate their scopes; this knows them by name where the mark cannot be read. */
bool name_is_container_scope(const char *name);
/* Why OWNER_NONE, for people; `path` is the cgroup's. NULL when memory ran out. */
char *rights_explain(const struct rights *r, const char *path);
