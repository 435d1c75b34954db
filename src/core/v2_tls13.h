/* The TLS 1.3 record layer of a server after its handshake (RFC 8446 sections
 * 4.6.3, 5 and 6): application records, KeyUpdate, alerts. Who did the
 * handshake is of no interest here. Knows slices and layers, no socket.
 *
 * Records are opened in place: the plaintext slices point into the wire
 * buffers. They are sealed from the app slices straight into the output
 * buffer of the process, which successive records share, of all connections,
 * so that a burst leaves in one send.
 *
 * States, each way:  open -> closed (close_notify), or failed (an alert, after
 * which no function may be called but v2_tls13_done). */

#ifndef V2_TLS13_H
#define V2_TLS13_H

#include "v2_codec.h"
#include "v2_crypt.h"

#define V2_TLS13_PLAIN      16384       /* payload of one record, at most */
#define V2_TLS13_EXTRA      22          /* header, inner type, tag */

/* cipher suites, as numbered on the wire */
#define V2_TLS13_AES_128    0x1301
#define V2_TLS13_AES_256    0x1302
#define V2_TLS13_CHACHA     0x1303

/* alerts, RFC 8446 section 6 */
enum {
    V2_ALERT_CLOSE_NOTIFY      = 0,
    V2_ALERT_UNEXPECTED        = 10,
    V2_ALERT_BAD_MAC           = 20,
    V2_ALERT_OVERFLOW          = 22,
    V2_ALERT_ILLEGAL           = 47,
    V2_ALERT_DECODE            = 50,
    V2_ALERT_VERSION           = 70,
    V2_ALERT_INTERNAL          = 80,
    V2_ALERT_USER_CANCELED     = 90,
    V2_ALERT_UNKNOWN_NAME      = 112,
    V2_ALERT_NO_ALPN           = 120
};

typedef struct {
    uint64_t     seq;
    v2_aead_t    aead;
    uint8_t      secret[V2_HASH_MAX];   /* for the next KeyUpdate */
    uint8_t      iv[V2_AEAD_NONCE];
} v2_tls13_way_t;

typedef struct {
    v2_tls13_way_t   in, out;
    uint8_t          kind, hash;        /* V2_AEAD_..., V2_HASH_... */
    uint8_t          dull_n;            /* records in a row without payload */
    uint8_t          part_n;            /* bytes of a split message */
    uint8_t          part[5];
    unsigned         in_end:1;          /* close_notify came */
    unsigned         out_end:1;         /* close_notify was made */
} v2_tls13_t;

/* What a suite needs. V2_ERROR: not one of the three. */
v2_int_t  v2_tls13_suite(unsigned suite, unsigned *kind, unsigned *hash);

/* Starts both ways from the application traffic secrets. The sequence numbers
 * are those of the next records: 0, or more when the handshake's owner has
 * used the keys already. t is zeroed memory that does not move. */
v2_int_t  v2_tls13_init(v2_tls13_t *t, unsigned suite,
    const uint8_t *in_secret, const uint8_t *out_secret, uint64_t in_seq,
    uint64_t out_seq);
void      v2_tls13_done(v2_tls13_t *t);

/* One record from wire. V2_OK: taken, its payload (if any) is in app, and
 * app->fin is set by close_notify; V2_AGAIN: not whole yet, nothing taken;
 * V2_ERROR: *why is static text. Whatever `reply` holds afterwards goes to the
 * wire at once: the answer to a KeyUpdate, or the alert. */
v2_int_t  v2_tls13_in(v2_tls13_t *t, v2_chain_t *wire, v2_chain_t *app,
    v2_chain_t *reply, const char **why);

/* One record of at most V2_TLS13_PLAIN bytes from app, added to wire. It is
 * closed behind a slice with `end`. V2_AGAIN: app is empty; V2_YIELD: no
 * buffer, nothing taken. */
v2_int_t  v2_tls13_out(v2_tls13_t *t, v2_layer_t *ly, v2_chain_t *app,
    v2_chain_t *wire);

/* How much of app the next record takes: at most `max` bytes. */
uint32_t  v2_tls13_unit(const v2_chain_t *app, uint32_t max);

/* close_notify, once. */
v2_int_t  v2_tls13_end(v2_tls13_t *t, v2_chain_t *wire);

/* Announces new sending keys and goes over to them. */
v2_int_t  v2_tls13_update(v2_tls13_t *t, v2_chain_t *wire);

/* HKDF-Expand-Label with an empty context (RFC 8446 section 7.1); len is at
 * most the hash's length. */
v2_int_t  v2_tls13_expand(unsigned hash, const uint8_t *secret,
    const char *label, uint8_t *out, size_t len);

/* The output buffer of the process. v2_tls13_room returns `need` writable
 * bytes (NULL: none free, V2_YIELD); `coming` tells how much may follow at
 * once, and so which size to take when a new one is due. v2_tls13_give adds
 * the first `len` of them to wire. */
uint8_t  *v2_tls13_room(v2_layer_t *ly, size_t need, size_t coming);
v2_int_t  v2_tls13_give(v2_chain_t *wire, size_t len);
/* Gives it back: an idle worker, or one that ends. */
void      v2_tls13_trim(void);

#endif
