/* SPDX-License-Identifier: MIT */
/* Tests of where a process's control group lies. The rest needs a kernel: tests/boot. */
#include "launch/cgroup.h"

#define V2 "0::/system.slice/katana-hypervisord.service\n"

static const struct {
    const char *what, *mountinfo, *cgroup, *path;
} rows[] = {
    {"unified", "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n", V2,
     "/sys/fs/cgroup/system.slice/katana-hypervisord.service"},
    {"hybrid",
     "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
     "30 23 0:26 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw\n",
     "4:memory:/user\n" V2, "/sys/fs/cgroup/unified/system.slice/katana-hypervisord.service"},
    {"root of a namespace", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "0::/\n",
     "/sys/fs/cgroup"},
    {"part of the tree", "30 23 0:26 /system.slice /mnt/a\\040b rw - cgroup2 cgroup2 rw\n", V2,
     "/mnt/a b/katana-hypervisord.service"},
    {"another part", "30 23 0:26 /system /mnt rw - cgroup2 cgroup2 rw\n", V2, NULL},
    {"only version 1", "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
     "4:memory:/user\n", NULL},
    {"no mount", "21 1 0:5 / /proc rw - proc proc rw\n\n - cgroup2\n", V2, NULL},
    {"empty", "", "", NULL},
};

static void
path(gconstpointer data)
{
    guint i = GPOINTER_TO_UINT(data);
    g_autofree char *found = kh_cgroup_path(rows[i].mountinfo, rows[i].cgroup);

    g_assert_cmpstr(found, ==, rows[i].path);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *name = g_strconcat("/cgroup/path/", rows[i].what, NULL);

        g_test_add_data_func(name, GUINT_TO_POINTER(i), path);
    }
    return g_test_run();
}
