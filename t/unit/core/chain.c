/* Chains of slices against a model: an array of bytes, each with what is
 * counted when it is taken. The model knows nothing of slices, so a bill that
 * is lost, doubled or early anywhere shows. */
/* needs: src/core/v2_log.c src/core/v2_core.c */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_buf.h"

#include "../tap.h"

static int       fail_next;             /* 1: the next malloc fails */


static void *
test_malloc(size_t size)
{
    if (fail_next) {
        fail_next = 0;
        return NULL;
    }

    return malloc(size);
}


#define malloc(n)  test_malloc(n)
#include "../../../src/core/v2_buf.c"
#include "../../../src/core/v2_chain.c"
#undef malloc

#define CHAINS      3
#define LIMIT       12000               /* bytes of one chain */

typedef struct {
    uint8_t    byte[LIMIT];
    uint8_t    linear[LIMIT];           /* 1: counted by itself */
    uint32_t   late[LIMIT];             /* counted when this byte is taken */
    size_t     n;
    size_t     taken;
} model_t;

static const v2_buf_conf_t  bufs[V2_BUF_GROUPS] = {
    { 128, 40 }, { 1024, 40 }, { 4096, 20 }
};

static model_t      models[CHAINS];
static v2_chain_t   chains[CHAINS];
static uint64_t     seed = 88172645463325252ull;


static uint32_t
rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return (uint32_t) (seed >> 16) % n;
}


static void
model_drop(model_t *m, size_t n)
{
    memmove(m->byte, m->byte + n, m->n - n);
    memmove(m->linear, m->linear + n, m->n - n);
    memmove(m->late, m->late + n, (m->n - n) * sizeof(uint32_t));
    m->n -= n;
}


static size_t
model_bill(const model_t *m, size_t from, size_t to)
{
    size_t  sum;

    for (sum = 0; from < to; from++) {
        sum += m->linear[from] + m->late[from];
    }

    return sum;
}


/* All that from..to bill is counted with the last byte of it. */
static void
model_late(model_t *m, size_t from, size_t to)
{
    size_t  sum;

    sum = model_bill(m, from, to);
    memset(m->linear + from, 0, to - from);
    memset(m->late + from, 0, (to - from) * sizeof(uint32_t));
    m->late[to - 1] = (uint32_t) sum;
}


/* Do the bytes that bill stand at the end, one by one? */
static int
model_suffix(const model_t *m, size_t n)
{
    size_t  i;
    int     seen;

    seen = 0;

    for (i = 0; i < n; i++) {
        if (m->late[i] != 0 || (seen && !m->linear[i])) {
            return 0;
        }

        seen |= m->linear[i];
    }

    return 1;
}


static int
same(const v2_chain_t *c, const model_t *m)
{
    size_t             n, bill;
    const v2_slice_t  *s, *last;

    n = bill = 0;
    last = NULL;

    for (s = c->head; s != NULL; s = s->next) {
        if (s->buf->refs == 0 || s->off + s->len > s->buf->size
            || n + s->len > m->n
            || (s->linear && s->bill > s->len)
            || memcmp(v2_slice_data(s), m->byte + n, s->len) != 0)
        {
            return 0;
        }

        n += s->len;
        bill += s->bill;
        last = s;
    }

    return c->bytes == n && n == m->n && last == c->last
           && bill == model_bill(m, 0, m->n) && c->taken == m->taken;
}


/* A piece of a fresh or of the last used buffer, some of it billed. */
static v2_int_t
step_add(v2_chain_t *c, model_t *m)
{
    static v2_buf_t  *b;
    static uint32_t   at;
    uint32_t          i, len, bill, size;
    v2_slice_t       *s;

    if (b != NULL && rnd(4) == 0) {
        v2_buf_put(b);
        b = NULL;
    }

    if (b == NULL) {
        b = v2_buf_get(rnd(V2_BUF_GROUPS));

        if (b == NULL && (b = v2_buf_mem(1 + rnd(500))) == NULL) {
            return V2_ERROR;
        }

        at = V2_BUF_HEAD;
    }

    size = b->size - V2_BUF_TAIL;

    len = rnd(2) ? 8 : 600;
    len = 1 + rnd(v2_min(size - at, len));

    if (m->n + len > LIMIT) {
        return V2_OK;
    }

    bill = rnd(3) == 0 ? 0 : rnd(2) == 0 ? len : rnd(len + 1);

    for (i = 0; i < len; i++) {
        b->data[at + i] = (uint8_t) rnd(256);
    }

    b->refs++;
    s = v2_chain_add(c, b, at, len, bill);

    if (s == NULL) {
        b->refs--;
        return V2_ERROR;
    }

    memcpy(m->byte + m->n, b->data + at, len);
    memset(m->linear + m->n, 0, len - bill);
    memset(m->linear + m->n + len - bill, 1, bill);
    memset(m->late + m->n, 0, len * sizeof(uint32_t));
    m->n += len;
    at += len;

    if (rnd(5) == 0) {
        s->linear = 0;
        s->bill += bill = rnd(40);
        model_late(m, m->n - s->len, m->n);
        m->late[m->n - 1] += bill;
    }

    s->end = rnd(6) == 0;

    if (at == size || (b->refs > 1 && rnd(3) == 0)) {
        v2_buf_put(b);
        b = NULL;
    }

    return V2_OK;
}


static v2_int_t
step_take(v2_chain_t *c, model_t *m)
{
    size_t  n, want;

    n = rnd((uint32_t) v2_min(m->n, 2000u) + 1);
    want = model_bill(m, 0, n);

    if (v2_chain_take(c, n) != want) {
        fail("take(%zu) does not bill %zu", n, want);
    }

    m->taken += want;
    model_drop(m, n);

    return V2_OK;
}


static v2_int_t
step_move(v2_chain_t *dst, v2_chain_t *src, model_t *d, model_t *s)
{
    int     all;
    size_t  n;

    all = rnd(4) == 0;
    n = all ? s->n : rnd((uint32_t) s->n + 1);

    if (d->n + n > LIMIT) {
        return V2_OK;
    }

    if (all) {
        v2_chain_move(dst, src);
        d->taken += s->taken;
        s->taken = 0;

    } else if (v2_chain_move_n(dst, src, n) != V2_OK) {
        return V2_ERROR;
    }

    memcpy(d->byte + d->n, s->byte, n);
    memcpy(d->linear + d->n, s->linear, n);
    memcpy(d->late + d->n, s->late, n * sizeof(uint32_t));
    d->n += n;

    /* a slice that was cut bills what is late with its second part */

    model_drop(s, n);

    return V2_OK;
}


static v2_int_t
step_pull(v2_chain_t *c, model_t *m)
{
    int       was;
    size_t    n;
    uint8_t  *p;

    n = rnd(2) ? 40 : 5000;
    n = rnd((uint32_t) v2_min(m->n, n) + 1);

    if (n == 0) {
        return V2_OK;
    }

    was = c->head->len >= n;
    p = v2_chain_pull(c, n);

    if (p == NULL) {
        return V2_ERROR;
    }

    if (c->head->len < n || memcmp(p, m->byte, n) != 0) {
        fail("pull(%zu) does not give the bytes", n);
    }

    if (!was && !model_suffix(m, n)) {
        model_late(m, 0, n);
    }

    return V2_OK;
}


static v2_int_t
step_copy(v2_chain_t *c, model_t *m)
{
    uint8_t   data[6000];
    uint32_t  i, n;

    n = rnd(rnd(2) ? 20 : sizeof(data));

    if (m->n + n > LIMIT) {
        return V2_OK;
    }

    for (i = 0; i < n; i++) {
        data[i] = (uint8_t) rnd(256);
    }

    if (v2_chain_copy(c, data, n) != V2_OK) {
        return V2_ERROR;
    }

    memcpy(m->byte + m->n, data, n);
    memset(m->linear + m->n, 0, n);
    memset(m->late + m->n, 0, n * sizeof(uint32_t));
    m->n += n;

    return V2_OK;
}


static v2_int_t
step_spill(v2_chain_t *c)
{
    v2_slice_t  *s;

    if (v2_chain_spill(c) != V2_OK) {
        return V2_ERROR;
    }

    for (s = c->head; s != NULL; s = s->next) {
        if (s->buf->group != V2_BUF_MEM) {
            fail("spill left a ring buffer");
        }
    }

    return V2_OK;
}


static v2_int_t
step(unsigned i)
{
    unsigned  k;

    switch (rnd(12)) {
    case 0: case 1: case 2: case 3: case 4:
        return step_add(&chains[i], &models[i]);
    case 5: case 6:
        return step_take(&chains[i], &models[i]);
    case 7: case 8:
        k = (i + 1 + rnd(CHAINS - 1)) % CHAINS;
        return step_move(&chains[k], &chains[i], &models[k], &models[i]);
    case 9:
        return step_pull(&chains[i], &models[i]);
    case 10:
        return step_copy(&chains[i], &models[i]);
    default:
        return step_spill(&chains[i]);
    }
}


static void
test_random(void)
{
    int          good, failing;
    unsigned     i, k, errors;
    v2_slice_t  *list, *last;

    enum { STEPS = 50000 };

    for (k = 0; k < CHAINS; k++) {
        v2_chain_init(&chains[k]);
    }

    good = 1;
    errors = 0;

    for (i = 0; good && i < STEPS; i++) {
        failing = rnd(20) == 0;
        list = NULL;

        if (failing) {
            fail_next = 1;

            if (rnd(2)) {
                list = v2_slice_list;           /* slices fail too */
                v2_slice_list = NULL;
            }
        }

        if (step(rnd(CHAINS)) != V2_OK) {
            errors++;

            if (!failing) {
                fail("an error without a cause");
            }
        }

        fail_next = 0;

        if (list != NULL) {
            for (last = list; last->next != NULL; last = last->next) {
                /* void */
            }

            last->next = v2_slice_list;
            v2_slice_list = list;
        }

        for (k = 0; k < CHAINS; k++) {
            good &= same(&chains[k], &models[k]);
        }
    }

    is_int(i, STEPS, "random steps keep bytes and bills");
    ok(errors > 100, "of which %u met a failing malloc", errors);

    for (k = 0; k < CHAINS; k++) {
        size_t  want;

        want = model_bill(&models[k], 0, models[k].n);
        is_int(v2_chain_take(&chains[k], chains[k].bytes), want,
               "the rest of chain %u bills what is left", k);
        ok(chains[k].head == NULL && chains[k].last == NULL
           && chains[k].bytes == 0, "and nothing is left");
    }
}


static v2_slice_t *
add(v2_chain_t *c, const char *text, uint32_t bill)
{
    v2_buf_t  *b;

    b = v2_buf_get(V2_BUF_HAND);
    memcpy(b->data + V2_BUF_HEAD, text, strlen(text));

    return v2_chain_add(c, b, V2_BUF_HEAD, (uint32_t) strlen(text), bill);
}


static void
test_merge(void)
{
    v2_buf_t    *b;
    v2_chain_t   c;
    v2_slice_t  *s, *t;

    v2_chain_init(&c);
    b = v2_buf_get(V2_BUF_SMALL);
    b->refs += 6;

    s = v2_chain_add(&c, b, 64, 10, 0);
    t = v2_chain_add(&c, b, 74, 10, 4);
    ok(s == t && s->len == 20 && s->bill == 4, "framing and payload join");
    t = v2_chain_add(&c, b, 84, 10, 10);
    ok(s == t && s->bill == 14, "and payload behind it");
    t = v2_chain_add(&c, b, 94, 10, 3);
    ok(s != t, "framing behind payload does not");
    is_int(b->refs, 5, "a joined slice gives its reference back");
    t->end = 1;
    s = v2_chain_add(&c, b, 104, 10, 10);
    ok(s != t, "nor what follows the end of a unit");
    t = v2_chain_add(&c, b, 115, 10, 10);
    ok(s != t, "nor what leaves a gap");
    is_int(b->refs, 5, "every slice holds a reference");

    v2_chain_free(&c);
    is_int(b->refs, 1, "and frees it");
    v2_buf_put(b);
}


static void
test_datagrams(void)
{
    uint8_t      out[16];
    v2_addr_t    from;
    v2_chain_t   c, d;
    v2_slice_t  *s;

    memset(&from, 0, sizeof(from));
    from.family = 4;
    from.port = 53;

    v2_chain_init(&c);
    v2_chain_init(&d);

    s = add(&c, "one", 3);
    s->end = 1;
    s->buf->addr = from;
    s->addr = &s->buf->addr;
    s = add(&c, "", 0);
    s->end = 1;
    s = add(&c, "two", 3);
    s->end = 1;

    is_int(c.bytes, 6, "an empty datagram is a slice");
    is_int(v2_chain_move_n(&d, &c, 3), V2_OK, "the first is moved");
    ok(d.head == d.last && d.head->end && c.head->len == 0,
       "and the empty one stays");
    is_int(v2_chain_move_n(&d, &c, 0), V2_OK, "it is moved alone");
    ok(d.last->len == 0 && d.last->end && c.head->len == 3, "by n = 0");
    v2_chain_move(&d, &c);
    is_int(v2_chain_spill(&d), V2_OK, "they go to memory");
    ok(d.head->next != NULL && d.head->next->next == d.last
       && d.last->next == NULL, "as three");
    ok(d.head->addr == &d.head->buf->addr
       && d.head->addr->port == 53 && d.head->buf->group == V2_BUF_MEM,
       "the address goes with its bytes");

    is_int(v2_chain_take(&d, 3), 3, "the first is taken");
    is_int(v2_chain_take(&d, 0), 0, "then the empty one");
    is_int(v2_chain_peek(&d, out, sizeof(out)), 3, "then");
    ok(memcmp(out, "two", 3) == 0, "the last is in front");
    is_int(v2_chain_take(&d, 3), 3, "and bills");
    is_int(d.taken, 6, "all is counted in taken");

    add(&d, "", 0)->bill = 5;
    d.last->linear = 0;
    is_int(v2_chain_take(&d, 0), 5, "payload on an empty slice is counted");
    ok(d.head == NULL && d.last == NULL, "and the chain is empty");
}


static void
test_pull(void)
{
    v2_buf_t    *b;
    v2_chain_t   c;
    v2_slice_t  *s;
    uint8_t     *p, *first;

    v2_chain_init(&c);
    ok(v2_chain_pull(&c, 0) == NULL, "there is nothing to pull");

    s = add(&c, "abc", 0);
    first = v2_slice_data(s);
    (void) add(&c, "def", 0);
    (void) add(&c, "ghi", 3);

    ok(v2_chain_pull(&c, 3) == first, "what is in a row stays");
    p = v2_chain_pull(&c, 7);
    ok(p == first && memcmp(p, "abcdefg", 7) == 0,
       "room behind the first slice is used");
    ok(c.head->linear && c.head->bill == 1 && c.bytes == 9,
       "the bill of what was pulled is linear");
    is_int(v2_chain_take(&c, 7), 1, "and exact");
    is_int(v2_chain_take(&c, 2), 2, "as is the rest");

    s = add(&c, "abc", 3);
    (void) add(&c, "def", 0);
    b = s->buf;
    b->refs++;
    p = v2_chain_pull(&c, 5);
    ok(p != NULL && c.head->buf != b && b->refs == 1,
       "a buffer that others hold is not written");
    v2_buf_put(b);
    is_int(v2_chain_take(&c, 4), 0, "payload before framing waits");
    is_int(v2_chain_take(&c, 1), 3, "for the last byte of what was pulled");
    v2_chain_free(&c);
}


/* Single bytes behind an earlier spill do not cost a buffer each. */
static void
test_crumbs(void)
{
    unsigned     i, n;
    size_t       most, start;
    v2_chain_t   c;
    v2_slice_t  *s;

    v2_chain_init(&c);
    start = v2_buf_mem_bytes();
    most = 0;

    for (i = 0; i < 10000; i++) {
        (void) add(&c, "x", 1);

        if (v2_chain_spill(&c) != V2_OK) {
            break;
        }

        most = v2_max(most, v2_buf_mem_bytes() - start);
    }

    is_int(c.bytes, 10000, "ten thousand crumbs");
    ok(most < 40000, "in %zu bytes of memory", most);

    n = 0;

    for (s = c.head; s != NULL; s = s->next) {
        n++;
    }

    ok(n < 20, "and %u slices", n);
    is_int(v2_chain_take(&c, 10000), 10000, "all of them billed");
    is_int(v2_buf_mem_bytes(), start, "no memory is left");
}


int
main(void)
{
    unsigned  i;

    if (v2_buf_init(bufs) != V2_OK) {
        return 2;
    }

    test_merge();
    test_datagrams();
    test_pull();
    test_crumbs();

    for (i = 0; i < V2_BUF_GROUPS; i++) {
        is_int(v2_buf_free_n(i), v2_buf_count(i), "group %u is whole", i);
    }

    test_random();

    return done_testing();
}
