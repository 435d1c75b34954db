/* The ring of recent addresses of one worker. v2_recent_add runs in the worker
 * that owns the row block, v2_recent_each in the panel process.
 *
 * Invariants
 *  1. seq is odd exactly while an entry is written; a reader takes a copy only
 *     if seq was even and the same before and after. A worker that died while
 *     it wrote leaves an odd one, and its block is not read any more.
 *  2. newest[] and prev are hints: what they lead to is believed only if its
 *     account is the one looked for. The walk is bounded, so a circle that
 *     overwriting has made does no harm.
 *  3. recent_n only grows; entries below it have been written once. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_recent.h"

#define V2_RECENT_WALK      4           /* addresses of one account */

static uint32_t v2_recent_find(v2_shm_rows_t *rows,
    const v2_shm_recent_t *entry);
static uint32_t v2_recent_slot(v2_shm_rows_t *rows, uint32_t now);
static void v2_recent_store(v2_shm_recent_t *e, const v2_shm_recent_t *entry,
    uint32_t prev);


void
v2_recent_add(v2_shm_rows_t *rows, const v2_shm_recent_t *entry, uint32_t now)
{
    uint32_t          i, prev, n;
    v2_shm_recent_t  *e;

    i = v2_recent_find(rows, entry);

    if (i != V2_NONE) {
        e = &rows->recent[i];

        if (e->last < entry->last) {
            v2_recent_store(e, entry, e->prev);
        }

        return;
    }

    i = v2_recent_slot(rows, now);
    e = &rows->recent[i];

    prev = rows->newest[entry->account];

    if (prev == i + 1) {
        prev = e->prev;
    }

    v2_recent_store(e, entry, prev);
    rows->newest[entry->account] = i + 1;

    n = atomic_load_explicit(&rows->recent_n, memory_order_relaxed);

    if (i == n) {
        atomic_store_explicit(&rows->recent_n, n + 1, memory_order_release);
    }
}


void
v2_recent_each(const v2_shm_rows_t *rows, uint32_t since, v2_recent_pt each,
    void *owner)
{
    uint32_t                i, n, seq;
    v2_shm_recent_t         copy;
    const v2_shm_recent_t  *e;

    n = atomic_load_explicit(&rows->recent_n, memory_order_acquire);

    for (i = 0; i < v2_min(n, V2_SHM_RECENT); i++) {
        e = &rows->recent[i];
        seq = atomic_load_explicit(&e->seq, memory_order_acquire);

        if (seq & 1) {
            continue;
        }

        copy.account = e->account;
        copy.gen = e->gen;
        copy.last = e->last;
        copy.addr = e->addr;

        atomic_thread_fence(memory_order_acquire);

        if (atomic_load_explicit(&e->seq, memory_order_relaxed) == seq
            && copy.last >= since)
        {
            each(owner, &copy);
        }
    }
}


static uint32_t
v2_recent_find(v2_shm_rows_t *rows, const v2_shm_recent_t *entry)
{
    uint32_t                i, n;
    const v2_shm_recent_t  *e;

    i = rows->newest[entry->account];

    for (n = 0; n < V2_RECENT_WALK; n++) {

        if (i == 0 || i > V2_SHM_RECENT) {
            break;
        }

        e = &rows->recent[i - 1];

        if (e->account != entry->account) {
            break;
        }

        if (v2_gen_life(e->gen) == v2_gen_life(entry->gen)
            && v2_addr_same_ip(&e->addr, &entry->addr))
        {
            return i - 1;
        }

        i = e->prev;
    }

    return V2_NONE;
}


static uint32_t
v2_recent_slot(v2_shm_rows_t *rows, uint32_t now)
{
    uint32_t  i, n;

    n = atomic_load_explicit(&rows->recent_n, memory_order_relaxed);
    i = rows->recent_at;

    if (n < V2_SHM_RECENT
        && (i >= n || now - rows->recent[i].last <= V2_RECENT_KEEP))
    {
        return n;
    }

    rows->recent_at = i + 1 < n ? i + 1 : 0;

    return i;
}


static void
v2_recent_store(v2_shm_recent_t *e, const v2_shm_recent_t *entry,
    uint32_t prev)
{
    uint32_t  seq;

    seq = atomic_load_explicit(&e->seq, memory_order_relaxed);

    atomic_store_explicit(&e->seq, seq + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);

    e->account = entry->account;
    e->gen = entry->gen;
    e->last = entry->last;
    e->addr = entry->addr;
    e->prev = prev;

    atomic_store_explicit(&e->seq, seq + 2, memory_order_release);
}
