/* The map of the writer of users: linear probing, at most three quarters full,
 * deletion moves entries back, so that there are no tombstones. Runs in the
 * panel process.
 *
 * Invariants
 *  1. Between the place that a hash names and the entry that has it there is
 *     no empty entry.
 *  2. The hash is kept whole, so growing asks nobody for it. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_users_map.h"
#include "v2_log.h"

#define V2_MAP_FIRST        1024u

static uint32_t v2_map_walk(const v2_map_t *m, uint32_t hash, uint32_t *at);
static v2_int_t v2_map_grow(v2_map_t *m);
static void v2_map_store(v2_map_t *m, v2_map_entry_t e);


v2_int_t
v2_map_init(v2_map_t *m)
{
    memset(m, 0, sizeof(*m));

    return v2_map_grow(m);
}


void
v2_map_done(v2_map_t *m)
{
    free(m->entries);
    memset(m, 0, sizeof(*m));
}


uint32_t
v2_map_first(const v2_map_t *m, uint32_t hash, uint32_t *at)
{
    *at = hash & m->mask;

    return v2_map_walk(m, hash, at);
}


uint32_t
v2_map_next(const v2_map_t *m, uint32_t hash, uint32_t *at)
{
    *at = (*at + 1) & m->mask;

    return v2_map_walk(m, hash, at);
}


v2_int_t
v2_map_add(v2_map_t *m, uint32_t hash, uint32_t number)
{
    v2_map_entry_t  e = { hash, number + 1 };

    if (m->used >= m->mask / 4 * 3 && v2_map_grow(m) != V2_OK) {
        return V2_ERROR;
    }

    v2_map_store(m, e);
    m->used++;

    return V2_OK;
}


void
v2_map_del(v2_map_t *m, uint32_t hash, uint32_t number)
{
    uint32_t  hole, i, n;

    n = v2_map_first(m, hash, &hole);

    while (n != number) {

        if (n == V2_NONE) {
            v2_assert(!"an entry that is not there");
            return;
        }

        n = v2_map_next(m, hash, &hole);
    }

    /* an entry may move back to the hole unless its place lies behind it */

    for (i = (hole + 1) & m->mask; m->entries[i].ref != 0;
         i = (i + 1) & m->mask)
    {
        if (((i - m->entries[i].tag) & m->mask) >= ((i - hole) & m->mask)) {
            m->entries[hole] = m->entries[i];
            hole = i;
        }
    }

    m->entries[hole].ref = 0;
    m->used--;
}


static uint32_t
v2_map_walk(const v2_map_t *m, uint32_t hash, uint32_t *at)
{
    uint32_t               i;
    const v2_map_entry_t  *e;

    for (i = *at; ; i = (i + 1) & m->mask) {
        e = &m->entries[i];

        if (e->ref == 0) {
            return V2_NONE;
        }

        if (e->tag == hash) {
            *at = i;
            return e->ref - 1;
        }
    }
}


static v2_int_t
v2_map_grow(v2_map_t *m)
{
    uint32_t   i;
    v2_map_t   old = *m;

    m->mask = old.entries ? old.mask * 2 + 1 : V2_MAP_FIRST - 1;
    m->entries = calloc((size_t) m->mask + 1, sizeof(v2_map_entry_t));

    if (m->entries == NULL) {
        v2_log(V2_LOG_ERR, NULL, errno, "no memory for a map of %u users",
               m->mask);
        *m = old;
        return V2_ERROR;
    }

    for (i = 0; old.entries && i <= old.mask; i++) {
        if (old.entries[i].ref != 0) {
            v2_map_store(m, old.entries[i]);
        }
    }

    free(old.entries);

    return V2_OK;
}


static void
v2_map_store(v2_map_t *m, v2_map_entry_t e)
{
    uint32_t  i;

    for (i = e.tag & m->mask; m->entries[i].ref != 0; i = (i + 1) & m->mask) {
        /* void */
    }

    m->entries[i] = e;
}
