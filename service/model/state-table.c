/* SPDX-License-Identifier: MIT */
/* The table of states and operations; see state-table.h. */
#include "state-table.h"

#include "error.h"

#define ALLOW KH_ADMISSION_ALLOW
#define REFUSE KH_ADMISSION_REFUSE
#define JOIN KH_ADMISSION_JOIN
#define NOTHING KH_ADMISSION_NOTHING

/* clang-format off */
static const KhAdmission table[KH_N_STATES][KH_N_OPERATIONS] = {
    /*                     start    stop     kill     restart reset   pause    resume   configure delete  delete --force */
    [KH_STATE_CREATED]  = {ALLOW,   NOTHING, NOTHING, ALLOW,  REFUSE, REFUSE,  REFUSE,  ALLOW,    ALLOW,  ALLOW},
    [KH_STATE_STARTING] = {JOIN,    ALLOW,   ALLOW,   ALLOW,  REFUSE, REFUSE,  REFUSE,  ALLOW,    REFUSE, ALLOW},
    [KH_STATE_RUNNING]  = {NOTHING, ALLOW,   ALLOW,   ALLOW,  ALLOW,  ALLOW,   NOTHING, ALLOW,    REFUSE, ALLOW},
    [KH_STATE_PAUSED]   = {REFUSE,  ALLOW,   ALLOW,   ALLOW,  ALLOW,  NOTHING, ALLOW,   ALLOW,    REFUSE, ALLOW},
    [KH_STATE_STOPPING] = {REFUSE,  JOIN,    ALLOW,   REFUSE, REFUSE, REFUSE,  REFUSE,  ALLOW,    REFUSE, ALLOW},
    [KH_STATE_STOPPED]  = {ALLOW,   NOTHING, NOTHING, ALLOW,  REFUSE, REFUSE,  REFUSE,  ALLOW,    ALLOW,  ALLOW},
    [KH_STATE_FAILED]   = {ALLOW,   NOTHING, NOTHING, ALLOW,  REFUSE, REFUSE,  REFUSE,  ALLOW,    ALLOW,  ALLOW},
    [KH_STATE_DELETING] = {REFUSE,  REFUSE,  REFUSE,  REFUSE, REFUSE, REFUSE,  REFUSE,  REFUSE,   JOIN,   JOIN},
};
/* clang-format on */

/* What to do instead of an operation that the table refuses. */
static const char *
way_out(KhState state, KhOperation operation)
{
    if (state == KH_STATE_DELETING)
        return "it will soon be gone";
    if (operation == KH_OPERATION_DELETE)
        return "stop it first, or use delete --force, which kills it";
    if (state == KH_STATE_STARTING)
        return "wait until it runs";
    if (state == KH_STATE_PAUSED)
        return "resume it";
    if (state != KH_STATE_STOPPING)
        return "start it first";
    return operation == KH_OPERATION_START || operation == KH_OPERATION_RESTART
               ? "wait until it has stopped, or kill it (stop --force)"
               : "start it again once it has stopped";
}

/* What each is called, the polkit action it needs, and what is to be known of it. */
static const struct {
    const char *name, *action;
    gboolean starts, commands;
} operations[KH_N_OPERATIONS] = {
    [KH_OPERATION_START] = {"start", "operate", .starts = TRUE},
    [KH_OPERATION_STOP] = {"stop", "operate"},
    [KH_OPERATION_KILL] = {"stop", "operate"},
    [KH_OPERATION_RESTART] = {"restart", "operate", .starts = TRUE},
    [KH_OPERATION_RESET] = {"reset", "operate", .starts = TRUE, .commands = TRUE},
    [KH_OPERATION_PAUSE] = {"pause", "operate", .commands = TRUE},
    [KH_OPERATION_RESUME] = {"resume", "operate", .commands = TRUE},
    [KH_OPERATION_CONFIGURE] = {"configure", "configure"},
    [KH_OPERATION_DELETE] = {"delete", "delete"},
    [KH_OPERATION_FORCE_DELETE] = {"delete", "delete"},
};

const char *
kh_operation_name(KhOperation operation)
{
    return operations[operation].name;
}

const char *
kh_operation_action(KhOperation operation)
{
    return operations[operation].action;
}

gboolean
kh_operation_starts(KhOperation operation)
{
    return operations[operation].starts;
}

gboolean
kh_operation_commands(KhOperation operation)
{
    return operations[operation].commands;
}

gboolean
kh_state_is_down(KhState state)
{
    return state == KH_STATE_CREATED || state == KH_STATE_STOPPED || state == KH_STATE_FAILED;
}

KhAdmission
kh_state_table_look_up(KhState state, KhOperation operation)
{
    return table[state][operation];
}

void
kh_state_table_explain(const char *name, KhState state, KhOperation operation, GError **error)
{
    gboolean passing = state == KH_STATE_DELETING || state == KH_STATE_STOPPING;

    g_set_error(error, KH_ERROR, passing ? KH_ERROR_BUSY : KH_ERROR_INVALID_STATE,
                "Cannot %s \"%s\": it is %s; %s", kh_operation_name(operation), name,
                kh_state_name(state), way_out(state, operation));
}
