/* VLESS, the server's codec alone: every split of a request, every malformed
 * one, framing of both commands, what flow and command allow together, and
 * where payload is billed.
 *
 * needs: src/core/v2_buf.c src/core/v2_chain.c src/core/v2_addr.c
 * needs: src/proto/v2_vision.c
 * needs: src/core/v2_uuid.c src/core/v2_crypt.c src/core/v2_log.c
 * needs: src/core/v2_time.c src/core/v2_core.c
 * libs: -lcrypto */

#include "../../../src/proto/v2_vless.c"
#include "tap.h"

static v2_link_view_t  view;
static v2_inode_t      node;
static uint16_t        outer = V2_VISION_TLS;
static unsigned        pushed;
static const uint8_t   known[16] = {
    0x3f, 0x1c, 0x8a, 0x52, 0x7d, 0x0e, 0, 0,
    0x9a, 0x41, 0x5c, 0x2f, 0x6e, 0x0b, 0x1d, 0x01
};

static void test_uuid(void);
static void test_request(void);
static void test_refused(void);
static void test_udp(void);
static void test_out(void);
static void test_check(void);
static void test_flow(void);
static void test_vision(void);


v2_link_view_t *
v2_layer_view(v2_layer_t *ly)
{
    (void) ly;

    return &view;
}


v2_int_t
v2_layer_user(v2_layer_t *ly, const uint8_t *cred, unsigned len)
{
    (void) ly;

    return len == 16 && memcmp(cred, known, 16) == 0 ? V2_OK : V2_DECLINED;
}


v2_int_t
v2_layer_push(v2_layer_t *ly, const char *codec)
{
    (void) ly;
    pushed++;

    return strcmp(codec, "mux") == 0 ? V2_OK : V2_ERROR;
}


static size_t
from_hex(const char *hex, uint8_t *out)
{
    size_t    n;
    unsigned  v;

    for (n = 0; *hex; hex += 2) {
        if (*hex == ' ') {
            hex--;
            continue;
        }

        (void) sscanf(hex, "%2x", &v);
        out[n++] = (uint8_t) v;
    }

    return n;
}


static void
feed(v2_layer_t *ly, const uint8_t *p, size_t n)
{
    v2_buf_t  *b;

    b = v2_buf_mem(n);
    memcpy(b->data + V2_BUF_HEAD, p, n);
    (void) v2_chain_add(&ly->wire, b, V2_BUF_HEAD, (uint32_t) n, 0);
}


static void
layer(v2_layer_t *ly)
{
    memset(ly, 0, sizeof(*ly));
    memset(&view, 0, sizeof(view));
    view.node = &node;
    view.req.tls_version = outer;
    v2_chain_init(&ly->wire);
    v2_chain_init(&ly->app);
    ly->codec = &v2_vless_codec;
    ly->state = calloc(1, sizeof(v2_vless_t));
}


static void
layer_done(v2_layer_t *ly)
{
    v2_chain_free(&ly->wire);
    v2_chain_free(&ly->app);
    free(ly->state);
}


/* Feeds hex in pieces of `step` and runs until something other than AGAIN. */
static v2_int_t
request(v2_layer_t *ly, const char *hex, size_t step, v2_chain_t *app)
{
    size_t    n, i;
    uint8_t   b[1024];
    v2_int_t  rc;

    layer(ly);
    v2_chain_init(app);
    n = from_hex(hex, b);
    rc = V2_AGAIN;

    for (i = 0; i < n && rc == V2_AGAIN; i += step) {
        feed(ly, b + i, v2_min(step, n - i));
        rc = v2_vless_in(ly, &ly->wire, app);
    }

    if (i < n) {
        feed(ly, b + i, n - i);
    }

    return rc;
}


int
main(void)
{
    static const v2_buf_conf_t  conf[V2_BUF_GROUPS] = {
        { 2048, 16 }, { 16384 + 512, 16 }, { 262144, 4 }
    };

    if (v2_buf_init(conf) != V2_OK) {
        return 1;
    }

    test_uuid();
    test_request();
    test_refused();
    test_udp();
    test_out();
    test_check();
    test_flow();
    test_vision();

    done_testing();
}


static void
test_uuid(void)
{
    size_t     i;
    uint8_t    id[16];
    v2_cred_t  a, b;

    static const uint8_t  mapped[16] = {
        0xfe, 0xb5, 0x44, 0x31, 0x30, 0x1b, 0x52, 0xbb,
        0xa6, 0xdd, 0xe1, 0xe9, 0x3e, 0x81, 0xbb, 0x9e
    };

    static const char *const  bad[] = {
        "", "1234567890123456789012345678901",
        "3f1c8a52-7d0e-4b69-9a41-5c2f6e0b1d0g",
        "3f1c8a52-7d0e-4b69-9a41-5c2f6e0b1d011"
    };

    ok(v2_vless_index(NULL, "3F1C8A52-7D0E-4B69-9A41-5C2F6E0B1D01", &a)
       == V2_OK && a.len == 16 && memcmp(a.bytes, known, 16) == 0,
       "a UUID in upper case");
    ok(v2_vless_index(NULL, "3f1c8a527d0e4b699a415c2f6e0b1d01", &b) == V2_OK
       && memcmp(&a, &b, 17) == 0, "the same without hyphens");
    ok(v2_vless_index(NULL, "3f1c8a52-7d0e-ffff-9a41-5c2f6e0b1d01", &b)
       == V2_OK && memcmp(&a, &b, 17) == 0, "bytes 6 and 7 do not matter");
    ok(v2_uuid_parse("example", id) == V2_OK && memcmp(id, mapped, 16) == 0,
       "a name is mapped");

    for (i = 0; i < v2_nelems(bad); i++) {
        ok(v2_vless_index(NULL, bad[i], &b) == V2_ERROR, "refused: \"%s\"",
           bad[i]);
    }
}


#define ID  "3f1c8a527d0e4b699a415c2f6e0b1d01"


static void
test_request(void)
{
    size_t        i, step;
    v2_layer_t    ly;
    v2_chain_t    app;
    v2_dest_t    *d;

    static const struct {
        const char  *hex, *name, *rest;
        uint8_t      family, udp;
        uint16_t     port;
    } good[] = {
        { "00" ID "00 01 01bb 01 7f000001 6869", "", "hi", 4, 0, 443 },
        { "00" ID "00 02 0035 01 08080808", "", "", 4, 1, 53 },
        { "00" ID "00 01 0050 03 00000000000000000000000000000001 61", "",
          "a", 6, 0, 80 },
        { "00" ID "00 01 0050 03 00000000000000000000ffff7f000001", "", "", 4,
          0, 80 },
        { "00" ID "00 01 01bb 02 0b 4578616d706c652e6f7267 21",
          "example.org", "!", 0, 0, 443 },
        { "00" ID "00 01 01bb 02 07 312e322e332e34", "", "", 4, 0, 443 },
        { "00" ID "04 12021234 01 01bb 01 7f000001", "", "", 4, 0, 443 },
        { "00" ID "00 01 0000 01 7f000001", "", "", 4, 0, 0 },
    };

    for (i = 0; i < v2_nelems(good); i++) {
        for (step = 1; step < 64; step = step * 2 + 1) {
            d = &view.req.dest;
            is_int(request(&ly, good[i].hex, step, &app), V2_DONE,
                   "request %zu in pieces of %zu", i, step);
            ok(d->port == good[i].port && d->udp == good[i].udp
               && d->addr.family == good[i].family
               && (d->addr.family || strcmp(d->name, good[i].name) == 0),
               "its destination");
            ok(ly.wire.bytes == strlen(good[i].rest), "what follows stays");

            if (!good[i].udp) {
                is_int(v2_vless_in(&ly, &ly.wire, &app), V2_PASS,
                       "then it leaves");
            }

            layer_done(&ly);
        }
    }
}


static void
test_refused(void)
{
    size_t      i;
    v2_layer_t  ly;
    v2_chain_t  app;

    static const char *const  bad[] = {
        "01" ID "00 01 01bb 01 7f000001",
        "00 00112233445566778899aabbccddeeff",
        "00" ID "00 04",
        "00" ID "00 00",
        "00" ID "00 ff",
        "00" ID "00 01 01bb 00",
        "00" ID "00 01 01bb 04 7f000001",
        "00" ID "00 01 01bb 02 00",
        "00" ID "00 01 01bb 02 03 612f62",
        "00" ID "12 0a1078746c732d727072782d766973696f6e 01 01bb 01 7f000001",
        "00" ID "02 0aff",
        "00" ID "01 80",
        "00" ID "01 0b",
        "474554202f20485454502f312e310d0a0d0a",
    };

    for (i = 0; i < v2_nelems(bad); i++) {
        is_int(request(&ly, bad[i], 1, &app), V2_DECLINED, "refused: %s",
               bad[i]);
        ok(view.req.why != NULL, "and it says why");
        layer_done(&ly);
    }
}


static void
test_udp(void)
{
    uint8_t     b[8];
    v2_layer_t  ly;
    v2_chain_t  app;

    is_int(request(&ly, "00" ID "00 02 0035 01 08080808 0003 616263 0000 0001"
                   "78 0002 79", 64, &app), V2_DONE, "a UDP request");
    is_int(v2_vless_in(&ly, &ly.wire, &app), V2_OK, "first datagram");
    ok(app.bytes == 3 && app.last->end, "is whole");
    is_int(v2_vless_in(&ly, &ly.wire, &app), V2_OK, "an empty one");
    is_int(v2_vless_in(&ly, &ly.wire, &app), V2_OK, "the next");
    ok(app.bytes == 4 && app.head != app.last && app.last->len == 1
       && app.last->end, "is a slice of its own");
    is_int(v2_vless_in(&ly, &ly.wire, &app), V2_AGAIN, "half a datagram waits");
    (void) v2_chain_peek(&app, b, 4);
    ok(memcmp(b, "abcx", 4) == 0, "payload");
    v2_chain_free(&app);
    layer_done(&ly);
}


static void
test_out(void)
{
    uint8_t      b[16];
    v2_buf_t    *buf;
    v2_chain_t   app, wire;
    v2_layer_t   ly;

    (void) request(&ly, "00" ID "00 01 0035 01 08080808", 64, &app);
    v2_chain_init(&app);
    v2_chain_init(&wire);
    buf = v2_buf_mem(5);
    memcpy(buf->data + V2_BUF_HEAD, "hello", 5);
    (void) v2_chain_add(&app, buf, V2_BUF_HEAD, 5, 5);
    is_int(v2_vless_out(&ly, &app, &wire), V2_PASS, "TCP leaves after its "
           "response header");
    (void) v2_chain_peek(&wire, b, 7);
    ok(wire.bytes == 7 && memcmp(b, "\0\0hello", 7) == 0, "header, payload");
    is_int((int) v2_chain_take(&wire, 2), 0, "the header is not billed");
    is_int((int) v2_chain_take(&wire, 2), 2, "payload is, byte by byte");
    v2_chain_free(&wire);
    layer_done(&ly);

    (void) request(&ly, "00" ID "00 01 0035 01 08080808", 64, &app);
    is_int(v2_vless_end(&ly, &wire), V2_OK, "end without payload");
    ok(wire.bytes == 2, "the header goes alone");
    v2_chain_free(&wire);
    layer_done(&ly);

    (void) request(&ly, "00" ID "00 02 0035 01 08080808", 64, &app);
    buf = v2_buf_mem(3);
    memcpy(buf->data + V2_BUF_HEAD, "abc", 3);
    (void) v2_chain_add(&app, buf, V2_BUF_HEAD, 3, 3);
    app.last->end = 1;
    is_int(v2_vless_out(&ly, &app, &wire), V2_OK, "a datagram back");
    (void) v2_chain_peek(&wire, b, 7);
    ok(wire.bytes == 7 && memcmp(b, "\0\0\0\3abc", 7) == 0, "its frame");
    is_int((int) v2_chain_take(&wire, 6), 0, "not whole yet: not billed");
    is_int((int) v2_chain_take(&wire, 1), 3, "billed with its last byte");
    layer_done(&ly);
}


static void
test_check(void)
{
    char       why[256];
    size_t     i;
    v2_spec_t  spec;

    static const struct {
        const char  *flow, *network;
        uint8_t      security;
        v2_int_t     rc;
    } t[] = {
        { "", "tcp", V2_SEC_NONE, V2_OK },
        { "", "ws", V2_SEC_TLS, V2_OK },
        { V2_VISION_FLOW, "tcp", V2_SEC_TLS, V2_OK },
        { V2_VISION_FLOW, "tcp", V2_SEC_REALITY, V2_OK },
        { V2_VISION_FLOW, "tcp", V2_SEC_NONE, V2_ERROR },
        { V2_VISION_FLOW, "ws", V2_SEC_TLS, V2_ERROR },
        { "xtls-rprx-vision-udp443", "tcp", V2_SEC_TLS, V2_ERROR },
        { "xtls-rprx-direct", "tcp", V2_SEC_TLS, V2_ERROR },
    };

    for (i = 0; i < v2_nelems(t); i++) {
        memset(&spec, 0, sizeof(spec));
        memset(why, 0, sizeof(why));
        (void) strcpy(spec.flow, t[i].flow);
        (void) strcpy(spec.network, t[i].network);
        spec.security = t[i].security;

        ok(v2_vless_check(&spec, why, sizeof(why)) == t[i].rc
           && (t[i].rc == V2_OK || strstr(why, t[i].flow) != NULL),
           "check: \"%s\" over %s, security %u", t[i].flow, t[i].network,
           t[i].security);
    }
}


#define VISION  "12 0a10 78746c732d727072782d766973696f6e "
#define SEED    "18 0a10 78746c732d727072782d766973696f6e 120401020304 "
#define OTHER   "12 0a10 78746c732d727072782d766973696f6f "
#define TO      " 01bb 01 7f000001"


/* protocols.md 1.4: every row, and the outer TLS of 2.6. */
static void
test_flow(void)
{
    size_t      i;
    v2_int_t    rc;
    v2_layer_t  ly;
    v2_chain_t  app;

    enum { NO, PLAIN, UDP, PADDED, MUX, MUX_UDP, MUX_PADDED };

    static const struct {
        unsigned     has;
        uint16_t     tls;
        const char  *hex;
        unsigned     want;
    } t[] = {
        { 0, 0x304, "00 01" TO, PLAIN },
        { 0, 0x304, "00 02" TO, UDP },
        { 0, 0x304, "00 03", MUX },
        { 0, 0x304, "00 04", NO },
        { 0, 0x304, VISION "01" TO, NO },
        { 0, 0x304, VISION "03", NO },
        { 1, 0x304, "00 01" TO, NO },
        { 1, 0x304, "00 02" TO, UDP },
        { 1, 0x304, "00 03", NO },
        { 1, 0x304, "00 03 000c0000010102", MUX_UDP },
        { 1, 0x304, "00 03 000c00000101", NO },
        { 1, 0x304, "00 03 000c0001010102", NO },
        { 1, 0x304, "00 03 000c0000010101", NO },
        { 1, 0x304, "00 04", NO },
        { 1, 0x304, VISION "01" TO, PADDED },
        { 1, 0x304, SEED "01" TO, PADDED },
        { 1, 0x304, VISION "02" TO, NO },
        { 1, 0x304, VISION "03", MUX_PADDED },
        { 1, 0x304, VISION "04", NO },
        { 1, 0x304, OTHER "01" TO, NO },
        { 0, 0x304, OTHER "01" TO, NO },
        { 1, 0x303, VISION "01" TO, NO },
        { 1, 0x303, VISION "03", NO },
        { 1, 0, VISION "01" TO, NO },
        { 0, 0x303, "00 01" TO, PLAIN },
    };

    for (i = 0; i < v2_nelems(t); i++) {
        char         hex[256];
        v2_vless_t  *v;

        (void) strcpy(node.flow, t[i].has ? V2_VISION_FLOW : "");
        outer = t[i].tls;
        pushed = 0;
        (void) snprintf(hex, sizeof(hex), "00" ID "%s", t[i].hex);
        rc = request(&ly, hex, 128, &app);
        v = ly.state;

        ok(rc == (t[i].want == NO ? V2_DECLINED : V2_DONE)
           && v->padded == (t[i].want == PADDED || t[i].want == MUX_PADDED)
           && v->udp == (t[i].want == UDP)
           && view.req.mux == (t[i].want >= MUX)
           && pushed == view.req.mux
           && view.req.mux_udp == (t[i].want > MUX),
           "node %s, TLS %03x: %s", t[i].has ? "with flow" : "without",
           t[i].tls, t[i].hex);
        ok(rc == V2_DONE || view.req.why != NULL, "and a reason");
        layer_done(&ly);
    }

    outer = V2_VISION_TLS;
}


/* The first block has the response header and the id that the client sent,
 * route bits included, before it; later ones have nothing. */
static void
test_vision(void)
{
    size_t       n;
    uint8_t      b[64], id[16];
    v2_buf_t    *buf;
    v2_chain_t   app, wire;
    v2_layer_t   ly;

    (void) strcpy(node.flow, V2_VISION_FLOW);
    is_int(request(&ly, "00 3f1c8a527d0e01bb9a415c2f6e0b1d01" VISION "01" TO
                   " 3f1c8a527d0e01bb9a415c2f6e0b1d01 02 0005 0002 68656c6c6f"
                   "0000 21", 256, &app), V2_DONE, "a Vision request");
    is_int(v2_vless_in(&ly, &ly.wire, &app), V2_DIRECT, "a direct block");
    n = v2_chain_peek(&app, b, sizeof(b));
    ok(n == 6 && memcmp(b, "hello!", 6) == 0, "content, and what follows");
    v2_chain_free(&app);

    v2_chain_init(&wire);
    n = from_hex("3f1c8a527d0e01bb9a415c2f6e0b1d01", id);
    buf = v2_buf_mem(5);
    memcpy(buf->data + V2_BUF_HEAD, "hello", 5);
    (void) v2_chain_add(&app, buf, V2_BUF_HEAD, 5, 5);
    is_int(v2_vless_out(&ly, &app, &wire), V2_OK, "a block back");
    n = v2_chain_peek(&wire, b, 28);
    ok(n == 28 && memcmp(b, "\0\0", 2) == 0 && memcmp(b + 2, id, 16) == 0
       && memcmp(b + 18, "\0\0\5\0", 4) == 0
       && memcmp(b + 23, "hello", 5) == 0, "header, id, block");
    ok(wire.last->end, "is a record");
    is_int((int) v2_chain_take(&wire, wire.bytes), 5, "its content is billed");

    buf = v2_buf_mem(5);
    memcpy(buf->data + V2_BUF_HEAD, "again", 5);
    (void) v2_chain_add(&app, buf, V2_BUF_HEAD, 5, 5);
    is_int(v2_vless_out(&ly, &app, &wire), V2_OK, "the next block");
    n = v2_chain_peek(&wire, b, 10);
    ok(n == 10 && memcmp(b, "\0\0\5\0", 4) == 0
       && memcmp(b + 5, "again", 5) == 0, "is nothing but a block");
    v2_chain_free(&wire);
    layer_done(&ly);

    (void) request(&ly, "00" ID VISION "01" TO, 256, &app);
    is_int(v2_vless_end(&ly, &wire), V2_OK, "end without payload");
    is_int((int) wire.bytes, 0, "sends nothing");
    layer_done(&ly);
    node.flow[0] = '\0';
}
