/* needs: src/core/v2_tls.c src/core/v2_tls_ctx.c src/core/v2_cert.c
 * needs: src/core/v2_tls13.c src/core/v2_crypt.c src/core/v2_buf.c
 * needs: src/core/v2_chain.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/core/v2_core.c */
/* libs: -lssl -lcrypto */

/* Records from a client. The first byte says how the rest is used:
 *
 *   bit 0-1   0: a fresh TLS connection gets it as it is
 *             1: a TLS 1.3 record layer gets it as it is
 *             2, 3: it is sealed first, as inner bytes of records: length
 *                (2 bytes), then so many bytes, type and padding included
 *   bit 2-6   bytes of a segment, 0: all at once
 *   bit 7     the suite: AES-128-GCM or ChaCha20-Poly1305
 *
 * Checked besides memory: what is handed up is never more than what came. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_flat.h"
#include "v2_log.h"
#include "v2_tls.h"
#include "v2_tls13.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static v2_link_view_t  view;
static size_t          emitted;


v2_link_view_t *
v2_layer_view(v2_layer_t *ly)
{
    (void) ly;

    return &view;
}


void
v2_layer_emit(v2_layer_t *ly, v2_chain_t *wire)
{
    (void) ly;

    emitted += wire->bytes;
    v2_chain_free(wire);
}


v2_buf_t *
v2_layer_buf(v2_layer_t *ly, size_t size)
{
    (void) ly;

    return v2_buf_get(size > v2_buf_size(V2_BUF_SMALL) ? V2_BUF_LARGE
                                                       : V2_BUF_SMALL);
}


static void
setup(void)
{
    char         why[128], *cert, *key;
    v2_flat_t    f;
    v2_inode_t   node;

    static const v2_buf_conf_t  conf[V2_BUF_GROUPS] = {
        { 2048, 16 }, { 16384 + 512, 64 }, { 262144, 4 }
    };

    v2_log_init(-1, V2_LOG_EMERG, -1);

    if (v2_buf_init(conf) != V2_OK
        || v2_tls_self_signed("fuzz.example.org", &cert, &key) != V2_OK)
    {
        abort();
    }

    v2_flat_init(&f);
    (void) v2_flat_add(&f, NULL, sizeof(v2_image_t));
    memset(&node, 0, sizeof(node));
    node.cert_pem = v2_flat_add(&f, cert, strlen(cert));
    node.key_pem = v2_flat_add(&f, key, strlen(key));

    view.tls = v2_tls_ctx_create((v2_image_t *) (void *) f.data, &node, why,
                                 sizeof(why));
    if (view.tls == NULL) {
        abort();
    }

    v2_flat_done(&f);
    free(cert);
    free(key);
}


/* One segment into the wire chain. */

static void
put(v2_chain_t *wire, const uint8_t *data, size_t n)
{
    v2_buf_t  *b;

    b = v2_buf_mem(n);
    memcpy(b->data + V2_BUF_HEAD, data, n);

    if (v2_chain_add(wire, b, V2_BUF_HEAD, (uint32_t) n, 0) == NULL) {
        abort();
    }
}


static void
fuzz_tls(const uint8_t *data, size_t size, size_t seg)
{
    size_t       n;
    v2_int_t     rc;
    v2_chain_t   app;
    v2_layer_t   ly;

    memset(&ly, 0, sizeof(ly));
    ly.codec = &v2_tls_codec;
    ly.state = calloc(1, v2_tls_codec.state_size);

    for (rc = V2_AGAIN; size != 0 && rc == V2_AGAIN; size -= n, data += n) {
        n = v2_min(size, seg);
        put(&ly.wire, data, n);

        do {
            v2_chain_init(&app);
            rc = v2_tls_codec.in(&ly, &ly.wire, &app);
            v2_chain_free(&app);
        } while (rc == V2_OK);
    }

    v2_tls_codec.close(&ly);
    v2_chain_free(&ly.wire);
    free(ly.state);
}


static void
fuzz_layer(v2_tls13_t *t, const uint8_t *data, size_t size, size_t seg)
{
    size_t        n, got, came;
    v2_int_t      rc;
    const char   *why;
    v2_chain_t    wire, app, reply;

    v2_chain_init(&wire);
    v2_chain_init(&app);
    v2_chain_init(&reply);
    came = size;
    why = NULL;

    for (rc = V2_AGAIN; size != 0 && rc == V2_AGAIN; size -= n, data += n) {
        n = v2_min(size, seg);
        put(&wire, data, n);

        do {
            why = NULL;
            rc = v2_tls13_in(t, &wire, &app, &reply, &why);
        } while (rc == V2_OK);
    }

    got = app.bytes;

    if (got > came || (rc == V2_ERROR) != (why != NULL)) {
        abort();
    }

    v2_chain_free(&wire);
    v2_chain_free(&app);
    v2_chain_free(&reply);
}


/* Seals the records of the input under the client's keys. Returns the bytes
 * written to out, which is large enough: every record costs two bytes of the
 * input and gains 21. */

static size_t
seal(unsigned suite, const uint8_t *secret, const uint8_t *data, size_t size,
    uint8_t *out)
{
    size_t      n, at;
    uint8_t     key[32], nonce[12];
    unsigned    kind, hash;
    uint64_t    seq;
    v2_aead_t   a;

    memset(&a, 0, sizeof(a));

    if (v2_tls13_suite(suite, &kind, &hash) != V2_OK
        || v2_tls13_expand(hash, secret, "key", key, v2_aead_key_len(kind))
           != V2_OK)
    {
        abort();
    }

    v2_aead_init(&a, kind, 1, key);

    for (at = 0, seq = 0; size >= 2; size -= n, data += n, seq++) {
        n = (size_t) data[0] << 8 | data[1];
        data += 2;
        size -= 2;
        n = v2_min(v2_min(n, size), 65000u);

        (void) v2_tls13_expand(hash, secret, "iv", nonce, sizeof(nonce));
        nonce[11] ^= (uint8_t) seq;
        nonce[10] ^= (uint8_t) (seq >> 8);

        out[at] = 23;
        out[at + 1] = out[at + 2] = 3;
        out[at + 3] = (uint8_t) ((n + V2_AEAD_TAG) >> 8);
        out[at + 4] = (uint8_t) (n + V2_AEAD_TAG);

        (void) v2_aead_start(&a, nonce, &out[at], 5);
        (void) v2_aead_run(&a, data, &out[at + 5], n);
        (void) v2_aead_finish(&a, &out[at + 5 + n]);
        at += 5 + n + V2_AEAD_TAG;
    }

    v2_aead_done(&a);

    return at;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t       seg;
    uint8_t     *out, secret[V2_HASH_MAX];
    unsigned     mode, suite;
    v2_tls13_t   t;

    if (view.tls == NULL) {
        setup();
    }

    if (size < 2) {
        return 0;
    }

    mode = data[0] & 3;
    seg = (data[0] >> 2) & 31;
    seg = seg == 0 ? SIZE_MAX : seg;
    suite = data[0] & 0x80 ? V2_TLS13_CHACHA : V2_TLS13_AES_128;
    data++;
    size--;

    if (mode == 0) {
        fuzz_tls(data, size, seg);
        return 0;
    }

    memset(&t, 0, sizeof(t));
    memset(secret, 0x42, sizeof(secret));

    if (v2_tls13_init(&t, suite, secret, secret, 0, 0) != V2_OK) {
        abort();
    }

    if (mode == 1) {
        fuzz_layer(&t, data, size, seg);

    } else {
        out = malloc(size * 12 + 64);
        size = seal(suite, secret, data, size, out);
        fuzz_layer(&t, out, size, seg);
        free(out);
    }

    v2_tls13_done(&t);

    if (v2_buf_mem_bytes() != 0) {
        abort();
    }

    return 0;
}
