/* SPDX-License-Identifier: MIT */
/*
 * Launch measurements, and what explains a wrong one: service/tee/measurement.c and
 * mismatch-search.c. The rows' digests were computed with sev-snp-measure 0.0.13, of the tails
 * of firmware-tail.c and of Debian's ovmf-amdsev 2026.08+ds-2.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "cpu-types.h"
#include "error.h"
#include "firmware-tail.h"
#include "measurement.h"
#include "neighbour-cmdlines.h"
#include "mismatch-search.h"

#define DEBIAN_SHA256 "3e4fd0b3fe3b2dbe481c3d9e99418a034174f26cbe1f55aa212b0f18c12d2d6f"
#define DEBIAN_FILE "firmware/OVMF.amdsev.debian-2026.08+ds-2.fd"
#define SEALED "KATANA_EXPECTED_LUKS_UUID="
#define UUID "a0b1c2d3-0000-4000-8000-00000000000f"

typedef enum {
    AMDSEV,
    GENERIC,
    DEBIAN,
} Image;

typedef struct {
    Image image;
    const char *files; /* k: kernel, i: initrd, e: both, and empty */
    const char *cmdline;
    guint vcpus;
    const char *type; /* NULL: the signature */
    guint32 signature;
    guint64 features;
    KhVmm vmm;
    const char *digest;
} Row;

static const Row rows[] = {
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC", 0x0, 0x1, KH_VMM_QEMU,
     "f6bad345be84f5249331927162ea68e175ee04729448c759c60b07d0ed8b8c3c35d3c83cf78446d600157fdd8f20a"
     "4dd"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-v1", 0x0, 0x1, KH_VMM_QEMU,
     "f6bad345be84f5249331927162ea68e175ee04729448c759c60b07d0ed8b8c3c35d3c83cf78446d600157fdd8f20a"
     "4dd"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-v2", 0x0, 0x1, KH_VMM_QEMU,
     "f6bad345be84f5249331927162ea68e175ee04729448c759c60b07d0ed8b8c3c35d3c83cf78446d600157fdd8f20a"
     "4dd"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-IBPB", 0x0, 0x1, KH_VMM_QEMU,
     "f6bad345be84f5249331927162ea68e175ee04729448c759c60b07d0ed8b8c3c35d3c83cf78446d600157fdd8f20a"
     "4dd"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-v3", 0x0, 0x1, KH_VMM_QEMU,
     "f6bad345be84f5249331927162ea68e175ee04729448c759c60b07d0ed8b8c3c35d3c83cf78446d600157fdd8f20a"
     "4dd"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "f6bad345be84f5249331927162ea68e175ee04729448c759c60b07d0ed8b8c3c35d3c83cf78446d600157fdd8f20a"
     "4dd"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Rome", 0x0, 0x1, KH_VMM_QEMU,
     "e9440f005b00233b6f8af1f907d5c72bd323633540bceb46e9ba5771f6fe109aab272fb3b8dcad59bed51241f6bed"
     "3bc"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Rome-v1", 0x0, 0x1, KH_VMM_QEMU,
     "e9440f005b00233b6f8af1f907d5c72bd323633540bceb46e9ba5771f6fe109aab272fb3b8dcad59bed51241f6bed"
     "3bc"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Rome-v2", 0x0, 0x1, KH_VMM_QEMU,
     "e9440f005b00233b6f8af1f907d5c72bd323633540bceb46e9ba5771f6fe109aab272fb3b8dcad59bed51241f6bed"
     "3bc"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Rome-v3", 0x0, 0x1, KH_VMM_QEMU,
     "e9440f005b00233b6f8af1f907d5c72bd323633540bceb46e9ba5771f6fe109aab272fb3b8dcad59bed51241f6bed"
     "3bc"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Milan", 0x0, 0x1, KH_VMM_QEMU,
     "8c2f94febd4a0b835baf82f93ce4aff669c99b798c2a0ba8770bb5e381146a57572410fa4a17cdfb3e4ceaa3281d3"
     "c8b"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Milan-v1", 0x0, 0x1, KH_VMM_QEMU,
     "8c2f94febd4a0b835baf82f93ce4aff669c99b798c2a0ba8770bb5e381146a57572410fa4a17cdfb3e4ceaa3281d3"
     "c8b"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Milan-v2", 0x0, 0x1, KH_VMM_QEMU,
     "8c2f94febd4a0b835baf82f93ce4aff669c99b798c2a0ba8770bb5e381146a57572410fa4a17cdfb3e4ceaa3281d3"
     "c8b"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Genoa", 0x0, 0x1, KH_VMM_QEMU,
     "6d50e637f125f8db5407b1d9114e121d0f1414327b6afeea108bcd8d09d1ada3219c96007253ce39f78a152504ae8"
     "8a0"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Genoa-v1", 0x0, 0x1, KH_VMM_QEMU,
     "6d50e637f125f8db5407b1d9114e121d0f1414327b6afeea108bcd8d09d1ada3219c96007253ce39f78a152504ae8"
     "8a0"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Turin", 0x0, 0x1, KH_VMM_QEMU,
     "91b7ea66f1e11b84bfe118e5daf62e877f42c8f85ca3e5c2576c8a7b82d5775c5be9ba4a73bf2a3e460f570535696"
     "01b"},
    {AMDSEV, "ki", "console=ttyS0", 2, "EPYC-Rome-v4", 0x0, 0x1, KH_VMM_QEMU,
     "e9440f005b00233b6f8af1f907d5c72bd323633540bceb46e9ba5771f6fe109aab272fb3b8dcad59bed51241f6bed"
     "3bc"},
    {AMDSEV, "ki", "console=ttyS0", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "345045c3d433d9cc2960c328960903bc46cb2f82deb0fcc1d35b2642333b5bdc887e66f065696c2aed57e20bdc5e7"
     "03e"},
    {AMDSEV, "ki", "console=ttyS0", 3, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "1ed0f7ebcfb239953ee2d78982bc71ef8f2055943181a00f1df75b6b41d3c75651c0c596038ff7f199ff5e7b5360d"
     "2f6"},
    {AMDSEV, "ki", "console=ttyS0", 4, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "48063f74bef79a18457358d4a65f3031fe98e6672b17690d867843c621ca0f36660fdb6e0468677d7babd7ae47a7a"
     "f88"},
    {AMDSEV, "ki", "console=ttyS0", 8, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "c26b52f05645cab6854d28b3ecd12a2a16a60926a4c315418c1fc789a572b4fa32d7a293093100d33626573d277cb"
     "547"},
    {AMDSEV, "ki", "console=ttyS0", 64, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "2f508c148e70eadb7803d77e17f1b9848b9c1a761bbf003ad79cce34996fca889fedf70687ea6170a276a6cba3c7e"
     "3d6"},
    {AMDSEV, "ki", "console=ttyS0", 255, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "918552f60ef84a2d97b88d0333dbc2a192b9df90ffa93cabcc150e0ae99652212c508ba1250841e18f777b8297c49"
     "fba"},
    {AMDSEV, "ki", "console=ttyS0", 512, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "72a7b2ae01c96c6502dd22abb1c402c0426f992b17ce4870483576eecaa5c89aedec8067d5f125a3a0396215cf21e"
     "f2b"},
    {AMDSEV, "ki", "console=ttyS0", 1, "EPYC-Milan", 0x0, 0x0, KH_VMM_QEMU,
     "0bb6dfbd5ee5a93c73bf80e5040865f410847776d857b0b632fdba6c6f3eb64615bd8c680a40207baa0ae823d8338"
     "2fd"},
    {AMDSEV, "ki", "console=ttyS0", 1, "EPYC-Milan", 0x0, 0x5, KH_VMM_QEMU,
     "b7e3053cf3f06459f17f4ebfcb89cc18a8fff3081b4e0ee3dab60ca5db1429af839d17326e7b21103201ac50a56f9"
     "8d7"},
    {AMDSEV, "ki", "console=ttyS0", 1, "EPYC-Milan", 0x0, 0x20, KH_VMM_QEMU,
     "c4cce53347dc8fd4b762011b6fe5378c238b0a9cc6e163e44bb2f0a5df18475a8089eceeca565d8b45beae5bcf4eb"
     "889"},
    {AMDSEV, "ki", "console=ttyS0", 1, "EPYC-Milan", 0x0, 0x21, KH_VMM_QEMU,
     "f919769c42ac106fa4e052698c3c8c0ab4db38e6e02b748b22428cae18b681a48f76f26264230fe04cd7226060d33"
     "657"},
    {AMDSEV, "ki", "console=ttyS0", 1, "EPYC-Milan", 0x0, 0x10001, KH_VMM_QEMU,
     "0eb6805e40ab99aa94750196966ef5740bce117834536620db1d011435a29f7c86704a0828fb7e54baf8f8fdb5af2"
     "275"},
    {AMDSEV, "ki", "console=ttyS0", 1, "EPYC-Milan", 0x0, 0xffffffffffffffff, KH_VMM_QEMU,
     "028ebf409e8228dee5ee74496e201149d266326d1e5f70a89954880c6cd2a3f61d25f0810e000ffbab18748f39eeb"
     "f29"},
    {AMDSEV, "ki", NULL, 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "2aabf9eb8545ad1806dd48880c34b08c2c8b76dce3c072b56befcb31bf34ef4ff2d498fe23f61ffb6607da45c5989"
     "8ce"},
    {AMDSEV, "ki", "", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "2aabf9eb8545ad1806dd48880c34b08c2c8b76dce3c072b56befcb31bf34ef4ff2d498fe23f61ffb6607da45c5989"
     "8ce"},
    {AMDSEV, "ki", " console=ttyS0", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "87c4c7f4ff6b29150c22f1d85ca53cf67928aa97d45e7932a4ed15b27fa73f39f66c3dfd94a25ebcb348968740005"
     "763"},
    {AMDSEV, "ki", "console=ttyS0 ", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "3c24daee9b42ca5dfb393fbd71466105e623ccc0a871e1798b29eb35cec981596a858153874eb8cf56f93b135a664"
     "bfb"},
    {AMDSEV, "ki", "console=ttyS0\012", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "da95681313854c0ce16b6c50648fcced89d962ff456061d69f5b335bfaa9f06e76d3fd66262020eaa7ad46a8f6fa1"
     "b1c"},
    {AMDSEV, "ki", "console=ttyS0 KATANA_EXPECTED_LUKS_UUID=00000000-0000-0000-0000-000000000001",
     1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "318031eb5774e5816691bd478d1fe99df3b44ece09e0e3d5d076ec9ac081d92e66bc81a68b3a9e28ad6ff9b5d882d"
     "1e7"},
    {AMDSEV, "ki", "root=\377\376\200 x\303\251", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "cb25bc61806a833c722fcbcb0f3bf1512057e7634d8dbb69652d01bee0000f91fed3ceb295a51491fa99e00a7b2fa"
     "272"},
    {AMDSEV, "k", "console=ttyS0", 4, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "546010726b2ac3f89c1221edc1d07559f463989189a819ac78e44d307c90cca621adbedee5919e0c27f469ed8e3b4"
     "1de"},
    {AMDSEV, "k", NULL, 1, "EPYC-Genoa", 0x0, 0x21, KH_VMM_QEMU,
     "2a194cf50ec0c38aaaa613c6101e08fc95fc2b8c78c07e41e948eedf023a08d7df69ac31d54927735bf5daa964133"
     "6c7"},
    {AMDSEV, "e", "console=ttyS0 loglevel=7", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "526bd53fd49b773fa350dd2848cc8b2eac1ef71ae9a824c68866c9c972ccb9553dd52339ecdc7e1b57faff3f33e46"
     "269"},
    {AMDSEV, "", NULL, 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "9ce85794a7950333157ba777d70024df0c47d53ab456b7f9d37ddc9a208874b52d0be960bc10417ea308dcb00d8d3"
     "003"},
    {AMDSEV, "", NULL, 4, "EPYC-v4", 0x0, 0x21, KH_VMM_QEMU,
     "751998ea1742b2dd7d9e4ef2af797cbac8b7669d25ac68fca31e8e7bce9e0f6c4aba588c18913dd39423787d75739"
     "8c9"},
    {AMDSEV, "ki", "console=ttyS0", 2, NULL, 0x123456, 0x1, KH_VMM_QEMU,
     "abc46f75ce73c4c4ac4272ae077a8f58333669a87b4789207f0ec3dbd5fa9ecd1bcfdc15b7b063671521abd6449de"
     "e9e"},
    {AMDSEV, "ki", "console=ttyS0", 1, NULL, 0xffffffff, 0x1, KH_VMM_QEMU,
     "ea57d350edcefc8aadb789d2e392157086ce18dedfad7e9246cbe6e01258fae39e860c671f5688599c358b2399f32"
     "4ea"},
    {AMDSEV, "ki", "console=ttyS0", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_EC2,
     "7241f285af49818b2997f6eb6dbba3cdfa9dbe4ca8c30e5816e2decea580348c31bda49ce39b9ff872a36b22a96e0"
     "9a3"},
    {AMDSEV, "ki", "console=ttyS0", 3, "EPYC-Milan", 0x0, 0x21, KH_VMM_EC2,
     "b5c70adea6fd4ab1b64e9325e518fef125be49b7df905c4f1f9325b979fa15a04b5c33a8c6b3b4bcd5cc82c81fcaa"
     "b96"},
    {AMDSEV, "", NULL, 2, "EPYC-v4", 0x0, 0x1, KH_VMM_EC2,
     "3c1c9a3e406d5241d5b4cf261f7a8ad4e8dfe00c414f6a73facfed02e0aa55b81611387966cd9e8e65bcbaa3117c1"
     "823"},
    {GENERIC, "", NULL, 2, "EPYC-v4", 0x0, 0x1, KH_VMM_EC2,
     "1150438062e6339acbadfa9101f34b92b719f22b6f9876bda580f67a8c960a8802b92a76bd41e98c7034440c6510e"
     "18b"},
    {AMDSEV, "ki", "console=ttyS0", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_GCE,
     "75bcd52510759c41821334d13049420e9b6bc63030a12324b870c1490088439d08f4c029d422ddd1eed49cf3fb897"
     "235"},
    {AMDSEV, "ki", "console=ttyS0", 3, "EPYC-Milan", 0x0, 0x21, KH_VMM_GCE,
     "d4f0a251291a54f0715ae1de3932bca67e7a7ab8c4195629ffc1dbdafa9cf269c916dc326d01bae7d3be895da8397"
     "08e"},
    {AMDSEV, "", NULL, 2, "EPYC-v4", 0x0, 0x1, KH_VMM_GCE,
     "7387f63bbc02ce4cd403561ca8d022101aeac5e6a7d8757d33942ceca8deb0635c032a73a75c0418d683ce8a96f34"
     "ff5"},
    {GENERIC, "", NULL, 2, "EPYC-v4", 0x0, 0x1, KH_VMM_GCE,
     "5530dd0aedbfcfbf868eb0702011eabe567f19fccfdd354f3e6a98f142d00e40605ef47796ee5c26030fa7e791694"
     "c34"},
    {GENERIC, "", NULL, 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "dbc9723bd18b896b778edba72a20c2bb43887eb7837533da5c2946e973d1450756db5b62322b3d453bd767aee76d9"
     "e9e"},
    {GENERIC, "", NULL, 4, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "ecb900607bdd5187152ad9bb6fbf5b3ad999ed75ad82f56608a1bdee212f8dd5354f52878603a971106e695ee6eb2"
     "3b1"},
    {GENERIC, "", NULL, 1, "EPYC-v4", 0x0, 0x21, KH_VMM_QEMU,
     "36ec5549bcb2e8f8b31698cadd1fc0f88ff61c91c0c5f13b3528096c98f6bb6802b148e4684d6f19f6733ca10f1b7"
     "0d6"},
    {GENERIC, "", NULL, 1, "EPYC-Turin", 0x0, 0x1, KH_VMM_QEMU,
     "25ad5761a817ecdd2d5c3efabe1b5823626137d9dc094a400d6f0a8c04d5b8b27d7ec1b2573e1962131900ffcaaf9"
     "386"},
    {GENERIC, "", NULL, 64, "EPYC-Genoa", 0x0, 0x1, KH_VMM_QEMU,
     "e4d0cd90c491a15930afcc79ae9bbac31d687142581f383de09004c731d03885920dd2aa6f7570d36093147560d2d"
     "20e"},
    {DEBIAN, "ki", NULL, 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "2c4a014748d11f7b77e46b20898c1bedaf7dba7cc025279c7e9d04100ef97b2ba654037d702399a593bc9e4635088"
     "001"},
    {DEBIAN, "ki", "console=ttyS0", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "e03cd19fca9c6277081fbd7e70dcde981098814eba3e32bc289909f01e1822dc7da48c2ad05fdcb605bcf9d02d1e1"
     "197"},
    {DEBIAN, "ki", "console=ttyS0", 4, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "987aa17915858f35148a915ca3fd93e02228992e539c23b7cad5d28d67880b2eeb73000786ad7026649a249bbf911"
     "6f5"},
    {DEBIAN, "ki", "console=ttyS0 ", 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "d4ed2a0b2c494b1b4dbccd193c90724f5aaf2e41f6f31420a4b1b471da3ddce5f2759dc036f753e0fcebc1bdbda4d"
     "87f"},
    {DEBIAN, "ki", "console=ttyS0 KATANA_EXPECTED_LUKS_UUID=00000000-0000-0000-0000-000000000001",
     1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "98b058144d42ac3be9590879ed230a2bc0a81939bbdfc20b1be9045124536ed84bec761f7cc62c9b60da243789180"
     "667"},
    {DEBIAN, "ki", "console=ttyS0", 512, "EPYC-Milan", 0x0, 0x21, KH_VMM_QEMU,
     "cddf2108163a67db54f80ec8bb378f04ce7bb8dceba6264fdccd08e84d8ba8f3c5bec5b82e5587c4eaef92cd38900"
     "0da"},
    {DEBIAN, "ki", "console=ttyS0", 2, "EPYC-Turin", 0x0, 0x1, KH_VMM_QEMU,
     "d7e58bd2a2544f37f282f3beb7c2fa3f39c5c605a02d8e2e6f9c956773f044527ed60de3658b706d40b574d25dea4"
     "d33"},
    {DEBIAN, "k", "console=ttyS0", 1, "EPYC-Genoa", 0x0, 0x1, KH_VMM_QEMU,
     "04b7e90467aa14ae67bd65df1b5259af2e4372075adba2b7c114ba93c390c8d3676bc5a089838292f8b0254c9fab3"
     "e23"},
    {DEBIAN, "", NULL, 1, "EPYC-v4", 0x0, 0x1, KH_VMM_QEMU,
     "d74bd3ea40b240c3228edc5177ce6193561ebff633dbd0be76d6c143b876d65102425c0e2e8a930857c48daa5eacd"
     "a58"},
    {DEBIAN, "", NULL, 4, "EPYC-v4", 0x0, 0x21, KH_VMM_QEMU,
     "a0edd3ca630eae842e556b4dd9e098621c361570051bc5b9c4181cefb6ab504a1b837f4229149af5a7727d6d2799f"
     "765"},
    {DEBIAN, "ki", "console=ttyS0", 2, "EPYC-v4", 0x0, 0x1, KH_VMM_EC2,
     "fa4bf0a9bc7f406086a79a2a5d4a59636af5fd01ec7d247e7f27b17ca8ab0582aa827c61fab169d648a93010036fb"
     "2b0"},
    {DEBIAN, "ki", "console=ttyS0", 2, "EPYC-v4", 0x0, 0x1, KH_VMM_GCE,
     "7f31b159bcc8e2ae4706dea75d9dd2ff8fa43ac22e5e722ad7c2c9e3cf363f81644faede4be4cb6ee4bd93b5f963e"
     "90d"},
};

/* Files that the tests make. */
typedef struct {
    char *folder;
    char *amdsev, *generic, *kernel, *initrd, *empty, *other;
} Files;

/* @size bytes that count from 0 to 255 again and again; or @content. */
static char *
make_file(const char *folder, const char *name, const guint8 *content, gsize size)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree guint8 *bytes = g_malloc(size + 1);

    for (gsize i = 0; i < size; i++)
        bytes[i] = content == NULL ? (guint8)i : content[i];
    g_assert_true(g_file_set_contents(path, (char *)bytes, (gssize)size, NULL));
    return g_steal_pointer(&path);
}

static void
files_set_up(Files *files, gconstpointer data)
{
    g_autofree guint8 *amdsev = tail_new(TAIL_AMDSEV);
    g_autofree guint8 *generic = tail_new(TAIL_GENERIC);

    files->folder = g_dir_make_tmp("kh-measurement-XXXXXX", NULL);
    files->amdsev = make_file(files->folder, "amdsev.fd", amdsev, TAIL_SIZE);
    files->generic = make_file(files->folder, "generic.fd", generic, TAIL_SIZE);
    files->kernel = make_file(files->folder, "vmlinuz", NULL, 4096);
    files->initrd = make_file(files->folder, "initrd.img", NULL, 8192);
    files->empty = make_file(files->folder, "empty", NULL, 0);
    files->other = make_file(files->folder, "other", NULL, 12288);
}

static void
files_tear_down(Files *files, gconstpointer data)
{
    char *paths[] = {files->amdsev, files->generic, files->kernel,
                     files->initrd, files->empty,   files->other};

    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_unlink(paths[i]);
        g_free(paths[i]);
    }
    g_assert_cmpint(g_rmdir(files->folder), ==, 0);
    g_free(files->folder);
}

static KhBootParts *
load(const char *ovmf, const char *kernel, const char *initrd)
{
    g_autoptr(GError) error = NULL;
    KhBootParts *parts = kh_boot_parts_load(ovmf, kernel, initrd, &error);

    g_assert_no_error(error);
    return parts;
}

static void
measure(const KhLaunch *launch, guint8 digest[KH_LAUNCH_DIGEST_SIZE])
{
    g_autoptr(GError) error = NULL;

    kh_launch_measure(launch, digest, &error);
    g_assert_no_error(error);
}

static void
assert_measurement(const KhLaunch *launch, const char *wanted)
{
    guint8 digest[KH_LAUNCH_DIGEST_SIZE];
    g_autofree char *found = NULL;

    measure(launch, digest);
    found = kh_bytes_to_hex(digest, sizeof digest);
    g_assert_cmpstr(found, ==, wanted);
}

static void
check_row(const Row *row, const char *ovmf, const Files *files)
{
    gboolean empty = strchr(row->files, 'e') != NULL;
    const char *kernel = empty                             ? files->empty
                         : strchr(row->files, 'k') != NULL ? files->kernel
                                                           : NULL;
    const char *initrd = empty                             ? "/dev/null"
                         : strchr(row->files, 'i') != NULL ? files->initrd
                                                           : NULL;
    g_autoptr(KhBootParts) parts = load(ovmf, kernel, initrd);
    const KhCpuType *type = row->type == NULL ? NULL : kh_cpu_type_find(row->type);
    KhLaunchShape shape = {row->vcpus, row->signature, row->features, row->vmm};

    if (row->type != NULL)
        shape.vcpu_signature = type->signature;
    assert_measurement(&(KhLaunch){parts, row->cmdline, shape}, row->digest);
}

static guint
check_rows(Image image, const char *ovmf, const Files *files)
{
    guint n = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].image == image) {
            check_row(&rows[i], ovmf, files);
            n++;
        }
    return n;
}

static void
rows_of_tails(Files *files, gconstpointer data)
{
    g_assert_cmpuint(check_rows(AMDSEV, files->amdsev, files), ==, 50);
    g_assert_cmpuint(check_rows(GENERIC, files->generic, files), ==, 7);
}

/* Real data that lies beside the tree; NULL: not there. */
static char *
data_file(const char *name)
{
    const char *folder = g_getenv("KH_TEE_DATA");
    g_autofree char *path = folder == NULL ? NULL : g_build_filename(folder, name, NULL);

    return path != NULL && g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path) : NULL;
}

/* Asks the package's archive; NULL: it cannot be had. */
static char *
fetch_firmware(void)
{
    const char *script = g_getenv("KH_FETCH_FIRMWARE");
    g_autofree char *output = NULL;
    const char *const command[] = {script, DEBIAN_SHA256, NULL};
    int status = 0;

    if (script == NULL || !g_spawn_sync(NULL, (char **)command, NULL, G_SPAWN_DEFAULT, NULL, NULL,
                                        &output, NULL, &status, NULL))
        return NULL;
    return status == 0 ? g_strdup(g_strchomp(output)) : NULL;
}

/* A real image, cut short at every 64th byte. */
static void
check_cuts(const char *ovmf)
{
    g_autofree char *image = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(ovmf, &image, &size, NULL));
    for (gsize n = 0; n < size; n += 64) {
        g_autoptr(GError) error = NULL;
        g_autoptr(KhFirmware) firmware = kh_firmware_parse((const guint8 *)image, n, "cut", &error);

        g_assert_null(firmware);
        g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
    }
}

static void
rows_of_debian(Files *files, gconstpointer data)
{
    g_autofree char *beside = data_file(DEBIAN_FILE);
    g_autofree char *ovmf = beside == NULL ? fetch_firmware() : g_strdup(beside);
    g_autoptr(KhBootParts) parts = NULL;
    g_autofree char *sha256 = NULL;

    if (ovmf == NULL) {
        g_test_skip("ovmf-amdsev 2026.08+ds-2 cannot be had");
        return;
    }
    parts = load(ovmf, NULL, NULL);
    sha256 = kh_bytes_to_hex(parts->firmware->sha256, KH_SHA256_SIZE);
    g_assert_cmpstr(sha256, ==, DEBIAN_SHA256);
    g_assert_cmpuint(parts->firmware->n_sections, ==, 7);
    g_assert_true(parts->firmware->measures_kernel);
    g_assert_cmpuint(check_rows(DEBIAN, ovmf, files), ==, 12);
    check_cuts(ovmf);
}

static const char *
text_of(JsonObject *object, const char *key)
{
    return json_object_get_null_member(object, key) ? NULL
                                                    : json_object_get_string_member(object, key);
}

/* The data's names of files that are made here. */
static char *
data_input(const Files *files, const char *name)
{
    if (name == NULL || name[0] == '/')
        return g_strdup(name);
    return g_build_filename(files->folder, name, NULL);
}

static KhLaunchShape
data_shape(JsonObject *row)
{
    const char *type = text_of(row, "vcpu_type");
    KhLaunchShape shape = {.vcpus = (guint)json_object_get_int_member(row, "vcpus")};

    shape.guest_features = g_ascii_strtoull(text_of(row, "guest_features"), NULL, 0);
    g_assert_true(kh_vmm_parse(text_of(row, "vmm"), &shape.vmm, NULL));
    if (type != NULL)
        shape.vcpu_signature = kh_cpu_type_find(type)->signature;
    else if (JSON_NODE_HOLDS_VALUE(json_object_get_member(row, "vcpu_sig")) &&
             json_node_get_value_type(json_object_get_member(row, "vcpu_sig")) == G_TYPE_STRING)
        shape.vcpu_signature = (guint32)g_ascii_strtoull(text_of(row, "vcpu_sig"), NULL, 0);
    else
        shape.vcpu_signature = (guint32)json_object_get_int_member(row, "vcpu_sig");
    return shape;
}

/* TRUE: it has failed as it must. */
static gboolean
check_data_row(JsonObject *row, const Files *files)
{
    g_autofree char *name = g_build_filename("firmware", text_of(row, "ovmf"), NULL);
    g_autofree char *ovmf = data_file(name);
    g_autofree char *kernel = data_input(files, text_of(row, "kernel"));
    g_autofree char *initrd = data_input(files, text_of(row, "initrd"));
    g_autoptr(GError) error = NULL;
    g_autoptr(KhBootParts) parts = kh_boot_parts_load(ovmf, kernel, initrd, &error);

    if (json_object_get_null_member(row, "measurement")) {
        g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
        g_assert_nonnull(strstr(error->message, "SNP_KERNEL_HASHES"));
        return TRUE;
    }
    g_assert_no_error(error);
    assert_measurement(&(KhLaunch){parts, text_of(row, "append"), data_shape(row)},
                       text_of(row, "measurement"));
    return FALSE;
}

static void
rows_of_data(Files *files, gconstpointer data)
{
    g_autofree char *path = data_file("measurements.json");
    g_autofree char *kernel = make_file(files->folder, "kernel.bin", NULL, 1 << 20);
    g_autofree char *initrd = make_file(files->folder, "initrd.bin", NULL, 2 << 20);
    g_autoptr(JsonParser) parser = json_parser_new();
    guint failed = 0;

    if (path == NULL || !json_parser_load_from_file(parser, path, NULL)) {
        g_test_skip("there is no measurements.json beside the tree");
    } else {
        JsonArray *array = json_node_get_array(json_parser_get_root(parser));

        g_assert_cmpuint(json_array_get_length(array), >=, 100);
        for (guint i = 0; i < json_array_get_length(array); i++)
            failed += check_data_row(json_array_get_object_element(array, i), files);
        g_assert_cmpuint(failed, ==, 2);
    }
    g_unlink(kernel);
    g_unlink(initrd);
}

static void
not_loaded(const char *ovmf, const char *kernel, const char *initrd, KhError code, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhBootParts) parts = kh_boot_parts_load(ovmf, kernel, initrd, &error);

    g_assert_null(parts);
    g_assert_error(error, KH_ERROR, (int)code);
    if (strstr(error->message, says) == NULL)
        g_error("no \"%s\" in: %s", says, error->message);
}

static void
refused_files(Files *files, gconstpointer data)
{
    g_autofree char *missing = g_build_filename(files->folder, "missing", NULL);

    not_loaded(files->amdsev, NULL, files->initrd, KH_ERROR_INVALID_ARGUMENT, "kernel");
    not_loaded(files->generic, files->kernel, files->initrd, KH_ERROR_NOT_SUPPORTED,
               "SNP_KERNEL_HASHES");
    not_loaded(files->generic, files->kernel, NULL, KH_ERROR_NOT_SUPPORTED, "SNP_KERNEL_HASHES");
    not_loaded(missing, NULL, NULL, KH_ERROR_NOT_FOUND, "firmware");
    not_loaded(files->amdsev, missing, NULL, KH_ERROR_NOT_FOUND, "kernel");
    not_loaded(files->amdsev, files->kernel, missing, KH_ERROR_NOT_FOUND, "initrd");
    not_loaded(files->amdsev, files->folder, NULL, KH_ERROR_NOT_SUPPORTED, "not a regular file");
    not_loaded(files->amdsev, files->kernel, "/dev/zero", KH_ERROR_NOT_SUPPORTED,
               "not a regular file");
    not_loaded(files->kernel, NULL, NULL, KH_ERROR_NOT_SUPPORTED, "no table of GUIDs");
}

/* A kernel that slips past the check of the files is not left out in silence either. */
static void
never_firmware_only(Files *files, gconstpointer data)
{
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, NULL);
    KhLaunch launch = {parts, "", {1, 0x800f12, 0x1, KH_VMM_QEMU}};
    guint8 digest[KH_LAUNCH_DIGEST_SIZE];
    g_autoptr(GError) error = NULL;

    parts->firmware->measures_kernel = FALSE;
    g_assert_false(kh_launch_measure(&launch, digest, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
}

/* Bytes that this process has read so far, from wherever. */
static guint64
bytes_read(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/self/io", &text, NULL, NULL))
        return 0;
    return g_ascii_strtoull(text + strlen("rchar: "), NULL, 10);
}

static void
too_large(Files *files, gconstpointer data)
{
    g_autofree char *large = g_build_filename(files->folder, "large", NULL);
    int fd = open(large, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    guint64 before;

    if (ftruncate(fd, G_GINT64_CONSTANT(1) << 32) < 0) {
        g_test_skip("no sparse file of 4 GiB can be made");
    } else {
        before = bytes_read();
        not_loaded(files->amdsev, large, NULL, KH_ERROR_NOT_SUPPORTED, "4294967296 bytes");
        not_loaded(files->amdsev, files->kernel, large, KH_ERROR_NOT_SUPPORTED, "4294967296 bytes");
        not_loaded(large, NULL, NULL, KH_ERROR_NOT_SUPPORTED, "at most 16 MiB");
        g_assert_cmpuint(bytes_read() - before, <, 65536);
    }
    close(fd);
    g_unlink(large);
}

static void
refused_shapes(Files *files, gconstpointer data)
{
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, NULL);
    g_autofree char *longest = g_strnfill(KH_CMDLINE_MAX, 'x');
    g_autofree char *longer = g_strnfill(KH_CMDLINE_MAX + 1, 'x');
    const struct {
        const char *cmdline;
        guint vcpus;
        gboolean good;
    } cases[] = {
        {"", 0, FALSE},     {"", 513, FALSE}, {"", G_MAXUINT, FALSE},
        {longer, 1, FALSE}, {"", 512, TRUE},  {longest, 1, TRUE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        KhLaunch launch = {parts, cases[i].cmdline, {cases[i].vcpus, 0x800f12, 1, KH_VMM_QEMU}};
        guint8 digest[KH_LAUNCH_DIGEST_SIZE];
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(kh_launch_measure(&launch, digest, &error), ==, cases[i].good);
        if (!cases[i].good)
            g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    }
}

static void
names_of_processors(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *names = kh_cpu_type_names(0xa10f10);
    g_autofree char *none = kh_cpu_type_names(1);
    gsize n;

    g_assert_cmphex(kh_cpu_type_find("epyc-milan-v2")->signature, ==, 0xa00f11);
    g_assert_cmpstr(kh_cpu_type_find("epyc-turin")->name, ==, "EPYC-Turin");
    g_assert_cmpstr(names, ==, "EPYC-Genoa, EPYC-Genoa-v1");
    g_assert_cmpstr(none, ==, "");
    g_assert_null(kh_cpu_type_parse("host\033[2J", &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    g_assert_null(strchr(error->message, '\033'));
    for (const KhCpuType *type = kh_cpu_type_list(&n); n > 0; type++, n--)
        g_assert_nonnull(strstr(error->message, type->name));
}

static void
names_of_monitors(void)
{
    g_autoptr(GError) error = NULL;
    KhVmm vmm;

    for (guint i = 0; i < KH_N_VMMS; i++) {
        g_assert_true(kh_vmm_parse(kh_vmm_name((KhVmm)i), &vmm, NULL));
        g_assert_cmpuint(vmm, ==, i);
    }
    g_assert_true(kh_vmm_parse("QEMU", &vmm, NULL));
    g_assert_cmpuint(vmm, ==, KH_VMM_QEMU);
    g_assert_false(kh_vmm_parse("krun", &vmm, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
}

/* --- what explains a difference ----------------------------------------------------- */

/* What the verifier expects. */
static KhLaunch
expected_launch(const KhBootParts *parts)
{
    return (KhLaunch){parts, "console=ttyS0 quiet", {4, 0x800f12, 0x1, KH_VMM_QEMU}};
}

static KhExplanation *
explain(const KhLaunch *expected, const KhLaunch *observed, const KhNeighbours *neighbours)
{
    guint8 digest[KH_LAUNCH_DIGEST_SIZE];
    g_autoptr(GError) error = NULL;
    KhExplanation *explanation;

    measure(observed, digest);
    explanation = kh_mismatch_search(expected, digest, neighbours, &error);
    g_assert_no_error(error);
    return explanation;
}

static void
assert_explained(const KhLaunch *expected, const KhLaunch *observed, const KhNeighbours *neighbours,
                 guint changes, const char *says)
{
    g_autoptr(KhExplanation) explanation = explain(expected, observed, neighbours);

    g_assert_true(explanation->found);
    if (strstr(explanation->text, says) == NULL)
        g_error("no \"%s\" in: %s", says, explanation->text);
    g_assert_cmpuint(explanation->n_changes, ==, changes);
    g_assert_true(g_str_is_ascii(explanation->text));
    g_assert_null(strpbrk(explanation->text, "\n\033"));
}

static void
explain_processors(Files *files, gconstpointer data)
{
    static const guint counts[] = {1, 2, 3, 5, 64, 255, 511, 512};
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, files->initrd);
    const KhLaunch expected = expected_launch(parts);
    const KhCpuType *types;
    gsize n;

    assert_explained(&expected, &expected, NULL, 0, "is the expected one");
    for (gsize i = 0; i < G_N_ELEMENTS(counts); i++) {
        KhLaunch observed = expected;
        g_autofree char *says =
            g_strdup_printf("but for %u vCPU%s instead of 4", counts[i], counts[i] == 1 ? "" : "s");

        observed.shape.vcpus = counts[i];
        assert_explained(&expected, &observed, NULL, 1, says);
    }
    types = kh_cpu_type_list(&n);
    for (gsize i = 0; i < n; i++) {
        KhLaunch observed = expected;
        gboolean same = types[i].signature == expected.shape.vcpu_signature;

        observed.shape.vcpu_signature = types[i].signature;
        assert_explained(&expected, &observed, NULL, same ? 0 : 1, same ? "" : types[i].name);
    }
}

static void
explain_features(Files *files, gconstpointer data)
{
    static const guint64 features[] = {0x0, 0x1, 0x21};
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, files->initrd);

    for (gsize from = 0; from < G_N_ELEMENTS(features); from++)
        for (gsize to = 0; to < G_N_ELEMENTS(features); to++) {
            KhLaunch expected = expected_launch(parts), observed = expected;
            g_autofree char *says = g_strdup_printf("guest features 0x%x instead of 0x%x",
                                                    (guint)features[to], (guint)features[from]);

            expected.shape.guest_features = features[from];
            observed.shape.guest_features = features[to];
            if (from != to)
                assert_explained(&expected, &observed, NULL, 1, says);
        }
}

static void
explain_cmdlines(Files *files, gconstpointer data)
{
    static const struct {
        const char *expected, *observed, *says;
    } cases[] = {
        {"console=ttyS0", "console=ttyS0\n", "the same with a trailing newline"},
        {"console=ttyS0", "console=ttyS0 ", "the same with a trailing space"},
        {"console=ttyS0 ", "console=ttyS0", "without trailing blanks"},
        {"console=ttyS0\n", "console=ttyS0", "without trailing blanks"},
        {"quiet", "console=ttyS0", "the default one"},
        {"quiet", "", "the empty one"},
        {"quiet \xff\"", "quiet \xff\"\n", "\\377\\\"\\n"},
        {"console=ttyS0", "console=ttyS0 " SEALED UUID, "sealed with " UUID},
        {"console=ttyS0", "console=ttyS0 " SEALED UUID "\n", "a trailing newline"},
        {"console=ttyS0", "console=ttyS0 " SEALED KH_CANONICAL_LUKS_UUID,
         "sealed with " KH_CANONICAL_LUKS_UUID},
        {"console=ttyS0 " SEALED UUID, "console=ttyS0", "the unsealed one"},
        {"console=ttyS0 " SEALED UUID " quiet", "console=ttyS0 quiet", "the unsealed one"},
        {SEALED UUID " a", " a", "the unsealed one"},
        {"console=ttyS0 " SEALED UUID, "console=ttyS0 " SEALED KH_CANONICAL_LUKS_UUID,
         "sealed with 00000000"},
    };
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, files->initrd);
    const KhNeighbours neighbours = {.luks_uuid = UUID};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        KhLaunch expected = expected_launch(parts), observed = expected;

        expected.cmdline = cases[i].expected;
        observed.cmdline = cases[i].observed;
        assert_explained(&expected, &observed, &neighbours, 1, cases[i].says);
    }
}

/* The images at hand, the same one twice, and the expected one among them. */
static void
explain_images(Files *files, gconstpointer data)
{
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, files->initrd);
    g_autoptr(KhBootParts) initrd = load(files->amdsev, files->kernel, files->other);
    g_autoptr(KhBootParts) kernel = load(files->amdsev, files->other, files->initrd);
    g_autoptr(KhBootParts) bare = load(files->amdsev, files->kernel, NULL);
    g_autoptr(KhBootParts) generic = load(files->generic, NULL, NULL);
    const KhNeighbourImage images[] = {{parts, "twin"}, {initrd, "v2\033[2J"}, {initrd, "again"},
                                       {kernel, "v3"},  {bare, "bare"},        {generic, "old"}};
    const KhNeighbours neighbours = {images, G_N_ELEMENTS(images), NULL};
    const KhLaunch expected = expected_launch(parts);
    const char *says[] = {"",
                          "the image v2\\033[2J",
                          "the image v2\\033[2J",
                          "the image v3",
                          "the image bare",
                          "the image old"};

    for (gsize i = 1; i < G_N_ELEMENTS(images); i++) {
        KhLaunch observed = expected;

        observed.parts = images[i].parts;
        assert_explained(&expected, &observed, &neighbours, images[i].parts == generic ? 2 : 1,
                         says[i]);
    }
}

static void
explain_firmware_alone(Files *files, gconstpointer data)
{
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, files->initrd);
    g_autoptr(KhBootParts) alone = load(files->amdsev, NULL, NULL);
    const KhNeighbourImage image = {parts, "v1"};
    const KhNeighbours neighbours = {&image, 1, NULL};
    const KhLaunch expected = expected_launch(parts);
    const KhLaunch without = {alone, NULL, expected.shape};
    const KhLaunch with = {parts, "", expected.shape};

    assert_explained(&expected, &without, NULL, 1, "the firmware alone");
    assert_explained(&without, &with, &neighbours, 1, "the image v1");
}

static void
explain_combinations(Files *files, gconstpointer data)
{
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, files->initrd);
    g_autoptr(KhBootParts) other = load(files->amdsev, files->kernel, files->other);
    const KhNeighbourImage image = {other, "v2"};
    const KhNeighbours neighbours = {&image, 1, NULL};
    const KhLaunch expected = expected_launch(parts);
    const KhLaunch observed = {other, "console=ttyS0 quiet\n", {512, 0xb00f00, 0x21, KH_VMM_QEMU}};

    assert_explained(&expected, &observed, &neighbours, 5, "512 vCPUs instead of 4");
    assert_explained(&expected, &observed, &neighbours, 5, "(EPYC-Turin)");
}

/* Other monitors have no signature to vary. */
static void
explain_other_monitors(Files *files, gconstpointer data)
{
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, files->initrd);

    for (guint vmm = KH_VMM_EC2; vmm < KH_N_VMMS; vmm++) {
        KhLaunch expected = expected_launch(parts), observed;

        expected.shape.vmm = (KhVmm)vmm;
        observed = expected;
        observed.shape.vcpu_signature = 0xa00f11;
        assert_explained(&expected, &observed, NULL, 0, "is the expected one");
        observed.shape.vcpus = 9;
        assert_explained(&expected, &observed, NULL, 1, "9 vCPUs");
    }
}

static void
explain_nothing(Files *files, gconstpointer data)
{
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, files->initrd);
    g_autoptr(KhBootParts) unknown = load(files->amdsev, files->other, NULL);
    const KhLaunch expected = expected_launch(parts);
    KhLaunch observed = expected;
    g_autoptr(KhExplanation) explanation = NULL;
    g_autofree char *says = NULL;

    observed.parts = unknown;
    explanation = explain(&expected, &observed, NULL);
    g_assert_false(explanation->found);
    g_assert_cmpuint(explanation->n_candidates, >=, 5 * 3 * 512 * 10);
    g_assert_cmpuint(explanation->n_candidates, <, 1000000);
    says = g_strdup_printf("None of %" G_GUINT64_FORMAT " candidates", explanation->n_candidates);
    g_assert_true(g_str_has_prefix(explanation->text, says));
    g_assert_nonnull(strstr(explanation->text, "vCPUs (1 to 512)"));
    g_assert_nonnull(strstr(explanation->text, "(5 signatures)"));
    g_assert_nonnull(strstr(explanation->text, "(0x1, 0x0, 0x21)"));
    g_assert_nonnull(strstr(explanation->text, "the firmware alone"));
}

/* However many images there are, the work is bounded, and it says what was left out. */
static void
explain_bounded(Files *files, gconstpointer data)
{
    g_autoptr(KhBootParts) parts = load(files->amdsev, files->kernel, files->initrd);
    g_autoptr(GPtrArray) owned = g_ptr_array_new_with_free_func((GDestroyNotify)kh_boot_parts_free);
    g_autoptr(GArray) images = g_array_new(FALSE, FALSE, sizeof(KhNeighbourImage));
    const KhLaunch expected = expected_launch(parts);
    guint8 observed[KH_LAUNCH_DIGEST_SIZE] = {0};
    KhNeighbours neighbours;
    g_autoptr(KhExplanation) explanation = NULL;

    for (guint i = 0; i < 20; i++) {
        KhNeighbourImage image = {load(files->amdsev, files->kernel, files->initrd), "more"};

        ((KhBootParts *)image.parts)->kernel.sha256[0] = (guint8)i;
        g_ptr_array_add(owned, (gpointer)image.parts);
        g_array_append_val(images, image);
    }
    neighbours = (KhNeighbours){(KhNeighbourImage *)images->data, images->len, UUID};
    explanation = kh_mismatch_search(&expected, observed, &neighbours, NULL);
    g_assert_false(explanation->found);
    g_assert_cmpuint(explanation->n_candidates, <, 1000000);
    g_assert_nonnull(strstr(explanation->text, "some combinations"));
    g_assert_nonnull(strstr(explanation->text, "image (9)"));
}

#define ADD(name, function)                                                                        \
    g_test_add("/measurement/" name, Files, NULL, files_set_up, function, files_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("tails", rows_of_tails);
    ADD("debian", rows_of_debian);
    ADD("data", rows_of_data);
    ADD("refused-files", refused_files);
    ADD("never-firmware-only", never_firmware_only);
    ADD("too-large", too_large);
    ADD("refused-shapes", refused_shapes);
    g_test_add_func("/measurement/processors", names_of_processors);
    g_test_add_func("/measurement/monitors", names_of_monitors);
    ADD("explain/processors", explain_processors);
    ADD("explain/features", explain_features);
    ADD("explain/command-lines", explain_cmdlines);
    ADD("explain/images", explain_images);
    ADD("explain/firmware-alone", explain_firmware_alone);
    ADD("explain/combinations", explain_combinations);
    ADD("explain/other-monitors", explain_other_monitors);
    ADD("explain/nothing", explain_nothing);
    ADD("explain/bounded", explain_bounded);
    return g_test_run();
}
