/* SPDX-License-Identifier: MIT */
/* Command lines near another; see neighbour-cmdlines.h. */
#include "neighbour-cmdlines.h"

#include <string.h>

#include "kernel-cmdline.h"
#include "measurement.h"

static void
cmdline_free(gpointer data)
{
    KhNeighbourCmdline *cmdline = data;

    g_free(cmdline->bytes);
    g_free(cmdline->label);
    g_free(cmdline);
}

static gboolean
contains(GPtrArray *cmdlines, const char *bytes)
{
    for (guint i = 0; i < cmdlines->len; i++) {
        const KhNeighbourCmdline *known = cmdlines->pdata[i];

        if (g_str_equal(known->bytes, bytes))
            return TRUE;
    }
    return FALSE;
}

/* Takes @bytes; one that is too long to be measured is none. */
static void
add(GPtrArray *cmdlines, char *bytes, const char *label)
{
    KhNeighbourCmdline *cmdline;

    if (contains(cmdlines, bytes) || strlen(bytes) > KH_CMDLINE_MAX) {
        g_free(bytes);
        return;
    }
    cmdline = g_new0(KhNeighbourCmdline, 1);
    cmdline->bytes = bytes;
    cmdline->label = g_strdup(label);
    g_ptr_array_add(cmdlines, cmdline);
}

/* @bytes as it is, and as editors and scripts spoil its end. */
static void
add_endings(GPtrArray *cmdlines, const char *bytes, const char *label)
{
    g_autofree char *newline = g_strconcat(label, " with a trailing newline", NULL);
    g_autofree char *space = g_strconcat(label, " with a trailing space", NULL);
    g_autofree char *trimmed = g_strconcat(label, " without trailing blanks", NULL);

    add(cmdlines, g_strdup(bytes), label);
    add(cmdlines, kh_kernel_cmdline_trim(bytes), trimmed);
    add(cmdlines, g_strconcat(bytes, "\n", NULL), newline);
    add(cmdlines, g_strconcat(bytes, " ", NULL), space);
}

static void
add_sealed(GPtrArray *cmdlines, const char *unsealed, const char *uuid)
{
    g_autofree char *sealed = kh_kernel_cmdline_seal(unsealed, uuid);
    g_autofree char *shown = g_strescape(uuid, NULL);
    g_autofree char *label = g_strdup_printf("the one sealed with %s", shown);

    add_endings(cmdlines, sealed, label);
}

GPtrArray *
kh_neighbour_cmdlines(const char *cmdline, const char *luks_uuid)
{
    GPtrArray *cmdlines = g_ptr_array_new_with_free_func(cmdline_free);
    g_autofree char *unsealed = kh_kernel_cmdline_unseal(cmdline);
    g_autofree char *plain = kh_kernel_cmdline(NULL);

    add_endings(cmdlines, cmdline, "the same");
    add_endings(cmdlines, unsealed, "the unsealed one");
    if (luks_uuid != NULL)
        add_sealed(cmdlines, unsealed, luks_uuid);
    add_sealed(cmdlines, unsealed, KH_CANONICAL_LUKS_UUID);
    add_endings(cmdlines, plain, "the default one");
    add_endings(cmdlines, "", "the empty one");
    return cmdlines;
}
