/* SPDX-License-Identifier: MIT */
/* What a confidential instance asks for; see confidential.h. */
#include "confidential.h"

#include "error.h"
#include "expected-measurement.h"
#include "snp-host.h"

static gboolean
check_dev(const KhConfig *config, gboolean allowed, GError **error)
{
    if (!config->dev || allowed)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT,
        "dev gives Katana's accounts keys that everybody knows, and no confidential "
        "machine can protect those; leave dev out, or give the option allow-dev as well");
}

gboolean
kh_confidential_check_host(KhCheckContext *context, const KhSettings *settings,
                           const KhConfig *config, const KhOverrides *overrides, GError **error)
{
    if (!check_dev(config, overrides->allow_dev, error))
        return FALSE;
    if (settings->simulate_tee || overrides->force || kh_snp_host_check(context, error))
        return TRUE;
    g_prefix_error(error,
                   "The instance could not start here (the option force creates it anyway): ");
    return FALSE;
}

/* Katana's own builds say which UUID they were measured with. */
static gboolean
can_be_sealed(const KhImage *image)
{
    return g_strcmp0(g_hash_table_lookup(image->build_info, "SEALED"), "yes") == 0 ||
           g_hash_table_contains(image->build_info, "LUKS_UUID");
}

gboolean
kh_confidential_check_image(KhImageStore *images, const KhConfig *config, GError **error)
{
    const KhImage *image = kh_image_store_find(images, config->image);

    if (!config->tee)
        return TRUE;
    if (image == NULL)
        return kh_error_set(error, KH_ERROR_NOT_FOUND, "There is no image %s", config->image);
    if (kh_image_part(image, KH_IMAGE_FIRMWARE) == NULL)
        return kh_error_set(
            error, KH_ERROR_NOT_SUPPORTED,
            "The boot components have no " KH_IMAGE_FIRMWARE
            ", which a confidential machine needs to have its kernel measured; build them "
            "with it (from Debian's package ovmf-amdsev)");
    if (config->sealed && !can_be_sealed(image))
        return kh_error_set(
            error, KH_ERROR_NOT_SUPPORTED,
            "The boot components cannot open a sealed disk: their " KH_IMAGE_BUILD_INFO
            " does not say SEALED=yes; leave sealed out, or use other boot components");
    return TRUE;
}

/* The disk's key comes from the measurement: another one gives another key. */
static gboolean
check_sealed(const KhRecord *record, const KhConfig *config, GError **error)
{
    const KhConfig *now = record->config;

    if (!record->formatted || (!now->sealed && !config->sealed) ||
        !kh_config_measures_differently(now, config))
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_NOT_SUPPORTED,
        now->sealed ? "The disk of \"%s\" is sealed to the vcpus, vcpu-type and image of its first "
                      "start, and could not be opened with others; create another instance"
                    : "The disk of \"%s\" has been in use without a seal since its first start and "
                      "cannot be sealed any more; create another instance",
        record->name);
}

gboolean
kh_confidential_check_change(const KhRecord *record, const KhConfig *config, GError **error)
{
    const KhConfig *now = kh_record_get_wanted(record);

    if (now->tee != config->tee)
        return kh_error_set(
            error, KH_ERROR_NOT_SUPPORTED,
            "Whether \"%s\" is confidential was decided when it was created; create "
            "another instance",
            record->name);
    return !config->tee ||
           (check_dev(config, now->dev, error) && check_sealed(record, config, error));
}

const char *
kh_confidential_known_measurement(const KhRecord *record, const KhConfig *config)
{
    if (record->measurement[0] != '\0' && !kh_config_measures_differently(record->config, config))
        return record->measurement;
    if (record->pending != NULL && record->pending_measurement[0] != '\0' &&
        !kh_config_measures_differently(record->pending, config))
        return record->pending_measurement;
    return NULL;
}

void
kh_confidential_measure_async(KhImageStore *images, const char *qemu, const KhConfig *config,
                              const char *id, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autofree char *folder = kh_image_store_folder(images, config->image);
    const KhMeasuredLaunch launch = {.config = config,
                                     .id = id,
                                     .image = kh_image_store_find(images, config->image),
                                     .image_folder = folder,
                                     .qemu = qemu};

    kh_expected_measurement_async(&launch, callback, user_data);
}
