/* SPDX-License-Identifier: MIT */
/* Tests of what is found out of the host at a start, with tools that say yes or no to a device. */
#include "find-facts.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "launch/direct-launcher.h"
#include "state/instance-dir-removal.h"

typedef struct {
    char *base;
    KhStateDir *state_dir;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *state = NULL, *runtime = NULL;

    f->base = g_dir_make_tmp("kh-facts-XXXXXX", NULL);
    state = g_build_filename(f->base, "state", NULL);
    runtime = g_build_filename(f->base, "run", NULL);
    f->state_dir = kh_state_dir_open(state, runtime, NULL);
    g_assert_nonnull(f->state_dir);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_object(&f->state_dir);
    g_assert_true(kh_instance_dir_remove(AT_FDCWD, f->base, NULL, NULL));
    g_free(f->base);
}

/* @shim stands in for the tool that tries to open a device: its exit status says whether it did. */
static gboolean
find(Fixture *f, const char *shim, const char *accelerator, KhFacts *facts, GError **error)
{
    const KhSettings settings = {.accelerator = (char *)accelerator, .uids = {5000, 5999}};
    g_autoptr(KhLauncher) launcher = kh_direct_launcher_new(shim);

    return kh_find_facts(&settings, launcher, f->state_dir, facts, error);
}

static void
of_this_host(Fixture *f, gconstpointer data)
{
    KhFacts facts = {0};

    g_assert_true(find(f, "/bin/false", "tcg", &facts, NULL));
    g_assert_cmpuint(strlen(facts.boot_id), ==, 36);
    g_assert_cmpint(facts.vm_uid, ==, geteuid() == 0 ? 5000 : -1);
    g_assert_cmpuint(facts.limits.memory_max, >, 0);
    g_assert_cmpuint(facts.limits.storage_max, ==, kh_state_dir_file_max(f->state_dir));
    g_assert_cmpuint(facts.c_bit, >, 0);
    g_assert_cmpuint(facts.c_bit, <, 64);
}

static void
kvm_that_opens(Fixture *f, gconstpointer data)
{
    KhFacts facts = {0};

    g_assert_true(find(f, "/bin/true", "kvm", &facts, NULL));
    g_assert_true(facts.kvm_usable);
    g_assert_cmpstr(facts.accelerator, ==, "kvm");
}

static void
kvm_that_does_not(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    KhFacts facts = {0};

    g_assert_false(find(f, "/bin/false", "kvm", &facts, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
    g_assert_true(find(f, "/bin/false", "auto", &facts, NULL));
    g_assert_false(facts.kvm_usable);
    g_assert_cmpstr(facts.accelerator, ==, "tcg");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR); /* it warns of no KVM */
    g_test_add("/find-facts/this-host", Fixture, NULL, set_up, of_this_host, tear_down);
    g_test_add("/find-facts/kvm", Fixture, NULL, set_up, kvm_that_opens, tear_down);
    g_test_add("/find-facts/no-kvm", Fixture, NULL, set_up, kvm_that_does_not, tear_down);
    return g_test_run();
}
