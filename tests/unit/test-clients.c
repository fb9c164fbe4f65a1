/* SPDX-License-Identifier: MIT */
/* Tests of what users have under way. */
#include "auth/clients.h"

static const guint32 uid = 1000;

static KhAdmission
enter(KhClients *clients, const char *name, guint32 serial, gsize bytes)
{
    gboolean is_new;
    KhAdmission admission = kh_clients_enter(clients, name, serial, bytes, 0, &is_new);

    g_assert_cmpint(admission == KH_DROPPED || kh_clients_arrive(clients, name, serial), ==,
                    admission == KH_ADMITTED || admission == KH_DROPPED);
    return admission;
}

static gboolean
is_new(KhClients *clients, const char *name)
{
    gboolean new;

    kh_clients_enter(clients, name, 1, 0, 0, &new);
    return new;
}

/* A connection of this user, which the bus has named. */
static void
introduce(KhClients *clients, const char *name, guint32 user)
{
    g_assert_true(is_new(clients, name));
    kh_clients_set_user(clients, name, user);
    g_assert_true(kh_clients_leave(clients, name, 1));
}

static KhAdmission
enter_many(KhClients *clients, const char *name, guint count)
{
    KhAdmission last = KH_ADMITTED;

    for (guint serial = 1; serial <= count; serial++)
        last = enter(clients, name, serial, 0);
    return last;
}

static void
strangers(void)
{
    g_autoptr(KhClients) clients = kh_clients_new();
    guint32 found;

    g_assert_true(is_new(clients, ":1.1"));
    g_assert_false(is_new(clients, ":1.1"));
    g_assert_false(kh_clients_get_user(clients, ":1.1", &found));
    g_assert_cmpint(enter_many(clients, ":1.2", KH_CLIENT_CALLS_MAX), ==, KH_ADMITTED);
    g_assert_cmpint(enter(clients, ":1.2", 1000, 0), ==, KH_REFUSED_CLIENT);
    g_assert_true(kh_clients_leave(clients, ":1.2", 1));
    kh_clients_set_user(clients, ":1.2", uid);
    g_assert_true(kh_clients_get_user(clients, ":1.2", &found));
    g_assert_cmpuint(found, ==, uid);
    g_assert_cmpint(enter(clients, ":1.2", 1001, 0), ==, KH_ADMITTED);
}

/* However many connections send large calls, some small ones of another get in. */
static void
strangers_bytes(void)
{
    g_autoptr(KhClients) clients = kh_clients_new();
    guint full = KH_STRANGERS_BYTES_MAX / KH_CALL_BYTES_MAX;
    guint32 serial = 0;

    for (guint i = 1; i < full; i++) {
        g_autofree char *name = g_strdup_printf(":1.%u", i);

        g_assert_cmpint(enter(clients, name, 1, KH_CALL_BYTES_MAX), ==, KH_ADMITTED);
    }
    g_assert_cmpint(enter(clients, ":2.1", 1000, KH_CALL_BYTES_MAX), ==, KH_REFUSED_BYTES);
    while (enter(clients, ":2.3", ++serial, 100 * 1024) == KH_ADMITTED)
        ;
    g_assert_cmpint(enter(clients, ":2.3", 1000, 0), ==, KH_ADMITTED);
    for (serial = 0; enter(clients, ":2.4", serial + 1, 4000) == KH_ADMITTED; serial++)
        ;
    g_assert_cmpuint(serial, >=, KH_STRANGER_CALLS_MAX);
    g_assert_cmpuint(serial, <, KH_CLIENT_CALLS_MAX);
    g_assert_cmpint(enter_many(clients, ":2.5", KH_STRANGER_CALLS_MAX), ==, KH_ADMITTED);
    g_assert_cmpint(enter(clients, ":2.5", 1000, 0), ==, KH_REFUSED_CLIENT);
    kh_clients_set_user(clients, ":1.1", uid);
    kh_clients_set_user(clients, ":1.2", uid);
    g_assert_cmpint(enter(clients, ":2.2", 1, KH_CALL_BYTES_MAX), ==, KH_ADMITTED);
}

static void
calls_of_a_user(void)
{
    g_autoptr(KhClients) clients = kh_clients_new();
    guint connections = KH_USER_CALLS_MAX / KH_CLIENT_CALLS_MAX;

    for (guint i = 0; i <= connections; i++) {
        g_autofree char *name = g_strdup_printf(":1.%u", i);

        introduce(clients, name, uid);
        g_assert_cmpint(enter_many(clients, name, KH_CLIENT_CALLS_MAX), ==,
                        i < connections ? KH_ADMITTED : KH_DROPPED);
        g_assert_cmpint(enter(clients, name, 1000, 0), ==,
                        i < connections ? KH_REFUSED_CLIENT : KH_DROPPED);
    }
    introduce(clients, ":1.9", uid);
    g_assert_cmpint(enter(clients, ":1.9", 1, 0), ==, KH_REFUSED_USER);
    introduce(clients, ":2.1", uid + 1);
    g_assert_cmpint(enter_many(clients, ":2.1", KH_CLIENT_CALLS_MAX), ==, KH_ADMITTED);
    introduce(clients, ":3.1", 0);
    g_assert_true(kh_clients_leave(clients, ":1.0", 1));
    g_assert_cmpint(enter(clients, ":1.0", 1, 0), ==, KH_ADMITTED);
}

static void
bytes_of_a_user(void)
{
    g_autoptr(KhClients) clients = kh_clients_new();
    guint most = KH_USER_BYTES_MAX / KH_CALL_BYTES_MAX;

    introduce(clients, ":1.1", uid);
    introduce(clients, ":1.2", uid);
    introduce(clients, ":1.3", 0);
    for (guint i = 0; i < most; i++)
        g_assert_cmpint(enter(clients, i % 2 ? ":1.1" : ":1.2", i, KH_CALL_BYTES_MAX), ==,
                        KH_ADMITTED);
    g_assert_cmpint(enter(clients, ":1.1", 100, 1), ==, KH_REFUSED_BYTES);
    g_assert_cmpint(enter(clients, ":1.1", 101, 0), ==, KH_ADMITTED);
    g_assert_cmpint(enter(clients, ":1.3", 1, KH_CALL_BYTES_MAX), ==, KH_ADMITTED);
    g_assert_cmpuint(kh_clients_get_size(clients), >, KH_USER_BYTES_MAX + KH_CALL_BYTES_MAX);
    for (guint i = 0; i < most; i++)
        g_assert_true(kh_clients_leave(clients, i % 2 ? ":1.1" : ":1.2", i));
    g_assert_cmpuint(kh_clients_get_size(clients), <, KH_USER_BYTES_MAX);
}

/* Of what GDBus reads, a user has no more than a call at once, and others have theirs. */
static void
unread_bytes(void)
{
    g_autoptr(KhClients) clients = kh_clients_new();
    gboolean new;

    for (guint i = 0; i < 4; i++) {
        g_autofree char *name = g_strdup_printf(":1.%u", i);

        introduce(clients, name, uid + i / 2);
    }
    g_assert_cmpint(kh_clients_enter(clients, ":1.0", 7, KH_CALL_BYTES_MAX - 1, 0, &new), ==,
                    KH_ADMITTED);
    g_assert_cmpint(kh_clients_enter(clients, ":1.1", 7, 2, 0, &new), ==, KH_REFUSED_BYTES);
    g_assert_cmpint(kh_clients_enter(clients, ":1.1", 8, 1, 0, &new), ==, KH_ADMITTED);
    g_assert_cmpint(kh_clients_enter(clients, ":1.2", 7, KH_CALL_BYTES_MAX, 0, &new), ==,
                    KH_ADMITTED);
    g_assert_false(kh_clients_arrive(clients, ":1.1", 7));
    g_assert_false(kh_clients_arrive(clients, ":1.1", 9));
    g_assert_true(kh_clients_arrive(clients, ":1.0", 7));
    g_assert_cmpint(kh_clients_enter(clients, ":1.1", 9, 2, 0, &new), ==, KH_ADMITTED);
    g_assert_true(kh_clients_leave(clients, ":1.2", 7));
    g_assert_cmpint(kh_clients_enter(clients, ":1.3", 7, KH_CALL_BYTES_MAX, 0, &new), ==,
                    KH_ADMITTED);
}

/* A refused call waits to be told so, and of those there is a bound as well. */
static void
refusals(void)
{
    g_autoptr(KhClients) clients = kh_clients_new();
    gboolean new;
    guint told = 0;

    for (guint i = 0; i < 2 * KH_USER_REFUSALS_MAX / KH_CLIENT_REFUSALS_MAX; i++) {
        g_autofree char *name = g_strdup_printf(":1.%u", i);

        introduce(clients, name, uid);
        for (guint serial = 1; serial <= 2 * KH_CLIENT_REFUSALS_MAX; serial++)
            told += kh_clients_enter(clients, name, serial, 10, KH_CALL_FAULTY, &new) ==
                    KH_REFUSED_CALL;
        g_assert_cmpuint(told, ==, MIN((i + 1) * KH_CLIENT_REFUSALS_MAX, KH_USER_REFUSALS_MAX));
    }
    g_assert_cmpint(enter(clients, ":1.1", 1000, 0), ==, KH_ADMITTED);
    g_assert_true(kh_clients_leave(clients, ":1.0", 1));
    g_assert_cmpint(kh_clients_enter(clients, ":1.0", 1, 10, KH_CALL_FAULTY, &new), ==,
                    KH_REFUSED_CALL);
    g_assert_cmpint(
        kh_clients_enter(clients, ":1.0", 1001, 10, KH_CALL_FAULTY | KH_CALL_SILENT, &new), ==,
        KH_DROPPED);
}

/* What a serial stands for twice would be counted once and ended twice. */
static void
serials(void)
{
    g_autoptr(KhClients) clients = kh_clients_new();
    gboolean new;

    introduce(clients, ":1.1", uid);
    g_assert_cmpint(kh_clients_enter(clients, ":1.1", 7, 10, KH_CALL_SILENT, &new), ==,
                    KH_ADMITTED);
    g_assert_cmpint(enter(clients, ":1.1", 7, 10), ==, KH_DROPPED);
    g_assert_false(kh_clients_leave(clients, ":1.1", 7));
    g_assert_true(kh_clients_leave(clients, ":1.1", 7));
    g_assert_cmpuint(kh_clients_get_size(clients), ==, 0);
}

/* An answer is early until its call is served in turn, unless nobody wants it. */
static void
early_answers(void)
{
    g_autoptr(KhClients) clients = kh_clients_new();
    gboolean new;

    introduce(clients, ":1.1", uid);
    g_assert_false(kh_clients_is_early(clients, ":1.1", 7));
    g_assert_cmpint(enter(clients, ":1.1", 7, 10), ==, KH_ADMITTED);
    g_assert_true(kh_clients_is_early(clients, ":1.1", 7));
    kh_clients_take_turns(clients, ":1.1", 7);
    g_assert_false(kh_clients_is_early(clients, ":1.1", 7));
    kh_clients_enter(clients, ":1.1", 8, 10, KH_CALL_SILENT, &new);
    g_assert_false(kh_clients_is_early(clients, ":1.1", 8));
}

/* Those that come and go are forgotten, and with them their users. */
static void
idle_ones(void)
{
    g_autoptr(KhClients) clients = kh_clients_new();
    guint32 found;

    for (guint i = 0; i < 5000; i++) {
        g_autofree char *name = g_strdup_printf(":1.%u", i);

        introduce(clients, name, uid + i % 3);
    }
    g_assert_false(kh_clients_get_user(clients, ":1.0", &found));
    g_assert_true(kh_clients_get_user(clients, ":1.4999", &found));
    g_assert_true(is_new(clients, ":1.0"));
    kh_clients_set_user(clients, ":1.1", uid);
    g_assert_false(kh_clients_get_user(clients, ":1.1", &found));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clients/strangers", strangers);
    g_test_add_func("/clients/strangers-bytes", strangers_bytes);
    g_test_add_func("/clients/calls", calls_of_a_user);
    g_test_add_func("/clients/bytes", bytes_of_a_user);
    g_test_add_func("/clients/unread", unread_bytes);
    g_test_add_func("/clients/refusals", refusals);
    g_test_add_func("/clients/serials", serials);
    g_test_add_func("/clients/early", early_answers);
    g_test_add_func("/clients/idle", idle_ones);
    return g_test_run();
}
