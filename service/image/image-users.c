/* SPDX-License-Identifier: MIT */
/* The users of images, both ways; see image-users.h. */
#include "image-users.h"

struct _KhImageUsers {
    GHashTable *users;  /* image -> GPtrArray of users, never empty */
    GHashTable *images; /* user -> strv of its images, each once */
};

KhImageUsers *
kh_image_users_new(void)
{
    KhImageUsers *self = g_new0(KhImageUsers, 1);

    self->users =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    self->images = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_strfreev);
    return self;
}

void
kh_image_users_free(KhImageUsers *self)
{
    g_hash_table_unref(self->users);
    g_hash_table_unref(self->images);
    g_free(self);
}

const GPtrArray *
kh_image_users_list(KhImageUsers *self, const char *image)
{
    return g_hash_table_lookup(self->users, image);
}

static void
join(KhImageUsers *self, const char *image, gpointer user)
{
    GPtrArray *users = g_hash_table_lookup(self->users, image);

    if (users == NULL) {
        users = g_ptr_array_new();
        g_hash_table_insert(self->users, g_strdup(image), users);
    }
    g_ptr_array_add(users, user);
}

static void
leave(KhImageUsers *self, const char *image, gpointer user)
{
    GPtrArray *users = g_hash_table_lookup(self->users, image);

    g_ptr_array_remove(users, user);
    if (users->len == 0)
        g_hash_table_remove(self->users, image);
}

/* Has @user leave or join those @images that are not among @others. */
static void
change(KhImageUsers *self, gpointer user, const char *const *images, const char *const *others,
       void (*how)(KhImageUsers *, const char *, gpointer), GStrvBuilder *changed)
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
kh_image_users_note(KhImageUsers *self, gpointer user, const char *now, const char *next)
{
    static const char *const none[] = {NULL};
    g_autoptr(GStrvBuilder) changed = g_strv_builder_new();
    char **known = g_hash_table_lookup(self->images, user);
    const char *const *before = known == NULL ? none : (const char *const *)known;
    g_auto(GStrv) images = list_images(now, next);
    const char *const *after = (const char *const *)images;

    change(self, user, before, after, leave, changed);
    change(self, user, after, before, join, changed);
    if (after[0] == NULL)
        g_hash_table_remove(self->images, user);
    else
        g_hash_table_replace(self->images, user, g_steal_pointer(&images));
    return g_strv_builder_end(changed);
}
