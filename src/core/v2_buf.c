/* Buffers of one worker: three groups of equal buffers in reserved address
 * space, and single ones from malloc (core, bytes part).
 *
 * Invariants
 *  1. A group's memory is reserved without being touched; a buffer is made
 *     (its v2_buf_t written) when the free list is empty and `made` is below
 *     `count`. A worker that never saw a big flow never pays for LARGE.
 *  2. The free list is LIFO: the buffer that was put last is the one whose
 *     lines are still in the cache.
 *  3. A buffer is in the free list if and only if refs is 0.
 *  4. v2_buf_trim() drops only pages that lie alone in buffers which are
 *     free and were not used since the trim before. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_buf.h"
#include "v2_log.h"

#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define v2_buf_poison(b)    __asan_poison_memory_region((b)->data, (b)->size)
#define v2_buf_unpoison(b)  __asan_unpoison_memory_region((b)->data, (b)->size)
#else
#define v2_buf_poison(b)    ((void) (b))
#define v2_buf_unpoison(b)  ((void) (b))
#endif

#define V2_BUF_ALIGN        64
#define V2_BUF_PAGE         4096
#define V2_BUF_COUNT_MAX    32768   /* what one buffer ring can name */
#define V2_BUF_SLICES       128     /* slices a malloc */


typedef struct {
    uint8_t     *mem;               /* stride * count bytes */
    v2_buf_t    *bufs;              /* count of them */
    v2_buf_t    *free;
    uint32_t     size;              /* bytes the kernel may fill */
    uint32_t     stride;
    uint32_t     count;
    uint32_t     made;              /* bufs[0 .. made - 1] are written */
    uint32_t     used;              /* with refs */
} v2_buf_group_t;


static v2_int_t v2_buf_group_init(v2_buf_group_t *g,
    const v2_buf_conf_t *conf);
static void *v2_buf_reserve(size_t size);
static void v2_buf_trim_group(v2_buf_group_t *g);
static void v2_buf_drop_pages(v2_buf_group_t *g, uint32_t from, uint32_t to);


static v2_buf_group_t  v2_buf_groups[V2_BUF_GROUPS];
static size_t          v2_buf_mem_total;


v2_int_t
v2_buf_init(const v2_buf_conf_t conf[V2_BUF_GROUPS])
{
    unsigned  i;

    for (i = 0; i < V2_BUF_GROUPS; i++) {
        v2_assert(v2_buf_groups[i].mem == NULL);

        if (v2_buf_group_init(&v2_buf_groups[i], &conf[i]) != V2_OK) {
            v2_buf_done();
            return V2_ERROR;
        }
    }

    return V2_OK;
}


static v2_int_t
v2_buf_group_init(v2_buf_group_t *g, const v2_buf_conf_t *conf)
{
    v2_assert(conf->size != 0 && conf->size <= (1u << 28));
    v2_assert(conf->count != 0 && conf->count <= V2_BUF_COUNT_MAX);

    memset(g, 0, sizeof(v2_buf_group_t));

    g->size = conf->size;
    g->count = conf->count;
    g->stride = (V2_BUF_HEAD + conf->size + V2_BUF_TAIL + V2_BUF_ALIGN - 1)
                & ~(uint32_t) (V2_BUF_ALIGN - 1);

    g->mem = v2_buf_reserve((size_t) g->stride * g->count);
    g->bufs = v2_buf_reserve(sizeof(v2_buf_t) * g->count);

    return g->mem == NULL || g->bufs == NULL ? V2_ERROR : V2_OK;
}


/* No huge pages: one touched buffer would cost 2 MiB of a small host. */

static void *
v2_buf_reserve(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE,
             MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        v2_log(V2_LOG_EMERG, NULL, errno,
               "mmap(%zu) failed for buffers", size);
        return NULL;
    }

    (void) madvise(p, size, MADV_NOHUGEPAGE);
    (void) madvise(p, size, MADV_DONTDUMP);

    return p;
}


void
v2_buf_done(void)
{
    unsigned         i;
    v2_buf_group_t  *g;

    for (i = 0; i < V2_BUF_GROUPS; i++) {
        g = &v2_buf_groups[i];

        if (g->mem != NULL) {
            while (g->free != NULL) {
                v2_buf_unpoison(g->free);
                g->free = g->free->next;
            }

            (void) munmap(g->mem, (size_t) g->stride * g->count);
        }

        if (g->bufs != NULL) {
            (void) munmap(g->bufs, sizeof(v2_buf_t) * g->count);
        }

        memset(g, 0, sizeof(v2_buf_group_t));
    }
}


v2_buf_t *
v2_buf_get(unsigned group)
{
    v2_buf_t        *b;
    v2_buf_group_t  *g;

    v2_assert(group < V2_BUF_GROUPS);

    g = &v2_buf_groups[group];
    b = g->free;

    if (b != NULL) {
        v2_assert(b->refs == 0);
        g->free = b->next;
        v2_buf_unpoison(b);

    } else {
        if (g->made == g->count) {
            return NULL;
        }

        b = &g->bufs[g->made];
        b->data = g->mem + (size_t) g->stride * g->made;
        b->size = V2_BUF_HEAD + g->size + V2_BUF_TAIL;
        b->group = (uint16_t) group;
        b->id = (uint16_t) g->made++;
    }

    b->next = NULL;
    b->refs = 1;
    b->hot = 1;
    b->clean = 0;
    b->addr.family = 0;
    g->used++;

    return b;
}


v2_buf_t *
v2_buf_mem(size_t size)
{
    v2_buf_t  *b;

    if (size > UINT32_MAX - V2_BUF_HEAD - V2_BUF_TAIL) {
        return NULL;
    }

    size += V2_BUF_HEAD + V2_BUF_TAIL;

    b = malloc(sizeof(v2_buf_t) + size);
    if (b == NULL) {
        return NULL;
    }

    memset(b, 0, sizeof(v2_buf_t));

    b->data = (uint8_t *) (b + 1);
    b->size = (uint32_t) size;
    b->group = V2_BUF_MEM;
    b->refs = 1;

    v2_buf_mem_total += sizeof(v2_buf_t) + size;

    return b;
}


void
v2_buf_put(v2_buf_t *b)
{
    v2_buf_group_t  *g;

    v2_assert(b->refs != 0);

    if (--b->refs != 0) {
        return;
    }

    if (b->group == V2_BUF_MEM) {
        v2_buf_mem_total -= sizeof(v2_buf_t) + b->size;
        free(b);
        return;
    }

    g = &v2_buf_groups[b->group];
    v2_assert(b == &g->bufs[b->id] && g->used != 0);

    v2_buf_poison(b);
    b->next = g->free;
    g->free = b;
    g->used--;
}


v2_slice_t *
v2_buf_slices(void)
{
    unsigned     i;
    v2_slice_t  *s;

    s = malloc(V2_BUF_SLICES * sizeof(v2_slice_t));
    if (s == NULL) {
        return NULL;
    }

    for (i = 0; i < V2_BUF_SLICES; i++) {
        s[i].next = i + 1 < V2_BUF_SLICES ? &s[i + 1] : NULL;
    }

    return s;
}


v2_buf_t *
v2_buf_by_id(unsigned group, unsigned id)
{
    v2_assert(group < V2_BUF_GROUPS && id < v2_buf_groups[group].made);

    return &v2_buf_groups[group].bufs[id];
}


uint32_t
v2_buf_size(unsigned group)
{
    return v2_buf_groups[group].size;
}


uint32_t
v2_buf_free_n(unsigned group)
{
    return v2_buf_groups[group].count - v2_buf_groups[group].used;
}


uint32_t
v2_buf_count(unsigned group)
{
    return v2_buf_groups[group].count;
}


size_t
v2_buf_mem_bytes(void)
{
    return v2_buf_mem_total;
}


void
v2_buf_trim(void)
{
    unsigned  i;

    for (i = 0; i < V2_BUF_GROUPS; i++) {
        v2_buf_trim_group(&v2_buf_groups[i]);
    }
}


/* Neighbours that are cold together are dropped in one call: pages which two
 * small buffers share go too. */

static void
v2_buf_trim_group(v2_buf_group_t *g)
{
    int        dirty;
    uint32_t   i, from;
    v2_buf_t  *b;

    from = 0;
    dirty = 0;

    for (i = 0; i < g->made; i++) {
        b = &g->bufs[i];

        if (b->refs != 0 || b->hot) {
            b->hot = 0;

            if (dirty) {
                v2_buf_drop_pages(g, from, i);
            }

            from = i + 1;
            dirty = 0;
            continue;
        }

        dirty |= !b->clean;
        b->clean = 1;
    }

    if (dirty) {
        v2_buf_drop_pages(g, from, i);
    }
}


static void
v2_buf_drop_pages(v2_buf_group_t *g, uint32_t from, uint32_t to)
{
    size_t    skip, len;
    uint8_t  *p;

    p = g->mem + (size_t) g->stride * from;
    len = (size_t) g->stride * (to - from);
    skip = (size_t) (-(uintptr_t) p & (V2_BUF_PAGE - 1));

    if (len >= skip + V2_BUF_PAGE) {
        (void) madvise(p + skip, (len - skip) & ~(size_t) (V2_BUF_PAGE - 1),
                       MADV_DONTNEED);
    }
}
