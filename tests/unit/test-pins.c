/* SPDX-License-Identifier: MIT */
/* Tests of who is noted as a user of which image. */
#include "image/pins.h"

#include "state/instance-dir-removal.h"

typedef struct {
    char *base;
    KhStateDir *state_dir;
    KhStore *store;
    KhImageStore *images;
    KhImagePins *pins;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *state = NULL, *runtime = NULL, *database = NULL, *images = NULL;

    f->base = g_dir_make_tmp("kh-pins-XXXXXX", NULL);
    state = g_build_filename(f->base, "state", NULL);
    runtime = g_build_filename(f->base, "run", NULL);
    f->state_dir = kh_state_dir_open(state, runtime, NULL);
    database = kh_state_dir_build(f->state_dir, "state.db");
    images = kh_state_dir_build(f->state_dir, "images");
    f->store = kh_store_open(database, NULL);
    f->images = kh_image_store_new(kh_state_dir_images_fd(f->state_dir), images);
    f->pins = kh_image_pins_new(f->store, f->images, f->state_dir);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    kh_image_pins_free(f->pins);
    g_object_unref(f->images);
    g_object_unref(f->store);
    g_object_unref(f->state_dir);
    kh_instance_dir_remove(-1, f->base, NULL, NULL);
    g_free(f->base);
}

/* @user is pinned to both; the images that are told of are @changed, in their order. */
static void
note(KhImagePins *pins, char *user, const char *now, const char *next, const char *changed)
{
    g_auto(GStrv) images = kh_image_pins_note(pins, user, now, next);
    g_autofree char *found = g_strjoinv(" ", images);

    g_assert_cmpstr(found, ==, changed);
}

/* The users are single letters. */
static void
check(KhImagePins *pins, const char *image, const char *wanted)
{
    const GPtrArray *list = kh_image_pins_list(pins, image);
    g_autoptr(GString) found = g_string_new(NULL);

    for (guint i = 0; list != NULL && i < list->len; i++)
        g_string_append(found, list->pdata[i]);
    g_assert_cmpstr(found->str, ==, wanted);
    g_assert_true(list == NULL || list->len > 0);
}

static void
follows_changes(Fixture *f, gconstpointer data)
{
    KhImagePins *pins = f->pins;
    char a[] = "a", b[] = "b";

    note(pins, a, "one", "one", "one");
    note(pins, b, "one", NULL, "one");
    check(pins, "one", "ab");
    check(pins, "two", "");
    note(pins, a, "one", "two", "two");
    check(pins, "one", "ab");
    check(pins, "two", "a");
    note(pins, a, "two", "two", "one");
    check(pins, "one", "b");
    note(pins, b, "two", "three", "one two three");
    check(pins, "one", "");
    check(pins, "two", "ab");
    note(pins, a, NULL, NULL, "two");
    note(pins, a, NULL, NULL, "");
    check(pins, "two", "b");
}

/* Most changes of an instance have nothing to do with its image. */
static void
tells_of_changes_only(Fixture *f, gconstpointer data)
{
    KhImagePins *pins = f->pins;
    char a[] = "a";

    note(pins, a, "one", "two", "one two");
    note(pins, a, "one", "two", "");
    note(pins, a, "two", "one", "");
    check(pins, "one", "a");
    check(pins, "two", "a");
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/pins/changes", follows_changes);
    ADD("/pins/nothing-new", tells_of_changes_only);
    return g_test_run();
}
