/* SPDX-License-Identifier: MIT */
/* Which images are needed; see pins.h. */
#include "pins.h"

#include "crash-point.h"

#define SETTING_DEFAULT "default-image"

struct _KhImagePins {
    KhStore *store;
    KhImageStore *images;
    KhStateDir *state_dir;
    GHashTable *users;   /* image -> GPtrArray of users, never empty */
    GHashTable *of_user; /* user -> strv of its images, each once */
    char *default_image; /* as it stands in the store; NULL for none */
    guint held;          /* how often */
    gboolean keep_all;
    gboolean unsure; /* whether all images are used */
};

/* One that is not there (left out, or damaged in the database) is no default. */
static void
load_default(KhImagePins *self)
{
    g_autofree char *image = kh_store_get_setting(self->store, SETTING_DEFAULT);

    if (image != NULL && kh_image_store_find(self->images, image) != NULL)
        self->default_image = g_steal_pointer(&image);
}

KhImagePins *
kh_image_pins_new(KhStore *store, KhImageStore *images, KhStateDir *state_dir)
{
    KhImagePins *self = g_new0(KhImagePins, 1);

    self->store = store;
    self->images = images;
    self->state_dir = state_dir;
    self->users =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    self->of_user = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_strfreev);
    self->keep_all = self->unsure = TRUE;
    load_default(self);
    return self;
}

void
kh_image_pins_free(KhImagePins *self)
{
    g_hash_table_unref(self->users);
    g_hash_table_unref(self->of_user);
    g_free(self->default_image);
    g_free(self);
}

const GPtrArray *
kh_image_pins_list(KhImagePins *self, const char *image)
{
    return g_hash_table_lookup(self->users, image);
}

static void
join(KhImagePins *self, const char *image, gpointer user)
{
    GPtrArray *users = g_hash_table_lookup(self->users, image);

    if (users == NULL) {
        users = g_ptr_array_new();
        g_hash_table_insert(self->users, g_strdup(image), users);
    }
    g_ptr_array_add(users, user);
}

static void
leave(KhImagePins *self, const char *image, gpointer user)
{
    GPtrArray *users = g_hash_table_lookup(self->users, image);

    g_ptr_array_remove(users, user);
    if (users->len > 0)
        return;
    g_hash_table_remove(self->users, image);
    self->unsure = TRUE;
}

/* Has @user leave or join those @images that are not among @others. */
static void
change(KhImagePins *self, gpointer user, const char *const *images, const char *const *others,
       void (*how)(KhImagePins *, const char *, gpointer), GStrvBuilder *changed)
{
    for (; *images != NULL; images++)
        if (!g_strv_contains(others, *images)) {
            g_strv_builder_add(changed, *images);
            how(self, *images, user);
        }
}

static char **
list_images(const char *now, const char *next)
{
    g_autoptr(GStrvBuilder) images = g_strv_builder_new();

    if (now != NULL)
        g_strv_builder_add(images, now);
    if (next != NULL && g_strcmp0(now, next) != 0)
        g_strv_builder_add(images, next);
    return g_strv_builder_end(images);
}

char **
kh_image_pins_note(KhImagePins *self, gpointer user, const char *now, const char *next)
{
    static const char *const none[] = {NULL};
    g_autoptr(GStrvBuilder) changed = g_strv_builder_new();
    char **known = g_hash_table_lookup(self->of_user, user);
    const char *const *before = known == NULL ? none : (const char *const *)known;
    g_auto(GStrv) images = list_images(now, next);
    const char *const *after = (const char *const *)images;

    change(self, user, before, after, leave, changed);
    change(self, user, after, before, join, changed);
    if (after[0] == NULL)
        g_hash_table_remove(self->of_user, user);
    else
        g_hash_table_replace(self->of_user, user, g_steal_pointer(&images));
    return g_strv_builder_end(changed);
}

const char *
kh_image_pins_get_default(KhImagePins *self)
{
    return self->default_image;
}

gboolean
kh_image_pins_set_default(KhImagePins *self, const char *image)
{
    g_autoptr(GError) error = NULL;

    if (g_strcmp0(self->default_image, image) == 0)
        return FALSE;
    if (!kh_store_set_setting(self->store, SETTING_DEFAULT, image, &error)) {
        g_warning("The default image was not saved: %s", error->message);
        return FALSE;
    }
    g_free(self->default_image);
    self->default_image = g_strdup(image);
    self->unsure = TRUE;
    return TRUE;
}

void
kh_image_pins_hold(KhImagePins *self)
{
    self->held++;
    self->unsure = TRUE;
}

void
kh_image_pins_release(KhImagePins *self)
{
    self->held--;
    kh_image_pins_drop_unused(self);
}

void
kh_image_pins_keep_all(KhImagePins *self, gboolean keep)
{
    self->keep_all = keep;
}

/* The database first, which knows of all that needs it. */
static void
drop(KhImagePins *self, const char *image)
{
    if (kh_state_dir_find_read_only(self->state_dir) != NULL ||
        !kh_store_forget_image(self->store, image, NULL)) {
        self->unsure = TRUE;
        return;
    }
    kh_crash_point("image:forgotten");
    kh_image_store_remove(self->images, image);
}

void
kh_image_pins_drop_unused(KhImagePins *self)
{
    g_autoptr(GPtrArray) images = NULL;

    if (!self->unsure || self->held > 0 || self->keep_all)
        return;
    self->unsure = FALSE;
    images = kh_image_store_list(self->images);
    for (guint i = 0; i < images->len; i++)
        if (kh_image_pins_list(self, images->pdata[i]) == NULL &&
            g_strcmp0(images->pdata[i], self->default_image) != 0)
            drop(self, images->pdata[i]);
}
