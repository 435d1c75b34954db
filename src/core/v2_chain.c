/* Chains of slices of counted buffers (core, bytes part). What is billed
 * travels with the bytes, see v2_slice_s.
 *
 * Invariants
 *  1. c->bytes is the sum of the slices' len; c->last is NULL when c->head is.
 *  2. The sum of all bills and of what v2_chain_take() returned never changes
 *     by moving, splitting, joining, pulling or spilling.
 *  3. A linear bill is at most len. Two linear slices are joined only when
 *     the billed bytes are still the last ones: the first bills nothing, or
 *     the second bills all of its bytes.
 *  4. Joining what cannot stay linear makes a slice that counts when its last
 *     byte is taken: later than before, never twice and never early.
 *  5. A slice of no bytes is an empty datagram. It is passed over by a call
 *     for more bytes, and taken or moved alone by a call with n = 0.
 *  6. Slices come from a free list that grows by chunks and never shrinks. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_buf.h"

#define V2_SPILL_FIRST      512     /* memory for a second spill of crumbs */
#define V2_SPILL_MAX        16384


static v2_slice_t *v2_slice_get(void);
static void v2_slice_free(v2_slice_t *s);
static int v2_slice_joinable(const v2_slice_t *a, const v2_slice_t *b);
static void v2_slice_join_bill(v2_slice_t *a, const v2_slice_t *b);
static v2_slice_t *v2_slice_split(v2_slice_t *s, uint32_t n);
static uint32_t v2_slice_room(const v2_slice_t *s);
static void v2_slice_addr(v2_slice_t *s, v2_buf_t *b, const v2_addr_t *addr);

static void v2_chain_append(v2_chain_t *c, v2_slice_t *s);
static v2_slice_t *v2_chain_shift(v2_chain_t *c);
static void v2_chain_prepend(v2_chain_t *c, v2_chain_t *front);
static v2_int_t v2_chain_merge(v2_chain_t *c);
static int v2_chain_contiguous(const v2_chain_t *c);
static v2_buf_t *v2_chain_buf(size_t n);

static v2_slice_t *v2_spill_run(v2_slice_t *s, uint32_t *bytes);
static int v2_spill_fits(const v2_slice_t *prev, const v2_slice_t *s,
    uint32_t bytes);
static v2_buf_t *v2_spill_buf(const v2_slice_t *prev, const v2_slice_t *s,
    uint32_t bytes);
static v2_slice_t *v2_spill_into(v2_chain_t *c, v2_slice_t *prev,
    v2_slice_t *s, v2_slice_t *last, v2_buf_t *b);


static v2_slice_t  *v2_slice_list;


void
v2_chain_init(v2_chain_t *c)
{
    memset(c, 0, sizeof(v2_chain_t));
}


void
v2_chain_free(v2_chain_t *c)
{
    v2_slice_t  *s;

    while ((s = v2_chain_shift(c)) != NULL) {
        v2_slice_free(s);
    }

    v2_assert(c->bytes == 0 && c->last == NULL);
}


v2_slice_t *
v2_chain_add(v2_chain_t *c, v2_buf_t *b, uint32_t off, uint32_t len,
    uint32_t bill)
{
    v2_slice_t  s, *n;

    v2_assert(b->refs != 0 && bill <= len);
    v2_assert(off <= b->size && len <= b->size - off);

    memset(&s, 0, sizeof(v2_slice_t));
    s.buf = b;
    s.off = off;
    s.len = len;
    s.bill = bill;
    s.linear = 1;

    if (c->last != NULL && len != 0 && v2_slice_joinable(c->last, &s)
        && c->last->buf == b && c->last->off + c->last->len == off)
    {
        v2_slice_join_bill(c->last, &s);
        c->last->len += len;
        c->bytes += len;
        v2_buf_put(b);

        return c->last;
    }

    n = v2_slice_get();
    if (n == NULL) {
        return NULL;
    }

    *n = s;
    v2_chain_append(c, n);

    return n;
}


void
v2_chain_move(v2_chain_t *dst, v2_chain_t *src)
{
    v2_assert(dst != src);

    if (src->head != NULL) {
        if (dst->last != NULL) {
            dst->last->next = src->head;

        } else {
            dst->head = src->head;
        }

        dst->last = src->last;
        dst->bytes += src->bytes;
    }

    dst->taken += src->taken;
    dst->fin |= src->fin;

    v2_chain_init(src);
}


v2_int_t
v2_chain_move_n(v2_chain_t *dst, v2_chain_t *src, size_t n)
{
    size_t       rest;
    v2_slice_t  *s, *behind;

    v2_assert(dst != src && n <= src->bytes);

    if (n == 0 && src->head != NULL && src->head->len == 0) {
        v2_chain_append(dst, v2_chain_shift(src));
        return V2_OK;
    }

    /* the split comes first: nothing has moved yet if there is no memory */

    if (n != 0) {
        rest = n;

        for (s = src->head; s->len < rest; s = s->next) {
            rest -= s->len;
        }

        if (s->len > rest) {
            behind = v2_slice_split(s, (uint32_t) rest);
            if (behind == NULL) {
                return V2_ERROR;
            }

            if (src->last == s) {
                src->last = behind;
            }
        }
    }

    while (n != 0) {
        s = v2_chain_shift(src);
        n -= s->len;
        v2_chain_append(dst, s);
    }

    return V2_OK;
}


size_t
v2_chain_take(v2_chain_t *c, size_t n)
{
    size_t       billed;
    uint32_t     plain, b;
    v2_slice_t  *s;

    v2_assert(n <= c->bytes);

    billed = 0;

    if (n == 0 && c->head != NULL && c->head->len == 0) {
        billed = c->head->bill;
        v2_slice_free(v2_chain_shift(c));
    }

    while (n != 0) {
        s = c->head;

        if (s->len <= n) {
            n -= s->len;
            billed += s->bill;
            v2_slice_free(v2_chain_shift(c));
            continue;
        }

        if (s->linear) {
            plain = s->len - s->bill;
            b = n > plain ? (uint32_t) n - plain : 0;
            s->bill -= b;
            billed += b;
        }

        s->off += (uint32_t) n;
        s->len -= (uint32_t) n;
        c->bytes -= n;
        n = 0;
    }

    c->taken += billed;

    return billed;
}


size_t
v2_chain_peek(const v2_chain_t *c, void *out, size_t n)
{
    size_t             done, part;
    const v2_slice_t  *s;

    done = 0;

    for (s = c->head; s != NULL && done < n; s = s->next) {
        part = v2_min(n - done, s->len);
        memcpy((uint8_t *) out + done, v2_slice_data(s), part);
        done += part;
    }

    return done;
}


uint8_t *
v2_chain_pull(v2_chain_t *c, size_t n)
{
    v2_int_t    rc;
    v2_chain_t  front;

    v2_assert(n <= c->bytes);

    if (c->head == NULL) {
        return NULL;
    }

    if (c->head->len >= n) {
        return v2_slice_data(c->head);
    }

    v2_chain_init(&front);

    if (v2_chain_move_n(&front, c, n) != V2_OK) {
        return NULL;
    }

    rc = v2_chain_merge(&front);
    v2_chain_prepend(c, &front);

    return rc == V2_OK ? v2_slice_data(c->head) : NULL;
}


v2_int_t
v2_chain_copy(v2_chain_t *c, const void *data, size_t len)
{
    v2_buf_t    *b;
    v2_slice_t  *s;

    if (len == 0) {
        return V2_OK;
    }

    s = c->last;

    if (s != NULL && s->buf->refs == 1 && !s->end
        && v2_slice_room(s) >= len)
    {
        b = s->buf;
        b->refs++;
        memcpy(v2_slice_data(s) + s->len, data, len);

        s = v2_chain_add(c, b, s->off + s->len, (uint32_t) len, 0);

    } else {
        b = v2_chain_buf(len);
        if (b == NULL) {
            return V2_ERROR;
        }

        memcpy(b->data + V2_BUF_HEAD, data, len);

        s = v2_chain_add(c, b, V2_BUF_HEAD, (uint32_t) len, 0);
    }

    if (s == NULL) {
        v2_buf_put(b);
        return V2_ERROR;
    }

    return V2_OK;
}


/* Two passes: the first takes all the memory, so that a failure leaves the
 * chain as it was. Neighbours which can be one slice become one buffer, and
 * crumbs behind an earlier spill fill its room: a peer that reads nothing
 * while another sends single bytes must not cost a buffer for each. */

v2_int_t
v2_chain_spill(v2_chain_t *c)
{
    uint32_t     bytes;
    v2_buf_t    *b, *bufs, **next;
    v2_slice_t  *s, *prev, *last;

    bufs = NULL;
    next = &bufs;
    prev = NULL;

    for (s = c->head; s != NULL; s = s->next) {

        if (s->buf->group != V2_BUF_MEM) {
            last = v2_spill_run(s, &bytes);

            if (!v2_spill_fits(prev, s, bytes)) {
                b = v2_spill_buf(prev, s, bytes);

                if (b == NULL) {
                    goto failed;
                }

                *next = b;
                next = &b->next;
            }

            s = last;
        }

        prev = s;
    }

    prev = NULL;

    for (s = c->head; s != NULL; s = s->next) {

        if (s->buf->group != V2_BUF_MEM) {
            last = v2_spill_run(s, &bytes);
            b = NULL;

            if (!v2_spill_fits(prev, s, bytes)) {
                b = bufs;
                bufs = b->next;
                b->next = NULL;
            }

            s = v2_spill_into(c, prev, s, last, b);
        }

        prev = s;
    }

    v2_assert(bufs == NULL);

    return V2_OK;

failed:

    while (bufs != NULL) {
        b = bufs;
        bufs = b->next;
        v2_buf_put(b);
    }

    return V2_ERROR;
}


static v2_slice_t *
v2_slice_get(void)
{
    v2_slice_t  *s;

    if (v2_slice_list == NULL) {
        v2_slice_list = v2_buf_slices();

        if (v2_slice_list == NULL) {
            return NULL;
        }
    }

    s = v2_slice_list;
    v2_slice_list = s->next;

    return s;
}


static void
v2_slice_free(v2_slice_t *s)
{
    v2_buf_put(s->buf);

    s->buf = NULL;
    s->next = v2_slice_list;
    v2_slice_list = s;
}


/* Can b's bytes follow a's in one slice without a change of the bill? */

static int
v2_slice_joinable(const v2_slice_t *a, const v2_slice_t *b)
{
    return a->linear && b->linear && !a->end && !b->end
           && a->addr == NULL && b->addr == NULL
           && (a->bill == 0 || b->bill == b->len);
}


/* a will hold b's bytes behind its own; called before a->len grows. */

static void
v2_slice_join_bill(v2_slice_t *a, const v2_slice_t *b)
{
    a->linear = (b->linear || b->bill == 0)
                && (a->bill == 0 || (a->linear && b->bill == b->len));
    a->bill += b->bill;
}


/* Cuts s after n bytes; returns the new slice behind it. */

static v2_slice_t *
v2_slice_split(v2_slice_t *s, uint32_t n)
{
    v2_slice_t  *rest;

    v2_assert(n != 0 && n < s->len);

    rest = v2_slice_get();
    if (rest == NULL) {
        return NULL;
    }

    *rest = *s;
    rest->off += n;
    rest->len -= n;
    rest->buf->refs++;

    if (s->linear) {
        rest->bill = v2_min(s->bill, rest->len);
        s->bill -= rest->bill;

    } else {
        s->bill = 0;
        s->linear = 1;
    }

    s->len = n;
    s->end = 0;
    s->next = rest;

    return rest;
}


/* Bytes that may be written behind the slice when its buffer is ours alone. */

static uint32_t
v2_slice_room(const v2_slice_t *s)
{
    uint32_t  limit, at;

    limit = s->buf->size - V2_BUF_TAIL;
    at = s->off + s->len;

    return at < limit ? limit - at : 0;
}


/* The peer's address moves with the bytes into another buffer. */

static void
v2_slice_addr(v2_slice_t *s, v2_buf_t *b, const v2_addr_t *addr)
{
    if (addr != NULL && addr != &b->addr) {
        b->addr = *addr;
        addr = &b->addr;
    }

    s->addr = addr;
}


static void
v2_chain_append(v2_chain_t *c, v2_slice_t *s)
{
    s->next = NULL;

    if (c->last != NULL) {
        c->last->next = s;

    } else {
        c->head = s;
    }

    c->last = s;
    c->bytes += s->len;
}


static v2_slice_t *
v2_chain_shift(v2_chain_t *c)
{
    v2_slice_t  *s;

    s = c->head;

    if (s != NULL) {
        c->head = s->next;
        c->bytes -= s->len;

        if (c->head == NULL) {
            c->last = NULL;
        }
    }

    return s;
}


static void
v2_chain_prepend(v2_chain_t *c, v2_chain_t *front)
{
    front->last->next = c->head;

    if (c->last == NULL) {
        c->last = front->last;
    }

    c->head = front->head;
    c->bytes += front->bytes;
}


/* Makes one slice of all: in place when the bytes stand in a row already,
 * behind the first slice when its buffer is ours alone and has room, else
 * in a new buffer. */

static v2_int_t
v2_chain_merge(v2_chain_t *c)
{
    int          copy;
    v2_buf_t    *b;
    v2_slice_t  *s, *head;

    head = c->head;
    copy = !v2_chain_contiguous(c);

    if (copy && (head->buf->refs != 1
                 || v2_slice_room(head) < c->bytes - head->len))
    {
        b = v2_chain_buf(c->bytes);
        if (b == NULL) {
            return V2_ERROR;
        }

        memcpy(b->data + V2_BUF_HEAD, v2_slice_data(head), head->len);
        v2_slice_addr(head, b, head->addr);
        v2_buf_put(head->buf);
        head->buf = b;
        head->off = V2_BUF_HEAD;
    }

    while ((s = head->next) != NULL) {

        if (copy) {
            memcpy(v2_slice_data(head) + head->len, v2_slice_data(s), s->len);
        }

        v2_slice_join_bill(head, s);
        head->len += s->len;
        head->end |= s->end;
        head->next = s->next;
        v2_slice_free(s);
    }

    c->last = head;

    return V2_OK;
}


static int
v2_chain_contiguous(const v2_chain_t *c)
{
    const v2_slice_t  *s;

    for (s = c->head; s->next != NULL; s = s->next) {
        if (s->next->buf != s->buf || s->next->off != s->off + s->len) {
            return 0;
        }
    }

    return 1;
}


/* The smallest buffer that holds n bytes; memory when the groups are empty,
 * for the caller may be the one who holds them. */

static v2_buf_t *
v2_chain_buf(size_t n)
{
    unsigned   group;
    v2_buf_t  *b;

    for (group = 0; group < V2_BUF_GROUPS; group++) {
        if (n <= v2_buf_size(group)) {
            b = v2_buf_get(group);

            if (b != NULL) {
                return b;
            }
        }
    }

    return v2_buf_mem(n);
}


/* From s on: the last of the ring slices that can become one, their bytes. */

static v2_slice_t *
v2_spill_run(v2_slice_t *s, uint32_t *bytes)
{
    v2_slice_t  sum;

    sum = *s;

    while (s->next != NULL && s->next->buf->group != V2_BUF_MEM
           && v2_slice_joinable(&sum, s->next)
           && s->next->len <= UINT32_MAX / 2 - sum.len)
    {
        s = s->next;
        v2_slice_join_bill(&sum, s);
        sum.len += s->len;
    }

    *bytes = sum.len;

    return s;
}


/* Can the run that starts with s go behind prev, which is in memory? prev may
 * also be the end of a run that will be; then it holds a ring buffer still,
 * and the answer is no in both passes. */

static int
v2_spill_fits(const v2_slice_t *prev, const v2_slice_t *s, uint32_t bytes)
{
    return prev != NULL && prev->buf->group == V2_BUF_MEM
           && prev->buf->refs == 1 && v2_slice_joinable(prev, s)
           && v2_slice_room(prev) >= bytes;
}


static v2_buf_t *
v2_spill_buf(const v2_slice_t *prev, const v2_slice_t *s, uint32_t bytes)
{
    uint32_t  room;

    if (prev == NULL || prev->buf->group != V2_BUF_MEM
        || !v2_slice_joinable(prev, s))
    {
        return v2_buf_mem(bytes);
    }

    room = v2_max(prev->buf->size * 2, V2_SPILL_FIRST);
    room = v2_min(room, V2_SPILL_MAX);

    return v2_buf_mem(v2_max(room, bytes));
}


/* Copies the run s..last into b, or behind prev when b is NULL, and puts the
 * one slice that is left of it into the chain. Returns that slice. */

static v2_slice_t *
v2_spill_into(v2_chain_t *c, v2_slice_t *prev, v2_slice_t *s, v2_slice_t *last,
    v2_buf_t *b)
{
    v2_slice_t  *out, *next, *behind;

    behind = last->next;

    if (b == NULL) {
        out = prev;
        next = s;

    } else {
        out = s;
        next = s == last ? behind : s->next;

        memcpy(b->data + V2_BUF_HEAD, v2_slice_data(s), s->len);
        v2_slice_addr(s, b, s->addr);
        v2_buf_put(s->buf);
        s->buf = b;
        s->off = V2_BUF_HEAD;
    }

    while (next != behind) {
        s = next;
        next = s->next;

        memcpy(v2_slice_data(out) + out->len, v2_slice_data(s), s->len);
        v2_slice_join_bill(out, s);
        out->len += s->len;
        v2_slice_free(s);
    }

    out->next = behind;

    if (behind == NULL) {
        c->last = out;
    }

    return out;
}
