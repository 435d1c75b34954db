/* XTLS Vision, server side. Runs in workers, below it a TLS 1.3 layer.
 *
 *   block = [id 16] command 1, content length 2, padding length 2,
 *           content, padding        (the id before the first of each way)
 *
 *   in    START     the id, or bytes that are no block: passed on
 *         HEAD      command and lengths
 *         CONTENT   moved up
 *         PADDING   dropped; after it by command: 0 HEAD, 1 PLAIN, 2 direct
 *         PLAIN     moved up, and looked at while the filter wants to
 *   out   pieces of at most 8192 bytes, a block for each, until one says that
 *         it is the last: 1 the rest is plain, 2 the rest is direct
 *
 * Invariants
 *  1. The content of a block is moved, never copied; header and padding stand
 *     in its buffer where that has room and no other user.
 *  2. Each block is a record of the layer below (`end`): the stricter clients
 *     need whole headers, and nothing behind a direct block.
 *  3. Padding bills nothing, content what it had. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_crypt.h"
#include "v2_vision.h"

#define V2_VISION_HEAD      5
#define V2_VISION_UNIT      8192        /* a read of the reference server */
#define V2_VISION_ROOM      (V2_VISION_UNIT - V2_VISION_ID - V2_VISION_HEAD)
#define V2_VISION_LOOK      8           /* pieces that the filter sees */
#define V2_VISION_PATIENCE  32768       /* bytes, then a write may be cut */

/* protocols.md 2.3 */
#define V2_VISION_SHORT     900         /* contents below it are lengthened */
#define V2_VISION_LONG      500
#define V2_VISION_SMALL     256

#define V2_VISION_HELLO     79          /* shorter hellos have no cipher */

enum { V2_BLOCK_MORE, V2_BLOCK_END, V2_BLOCK_DIRECT };

enum {
    V2_VISION_START,
    V2_VISION_HEADER,
    V2_VISION_CONTENT,
    V2_VISION_PADDING,
    V2_VISION_PLAIN
};

static v2_int_t v2_vision_unpad(v2_vision_t *v, v2_chain_t *wire,
    v2_chain_t *app);
static v2_int_t v2_vision_start(v2_vision_t *v, v2_chain_t *wire);
static v2_int_t v2_vision_header(v2_vision_t *v, v2_chain_t *wire);
static v2_int_t v2_vision_content(v2_vision_t *v, v2_chain_t *wire,
    v2_chain_t *app);
static size_t v2_vision_piece(const v2_vision_t *v, const v2_chain_t *app,
    size_t *half);
static int v2_vision_records(const v2_vision_t *v, const v2_chain_t *app,
    size_t n);
static unsigned v2_vision_command(const v2_vision_t *v, int records,
    size_t n);
static size_t v2_vision_amount(size_t n, int longer);
static v2_int_t v2_vision_block(v2_chain_t *app, v2_chain_t *wire, size_t n,
    const uint8_t *head, size_t len, size_t pad);
static void v2_vision_write(v2_vision_t *v, const v2_chain_t *app);
static int v2_vision_whole(const v2_chain_t *c);
static size_t v2_vision_walk(v2_vision_rec_t *r, const v2_chain_t *c);
static const uint8_t *v2_vision_flat(const v2_chain_t *c, size_t n);
static void v2_vision_look(v2_vision_t *v, const v2_chain_t *c);
static void v2_vision_filter(v2_vision_t *v, const uint8_t *p, size_t n);
static void v2_vision_version(v2_vision_t *v, const uint8_t *p, size_t n);


static const uint8_t  data_start[3] = { 0x17, 3, 3 };
static uint8_t        unit[V2_VISION_UNIT];         /* what is looked at */


void
v2_vision_init(v2_vision_t *v, const uint8_t *id)
{
    memset(v, 0, sizeof(*v));
    memcpy(v->id, id, V2_VISION_ID);
    v->left = V2_VISION_LOOK;
    v->hello_left = -1;
}


v2_int_t
v2_vision_in(v2_vision_t *v, v2_chain_t *wire, v2_chain_t *app)
{
    v2_int_t  rc;

    rc = v2_vision_unpad(v, wire, app);

    if (app->head) {
        v2_vision_look(v, app);
    }

    if (rc == V2_AGAIN && v->state == V2_VISION_PLAIN && v->left == 0) {
        return V2_PASS;
    }

    return rc;
}


static v2_int_t
v2_vision_unpad(v2_vision_t *v, v2_chain_t *wire, v2_chain_t *app)
{
    v2_int_t  rc;

    rc = V2_OK;

    while (rc == V2_OK && wire->bytes) {

        switch (v->state) {

        case V2_VISION_START:
            rc = v2_vision_start(v, wire);

            if (rc == V2_DECLINED) {
                v2_chain_move(app, wire);
                rc = V2_AGAIN;
            }

            break;

        case V2_VISION_HEADER:
            rc = v2_vision_header(v, wire);

            if (rc == V2_OK) {              /* it may be of no more bytes */
                rc = v2_vision_content(v, wire, app);
            }

            break;

        case V2_VISION_CONTENT:
        case V2_VISION_PADDING:
            rc = v2_vision_content(v, wire, app);
            break;

        default:                            /* PLAIN */
            v2_chain_move(app, wire);
        }
    }

    if (rc == V2_DIRECT) {
        v2_chain_move(app, wire);
    }

    return rc == V2_OK ? V2_AGAIN : rc;
}


/* Is this a block, with the id before it? V2_DECLINED: no. */
static v2_int_t
v2_vision_start(v2_vision_t *v, v2_chain_t *wire)
{
    size_t   n;
    uint8_t  b[V2_VISION_ID + V2_VISION_HEAD];

    n = v2_chain_peek(wire, b, sizeof(b));

    if (memcmp(b, v->id, v2_min(n, (size_t) V2_VISION_ID)) != 0) {
        return V2_DECLINED;
    }

    if (n < sizeof(b)) {
        return wire->fin ? V2_DECLINED : V2_AGAIN;
    }

    (void) v2_chain_take(wire, V2_VISION_ID);
    v->state = V2_VISION_HEADER;

    return V2_OK;
}


static v2_int_t
v2_vision_header(v2_vision_t *v, v2_chain_t *wire)
{
    uint8_t  b[V2_VISION_HEAD];

    if (v2_chain_peek(wire, b, sizeof(b)) < sizeof(b)) {
        return V2_AGAIN;
    }

    if (b[0] > V2_BLOCK_DIRECT) {
        return V2_ERROR;
    }

    (void) v2_chain_take(wire, sizeof(b));

    v->command = b[0];
    v->content = (uint16_t) (b[1] << 8 | b[2]);
    v->padding = (uint16_t) (b[3] << 8 | b[4]);
    v->state = V2_VISION_CONTENT;

    return V2_OK;
}


/* Content, then padding; what follows them is known by the command. */
static v2_int_t
v2_vision_content(v2_vision_t *v, v2_chain_t *wire, v2_chain_t *app)
{
    size_t  n;

    n = v2_min((size_t) v->content, wire->bytes);

    if (n) {
        if (v2_chain_move_n(app, wire, n) != V2_OK) {
            return V2_YIELD;
        }

        v->content = (uint16_t) (v->content - n);
    }

    if (v->content) {
        return V2_AGAIN;
    }

    v->state = V2_VISION_PADDING;
    n = v2_min((size_t) v->padding, wire->bytes);

    if (n) {
        (void) v2_chain_take(wire, n);
        v->padding = (uint16_t) (v->padding - n);
    }

    if (v->padding) {
        return V2_AGAIN;
    }

    if (v->command == V2_BLOCK_MORE) {
        v->state = V2_VISION_HEADER;
        return V2_OK;
    }

    v->state = V2_VISION_PLAIN;

    return v->command == V2_BLOCK_DIRECT ? V2_DIRECT : V2_OK;
}


v2_int_t
v2_vision_out(v2_vision_t *v, v2_chain_t *app, v2_chain_t *wire,
    const uint8_t *front, size_t len)
{
    int       records;
    size_t    n, half, pad;
    uint8_t   head[V2_VISION_FRONT + V2_VISION_HEAD];
    unsigned  command;

    v2_assert(len <= V2_VISION_FRONT);

    if (app->bytes == 0) {
        return V2_AGAIN;
    }

    if (v->write == 0) {
        v2_vision_write(v, app);
    }

    n = v2_vision_piece(v, app, &half);
    records = v2_vision_records(v, app, n);
    pad = v2_vision_amount(n, records || v->longer);
    command = v2_vision_command(v, records, n);

    if (len) {
        memcpy(head, front, len);
    }

    head[len++] = (uint8_t) command;
    head[len++] = (uint8_t) (n >> 8);
    head[len++] = (uint8_t) n;
    head[len++] = (uint8_t) (pad >> 8);
    head[len++] = (uint8_t) pad;

    if (v2_vision_block(app, wire, n, head, len, pad) != V2_OK) {
        return V2_YIELD;
    }

    v->write -= n;
    v->half = (uint16_t) half;

    if (records) {
        v->closing = 1;
        v->longer = 0;
    }

    return command == V2_BLOCK_MORE ? V2_OK
           : command == V2_BLOCK_END ? V2_PASS : V2_DIRECT;
}


/* The next piece of a write. One that fills a unit is cut in two, so that its
 * parts have room for padding: where a record begins, or in the middle. */
static size_t
v2_vision_piece(const v2_vision_t *v, const v2_chain_t *app, size_t *half)
{
    size_t          i, n;
    const uint8_t  *p;

    *half = 0;

    if (v->half) {
        return v->half;
    }

    n = v2_min(v->write, (size_t) V2_VISION_UNIT);

    if (n < V2_VISION_ROOM) {
        return n;
    }

    p = v2_vision_flat(app, n);
    i = n - sizeof(data_start);

    while (i > 0 && memcmp(p + i, data_start, sizeof(data_start)) != 0) {
        i--;
    }

    if (i < V2_VISION_UNIT - V2_VISION_ROOM || i > V2_VISION_ROOM) {
        i = V2_VISION_UNIT / 2;
    }

    *half = n - i;

    return i;
}


/* Is this piece the start of a record, in a write of nothing but records? */
static int
v2_vision_records(const v2_vision_t *v, const v2_chain_t *app, size_t n)
{
    uint8_t  b[sizeof(data_start)];

    if (!v->is_tls || !v->whole || n < V2_VISION_HEAD + 1) {
        return 0;
    }

    (void) v2_chain_peek(app, b, sizeof(b));

    return memcmp(b, data_start, sizeof(b)) == 0;
}


static unsigned
v2_vision_command(const v2_vision_t *v, int records, size_t n)
{
    if (!records && !v->tls12up && v->left <= 1) {
        return V2_BLOCK_END;
    }

    if ((records || v->closing) && n == v->write) {
        return v->xtls ? V2_BLOCK_DIRECT : V2_BLOCK_END;
    }

    return V2_BLOCK_MORE;
}


static size_t
v2_vision_amount(size_t n, int longer)
{
    size_t    m;
    uint16_t  random;

    v2_random(&random, sizeof(random));

    if (longer && n < V2_VISION_SHORT) {
        m = random % V2_VISION_LONG + V2_VISION_SHORT - n;

    } else {
        m = random % V2_VISION_SMALL;
    }

    return v2_min(m, V2_VISION_ROOM - n);
}


/* The first n bytes of app, with `head` before and `pad` zeroes behind them:
 * in their buffer when nobody else has it and there is room. V2_ERROR: no
 * memory, nothing was taken. */
static v2_int_t
v2_vision_block(v2_chain_t *app, v2_chain_t *wire, size_t n,
    const uint8_t *head, size_t len, size_t pad)
{
    int          alone, before, behind;
    v2_chain_t   block, tail;
    v2_slice_t  *s;

    static const uint8_t  zeroes[V2_VISION_SHORT + V2_VISION_LONG];

    s = app->head;
    alone = s->buf->refs == 1 && s->len >= n;
    before = alone && s->off >= len;
    behind = alone && s->len == n
             && s->off + s->len + pad <= s->buf->size - V2_BUF_TAIL;

    v2_chain_init(&block);
    v2_chain_init(&tail);

    if ((!before && v2_chain_copy(&block, head, len) != V2_OK)
        || (!behind && v2_chain_copy(&tail, zeroes, pad) != V2_OK)
        || v2_chain_move_n(&block, app, n) != V2_OK)
    {
        v2_chain_free(&block);
        v2_chain_free(&tail);
        return V2_ERROR;
    }

    for (s = block.head; s != NULL; s = s->next) {
        s->end = 0;
        s->addr = NULL;
    }

    s = block.last;

    if (before) {
        s->off -= (uint32_t) len;
        s->len += (uint32_t) len;
        block.bytes += len;
        memcpy(v2_slice_data(s), head, len);
    }

    if (behind) {
        memset(v2_slice_data(s) + s->len, 0, pad);
        s->len += (uint32_t) pad;
        s->linear = 0;
        block.bytes += pad;
    }

    v2_chain_move(&block, &tail);
    block.last->end = 1;
    v2_chain_move(wire, &block);

    return V2_OK;
}


/* A write begins. The reference server goes on padding until one happens to be
 * made of whole records, which may never be so while the records of a large
 * download come in pieces. Here a write that is not is cut behind its last
 * record of data, once so much was sent that no handshake is left to hide. */
static void
v2_vision_write(v2_vision_t *v, const v2_chain_t *app)
{
    size_t  cut;

    v->write = app->bytes;
    v->whole = v2_vision_whole(app) ? 1 : 0;
    v2_vision_look(v, app);
    v->longer = v->is_tls;
    cut = v2_vision_walk(&v->rec, app);

    if (!v->whole && cut != 0 && v->tls12up && v->left == 0
        && v->sent >= V2_VISION_PATIENCE)
    {
        v->write = cut;
        v->closing = 1;
    }

    v->sent = v2_min(v->sent + v->write, (size_t) V2_VISION_PATIENCE);
}


/* Is it exactly a sequence of application data records (2.10)? */
static int
v2_vision_whole(const v2_chain_t *c)
{
    v2_vision_rec_t  r;

    memset(&r, 0, sizeof(r));

    return v2_vision_walk(&r, c) == c->bytes && !r.other;
}


/* Goes on over all of c. Returns how many of its bytes are in front of the
 * last end of a record of data. */
static size_t
v2_vision_walk(v2_vision_rec_t *r, const v2_chain_t *c)
{
    size_t             n, at, end;
    const uint8_t     *p;
    const v2_slice_t  *s;

    at = end = 0;

    for (s = c->head; s != NULL; s = s->next) {

        for (p = v2_slice_data(s); p < v2_slice_data(s) + s->len; p += n) {

            if (r->lost) {
                return end;
            }

            if (r->n < sizeof(r->head)) {
                r->head[r->n++] = *p;
                n = 1;
                at++;

                if (r->n == sizeof(r->head)) {
                    r->left = (uint16_t) (r->head[3] << 8 | r->head[4]);
                    r->other |= memcmp(r->head, data_start, 3) != 0;
                    r->lost = r->left == 0 || r->head[0] < 0x14
                              || r->head[0] > 0x18 || r->head[1] != 3;
                }

                continue;
            }

            n = v2_min((size_t) (v2_slice_data(s) + s->len - p), r->left);
            r->left = (uint16_t) (r->left - n);
            at += n;

            if (r->left == 0) {
                r->n = 0;
                end = r->head[0] == data_start[0] ? at : end;
            }
        }
    }

    return end;
}


/* The first n bytes in a row, at most a unit. The next call may write over
 * them. */
static const uint8_t *
v2_vision_flat(const v2_chain_t *c, size_t n)
{
    if (c->head->len >= n) {
        return v2_slice_data(c->head);
    }

    (void) v2_chain_peek(c, unit, n);

    return unit;
}


/* Shows what one read brought to the filter, in units. */
static void
v2_vision_look(v2_vision_t *v, const v2_chain_t *c)
{
    size_t             n, part, off;
    const v2_slice_t  *s;

    n = 0;

    for (s = c->head; s != NULL && v->left; s = s->next) {

        for (off = 0; off < s->len && v->left; off += part) {
            part = v2_min(s->len - off, sizeof(unit) - n);
            memcpy(unit + n, v2_slice_data(s) + off, part);
            n += part;

            if (n == sizeof(unit)) {
                v2_vision_filter(v, unit, n);
                n = 0;
            }
        }
    }

    if (n && v->left) {
        v2_vision_filter(v, unit, n);
    }
}


/* protocols.md 2.5 */
static void
v2_vision_filter(v2_vision_t *v, const uint8_t *p, size_t n)
{
    size_t  at;

    v->left--;

    if (n >= 6 && p[0] == 0x16 && p[1] == 3) {

        if (p[2] == 3 && p[5] == 2) {           /* ServerHello */
            v->hello_left = (p[3] << 8 | p[4]) + V2_VISION_HEAD;
            v->tls12up = v->is_tls = 1;

            if (n >= V2_VISION_HELLO && v->hello_left >= V2_VISION_HELLO) {
                at = 44 + (size_t) p[43];       /* behind the session id */

                if (at + 2 <= n) {
                    v->cipher = (uint16_t) (p[at] << 8 | p[at + 1]);
                }
            }

        } else if (p[5] == 1) {                 /* ClientHello */
            v->is_tls = 1;
        }
    }

    if (v->hello_left > 0) {
        v2_vision_version(v, p, n);
    }
}


/* Does this part of a server's hello say TLS 1.3? */
static void
v2_vision_version(v2_vision_t *v, const uint8_t *p, size_t n)
{
    static const uint8_t  tls13[6] = { 0, 0x2b, 0, 2, 3, 4 };

    if (memmem(p, v2_min((size_t) v->hello_left, n), tls13, sizeof(tls13))) {
        v->xtls = v->cipher >= 0x1301 && v->cipher <= 0x1304;
        v->left = 0;
        v->hello_left = 0;
        return;
    }

    v->hello_left -= (int32_t) n;

    if (v->hello_left <= 0) {
        v->left = 0;                            /* TLS 1.2 */
    }
}
