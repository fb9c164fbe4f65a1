/* SPDX-License-Identifier: MIT */
/* The registry of jobs; see jobs.h. */
#include "jobs.h"

#define KEPT_S 60
/* Ended jobs beyond this number go before their minute is over. */
#define KEPT_MAX 1000

struct _KhJobs {
    GObject parent_instance;
    GPtrArray *jobs;     /* of KhJob */
    GPtrArray *ended;    /* those of them that have, in the order of their ends */
    GHashTable *entries; /* KhJob -> Entry */
    guint last_number;
    guint timer; /* until one is to go; 0: none has ended */
};

G_DEFINE_FINAL_TYPE(KhJobs, kh_jobs, G_TYPE_OBJECT)

enum { SIGNAL_ADDED, SIGNAL_REMOVED, N_SIGNALS };

static guint signals[N_SIGNALS];

typedef struct {
    gint64 goes_at; /* monotonic; 0: it is under way */
    guint holds;
} Entry;

static void
kh_jobs_finalize(GObject *object)
{
    KhJobs *self = KH_JOBS(object);

    for (guint i = 0; i < self->jobs->len; i++)
        g_signal_handlers_disconnect_by_data(self->jobs->pdata[i], self);
    g_clear_handle_id(&self->timer, g_source_remove);
    g_hash_table_unref(self->entries);
    g_ptr_array_unref(self->ended);
    g_ptr_array_unref(self->jobs);
    G_OBJECT_CLASS(kh_jobs_parent_class)->finalize(object);
}

static void
kh_jobs_class_init(KhJobsClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_jobs_finalize;
    signals[SIGNAL_ADDED] = g_signal_new("added", KH_TYPE_JOBS, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                         NULL, G_TYPE_NONE, 1, KH_TYPE_JOB);
    signals[SIGNAL_REMOVED] = g_signal_new("removed", KH_TYPE_JOBS, G_SIGNAL_RUN_LAST, 0, NULL,
                                           NULL, NULL, G_TYPE_NONE, 1, KH_TYPE_JOB);
}

static void
kh_jobs_init(KhJobs *self)
{
    self->jobs = g_ptr_array_new_with_free_func(g_object_unref);
    self->ended = g_ptr_array_new();
    self->entries = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

KhJobs *
kh_jobs_new(void)
{
    return g_object_new(KH_TYPE_JOBS, NULL);
}

GPtrArray *
kh_jobs_list(KhJobs *self)
{
    return self->jobs;
}

static Entry *
entry_of(KhJobs *self, KhJob *job)
{
    return g_hash_table_lookup(self->entries, job);
}

static void
drop(KhJobs *self, KhJob *job)
{
    g_autoptr(KhJob) held = g_object_ref(job);

    g_signal_handlers_disconnect_by_data(job, self);
    g_hash_table_remove(self->entries, job);
    g_ptr_array_remove(self->ended, job);
    g_ptr_array_remove_fast(self->jobs, job);
    g_signal_emit(self, signals[SIGNAL_REMOVED], 0, job);
}

static gboolean on_timer(gpointer data);

/* Drops those whose time is over or that are too many, the oldest first. */
static void
tidy(KhJobs *self)
{
    gint64 now = g_get_monotonic_time();
    guint held = 0;

    while (held < self->ended->len) {
        KhJob *job = self->ended->pdata[held];
        const Entry *entry = entry_of(self, job);

        if (entry->holds > 0)
            held++;
        else if (self->ended->len > KEPT_MAX || entry->goes_at <= now)
            drop(self, job);
        else
            break;
    }
    if (self->ended->len > 0 && self->timer == 0)
        self->timer = g_timeout_add_seconds(1, on_timer, self);
}

static gboolean
on_timer(gpointer data)
{
    KhJobs *self = data;

    self->timer = 0;
    tidy(self);
    return G_SOURCE_REMOVE;
}

/* Who has waited long for one still sees it. */
static void
on_job_changed(KhJob *job, KhJobs *self)
{
    Entry *entry = entry_of(self, job);

    if (kh_job_get_state(job) == KH_JOB_RUNNING || entry->goes_at != 0)
        return;
    entry->goes_at = g_get_monotonic_time() + KEPT_S * G_USEC_PER_SEC;
    g_ptr_array_add(self->ended, job);
    tidy(self);
}

KhJob *
kh_jobs_begin(KhJobs *self, const KhJobPlan *plan)
{
    KhJob *job = kh_job_new(++self->last_number, plan);

    g_ptr_array_add(self->jobs, g_object_ref(job));
    g_hash_table_insert(self->entries, job, g_new0(Entry, 1));
    g_signal_connect(job, "changed", G_CALLBACK(on_job_changed), self);
    g_signal_emit(self, signals[SIGNAL_ADDED], 0, job);
    return job;
}

typedef struct {
    KhJobs *jobs;
    KhJob *job;
} Hold;

gpointer
kh_jobs_hold(KhJobs *self, KhJob *job)
{
    Entry *entry = entry_of(self, job);
    Hold *hold = g_new0(Hold, 1);

    hold->jobs = g_object_ref(self);
    hold->job = g_object_ref(job);
    if (entry != NULL)
        entry->holds++;
    return hold;
}

void
kh_jobs_release(gpointer data)
{
    Hold *hold = data;
    Entry *entry = entry_of(hold->jobs, hold->job);

    if (entry != NULL)
        entry->holds--;
    g_object_unref(hold->job);
    g_object_unref(hold->jobs);
    g_free(hold);
}
