/* SPDX-License-Identifier: MIT */
/*
 * Who has what under way; see clients.h. A unique name is never given out twice by a bus, so
 * what is known of one stays true; of those that have nothing under way the latest are kept.
 */
#include "clients.h"

/* Connections without a call that are remembered, so that the bus is asked once for each. */
#define IDLE_MAX 1024
/* A call with no more is small. */
#define SMALL_BYTES 4096
/* A call without its values: GDBus's message and invocation, and what we know of it. */
#define CALL_BYTES 2048

typedef struct {
    guint calls;
    gsize bytes;    /* of the calls */
    gsize unread;   /* of those of them that GDBus reads */
    guint refusals; /* calls that wait to be told that they are refused */
} Account;

typedef struct {
    Account account;
    guint clients; /* that are remembered */
} User;

typedef struct {
    char *name;
    Account account;
    guint32 uid;
    gboolean known, asked;
    User *user; /* the strangers' as long as it is not known */
    GList idle; /* in KhClients.idle while it has no call */
} Client;

typedef struct {
    Client *client;
    Account share; /* what it adds to the accounts */
    gboolean silent, takes_turns;
} Call;

struct _KhClients {
    GHashTable *clients; /* name -> Client */
    GHashTable *users;   /* uid -> User */
    GHashTable *calls;   /* "SENDER SERIAL" -> Call */
    User strangers;
    GQueue idle; /* of Client, the longest idle first */
    gsize bytes;
};

static void
client_free(gpointer data)
{
    Client *client = data;

    g_free(client->name);
    g_free(client);
}

KhClients *
kh_clients_new(void)
{
    KhClients *self = g_new0(KhClients, 1);

    self->clients = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, client_free);
    self->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    self->calls = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_queue_init(&self->idle);
    return self;
}

void
kh_clients_free(KhClients *self)
{
    g_hash_table_unref(self->calls);
    g_hash_table_unref(self->clients);
    g_hash_table_unref(self->users);
    g_free(self);
}

static char *
key_of(const char *sender, guint32 serial)
{
    return g_strdup_printf("%s %u", sender, serial);
}

/* A user goes with the last of his connections that is remembered. */
static void
leave_user(KhClients *self, Client *client)
{
    if (--client->user->clients == 0 && client->known)
        g_hash_table_remove(self->users, GUINT_TO_POINTER(client->uid));
}

static void
forget_oldest(KhClients *self)
{
    Client *client = self->idle.head->data;

    g_queue_unlink(&self->idle, &client->idle);
    leave_user(self, client);
    g_hash_table_remove(self->clients, client->name);
}

static void
rest(KhClients *self, Client *client)
{
    g_queue_push_tail_link(&self->idle, &client->idle);
    if (self->idle.length > IDLE_MAX)
        forget_oldest(self);
}

static Client *
find_client(KhClients *self, const char *sender)
{
    Client *client = g_hash_table_lookup(self->clients, sender);

    if (client != NULL)
        return client;
    client = g_new0(Client, 1);
    client->name = g_strdup(sender);
    client->idle.data = client;
    client->user = &self->strangers;
    client->user->clients++;
    g_hash_table_insert(self->clients, client->name, client);
    rest(self, client);
    return client;
}

/*
 * All strangers together have room for so much, as somebody new who sends all his calls at once
 * needs. Some small ones of each get in whatever the others send.
 */
static KhAdmission
judge_stranger(const Client *client, gsize bytes)
{
    const Account *all = &client->user->account;
    gsize needed = all->bytes + bytes + all->calls * CALL_BYTES;

    if (client->account.calls >= KH_CLIENT_CALLS_MAX)
        return KH_REFUSED_CLIENT;
    if (needed <= KH_STRANGERS_BYTES_MAX && all->unread + bytes <= KH_STRANGERS_UNREAD_MAX)
        return KH_ADMITTED;
    if (client->account.calls >= KH_STRANGER_CALLS_MAX)
        return KH_REFUSED_CLIENT;
    return bytes > SMALL_BYTES ? KH_REFUSED_BYTES : KH_ADMITTED;
}

static KhAdmission
judge(const Client *client, gsize bytes)
{
    const Account *account = &client->user->account;
    guint factor = client->uid == 0 ? KH_ROOT_FACTOR : 1;

    if (!client->known)
        return judge_stranger(client, bytes);
    if (client->account.calls >= KH_CLIENT_CALLS_MAX)
        return KH_REFUSED_CLIENT;
    if (account->calls >= factor * KH_USER_CALLS_MAX)
        return KH_REFUSED_USER;
    if (account->bytes + bytes > factor * KH_USER_BYTES_MAX ||
        account->unread + bytes > factor * KH_USER_UNREAD_MAX)
        return KH_REFUSED_BYTES;
    return KH_ADMITTED;
}

static gboolean
may_be_told(const Client *client)
{
    return client->account.refusals < KH_CLIENT_REFUSALS_MAX &&
           (!client->known || client->user->account.refusals < KH_USER_REFUSALS_MAX);
}

static gboolean
is_idle(const Client *client)
{
    return client->account.calls + client->account.refusals == 0;
}

static void
add(Account *account, const Account *share)
{
    account->calls += share->calls;
    account->bytes += share->bytes;
    account->unread += share->unread;
    account->refusals += share->refusals;
}

static void
subtract(Account *account, const Account *share)
{
    account->calls -= share->calls;
    account->bytes -= share->bytes;
    account->unread -= share->unread;
    account->refusals -= share->refusals;
}

static Call *
call_new(KhClients *self, Client *client, KhAdmission admission, gsize bytes)
{
    Call *call = g_new0(Call, 1);

    call->client = client;
    call->share = admission == KH_ADMITTED ? (Account){.calls = 1, .bytes = bytes, .unread = bytes}
                                           : (Account){.refusals = 1};
    if (is_idle(client))
        g_queue_unlink(&self->idle, &client->idle);
    add(&client->account, &call->share);
    add(&client->user->account, &call->share);
    self->bytes += call->share.bytes;
    return call;
}

KhAdmission
kh_clients_enter(KhClients *self, const char *sender, guint32 serial, gsize bytes,
                 KhCallFlags flags, gboolean *is_new)
{
    g_autofree char *key = key_of(sender, serial);
    KhAdmission admission;
    Client *client;
    Call *call;

    *is_new = FALSE;
    if (g_hash_table_contains(self->calls, key))
        return KH_DROPPED;
    client = find_client(self, sender);
    admission = flags & KH_CALL_FAULTY ? KH_REFUSED_CALL : judge(client, bytes);
    if (admission != KH_ADMITTED && (flags & KH_CALL_SILENT || !may_be_told(client)))
        return KH_DROPPED;
    *is_new = !client->asked;
    client->asked = TRUE;
    call = call_new(self, client, admission, bytes);
    call->silent = (flags & KH_CALL_SILENT) != 0;
    g_hash_table_insert(self->calls, g_steal_pointer(&key), call);
    return admission;
}

static Call *
find_call(KhClients *self, const char *sender, guint32 serial)
{
    g_autofree char *key = key_of(sender, serial);

    return g_hash_table_lookup(self->calls, key);
}

gboolean
kh_clients_arrive(KhClients *self, const char *sender, guint32 serial)
{
    Call *call = find_call(self, sender, serial);

    if (call == NULL || call->share.calls == 0)
        return FALSE;
    call->client->account.unread -= call->share.unread;
    call->client->user->account.unread -= call->share.unread;
    call->share.unread = 0;
    return TRUE;
}

void
kh_clients_take_turns(KhClients *self, const char *sender, guint32 serial)
{
    Call *call = find_call(self, sender, serial);

    if (call != NULL)
        call->takes_turns = TRUE;
}

gboolean
kh_clients_is_early(KhClients *self, const char *sender, guint32 serial)
{
    const Call *call = find_call(self, sender, serial);

    return call != NULL && !call->takes_turns && !call->silent;
}

gboolean
kh_clients_leave(KhClients *self, const char *sender, guint32 serial)
{
    g_autofree char *key = key_of(sender, serial);
    Call *call = g_hash_table_lookup(self->calls, key);
    gboolean wanted;

    if (call == NULL)
        return TRUE;
    wanted = !call->silent;
    subtract(&call->client->account, &call->share);
    subtract(&call->client->user->account, &call->share);
    self->bytes -= call->share.bytes;
    if (is_idle(call->client))
        rest(self, call->client);
    g_hash_table_remove(self->calls, key);
    return wanted;
}

static User *
find_user(KhClients *self, guint32 uid)
{
    User *user = g_hash_table_lookup(self->users, GUINT_TO_POINTER(uid));

    if (user == NULL) {
        user = g_new0(User, 1);
        g_hash_table_insert(self->users, GUINT_TO_POINTER(uid), user);
    }
    return user;
}

void
kh_clients_set_user(KhClients *self, const char *sender, guint32 uid)
{
    Client *client = g_hash_table_lookup(self->clients, sender);

    if (client == NULL || client->known)
        return;
    self->strangers.clients--;
    subtract(&self->strangers.account, &client->account);
    client->known = TRUE;
    client->uid = uid;
    client->user = find_user(self, uid);
    client->user->clients++;
    add(&client->user->account, &client->account);
}

gboolean
kh_clients_get_user(KhClients *self, const char *sender, guint32 *uid)
{
    const Client *client = g_hash_table_lookup(self->clients, sender);

    if (client == NULL || !client->known)
        return FALSE;
    *uid = client->uid;
    return TRUE;
}

gsize
kh_clients_get_size(KhClients *self)
{
    return self->bytes + g_hash_table_size(self->calls) * CALL_BYTES;
}
