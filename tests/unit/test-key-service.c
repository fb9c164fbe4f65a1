/* SPDX-License-Identifier: MIT */
/* Tests of the key service's client, against a server in this process that plays AMD's. */
#include <glib/gstdio.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "key-service.h"
#include "openssl-autoptr.h"

#define CHIP_BYTE 0xab
/* When the tests are: between the two updates of the list that is served. */
#define NOW G_GINT64_CONSTANT(1750000000)
#define WEEK (7 * 24 * 3600)

typedef enum {
    FAULT_NONE,
    FAULT_BUSY_ONCE,
    FAULT_BUSY_ONE_SECOND,
    FAULT_BUSY_ALWAYS,
    FAULT_BUSY_LONG,
    FAULT_BUSY_DATE,
    FAULT_OTHER_HOST,
    FAULT_OTHER_PORT,
    FAULT_OTHER_SCHEME,
    FAULT_NOWHERE,
    FAULT_MOVED_ONCE,
    FAULT_LOOP,
    FAULT_ENDLESS,
    FAULT_LONG,
    FAULT_GARBAGE,
    FAULT_EMPTY,
    FAULT_TWO,
    FAULT_OTHER_CHIP,
    FAULT_STRANGER,
    FAULT_SILENT,
    FAULT_SLOW,
    FAULT_NOT_FOUND,
    FAULT_BROKEN,
} Fault;

typedef struct {
    SoupServer *server;
    char *url, *folder;
    EVP_PKEY *ark, *ask, *vek, *stranger;
    Fault fault;
    gint64 this_update, next_update; /* of the list that it serves */
    guint requests, under_way, most_under_way;
    char *last; /* path and query */
    GCancellable *cancellable;
    gboolean cancel_soon;
} World;

/* --- certificates -------------------------------------------------------------------- */

static void
set_name(X509_NAME *name, const char *common, const char *serial)
{
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const guchar *)common, -1, -1, 0);
    if (serial != NULL)
        X509_NAME_add_entry_by_txt(name, "serialNumber", MBSTRING_ASC, (const guchar *)serial, -1,
                                   -1, 0);
}

/* @serial: what a VCEK is for. */
static X509 *
make_certificate(const char *common, const char *serial, EVP_PKEY *key, EVP_PKEY *issuer)
{
    X509 *x509 = X509_new();

    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 0);
    set_name(X509_get_subject_name(x509), common, serial);
    set_name(X509_get_issuer_name(x509), "issuer", NULL);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), WEEK);
    X509_set_pubkey(x509, key);
    g_assert_cmpint(X509_sign(x509, issuer, EVP_sha256()), >, 0);
    return x509;
}

static GBytes *
to_der(X509 *x509)
{
    guint8 *der = NULL;
    int size = i2d_X509(x509, &der);

    g_assert_cmpint(size, >, 0);
    return g_bytes_new_with_free_func(der, (gsize)size, free, der);
}

/* The item's name, at most 64 characters of it, as a serial number has. */
static char *
serial_of(const KhKeyItem *item)
{
    g_autofree char *name = kh_key_item_file_name(item);

    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);
}

static GBytes *
make_vcek(World *world, const KhKeyItem *item, EVP_PKEY *issuer)
{
    g_autofree char *serial = serial_of(item);
    g_autoptr(X509) x509 = make_certificate("SEV-VCEK", serial, world->vek, issuer);

    return to_der(x509);
}

static GBytes *
make_chain(World *world)
{
    g_autoptr(X509) ask = make_certificate("SEV-Milan", NULL, world->ask, world->ark);
    g_autoptr(X509) ark = make_certificate("ARK-Milan", NULL, world->ark, world->ark);
    g_autoptr(BIO) bio = BIO_new(BIO_s_mem());
    char *text;
    long n;

    PEM_write_bio_X509(bio, ask);
    PEM_write_bio_X509(bio, ark);
    n = BIO_get_mem_data(bio, &text);
    return g_bytes_new(text, (gsize)n);
}

static GBytes *
make_crl(World *world)
{
    g_autoptr(X509_CRL) crl = X509_CRL_new();
    g_autoptr(X509_NAME) name = X509_NAME_new();
    ASN1_TIME *this_update = ASN1_TIME_set(NULL, world->this_update);
    ASN1_TIME *next_update = ASN1_TIME_set(NULL, world->next_update);
    guint8 *der = NULL;
    int size;

    X509_CRL_set_version(crl, 1);
    set_name(name, "ARK-Milan", NULL);
    X509_CRL_set_issuer_name(crl, name);
    X509_CRL_set1_lastUpdate(crl, this_update);
    X509_CRL_set1_nextUpdate(crl, next_update);
    ASN1_TIME_free(this_update);
    ASN1_TIME_free(next_update);
    g_assert_cmpint(X509_CRL_sign(crl, world->ark, EVP_sha256()), >, 0);
    size = i2d_X509_CRL(crl, &der);
    return g_bytes_new_with_free_func(der, (gsize)size, free, der);
}

/* --- what the caller verifies -------------------------------------------------------- */

static gboolean
verify_chain(World *world, GBytes *bytes)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    g_autoptr(BIO) bio = BIO_new_mem_buf(data, (int)size);
    g_autoptr(X509) ask = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    g_autoptr(X509) ark = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    return X509_verify(ask, world->ark) == 1 && X509_verify(ark, world->ark) == 1;
}

static gboolean
verify_vcek(World *world, const KhKeyItem *item, GBytes *bytes)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    g_autoptr(X509) x509 = d2i_X509(NULL, &data, (long)size);
    g_autofree char *expected = serial_of(item);
    char found[128] = "";

    X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_serialNumber, found, sizeof found);
    return X509_verify(x509, world->ask) == 1 && g_str_equal(found, expected);
}

static gboolean
verify(const KhKeyItem *item, GBytes *bytes, gpointer data, GError **error)
{
    World *world = data;
    gsize size;
    const guint8 *der = g_bytes_get_data(bytes, &size);
    gboolean good;

    if (kh_key_kind_is_crl(item->kind)) {
        g_autoptr(X509_CRL) crl = d2i_X509_CRL(NULL, &der, (long)size);

        good = X509_CRL_verify(crl, world->ark) == 1;
    } else if (item->kind == KH_KEY_VCEK) {
        good = verify_vcek(world, item, bytes);
    } else {
        good = verify_chain(world, bytes);
    }
    if (!good)
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "it is not true");
    return good;
}

/* --- the server ---------------------------------------------------------------------- */

static KhKeyItem
milan_vcek(guint8 last)
{
    KhKeyItem item = {.kind = KH_KEY_VCEK, .product = KH_PRODUCT_MILAN};
    const guint8 raw[8] = {4, 0, 0, 0, 0, 0, 24, 219};

    memset(item.chip_id, CHIP_BYTE, sizeof item.chip_id);
    item.chip_id[63] = last;
    item.tcb = kh_tcb_decode(raw, item.product);
    return item;
}

static KhKeyItem
milan(KhKeyKind kind)
{
    return (KhKeyItem){.kind = kind, .product = KH_PRODUCT_MILAN, .tcb = kh_tcb_none()};
}

/* What is right at @path: the last chip byte of a VCEK stands at the end of it. */
static GBytes *
right_answer(World *world, const char *path)
{
    gsize length = strlen(path);
    KhKeyItem item;

    if (g_str_has_suffix(path, "/cert_chain"))
        return make_chain(world);
    if (g_str_has_suffix(path, "/crl"))
        return make_crl(world);
    g_assert_cmpuint(length, >, 128);
    item = milan_vcek((guint8)g_ascii_strtoull(path + length - 2, NULL, 16));
    if (world->fault == FAULT_OTHER_CHIP)
        item.chip_id[0] ^= 1;
    return make_vcek(world, &item, world->fault == FAULT_STRANGER ? world->stranger : world->ask);
}

static void
answer(SoupServerMessage *message, GBytes *bytes)
{
    soup_server_message_set_status(message, 200, NULL);
    soup_message_body_append_bytes(soup_server_message_get_response_body(message), bytes);
}

static void
answer_text(SoupServerMessage *message, const char *text)
{
    g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));

    answer(message, bytes);
}

static void
answer_busy(SoupServerMessage *message, const char *retry_after)
{
    soup_server_message_set_status(message, 429, NULL);
    if (retry_after != NULL)
        soup_message_headers_replace(soup_server_message_get_response_headers(message),
                                     "Retry-After", retry_after);
}

static void
answer_moved(SoupServerMessage *message, const char *location)
{
    soup_server_message_set_status(message, 302, NULL);
    if (location != NULL)
        soup_message_headers_replace(soup_server_message_get_response_headers(message), "Location",
                                     location);
}

static void
more(SoupServerMessage *message, gpointer size)
{
    gsize n = GPOINTER_TO_SIZE(size);

    soup_message_body_append_take(soup_server_message_get_response_body(message), g_malloc0(n), n);
}

/* One more byte every 20 ms, for ever. */
static gboolean
on_trickle(gpointer data)
{
    more(data, GSIZE_TO_POINTER(1));
    soup_server_message_unpause(data);
    return G_SOURCE_CONTINUE;
}

static void
stop_trickle(gpointer id)
{
    g_source_remove(GPOINTER_TO_UINT(id));
}

static void
answer_endless(SoupServerMessage *message, gboolean slow)
{
    SoupMessageBody *body = soup_server_message_get_response_body(message);

    soup_server_message_set_status(message, 200, NULL);
    soup_message_headers_set_encoding(soup_server_message_get_response_headers(message),
                                      SOUP_ENCODING_CHUNKED);
    soup_message_body_set_accumulate(body, FALSE);
    more(message, GSIZE_TO_POINTER(slow ? 1 : 4096));
    if (!slow) {
        g_signal_connect(message, "wrote-chunk", G_CALLBACK(more), GSIZE_TO_POINTER(4096));
        return;
    }
    g_object_set_data_full(G_OBJECT(message), "trickle",
                           GUINT_TO_POINTER(g_timeout_add(20, on_trickle, message)), stop_trickle);
}

static void
answer_date(SoupServerMessage *message)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autoptr(GDateTime) later = g_date_time_add_hours(now, 2);
    g_autofree char *text = soup_date_time_to_string(later, SOUP_DATE_HTTP);

    answer_busy(message, text);
}

static void
answer_two(World *world, SoupServerMessage *message, const char *path)
{
    g_autoptr(GBytes) bytes = right_answer(world, path);

    answer(message, bytes);
    answer(message, bytes);
}

/* FALSE: not a fault that answers. */
static gboolean
answer_fault(World *world, SoupServerMessage *message, const char *path)
{
    g_autofree char *other_host = g_strdup_printf("http://localhost%s/x", strrchr(world->url, ':'));
    gboolean first = world->requests == 1;

    switch (world->fault) {
    case FAULT_BUSY_ONCE:
        answer_busy(message, NULL);
        return first;
    case FAULT_BUSY_ONE_SECOND:
        answer_busy(message, "1");
        return first;
    case FAULT_BUSY_ALWAYS:
        answer_busy(message, "0");
        return TRUE;
    case FAULT_BUSY_LONG:
        answer_busy(message, "86400");
        return TRUE;
    case FAULT_BUSY_DATE:
        answer_date(message);
        return TRUE;
    case FAULT_OTHER_HOST:
        answer_moved(message, other_host);
        return TRUE;
    case FAULT_OTHER_PORT:
        answer_moved(message, "http://127.0.0.1:1/x");
        return TRUE;
    case FAULT_OTHER_SCHEME:
        answer_moved(message, "file:///etc/passwd");
        return TRUE;
    case FAULT_NOWHERE:
        answer_moved(message, NULL);
        return TRUE;
    case FAULT_MOVED_ONCE:
        answer_moved(message, "/moved/vcek/v1/Milan/cert_chain");
        return first;
    case FAULT_LOOP:
        answer_moved(message, "/vcek/v1/Milan/cert_chain");
        return TRUE;
    case FAULT_ENDLESS:
        answer_endless(message, FALSE);
        return TRUE;
    case FAULT_SLOW:
        answer_endless(message, TRUE);
        return TRUE;
    case FAULT_LONG:
        soup_server_message_set_status(message, 200, NULL);
        more(message, GSIZE_TO_POINTER(2 * 1024 * 1024));
        return TRUE;
    case FAULT_GARBAGE:
        answer_text(message, "<html>it is not here</html>");
        return TRUE;
    case FAULT_EMPTY:
        soup_server_message_set_status(message, 200, NULL);
        return TRUE;
    case FAULT_TWO:
        answer_two(world, message, path);
        return TRUE;
    case FAULT_SILENT:
        soup_server_message_pause(message);
        return TRUE;
    case FAULT_NOT_FOUND:
        soup_server_message_set_status(message, 404, NULL);
        return TRUE;
    case FAULT_BROKEN:
        soup_server_message_set_status(message, 500, NULL);
        return TRUE;
    case FAULT_NONE:
    case FAULT_OTHER_CHIP:
    case FAULT_STRANGER:
    default:
        return FALSE;
    }
}

static void
on_finished(SoupServerMessage *message, gpointer data)
{
    World *world = data;

    world->under_way--;
}

static gboolean
on_cancel(gpointer data)
{
    g_cancellable_cancel(data);
    return G_SOURCE_REMOVE;
}

static void
on_request(SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query,
           gpointer data)
{
    World *world = data;
    g_autoptr(GBytes) bytes = NULL;

    world->requests++;
    world->under_way++;
    world->most_under_way = MAX(world->most_under_way, world->under_way);
    g_signal_connect(message, "finished", G_CALLBACK(on_finished), world);
    g_free(world->last);
    world->last = g_uri_to_string(soup_server_message_get_uri(message));
    if (world->cancel_soon)
        g_idle_add(on_cancel, world->cancellable);
    if (answer_fault(world, message, path))
        return;
    soup_message_headers_remove(soup_server_message_get_response_headers(message), "Retry-After");
    bytes = right_answer(world, path);
    answer(message, bytes);
}

/* --- the world ----------------------------------------------------------------------- */

static void
set_up(World *world, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    GSList *uris;

    world->server = soup_server_new(NULL, NULL);
    soup_server_add_handler(world->server, NULL, on_request, world, NULL);
    soup_server_listen_local(world->server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, &error);
    g_assert_no_error(error);
    uris = soup_server_get_uris(world->server);
    world->url = g_strdup_printf("http://127.0.0.1:%d", g_uri_get_port(uris->data));
    g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
    world->folder = g_dir_make_tmp("key-service-XXXXXX", &error);
    g_assert_no_error(error);
    world->ark = EVP_EC_gen("P-256");
    world->ask = EVP_EC_gen("P-256");
    world->vek = EVP_EC_gen("P-256");
    world->stranger = EVP_EC_gen("P-256");
    world->this_update = NOW - WEEK;
    world->next_update = NOW + WEEK;
    world->cancellable = g_cancellable_new();
}

static void
remove_files(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        g_remove(path);
    }
    g_rmdir(folder);
}

static void
tear_down(World *world, gconstpointer data)
{
    soup_server_disconnect(world->server);
    g_object_unref(world->server);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    remove_files(world->folder);
    g_object_unref(world->cancellable);
    EVP_PKEY_free(world->ark);
    EVP_PKEY_free(world->ask);
    EVP_PKEY_free(world->vek);
    EVP_PKEY_free(world->stranger);
    g_free(world->last);
    g_free(world->folder);
    g_free(world->url);
}

static KhKeyService *
make_service(World *world, gboolean offline, gint64 now)
{
    KhKeyServiceOptions options = {
        .url = world->url,
        .folder = world->folder,
        .offline = offline,
        .now = now,
        .limits = {.answer_ms = 1500, .attempts = 3, .wait_first_ms = 10, .wait_max_ms = 3000},
    };
    g_autoptr(GError) error = NULL;
    KhKeyService *service = kh_key_service_new(&options, &error);

    g_assert_no_error(error);
    return service;
}

static void
on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    *(GAsyncResult **)data = g_object_ref(result);
}

static void
begin(World *world, KhKeyService *service, const KhKeyItem *item, GAsyncResult **result)
{
    *result = NULL;
    kh_key_service_get_async(service, item, verify, world, world->cancellable, on_done, result);
}

static GBytes *
finish(KhKeyService *service, GAsyncResult **result, KhKeyOrigin *origin, GError **error)
{
    GBytes *bytes;

    while (*result == NULL)
        g_main_context_iteration(NULL, TRUE);
    bytes = kh_key_service_get_finish(service, *result, origin, error);
    g_clear_object(result);
    return bytes;
}

static GBytes *
get(World *world, KhKeyService *service, const KhKeyItem *item, KhKeyOrigin *origin, GError **error)
{
    GAsyncResult *result;

    begin(world, service, item, &result);
    return finish(service, &result, origin, error);
}

/* @item comes, from there, with so many requests in all. */
static void
assert_comes(World *world, KhKeyService *service, const KhKeyItem *item, KhKeyOrigin expected,
             guint requests)
{
    g_autoptr(GError) error = NULL;
    KhKeyOrigin origin;
    g_autoptr(GBytes) bytes = get(world, service, item, &origin, &error);

    g_assert_no_error(error);
    g_assert_nonnull(bytes);
    g_assert_cmpint(origin, ==, expected);
    g_assert_cmpuint(world->requests, ==, requests);
}

static guint
count_files(World *world)
{
    g_autoptr(GDir) dir = g_dir_open(world->folder, 0, NULL);
    const char *name;
    guint n = 0;

    while ((name = g_dir_read_name(dir)) != NULL)
        n += !g_str_equal(name, "lock");
    return n;
}

/* --- names --------------------------------------------------------------------------- */

static void
assert_path(const KhKeyItem *item, const char *expected)
{
    g_autofree char *path = kh_key_item_path(item);

    g_assert_true(kh_key_item_check(item, NULL));
    g_assert_cmpstr(path, ==, expected);
}

static void
paths(void)
{
    const guint8 turin_tcb[8] = {1, 2, 3, 4, 0, 0, 0, 0x51};
    KhKeyItem item = milan_vcek(0x01);
    g_autofree char *chip = g_strnfill(126, 'a');
    g_autofree char *vcek = NULL;

    for (gsize i = 1; i < 126; i += 2)
        chip[i] = 'b';
    vcek = g_strdup_printf("/vcek/v1/Milan/%s01?blSPL=4&teeSPL=0&snpSPL=24&ucodeSPL=219", chip);
    assert_path(&item, vcek);
    memset(item.chip_id + 8, 0, sizeof item.chip_id - 8);
    item.product = KH_PRODUCT_TURIN;
    item.tcb = kh_tcb_decode(turin_tcb, item.product);
    assert_path(&item, "/vcek/v1/Turin/abababababababab"
                       "?fmcSPL=1&blSPL=2&teeSPL=3&snpSPL=4&ucodeSPL=81");
    item = milan(KH_KEY_VCEK_CHAIN);
    assert_path(&item, "/vcek/v1/Milan/cert_chain");
    item.kind = KH_KEY_VLEK_CHAIN;
    assert_path(&item, "/vlek/v1/Milan/cert_chain");
    item.kind = KH_KEY_VCEK_CRL;
    item.product = KH_PRODUCT_GENOA;
    assert_path(&item, "/vcek/v1/Genoa/crl");
    item.kind = KH_KEY_VLEK_CRL;
    assert_path(&item, "/vlek/v1/Genoa/crl");
}

static void
assert_refused(const KhKeyItem *item, KhError code)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(kh_key_item_check(item, &error));
    g_assert_error(error, KH_ERROR, (int)code);
}

static void
refused_items(void)
{
    KhKeyItem item = milan_vcek(1);

    item.tcb.part[KH_TCB_SNP] = KH_TCB_NONE;
    assert_refused(&item, KH_ERROR_INVALID_ARGUMENT);
    item = milan_vcek(1);
    memset(item.chip_id, 0, sizeof item.chip_id);
    assert_refused(&item, KH_ERROR_INVALID_ARGUMENT);
    item = milan_vcek(1);
    item.product = KH_PRODUCT_TURIN;
    item.tcb.part[KH_TCB_FMC] = 1;
    assert_refused(&item, KH_ERROR_INVALID_ARGUMENT);
    item = milan(KH_KEY_VCEK_CRL);
    item.product = KH_PRODUCT_VENICE;
    assert_refused(&item, KH_ERROR_NOT_SUPPORTED);
    item.product = KH_PRODUCT_UNKNOWN;
    assert_refused(&item, KH_ERROR_NOT_SUPPORTED);
    item = milan(KH_KEY_VLEK);
    assert_refused(&item, KH_ERROR_NOT_SUPPORTED);
}

static void
addresses(void)
{
    static const char *const bad[] = {
        "", "kds", "ftp://a", "http://", "http://u:p@a", "http://a?b", "http://a#b", "file:///etc"};
    KhKeyServiceOptions options = {.url = "https://a.example/kds/"};
    g_autoptr(KhKeyService) good = kh_key_service_new(&options, NULL);

    g_assert_nonnull(good);
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        options.url = bad[i];
        g_assert_null(kh_key_service_new(&options, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    }
}

/* --- what goes well ------------------------------------------------------------------ */

static void
once_only(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) service = make_service(world, FALSE, NOW);
    g_autoptr(KhKeyService) offline = make_service(world, TRUE, NOW);
    KhKeyItem items[] = {milan_vcek(1), milan_vcek(2), milan(KH_KEY_VCEK_CHAIN),
                         milan(KH_KEY_VCEK_CRL)};

    for (guint i = 0; i < G_N_ELEMENTS(items); i++) {
        g_autofree char *path = kh_key_item_path(&items[i]);

        assert_comes(world, service, &items[i], KH_KEY_FROM_SERVICE, i + 1);
        g_assert_true(g_str_has_suffix(world->last, path));
        assert_comes(world, service, &items[i], KH_KEY_FROM_CACHE, i + 1);
        assert_comes(world, offline, &items[i], KH_KEY_FROM_CACHE, i + 1);
    }
    g_assert_cmpuint(count_files(world), ==, G_N_ELEMENTS(items));
}

static void
modes(World *world, gconstpointer data)
{
    g_autofree char *top = g_steal_pointer(&world->folder);
    g_autofree char *path = NULL;
    g_autofree char *name = NULL;
    KhKeyItem item = milan(KH_KEY_VCEK_CHAIN);
    g_autoptr(KhKeyService) service = NULL;
    struct stat info;

    world->folder = g_build_filename(top, "cache", NULL);
    service = make_service(world, FALSE, NOW);
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 1);
    name = kh_key_item_file_name(&item);
    path = g_build_filename(world->folder, name, NULL);
    g_assert_cmpint(stat(world->folder, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0700);
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0600);
    remove_files(world->folder);
    g_free(world->folder);
    world->folder = g_steal_pointer(&top);
}

/* All at once: one request for the same thing, and never two under way. */
static void
one_at_a_time(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) first = make_service(world, FALSE, NOW);
    g_autoptr(KhKeyService) second = make_service(world, FALSE, NOW);
    KhKeyService *services[] = {first, second};
    GAsyncResult *results[12];

    for (guint i = 0; i < G_N_ELEMENTS(results); i++) {
        KhKeyItem item = milan_vcek((guint8)(i / 4));

        begin(world, services[i % 2], &item, &results[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS(results); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) bytes = finish(services[i % 2], &results[i], NULL, &error);

        g_assert_no_error(error);
        g_assert_nonnull(bytes);
    }
    g_assert_cmpuint(world->requests, ==, 3);
    g_assert_cmpuint(world->most_under_way, ==, 1);
}

static void
offline_miss(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) service = make_service(world, TRUE, NOW);
    KhKeyItem item = milan_vcek(1);
    g_autoptr(GError) error = NULL;

    g_assert_null(get(world, service, &item, NULL, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, world->folder));
    g_assert_cmpuint(world->requests, ==, 0);
}

static void
vlek(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) service = make_service(world, FALSE, NOW);
    KhKeyItem item = milan(KH_KEY_VLEK);
    g_autoptr(GError) error = NULL;

    g_assert_null(get(world, service, &item, NULL, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
    g_assert_cmpuint(world->requests, ==, 0);
}

/* --- the revocation list ------------------------------------------------------------- */

static void
list_past_its_time(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) today = make_service(world, FALSE, NOW);
    g_autoptr(KhKeyService) later = make_service(world, FALSE, NOW + WEEK);
    g_autoptr(KhKeyService) later_offline = make_service(world, TRUE, NOW + WEEK);
    KhKeyItem item = milan(KH_KEY_VCEK_CRL);

    assert_comes(world, today, &item, KH_KEY_FROM_SERVICE, 1);
    assert_comes(world, today, &item, KH_KEY_FROM_CACHE, 1);
    assert_comes(world, later_offline, &item, KH_KEY_FROM_CACHE, 1);
    assert_comes(world, later, &item, KH_KEY_FROM_SERVICE, 2);
    world->this_update = NOW;
    world->next_update = NOW + 3 * WEEK;
    assert_comes(world, later, &item, KH_KEY_FROM_SERVICE, 3);
    assert_comes(world, later, &item, KH_KEY_FROM_CACHE, 3);
}

static void
older_list(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) later = make_service(world, FALSE, NOW + WEEK);
    KhKeyItem item = milan(KH_KEY_VCEK_CRL);
    g_autoptr(GError) error = NULL;

    assert_comes(world, later, &item, KH_KEY_FROM_SERVICE, 1);
    world->this_update--;
    g_assert_null(get(world, later, &item, NULL, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "older"));
}

/* --- a cache that somebody changed --------------------------------------------------- */

static void
changed_cache(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) service = make_service(world, FALSE, NOW);
    g_autoptr(KhKeyService) offline = make_service(world, TRUE, NOW);
    KhKeyItem item = milan_vcek(1), other = milan_vcek(2);
    g_autofree char *name = kh_key_item_file_name(&item);
    g_autofree char *other_name = kh_key_item_file_name(&other);
    g_autofree char *path = g_build_filename(world->folder, name, NULL);
    g_autofree char *other_path = g_build_filename(world->folder, other_name, NULL);
    g_autoptr(GError) error = NULL;

    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 1);
    assert_comes(world, service, &other, KH_KEY_FROM_SERVICE, 2);
    /* Another chip's certificate in its place. */
    g_assert_cmpint(g_rename(other_path, path), ==, 0);
    g_assert_null(get(world, offline, &item, NULL, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_FOUND);
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 3);
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 4);
    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 5);
    /* A link to a good one is not followed. */
    assert_comes(world, service, &other, KH_KEY_FROM_SERVICE, 6);
    g_assert_cmpint(g_rename(path, other_path), ==, 0);
    g_assert_cmpint(symlink(other_path, path), ==, 0);
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 7);
    g_assert_false(g_file_test(path, G_FILE_TEST_IS_SYMLINK));
}

/* What one cannot verify yet is asked for once more, and not lost. */
static gboolean
refuse(const KhKeyItem *item, GBytes *bytes, gpointer data, GError **error)
{
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "its chain is not there yet");
    return FALSE;
}

static void
not_verified_yet(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) service = make_service(world, FALSE, NOW);
    KhKeyItem item = milan_vcek(1);
    GAsyncResult *result = NULL;
    g_autoptr(GError) error = NULL;

    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 1);
    kh_key_service_get_async(service, &item, refuse, NULL, NULL, on_done, &result);
    g_assert_null(finish(service, &result, NULL, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    assert_comes(world, service, &item, KH_KEY_FROM_CACHE, 2);
}

static void
no_cache(World *world, gconstpointer data)
{
    g_autofree char *folder = g_steal_pointer(&world->folder);
    g_autoptr(KhKeyService) service = NULL;
    KhKeyItem item = milan_vcek(1);

    world->folder = g_strdup("/proc/none/such");
    service = make_service(world, FALSE, NOW);
    g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "*is not cached*");
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 1);
    g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, "*is not cached*");
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 2);
    g_test_assert_expected_messages();
    g_free(world->folder);
    world->folder = g_steal_pointer(&folder);
}

/* --- faults -------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    Fault fault;
    KhError code;
    const char *says;
    guint requests;
} FaultRow;

static const FaultRow fault_rows[] = {
    {"busy-always", FAULT_BUSY_ALWAYS, KH_ERROR_BUSY, "3 times", 3},
    {"busy-long", FAULT_BUSY_LONG, KH_ERROR_BUSY, "86400 s", 1},
    {"busy-date", FAULT_BUSY_DATE, KH_ERROR_BUSY, "wants to be asked again", 1},
    {"other-host", FAULT_OTHER_HOST, KH_ERROR_FAILED, "another host", 1},
    {"other-port", FAULT_OTHER_PORT, KH_ERROR_FAILED, "another host", 1},
    {"other-scheme", FAULT_OTHER_SCHEME, KH_ERROR_FAILED, "another host", 1},
    {"nowhere", FAULT_NOWHERE, KH_ERROR_FAILED, "without saying where", 1},
    {"loop", FAULT_LOOP, KH_ERROR_FAILED, "more than 3 times", 4},
    {"endless", FAULT_ENDLESS, KH_ERROR_LIMIT_EXCEEDED, "more than 16384 bytes", 1},
    {"long", FAULT_LONG, KH_ERROR_LIMIT_EXCEEDED, "more than 16384 bytes", 1},
    {"garbage", FAULT_GARBAGE, KH_ERROR_FAILED, "one certificate in DER", 1},
    {"empty", FAULT_EMPTY, KH_ERROR_FAILED, "one certificate in DER", 1},
    {"two", FAULT_TWO, KH_ERROR_FAILED, "one certificate in DER", 1},
    {"other-chip", FAULT_OTHER_CHIP, KH_ERROR_FAILED, "not true", 1},
    {"stranger", FAULT_STRANGER, KH_ERROR_FAILED, "not true", 1},
    {"silent", FAULT_SILENT, KH_ERROR_TIMED_OUT, "did not answer within 2 s", 1},
    {"slow", FAULT_SLOW, KH_ERROR_TIMED_OUT, "did not answer within 2 s", 1},
    {"not-found", FAULT_NOT_FOUND, KH_ERROR_NOT_FOUND, "404", 1},
    {"broken", FAULT_BROKEN, KH_ERROR_FAILED, "500", 1},
};

/* Named, not kept, and the next one is asked for as if nothing had been. */
static void
faults(World *world, gconstpointer data)
{
    const FaultRow *row = data;
    g_autoptr(KhKeyService) service = make_service(world, FALSE, NOW);
    KhKeyItem item = milan_vcek(1);
    g_autoptr(GError) error = NULL;

    world->fault = row->fault;
    g_assert_null(get(world, service, &item, NULL, &error));
    g_assert_error(error, KH_ERROR, (int)row->code);
    if (strstr(error->message, row->says) == NULL)
        g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, row->says));
    g_assert_true(g_str_has_prefix(error->message, "The VCEK of the Milan chip abababab"));
    g_assert_cmpuint(world->requests, ==, row->requests);
    g_assert_cmpuint(count_files(world), ==, 0);
    world->fault = FAULT_NONE;
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, row->requests + 1);
}

static void
busy_once(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) service = make_service(world, FALSE, NOW);
    KhKeyItem item = milan_vcek(1);
    gint64 before;

    world->fault = FAULT_BUSY_ONCE;
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 2);
    world->fault = FAULT_BUSY_ONE_SECOND;
    world->requests = 0;
    item = milan_vcek(2);
    before = g_get_monotonic_time();
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 2);
    g_assert_cmpint(g_get_monotonic_time() - before, >=, G_USEC_PER_SEC);
}

static void
moved_once(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) service = make_service(world, FALSE, NOW);
    KhKeyItem item = milan(KH_KEY_VCEK_CHAIN);

    world->fault = FAULT_MOVED_ONCE;
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 2);
    g_assert_nonnull(strstr(world->last, "/moved/"));
}

/* During the wait for an answer, and during a pause. */
static void
cancelling(World *world, gconstpointer data)
{
    Fault fault = (Fault)GPOINTER_TO_INT(data);
    g_autoptr(KhKeyService) service = make_service(world, FALSE, NOW);
    KhKeyItem item = milan_vcek(1);
    g_autoptr(GError) error = NULL;

    world->fault = fault;
    world->cancel_soon = TRUE;
    g_assert_null(get(world, service, &item, NULL, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_CANCELLED);
    g_assert_cmpuint(world->requests, ==, 1);
    world->cancel_soon = FALSE;
    world->fault = FAULT_NONE;
    g_cancellable_reset(world->cancellable);
    assert_comes(world, service, &item, KH_KEY_FROM_SERVICE, 2);
}

/* Nobody there. */
static void
no_server(World *world, gconstpointer data)
{
    g_autoptr(KhKeyService) service = make_service(world, FALSE, NOW);
    KhKeyItem item = milan_vcek(1);
    g_autoptr(GError) error = NULL;

    soup_server_disconnect(world->server);
    g_assert_null(get(world, service, &item, NULL, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
}

/* --- shapes -------------------------------------------------------------------------- */

static void
assert_shape(KhKeyKind kind, GBytes *bytes, gboolean good)
{
    g_assert_true(kh_key_answer_check(kind, bytes, NULL) == good);
}

/* Each thing is one of its own kind only, whole, and alone. */
static void
shapes(World *world, gconstpointer data)
{
    KhKeyItem item = milan_vcek(1);
    g_autoptr(GBytes) vcek = make_vcek(world, &item, world->ask);
    g_autoptr(GBytes) chain = make_chain(world);
    g_autoptr(GBytes) crl = make_crl(world);
    GBytes *all[] = {vcek, chain, crl};
    const KhKeyKind kinds[] = {KH_KEY_VCEK, KH_KEY_VCEK_CHAIN, KH_KEY_VCEK_CRL};

    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        gsize size;
        const guint8 *bytes = g_bytes_get_data(all[i], &size);
        g_autofree guint8 *longer = g_malloc(size + 1);
        g_autoptr(GBytes) with_more = NULL;

        memcpy(longer, bytes, size);
        longer[size] = 'x';
        with_more = g_bytes_new(longer, size + 1);
        assert_shape(kinds[i], with_more, FALSE);
        for (guint k = 0; k < G_N_ELEMENTS(kinds); k++)
            assert_shape(kinds[k], all[i], i == k);
        for (gsize cut = 0; cut + 2 < size; cut++) {
            g_autoptr(GBytes) shorter = g_bytes_new_from_bytes(all[i], 0, cut);

            assert_shape(kinds[i], shorter, FALSE);
        }
    }
}

#define ADD(name, data, function) g_test_add(name, World, data, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_unsetenv("http_proxy");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/key-answer/paths", paths);
    g_test_add_func("/key-answer/refused", refused_items);
    ADD("/key-answer/shapes", NULL, shapes);
    g_test_add_func("/key-service/addresses", addresses);
    ADD("/key-service/once-only", NULL, once_only);
    ADD("/key-service/modes", NULL, modes);
    ADD("/key-service/one-at-a-time", NULL, one_at_a_time);
    ADD("/key-service/offline-miss", NULL, offline_miss);
    ADD("/key-service/vlek", NULL, vlek);
    ADD("/key-service/list-past-its-time", NULL, list_past_its_time);
    ADD("/key-service/older-list", NULL, older_list);
    ADD("/key-service/changed-cache", NULL, changed_cache);
    ADD("/key-service/not-verified-yet", NULL, not_verified_yet);
    ADD("/key-service/no-cache", NULL, no_cache);
    ADD("/key-service/busy-once", NULL, busy_once);
    ADD("/key-service/moved-once", NULL, moved_once);
    for (gsize i = 0; i < G_N_ELEMENTS(fault_rows); i++) {
        g_autofree char *name = g_strdup_printf("/key-service/faults/%s", fault_rows[i].name);

        ADD(name, &fault_rows[i], faults);
    }
    ADD("/key-service/cancelling/answer", GINT_TO_POINTER(FAULT_SILENT), cancelling);
    ADD("/key-service/cancelling/pause", GINT_TO_POINTER(FAULT_BUSY_ONE_SECOND), cancelling);
    ADD("/key-service/no-server", NULL, no_server);
    return g_test_run();
}
