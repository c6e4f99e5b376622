/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which services there are and who owns them: what identifies one, then whole trees. test-cgroup-path.c has paths alone. */
#include "host/cgroup.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util.h"
#include "host/cgroup-path.h"
#include "test-host-tree.h"
#include "unit.h"

static struct config *config_selecting(const char *pattern) {
        struct config *c = config_new();
        assert_non_null(c);
        if (!pattern)
                return c;
        c->rules = calloc(1, sizeof *c->rules);
        c->n_rules = 1;
        rule_init(&c->rules[0]);
        assert_int_equal(string_list_add(&c->rules[0].match.patterns[MATCH_CGROUP], pattern), 0);
        return c;
}

static void test_keys(void **state) {
        static const struct {
                const char *select, *path, *service, *unit, *slice;
                bool is_unit;
        } all[] = {
                { NULL, "/system.slice/a.service", "/system.slice/a.service", "a.service", "system.slice", true },
                { NULL, "/system.slice/a.service/x/y", "/system.slice/a.service", "a.service", "system.slice", true },
                { NULL, "/a.slice/a-b.slice/x.scope", "/a.slice/a-b.slice/x.scope", "x.scope", "a-b.slice", true },
                { NULL, "/system.slice/docker-1.scope/system.slice/n.service/w",
                  "/system.slice/docker-1.scope/system.slice/n.service", "n.service", "system.slice", true },
                /* a slice below the unit is not the unit's */
                { NULL, "/m.slice/c.scope/in.slice/x", "/m.slice/c.scope", "c.scope", "m.slice", true },
                { NULL, "/c.scope/in.slice/x", "/c.scope", "c.scope", "", true },
                { NULL, "/lxc.payload.a/app", "/lxc.payload.a/app", "", "", false },
                { NULL, "/machine.slice/x", "/machine.slice/x", "", "machine.slice", false },
                { NULL, "/system.slice", "/system.slice", "system.slice", "system.slice", true },
                { NULL, "/init.scope", "/init.scope", "init.scope", "", true },
                { NULL, "/system.slice/_cpu.service", "/system.slice/_cpu.service", "cpu.service", "system.slice", true },
                { "/system.slice/a.service/x", "/system.slice/a.service/x/y", "/system.slice/a.service/x", "a.service",
                  "system.slice", false },
                { "/system.slice/a.service/x", "/system.slice/a.service/z", "/system.slice/a.service", "a.service",
                  "system.slice", true },
                { "/user.slice/user-*.slice/user@*.service", "/user.slice/user-1.slice/user@1.service/app.slice/b.service",
                  "/user.slice/user-1.slice/user@1.service/app.slice/b.service", "b.service", "app.slice",
                  true }, /* '*' matches '/' */
                { "/user.slice/user-1.slice/user@1.service", "/user.slice/user-1.slice/user@1.service/app.slice/b.service",
                  "/user.slice/user-1.slice/user@1.service", "user@1.service", "user-1.slice", true },
                { "/system.slice", "/system.slice/a.service", "/system.slice", "system.slice", "system.slice", true },
                { "/a.service/s.slice", "/a.service/s.slice/b.service", "/a.service/s.slice", "a.service", "s.slice", false },
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                _cleanup_(config_freep) struct config *c = config_selecting(all[i].select);
                struct service_key k;
                assert_int_equal(service_key_of(c, all[i].path, &k), 0);
                assert_int_equal(k.length, strlen(all[i].service));
                assert_int_equal(strncmp(all[i].path, all[i].service, k.length), 0);
                assert_string_equal(k.unit, all[i].unit);
                assert_string_equal(k.slice, all[i].slice);
                assert_int_equal(k.is_unit, all[i].is_unit);
                unsigned depth = 0;
                for (size_t j = 0; j < k.length; j++)
                        depth += all[i].path[j] == '/';
                assert_int_equal(k.depth, depth);
                service_key_done(&k);
        }
}

static const struct found_service *find(const struct found_services *s, const char *cgroup) {
        for (size_t i = 0; i < s->n_items; i++)
                if (cgroup ? s->items[i].cgroup && strcmp(s->items[i].cgroup, cgroup) == 0 : !s->items[i].cgroup)
                        return &s->items[i];
        return NULL;
}

static void assert_service(const struct found_services *s, const char *cgroup, const char *unit, enum owner owner,
                           const char *pids) {
        const struct found_service *f = find(s, cgroup);
        assert_non_null(f);
        if (unit)
                assert_string_equal(f->unit, unit);
        assert_int_equal(f->owner, owner);
        assert_int_equal(f->owner_detail != NULL, cgroup != NULL && owner == OWNER_NONE);
        struct strbuf b = { 0 };
        for (size_t i = 0; i < f->n_pids; i++)
                strbuf_printf(&b, "%s%d", i ? "," : "", (int) f->pids[i]);
        _cleanup_free_ char *have = strbuf_steal(&b);
        assert_string_equal(have, pids);
}

static void walk(const struct tree *t, const char *select, struct found_services *ret) {
        _cleanup_(host_freep) struct host *h = NULL;
        _cleanup_(config_freep) struct config *c = config_selecting(select);
        assert_int_equal(host_open(t->root, &h), 0);
        assert_int_equal(find_services(h, c, ret), 0);
        for (size_t i = 1; i < ret->n_items; i++) /* in order, each once */
                assert_true(!ret->items[i - 1].cgroup || strcmp(ret->items[i - 1].cgroup, ret->items[i].cgroup) < 0);
}

static void test_walk(void **state) {
        struct tree t;
        struct found_services s;
        tree_make(&t, "bookworm");
        int marked = tree_mark_delegated(&t, "sys/fs/cgroup/system.slice/agent.service");
        walk(&t, NULL, &s);
        assert_false(s.truncated);
        assert_service(&s, NULL, NULL, OWNER_NONE, "2,820");
        assert_service(&s, "/init.scope", "init.scope", OWNER_SYSTEMD, "1");
        assert_service(&s, "/system.slice/redis-server.service", "redis-server.service", OWNER_SYSTEMD, "300,399");
        assert_service(&s, "/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main.service",
                       OWNER_SYSTEMD, "400,401,402");
        assert_service(&s, "/system.slice/docker-0123.scope", "docker-0123.scope", OWNER_SYSTEMD, "500");
        assert_service(&s, "/system.slice/docker-0123.scope/system.slice/nginx.service", "nginx.service", OWNER_CGROUPFS, "501");
        assert_service(&s, "/system.slice/agent.service", "agent.service", OWNER_SYSTEMD, "600,601");
        assert_service(&s, "/system.slice/_cpu.service", "cpu.service", OWNER_SYSTEMD, "320");
        assert_service(&s, "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", "web.service", OWNER_NONE,
                       "700");
        assert_service(&s, "/user.slice/user-1000.slice/session-1.scope", "session-1.scope", OWNER_SYSTEMD, "710");
        assert_service(&s, "/lxc.payload.web/app", "", OWNER_CGROUPFS, "800");
        assert_service(&s, "/machine.slice/foreign", "", OWNER_NONE, "810");
        assert_service(&s, "/bare", "", OWNER_NONE,
                       "830"); /* the root has the controller, and it is the service manager's to hand down */
        assert_null(find(&s, "/system.slice/empty.service"));
        assert_int_equal(s.n_items, 16);
        found_services_done(&s);

        /* A rule picks single cgroups out of a service; the rest stays with it. */
        walk(&t, "/system.slice/*/worker-a", &s);
        assert_service(&s, "/system.slice/agent.service", "agent.service", OWNER_SYSTEMD, "601");
        assert_service(&s, "/system.slice/agent.service/worker-a", "agent.service", marked ? OWNER_CGROUPFS : OWNER_NONE, "600");
        found_services_done(&s);
        walk(&t, "/system.slice/plain.service/sub", &s);
        assert_service(&s, "/system.slice/plain.service/sub", "plain.service", OWNER_NONE, "610");
        found_services_done(&s);
        walk(&t, "/user.slice", &s);
        assert_service(&s, "/user.slice", "user.slice", OWNER_SYSTEMD, "700,701,710");
        found_services_done(&s);
        tree_done(&t);
}

static void test_cpuset_controller(void **state) {
        struct tree t;
        struct found_services s;
        tree_make(&t, "bookworm");
        /* Neither there nor above. */
        tree_put(&t, "sys/fs/cgroup/lxc.payload.web/cgroup.controllers", "cpu memory\n");
        tree_put(&t, "sys/fs/cgroup/lxc.payload.web/app/cgroup.controllers", "cpu memory\n");
        walk(&t, NULL, &s);
        assert_service(&s, "/lxc.payload.web/app", "", OWNER_NONE, "800");
        assert_non_null(strstr(find(&s, "/lxc.payload.web/app")->owner_detail, "not enabled above"));
        found_services_done(&s);
        tree_put(&t, "sys/fs/cgroup/lxc.payload.web/cgroup.controllers", "cpu cpuset\n");
        walk(&t, NULL, &s);
        assert_service(&s, "/lxc.payload.web/app", "", OWNER_CGROUPFS, "800");
        found_services_done(&s);
        /* Several levels below where it is, all of them ours to enable it in. */
        tree_put(&t, "sys/fs/cgroup/lxc.payload.web/app/cgroup.controllers", "cpu memory\n");
        tree_put(&t, "sys/fs/cgroup/lxc.payload.web/app/inner/cgroup.controllers", "memory\n");
        tree_put(&t, "sys/fs/cgroup/lxc.payload.web/app/inner/cgroup.procs", "800\n");
        tree_put(&t, "sys/fs/cgroup/lxc.payload.web/app/cgroup.procs", "");
        walk(&t, NULL, &s);
        assert_service(&s, "/lxc.payload.web/app/inner", "", OWNER_CGROUPFS, "800");
        found_services_done(&s);
        /* Directly below the root, which is the service manager's where there is one. */
        tree_put(&t, "sys/fs/cgroup/bare/cgroup.controllers", "memory\n");
        walk(&t, NULL, &s);
        assert_service(&s, "/bare", "", OWNER_NONE, "830");
        assert_non_null(strstr(find(&s, "/bare")->owner_detail, "only the service manager"));
        found_services_done(&s);
        tree_put(&t, "sys/fs/cgroup/bare/cgroup.controllers", "cpuset memory\n");
        walk(&t, NULL, &s);
        assert_service(&s, "/bare", "", OWNER_CGROUPFS, "830");
        found_services_done(&s);
        /* The machine has none at all. */
        tree_put(&t, "sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
        walk(&t, NULL, &s);
        assert_service(&s, "/system.slice/redis-server.service", NULL, OWNER_NONE, "300,399");
        assert_non_null(strstr(find(&s, "/system.slice/redis-server.service")->owner_detail, "no cpuset controller"));
        found_services_done(&s);
        tree_done(&t);
}

static void test_odd_trees(void **state) {
        struct tree t;
        struct found_services s;
        tree_make(&t, "bookworm");
        /* A threaded cgroup, a link, nonsense among the ids, an id twice, our namespace's 0. */
        tree_make_unreadable(&t, "sys/fs/cgroup/system.slice/redis-server.service/threaded");
        tree_link(&t, "sys/fs/cgroup/system.slice/link.service", "../init.scope");
        tree_put(&t, "sys/fs/cgroup/system.slice/redis-server.service/cgroup.procs",
                 "300\n0\n-5\nx\n99999999999\n2147483648\n300\n301");
        tree_put(&t, "sys/fs/cgroup/system.slice/redis-server.service/.control/cgroup.procs", "302\n");
        walk(&t, NULL, &s);
        assert_service(&s, "/system.slice/redis-server.service", NULL, OWNER_SYSTEMD, "300,301,302");
        assert_null(find(&s, "/system.slice/link.service"));
        assert_false(s.truncated);
        found_services_done(&s);
        tree_put(&t, "sys/fs/cgroup/system.slice/redis-server.service/.control/cgroup.procs", "");
        /* A file of ids without end. */
        size_t size = CGROUP_PROCS_LIMIT + 2;
        _cleanup_free_ char *endless = malloc(size);
        assert_non_null(endless);
        memset(endless, '1', size);
        tree_put_bytes(&t, "sys/fs/cgroup/system.slice/redis-server.service/cgroup.procs", endless, size);
        walk(&t, NULL, &s);
        assert_true(s.truncated);
        assert_null(find(&s, "/system.slice/redis-server.service"));
        assert_non_null(find(&s, "/init.scope"));
        found_services_done(&s);
        tree_done(&t);
}

static void test_depth(void **state) {
        struct tree t;
        struct found_services s;
        for (unsigned depth = CGROUP_DEPTH_MAX; depth <= CGROUP_DEPTH_MAX + 1; depth++) {
                tree_make(&t, "bookworm");
                struct strbuf b = { 0 };
                strbuf_append(&b, "sys/fs/cgroup");
                for (unsigned i = 0; i < depth; i++)
                        strbuf_append(&b, "/d");
                strbuf_append(&b, "/cgroup.procs");
                _cleanup_free_ char *path = strbuf_steal(&b);
                tree_put(&t, path, "300\n");
                walk(&t, NULL, &s);
                assert_int_equal(s.truncated, depth > CGROUP_DEPTH_MAX);
                assert_int_equal(s.n_items, 16 + (depth <= CGROUP_DEPTH_MAX));
                found_services_done(&s);
                tree_done(&t);
        }
}

/* More processes, more cgroups than we are ready to look at: the rest is left out, and said to be. */
static void test_counts(void **state) {
        struct tree t;
        struct found_services s;
        tree_make(&t, "bookworm");
        struct strbuf b = { 0 };
        for (unsigned pid = 1; pid <= PROCESS_COUNT_MAX + 1; pid++)
                strbuf_printf(&b, "%u\n", pid);
        _cleanup_free_ char *pids = strbuf_steal(&b);
        tree_put(&t, "sys/fs/cgroup/cgroup.procs", pids);
        walk(&t, NULL, &s);
        assert_true(s.truncated);
        assert_int_equal(find(&s, NULL)->n_pids, PROCESS_COUNT_MAX);
        found_services_done(&s);
        tree_done(&t);

        tree_make(&t, "hybrid"); /* three cgroups below the root */
        for (unsigned i = 2; i <= CGROUP_COUNT_MAX; i++) {
                _cleanup_free_ char *path = format_string("%s/sys/fs/cgroup/unified/%u", t.root, i);
                assert_int_equal(mkdir(path, 0755), 0);
                if (i + 1 == CGROUP_COUNT_MAX) {
                        walk(&t, NULL, &s);
                        assert_false(s.truncated);
                        found_services_done(&s);
                }
        }
        walk(&t, NULL, &s);
        assert_true(s.truncated);
        found_services_done(&s);
        tree_done(&t);
}

static void test_hybrid_and_legacy(void **state) {
        struct tree t;
        struct found_services s;
        tree_make(&t, "hybrid");
        walk(&t, NULL, &s);
        assert_service(&s, NULL, NULL, OWNER_NONE, "50");
        assert_service(&s, "/system.slice/db.service", "db.service", OWNER_NONE, "60");
        found_services_done(&s);
        tree_done(&t);
        tree_make(&t, "legacy");
        tree_put(&t, "proc/99999999999/stat", "");
        tree_put(&t, "proc/1x/stat", "");
        tree_put(&t, "proc/80/stat", ""); /* no cgroup file: gone */
        walk(&t, NULL, &s);
        assert_service(&s, NULL, NULL, OWNER_NONE, "2,72,73,74"); /* which of them are kernel threads, their stat tells */
        assert_service(&s, "/system.slice/mysql.service", "mysql.service", OWNER_NONE, "70,71");
        assert_string_equal(find(&s, "/system.slice/mysql.service")->owner_detail, "no cgroup v2 on this machine");
        found_services_done(&s);
        tree_done(&t);
}

#define GUEST "machine.slice/machine-qemu.scope"

static void put_cpuset(const struct tree *t, const char *cgroup, const char *cpus, const char *mems, const char *populated) {
        static const char *const names[] = { "cpuset.cpus", "cpuset.mems", "cgroup.events" };
        const char *texts[] = { cpus, mems, populated };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *path = format_string("sys/fs/cgroup/%s/%s", cgroup, names[i]);
                tree_put(t, path, texts[i]);
        }
}

/* As libvirt makes them: a guest's virtual CPUs are threads in cgroups of their own, pinned one by one. */
static void test_inner_cpusets(void **state) {
        struct tree t;
        struct found_services s;
        tree_make(&t, "bookworm");
        tree_put(&t, "sys/fs/cgroup/machine.slice/cpuset.cpus.effective", "0-7\n");
        tree_put(&t, "sys/fs/cgroup/machine.slice/cpuset.mems.effective", "0-3\n");
        tree_put(&t, "sys/fs/cgroup/" GUEST "/cpuset.cpus.effective", "0-7\n");
        tree_put(&t, "sys/fs/cgroup/" GUEST "/cpuset.mems.effective", "0-3\n");
        tree_put(&t, "sys/fs/cgroup/" GUEST "/libvirt/cgroup.procs", "900\n");
        tree_put(&t, "sys/fs/cgroup/" GUEST "/cgroup.procs", "");
        tree_make_unreadable(&t, "sys/fs/cgroup/" GUEST "/libvirt/vcpu0");
        tree_make_unreadable(&t, "sys/fs/cgroup/" GUEST "/libvirt/vcpu1");
        put_cpuset(&t, GUEST "/libvirt", "\n", "\n", "populated 1\nfrozen 0\n");
        put_cpuset(&t, GUEST "/libvirt/vcpu0", "0-7\n", "0-3\n", "populated 1\nfrozen 0\n");
        put_cpuset(&t, GUEST "/libvirt/vcpu1", "2-3\n", "1\n", "populated 0\nfrozen 0\n");
        walk(&t, NULL, &s);
        assert_service(&s, "/" GUEST, "machine-qemu.scope", OWNER_SYSTEMD, "900");
        assert_null(find(&s, "/" GUEST)->inner); /* all that there is, and one that nobody is in */
        found_services_done(&s);

        put_cpuset(&t, GUEST "/libvirt/vcpu0", "0-1\n", "0-1\n", "populated 1\nfrozen 0\n");
        put_cpuset(&t, GUEST "/libvirt/vcpu1", "2-3\n", "1\n", "populated 1\nfrozen 0\n");
        walk(&t, NULL, &s);
        const struct inner_cpuset *inner = find(&s, "/" GUEST)->inner;
        assert_non_null(inner);
        _cleanup_free_ char *cpus = cpu_mask_format(&inner->cpus), *mems = node_set_format(&inner->mems_allowed);
        assert_string_equal(cpus, "0-3");
        assert_true(inner->mems);
        assert_string_equal(mems, "1");
        found_services_done(&s);

        /* Of a service that a rule names, the same; and what is set for the service itself is not inside of it. */
        walk(&t, "/machine.slice/*/libvirt", &s);
        assert_non_null(find(&s, "/" GUEST "/libvirt")->inner);
        found_services_done(&s);
        walk(&t, "/machine.slice/*/vcpu0", &s);
        assert_non_null(find(&s, "/" GUEST)->inner); /* vcpu1 */
        found_services_done(&s);
        put_cpuset(&t, GUEST "/libvirt/vcpu0", "\n", "\n", "populated 1\nfrozen 0\n");
        put_cpuset(&t, GUEST "/libvirt/vcpu1", "\n", "\n", "populated 1\nfrozen 0\n");
        put_cpuset(&t, GUEST, "0-1\n", "0\n", "populated 1\nfrozen 0\n");
        walk(&t, NULL, &s);
        assert_null(find(&s, "/" GUEST)->inner);
        found_services_done(&s);
        tree_done(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_inner_cpusets), cmocka_unit_test(test_keys),
                cmocka_unit_test(test_walk),          cmocka_unit_test(test_cpuset_controller),
                cmocka_unit_test(test_odd_trees),     cmocka_unit_test(test_depth),
                cmocka_unit_test(test_counts),        cmocka_unit_test(test_hybrid_and_legacy),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
