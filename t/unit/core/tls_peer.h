/* A TLS server (the codec under test) and a client (libssl over memory BIOs)
 * in one program, joined by a wire that cuts the client's bytes into segments
 * of any size. Stands in for the link: what a layer leaves untaken is
 * spilled, and what it emits goes to the client in order. */

#ifndef TLS_PEER_H
#define TLS_PEER_H

#include <openssl/err.h>
#include <openssl/ssl.h>

#define PEER_KEEP  (1u << 21)       /* what a side may receive in one test */

typedef struct {
    v2_layer_t       layer;
    v2_link_view_t   view;
    v2_chain_t       sent;          /* emitted by the layer, in order */
    SSL_CTX         *ctx;           /* the client's */
    SSL             *ssl;
    BIO             *in, *out;      /* the client's wire */
    uint8_t         *got;           /* by the server */
    size_t           got_n;
    uint8_t         *back;          /* by the client */
    size_t           back_n;
    int              alert;         /* the last one the client saw, or -1 */
    int              rc;            /* of the last in() or out() */
    int              starve;        /* calls of v2_layer_buf that fail */
    unsigned         fin:1;         /* the server saw the end */
    unsigned         drop:1;        /* do not keep what is received */
} peer_t;

typedef struct {
    const char      *sni, *alpn;    /* NULL: none; alpn in wire form */
    int              version;       /* TLS1_2_VERSION ..., 0: any */
    const char      *suites;        /* NULL: any */
} peer_conf_t;

static v2_tls_ctx_t  *peer_tls;     /* the server's context */


TAP_USED static peer_t *
peer_of(v2_layer_t *ly)
{
    return v2_containerof(ly, peer_t, layer);
}


v2_link_view_t *
v2_layer_view(v2_layer_t *ly)
{
    return &peer_of(ly)->view;
}


void
v2_layer_emit(v2_layer_t *ly, v2_chain_t *wire)
{
    v2_chain_move(&peer_of(ly)->sent, wire);
}


v2_buf_t *
v2_layer_buf(v2_layer_t *ly, size_t size)
{
    unsigned   group;
    v2_buf_t  *b;

    if (peer_of(ly)->starve > 0) {
        peer_of(ly)->starve--;
        return NULL;
    }

    for (group = V2_BUF_HAND; group < V2_BUF_GROUPS; group++) {
        if (size <= v2_buf_size(group) && (b = v2_buf_get(group)) != NULL) {
            return b;
        }
    }

    return NULL;
}


TAP_USED static void
peer_setup(void)
{
    static const v2_buf_conf_t  conf[V2_BUF_GROUPS] = {
        { 2048, 64 }, { 16384 + 512, 256 }, { 262144, 16 }
    };

    v2_log_init(2, V2_LOG_WARN, -1);

    if (v2_buf_init(conf) != V2_OK) {
        printf("Bail out! no buffers\n");
        exit(1);
    }
}


/* A context from PEM texts as an image has them. */

TAP_USED static v2_tls_ctx_t *
peer_ctx(const char *cert, const char *key, const char *alpn, int reject,
    char *why, size_t size)
{
    v2_flat_t      f;
    v2_inode_t     node;
    v2_tls_ctx_t  *ctx;

    v2_flat_init(&f);
    (void) v2_flat_add(&f, NULL, sizeof(v2_image_t));

    memset(&node, 0, sizeof(node));
    node.cert_pem = v2_flat_add(&f, cert, strlen(cert));
    node.key_pem = v2_flat_add(&f, key, strlen(key));
    node.reject_unknown_sni = (uint8_t) reject;

    if (alpn != NULL) {
        node.alpn = v2_flat_add(&f, alpn, strlen(alpn));
    }

    ctx = v2_tls_ctx_create((v2_image_t *) (void *) f.data, &node, why, size);

    v2_flat_done(&f);

    return ctx;
}


TAP_USED static void
peer_on_info(const SSL *ssl, int where, int value)
{
    peer_t  *p;

    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
        p = SSL_get_app_data(ssl);
        p->alert = value & 0xff;
    }
}


TAP_USED static peer_t *
peer_new(const peer_conf_t *conf)
{
    peer_t  *p;

    p = calloc(1, sizeof(peer_t));
    p->got = malloc(PEER_KEEP);
    p->back = malloc(PEER_KEEP);
    p->alert = -1;
    p->view.tls = peer_tls;
    p->layer.codec = &v2_tls_codec;
    p->layer.state = calloc(1, v2_tls_codec.state_size);

    p->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(p->ctx, SSL_SESS_CACHE_OFF);

    if (conf->version != 0) {
        SSL_CTX_set_min_proto_version(p->ctx, conf->version);
        SSL_CTX_set_max_proto_version(p->ctx, conf->version);
    }

    if (conf->suites != NULL && conf->version == TLS1_2_VERSION) {
        SSL_CTX_set_cipher_list(p->ctx, conf->suites);

    } else if (conf->suites != NULL) {
        SSL_CTX_set_ciphersuites(p->ctx, conf->suites);
    }

    p->ssl = SSL_new(p->ctx);
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    SSL_set_bio(p->ssl, p->in, p->out);
    SSL_set_connect_state(p->ssl);
    SSL_set_app_data(p->ssl, p);
    SSL_set_info_callback(p->ssl, peer_on_info);

    if (conf->sni != NULL) {
        SSL_set_tlsext_host_name(p->ssl, (char *) (uintptr_t) conf->sni);
    }

    if (conf->alpn != NULL) {
        SSL_set_alpn_protos(p->ssl, (const uint8_t *) conf->alpn,
                            (unsigned) strlen(conf->alpn));
    }

    return p;
}


TAP_USED static void
peer_free(peer_t *p)
{
    v2_tls_codec.close(&p->layer);
    v2_chain_free(&p->layer.wire);
    v2_chain_free(&p->layer.app);
    v2_chain_free(&p->sent);
    free(p->layer.state);
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
    free(p->got);
    free(p->back);
    free(p);
}


/* What the server wrote reaches the client's wire. */

TAP_USED static void
peer_flush(peer_t *p)
{
    v2_slice_t  *s;

    for (s = p->sent.head; s != NULL; s = s->next) {
        BIO_write(p->in, v2_slice_data(s), (int) s->len);
    }

    (void) v2_chain_take(&p->sent, p->sent.bytes);
}


TAP_USED static void
peer_keep(peer_t *p, v2_chain_t *app)
{
    if (!p->drop) {
        p->got_n += v2_chain_peek(app, p->got + p->got_n,
                                  PEER_KEEP - p->got_n);
    }

    if (app->fin) {
        p->fin = 1;
    }

    v2_chain_free(app);
}


/* Runs the layer over what is in its wire chain. */

TAP_USED static int
peer_run(peer_t *p)
{
    v2_chain_t  app;

    do {
        v2_chain_init(&app);
        p->rc = v2_tls_codec.in(&p->layer, &p->layer.wire, &app);
        peer_keep(p, &app);
    } while (p->rc == V2_OK);

    if (p->layer.wire.head != NULL) {
        (void) v2_chain_spill(&p->layer.wire);
    }

    peer_flush(p);

    return p->rc;
}


/* Gives the server raw bytes, `seg` at a time. */

TAP_USED static int
peer_raw(peer_t *p, const void *data, size_t len, size_t seg)
{
    size_t     n;
    v2_buf_t  *b;

    for (p->rc = V2_AGAIN; len != 0 && p->rc == V2_AGAIN; len -= n) {
        n = v2_min(len, seg);
        b = v2_buf_get(n > v2_buf_size(V2_BUF_SMALL) ? V2_BUF_LARGE
                                                     : V2_BUF_SMALL);
        memcpy(b->data + V2_BUF_HEAD, data, n);
        (void) v2_chain_add(&p->layer.wire, b, V2_BUF_HEAD, (uint32_t) n, 0);
        data = (const uint8_t *) data + n;
        (void) peer_run(p);
    }

    return p->rc;
}


/* Takes what the client has written and gives it to the server. */

TAP_USED static int
peer_up(peer_t *p, size_t seg)
{
    long   len;
    char  *data, *copy;

    len = BIO_get_mem_data(p->out, &data);
    copy = malloc((size_t) len + 1);
    memcpy(copy, data, (size_t) len);
    (void) BIO_reset(p->out);

    (void) peer_raw(p, copy, (size_t) len, seg);
    free(copy);

    return p->rc;
}


/* The client reads what there is; the result of its last SSL_get_error. */

TAP_USED static int
peer_down(peer_t *p)
{
    int      n;
    uint8_t  scrap[16384];

    for ( ;; ) {
        ERR_clear_error();
        n = p->drop ? SSL_read(p->ssl, scrap, sizeof(scrap))
                    : SSL_read(p->ssl, p->back + p->back_n,
                               (int) v2_min(PEER_KEEP - p->back_n, 65536u));
        if (n <= 0) {
            return SSL_get_error(p->ssl, n);
        }

        p->back_n += p->drop ? 0 : (size_t) n;
    }
}


/* 1: both sides finished the handshake. */

TAP_USED static int
peer_handshake(peer_t *p, size_t seg)
{
    int  i, n;

    for (i = 0; i < 10; i++) {
        ERR_clear_error();
        n = SSL_do_handshake(p->ssl);

        if (BIO_pending(p->out) > 0 && peer_up(p, seg) == V2_ERROR) {
            (void) SSL_do_handshake(p->ssl);
            return 0;
        }

        if (n == 1 && p->layer.ready) {
            return 1;
        }
    }

    return 0;
}


/* The client sends, in writes of `piece` bytes that are one record each. */

TAP_USED static int
peer_send(peer_t *p, const uint8_t *data, size_t len, size_t piece,
    size_t seg)
{
    size_t  n;

    for ( ; len != 0; len -= n, data += n) {
        n = v2_min(len, piece);

        if (SSL_write(p->ssl, data, (int) n) != (int) n) {
            return V2_ERROR;
        }

        if (BIO_pending(p->out) > 200000 && peer_up(p, seg) != V2_AGAIN) {
            return p->rc;
        }
    }

    return BIO_pending(p->out) > 0 ? peer_up(p, seg) : p->rc;
}


/* The server sends, from slices of `piece` bytes that are all billed. Returns
 * the payload that was taken. */

TAP_USED static size_t
peer_answer(peer_t *p, const uint8_t *data, size_t len, size_t piece)
{
    size_t       n, taken;
    v2_buf_t    *b;
    v2_chain_t   wire;

    taken = 0;

    for ( ; len != 0; len -= n, data += n) {
        n = v2_min(len, piece);
        b = v2_buf_mem(n);
        memcpy(b->data + V2_BUF_HEAD, data, n);
        (void) v2_chain_add(&p->layer.app, b, V2_BUF_HEAD, (uint32_t) n,
                            (uint32_t) n);
    }

    while (p->layer.app.head != NULL) {
        v2_chain_init(&wire);
        p->rc = v2_tls_codec.out(&p->layer, &p->layer.app, &wire);
        taken += p->layer.app.taken;
        p->layer.app.taken = 0;
        v2_chain_move(&p->sent, &wire);

        if (p->rc != V2_OK) {
            break;
        }
    }

    peer_flush(p);

    return taken;
}


TAP_USED static void
peer_end(peer_t *p)
{
    v2_chain_t  wire;

    v2_chain_init(&wire);
    (void) v2_tls_codec.end(&p->layer, &wire);
    v2_chain_move(&p->sent, &wire);
    peer_flush(p);
}


TAP_USED static void
peer_fill(uint8_t *data, size_t len, uint32_t seed)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (uint8_t) (seed >> 24);
    }
}

#endif
