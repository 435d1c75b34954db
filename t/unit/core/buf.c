/* The groups of buffers: sizes, order, counts, and pages given back. */
/* needs: src/core/v2_log.c src/core/v2_core.c */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_buf.h"

#include "../tap.h"

#include "../../../src/core/v2_buf.c"

static const v2_buf_conf_t  bufs[V2_BUF_GROUPS] = {
    { 2048, 4 }, { 16384 + 512, 100 }, { 262144, 8 }
};


/* Pages of [p, p + len) that are in memory. */
static unsigned
resident(const uint8_t *p, size_t len)
{
    unsigned       n;
    size_t         i, pages;
    uintptr_t      from;
    unsigned char  vec[4096];

    from = (uintptr_t) p & ~(uintptr_t) 4095;
    pages = ((uintptr_t) p + len - from + 4095) / 4096;
    n = 0;

    if (pages > sizeof(vec) || mincore((void *) from, pages * 4096, vec)) {
        return 0;
    }

    for (i = 0; i < pages; i++) {
        n += vec[i] & 1;
    }

    return n;
}


static void
test_groups(void)
{
    unsigned   g, i, n, good;
    v2_buf_t  *b, *held[128];

    for (g = 0; g < V2_BUF_GROUPS; g++) {
        is_int(v2_buf_size(g), bufs[g].size, "group %u: size", g);
        is_int(v2_buf_free_n(g), bufs[g].count, "group %u: all free", g);

        good = n = 0;

        while ((b = v2_buf_get(g)) != NULL) {
            good += b->refs == 1 && b->group == g && b->id == n
                    && b->size == bufs[g].size + V2_BUF_HEAD + V2_BUF_TAIL
                    && v2_buf_by_id(g, n) == b && b->addr.family == 0;
            memset(b->data, (int) n, b->size);
            held[n++] = b;
        }

        is_int(n, bufs[g].count, "group %u: so many, then NULL", g);
        is_int(good, n, "group %u: each as it should be", g);
        is_int(v2_buf_free_n(g), 0, "group %u: none free", g);

        good = 0;

        for (i = 0; i < n; i++) {
            good += held[i]->data[0] == (uint8_t) i
                    && held[i]->data[held[i]->size - 1] == (uint8_t) i;
        }

        is_int(good, n, "group %u: none overlaps another", g);

        v2_buf_put(held[0]);
        v2_buf_put(held[n - 1]);
        ok(v2_buf_get(g) == held[n - 1], "group %u: the last put", g);
        ok(v2_buf_get(g) == held[0], "group %u: is the first got", g);

        held[1]->refs++;
        v2_buf_put(held[1]);
        is_int(v2_buf_free_n(g), 0, "group %u: refs are counted", g);

        for (i = 0; i < n; i++) {
            v2_buf_put(held[i]);
        }

        is_int(v2_buf_free_n(g), n, "group %u: all are back", g);
    }
}


static void
test_mem(void)
{
    size_t     start;
    v2_buf_t  *b;

    start = v2_buf_mem_bytes();
    b = v2_buf_mem(1000);
    ok(b != NULL && b->group == V2_BUF_MEM && b->refs == 1, "memory");
    is_int(b->size, 1000 + V2_BUF_HEAD + V2_BUF_TAIL, "with HEAD and TAIL");
    memset(b->data, 1, b->size);
    ok(v2_buf_mem_bytes() >= start + 1000, "is counted");
    v2_buf_put(b);
    is_int(v2_buf_mem_bytes(), start, "and given back");
    ok(v2_buf_mem(SIZE_MAX / 2) == NULL, "too much is refused");
}


static void
test_lazy(void)
{
    v2_buf_t  *a, *b;

    is_int(resident(v2_buf_groups[V2_BUF_LARGE].mem, 8 * 262144), 0,
           "a group is not touched by its making");

    a = v2_buf_get(V2_BUF_LARGE);
    b = v2_buf_get(V2_BUF_LARGE);
    memset(a->data, 1, a->size);
    memset(b->data, 2, b->size);
    ok(resident(a->data, a->size) >= 64, "a used buffer is in memory");

    v2_buf_put(b);
    v2_buf_trim();
    ok(resident(b->data, b->size) >= 64, "one used lately stays there");
    v2_buf_trim();
    ok(resident(b->data, b->size) <= 2,
       "a free one is trimmed, to its edges");
    ok(resident(a->data, a->size) >= 64, "a used one is not");
    ok(a->data[0] == 1 && a->data[a->size - 1] == 1, "nor is its edge");

    b = v2_buf_get(V2_BUF_LARGE);
    b->data[0] = 3;
    is_int(b->data[0], 3, "and can be used again");
    v2_buf_put(a);
    v2_buf_put(b);
}


int
main(void)
{
    if (v2_buf_init(bufs) != V2_OK) {
        return 2;
    }

    test_lazy();

    v2_buf_done();
    is_int(v2_buf_count(V2_BUF_HAND), 0, "done leaves nothing");
    is_int(v2_buf_init(bufs), V2_OK, "and can begin again");

    test_groups();
    test_mem();
    v2_buf_done();

    return done_testing();
}
