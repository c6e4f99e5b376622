/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the path of a cgroup says: which unit it belongs to, and whose it is to change. */
#include "host/cgroup.h"

#include "core/util.h"
#include "host/cgroup-path.h"
#include "unit.h"

static void test_components(void **state) {
        static const struct {
                const char *text, *unit, *slice;
        } all[] = {
                { "x.service", "x.service", "" },
                { "a.scope", "a.scope", "" },
                { "s.slice", "", "s.slice" },
                { "_cpu.service", "cpu.service", "" },
                { "__x.service", "_x.service", "" },
                { "_m.slice", "", "m.slice" },
                { ".service", "", "" },
                { "_.service", "", "" },
                { "x.socket", "", "" },
                { "x.services", "", "" },
                { "service", "", "" },
                { "_", "", "" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                const char *name = "";
                size_t n = 0;
                bool unit = component_is_unit(all[i].text, strlen(all[i].text), &name, &n);
                assert_int_equal(unit, all[i].unit[0] != 0);
                if (unit)
                        assert_true(strlen(all[i].unit) == n && strncmp(name, all[i].unit, n) == 0);
                bool slice = component_is_slice(all[i].text, strlen(all[i].text), &name, &n);
                assert_int_equal(slice, all[i].slice[0] != 0);
                if (slice)
                        assert_true(strlen(all[i].slice) == n && strncmp(name, all[i].slice, n) == 0);
        }
}

/* The rights at the end of a path; a component that ends in '!' is delegated. */
static struct rights rights_of_path(bool has_systemd, const char *path) {
        struct rights r = rights_of_root(has_systemd);
        size_t offset = 0, n;
        unsigned depth = 0;
        const char *component;
        while (next_component(path, &offset, &component, &n)) {
                _cleanup_free_ char *name = strndup(component, n);
                bool delegated = name[n - 1] == '!';
                if (delegated)
                        name[n - 1] = 0;
                assert_true(!delegated || rights_needs_delegation(&r, name));
                r = rights_of_child(&r, name, ++depth, delegated);
        }
        return r;
}

static void test_rights(void **state) {
        static const struct {
                const char *path, *detail; /* part of it */
                enum owner owner;
                bool has_systemd;
        } all[] = {
                { "/", "root cgroup", OWNER_NONE, true },
                { "/init.scope", NULL, OWNER_SYSTEMD, true },
                { "/system.slice", NULL, OWNER_SYSTEMD, true },
                { "/system.slice/a.service", NULL, OWNER_SYSTEMD, true },
                { "/a.slice/a-b.slice/x.scope", NULL, OWNER_SYSTEMD, true },
                { "/system.slice/a.service!", NULL, OWNER_SYSTEMD, true }, /* its own cpusets are still the manager's */
                { "/system.slice/a.service/x", "inside a.service", OWNER_NONE, true },
                { "/system.slice/a.service/x.service/y", "inside a.service", OWNER_NONE, true },
                { "/system.slice/a.service!/x", NULL, OWNER_CGROUPFS, true },
                { "/system.slice/d.scope!/system.slice/n.service", NULL, OWNER_CGROUPFS, true },
                { "/u.slice/user@1.service", NULL, OWNER_SYSTEMD, true },
                { "/u.slice/user@1.service/app.slice/x.service", "user manager user@1.service", OWNER_NONE, true },
                { "/system.slice/d.scope!/u.slice/user@7.service/x.scope", "user manager user@7.service", OWNER_NONE, true },
                { "/machine.slice/x", "inside machine.slice", OWNER_NONE, true },
                { "/machine.slice/x/y.service", "inside machine.slice", OWNER_NONE, true },
                { "/lxc.payload.x", NULL, OWNER_CGROUPFS, true },
                { "/lxc.payload.x/system.slice/y.service", NULL, OWNER_CGROUPFS, true },
                { "/", "root cgroup", OWNER_NONE, false },
                { "/redis", NULL, OWNER_CGROUPFS, false },
                { "/openrc.slice/x.service", NULL, OWNER_CGROUPFS, false },
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                struct rights r = rights_of_path(all[i].has_systemd, all[i].path);
                assert_int_equal(r.owner, all[i].owner);
                if (!all[i].detail)
                        continue;
                _cleanup_free_ char *detail = rights_explain(&r, strcmp(all[i].path, "/") == 0 ? "" : all[i].path);
                assert_non_null(strstr(detail, all[i].detail));
        }
        assert_true(name_is_container_scope("docker-0123.scope"));
        assert_true(name_is_container_scope("libpod-0123.scope"));
        assert_false(name_is_container_scope("docker.service"));
        assert_false(name_is_container_scope("session-1.scope"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_components),
                cmocka_unit_test(test_rights),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
