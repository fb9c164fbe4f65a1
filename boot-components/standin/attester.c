/* SPDX-License-Identifier: MIT */
/* See attester.h. The layout is that of AMD's 56860, table 23. */
#include "attester.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <string.h>

#define KEY_SIZE 48
#define MEASUREMENT_SIZE 48
#define CHIP_SIZE 64
#define TCB_SIZE 8
#define POLICY_SIZE 8

#define VERSION 0x000
#define POLICY 0x008
#define VMPL 0x030
#define ALGORITHM 0x034
#define CURRENT_TCB 0x038
#define PLATFORM 0x040
#define DATA 0x050
#define MEASUREMENT 0x090
#define REPORT_ID 0x140
#define REPORT_ID_MA 0x160
#define REPORTED_TCB 0x180
#define CPUID 0x188
#define CHIP 0x1a0
#define COMMITTED_TCB 0x1e0
#define CURRENT_VERSION 0x1e8
#define COMMITTED_VERSION 0x1ec
#define LAUNCH_TCB 0x1f0
#define SIGNATURE 0x2a0
#define SIGNATURE_PART 72

struct product {
    const char *name;
    uint8_t version; /* of the report */
    uint8_t family;
    uint8_t model;
};

static const struct product products[] = {
    {"milan", 3, 0x19, 0x01},
    {"genoa", 3, 0x19, 0x11},
    {"turin", 5, 0x1a, 0x02},
};

/* What the argument says. */
struct machine {
    const struct product *product;
    uint8_t key[KEY_SIZE];
    uint8_t measurement[MEASUREMENT_SIZE];
    uint8_t chip[CHIP_SIZE];
    uint8_t tcb[TCB_SIZE];
    uint8_t policy[POLICY_SIZE];
};

/* --- the argument -------------------------------------------------------------------- */

static int
digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, c);

    return found == NULL ? -1 : (int)(found - digits);
}

static bool
read_hex(const char *text, size_t len, uint8_t *bytes, size_t size)
{
    if (len != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool
is_word(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(text, word, len) == 0;
}

static bool
read_product(const char *text, size_t len, struct machine *machine)
{
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        if (is_word(text, len, products[i].name))
            machine->product = &products[i];
    return machine->product != NULL;
}

/* Reads one member; sets its bit in *seen, which must not be there. */
static bool
read_member(const char *text, size_t len, struct machine *machine, unsigned *seen)
{
    const struct {
        const char *name;
        uint8_t *bytes; /* NULL: the product */
        size_t size;
    } members[] = {
        {"product", NULL, 0},
        {"key", machine->key, sizeof machine->key},
        {"measurement", machine->measurement, sizeof machine->measurement},
        {"chip", machine->chip, sizeof machine->chip},
        {"tcb", machine->tcb, sizeof machine->tcb},
        {"policy", machine->policy, sizeof machine->policy},
    };
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals == NULL ? 0 : (size_t)(equals - text);

    for (unsigned i = 0; i < sizeof members / sizeof *members; i++) {
        if (!is_word(text, name_len, members[i].name) || (*seen & 1u << i) != 0)
            continue;
        *seen |= 1u << i;

        const char *value = equals + 1;
        size_t value_len = len - name_len - 1;

        return members[i].bytes == NULL
                   ? read_product(value, value_len, machine)
                   : read_hex(value, value_len, members[i].bytes, members[i].size);
    }
    return false;
}

static bool
read_machine(const char *text, struct machine *machine)
{
    unsigned seen = 0;

    for (;;) {
        size_t len = strcspn(text, ":");

        if (!read_member(text, len, machine, &seen))
            return false;
        if (text[len] == '\0')
            return seen == 0x3f;
        text += len + 1;
    }
}

/* --- the key ------------------------------------------------------------------------- */

static EVP_PKEY *
import_key(OSSL_PARAM *params)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;

    if (params == NULL || context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *
make_key(const uint8_t bytes[KEY_SIZE])
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp384r1);
    BIGNUM *number = BN_bin2bn(bytes, KEY_SIZE, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (group != NULL && number != NULL && builder != NULL && !BN_is_zero(number) &&
        BN_cmp(number, EC_GROUP_get0_order(group)) < 0 &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-384", 0) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, number)) {
        params = OSSL_PARAM_BLD_to_param(builder);
        key = import_key(params);
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    BN_clear_free(number);
    EC_GROUP_free(group);
    return key;
}

/* --- the report ---------------------------------------------------------------------- */

static void
fill_report(uint8_t *report, const struct machine *machine)
{
    static const uint16_t tcbs[] = {CURRENT_TCB, REPORTED_TCB, COMMITTED_TCB, LAUNCH_TCB};
    static const uint8_t firmware[] = {29, 55, 1};

    memset(report, 0, REPORT_SIZE);
    report[VERSION] = machine->product->version;
    for (int i = 0; i < POLICY_SIZE; i++)
        report[POLICY + i] = machine->policy[POLICY_SIZE - 1 - i];
    /* Katana asks for this level. */
    report[VMPL] = 1;
    report[ALGORITHM] = 1;
    /* SMT, ECC, and that no memory alias was found. */
    report[PLATFORM] = 0x25;
    memcpy(report + MEASUREMENT, machine->measurement, MEASUREMENT_SIZE);
    memset(report + REPORT_ID, 0x5a, 32);
    memset(report + REPORT_ID_MA, 0xff, 32);
    report[CPUID] = machine->product->family;
    report[CPUID + 1] = machine->product->model;
    memcpy(report + CHIP, machine->chip, CHIP_SIZE);
    for (size_t i = 0; i < sizeof tcbs / sizeof *tcbs; i++)
        memcpy(report + tcbs[i], machine->tcb, TCB_SIZE);
    memcpy(report + CURRENT_VERSION, firmware, sizeof firmware);
    memcpy(report + COMMITTED_VERSION, firmware, sizeof firmware);
}

bool
attester_open(struct attester *attester, const char *text)
{
    struct machine machine = {0};

    if (!read_machine(text, &machine))
        return false;
    attester->key = make_key(machine.key);
    fill_report(attester->report, &machine);
    return attester->key != NULL;
}

void
attester_close(struct attester *attester)
{
    EVP_PKEY_free(attester->key);
    attester->key = NULL;
}

/* Puts the numbers of a signature in DER into the report, the lowest byte first. */
static bool
put_signature(uint8_t *report, const uint8_t *der, size_t len)
{
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)len);

    if (signature == NULL)
        return false;

    uint8_t *place = report + SIGNATURE;
    bool ok =
        BN_bn2lebinpad(ECDSA_SIG_get0_r(signature), place, SIGNATURE_PART) > 0 &&
        BN_bn2lebinpad(ECDSA_SIG_get0_s(signature), place + SIGNATURE_PART, SIGNATURE_PART) > 0;

    ECDSA_SIG_free(signature);
    return ok;
}

bool
attester_report(const struct attester *attester, const uint8_t data[REPORT_DATA_SIZE],
                uint8_t report[REPORT_SIZE])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t der[128];
    size_t len = sizeof der;

    memcpy(report, attester->report, REPORT_SIZE);
    memcpy(report + DATA, data, REPORT_DATA_SIZE);

    bool ok = context != NULL &&
              EVP_DigestSignInit(context, NULL, EVP_sha384(), NULL, attester->key) == 1 &&
              EVP_DigestSign(context, der, &len, report, SIGNATURE) == 1 &&
              put_signature(report, der, len);

    EVP_MD_CTX_free(context);
    return ok;
}
