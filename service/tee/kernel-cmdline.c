/* SPDX-License-Identifier: MIT */
/* The command line of a guest's kernel; see kernel-cmdline.h. */
#include "kernel-cmdline.h"

#include <string.h>

/* Guest contract. */
#define SEALED_OPTION "KATANA_EXPECTED_LUKS_UUID="

char *
kh_kernel_cmdline_trim(const char *cmdline)
{
    gsize length = strlen(cmdline);

    while (length > 0 && strchr(" \t\r\n", cmdline[length - 1]) != NULL)
        length--;
    return g_strndup(cmdline, length);
}

char *
kh_kernel_cmdline_seal(const char *cmdline, const char *luks_uuid)
{
    g_autofree char *trimmed = kh_kernel_cmdline_trim(cmdline);

    return g_strconcat(trimmed, trimmed[0] == '\0' ? "" : " ", SEALED_OPTION, luks_uuid, NULL);
}

char *
kh_kernel_cmdline_unseal(const char *cmdline)
{
    const char *option = strstr(cmdline, SEALED_OPTION);
    const char *start, *end;

    if (option == NULL || (option > cmdline && option[-1] != ' '))
        return g_strdup(cmdline);
    end = option + strcspn(option, " \n");
    start = option > cmdline ? option - 1 : option;
    return g_strdup_printf("%.*s%s", (int)(start - cmdline), cmdline, end);
}

char *
kh_kernel_cmdline(const char *luks_uuid)
{
    return luks_uuid == NULL ? g_strdup(KH_KERNEL_CMDLINE)
                             : kh_kernel_cmdline_seal(KH_KERNEL_CMDLINE, luks_uuid);
}
