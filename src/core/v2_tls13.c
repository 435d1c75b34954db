/* The TLS 1.3 record layer after the handshake. Runs in workers, called by
 * the secure layers only (TLS, REALITY).
 *
 *   header 5: 23, 3, 3, length | payload, type, zeroes | tag 16
 *             (additional data)  (sealed; type is the last byte not zero)
 *
 * Invariants
 *  1. Nothing is taken from wire before its record is whole, and no payload is
 *     handed up before its tag was compared.
 *  2. `seq` is the number of the next record of that way under its key; both
 *     change in one place, v2_tls13_way_next and v2_tls13_way_set.
 *  3. A record that brings no payload is counted, and more than 32 of them in
 *     a row end the connection: they cost us work and the peer little.
 *  4. The output buffer holds one reference of its own. When that is the only
 *     one left, all it carried was sent, and it is exchanged for the buffer
 *     used last, which is warm.
 *
 * Must not know: sockets, links, users, libssl. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_tls13.h"

#define V2_TLS13_HEAD       5
#define V2_TLS13_INNER_MAX  (V2_TLS13_PLAIN + 1)
#define V2_TLS13_BODY_MAX   (V2_TLS13_PLAIN + 256)
#define V2_TLS13_DULL_MAX   32

/* AES-GCM: 2^24.5 full records under one key (RFC 8446 section 5.5) */
#define V2_TLS13_KEY_MAX    (UINT64_C(1) << 24)

#define V2_REC_ALERT        21
#define V2_REC_HANDSHAKE    22
#define V2_REC_DATA         23

#define V2_HS_KEY_UPDATE    24


typedef struct {
    uint16_t    suite;
    uint8_t     kind, hash;
} v2_tls13_suite_t;

/* One record being read. */
typedef struct {
    uint8_t     head[V2_TLS13_HEAD];
    uint32_t    len;                    /* of the body, tag included */
    uint32_t    content;                /* payload, once opened */
    uint8_t     type;                   /* inner type, once opened */
    uint8_t     alert;                  /* why it is refused, or 0 */
    const char *why;
} v2_tls13_rec_t;

static const v2_tls13_suite_t  suites[] = {
    { V2_TLS13_AES_128, V2_AEAD_AES_128_GCM, V2_HASH_SHA256 },
    { V2_TLS13_AES_256, V2_AEAD_AES_256_GCM, V2_HASH_SHA384 },
    { V2_TLS13_CHACHA,  V2_AEAD_CHACHA20,    V2_HASH_SHA256 },
};


static v2_int_t v2_tls13_head(v2_chain_t *wire, v2_tls13_rec_t *r);
static v2_int_t v2_tls13_open(v2_tls13_t *t, v2_chain_t *wire,
    v2_tls13_rec_t *r);
static v2_int_t v2_tls13_body(v2_aead_t *a, v2_chain_t *wire, uint32_t left,
    uint8_t *tag, uint8_t *last);
static void v2_tls13_inner(const v2_chain_t *wire, v2_tls13_rec_t *r,
    uint32_t left);
static v2_int_t v2_tls13_data(v2_tls13_t *t, v2_chain_t *wire,
    v2_chain_t *app, v2_tls13_rec_t *r);
static v2_int_t v2_tls13_small(v2_tls13_t *t, v2_chain_t *wire,
    v2_chain_t *app, v2_chain_t *reply, v2_tls13_rec_t *r);
static v2_int_t v2_tls13_alert(v2_tls13_t *t, const uint8_t *msg,
    v2_chain_t *app, v2_tls13_rec_t *r);
static v2_int_t v2_tls13_message(v2_tls13_t *t, const uint8_t *msg, size_t n,
    v2_chain_t *reply, v2_tls13_rec_t *r);
static v2_int_t v2_tls13_refuse(v2_tls13_rec_t *r, uint8_t alert,
    const char *why);
static void v2_tls13_send_alert(v2_tls13_t *t, v2_chain_t *wire,
    uint8_t alert);
static v2_int_t v2_tls13_seal(v2_tls13_t *t, uint8_t *out,
    const v2_chain_t *app, uint32_t n);
static v2_int_t v2_tls13_seal_note(v2_tls13_t *t, v2_chain_t *wire,
    uint8_t type, const uint8_t *msg, uint32_t n);
static v2_int_t v2_tls13_seal_start(v2_tls13_t *t, uint8_t *out, uint32_t n);
static v2_int_t v2_tls13_seal_finish(v2_tls13_t *t, uint8_t *out, uint32_t n,
    uint8_t type);
static v2_int_t v2_tls13_way_set(v2_tls13_t *t, v2_tls13_way_t *w,
    const uint8_t *secret);
static v2_int_t v2_tls13_way_update(v2_tls13_t *t, v2_tls13_way_t *w);
static v2_int_t v2_tls13_way_next(v2_tls13_way_t *w, const uint8_t *head);


static v2_buf_t  *room;         /* the output buffer of the process */
static uint32_t   room_used;


v2_int_t
v2_tls13_suite(unsigned suite, unsigned *kind, unsigned *hash)
{
    unsigned  i;

    for (i = 0; i < v2_nelems(suites); i++) {
        if (suites[i].suite == suite) {
            *kind = suites[i].kind;
            *hash = suites[i].hash;
            return V2_OK;
        }
    }

    return V2_ERROR;
}


v2_int_t
v2_tls13_init(v2_tls13_t *t, unsigned suite, const uint8_t *in_secret,
    const uint8_t *out_secret, uint64_t in_seq, uint64_t out_seq)
{
    unsigned  kind, hash;

    if (v2_tls13_suite(suite, &kind, &hash) != V2_OK) {
        return V2_ERROR;
    }

    t->kind = (uint8_t) kind;
    t->hash = (uint8_t) hash;

    if (v2_tls13_way_set(t, &t->in, in_secret) != V2_OK
        || v2_tls13_way_set(t, &t->out, out_secret) != V2_OK)
    {
        return V2_ERROR;
    }

    t->in.seq = in_seq;
    t->out.seq = out_seq;

    return V2_OK;
}


v2_int_t
v2_tls13_in(v2_tls13_t *t, v2_chain_t *wire, v2_chain_t *app,
    v2_chain_t *reply, const char **why)
{
    v2_int_t         rc;
    v2_tls13_rec_t   r;

    if (t->in_end) {
        /* whatever follows a close_notify is ignored, section 6.1 */
        (void) v2_chain_take(wire, wire->bytes);
        app->fin = 1;
        return V2_AGAIN;
    }

    r.alert = 0;

    rc = v2_tls13_head(wire, &r);

    if (rc == V2_OK) {
        rc = v2_tls13_open(t, wire, &r);
    }

    if (rc == V2_OK) {
        rc = r.type == V2_REC_DATA ? v2_tls13_data(t, wire, app, &r)
                                   : v2_tls13_small(t, wire, app, reply, &r);
    }

    if (rc == V2_ERROR) {
        *why = r.why;
        if (r.alert != 0) {
            v2_tls13_send_alert(t, reply, r.alert);
        }
    }

    return rc;
}


v2_int_t
v2_tls13_out(v2_tls13_t *t, v2_layer_t *ly, v2_chain_t *app, v2_chain_t *wire)
{
    uint8_t   *p;
    uint32_t   n;

    n = v2_tls13_unit(app, V2_TLS13_PLAIN);
    if (n == 0) {
        return V2_AGAIN;
    }

    if (t->out_end) {
        return V2_ERROR;
    }

    if (t->out.seq >= V2_TLS13_KEY_MAX && v2_tls13_update(t, wire) != V2_OK) {
        return V2_ERROR;
    }

    p = v2_tls13_room(ly, n + V2_TLS13_EXTRA, app->bytes);
    if (p == NULL) {
        return V2_YIELD;
    }

    if (v2_tls13_seal(t, p, app, n) != V2_OK
        || v2_tls13_give(wire, n + V2_TLS13_EXTRA) != V2_OK)
    {
        return V2_ERROR;
    }

    (void) v2_chain_take(app, n);

    return V2_OK;
}


uint32_t
v2_tls13_unit(const v2_chain_t *app, uint32_t max)
{
    uint32_t           n;
    const v2_slice_t  *s;

    n = 0;

    for (s = app->head; s != NULL && s->len < max - n; s = s->next) {
        n += s->len;

        if (s->end) {
            return n;
        }
    }

    return s != NULL ? max : n;
}


v2_int_t
v2_tls13_end(v2_tls13_t *t, v2_chain_t *wire)
{
    static const uint8_t  notify[2] = { 1, V2_ALERT_CLOSE_NOTIFY };

    if (t->out_end) {
        return V2_OK;
    }

    t->out_end = 1;

    return v2_tls13_seal_note(t, wire, V2_REC_ALERT, notify, 2);
}


v2_int_t
v2_tls13_update(v2_tls13_t *t, v2_chain_t *wire)
{
    static const uint8_t  update[5] = { V2_HS_KEY_UPDATE, 0, 0, 1, 0 };

    if (v2_tls13_seal_note(t, wire, V2_REC_HANDSHAKE, update, 5) != V2_OK) {
        return V2_ERROR;
    }

    return v2_tls13_way_update(t, &t->out);
}


void
v2_tls13_done(v2_tls13_t *t)
{
    v2_aead_done(&t->in.aead);
    v2_aead_done(&t->out.aead);
    v2_wipe(t, sizeof(v2_tls13_t));
}


v2_int_t
v2_tls13_expand(unsigned hash, const uint8_t *secret, const char *label,
    uint8_t *out, size_t len)
{
    size_t    n;
    uint8_t   info[64], block[V2_HASH_MAX];
    v2_int_t  rc;

    n = strlen(label);

    v2_assert(len <= v2_hash_len(hash) && n <= 32);

    info[0] = 0;
    info[1] = (uint8_t) len;
    info[2] = (uint8_t) (6 + n);
    memcpy(&info[3], "tls13 ", 6);
    memcpy(&info[9], label, n);
    info[9 + n] = 0;                    /* empty context */
    info[10 + n] = 1;                   /* the first block is enough */

    rc = v2_hmac(hash, secret, v2_hash_len(hash), info, 11 + n, block);
    if (rc == V2_OK) {
        memcpy(out, block, len);
    }

    v2_wipe(block, sizeof(block));

    return rc;
}


uint8_t *
v2_tls13_room(v2_layer_t *ly, size_t need, size_t coming)
{
    size_t  left;

    if (room != NULL) {
        left = room->size - V2_BUF_HEAD - V2_BUF_TAIL - room_used;

        if (room->refs == 1 || left < need) {
            v2_tls13_trim();
        }
    }

    if (room == NULL) {
        if (coming > V2_TLS13_PLAIN) {
            room = v2_layer_buf(ly, v2_buf_size(V2_BUF_LARGE));
        }

        if (room == NULL) {
            room = v2_layer_buf(ly, v2_buf_size(V2_BUF_SMALL));
        }

        if (room == NULL) {
            return NULL;
        }

        left = room->size - V2_BUF_HEAD - V2_BUF_TAIL;

        if (left < need) {
            v2_tls13_trim();
            return NULL;
        }
    }

    return room->data + V2_BUF_HEAD + room_used;
}


v2_int_t
v2_tls13_give(v2_chain_t *wire, size_t len)
{
    v2_assert(room != NULL);
    v2_assert(V2_BUF_HEAD + room_used + len <= room->size - V2_BUF_TAIL);

    room->refs++;

    if (v2_chain_add(wire, room, V2_BUF_HEAD + room_used, (uint32_t) len, 0)
        == NULL)
    {
        room->refs--;
        return V2_ERROR;
    }

    room_used += (uint32_t) len;

    return V2_OK;
}


void
v2_tls13_trim(void)
{
    if (room != NULL) {
        v2_buf_put(room);
        room = NULL;
    }

    room_used = 0;
}


/* Is a whole record there, and does it look like one? */

static v2_int_t
v2_tls13_head(v2_chain_t *wire, v2_tls13_rec_t *r)
{
    if (v2_chain_peek(wire, r->head, V2_TLS13_HEAD) < V2_TLS13_HEAD) {
        return V2_AGAIN;
    }

    r->len = (uint32_t) r->head[3] << 8 | r->head[4];

    if (r->head[0] != V2_REC_DATA) {
        return v2_tls13_refuse(r, V2_ALERT_UNEXPECTED,
                               "unprotected TLS record after the handshake");
    }

    if (r->head[1] != 3) {
        return v2_tls13_refuse(r, V2_ALERT_VERSION,
                               "TLS record of another version");
    }

    if (r->len > V2_TLS13_BODY_MAX) {
        return v2_tls13_refuse(r, V2_ALERT_OVERFLOW,
                               "TLS record longer than allowed");
    }

    if (r->len < V2_AEAD_TAG + 1) {
        return v2_tls13_refuse(r, V2_ALERT_BAD_MAC,
                               "TLS record too short to be one");
    }

    return wire->bytes < V2_TLS13_HEAD + r->len ? V2_AGAIN : V2_OK;
}


/* Decrypts in place and finds the inner type. Nothing is taken. */

static v2_int_t
v2_tls13_open(v2_tls13_t *t, v2_chain_t *wire, v2_tls13_rec_t *r)
{
    uint8_t    tag[V2_AEAD_TAG], last;
    uint32_t   inner;

    inner = r->len - V2_AEAD_TAG;
    last = 0;

    if (v2_tls13_way_next(&t->in, r->head) != V2_OK
        || v2_tls13_body(&t->in.aead, wire, inner, tag, &last) != V2_OK)
    {
        return v2_tls13_refuse(r, V2_ALERT_INTERNAL, "decryption failed");
    }

    if (v2_aead_finish(&t->in.aead, tag) != V2_OK) {
        return v2_tls13_refuse(r, V2_ALERT_BAD_MAC,
                               "TLS record with a wrong tag");
    }

    if (inner > V2_TLS13_INNER_MAX) {
        return v2_tls13_refuse(r, V2_ALERT_OVERFLOW,
                               "TLS record longer than allowed");
    }

    r->type = last;
    r->content = inner - 1;

    if (last == 0) {
        v2_tls13_inner(wire, r, inner);
    }

    if (r->type == 0) {
        return v2_tls13_refuse(r, V2_ALERT_UNEXPECTED,
                               "TLS record without a type");
    }

    return V2_OK;
}


/* Runs `left` bytes behind the header through the cipher where they lie, and
 * copies the tag that follows. `last` is the last byte of the plaintext. */

static v2_int_t
v2_tls13_body(v2_aead_t *a, v2_chain_t *wire, uint32_t left, uint8_t *tag,
    uint8_t *last)
{
    uint8_t     *p;
    uint32_t     skip, n, tag_n;
    v2_slice_t  *s;

    skip = V2_TLS13_HEAD;
    tag_n = 0;

    for (s = wire->head; tag_n < V2_AEAD_TAG; s = s->next) {
        if (s->len <= skip) {
            skip -= s->len;
            continue;
        }

        p = v2_slice_data(s) + skip;
        n = v2_min(s->len - skip, left);

        if (n != 0) {
            if (v2_aead_run(a, p, p, n) != V2_OK) {
                return V2_ERROR;
            }

            *last = p[n - 1];
        }

        p += n;
        left -= n;
        n = v2_min(s->len - skip - n, V2_AEAD_TAG - tag_n);
        skip = 0;

        if (left == 0 && n != 0) {
            memcpy(&tag[tag_n], p, n);
            tag_n += n;
        }
    }

    return V2_OK;
}


/* A padded record: the type is the last byte that is not zero. */

static void
v2_tls13_inner(const v2_chain_t *wire, v2_tls13_rec_t *r, uint32_t left)
{
    uint8_t     *p;
    uint32_t     skip, i, n, base;
    v2_slice_t  *s;

    skip = V2_TLS13_HEAD;
    base = 0;
    r->type = 0;

    for (s = wire->head; left != 0; s = s->next) {
        if (s->len <= skip) {
            skip -= s->len;
            continue;
        }

        p = v2_slice_data(s) + skip;
        n = v2_min(s->len - skip, left);
        skip = 0;

        for (i = n; i != 0; i--) {
            if (p[i - 1] != 0) {
                r->type = p[i - 1];
                r->content = base + i - 1;
                break;
            }
        }

        base += n;
        left -= n;
    }
}


static v2_int_t
v2_tls13_data(v2_tls13_t *t, v2_chain_t *wire, v2_chain_t *app,
    v2_tls13_rec_t *r)
{
    if (t->part_n != 0) {
        return v2_tls13_refuse(r, V2_ALERT_UNEXPECTED,
                               "data inside of a TLS message");
    }

    v2_assert(r->content < r->len && V2_TLS13_HEAD + r->len <= wire->bytes);

    (void) v2_chain_take(wire, V2_TLS13_HEAD);

    if (r->content != 0) {
        t->dull_n = 0;

        if (v2_chain_move_n(app, wire, r->content) != V2_OK) {
            return v2_tls13_refuse(r, V2_ALERT_INTERNAL, "out of memory");
        }

    } else if (++t->dull_n > V2_TLS13_DULL_MAX) {
        return v2_tls13_refuse(r, V2_ALERT_UNEXPECTED,
                               "too many TLS records without data");
    }

    (void) v2_chain_take(wire, r->len - r->content);

    return V2_OK;
}


/* An alert, or a piece of a handshake message. */

static v2_int_t
v2_tls13_small(v2_tls13_t *t, v2_chain_t *wire, v2_chain_t *app,
    v2_chain_t *reply, v2_tls13_rec_t *r)
{
    uint8_t  msg[8];
    size_t   n;

    if (++t->dull_n > V2_TLS13_DULL_MAX) {
        return v2_tls13_refuse(r, V2_ALERT_UNEXPECTED,
                               "too many TLS records without data");
    }

    /* no message that we know is longer than msg, and none is padded inside */
    (void) v2_chain_take(wire, V2_TLS13_HEAD);
    n = v2_chain_peek(wire, msg, v2_min((size_t) r->content, sizeof(msg)));
    (void) v2_chain_take(wire, r->len);

    if (r->type == V2_REC_ALERT && t->part_n == 0) {
        if (r->content != 2) {
            return v2_tls13_refuse(r, V2_ALERT_DECODE, "malformed TLS alert");
        }

        return v2_tls13_alert(t, msg, app, r);
    }

    if (r->type != V2_REC_HANDSHAKE || n == 0) {
        return v2_tls13_refuse(r, V2_ALERT_UNEXPECTED,
                               "unexpected type of TLS record");
    }

    return v2_tls13_message(t, msg, n, reply, r);
}


static v2_int_t
v2_tls13_alert(v2_tls13_t *t, const uint8_t *msg, v2_chain_t *app,
    v2_tls13_rec_t *r)
{
    switch (msg[1]) {

    case V2_ALERT_CLOSE_NOTIFY:
        t->in_end = 1;
        app->fin = 1;
        return V2_OK;

    case V2_ALERT_USER_CANCELED:
        return V2_OK;

    default:
        /* all others are fatal whatever their level says, and not answered */
        return v2_tls13_refuse(r, 0, "client sent a TLS alert");
    }
}


/* The only message a client may send now is KeyUpdate: no tickets and no
 * certificates are asked for. It must end where its record ends, since the
 * next one is under another key (section 5.1). */

static v2_int_t
v2_tls13_message(v2_tls13_t *t, const uint8_t *msg, size_t n,
    v2_chain_t *reply, v2_tls13_rec_t *r)
{
    size_t  fits;

    fits = v2_min(n, sizeof(t->part) - t->part_n);
    memcpy(&t->part[t->part_n], msg, fits);
    t->part_n = (uint8_t) (t->part_n + fits);

    if (t->part[0] != V2_HS_KEY_UPDATE) {
        return v2_tls13_refuse(r, V2_ALERT_UNEXPECTED,
                               "unexpected TLS message");
    }

    if (t->part_n >= 4 && (t->part[1] != 0 || t->part[2] != 0
                           || t->part[3] != 1))
    {
        return v2_tls13_refuse(r, V2_ALERT_DECODE,
                               "malformed TLS KeyUpdate");
    }

    if (fits < n) {
        return v2_tls13_refuse(r, V2_ALERT_UNEXPECTED,
                               "TLS message behind a KeyUpdate");
    }

    if (t->part_n < sizeof(t->part)) {
        return V2_OK;
    }

    t->part_n = 0;

    if (t->part[4] > 1) {
        return v2_tls13_refuse(r, V2_ALERT_ILLEGAL,
                               "malformed TLS KeyUpdate");
    }

    if (v2_tls13_way_update(t, &t->in) != V2_OK
        || (t->part[4] == 1 && !t->out_end
            && v2_tls13_update(t, reply) != V2_OK))
    {
        return v2_tls13_refuse(r, V2_ALERT_INTERNAL, "TLS KeyUpdate failed");
    }

    return V2_OK;
}


static v2_int_t
v2_tls13_refuse(v2_tls13_rec_t *r, uint8_t alert, const char *why)
{
    r->alert = alert;
    r->why = why;

    return V2_ERROR;
}


static void
v2_tls13_send_alert(v2_tls13_t *t, v2_chain_t *wire, uint8_t alert)
{
    uint8_t  msg[2];

    if (t->out_end) {
        return;
    }

    msg[0] = 2;
    msg[1] = alert;
    t->out_end = 1;

    /* the connection ends with or without it */
    (void) v2_tls13_seal_note(t, wire, V2_REC_ALERT, msg, 2);
}


/* Seals the first n bytes of app, which stay there, as a data record. */

static v2_int_t
v2_tls13_seal(v2_tls13_t *t, uint8_t *out, const v2_chain_t *app, uint32_t n)
{
    uint8_t     *p;
    uint32_t     left, size;
    v2_slice_t  *s;

    v2_assert(n != 0 && n <= V2_TLS13_PLAIN && n <= app->bytes);

    if (v2_tls13_seal_start(t, out, n) != V2_OK) {
        return V2_ERROR;
    }

    p = out + V2_TLS13_HEAD;

    for (s = app->head, left = n; left != 0; s = s->next) {
        size = v2_min(s->len, left);

        if (v2_aead_run(&t->out.aead, v2_slice_data(s), p, size) != V2_OK) {
            return V2_ERROR;
        }

        p += size;
        left -= size;
    }

    return v2_tls13_seal_finish(t, out, n, V2_REC_DATA);
}


/* Seals a short message of ours and adds it to wire. */

static v2_int_t
v2_tls13_seal_note(v2_tls13_t *t, v2_chain_t *wire, uint8_t type,
    const uint8_t *msg, uint32_t n)
{
    uint8_t  out[16 + V2_TLS13_EXTRA];

    v2_assert(n <= 16);

    if (v2_tls13_seal_start(t, out, n) != V2_OK
        || v2_aead_run(&t->out.aead, msg, out + V2_TLS13_HEAD, n) != V2_OK
        || v2_tls13_seal_finish(t, out, n, type) != V2_OK)
    {
        return V2_ERROR;
    }

    return v2_chain_copy(wire, out, n + V2_TLS13_EXTRA);
}


static v2_int_t
v2_tls13_seal_start(v2_tls13_t *t, uint8_t *out, uint32_t n)
{
    uint32_t  len;

    len = n + 1 + V2_AEAD_TAG;

    out[0] = V2_REC_DATA;
    out[1] = 3;
    out[2] = 3;
    out[3] = (uint8_t) (len >> 8);
    out[4] = (uint8_t) len;

    return v2_tls13_way_next(&t->out, out);
}


static v2_int_t
v2_tls13_seal_finish(v2_tls13_t *t, uint8_t *out, uint32_t n, uint8_t type)
{
    uint8_t  *p;

    p = out + V2_TLS13_HEAD + n;

    if (v2_aead_run(&t->out.aead, &type, p, 1) != V2_OK) {
        return V2_ERROR;
    }

    return v2_aead_finish(&t->out.aead, p + 1);
}


/* Key and iv of a secret; the sequence starts again. */

static v2_int_t
v2_tls13_way_set(v2_tls13_t *t, v2_tls13_way_t *w, const uint8_t *secret)
{
    uint8_t   key[32];
    v2_int_t  rc;

    memmove(w->secret, secret, v2_hash_len(t->hash));
    w->seq = 0;

    if (v2_tls13_expand(t->hash, w->secret, "key", key,
                        v2_aead_key_len(t->kind)) != V2_OK
        || v2_tls13_expand(t->hash, w->secret, "iv", w->iv, V2_AEAD_NONCE)
           != V2_OK)
    {
        rc = V2_ERROR;

    } else {
        v2_aead_init(&w->aead, t->kind, w == &t->out, key);
        rc = V2_OK;
    }

    v2_wipe(key, sizeof(key));

    return rc;
}


static v2_int_t
v2_tls13_way_update(v2_tls13_t *t, v2_tls13_way_t *w)
{
    uint8_t   next[V2_HASH_MAX];
    v2_int_t  rc;

    rc = v2_tls13_expand(t->hash, w->secret, "traffic upd", next,
                         v2_hash_len(t->hash));
    if (rc == V2_OK) {
        rc = v2_tls13_way_set(t, w, next);
    }

    v2_wipe(next, sizeof(next));

    return rc;
}


/* Starts the next record of a way: its nonce is iv xor seq. */

static v2_int_t
v2_tls13_way_next(v2_tls13_way_t *w, const uint8_t *head)
{
    unsigned  i;
    uint8_t   nonce[V2_AEAD_NONCE];

    v2_assert(w->seq != UINT64_MAX);

    memcpy(nonce, w->iv, sizeof(nonce));

    for (i = 0; i < 8; i++) {
        nonce[4 + i] ^= (uint8_t) (w->seq >> (56 - 8 * i));
    }

    w->seq++;

    return v2_aead_start(&w->aead, nonce, head, V2_TLS13_HEAD);
}
