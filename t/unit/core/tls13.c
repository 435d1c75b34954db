/* needs: src/core/v2_tls.c src/core/v2_tls_ctx.c src/core/v2_cert.c
 * needs: src/core/v2_crypt.c src/core/v2_buf.c src/core/v2_chain.c
 * needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_flat.c
 * needs: src/core/v2_core.c */
/* libs: -lssl -lcrypto */

#include "v2_tls13.c"

#include "v2_flat.h"
#include "v2_image.h"
#include "v2_log.h"
#include "v2_tls.h"
#include "v2_tls_ctx.h"

#include "tap.h"
#include "tls_peer.h"

#define CLIENT                                                               \
    "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
#define SERVER                                                               \
    "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"

static const unsigned  all_suites[] = {
    V2_TLS13_AES_128, V2_TLS13_AES_256, V2_TLS13_CHACHA
};

static peer_t   owner;                  /* of the layer that lends buffers */
static uint8_t  data[1u << 20];


static size_t
unhex(const char *text, uint8_t *out)
{
    size_t    n;
    unsigned  v;

    for (n = 0; sscanf(text + 2 * n, "%2x", &v) == 1; n++) {
        out[n] = (uint8_t) v;
    }

    return n;
}


static void
add(v2_chain_t *c, const void *bytes, size_t len, size_t seg)
{
    size_t     n;
    v2_buf_t  *b;

    for ( ; len != 0; len -= n) {
        n = v2_min(len, seg);
        b = v2_buf_mem(n);
        memcpy(b->data + V2_BUF_HEAD, bytes, n);
        (void) v2_chain_add(c, b, V2_BUF_HEAD, (uint32_t) n, 0);
        bytes = (const uint8_t *) bytes + n;
    }
}


static int
is_chain(v2_chain_t *c, const char *hex, const char *what)
{
    size_t   n;
    uint8_t  want[512], got[512];

    n = unhex(hex, want);

    return ok(v2_chain_peek(c, got, sizeof(got)) == n
              && memcmp(got, want, n) == 0, "%s", what);
}


/* The records of RFC 8448 section 3, as its server. */

static void
test_rfc8448(size_t seg)
{
    size_t        n;
    uint8_t       in[48], out[48], rec[512];
    const char   *why;
    v2_tls13_t    t;
    v2_chain_t    wire, app, reply;

    memset(&t, 0, sizeof(t));
    v2_chain_init(&wire);
    v2_chain_init(&app);
    v2_chain_init(&reply);

    (void) unhex(CLIENT, in);
    (void) unhex(SERVER, out);

    /* its server has sent one ticket */
    is_int(v2_tls13_init(&t, V2_TLS13_AES_128, in, out, 0, 1), V2_OK,
           "RFC 8448, segments of %zu", seg);

    (void) unhex("17422dda596ed5d9acd890e3c63f5051", rec);
    is_mem(t.in.aead.key, rec, 16, "client's key");
    (void) unhex("5b78923dee08579033e523d9", rec);
    is_mem(t.in.iv, rec, 12, "client's iv");
    (void) unhex("9f02283b6c9c07efc26bb9f2ac92e356", rec);
    is_mem(t.out.aead.key, rec, 16, "server's key");
    (void) unhex("cf782b88dd83549aadf1e984", rec);
    is_mem(t.out.iv, rec, 12, "server's iv");

    n = unhex("1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f"
              "2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae6"
              "3aeebb21694915e4"
              "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3", rec);
    add(&wire, rec, n, seg);

    is_int(v2_tls13_in(&t, &wire, &app, &reply, &why), V2_OK, "its data");
    is_chain(&app, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b"
             "1c1d1e1f202122232425262728292a2b2c2d2e2f3031", "the bytes");
    is_int(v2_tls13_in(&t, &wire, &app, &reply, &why), V2_OK, "its alert");
    ok(app.fin, "is the end");

    v2_chain_free(&wire);
    wire.fin = 0;

    is_int(v2_tls13_out(&t, &owner.layer, &app, &wire), V2_OK, "echo");
    is_chain(&wire, "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f"
             "82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2"
             "abf332540dd032e167c2955d", "the server's record");
    v2_chain_free(&wire);

    is_int(v2_tls13_end(&t, &wire), V2_OK, "end");
    is_chain(&wire, "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9",
             "the server's alert");
    is_int(v2_tls13_end(&t, &wire), V2_OK, "end once more");
    is_int(wire.bytes, 24, "says nothing");

    v2_chain_free(&wire);
    v2_chain_free(&app);
    v2_tls13_done(&t);
}


/* Both ends of one connection; `a` is the server. */

typedef struct {
    v2_tls13_t    a, b;
    v2_chain_t    wire, app, reply;
    const char   *why;
} pair_t;


static void
pair_open(pair_t *p, unsigned suite)
{
    uint8_t  one[48], two[48];

    memset(p, 0, sizeof(pair_t));
    memset(one, 0x11, sizeof(one));
    memset(two, 0x22, sizeof(two));

    (void) v2_tls13_init(&p->a, suite, one, two, 0, 0);
    (void) v2_tls13_init(&p->b, suite, two, one, 0, 0);
}


static void
pair_close(pair_t *p)
{
    v2_tls13_done(&p->a);
    v2_tls13_done(&p->b);
    v2_chain_free(&p->wire);
    v2_chain_free(&p->app);
    v2_chain_free(&p->reply);
}


/* Puts a record of any inner bytes, type and padding included, on the wire. */

static void
pair_record(pair_t *p, const void *inner, uint32_t n, size_t seg)
{
    static uint8_t  out[V2_TLS13_HEAD + 20000 + V2_AEAD_TAG];

    (void) v2_tls13_seal_start(&p->b, out, n - 1);
    (void) v2_aead_run(&p->b.out.aead, inner, out + V2_TLS13_HEAD, n);
    (void) v2_aead_finish(&p->b.out.aead, out + V2_TLS13_HEAD + n);
    add(&p->wire, out, V2_TLS13_HEAD + n + V2_AEAD_TAG, seg);
}


static int
pair_in(pair_t *p)
{
    return v2_tls13_in(&p->a, &p->wire, &p->app, &p->reply, &p->why);
}


/* The alert that the server answered with; -1: something else, -2: not sealed
 * as it must be. */

static int
pair_alert(pair_t *p)
{
    uint8_t         msg[2];
    v2_tls13_rec_t  r = { .head = { 23, 3, 3, 0, 19 }, .len = 19 };

    if (p->reply.bytes != 24) {
        return -1;
    }

    if (v2_tls13_open(&p->b, &p->reply, &r) != V2_OK
        || r.type != V2_REC_ALERT || r.content != 2)
    {
        return -2;
    }

    (void) v2_chain_take(&p->reply, V2_TLS13_HEAD);
    (void) v2_chain_peek(&p->reply, msg, 2);

    return msg[1];
}


static void
test_suites(unsigned suite, size_t seg)
{
    size_t    n;
    pair_t    p;
    uint8_t  *got;

    pair_open(&p, suite);
    got = malloc(sizeof(data));
    add(&p.app, data, sizeof(data), seg);

    n = 0;

    while (v2_tls13_out(&p.b, &owner.layer, &p.app, &p.wire) == V2_OK) {
        n++;

        if (n == 20 || n == 40) {
            (void) v2_tls13_update(&p.b, &p.wire);
        }
    }

    is_int(n, sizeof(data) / V2_TLS13_PLAIN, "suite %x: full records", suite);

    /* a room of several records is one run of bytes */
    ok(seg < 16384 || p.wire.head->len > 10 * V2_TLS13_PLAIN,
       "in one buffer");

    while (pair_in(&p) == V2_OK) { /* void */ }

    n = v2_chain_peek(&p.app, got, sizeof(data));
    ok(n == sizeof(data) && memcmp(got, data, n) == 0,
       "arrive whole, over two KeyUpdates");

    free(got);
    pair_close(&p);
}


static void
test_padding(size_t seg)
{
    pair_t   p;
    uint8_t  inner[20000], got[20000];

    pair_open(&p, V2_TLS13_AES_128);

    memset(inner, 0, sizeof(inner));
    inner[1000] = V2_REC_DATA;          /* 1000 zeroes, padded */
    pair_record(&p, inner, 5000, seg);
    is_int(pair_in(&p), V2_OK, "padding, segments of %zu", seg);
    is_int(p.app.bytes, 1000, "is taken off, the zeroes before are not");

    memset(inner, 7, 16384);
    inner[16384] = V2_REC_DATA;
    pair_record(&p, inner, 16385, seg);
    is_int(pair_in(&p), V2_OK, "the longest record");
    is_int(p.app.bytes, 17384, "is whole");
    (void) v2_chain_peek(&p.app, got, 17384);
    ok(got[999] == 0 && got[1000] == 7 && got[17383] == 7, "and right");

    memset(inner, 0, sizeof(inner));
    inner[0] = V2_REC_DATA;
    pair_record(&p, inner, 16385, seg);
    is_int(pair_in(&p), V2_OK, "padding alone");
    is_int(p.wire.bytes, 0, "is taken");
    is_int(p.app.bytes, 17384, "and brings nothing");

    pair_close(&p);
}


/* Inner bytes that must end the connection with this alert. */

static void
test_bad(const char *hex, uint32_t pad, int alert, const char *what)
{
    size_t   n;
    pair_t   p;
    uint8_t  inner[20000];

    pair_open(&p, V2_TLS13_CHACHA);
    memset(inner, 0, sizeof(inner));
    n = unhex(hex, inner);
    pair_record(&p, inner, (uint32_t) n + pad, 100000);

    is_int(pair_in(&p), V2_ERROR, "%s: %s", what, p.why ? p.why : "?");
    is_int(pair_alert(&p), alert, "alert");
    is_int(p.app.bytes, 0, "nothing handed up");

    pair_close(&p);
}


static void
test_bad_heads(void)
{
    unsigned  i;
    pair_t    p;

    static const struct {
        uint8_t      head[5];
        int          alert;
        const char  *what;
    } heads[] = {
        { { 22, 3, 3, 0, 40 },      10, "plain handshake record" },
        { { 20, 3, 3, 0, 1 },       10, "change cipher spec" },
        { { 21, 3, 3, 0, 2 },       10, "plain alert" },
        { { 'G', 'E', 'T', ' ', 1 }, 10, "HTTP" },
        { { 23, 2, 0, 0, 40 },      70, "version" },
        { { 23, 3, 3, 0x41, 0x01 }, 22, "length" },
        { { 23, 3, 3, 0, 16 },      20, "no room for a type" },
    };

    for (i = 0; i < v2_nelems(heads); i++) {
        pair_open(&p, V2_TLS13_AES_256);
        add(&p.wire, heads[i].head, 4, 100);
        is_int(pair_in(&p), V2_AGAIN, "%s: a head is waited for",
               heads[i].what);
        add(&p.wire, heads[i].head + 4, 1, 100);
        is_int(pair_in(&p), V2_ERROR, "and refused: %s", p.why);
        is_int(pair_alert(&p), heads[i].alert, "alert");
        pair_close(&p);
    }
}


static void
test_messages(void)
{
    int      i, rc;
    pair_t   p;

    static const char  update[] = { 24, 0, 0, 1, 1, 22 };

    /* a KeyUpdate in two records; the answer is a KeyUpdate, not a request */
    pair_open(&p, V2_TLS13_AES_128);
    pair_record(&p, "\x18\x00\x16", 3, 1);
    is_int(pair_in(&p), V2_OK, "half a KeyUpdate");
    is_int(p.reply.bytes, 0, "is not answered");
    pair_record(&p, "\x00\x01\x01\x16", 4, 1);
    is_int(pair_in(&p), V2_OK, "the other half");
    is_int(p.reply.bytes, 27, "is");
    (void) v2_tls13_way_update(&p.b, &p.b.out);
    pair_record(&p, "abc\x17", 4, 1);
    is_int(pair_in(&p), V2_OK, "data under the new key");
    is_int(p.app.bytes, 3, "is there");
    v2_chain_free(&p.app);

    is_int(v2_tls13_in(&p.b, &p.reply, &p.app, &p.wire, &p.why), V2_OK,
           "the answer is right");
    is_int(p.wire.bytes, 0, "and ends it");
    add(&p.app, "xyz", 3, 3);
    is_int(v2_tls13_out(&p.a, &owner.layer, &p.app, &p.wire), V2_OK,
           "data the other way");
    is_int(v2_tls13_in(&p.b, &p.wire, &p.app, &p.reply, &p.why), V2_OK,
           "under the new key too");
    is_int(p.app.bytes, 3, "is there");
    pair_close(&p);

    pair_open(&p, V2_TLS13_AES_128);
    pair_record(&p, "\x18\x00\x16", 3, 1);
    pair_record(&p, "abc\x17", 4, 1);
    is_int(pair_in(&p), V2_OK, "half a KeyUpdate");
    is_int(pair_in(&p), V2_ERROR, "then data: %s", p.why);
    pair_close(&p);

    pair_open(&p, V2_TLS13_AES_128);
    pair_record(&p, "\x02\x14\x15", 3, 1);
    is_int(pair_in(&p), V2_ERROR, "a fatal alert: %s", p.why);
    is_int(p.reply.bytes, 0, "is not answered");
    pair_close(&p);

    pair_open(&p, V2_TLS13_AES_128);
    pair_record(&p, "\x01\x5a\x15", 3, 1);
    pair_record(&p, "\x01\x00\x15", 3, 1);
    pair_record(&p, update, 6, 1);
    is_int(pair_in(&p), V2_OK, "user_canceled says nothing");
    ok(!p.app.fin, "yet");
    is_int(pair_in(&p), V2_OK, "close_notify");
    ok(p.app.fin, "is the end");
    is_int(pair_in(&p), V2_AGAIN, "what follows is dropped");
    is_int(p.wire.bytes + p.reply.bytes, 0, "whatever it is");
    pair_close(&p);

    pair_open(&p, V2_TLS13_AES_128);

    for (i = 0, rc = V2_OK; i < 40 && rc == V2_OK; i++) {
        pair_record(&p, "\x17", 1, 100);
        rc = pair_in(&p);
    }

    is_int(i, 33, "33 empty records: %s", p.why);
    is_int(pair_alert(&p), 10, "alert");
    pair_close(&p);
}


/* Before a key has sealed too much, ours is changed without being asked. */

static void
test_key_limit(void)
{
    pair_t  p;

    pair_open(&p, V2_TLS13_AES_128);
    p.a.out.seq = p.b.in.seq = V2_TLS13_KEY_MAX - 1;
    add(&p.app, data, 30000, 30000);

    is_int(v2_tls13_out(&p.a, &owner.layer, &p.app, &p.wire), V2_OK,
           "the last record of a key");
    is_int(p.wire.bytes, 16384 + 22, "alone");
    is_int(v2_tls13_out(&p.a, &owner.layer, &p.app, &p.wire), V2_OK,
           "the first of the next");
    is_int(p.a.out.seq, 1, "is its first");
    is_int(p.wire.bytes, 30000 + 22 + 27 + 22, "behind a KeyUpdate");

    while (v2_tls13_in(&p.b, &p.wire, &p.app, &p.reply, &p.why) == V2_OK) {
        /* void */
    }

    is_int(p.app.bytes, 30000, "and the peer can follow");
    pair_close(&p);
}


/* More keys in use than there are contexts. */

static void
test_contexts(void)
{
    int      i, n, bad;
    pair_t  *p;

    n = 300;
    p = calloc((size_t) n, sizeof(pair_t));

    for (i = 0; i < n; i++) {
        pair_open(&p[i], all_suites[i % 3]);
    }

    for (i = 0, bad = 0; i < 10 * n; i++) {
        pair_record(&p[i % n], "abc\x17", 4, 100);
        bad += pair_in(&p[i % n]) != V2_OK;
    }

    for (i = 0; i < n; i++) {
        bad += p[i].app.bytes != 30;
        pair_close(&p[i]);
    }

    is_int(bad, 0, "%d keys take turns with the contexts", 2 * n);
    free(p);
}


static void
test_hmac(void)
{
    uint8_t  want[48], got[48], key[131];

    (void) unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b9"
                 "64ec3843", want);          /* RFC 4231, case 2 */
    is_int(v2_hmac(V2_HASH_SHA256, (const uint8_t *) "Jefe", 4,
                   (const uint8_t *) "what do ya want for nothing?", 28, got),
           V2_OK, "HMAC with SHA-256");
    is_mem(got, want, 32, "is right");

    (void) unhex("af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec373"
                 "6322445e8e2240ca5e69e2c78b3239ecfab21649", want);
    is_int(v2_hmac(V2_HASH_SHA384, (const uint8_t *) "Jefe", 4,
                   (const uint8_t *) "what do ya want for nothing?", 28, got),
           V2_OK, "HMAC with SHA-384");
    is_mem(got, want, 48, "is right");

    memset(key, 0xaa, sizeof(key));
    is_int(v2_hmac(V2_HASH_SHA256, key, sizeof(key), key, 1, got), V2_ERROR,
           "no key longer than a block");
}


/* Records as a site pads them, whose keys come from a fixed secret. */

static void
test_padded_vectors(void)
{
    size_t        n;
    uint8_t       secret[48], rec[128];
    const char   *why;
    v2_tls13_t    t;
    v2_chain_t    wire, app, reply;

    memset(&t, 0, sizeof(t));
    memset(secret, 0x22, sizeof(secret));
    v2_chain_init(&wire);
    v2_chain_init(&app);
    v2_chain_init(&reply);

    (void) v2_tls13_init(&t, V2_TLS13_AES_128, secret, secret, 1, 0);
    n = unhex("17030300390501b450a174ff7af44d6001d3b82960ec2a479c247fb2e8aa00"
              "a23bb0358f247985ff6f6dd564de52c659fdedc5d012190cd55c39af8039d9",
              rec);
    add(&wire, rec, n, 5);
    is_int(v2_tls13_in(&t, &wire, &app, &reply, &why), V2_OK,
           "a padded record without data, number 1");
    is_int(app.bytes, 0, "brings nothing");
    v2_chain_free(&wire);

    t.in.seq = 0;
    n = unhex("170303002468a117109e01a536ab6e7fe882a8b918e8cdc1d6cbbc38fea653"
              "5d2758a831a27218fd45", rec);
    add(&wire, rec, n, 5);
    is_int(v2_tls13_in(&t, &wire, &app, &reply, &why), V2_ERROR,
           "padded EncryptedExtensions, number 0");
    is_str(why, "unexpected TLS message", "are opened, and unexpected");

    v2_chain_free(&wire);
    v2_chain_free(&reply);
    v2_tls13_done(&t);
}


static double
cpu(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec + 1e-9 * (double) ts.tv_nsec;
}


/* CPU-s of the server for `n` MiB each way; ours or libssl's. */

static void
measure(int ours, int n, double *down, double *up)
{
    int           i;
    double        from;
    peer_t       *p;
    v2_chain_t    wire, app;
    v2_buf_t     *b;
    size_t        len, done;
    char         *copy;
    peer_conf_t   conf = { NULL, NULL, TLS1_3_VERSION, NULL };

    SSL_CTX_set_keylog_callback(peer_tls->ssl,
                                ours ? v2_tls_on_secret : NULL);
    p = peer_new(&conf);
    (void) peer_handshake(p, 100000);
    p->drop = 1;
    *down = *up = 0;

    for (i = 0; i < n; i++) {
        from = cpu();
        b = v2_buf_get(V2_BUF_LARGE);

        for (done = 0; done < 4; done++) {
            b->refs++;
            (void) v2_chain_add(&p->layer.app, b, V2_BUF_HEAD, 262144, 0);
        }

        v2_buf_put(b);

        while (p->layer.app.head != NULL) {
            v2_chain_init(&wire);
            (void) v2_tls_codec.out(&p->layer, &p->layer.app, &wire);
            v2_chain_move(&p->sent, &wire);

            if (p->sent.bytes > 250000 || p->layer.app.head == NULL) {
                *down += cpu() - from;
                peer_flush(p);
                (void) peer_down(p);
                from = cpu();
            }
        }

        for (done = 0; done < 1u << 20; done += 16384) {
            (void) SSL_write(p->ssl, data, 16384);
        }

        len = (size_t) BIO_get_mem_data(p->out, &copy);

        for (done = 0; done < len; ) {
            b = v2_buf_get(V2_BUF_LARGE);
            memcpy(b->data + V2_BUF_HEAD, copy + done,
                   v2_min(len - done, 262144u));
            (void) v2_chain_add(&p->layer.wire, b, V2_BUF_HEAD, (uint32_t)
                                v2_min(len - done, 262144u), 0);
            done += v2_min(len - done, 262144u);
            from = cpu();

            do {
                v2_chain_init(&app);
                p->rc = v2_tls_codec.in(&p->layer, &p->layer.wire, &app);
                v2_chain_free(&app);
            } while (p->rc == V2_OK);

            *up += cpu() - from;
        }

        (void) BIO_reset(p->out);
    }

    peer_free(p);
}


static void
test_cost(void)
{
    int       i, n;
    char      why[128], *cert, *key;
    double    down[2] = { 1e9, 1e9 }, up[2] = { 1e9, 1e9 }, d, u;

    (void) v2_tls_self_signed("a", &cert, &key);
    peer_tls = peer_ctx(cert, key, NULL, 0, why, sizeof(why));
    n = getenv("TLS13_MIB") ? atoi(getenv("TLS13_MIB")) : 8;

    for (i = 0; i < 10; i++) {
        measure(i & 1, n, &d, &u);
        down[i & 1] = v2_min(down[i & 1], d);
        up[i & 1] = v2_min(up[i & 1], u);
    }

    diag("CPU-s/GiB down: %.3f, libssl %.3f (%.2f)", down[1] * 1024 / n,
         down[0] * 1024 / n, down[1] / down[0]);
    diag("CPU-s/GiB up:   %.3f, libssl %.3f (%.2f)", up[1] * 1024 / n,
         up[0] * 1024 / n, up[1] / up[0]);

    v2_tls_ctx_destroy(peer_tls);
    free(cert);
    free(key);
}


int
main(void)
{
    unsigned  i;

    peer_setup();
    peer_fill(data, sizeof(data), 2);

    test_hmac();
    test_rfc8448(1000);
    test_rfc8448(1);
    test_padded_vectors();

    for (i = 0; i < v2_nelems(all_suites); i++) {
        test_suites(all_suites[i], 1000);
        test_suites(all_suites[i], 1u << 20);
        test_suites(all_suites[i], 16383);
    }

    test_padding(100000);
    test_padding(1);
    test_padding(17);

    test_bad("00", 16, 10, "no type");
    test_bad("00", 16384, 10, "no type in a long record");
    test_bad("17", 16385, 22, "a record longer than allowed");
    test_bad("2a2a63", 0, 10, "unknown type");
    test_bad("16", 0, 10, "an empty message");
    test_bad("15", 0, 50, "an empty alert");
    test_bad("01000015", 3, 50, "a long alert");
    test_bad("0118000116", 0, 10, "a ClientHello");
    test_bad("0400000016", 0, 10, "a ticket");
    test_bad("180000010216", 0, 47, "KeyUpdate with a wrong value");
    test_bad("1800000016", 0, 50, "KeyUpdate with a wrong length");
    test_bad("180000020016", 0, 50, "KeyUpdate, too long");
    test_bad("18000001000016", 0, 10, "KeyUpdate and something more");

    test_bad_heads();
    test_messages();
    test_key_limit();
    test_contexts();
    test_cost();

    v2_tls13_trim();
    is_int(v2_buf_free_n(V2_BUF_LARGE), v2_buf_count(V2_BUF_LARGE),
           "all large buffers are back");
    is_int(v2_buf_mem_bytes(), 0, "and all memory");
    v2_buf_done();

    return done_testing();
}
