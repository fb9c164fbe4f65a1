/* SPDX-License-Identifier: MIT */
/* Tests of who is noted as a user of which image. */
#include "image/image-users.h"

/* @user is pinned to both; the images that are told of are @changed, in their order. */
static void
note(KhImageUsers *users, char *user, const char *now, const char *next, const char *changed)
{
    g_auto(GStrv) images = kh_image_users_note(users, user, now, next);
    g_autofree char *found = g_strjoinv(" ", images);

    g_assert_cmpstr(found, ==, changed);
}

/* The users are single letters. */
static void
check(KhImageUsers *users, const char *image, const char *wanted)
{
    const GPtrArray *list = kh_image_users_list(users, image);
    g_autoptr(GString) found = g_string_new(NULL);

    for (guint i = 0; list != NULL && i < list->len; i++)
        g_string_append(found, list->pdata[i]);
    g_assert_cmpstr(found->str, ==, wanted);
    g_assert_true(list == NULL || list->len > 0);
}

static void
follows_changes(void)
{
    KhImageUsers *users = kh_image_users_new();
    char a[] = "a", b[] = "b";

    note(users, a, "one", "one", "one");
    note(users, b, "one", NULL, "one");
    check(users, "one", "ab");
    check(users, "two", "");
    note(users, a, "one", "two", "two");
    check(users, "one", "ab");
    check(users, "two", "a");
    note(users, a, "two", "two", "one");
    check(users, "one", "b");
    note(users, b, "two", "three", "one two three");
    check(users, "one", "");
    check(users, "two", "ab");
    note(users, a, NULL, NULL, "two");
    note(users, a, NULL, NULL, "");
    check(users, "two", "b");
    kh_image_users_free(users);
}

/* Most changes of an instance have nothing to do with its image. */
static void
tells_of_changes_only(void)
{
    KhImageUsers *users = kh_image_users_new();
    char a[] = "a";

    note(users, a, "one", "two", "one two");
    note(users, a, "one", "two", "");
    note(users, a, "two", "one", "");
    check(users, "one", "a");
    check(users, "two", "a");
    kh_image_users_free(users);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image-users/changes", follows_changes);
    g_test_add_func("/image-users/nothing-new", tells_of_changes_only);
    return g_test_run();
}
