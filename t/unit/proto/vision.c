/* Vision alone: blocks going in, cut everywhere; what the filter learns; the
 * blocks that each kind of download becomes; bills; padding in place and not.
 * Inputs and outputs were taken from the reference server.
 *
 * needs: src/core/v2_buf.c src/core/v2_chain.c src/core/v2_crypt.c
 * needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_core.c
 * libs: -lcrypto */

#include "../../../src/proto/v2_vision.c"
#include "tap.h"

#define ID      "b831381d63244d53ad4f8cda48b30811"

#define CLIENT_HELLO    "1603010006010000020303"
#define RANDOM \
    "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
#define SESSION \
    "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
#define SHARE \
    "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
#define HELLO_1 "160303007a020000760303" RANDOM "20" SESSION
#define HELLO_2 "00002e002b0002030400330024001d0020" SHARE
#define HELLO12 "1603030055020000510303" RANDOM "20" SESSION \
    "c02f000009ff0100010000170000"

/* what a piece of a download becomes */
#define MORE    0
#define END     1
#define DIRECT  2
#define RAW     3               /* out of the secure layer */
#define PLAIN   4               /* inside of it, no block */

typedef struct {
    const char  *what;          /* a letter and a length each, see fill() */
    unsigned     command;
    size_t       len;
    unsigned     longer;
} block_t;

static void test_in(void);
static void test_filter(void);
static void test_whole(void);
static void test_writer(void);
static void test_room(void);
static void test_amounts(void);


static size_t
from_hex(const char *hex, uint8_t *out)
{
    size_t    n;
    unsigned  v;

    for (n = 0; *hex; hex += 2) {
        (void) sscanf(hex, "%2x", &v);
        out[n++] = (uint8_t) v;
    }

    return n;
}


static void
add(v2_chain_t *c, const void *p, size_t n)
{
    v2_buf_t  *b;

    b = v2_buf_mem(n);
    memcpy(b->data + V2_BUF_HEAD, p, n);
    (void) v2_chain_add(c, b, V2_BUF_HEAD, (uint32_t) n, (uint32_t) n);
}


static void
init(v2_vision_t *v)
{
    uint8_t  id[16];

    (void) from_hex(ID, id);
    v2_vision_init(v, id);
}


int
main(void)
{
    static const v2_buf_conf_t  conf[V2_BUF_GROUPS] = {
        { 2048, 64 }, { 16384 + 512, 16 }, { 262144, 4 }
    };

    if (v2_buf_init(conf) != V2_OK) {
        return 1;
    }

    test_in();
    test_filter();
    test_whole();
    test_writer();
    test_room();
    test_amounts();

    is_int((int) v2_buf_free_n(V2_BUF_HAND), 64, "no buffer is kept");
    is_int((int) v2_buf_mem_bytes(), 0, "and no memory");

    done_testing();
}


/* Feeds it in pieces of `step` bytes, which are reads. */
static v2_int_t
unpad(v2_vision_t *v, const char *hex, size_t step, v2_chain_t *wire,
    v2_chain_t *app)
{
    size_t    n, i;
    uint8_t   b[512];
    v2_int_t  rc;

    init(v);
    v2_chain_init(wire);
    v2_chain_init(app);
    n = from_hex(hex, b);
    rc = V2_AGAIN;

    for (i = 0; i < n; i += step) {
        add(wire, b + i, v2_min(step, n - i));

        if (rc == V2_AGAIN) {
            rc = v2_vision_in(v, wire, app);
        }
    }

    v2_chain_move(app, wire);

    return rc;
}


static void
test_in(void)
{
    char         got[256];
    size_t       i, step;
    v2_int_t     rc;
    v2_chain_t   wire, app;
    v2_vision_t  v;

    static const struct {
        const char  *hex, *content;
        v2_int_t     rc;
    } t[] = {
        { ID "000005000368656c6c6f0000000100050002776f726c640000"
          "5241572d41465445522d454e44", "helloworldRAW-AFTER-END", V2_AGAIN },
        { ID "000000000700000000000000"
          "02000e00046c6173742d746c732d626c6f636b00000000",
          "last-tls-block", V2_DIRECT },
        { ID "000000000700000000000000"
          "02000e00046c6173742d746c732d626c6f636b00000000726177",
          "last-tls-blockraw", V2_DIRECT },
        { "474554202f20485454502f312e310d0a0d0a", "GET / HTTP/1.1\r\n\r\n",
          V2_AGAIN },
        { "b831381d63244d53ad4f8cda48b3081200000100006869", NULL, V2_AGAIN },
        { ID "0000000000" "0000000000" "0200000000" "6869", "hi", V2_DIRECT },
        { ID "0100000000", "", V2_AGAIN },
        { ID "00000100006103", "a", V2_AGAIN },
        { ID "0300000000", "", V2_ERROR },
        { ID "000001000061ff00000000", "a", V2_ERROR },
    };

    for (i = 0; i < v2_nelems(t); i++) {
        for (step = 1; step < 80; step += 1 + step / 4) {
            rc = unpad(&v, t[i].hex, step, &wire, &app);
            ok(rc == t[i].rc || (rc == V2_PASS && t[i].rc == V2_AGAIN),
               "blocks %zu in pieces of %zu", i, step);

            if (rc != V2_ERROR && t[i].content && i != 7) {
                got[v2_chain_peek(&app, got, sizeof(got) - 1)] = '\0';
                is_str(got, t[i].content, "their content");
            }

            v2_chain_free(&app);
        }
    }

    /* behind an end nobody looks for an id again; it leaves when the filter
     * has seen enough */

    rc = unpad(&v, ID "0100000000" ID "0000010000", 64, &wire, &app);
    ok(rc == V2_AGAIN && app.bytes == 21, "an id behind the end is content");
    v2_chain_free(&app);

    for (i = 0; rc == V2_AGAIN && i < 20; i++) {
        add(&wire, "plain", 5);
        rc = v2_vision_in(&v, &wire, &app);
    }

    ok(rc == V2_PASS && i == 7 && app.bytes == 35,
       "after 8 pieces it leaves");
    v2_chain_free(&app);

    /* an end of the stream where an id could still come */

    init(&v);
    add(&wire, v.id, 7);
    rc = v2_vision_in(&v, &wire, &app);
    ok(rc == V2_AGAIN && app.bytes == 0, "part of an id waits");
    wire.fin = 1;
    (void) v2_vision_in(&v, &wire, &app);
    ok(app.bytes == 7 && app.fin, "and is passed on with the end");
    v2_chain_free(&app);
}


static void
test_filter(void)
{
    size_t       i, k, n;
    uint8_t      b[512];
    v2_chain_t   c;
    v2_vision_t  v;

    static const struct {
        const char  *packets[4];
        unsigned     cipher, xtls, is_tls, tls12up, left;
    } t[] = {
        { { CLIENT_HELLO, HELLO_1 "1301" HELLO_2 }, 4865, 1, 1, 1, 0 },
        { { CLIENT_HELLO, HELLO_1 "1304" HELLO_2 }, 4868, 1, 1, 1, 0 },
        { { CLIENT_HELLO, HELLO_1 "1305" HELLO_2 }, 4869, 0, 1, 1, 0 },
        { { CLIENT_HELLO, HELLO12 }, 49199, 0, 1, 1, 0 },
        { { "474554202f20485454502f312e310d0a" }, 0, 0, 0, 0, 7 },
        { { CLIENT_HELLO, HELLO_1 "1302" "00002e002b00020304003300",
            "24001d0020" SHARE }, 4866, 1, 1, 1, 0 },
        { { CLIENT_HELLO, "160303007a020000760303" RANDOM
            "20404142434445464748494a4b4c4d4e4f",
            "505152535455565758595a5b5c5d5e5f" "1302" HELLO_2 },
          0, 0, 1, 1, 0 },
        { { "16030100", "1603", "160301000601", "170303" }, 0, 0, 1, 0, 4 },
    };

    for (i = 0; i < v2_nelems(t); i++) {
        init(&v);
        v2_chain_init(&c);

        for (k = 0; k < 4 && t[i].packets[k]; k++) {
            n = from_hex(t[i].packets[k], b);
            add(&c, b, n / 2);          /* one read, whatever its slices are */
            add(&c, b + n / 2, n - n / 2);
            v2_vision_look(&v, &c);
            v2_chain_free(&c);
        }

        ok(v.cipher == t[i].cipher && v.xtls == t[i].xtls
           && v.is_tls == t[i].is_tls && v.tls12up == t[i].tls12up
           && v.left == t[i].left, "filter %zu: cipher %u, left %u", i,
           v.cipher, v.left);
    }
}


static void
test_whole(void)
{
    size_t      i, n, step, at;
    uint8_t     b[128];
    v2_chain_t  c;

    static const struct {
        const char  *hex;
        int          whole;
    } t[] = {
        { "170303000161", 1 }, { "170303000161" "17030300026162", 1 },
        { "1703030000", 0 }, { "170303000161" "1703030000" "61", 0 },
        { "17030300026161" "17", 0 }, { "170303000261", 0 },
        { "160303000161", 0 }, { "170301000161", 0 },
        { "170303000161" "160303000161", 0 }, { "17", 0 },
    };

    for (i = 0; i < v2_nelems(t); i++) {
        n = from_hex(t[i].hex, b);

        for (step = 1; step <= n; step++) {
            v2_chain_init(&c);

            for (at = 0; at < n; at += step) {
                add(&c, b + at, v2_min(step, n - at));
            }

            is_int(v2_vision_whole(&c), t[i].whole, "records \"%s\" in slices "
                   "of %zu", t[i].hex, step);
            v2_chain_free(&c);
        }
    }
}


/* One piece of a read: 'S' server's hello of TLS 1.3 with CCS and a record,
 * 'C' the same with cipher 1305, no record, 'T' of TLS 1.2 with another
 * handshake record, 'R' one whole record of data, 'P' the start of a record
 * that is longer, 'x' anything. The length is that of all. */
static void
fill(v2_chain_t *c, const char *what)
{
    char      kind;
    size_t    n, len;
    unsigned  left;
    uint8_t  *b;

    while (*what) {
        kind = *what;
        n = strtoul(what + 1, NULL, 10);
        what = strpbrk(what + 1, "SCTRPx");
        what = what ? what : "";
        b = calloc(1, n + 1024);
        memset(b, 'x', n);
        left = (unsigned) n;
        len = 0;

        if (kind == 'S' || kind == 'C') {
            len = from_hex(kind == 'S' ? HELLO_1 "1301" HELLO_2
                                       : HELLO_1 "1305" HELLO_2, b);
            len += from_hex("140303000101", b + len);

        } else if (kind == 'T') {
            len = from_hex(HELLO12, b);
            len += from_hex("160303", b + len);
            b[len] = (uint8_t) ((n - len - 2) >> 8);
            b[len + 1] = (uint8_t) (n - len - 2);
        }

        if (len < n && strchr("SRP", kind)) {
            (void) from_hex("170303", b + len);
            left -= (unsigned) len + 5;
            left += kind == 'P' ? 5000 : 0;
            b[len + 3] = (uint8_t) (left >> 8);
            b[len + 4] = (uint8_t) left;
        }

        add(c, b, n);
        free(b);
    }
}


/* Takes one block off the wire and compares it with what must be there. */
static void
check_block(v2_chain_t *wire, const block_t *want, unsigned first)
{
    size_t       n, len, pad, bill;
    uint8_t      head[V2_VISION_HEAD], *all;
    v2_slice_t  *s;

    for (s = wire->head, n = 0; s; s = s->next) {
        n += s->len;
    }

    is_int((int) n, (int) wire->bytes, "the chain is in order");

    if (first) {
        (void) v2_chain_peek(wire, head, 2);
        ok(memcmp(head, "id", 2) == 0, "the front is before the first block");
        (void) v2_chain_take(wire, 2);
    }

    (void) v2_chain_peek(wire, head, sizeof(head));
    (void) v2_chain_take(wire, sizeof(head));
    len = (size_t) head[1] << 8 | head[2];
    pad = (size_t) head[3] << 8 | head[4];

    is_int(head[0], (int) want->command, "%s: command", want->what);
    is_int((int) len, (int) want->len, "content");
    ok(want->longer && len < 900 ? len + pad >= 900 && len + pad < 1400
                                 : pad < 256 && len + pad <= 8171,
       "padding %zu, %s", pad, want->longer ? "long" : "short");
    is_int((int) wire->bytes, (int) (len + pad), "nothing else is there");
    ok(wire->last->end, "it ends a record");

    all = calloc(1, wire->bytes + 1);
    (void) v2_chain_peek(wire, all, wire->bytes);

    for (n = len; n < len + pad && all[n] == 0; n++) { /* void */ }

    is_int((int) n, (int) (len + pad), "padding is of zeroes");
    free(all);

    bill = v2_chain_take(wire, wire->bytes);
    is_int((int) bill, (int) len, "the content is billed");
}


/* One write after the other: `what` is set where one begins. */
static void
writer(const char *name, int client_hello, const block_t *want)
{
    size_t       n;
    uint8_t      b[64];
    v2_int_t     rc;
    unsigned     first;
    v2_chain_t   up, app, wire;
    v2_vision_t  v;

    init(&v);
    v2_chain_init(&up);
    v2_chain_init(&app);
    v2_chain_init(&wire);
    n = from_hex(client_hello ? CLIENT_HELLO : "474554202f0d0a", b);
    add(&up, b, n);
    v2_vision_look(&v, &up);
    v2_chain_free(&up);
    first = 1;
    rc = V2_OK;

    for ( /* void */ ; want->what; want++) {

        if (*want->what) {
            is_int((int) app.bytes, 0, "%s: the write is over", name);
            fill(&app, want->what);
        }

        if (rc != V2_OK) {
            ok(rc == (want->command == RAW ? V2_DIRECT : V2_PASS)
               && want->command >= RAW, "%s: %s is %s", name, want->what,
               rc == V2_DIRECT ? "raw" : "plain");
            v2_chain_free(&app);
            continue;
        }

        rc = v2_vision_out(&v, &app, &wire, (const uint8_t *) "id",
                           first ? 2 : 0);
        ok(rc == (want->command == MORE ? V2_OK
                  : want->command == END ? V2_PASS : V2_DIRECT),
           "%s: result %d", name, rc);
        check_block(&wire, want, first);
        first = 0;
    }

    v2_chain_free(&app);
    v2_chain_free(&wire);
}


static void
test_writer(void)
{
    static const block_t  tls13[] = {
        { "S838", MORE, 838, 1 }, { "R205", DIRECT, 205, 1 },
        { "R3005", RAW, 0, 0 }, { NULL, 0, 0, 0 }
    }, incomplete[] = {
        { "S838", MORE, 838, 1 }, { "P4000", MORE, 4000, 0 },
        { "x4000", MORE, 4000, 0 }, { "R105", DIRECT, 105, 1 },
        { NULL, 0, 0, 0 }
    }, reshape[] = {
        { "S838", MORE, 838, 1 }, { "R8192", MORE, 4096, 0 },
        { "", DIRECT, 4096, 0 }, { "R15", RAW, 0, 0 }, { NULL, 0, 0, 0 }
    }, ccm8[] = {
        { "C133", MORE, 133, 1 }, { "R205", END, 205, 1 },
        { "R205", PLAIN, 0, 0 }, { NULL, 0, 0, 0 }
    }, tls12[] = {
        { "T495", MORE, 495, 1 }, { "x51", MORE, 51, 1 },
        { "R505", END, 505, 1 }, { "R505", PLAIN, 0, 0 }, { NULL, 0, 0, 0 }
    }, http[] = {
        { "x100", MORE, 100, 0 }, { "x100", MORE, 100, 0 },
        { "x100", MORE, 100, 0 }, { "x100", MORE, 100, 0 },
        { "x100", MORE, 100, 0 }, { "x100", END, 100, 0 },
        { "x100", PLAIN, 0, 0 }, { NULL, 0, 0, 0 }
    }, two[] = {

        /* one read of two records is one piece here, and a direct block */

        { "S838", MORE, 838, 1 }, { "R1005R1005", DIRECT, 2010, 0 },
        { "R15", RAW, 0, 0 }, { NULL, 0, 0, 0 }
    }, large[] = {

        /* 20000 bytes are units of 8192, 8192 and 3616; the first is cut
         * where its last record begins */

        { "S838", MORE, 838, 1 }, { "R5000R15000", MORE, 5000, 0 },
        { "", MORE, 3192, 0 }, { "", MORE, 4096, 0 }, { "", MORE, 4096, 0 },
        { "", DIRECT, 3616, 0 }, { "R15", RAW, 0, 0 }, { NULL, 0, 0, 0 }
    }, early[] = {

        /* the end comes in the middle of a write: the rest is plain */

        { "x50000", END, 4096, 0 }, { "", PLAIN, 0, 0 },
        { NULL, 0, 0, 0 }
    }, bulk[] = {

        /* no write is of whole records: after 32768 bytes one is cut behind
         * the last record that ends in it */

        { "S838", MORE, 838, 1 }, { "P7000", MORE, 7000, 0 },
        { "x5000P3000", MORE, 8000, 0 }, { "x5000P3000", MORE, 8000, 0 },
        { "x5000P3000", MORE, 8000, 0 }, { "x5000P3000", MORE, 8000, 0 },
        { "x5000R1000P2000", DIRECT, 6000, 0 }, { "", RAW, 0, 0 },
        { NULL, 0, 0, 0 }
    }, bulk12[] = {
        { "T495", MORE, 495, 1 }, { "P7000", MORE, 7000, 0 },
        { "x5000P3000", MORE, 8000, 0 }, { "x5000P3000", MORE, 8000, 0 },
        { "x5000P3000", MORE, 8000, 0 }, { "x5000P3000", MORE, 8000, 0 },
        { "x3000", MORE, 3000, 0 }, { "x2000P300", END, 2000, 0 },
        { "", PLAIN, 0, 0 }, { NULL, 0, 0, 0 }
    }, lost[] = {

        /* what are no records is never cut */

        { "S838", MORE, 838, 1 }, { "x33000", MORE, 4096, 0 },
        { "", MORE, 4096, 0 }, { "", MORE, 4096, 0 }, { "", MORE, 4096, 0 },
        { "", MORE, 4096, 0 }, { "", MORE, 4096, 0 }, { "", MORE, 4096, 0 },
        { "", MORE, 4096, 0 }, { "", MORE, 232, 1 },
        { "R1000x10", MORE, 1010, 0 }, { "R1000", DIRECT, 1000, 0 },
        { NULL, 0, 0, 0 }
    };

    writer("TLS 1.3", 1, tls13);
    writer("TLS 1.3, no whole record", 1, incomplete);
    writer("TLS 1.3, full units", 1, reshape);
    writer("CCM-8", 1, ccm8);
    writer("TLS 1.2", 1, tls12);
    writer("plain HTTP", 0, http);
    writer("many units", 1, large);
    writer("plain, large", 0, early);
    writer("no write of whole records", 1, bulk);
    writer("the same in TLS 1.2", 1, bulk12);
    writer("no records", 1, lost);
    writer("two records in a read", 1, two);
}


/* Where there is room and nobody else, a block is its content's own slice. */
static void
test_room(void)
{
    unsigned     i;
    v2_buf_t    *b;
    v2_chain_t   app, wire;
    v2_slice_t  *s;
    v2_vision_t  v;

    for (i = 0; i < 2; i++) {
        init(&v);
        v2_chain_init(&app);
        v2_chain_init(&wire);
        b = v2_buf_get(V2_BUF_SMALL);
        memset(b->data + V2_BUF_HEAD, 'x', 1000);
        s = v2_chain_add(&app, b, V2_BUF_HEAD, 1000, 1000);
        s->end = 1;                     /* of whoever made it */
        b->refs += i;

        (void) v2_vision_out(&v, &app, &wire, (const uint8_t *) "id", 2);
        ok((wire.head == wire.last) == !i, "%s", i ? "shared: other buffers"
           : "alone: one slice");
        ok(wire.last->end, "one end");

        for (s = wire.head; s != wire.last; s = s->next) {
            ok(!s->end, "and no other");
        }

        is_int((int) v2_chain_take(&wire, wire.bytes - 1),  i ? 1000 : 0,
               "billed with its last byte");
        is_int((int) v2_chain_take(&wire, wire.bytes), i ? 0 : 1000,
               "in one slice");

        if (i) {
            v2_buf_put(b);
        }
    }
}


static void
test_amounts(void)
{
    size_t    i, n, low[2], high[2];
    unsigned  k;

    for (k = 0; k < 2; k++) {
        low[k] = 9999;
        high[k] = 0;

        for (i = 0; i < 20000; i++) {
            n = v2_vision_amount(100, (int) k);
            low[k] = v2_min(low[k], n);
            high[k] = v2_max(high[k], n);
        }
    }

    ok(low[0] == 0 && high[0] == 255, "short: 0 to 255");
    ok(low[1] == 800 && high[1] == 1299, "long: up to 900 to 1399");
    is_int((int) v2_vision_amount(8171, 1), 0, "none behind a full piece");
    is_int((int) v2_vision_amount(8170, 1) < 2, 1, "one behind 8170 at most");
}
