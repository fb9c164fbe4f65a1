/* SPDX-License-Identifier: MIT */
/* QEMU's command line; see command-line.h. */
#include "command-line.h"

#include <json-glib/json-glib.h>

#include "launch/shim-protocol.h"
#include "port/registry.h"
#include "tee/kernel-cmdline.h"

/* Where the guest serves RPC (guest contract). */
#define GUEST_RPC_PORT 5050
/* Of a machine's memory, in bytes. */
#define MEMORY_UNIT 8192

typedef struct {
    const KhMachine *machine;
    gboolean portable;
    GPtrArray *args;
} Builder;

static void
add(Builder *builder, const char *option, char *value)
{
    g_ptr_array_add(builder->args, g_strdup(option));
    if (value != NULL)
        g_ptr_array_add(builder->args, value);
}

/* A value within QEMU's KEY=VALUE,… syntax: a comma is written twice. */
static char *
escape(const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);

    return g_strjoinv(",,", parts);
}

static char *
take_json(JsonBuilder *json)
{
    g_autoptr(JsonNode) root = json_builder_get_root(json);

    return json_to_string(root, FALSE);
}

/* No device, file or mode that is not asked for, and the whole of QEMU's sandbox. */
static void
add_basics(Builder *b)
{
    add(b, "-name", g_strdup_printf("guest=%s", b->machine->name));
    add(b, "-nodefaults", NULL);
    add(b, "-no-user-config", NULL);
    add(b, "-display", g_strdup("none"));
    add(b, "-no-reboot", NULL);
    add(b, "-sandbox",
        g_strdup("on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"));
}

/* Whether the processor protects the machine, and not only in name. */
static gboolean
is_confidential(const Builder *b)
{
    return b->machine->config->tee && !b->machine->simulated;
}

static char *
processor_type(Builder *b, gboolean kvm)
{
    if (is_confidential(b))
        return g_strdup(b->machine->config->vcpu_type);
    return g_strdup(kvm ? "host" : "max");
}

/*
 * In bytes. QEMU rounds the size of the machine up to this, and takes memory of its own making
 * as it is, but a backend only if it has exactly that size.
 */
static guint64
memory_size(const Builder *b)
{
    guint64 bytes = b->machine->config->memory_bytes;

    return (bytes + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT;
}

static void
add_processor(Builder *b)
{
    gboolean kvm = g_str_equal(b->machine->accelerator, "kvm");

    add(b, "-machine",
        g_strdup(is_confidential(b) ? "q35,vmport=off,confidential-guest-support=sev0,"
                                      "memory-backend=ram1"
                                    : "q35,vmport=off"));
    add(b, "-accel",
        kvm ? g_strdup("kvm") : g_strdup_printf("tcg,tb-size=%d,thread=multi", KH_TCG_BUFFER_MIB));
    add(b, "-cpu", processor_type(b, kvm));
    add(b, "-smp", g_strdup_printf("%u", b->machine->config->vcpus));
    add(b, "-m", g_strdup_printf("size=%" G_GUINT64_FORMAT "B", memory_size(b)));
}

/*
 * Memory that can be made private, and what protects it. One bit of a physical address goes
 * to the guest's C-bit (QEMU's manual, "reduced-phys-bits").
 */
static void
add_protection(Builder *b)
{
    add(b, "-object",
        g_strdup_printf("memory-backend-memfd,id=ram1,size=%" G_GUINT64_FORMAT
                        "B,share=true,prealloc=false",
                        memory_size(b)));
    add(b, "-object",
        g_strdup_printf("sev-snp-guest,id=sev0,policy=0x%x,cbitpos=%u,reduced-phys-bits=1,"
                        "kernel-hashes=on",
                        KH_GUEST_POLICY, b->machine->c_bit));
}

static char *
component(Builder *b, const char *name, int fd)
{
    if (b->portable)
        return g_build_filename(b->machine->image_folder, name, NULL);
    return g_strdup_printf("/proc/self/fd/%d", fd);
}

static void
add_boot(Builder *b)
{
    g_autofree char *path = b->portable
                                ? g_build_filename(b->machine->data_folder, KH_FILE_ARGS, NULL)
                                : g_strdup(KH_FILE_ARGS);
    g_autofree char *args = escape(path);

    add(b, "-kernel", component(b, "vmlinuz", KH_SHIM_FD_KERNEL));
    add(b, "-initrd", component(b, "initrd.img", KH_SHIM_FD_INITRD));
    add(b, "-append", kh_kernel_cmdline(b->machine->luks_uuid));
    if (is_confidential(b))
        add(b, "-bios", component(b, "ovmf.fd", KH_SHIM_FD_FIRMWARE));
    add(b, "-fw_cfg", g_strdup_printf("name=opt/org.katana/args,file=%s", args));
}

/* Serial port, control channel and monitor: descriptors of the shim, or sockets here. */
static void
add_channels(Builder *b)
{
    if (b->portable) {
        add(b, "-chardev", g_strdup("file,id=serial0,path=" KH_FILE_SERIAL_LOG));
        add(b, "-chardev",
            g_strdup("socket,id=control0,path=" KH_SOCKET_CONTROL ",server=on,wait=off"));
        add(b, "-chardev", g_strdup("socket,id=qmp0,path=" KH_SOCKET_QMP ",server=on,wait=off"));
    } else {
        add(b, "-chardev", g_strdup_printf("socket,id=serial0,fd=%d", KH_SHIM_FD_SERIAL));
        add(b, "-chardev", g_strdup_printf("socket,id=control0,fd=%d", KH_SHIM_FD_CONTROL));
        add(b, "-chardev",
            g_strdup_printf("socket,id=qmp0,fd=%d,server=on,wait=off", KH_SHIM_FD_QMP));
        add(b, "-chardev", g_strdup_printf("socket,id=qmp1,fd=%d", KH_SHIM_FD_MONITOR));
        add(b, "-mon", g_strdup("chardev=qmp1,mode=control"));
    }
    add(b, "-serial", g_strdup("chardev:serial0"));
    add(b, "-device", g_strdup("virtio-serial-pci,id=virtio-serial0"));
    add(b, "-device", g_strdup("virtserialport,chardev=control0,name=org.katana.control.0"));
    add(b, "-mon", g_strdup("chardev=qmp0,mode=control"));
}

static void
add_disk(Builder *b)
{
    g_autoptr(JsonBuilder) json = json_builder_new_immutable();
    g_autofree char *path = b->portable
                                ? g_build_filename(b->machine->data_folder, KH_FILE_DATA, NULL)
                                : g_strdup(KH_FILE_DATA);

    json_builder_begin_object(json);
    json_builder_set_member_name(json, "driver");
    json_builder_add_string_value(json, "raw");
    json_builder_set_member_name(json, "node-name");
    json_builder_add_string_value(json, "disk0");
    json_builder_set_member_name(json, "discard");
    json_builder_add_string_value(json, "unmap");
    json_builder_set_member_name(json, "file");
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "driver");
    json_builder_add_string_value(json, "file");
    json_builder_set_member_name(json, "filename");
    json_builder_add_string_value(json, path);
    json_builder_end_object(json);
    json_builder_end_object(json);
    add(b, "-blockdev", take_json(json));
    /* The guest expects /dev/sda. */
    add(b, "-device", g_strdup("virtio-scsi-pci,id=scsi0"));
    add(b, "-device", g_strdup("scsi-hd,drive=disk0,bus=scsi0.0"));
}

/*
 * restrict=on, unless outbound: else the guest reaches every service on the host's
 * loopback, its neighbours' RPC included.
 */
static void
add_network(Builder *b)
{
    const KhConfig *config = b->machine->config;
    g_autofree char *loopback =
        kh_port_needs_loopback(config->rpc_address)
            ? g_strdup_printf(",hostfwd=tcp:%s:%u-:%d", kh_port_loopback(config->rpc_address),
                              config->rpc_port, GUEST_RPC_PORT)
            : g_strdup("");

    add(b, "-netdev",
        g_strdup_printf("user,id=net0,ipv6=off,restrict=%s,hostfwd=tcp:%s:%u-:%d%s",
                        config->outbound ? "off" : "on", config->rpc_address, config->rpc_port,
                        GUEST_RPC_PORT, loopback));
    /* The device sees bounce buffers of the guest only. */
    add(b, "-device",
        g_strdup_printf("virtio-net-pci,netdev=net0,romfile=%s",
                        is_confidential(b) ? ",disable-legacy=on,iommu_platform=true" : ""));
}

static char **
build(Builder *b)
{
    add_basics(b);
    add_processor(b);
    if (is_confidential(b))
        add_protection(b);
    add_boot(b);
    add_channels(b);
    add_disk(b);
    add_network(b);
    g_ptr_array_add(b->args, NULL);
    return (char **)g_ptr_array_free(b->args, FALSE);
}

char **
kh_command_line_build(const KhMachine *machine)
{
    Builder builder = {machine, FALSE, g_ptr_array_new()};

    return build(&builder);
}

char **
kh_command_line_build_portable(const KhMachine *machine)
{
    Builder builder = {machine, TRUE, g_ptr_array_new()};

    g_ptr_array_add(builder.args, g_strdup(machine->qemu));
    return build(&builder);
}
