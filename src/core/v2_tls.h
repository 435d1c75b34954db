/* TLS as a layer: the only file that knows libssl. A server over our own BIO:
 * one whole record at a time, no read-ahead, buffers released when idle. */

#ifndef V2_TLS_H
#define V2_TLS_H

#include "v2_codec.h"
#include "v2_image.h"

/* Makes the context of one node: certificate, ALPN (server order, alert 120 as
 * in transports.md 2.1), RejectUnknownSni (alert 112), TLS 1.2 and 1.3, no
 * tickets unless resumption is asked for. All nodes with equal content may
 * share one. NULL: one line in why. */
v2_tls_ctx_t  *v2_tls_ctx_create(const v2_image_t *im, const v2_inode_t *node,
    char *why, size_t size);
void           v2_tls_ctx_destroy(v2_tls_ctx_t *ctx);

/* Builder: does this pair parse and match? V2_ERROR: one line in why. */
v2_int_t       v2_tls_check_pair(const void *cert, size_t cert_len,
    const void *key, size_t key_len, char *why, size_t size);

/* Makes an ECDSA P-256 certificate for `name`, ten years, as PEM texts on the
 * heap (CertMode self). */
v2_int_t       v2_tls_self_signed(const char *name, char **cert, char **key);

extern const v2_codec_t v2_tls_codec;

#endif
