/* Contexts of TLS servers: certificate, names, ALPN, suites. Runs in workers
 * (contexts) and in the builder (v2_tls_check_pair, v2_tls_self_signed).
 *
 * Invariants
 *  1. Contexts of equal content are one: what they were made from is hashed.
 *  2. A context lives while an image or a connection points to it, so that a
 *     new certificate touches no open connection.
 *  3. No tickets and no session cache: nothing of a connection outlives it. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_tls_ctx.h"
#include "v2_cert.h"

#include <openssl/err.h>

#define V2_TLS_OPTIONS                                                       \
    (SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION      \
     | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA)

#define V2_TLS_MODES                                                         \
    (SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE                \
     | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN)

/* the suites of Go's server, strongest forms first */
#define V2_TLS_CIPHERS                                                       \
    "ECDHE+AESGCM:ECDHE+CHACHA20:"                                           \
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"                           \
    "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"

#define V2_TLS_SUITES                                                        \
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"                         \
    "TLS_CHACHA20_POLY1305_SHA256"


static v2_int_t v2_tls_ctx_setup(v2_tls_ctx_t *ctx, const v2_image_t *im,
    const v2_inode_t *node, char *why, size_t size);
static v2_int_t v2_tls_use(SSL_CTX *ssl, const v2_cert_t *c, char *why,
    size_t size);
static v2_int_t v2_tls_why(char *why, size_t size, const char *what);
static v2_int_t v2_tls_digest(const v2_image_t *im, const v2_inode_t *node,
    uint8_t *digest);
static int v2_tls_on_name(SSL *ssl, int *alert, void *data);
static int v2_tls_on_alpn(SSL *ssl, const unsigned char **out,
    unsigned char *out_len, const unsigned char *in, unsigned in_len,
    void *data);
static const uint8_t *v2_tls_alpn_find(const uint8_t *list, unsigned len,
    const uint8_t *name);


static v2_tls_ctx_t  *contexts;

static const uint8_t  alpn_default[] = "\x02h2\x08http/1.1";


v2_tls_ctx_t *
v2_tls_ctx_create(const v2_image_t *im, const v2_inode_t *node, char *why,
    size_t size)
{
    uint8_t        digest[32];
    v2_tls_ctx_t  *ctx;

    if (v2_tls_digest(im, node, digest) != V2_OK) {
        (void) v2_tls_why(why, size, "certificate cannot be hashed");
        return NULL;
    }

    for (ctx = contexts; ctx != NULL; ctx = ctx->next) {
        if (memcmp(ctx->digest, digest, sizeof(digest)) == 0) {
            ctx->refs++;
            return ctx;
        }
    }

    ctx = calloc(1, sizeof(v2_tls_ctx_t));
    if (ctx == NULL) {
        (void) snprintf(why, size, "out of memory");
        return NULL;
    }

    ctx->refs = 1;
    ctx->next = contexts;
    contexts = ctx;
    memcpy(ctx->digest, digest, sizeof(digest));

    if (v2_tls_ctx_setup(ctx, im, node, why, size) != V2_OK) {
        v2_tls_ctx_destroy(ctx);
        return NULL;
    }

    return ctx;
}


void
v2_tls_ctx_destroy(v2_tls_ctx_t *ctx)
{
    v2_tls_ctx_t  **p;

    if (ctx == NULL) {
        return;
    }

    v2_assert(ctx->refs != 0);

    if (--ctx->refs != 0) {
        return;
    }

    for (p = &contexts; *p != NULL; p = &(*p)->next) {
        if (*p == ctx) {
            *p = ctx->next;
            break;
        }
    }

    SSL_CTX_free(ctx->ssl);
    free(ctx->names);
    free(ctx->alpn);
    free(ctx);
}


v2_int_t
v2_tls_check_pair(const void *cert, size_t cert_len, const void *key,
    size_t key_len, char *why, size_t size)
{
    SSL_CTX    *ssl;
    v2_int_t    rc;
    v2_cert_t   c;

    if (v2_cert_read(&c, cert, cert_len, key, key_len, why, size) != V2_OK) {
        return V2_ERROR;
    }

    ssl = SSL_CTX_new(TLS_server_method());
    rc = ssl != NULL ? v2_tls_use(ssl, &c, why, size)
                     : v2_tls_why(why, size, "TLS context cannot be made");

    SSL_CTX_free(ssl);
    v2_cert_done(&c);

    return rc;
}


v2_int_t
v2_tls_self_signed(const char *name, char **cert, char **key)
{
    return v2_cert_self_signed(name, cert, key);
}


static v2_int_t
v2_tls_ctx_setup(v2_tls_ctx_t *ctx, const v2_image_t *im,
    const v2_inode_t *node, char *why, size_t size)
{
    size_t      len;
    SSL_CTX    *ssl;
    v2_int_t    rc;
    v2_cert_t   c;

    len = node->alpn.len != 0 ? node->alpn.len : sizeof(alpn_default) - 1;
    ctx->alpn_len = (unsigned) len;
    ctx->reject = node->reject_unknown_sni != 0;
    ctx->alpn = malloc(len);
    ctx->ssl = ssl = SSL_CTX_new(TLS_server_method());

    if (ctx->alpn == NULL || ssl == NULL) {
        return v2_tls_why(why, size, "TLS context cannot be made");
    }

    memcpy(ctx->alpn, node->alpn.len != 0 ? v2_image_at(im, node->alpn)
                                          : alpn_default, len);

    (void) SSL_CTX_set_options(ssl, V2_TLS_OPTIONS);
    (void) SSL_CTX_set_mode(ssl, V2_TLS_MODES);
    (void) SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_alpn_select_cb(ssl, v2_tls_on_alpn, ctx);
    SSL_CTX_set_keylog_callback(ssl, v2_tls_on_secret);
    (void) SSL_CTX_set_tlsext_servername_callback(ssl, v2_tls_on_name);
    (void) SSL_CTX_set_tlsext_servername_arg(ssl, ctx);

    if (SSL_CTX_set_num_tickets(ssl, 0) != 1
        || SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1
        || SSL_CTX_set_max_proto_version(ssl, 0) != 1
        || SSL_CTX_set_cipher_list(ssl, V2_TLS_CIPHERS) != 1
        || SSL_CTX_set_ciphersuites(ssl, V2_TLS_SUITES) != 1)
    {
        return v2_tls_why(why, size, "TLS context cannot be set up");
    }

    if (v2_cert_read(&c, v2_image_at(im, node->cert_pem), node->cert_pem.len,
                     v2_image_at(im, node->key_pem), node->key_pem.len, why,
                     size) != V2_OK)
    {
        return V2_ERROR;
    }

    rc = v2_tls_use(ssl, &c, why, size);

    ctx->names = c.names;
    ctx->names_len = c.names_len;
    c.names = NULL;
    v2_cert_done(&c);

    return rc;
}


/* What libssl refuses that libcrypto reads, a key too short for instance. */

static v2_int_t
v2_tls_use(SSL_CTX *ssl, const v2_cert_t *c, char *why, size_t size)
{
    ERR_clear_error();

    if (SSL_CTX_use_cert_and_key(ssl, c->leaf, c->key, c->chain, 1) != 1) {
        return v2_tls_why(why, size, "certificate cannot be used");
    }

    return V2_OK;
}


static v2_int_t
v2_tls_why(char *why, size_t size, const char *what)
{
    (void) snprintf(why, size, "%s (%s)", what, v2_cert_reason("no reason"));

    return V2_ERROR;
}


/* Of all that makes two contexts differ. */

static v2_int_t
v2_tls_digest(const v2_image_t *im, const v2_inode_t *node, uint8_t *digest)
{
    unsigned     i;
    v2_int_t     rc;
    uint32_t     head[4];
    EVP_MD_CTX  *md;
    v2_ref_t     parts[3];

    parts[0] = node->cert_pem;
    parts[1] = node->key_pem;
    parts[2] = node->alpn;

    md = EVP_MD_CTX_new();
    if (md == NULL) {
        return V2_ERROR;
    }

    head[0] = node->reject_unknown_sni != 0;

    for (i = 0; i < v2_nelems(parts); i++) {
        head[1 + i] = parts[i].len;
    }

    rc = EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1
         && EVP_DigestUpdate(md, head, sizeof(head)) == 1 ? V2_OK : V2_ERROR;

    for (i = 0; rc == V2_OK && i < v2_nelems(parts); i++) {
        if (EVP_DigestUpdate(md, v2_image_at(im, parts[i]), parts[i].len)
            != 1)
        {
            rc = V2_ERROR;
        }
    }

    if (rc == V2_OK && EVP_DigestFinal_ex(md, digest, NULL) != 1) {
        rc = V2_ERROR;
    }

    EVP_MD_CTX_free(md);

    return rc;
}


static int
v2_tls_on_name(SSL *ssl, int *alert, void *data)
{
    size_t          i;
    v2_req_t       *req;
    const char     *name;
    v2_layer_t     *ly;
    v2_tls_ctx_t   *ctx;

    ly = SSL_get_app_data(ssl);
    ctx = data;
    req = &v2_layer_view(ly)->req;

    name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL) {
        name = "";
    }

    for (i = 0; i < V2_NAME_MAX && name[i] != '\0'; i++) {
        req->sni[i] = (char) (name[i] >= 'A' && name[i] <= 'Z'
                              ? name[i] | 0x20 : name[i]);
    }

    req->sni[i] = '\0';

    if (ctx->reject
        && !v2_cert_covers(ctx->names, ctx->names_len, req->sni))
    {
        req->why = "TLS server name is not in the certificate";
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }

    return SSL_TLSEXT_ERR_OK;
}


/* The server's order wins. Without a common name the handshake fails, except
 * that an HTTP/1.1 client of an HTTP/2 server goes on without ALPN, as Go's
 * server lets it. */

static int
v2_tls_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned in_len, void *data)
{
    unsigned              i;
    v2_layer_t           *ly;
    const uint8_t        *p, *found;
    const v2_tls_ctx_t   *ctx;

    ctx = data;
    p = ctx->alpn;

    for (i = 0; i < ctx->alpn_len && p[i] < ctx->alpn_len - i;
         i += 1u + p[i])
    {
        found = v2_tls_alpn_find(in, in_len, &p[i]);

        if (found != NULL) {
            *out = found + 1;
            *out_len = found[0];
            return SSL_TLSEXT_ERR_OK;
        }
    }

    if (v2_tls_alpn_find(ctx->alpn, ctx->alpn_len, alpn_default) != NULL
        && v2_tls_alpn_find(in, in_len, alpn_default + 3) != NULL)
    {
        return SSL_TLSEXT_ERR_NOACK;
    }

    ly = SSL_get_app_data(ssl);
    v2_layer_view(ly)->req.why = "no common ALPN protocol";

    return SSL_TLSEXT_ERR_ALERT_FATAL;
}


/* `name` begins with its length. */

static const uint8_t *
v2_tls_alpn_find(const uint8_t *list, unsigned len, const uint8_t *name)
{
    unsigned  i;

    for (i = 0; i < len && list[i] < len - i; i += 1u + list[i]) {
        if (list[i] == name[0] && memcmp(&list[i + 1], name + 1, name[0]) == 0)
        {
            return &list[i];
        }
    }

    return NULL;
}
