/* Buffers lent to the kernel through provided-buffer rings (core, engine
 * part; with v2_ring.c the only files that know liburing).
 *
 * Invariants
 *  1. The kernel holds `held` buffers, given[id] is 1 for each of them, and
 *     each has the one reference that v2_buf_get() gave.
 *  2. They are few: at most `depth`. The kernel takes them in order, v2_buf
 *     hands them out warmest first, so a single busy flow goes round a handful
 *     of buffers that stay in the cache.
 *  3. depth grows at once when a receive found none, to what was missing, and
 *     is halved when half of them stood unused between two looks.
 *  4. What an idle group holds above its depth is taken back: the ring is
 *     unregistered, which only the kernel's next receive would notice, and
 *     nothing of the kernel's runs between two calls of ours. */

#include "v2_config.h"
#if V2_HAVE_IO_URING
#include "v2_core.h"
#include "v2_ring_bufs.h"
#include "v2_log.h"

#include <sys/mman.h>

#define V2_RING_HELD_BYTES  (4u << 20)  /* of one group in the kernel */
#define V2_RING_HELD_MIN    16          /* buffers, if there are so many */


static int v2_ring_bufs_register(v2_ring_bufs_t *g);
static void v2_ring_bufs_reclaim(v2_ring_bufs_t *g);
static void v2_ring_bufs_back(v2_ring_bufs_t *g);


/* buffers given to the kernel at first, by group */
static const uint32_t  v2_ring_depth[V2_BUF_GROUPS] = {
    [V2_BUF_HAND] = 8, [V2_BUF_SMALL] = 8, [V2_BUF_LARGE] = 4
};


int
v2_ring_bufs_init(v2_ring_bufs_t *g, struct io_uring *uring, unsigned group)
{
    uint32_t  count, most;

    count = v2_buf_count(group);
    v2_assert(count != 0);

    g->uring = uring;
    g->group = group;

    /* a quarter is left to those who do not come through the kernel */
    most = v2_max(V2_RING_HELD_BYTES / v2_buf_size(group),
                  (uint32_t) V2_RING_HELD_MIN);
    g->depth_max = v2_max(v2_min(most, count - count / 4), 1u);
    g->depth_min = v2_min(v2_ring_depth[group], g->depth_max);
    g->depth = g->depth_min;
    g->low = UINT32_MAX;

    for (g->entries = 8; g->entries < g->depth_max; g->entries *= 2) {
        /* void */
    }

    g->br_size = g->entries * sizeof(struct io_uring_buf);

    g->given = calloc(count, 1);
    if (g->given == NULL) {
        return -ENOMEM;
    }

    g->br = mmap(NULL, g->br_size, PROT_READ|PROT_WRITE,
                 MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
    if (g->br == MAP_FAILED) {
        g->br = NULL;
        return -ENOMEM;
    }

    return v2_ring_bufs_register(g);
}


void
v2_ring_bufs_done(v2_ring_bufs_t *g)
{
    if (g->given != NULL) {
        v2_ring_bufs_back(g);
    }

    if (g->br != NULL) {
        (void) munmap(g->br, g->br_size);
    }

    free(g->given);
    memset(g, 0, sizeof(v2_ring_bufs_t));
}


uint32_t
v2_ring_bufs_refill(v2_ring_bufs_t *g)
{
    int        n;
    v2_buf_t  *b;

    g->low = v2_min(g->low, g->held);

    if (g->missed != 0) {
        g->depth = v2_min(v2_max(g->depth * 2, g->depth + g->missed),
                          g->depth_max);
        g->missed = 0;
        g->short_of = 1;
    }

    if (!g->listed && v2_ring_bufs_register(g) != 0) {
        return 0;
    }

    n = 0;

    while (g->held < g->depth && (b = v2_buf_get(g->group)) != NULL) {
        io_uring_buf_ring_add(g->br, b->data + V2_BUF_HEAD,
                              v2_buf_size(g->group), b->id,
                              io_uring_buf_ring_mask(g->entries), n++);
        v2_assert(!g->given[b->id]);
        g->given[b->id] = 1;
        g->held++;
    }

    if (n != 0) {
        io_uring_buf_ring_advance(g->br, n);
    }

    /* more than there are buffers would only come back */

    return v2_min(g->held, g->waiting.n);
}


void
v2_ring_bufs_look(v2_ring_bufs_t *g)
{
    if (!g->short_of && g->low != UINT32_MAX && g->low >= g->depth / 2) {
        g->depth = v2_max(g->depth / 2, g->depth_min);
    }

    if (!g->taken && g->held > g->depth) {
        v2_ring_bufs_reclaim(g);
    }

    g->low = UINT32_MAX;
    g->short_of = 0;
    g->taken = 0;
}


/* One that did not come is still the kernel's, also when the receive failed. */

v2_buf_t *
v2_ring_bufs_take(v2_ring_bufs_t *g, unsigned cqe_flags)
{
    unsigned  id;

    if (!(cqe_flags & IORING_CQE_F_BUFFER)) {
        return NULL;
    }

    id = cqe_flags >> IORING_CQE_BUFFER_SHIFT;
    v2_assert(g->held != 0 && g->given[id]);

    g->given[id] = 0;
    g->held--;
    g->taken = 1;

    return v2_buf_by_id(g->group, id);
}


static int
v2_ring_bufs_register(v2_ring_bufs_t *g)
{
    int                      rc;
    struct io_uring_buf_reg  reg;

    memset(g->br, 0, g->br_size);
    io_uring_buf_ring_init(g->br);

    memset(&reg, 0, sizeof(struct io_uring_buf_reg));
    reg.ring_addr = (uintptr_t) g->br;
    reg.ring_entries = g->entries;
    reg.bgid = v2_ring_bgid(g->group);

    rc = io_uring_register_buf_ring(g->uring, &reg, 0);
    g->listed = rc == 0;

    return rc;
}


/* Only while no completion is on its way that could name one of them. */

static void
v2_ring_bufs_reclaim(v2_ring_bufs_t *g)
{
    if (io_uring_cq_ready(g->uring) != 0
        || io_uring_cq_has_overflow(g->uring)
        || io_uring_unregister_buf_ring(g->uring, v2_ring_bgid(g->group)))
    {
        return;
    }

    g->listed = 0;
    v2_ring_bufs_back(g);

    if (v2_ring_bufs_register(g) != 0) {
        v2_log(V2_LOG_ALERT, NULL, 0, "buffer ring %u is lost, trying again",
               g->group);
    }
}


static void
v2_ring_bufs_back(v2_ring_bufs_t *g)
{
    uint32_t  id;

    for (id = 0; g->held != 0; id++) {
        if (g->given[id]) {
            g->given[id] = 0;
            g->held--;
            v2_buf_put(v2_buf_by_id(g->group, id));
        }
    }
}

#endif
