/* Images: a good one, and every ref that points elsewhere.
 *
 * needs: src/core/v2_image.c src/core/v2_flat.c src/core/v2_log.c
 * needs: src/core/v2_time.c src/core/v2_core.c */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_image.h"

#include "v2_log.h"
#include "v2_spec.h"

#include "tap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define NODES   2

static v2_flat_t  flat;


static v2_image_t *
image(void)
{
    return (v2_image_t *) (void *) flat.data;
}


static v2_inode_t *
node(unsigned i)
{
    return (v2_inode_t *) v2_flat_at(&flat, image()->nodes) + i;
}


static void
seal(void)
{
    size_t  body;

    body = offsetof(v2_image_t, checksum) + 8;
    image()->size = flat.len;
    image()->checksum = v2_hash64(flat.data + body, flat.len - body, 0);
}


static void
build(void)
{
    unsigned     i;
    v2_ref_t     tag, name, pem, alpn, nodes, route;
    v2_image_t   head;
    v2_inode_t   list[NODES];

    v2_flat_done(&flat);
    v2_flat_init(&flat);

    memset(&head, 0, sizeof(head));
    memset(list, 0, sizeof(list));

    head.magic = V2_IMAGE_MAGIC;
    head.version = V2_IMAGE_VERSION;
    head.nodes_n = NODES;

    (void) v2_flat_add(&flat, &head, sizeof(head));
    tag = v2_flat_str(&flat, "a tag");
    name = v2_flat_str(&flat, "node.example.test");
    pem = v2_flat_add(&flat, "PEM", 3);
    alpn = v2_flat_add(&flat, "\2h2\10http/1.1", 12);

    for (i = 0; i < NODES; i++) {
        list[i].node = i;
        list[i].tag = tag;
        list[i].server_name = name;
        list[i].cert_pem = list[i].key_pem = pem;
        list[i].alpn = alpn;
        list[i].security = V2_SEC_TLS;
        list[i].tcp = 1;
        list[i].listen.family = i == 0 ? 4 : 6;
        list[i].listen.port = 443;
        strcpy(list[i].protocol, "vless");
    }

    nodes = v2_flat_add(&flat, list, sizeof(list));
    route = v2_flat_add(&flat, "rules", 5);

    image()->nodes = nodes;
    image()->route = route;
    seal();
}


static int
refused(void)
{
    const char  *why;

    why = NULL;
    seal();

    return v2_image_check(flat.data, flat.len, &why) == V2_ERROR
           && why != NULL;
}


static void
test_good(void)
{
    v2_inode_t    bare;
    const char   *why;

    build();
    is_int(v2_image_check(flat.data, flat.len, &why), V2_OK, "a good one");

    memset(&bare, 0, sizeof(bare));
    node(1)->tag = node(1)->server_name = node(1)->alpn = bare.tag;
    node(1)->cert_pem = node(1)->key_pem = image()->route = bare.tag;
    ok(!refused(), "empty refs");

    image()->nodes_n = 0;
    image()->nodes = bare.tag;
    ok(!refused(), "an image without nodes");
}


/* Each ref: behind the end, over the end, into the head, wrapped around. */
static void
test_refs(void)
{
    size_t      i, j;
    v2_ref_t   *ref, was;

    static const size_t refs[] = {
        offsetof(v2_inode_t, tag), offsetof(v2_inode_t, server_name),
        offsetof(v2_inode_t, cert_pem), offsetof(v2_inode_t, key_pem),
        offsetof(v2_inode_t, alpn)
    };

    build();

    for (i = 0; i < v2_nelems(refs) + 2; i++) {

        if (i < v2_nelems(refs)) {
            ref = (v2_ref_t *) (void *) ((char *) node(1) + refs[i]);

        } else {
            ref = i == v2_nelems(refs) ? &image()->route : &image()->nodes;
        }

        was = *ref;

        for (j = 0; j < 5; j++) {
            *ref = was;

            switch (j) {
            case 0:
                ref->off = flat.len + 8;
                break;

            case 1:
                ref->len = flat.len - ref->off + 8;
                break;

            case 2:
                ref->off = 8;
                break;

            case 3:
                ref->len = UINT32_MAX - ref->off + 16;
                break;

            default:
                ref->off = UINT32_MAX - 7;
            }

            ok(refused(), "ref %zu, fault %zu", i, j);
        }

        *ref = was;
        ok(!refused(), "ref %zu, good again", i);
    }
}


static void
test_nodes(void)
{
    build();
    node(1)->node = 256;
    ok(refused(), "slot out of range");
    node(1)->node = 0;
    ok(refused(), "slot twice");

    build();
    image()->nodes_n = 3;
    ok(refused(), "more nodes than the table has");
    image()->nodes_n = 1u << 30;
    ok(refused(), "so many that the size wraps");

    build();
    image()->nodes.off += 4;
    ok(refused(), "table not aligned");

    build();
    node(1)->tag.len--;
    ok(refused(), "tag without its zero");

    build();
    node(1)->server_name.len = 1;
    ok(refused(), "name without its zero");

    build();
    memset(node(1)->protocol, 'a', sizeof(node(1)->protocol));
    ok(refused(), "protocol without end");

    build();
    memset(node(1)->flow, 'a', sizeof(node(1)->flow));
    ok(refused(), "flow without end");

    build();
    node(1)->security = 3;
    ok(refused(), "security");

    build();
    node(1)->sniff = 2;
    ok(refused(), "sniff");

    build();
    node(1)->listen.family = 0;
    ok(refused(), "no address");

    build();
    node(1)->listen.port = 0;
    ok(refused(), "no port");

    build();
    node(1)->send_ip.family = 5;
    ok(refused(), "source address of no family");
}


static void
test_alpn(void)
{
    uint8_t  *p;

    build();
    p = v2_flat_at(&flat, node(1)->alpn);
    p[0] = 0;
    ok(refused(), "an empty name");
    p[0] = 11;
    ok(!refused(), "a name to the end");
    p[0] = 12;
    ok(refused(), "a name over the end");
    p[0] = 10;
    ok(refused(), "a length without its name");
}


static void
test_head(void)
{
    size_t       i, bad;
    const char  *why;

    build();

    for (i = 0, bad = 0; i < flat.len; i++) {
        flat.data[i] ^= 0x10;
        bad += v2_image_check(flat.data, flat.len, &why) == V2_ERROR;
        flat.data[i] ^= 0x10;
    }

    /* the serial stands before the checksum and is nobody's to check */
    is_int(bad, flat.len - 4, "each flipped bit is seen");

    for (i = 0, bad = 0; i < flat.len; i++) {
        bad += v2_image_check(flat.data, i, &why) == V2_ERROR;
    }

    is_int(bad, flat.len, "each cut is seen");
    is_int(v2_image_check(flat.data + 4, flat.len - 4, &why), V2_ERROR,
           "not aligned");
}


static void
test_open(void)
{
    int                fd;
    const v2_image_t  *im;

    build();

    fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ok(write(fd, flat.data, flat.len) == (ssize_t) flat.len, "an image");
    ok(v2_image_open(fd) == NULL, "unsealed is refused");
    (void) fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SHRINK);

    im = v2_image_open(fd);
    (void) close(fd);
    ok(im != NULL, "sealed is taken");
    is_str(v2_image_at(im, v2_image_nodes(im)[1].tag), "a tag", "its tag");
    v2_image_close(im);
    v2_image_close(NULL);

    build();
    image()->nodes_n = 9;
    seal();
    fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ok(write(fd, flat.data, flat.len) == (ssize_t) flat.len, "a bad image");
    (void) fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SHRINK);
    ok(v2_image_open(fd) == NULL, "a bad one is refused");
    (void) close(fd);

    ok(v2_image_open(-1) == NULL, "no descriptor");
}


int
main(void)
{
    v2_log_init(2, 0, -1);

    test_good();
    test_refs();
    test_nodes();
    test_alpn();
    test_head();
    test_open();

    v2_flat_done(&flat);

    return done_testing();
}
