/* SPDX-License-Identifier: MIT */
/*
 * Turns; see turns.h. A line has the users who wait in the order of their turns, each of them has
 * his connections that wait in the order of theirs, and each of these has a queue: who was served
 * goes to the end, if he has more.
 */
#include "turns.h"

#include "clients.h"
#include "error.h"

/* How long short calls are served before the main loop looks at everything else. */
#define BATCH_USEC 2000
/* Short calls that are served before the bus is asked whether it has read their answers. */
#define WINDOW 8u
/* Whoever wanted too many long answers is slowed down for so long, and by so much. */
#define GREEDY_USEC (30 * G_USEC_PER_SEC)
#define PACE 200
#define PAUSE_MAX_USEC (30 * G_USEC_PER_SEC)
#define BUS "org.freedesktop.DBus"
/* The bus loses answers to who has as much waiting to be read as it keeps. */
#define ASK_TIMEOUT_MS 1000

typedef struct {
    KhTurn turn;       /* of a short call; or */
    KhLongTurn pieces; /* of long work */
    GDBusConnection *connection;
    gpointer data;
    GDestroyNotify free;
    guint32 uid;
} Work;

/* A connection of a user's. */
typedef struct {
    char *name;
    GQueue work; /* of Work, at least one */
} Client;

typedef struct {
    guint32 uid;
    GHashTable *clients; /* name -> Client; only those who wait */
    GQueue order;        /* of Client, the next first */
    guint waiting;       /* Work of all of them */
} User;

typedef struct {
    GHashTable *users; /* uid -> User; only those who wait */
    GQueue order;      /* of User, the next first */
} Line;

/* Who wanted too much, on the monotonic clock in microseconds. */
typedef struct {
    gint64 until; /* then it is forgotten */
    gint64 next;  /* no long answer before */
} Greed;

struct _KhTurns {
    GObject parent_instance;
    Line calls, lists;
    guint served;       /* short calls since the bus was asked */
    gboolean asked;     /* and has not answered yet */
    Work *list;         /* long work that has begun */
    guint32 written_by; /* whose answer the bus has not read yet, and */
    gint64 written;     /* since when; 0: there is none */
    GHashTable *greedy; /* uid -> Greed */
    guint source, timer;
};

G_DEFINE_FINAL_TYPE(KhTurns, kh_turns, G_TYPE_OBJECT)

static void
work_free(gpointer data)
{
    Work *work = data;

    if (work->free != NULL)
        work->free(work->data);
    g_clear_object(&work->connection);
    g_free(work);
}

static void
client_free(gpointer data)
{
    Client *client = data;

    g_queue_clear_full(&client->work, work_free);
    g_free(client->name);
    g_free(client);
}

static void
user_free(gpointer data)
{
    User *user = data;

    g_queue_clear(&user->order);
    g_hash_table_unref(user->clients);
    g_free(user);
}

static void
kh_turns_finalize(GObject *object)
{
    KhTurns *self = KH_TURNS(object);

    g_clear_handle_id(&self->source, g_source_remove);
    g_clear_handle_id(&self->timer, g_source_remove);
    g_clear_pointer(&self->list, work_free);
    g_hash_table_unref(self->greedy);
    g_hash_table_unref(self->calls.users);
    g_hash_table_unref(self->lists.users);
    g_queue_clear(&self->calls.order);
    g_queue_clear(&self->lists.order);
    G_OBJECT_CLASS(kh_turns_parent_class)->finalize(object);
}

static void
kh_turns_class_init(KhTurnsClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_turns_finalize;
}

static void
line_init(Line *line)
{
    line->users = g_hash_table_new_full(NULL, NULL, NULL, user_free);
    g_queue_init(&line->order);
}

static void
kh_turns_init(KhTurns *self)
{
    line_init(&self->calls);
    line_init(&self->lists);
    self->greedy = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

KhTurns *
kh_turns_new(void)
{
    return g_object_new(KH_TYPE_TURNS, NULL);
}

/* Root is always next. */
static void
queue_user(Line *line, User *user)
{
    if (user->uid == 0)
        g_queue_push_head(&line->order, user);
    else
        g_queue_push_tail(&line->order, user);
}

static User *
find_user(Line *line, guint32 uid)
{
    User *user = g_hash_table_lookup(line->users, GUINT_TO_POINTER(uid));

    if (user != NULL)
        return user;
    user = g_new0(User, 1);
    user->uid = uid;
    user->clients = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, client_free);
    g_queue_init(&user->order);
    g_hash_table_insert(line->users, GUINT_TO_POINTER(uid), user);
    queue_user(line, user);
    return user;
}

static Client *
find_client(User *user, const char *name)
{
    Client *client = g_hash_table_lookup(user->clients, name);

    if (client != NULL)
        return client;
    client = g_new0(Client, 1);
    client->name = g_strdup(name);
    g_queue_init(&client->work);
    g_hash_table_insert(user->clients, client->name, client);
    g_queue_push_tail(&user->order, client);
    return client;
}

/* Takes @work. */
static void
enqueue(Line *line, const KhCaller *caller, Work *work)
{
    User *user = find_user(line, caller->uid);

    work->uid = caller->uid;
    work->connection = g_object_ref(caller->connection);
    g_queue_push_tail(&find_client(user, caller->name)->work, work);
    user->waiting++;
}

/* It is another connection's turn then. */
static Work *
take_of_user(User *user)
{
    Client *client = g_queue_pop_head(&user->order);
    Work *work = g_queue_pop_head(&client->work);

    user->waiting--;
    if (g_queue_is_empty(&client->work))
        g_hash_table_remove(user->clients, client->name);
    else
        g_queue_push_tail(&user->order, client);
    return work;
}

/* The next work of @user, who has his place in the order; it is somebody else's turn then. */
static Work *
take(Line *line, User *user)
{
    Work *work = take_of_user(user);

    g_queue_remove(&line->order, user);
    if (user->waiting == 0)
        g_hash_table_remove(line->users, GUINT_TO_POINTER(user->uid));
    else
        queue_user(line, user);
    return work;
}

static void serve_later(KhTurns *self);

/* The answer comes when the bus has read all that was sent before. */
static void
ask_bus(KhTurns *self, GDBusConnection *connection, GAsyncReadyCallback on_read)
{
    g_dbus_connection_call(connection, BUS, "/org/freedesktop/DBus", BUS, "GetId", NULL, NULL,
                           G_DBUS_CALL_FLAGS_NONE, ASK_TIMEOUT_MS, NULL, on_read,
                           g_object_ref(self));
}

static void on_calls_read(GObject *source, GAsyncResult *result, gpointer data);

/* After each WINDOW of them, one question at a time. */
static void
ask_of_calls(KhTurns *self, GDBusConnection *connection)
{
    if (self->served < WINDOW || self->asked)
        return;
    self->served = 0;
    self->asked = TRUE;
    ask_bus(self, connection, on_calls_read);
}

static void
on_calls_read(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhTurns) self = data;
    /* Of a connection that is closed nothing is read any more; a lost answer is as good. */
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);

    self->asked = FALSE;
    ask_of_calls(self, G_DBUS_CONNECTION(source));
    serve_later(self);
}

static void
serve_call(KhTurns *self, User *user)
{
    g_autofree Work *work = take(&self->calls, user);
    g_autoptr(GDBusConnection) connection = g_steal_pointer(&work->connection);

    work->turn(work->data);
    self->served++;
    ask_of_calls(self, connection);
}

/* FALSE while there is nothing to do. */
static gboolean
serve_calls(KhTurns *self)
{
    gint64 end = g_get_monotonic_time() + BATCH_USEC;
    User *user;

    while ((user = g_queue_peek_head(&self->calls.order)) != NULL && self->served < WINDOW &&
           g_get_monotonic_time() < end)
        serve_call(self, user);
    return user != NULL && self->served < WINDOW;
}

/* --- what is long --------------------------------------------------------------------- */

/* When @uid may have a long answer, on the monotonic clock; 0: now. */
static gint64
next_of(KhTurns *self, guint32 uid)
{
    const Greed *greed = g_hash_table_lookup(self->greedy, GUINT_TO_POINTER(uid));

    return greed == NULL ? 0 : greed->next;
}

static gboolean
is_forgotten(gpointer uid, gpointer greed, gpointer now)
{
    return ((const Greed *)greed)->until <= *(const gint64 *)now;
}

static void
note_greed(KhTurns *self, guint32 uid)
{
    gpointer key = GUINT_TO_POINTER(uid);
    gint64 now = g_get_monotonic_time();
    Greed *greed;

    g_hash_table_foreach_remove(self->greedy, is_forgotten, &now);
    greed = g_hash_table_lookup(self->greedy, key);
    if (greed == NULL) {
        greed = g_new0(Greed, 1);
        g_hash_table_insert(self->greedy, key, greed);
    }
    greed->until = now + GREEDY_USEC;
}

static void
on_list_read(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhTurns) self = data;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);
    Greed *greed = g_hash_table_lookup(self->greedy, GUINT_TO_POINTER(self->written_by));
    gint64 now = g_get_monotonic_time();

    if (greed != NULL && greed->until > now)
        greed->next = now + MIN(PACE * (now - self->written), PAUSE_MAX_USEC);
    self->written = 0;
    serve_later(self);
}

static void
finish_list(KhTurns *self)
{
    self->written_by = self->list->uid;
    self->written = g_get_monotonic_time();
    ask_bus(self, self->list->connection, on_list_read);
    g_clear_pointer(&self->list, work_free);
}

static gboolean
on_timer(gpointer data)
{
    KhTurns *self = data;

    self->timer = 0;
    serve_later(self);
    return G_SOURCE_REMOVE;
}

/* The first user who need not wait; else all is looked at again when the first need not. */
static User *
find_ready(KhTurns *self)
{
    gint64 now = g_get_monotonic_time(), first = G_MAXINT64;

    for (GList *i = self->lists.order.head; i != NULL; i = i->next) {
        gint64 next = next_of(self, ((User *)i->data)->uid);

        if (next <= now)
            return i->data;
        first = MIN(first, next);
    }
    g_clear_handle_id(&self->timer, g_source_remove);
    if (first != G_MAXINT64)
        self->timer = g_timeout_add((guint)((first - now) / 1000 + 1), on_timer, self);
    return NULL;
}

/* A piece; FALSE while there is nothing to do. */
static gboolean
serve_list(KhTurns *self)
{
    if (self->written != 0)
        return FALSE;
    if (self->list == NULL) {
        User *user = find_ready(self);

        if (user == NULL)
            return FALSE;
        self->list = take(&self->lists, user);
    }
    if (!self->list->pieces(self->list->data))
        finish_list(self);
    return TRUE;
}

/* --- both ----------------------------------------------------------------------------- */

static gboolean
on_turn(gpointer data)
{
    KhTurns *self = data;
    gboolean more = serve_calls(self);

    if (serve_list(self) || more)
        return G_SOURCE_CONTINUE;
    self->source = 0;
    return G_SOURCE_REMOVE;
}

static void
serve_later(KhTurns *self)
{
    if (self->source == 0)
        self->source = g_idle_add_full(G_PRIORITY_DEFAULT, on_turn, self, NULL);
}

void
kh_turns_add(KhTurns *self, const KhCaller *caller, KhTurn turn, gpointer data, GDestroyNotify free)
{
    Work *work = g_new0(Work, 1);

    work->turn = turn;
    work->data = data;
    work->free = free;
    enqueue(&self->calls, caller, work);
    serve_later(self);
}

/* FALSE with @error: the user has as many waiting as he may. */
static gboolean
has_room(KhTurns *self, guint32 uid, GError **error)
{
    const User *user = g_hash_table_lookup(self->lists.users, GUINT_TO_POINTER(uid));
    guint most = uid == 0 ? KH_ROOT_FACTOR * KH_TURN_LISTS_MAX : KH_TURN_LISTS_MAX;

    if (user == NULL || user->waiting < most)
        return TRUE;
    note_greed(self, uid);
    return kh_error_set(
        error, KH_ERROR_LIMIT_EXCEEDED,
        "You already have %u calls with long answers in progress, as many as one user may "
        "have; wait for one to end",
        user->waiting);
}

gboolean
kh_turns_add_long(KhTurns *self, const KhCaller *caller, KhLongTurn turn, gpointer data,
                  GDestroyNotify free, GError **error)
{
    Work *work;

    if (!has_room(self, caller->uid, error)) {
        free(data);
        return FALSE;
    }
    work = g_new0(Work, 1);
    work->pieces = turn;
    work->data = data;
    work->free = free;
    enqueue(&self->lists, caller, work);
    serve_later(self);
    return TRUE;
}
