/* SPDX-License-Identifier: MIT */
/* Walks the table of states and operations whole. */
#include "model/state-table.h"

#include <string.h>

#include "error.h"

/*
 * One letter per admission: Allow, Refuse, Join, Nothing; for start stop kill restart reset
 * pause resume configure delete force-delete, by the order of KhState.
 */
static const char *const expected[KH_N_STATES] = {
    [KH_STATE_CREATED] = "ANNARRRAAA",  [KH_STATE_STARTING] = "JAAARRRARA",
    [KH_STATE_RUNNING] = "NAAAAANARA",  [KH_STATE_PAUSED] = "RAAAANAARA",
    [KH_STATE_STOPPING] = "RJARRRRARA", [KH_STATE_STOPPED] = "ANNARRRAAA",
    [KH_STATE_FAILED] = "ANNARRRAAA",   [KH_STATE_DELETING] = "RRRRRRRRJJ",
};

static void
whole_table(void)
{
    static const char letters[] = {[KH_ADMISSION_REFUSE] = 'R',
                                   [KH_ADMISSION_ALLOW] = 'A',
                                   [KH_ADMISSION_JOIN] = 'J',
                                   [KH_ADMISSION_NOTHING] = 'N'};

    for (guint state = 0; state < KH_N_STATES; state++)
        for (guint operation = 0; operation < KH_N_OPERATIONS; operation++)
            g_assert_cmpint(letters[kh_state_table_look_up(state, operation)], ==,
                            expected[state][operation]);
}

/* From every state something leads on. */
static void
no_dead_end(void)
{
    for (guint state = 0; state < KH_N_STATES; state++)
        g_assert_cmpint(kh_state_table_look_up(state, KH_OPERATION_FORCE_DELETE), !=,
                        KH_ADMISSION_REFUSE);
}

static void
explanations(void)
{
    for (guint state = 0; state < KH_N_STATES; state++)
        for (guint operation = 0; operation < KH_N_OPERATIONS; operation++) {
            g_autoptr(GError) error = NULL;

            if (kh_state_table_look_up(state, operation) != KH_ADMISSION_REFUSE)
                continue;
            kh_state_table_explain("demo", state, operation, &error);
            g_assert_true(error->domain == KH_ERROR);
            g_assert_nonnull(strstr(error->message, "demo"));
            g_assert_nonnull(strstr(error->message, kh_state_name(state)));
            g_assert_null(strstr(error->message, "try again"));
        }
}

/* What is proposed can be done in that state: nothing is "started first" that runs. */
static void
ways_out(void)
{
    static const struct {
        KhState state;
        KhOperation operation;
        const char *way;
    } cases[] = {
        {KH_STATE_RUNNING, KH_OPERATION_DELETE, "delete --force"},
        {KH_STATE_PAUSED, KH_OPERATION_DELETE, "delete --force"},
        {KH_STATE_STARTING, KH_OPERATION_DELETE, "delete --force"},
        {KH_STATE_STOPPING, KH_OPERATION_DELETE, "delete --force"},
        {KH_STATE_STARTING, KH_OPERATION_PAUSE, "wait until it runs"},
        {KH_STATE_STARTING, KH_OPERATION_RESET, "wait until it runs"},
        {KH_STATE_PAUSED, KH_OPERATION_START, "resume it"},
        {KH_STATE_STOPPING, KH_OPERATION_START, "stop --force"},
        {KH_STATE_STOPPING, KH_OPERATION_PAUSE, "start it again once"},
        {KH_STATE_STOPPED, KH_OPERATION_PAUSE, "start it first"},
        {KH_STATE_DELETING, KH_OPERATION_START, "soon be gone"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        kh_state_table_explain("demo", cases[i].state, cases[i].operation, &error);
        g_assert_nonnull(strstr(error->message, cases[i].way));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state-table/whole", whole_table);
    g_test_add_func("/state-table/no-dead-end", no_dead_end);
    g_test_add_func("/state-table/explain", explanations);
    g_test_add_func("/state-table/ways-out", ways_out);
    return g_test_run();
}
