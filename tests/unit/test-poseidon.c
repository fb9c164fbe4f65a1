/* SPDX-License-Identifier: MIT */
/* Tests of felts, Poseidon and Pedersen. */
#include "error.h"
#include "tee-data.h"
#include "pedersen.h"
#include "poseidon.h"

#define PRIME "0x800000000000011000000000000000000000000000000000000000000000001"
#define LARGEST "0x800000000000011000000000000000000000000000000000000000000000000"

static KhFelt
felt(const char *text)
{
    g_autoptr(GError) error = NULL;
    KhFelt result;

    kh_felt_parse(text, &result, &error);
    g_assert_no_error(error);
    return result;
}

static void
assert_felt(const KhFelt *found, const char *expected)
{
    g_autofree char *text = kh_felt_to_string(found);

    g_assert_cmpstr(text, ==, expected);
}

static void
felts_are_canonical(void)
{
    g_autofree char *long_zero = g_strdup_printf("0x%064d", 0);
    g_autofree char *longest_zero = g_strdup_printf("0x%063d", 0);
    const char *const bad[] = {"",
                               "0x",
                               "0",
                               "1",
                               "0X1",
                               " 0x1",
                               "0x1 ",
                               "0x-1",
                               "0x1g",
                               PRIME,
                               "0x800000000000011000000000000000000000000000000000000000000000002",
                               "0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                               long_zero};
    KhFelt value = felt(LARGEST), max;

    kh_felt_max(&max);
    g_assert_true(kh_felt_equal(&value, &max));
    assert_felt(&max, LARGEST);
    value = felt(longest_zero);
    g_assert_true(kh_felt_is_zero(&value));
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(kh_felt_parse(bad[i], &value, &error));
        g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    }
    g_assert_false(kh_felt_from_bytes(kh_felt_prime(), &value));
    g_assert_true(kh_felt_from_bytes(max.bytes, &value));
}

static void
felts_and_numbers(void)
{
    KhFelt value;
    guint64 number;

    kh_felt_from_u64(G_MAXUINT64, &value);
    assert_felt(&value, "0xffffffffffffffff");
    g_assert_true(kh_felt_to_u64(&value, &number));
    g_assert_cmpuint(number, ==, G_MAXUINT64);
    value = felt("0x10000000000000000");
    g_assert_false(kh_felt_to_u64(&value, &number));
    value = felt("0xaB01");
    assert_felt(&value, "0xab01");
    kh_felt_from_u64(0, &value);
    assert_felt(&value, "0x0");
}

static void
short_strings(void)
{
    g_autoptr(GError) error = NULL;
    KhFelt value;

    g_assert_true(kh_felt_from_short_string("KatanaTeeReport1", &value, NULL));
    assert_felt(&value, "0x4b6174616e615465655265706f727431");
    g_assert_true(kh_felt_from_short_string("KatanaTeeConfig1", &value, NULL));
    assert_felt(&value, "0x4b6174616e61546565436f6e66696731");
    g_assert_true(kh_felt_from_chain_id("KATANA", &value, NULL));
    assert_felt(&value, "0x4b4154414e41");
    g_assert_true(kh_felt_from_chain_id("0x4b4154414e41", &value, NULL));
    assert_felt(&value, "0x4b4154414e41");
    g_assert_true(kh_felt_from_chain_id("0123456789012345678901234567890", &value, NULL));
    g_assert_false(kh_felt_from_chain_id("01234567890123456789012345678901", &value, NULL));
    g_assert_false(kh_felt_from_chain_id("", &value, NULL));
    g_assert_false(kh_felt_from_chain_id("A\nB", &value, NULL));
    g_assert_false(kh_felt_from_chain_id("\xc3\xa9", &value, NULL));
    g_assert_false(kh_felt_from_chain_id("0xKATANA", &value, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
}

/* Values published for Cairo's poseidon_hash and for Starknet's pedersen_hash. */
static void
known_hashes(void)
{
    g_autoptr(KhPoseidon) poseidon = kh_poseidon_new();
    g_autoptr(KhPedersen) pedersen = kh_pedersen_new();
    KhFelt one = felt("0x1"), two = felt("0x2"), both[] = {one, two}, hash;

    kh_poseidon_pair(poseidon, &one, &two, &hash);
    assert_felt(&hash, "0x5d44a3decb2b2e0cc71071f7b802f45dd792d064f0fc7316c46514f70f9891a");
    kh_poseidon_array(poseidon, both, 2, &hash);
    assert_felt(&hash, "0x371cb6995ea5e7effcd2e174de264b5b407027a75a231a70c2c8d196107f0e7");
    kh_poseidon_array(poseidon, NULL, 0, &hash);
    assert_felt(&hash, "0x2272be0f580fd156823304800919530eaa97430e972d7213ee13f4fbf7a5dbc");
    kh_pedersen_pair(pedersen, &one, &two, &hash);
    assert_felt(&hash, "0x5bb9440e27889a364bcb678b1f679ecd1347acdedcbf36e83494f857cc58026");
    kh_pedersen_array(pedersen, both, 2, &hash);
    assert_felt(&hash, "0x501a3a8e6cd4f5241c639c74052aaa34557aafa84dd4ba983d6443c590ab7df");
    /* starkware's crypto tests: the two that use every bit of the scalars. */
    one = felt("0x3d937c035c878245caf64531a5756109c53068da139362728feb561405371cb");
    two = felt("0x208a0a10250e382e1e4bbe2880906c2791bf6275695e02fbbc6aeff9cd8b31a");
    kh_pedersen_pair(pedersen, &one, &two, &one);
    assert_felt(&one, "0x30e480bed5fe53fa909cc0f8c4d99b8f9f2c016be4c41e13a4848797979c662");
    one = felt("0x58f580910a6ca59b28927c08fe6c43e2e303ca384badc365795fc645d479d45");
    two = felt("0x78734f65a067be9bdb39de18434d71e79f7b6466a4b66bbd979ab9e7515fe0b");
    kh_pedersen_pair(pedersen, &one, &two, &two);
    assert_felt(&two, "0x68cc0b76cddd1dd4ed2301ada9b7c872b23875d5ff837b3a87993e0d9996b87");
}

static void
assert_vector(JsonObject *vectors, const char *name, const KhFelt *hash)
{
    assert_felt(hash, json_object_get_string_member(vectors, name));
}

static void
vectors(void)
{
    g_autoptr(JsonNode) root = tee_data_json("katana/report_data_vectors.json");
    g_autoptr(KhPoseidon) poseidon = kh_poseidon_new();
    g_autoptr(KhPedersen) pedersen = kh_pedersen_new();
    JsonObject *object = root == NULL ? NULL : json_node_get_object(root);
    KhFelt both[] = {felt("0x1"), felt("0x2")}, hash;

    if (root == NULL)
        return;
    kh_felt_max(&hash);
    assert_vector(object, "felt_max", &hash);
    kh_poseidon_array(poseidon, NULL, 0, &hash);
    assert_vector(object, "poseidon_empty_array", &hash);
    kh_poseidon_pair(poseidon, &both[0], &both[1], &hash);
    assert_vector(object, "poseidon_2_hash_1_2", &hash);
    kh_poseidon_array(poseidon, both, 2, &hash);
    assert_vector(object, "poseidon_array_1_2", &hash);
    kh_pedersen_pair(pedersen, &both[0], &both[1], &hash);
    assert_vector(object, "pedersen_1_2", &hash);
    kh_pedersen_array(pedersen, both, 2, &hash);
    assert_vector(object, "pedersen_array_1_2", &hash);
}

/* The extremes of the field neither wrap nor crash, and each length hashes to its own. */
static void
edges(void)
{
    g_autoptr(KhPoseidon) poseidon = kh_poseidon_new();
    g_autoptr(KhPedersen) pedersen = kh_pedersen_new();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    KhFelt felts[5], hash;

    for (gsize i = 0; i < G_N_ELEMENTS(felts); i++)
        kh_felt_max(&felts[i]);
    kh_pedersen_pair(pedersen, &felts[0], &felts[1], &hash);
    g_assert_true(g_hash_table_add(seen, kh_felt_to_string(&hash)));
    kh_felt_from_u64(0, &felts[1]);
    kh_pedersen_pair(pedersen, &felts[1], &felts[1], &hash);
    assert_felt(&hash, "0x49ee3eba8c1600700ee1b87eb599f16716b0b1022947733551fde4050ca6804");
    for (gsize n = 0; n <= G_N_ELEMENTS(felts); n++) {
        kh_poseidon_array(poseidon, felts, n, &hash);
        g_assert_true(g_hash_table_add(seen, kh_felt_to_string(&hash)));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/felt/canonical", felts_are_canonical);
    g_test_add_func("/felt/numbers", felts_and_numbers);
    g_test_add_func("/felt/short-strings", short_strings);
    g_test_add_func("/hashes/known", known_hashes);
    g_test_add_func("/hashes/vectors", vectors);
    g_test_add_func("/hashes/edges", edges);
    return g_test_run();
}
