/* What the connections of one certificate set share. For v2_tls.c and
 * v2_tls_ctx.c, the only files that know libssl. */

#ifndef V2_TLS_CTX_H
#define V2_TLS_CTX_H

#include "v2_tls.h"

#include <openssl/ssl.h>

struct v2_tls_ctx_s {
    v2_tls_ctx_t   *next;               /* all of this process */
    unsigned        refs;               /* images and connections */
    uint8_t         digest[32];         /* of what it was made from */
    SSL_CTX        *ssl;                /* app data of its SSLs: the layer */
    char           *names;              /* see v2_cert_covers */
    size_t          names_len;
    uint8_t        *alpn;               /* wire form */
    unsigned        alpn_len;
    unsigned        reject:1;           /* names that are not in `names` */
};

/* The keylog callback, in v2_tls.c. */
void  v2_tls_on_secret(const SSL *ssl, const char *line);

#endif
