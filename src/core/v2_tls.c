/* TLS as a layer: the connections. Runs in workers. What connections share is
 * in v2_tls_ctx.c.
 *
 *   not ready        libssl, made when the first whole record is there
 *   ready, TLS 1.2   libssl
 *   ready, TLS 1.3   v2_tls13; the SSL object is gone
 *
 * Invariants
 *  1. libssl never sees more than one whole record: `left` bytes of `wire` are
 *     its world. Thus a layer may leave the stack at any record boundary.
 *  2. What libssl writes goes to `sink`: to the output buffer when it is data,
 *     else to memory of its own.
 *  3. Tickets are off, so libssl has used no application key when it ends; what
 *     its last call wrote is counted all the same.
 *
 * Must not know: sockets, who the user is, what runs inside. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_tls.h"
#include "v2_cert.h"
#include "v2_log.h"
#include "v2_tls13.h"
#include "v2_tls_ctx.h"

#include <openssl/err.h>

#define V2_TLS_HEAD         5
#define V2_TLS_BODY_MAX     (16384 + 2048)      /* RFC 5246 section 6.2.3 */
#define V2_TLS_EXTRA        256         /* what libssl adds to one record */
#define V2_TLS_PULL         4096        /* shorter slices are put together */

#define V2_TLS_IN_SECRET    1
#define V2_TLS_OUT_SECRET   2


typedef struct {
    SSL            *ssl;
    v2_tls_ctx_t   *ctx;                /* while ssl lives */
    v2_layer_t     *layer;
    v2_chain_t     *wire;               /* during one call */
    v2_chain_t     *sink;
    uint32_t        left;               /* of the record in wire */
    uint8_t         secrets;            /* V2_TLS_..._SECRET seen */
    unsigned        bulk:1;             /* what is written is data */
    unsigned        in_end:1;           /* close_notify came */
    unsigned        failed:1;           /* libssl must not be called */
    v2_tls13_t      rl;
} v2_tls_t;


static v2_int_t v2_tls_in(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app);
static v2_int_t v2_tls_in13(v2_layer_t *ly, v2_chain_t *wire,
    v2_chain_t *app);
static void v2_tls_emit(v2_layer_t *ly, v2_chain_t *wire);
static v2_int_t v2_tls_record(v2_layer_t *ly, v2_chain_t *wire);
static v2_int_t v2_tls_start(v2_layer_t *ly);
static v2_int_t v2_tls_handshake(v2_layer_t *ly);
static void v2_tls_ready(v2_layer_t *ly);
static uint64_t v2_tls_count(v2_chain_t *sent);
static v2_int_t v2_tls_read(v2_layer_t *ly, v2_buf_t *b, v2_chain_t *app);
static v2_int_t v2_tls_failed(v2_layer_t *ly, const char *why);
static v2_int_t v2_tls_out(v2_layer_t *ly, v2_chain_t *app,
    v2_chain_t *wire);
static v2_int_t v2_tls_end(v2_layer_t *ly, v2_chain_t *wire);
static void v2_tls_close(v2_layer_t *ly);
static void v2_tls_leave(v2_tls_t *st);

static int v2_tls_bio_create(BIO *bio);
static int v2_tls_bio_read(BIO *bio, char *out, int len);
static int v2_tls_bio_write(BIO *bio, const char *data, int len);
static long v2_tls_bio_ctrl(BIO *bio, int cmd, long num, void *ptr);


static BIO_METHOD  *bio_method;


const v2_codec_t  v2_tls_codec = {
    .name       = "tls",
    .flags      = V2_CODEC_SECURE,
    .state_size = sizeof(v2_tls_t),
    .in         = v2_tls_in,
    .out        = v2_tls_out,
    .end        = v2_tls_end,
    .close      = v2_tls_close,
};


/* A line "LABEL client-random secret", the latter two in hex. */

void
v2_tls_on_secret(const SSL *ssl, const char *line)
{
    int          hi, lo;
    size_t       n;
    uint8_t     *out, bit;
    v2_tls_t    *st;

    static const char  client[] = "CLIENT_TRAFFIC_SECRET_0 ";
    static const char  server[] = "SERVER_TRAFFIC_SECRET_0 ";

    st = ((v2_layer_t *) SSL_get_app_data(ssl))->state;

    if (strncmp(line, client, sizeof(client) - 1) == 0) {
        out = st->rl.in.secret;
        bit = V2_TLS_IN_SECRET;

    } else if (strncmp(line, server, sizeof(server) - 1) == 0) {
        out = st->rl.out.secret;
        bit = V2_TLS_OUT_SECRET;

    } else {
        return;
    }

    line = strrchr(line, ' ') + 1;

    for (n = 0; n < V2_HASH_MAX && line[0] != '\0'; n++, line += 2) {
        hi = OPENSSL_hexchar2int((unsigned char) line[0]);
        lo = OPENSSL_hexchar2int((unsigned char) line[1]);
        if (hi < 0 || lo < 0) {
            return;
        }

        out[n] = (uint8_t) (hi << 4 | lo);
    }

    st->secrets |= bit;
}


static v2_int_t
v2_tls_in(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app)
{
    v2_buf_t    *b;
    v2_int_t     rc;
    v2_tls_t    *st;
    v2_chain_t   sent;

    st = ly->state;

    if (ly->ready && st->ssl == NULL) {
        return v2_tls_in13(ly, wire, app);
    }

    if (st->in_end) {
        (void) v2_chain_take(wire, wire->bytes);
        app->fin = 1;
        return V2_AGAIN;
    }

    rc = v2_tls_record(ly, wire);
    if (rc != V2_OK) {
        return rc;
    }

    b = NULL;

    if (ly->ready) {
        b = v2_layer_buf(ly, V2_TLS13_PLAIN);
        if (b == NULL) {
            return V2_YIELD;
        }
    }

    v2_chain_init(&sent);
    st->wire = wire;
    st->sink = &sent;

    rc = ly->ready ? v2_tls_read(ly, b, app) : v2_tls_handshake(ly);

    st->wire = NULL;
    st->sink = NULL;

    v2_tls_emit(ly, &sent);

    return rc;
}


static v2_int_t
v2_tls_in13(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app)
{
    v2_int_t      rc;
    v2_tls_t     *st;
    v2_chain_t    reply;
    const char   *why;

    st = ly->state;
    v2_chain_init(&reply);

    rc = v2_tls13_in(&st->rl, wire, app, &reply, &why);

    if (rc == V2_ERROR) {
        v2_layer_view(ly)->req.why = why;
    }

    v2_tls_emit(ly, &reply);

    return rc;
}


/* An answer of the layer itself. Nothing, once the other way goes on without
 * it: there it would stand between the bytes of somebody else. */

static void
v2_tls_emit(v2_layer_t *ly, v2_chain_t *wire)
{
    if (wire->head == NULL) {
        return;
    }

    if (ly->out_gone) {
        v2_chain_free(wire);
        return;
    }

    v2_layer_emit(ly, wire);
}


/* Sets `left` to what libssl may read: one whole record, or the head alone of
 * one that it must refuse, with the right alert for its state. */

static v2_int_t
v2_tls_record(v2_layer_t *ly, v2_chain_t *wire)
{
    uint8_t     head[V2_TLS_HEAD];
    uint32_t    len;
    v2_tls_t   *st;

    st = ly->state;

    if (st->failed) {
        return V2_ERROR;
    }

    if (v2_chain_peek(wire, head, sizeof(head)) < sizeof(head)) {
        return V2_AGAIN;
    }

    /* who does not speak TLS gets no answer in TLS, as from Go's server */

    if (st->ssl == NULL && (head[0] != SSL3_RT_HANDSHAKE || head[1] != 3)) {
        return v2_tls_failed(ly, "not a TLS handshake");
    }

    len = (uint32_t) head[3] << 8 | head[4];

    if (len > V2_TLS_BODY_MAX) {
        len = 0;

    } else if (wire->bytes < sizeof(head) + len) {
        return V2_AGAIN;
    }

    st->left = V2_TLS_HEAD + len;

    return V2_OK;
}


static v2_int_t
v2_tls_start(v2_layer_t *ly)
{
    BIO            *bio;
    v2_tls_t       *st;
    v2_tls_ctx_t   *ctx;

    st = ly->state;
    ctx = (v2_tls_ctx_t *) (uintptr_t) v2_layer_view(ly)->tls;

    if (bio_method == NULL) {
        bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
                                  "v2sp record");
        if (bio_method == NULL
            || BIO_meth_set_create(bio_method, v2_tls_bio_create) != 1
            || BIO_meth_set_read(bio_method, v2_tls_bio_read) != 1
            || BIO_meth_set_write(bio_method, v2_tls_bio_write) != 1
            || BIO_meth_set_ctrl(bio_method, v2_tls_bio_ctrl) != 1)
        {
            BIO_meth_free(bio_method);
            bio_method = NULL;
            return V2_ERROR;
        }
    }

    bio = BIO_new(bio_method);
    st->ssl = SSL_new(ctx->ssl);

    if (bio == NULL || st->ssl == NULL || SSL_set_app_data(st->ssl, ly) != 1)
    {
        BIO_free(bio);
        SSL_free(st->ssl);
        st->ssl = NULL;
        return V2_ERROR;
    }

    BIO_set_data(bio, st);
    SSL_set_bio(st->ssl, bio, bio);
    SSL_set_accept_state(st->ssl);

    ctx->refs++;
    st->ctx = ctx;
    st->layer = ly;

    return V2_OK;
}


static v2_int_t
v2_tls_handshake(v2_layer_t *ly)
{
    int         n;
    v2_tls_t   *st;

    st = ly->state;
    ERR_clear_error();

    if (st->ssl == NULL && v2_tls_start(ly) != V2_OK) {
        v2_log(V2_LOG_ERR, v2_layer_view(ly)->log, 0,
               "TLS connection cannot be made: %s",
               v2_cert_reason("out of memory"));
        return v2_tls_failed(ly, "out of memory");
    }

    n = SSL_do_handshake(st->ssl);

    if (n == 1) {
        v2_tls_ready(ly);
        return V2_OK;
    }

    if (SSL_get_error(st->ssl, n) != SSL_ERROR_WANT_READ || st->left != 0) {
        return v2_tls_failed(ly, NULL);
    }

    return V2_OK;
}


/* The handshake is over: TLS 1.3 leaves libssl. */

static void
v2_tls_ready(v2_layer_t *ly)
{
    unsigned               len;
    uint16_t               suite;
    v2_tls_t              *st;
    v2_req_t              *req;
    const unsigned char   *alpn;

    st = ly->state;
    req = &v2_layer_view(ly)->req;
    ly->ready = 1;

    SSL_get0_alpn_selected(st->ssl, &alpn, &len);
    len = v2_min(len, (unsigned) sizeof(req->alpn) - 1);

    if (len != 0) {
        memcpy(req->alpn, alpn, len);
    }

    req->alpn[len] = '\0';
    req->tls_version = (uint16_t) SSL_version(st->ssl);

    if (SSL_version(st->ssl) != TLS1_3_VERSION
        || st->secrets != (V2_TLS_IN_SECRET | V2_TLS_OUT_SECRET))
    {
        return;
    }

    v2_assert(st->left == 0);

    suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(st->ssl));

    if (v2_tls13_init(&st->rl, suite, st->rl.in.secret, st->rl.out.secret, 0,
                      v2_tls_count(st->sink)) == V2_OK)
    {
        v2_tls_leave(st);
    }
}


/* Protected records in what the last call of the handshake wrote: the server's
 * flight went with an earlier call, so these used the application keys. */

static uint64_t
v2_tls_count(v2_chain_t *sent)
{
    size_t      len;
    uint8_t     head[V2_TLS_HEAD];
    uint64_t    n;
    v2_chain_t  seen;

    n = 0;
    v2_chain_init(&seen);

    while (v2_chain_peek(sent, head, sizeof(head)) == sizeof(head)) {
        len = sizeof(head) + ((size_t) head[3] << 8 | head[4]);

        if (v2_chain_move_n(&seen, sent, v2_min(len, sent->bytes)) != V2_OK) {
            break;
        }

        n += head[0] == SSL3_RT_APPLICATION_DATA;
    }

    v2_chain_move(&seen, sent);
    v2_chain_move(sent, &seen);

    return n;
}


/* Reads one record through libssl into b, whose reference is taken over. */

static v2_int_t
v2_tls_read(v2_layer_t *ly, v2_buf_t *b, v2_chain_t *app)
{
    int         n, error;
    v2_tls_t   *st;

    st = ly->state;
    ERR_clear_error();

    n = SSL_read(st->ssl, b->data + V2_BUF_HEAD, V2_TLS13_PLAIN);

    if (n > 0) {
        if (v2_chain_add(app, b, V2_BUF_HEAD, (uint32_t) n, 0) != NULL) {
            return V2_OK;
        }

        v2_buf_put(b);
        return v2_tls_failed(ly, "out of memory");
    }

    v2_buf_put(b);
    error = SSL_get_error(st->ssl, n);

    if (error == SSL_ERROR_ZERO_RETURN) {
        st->in_end = 1;
        app->fin = 1;
        return V2_OK;
    }

    if (error != SSL_ERROR_WANT_READ || st->left != 0) {
        return v2_tls_failed(ly, NULL);
    }

    return V2_OK;
}


/* why NULL: what a callback has said during the handshake, or what libssl
 * says. */

static v2_int_t
v2_tls_failed(v2_layer_t *ly, const char *why)
{
    v2_tls_t   *st;
    v2_req_t   *req;

    st = ly->state;
    st->failed = 1;
    req = &v2_layer_view(ly)->req;

    if (why != NULL) {
        req->why = why;

    } else if (ly->ready || req->why == NULL) {
        req->why = v2_cert_reason("TLS failed");
    }

    ERR_clear_error();

    return V2_ERROR;
}


static v2_int_t
v2_tls_out(v2_layer_t *ly, v2_chain_t *app, v2_chain_t *wire)
{
    int         n;
    size_t      len;
    uint8_t    *p;
    v2_tls_t   *st;

    st = ly->state;

    if (!ly->ready || app->bytes == 0) {
        return V2_AGAIN;
    }

    if (st->ssl == NULL) {
        return v2_tls13_out(&st->rl, ly, app, wire);
    }

    if (st->failed) {
        return V2_ERROR;
    }

    len = v2_tls13_unit(app, V2_TLS13_PLAIN);

    if (app->head->len >= V2_TLS_PULL) {
        len = v2_min(len, app->head->len);
    }

    /* with room for the whole record, SSL_write never stops in between */

    if (v2_tls13_room(ly, len + V2_TLS_EXTRA, app->bytes) == NULL) {
        return V2_YIELD;
    }

    p = v2_chain_pull(app, len);
    if (p == NULL) {
        return V2_YIELD;
    }

    st->sink = wire;
    st->bulk = 1;
    ERR_clear_error();

    n = SSL_write(st->ssl, p, (int) len);

    st->sink = NULL;
    st->bulk = 0;

    if (n <= 0) {
        return v2_tls_failed(ly, NULL);
    }

    (void) v2_chain_take(app, (size_t) n);

    return V2_OK;
}


static v2_int_t
v2_tls_end(v2_layer_t *ly, v2_chain_t *wire)
{
    v2_tls_t  *st;

    st = ly->state;

    if (!ly->ready || st->failed) {
        return V2_OK;
    }

    if (st->ssl == NULL) {
        return v2_tls13_end(&st->rl, wire);
    }

    st->sink = wire;
    ERR_clear_error();

    (void) SSL_shutdown(st->ssl);

    ERR_clear_error();
    st->sink = NULL;

    return V2_OK;
}


static void
v2_tls_close(v2_layer_t *ly)
{
    v2_tls_t  *st;

    st = ly->state;

    v2_tls_leave(st);
    v2_tls13_done(&st->rl);
}


static void
v2_tls_leave(v2_tls_t *st)
{
    SSL_free(st->ssl);
    st->ssl = NULL;

    v2_tls_ctx_destroy(st->ctx);
    st->ctx = NULL;
}


static int
v2_tls_bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);

    return 1;
}


static int
v2_tls_bio_read(BIO *bio, char *out, int len)
{
    size_t      n;
    v2_tls_t   *st;

    st = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);

    n = v2_min((size_t) len, st->left);

    v2_assert(st->wire == NULL || n <= st->wire->bytes);

    if (n == 0 || st->wire == NULL) {
        BIO_set_retry_read(bio);
        return -1;
    }

    n = v2_chain_peek(st->wire, out, n);
    (void) v2_chain_take(st->wire, n);
    st->left -= (uint32_t) n;

    return (int) n;
}


static int
v2_tls_bio_write(BIO *bio, const char *data, int len)
{
    uint8_t    *p;
    v2_tls_t   *st;

    st = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);

    if (st->sink == NULL) {
        return -1;
    }

    if (st->bulk) {
        p = v2_tls13_room(st->layer, (size_t) len, (size_t) len);

        if (p != NULL) {
            memcpy(p, data, (size_t) len);

            return v2_tls13_give(st->sink, (size_t) len) == V2_OK ? len : -1;
        }
    }

    return v2_chain_copy(st->sink, data, (size_t) len) == V2_OK ? len : -1;
}


static long
v2_tls_bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void) bio;
    (void) num;
    (void) ptr;

    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}
