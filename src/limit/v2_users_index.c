/* The index of keys: open addressing with linear probing in one of the tables
 * of v2_shm.h. v2_index_find runs in workers, without a lock and beside the
 * writer; the rest in the panel process, the only writer.
 *
 * Word: the upper 32 bits are those of the hash (tag), the lower 32 bits are
 * key number + 2; 0 is empty and ends a search, 1 is a tombstone.
 *
 * Invariants
 *  1. A word goes 0 -> key -> 1 -> key and so on; a key's word never moves. A
 *     search that began may miss nothing that was there when it began.
 *  2. At most 70 % of the words are not 0, so that a search is short and ends.
 *  3. A table that readers left at the switch keeps its content until grace
 *     has passed; index_mask says that it is in use till its pages are zero.
 *  4. The record decides, not the word: state, node and bytes are compared.
 *     A word that a crash left is therefore a longer search and no more. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_users_index.h"
#include "v2_flat.h"
#include "v2_log.h"

#define V2_WORD_EMPTY       UINT64_C(0)
#define V2_WORD_DEAD        UINT64_C(1)
#define V2_WORD_KEY         2

#define V2_INDEX_SPARSE     16          /* words a key: time to shrink */

#define v2_word_make(hash, k) \
    (((hash) & ~(uint64_t) UINT32_MAX) | ((uint64_t) (k) + V2_WORD_KEY))

static uint64_t v2_index_word(const v2_shm_t *shm, uint32_t t, uint32_t i);
static uint32_t v2_index_match(const v2_shm_t *shm, uint64_t word,
    uint64_t hash);
static void v2_index_repair(v2_index_t *ix, uint32_t t);
static uint32_t v2_index_place(v2_index_t *ix, uint32_t k);
static v2_int_t v2_index_build(v2_index_t *ix, uint32_t want);
static uint32_t v2_index_table(v2_index_t *ix, uint32_t want);
static void v2_index_store(v2_index_t *ix, uint32_t t, uint32_t k);
static void v2_index_reclaim(v2_index_t *ix);


uint64_t
v2_index_hash(const v2_shm_t *shm, uint32_t node, const uint8_t *cred,
    unsigned len)
{
    return v2_hash64(cred, len, shm->seed + node);
}


uint32_t
v2_index_find(const v2_shm_t *shm, uint32_t node, const uint8_t *cred,
    unsigned len)
{
    uint32_t          t, k, i, n, mask;
    uint64_t          hash, word;
    const v2_key_t   *key;

    t = atomic_load_explicit(&shm->index, memory_order_acquire);
    if (t >= V2_SHM_TABLES) {
        return V2_NONE;
    }

    mask = atomic_load_explicit(&shm->index_mask[t], memory_order_acquire);
    if (mask != v2_shm_table_words(t) - 1) {
        return V2_NONE;
    }

    hash = v2_index_hash(shm, node, cred, len);

    for (i = (uint32_t) hash & mask, n = 0; n <= mask; n++) {
        word = v2_index_word(shm, t, i);

        if (word == V2_WORD_EMPTY) {
            break;
        }

        k = v2_index_match(shm, word, hash);

        if (k != V2_NONE) {
            key = v2_shm_key(shm, k);

            if (key->node == node && key->len == len
                && memcmp(key->cred, cred, len) == 0)
            {
                return k;
            }
        }

        i = (i + 1) & mask;
    }

    return V2_NONE;
}


/* What the process before this one left in the current table may be half of a
 * change: it is put right in place, since readers are in it. Any other table
 * may still have readers and waits for grace. */

v2_int_t
v2_index_open(v2_index_t *ix, v2_shm_t *shm)
{
    uint32_t  t, k, n;
    uint64_t  e;

    memset(ix, 0, sizeof(*ix));
    ix->shm = shm;

    e = v2_shm_epoch_next(shm);

    for (t = 0; t < V2_SHM_TABLES; t++) {
        if (atomic_load(&shm->index_mask[t]) != 0
            && t != atomic_load(&shm->index))
        {
            ix->retired[t] = e;
        }
    }

    v2_index_reclaim(ix);

    t = atomic_load(&shm->index) % V2_SHM_TABLES;
    n = v2_min(atomic_load(&shm->keys_n), V2_SHM_KEYS);

    if (atomic_load(&shm->index_mask[t]) == 0) {
        return v2_index_build(ix, n);
    }

    v2_index_repair(ix, t);

    for (k = 0; k < n; k++) {
        if (atomic_load(&v2_shm_key(shm, k)->state) == V2_REC_LIVE
            && v2_index_place(ix, k) == V2_NONE
            && v2_index_add(ix, k) != V2_OK)
        {
            return V2_ERROR;
        }
    }

    return V2_OK;
}


v2_int_t
v2_index_add(v2_index_t *ix, uint32_t k)
{
    uint32_t  t, words;

    t = atomic_load_explicit(&ix->shm->index, memory_order_relaxed);
    words = v2_shm_table_words(t);

    /* the new table is made of all LIVE keys, so k is in it already */

    if (ix->live + ix->dead + 1 > words / 10 * 7) {
        return v2_index_build(ix, ix->live + 1);
    }

    v2_index_store(ix, t, k);

    return V2_OK;
}


void
v2_index_del(v2_index_t *ix, uint32_t k)
{
    uint32_t  i, t;

    i = v2_index_place(ix, k);

    if (i != V2_NONE) {
        t = atomic_load_explicit(&ix->shm->index, memory_order_relaxed);
        atomic_store_explicit(&v2_shm_words(ix->shm, t)[i], V2_WORD_DEAD,
                              memory_order_release);
        ix->live--;
        ix->dead++;
    }
}


/* When many users went away, the table that they filled is not needed. */

void
v2_index_sweep(v2_index_t *ix)
{
    uint32_t  words;

    v2_index_reclaim(ix);

    words = v2_shm_table_words(atomic_load(&ix->shm->index));

    if (words > v2_shm_table_words(0) && ix->live < words / V2_INDEX_SPARSE) {
        (void) v2_index_build(ix, ix->live);
    }
}


static uint64_t
v2_index_word(const v2_shm_t *shm, uint32_t t, uint32_t i)
{
    return atomic_load_explicit(&v2_shm_words(shm, t)[i],
                                memory_order_acquire);
}


static uint32_t
v2_index_match(const v2_shm_t *shm, uint64_t word, uint64_t hash)
{
    uint32_t  k;

    if ((word ^ hash) >> 32 != 0 || (uint32_t) word < V2_WORD_KEY) {
        return V2_NONE;
    }

    k = (uint32_t) word - V2_WORD_KEY;

    if (k >= V2_SHM_KEYS
        || atomic_load_explicit(&v2_shm_key(shm, k)->state,
                                memory_order_acquire) != V2_REC_LIVE)
    {
        return V2_NONE;
    }

    return k;
}


/* Counts table t, and tombstones what is no LIVE key's word. */

static void
v2_index_repair(v2_index_t *ix, uint32_t t)
{
    uint32_t   i, k;
    uint64_t   word;
    v2_shm_t  *shm = ix->shm;

    for (i = 0; i < v2_shm_table_words(t); i++) {
        word = v2_index_word(shm, t, i);

        if (word == V2_WORD_EMPTY) {
            continue;
        }

        k = v2_index_match(shm, word, word);

        if (k != V2_NONE && word == v2_word_make(v2_shm_key(shm, k)->hash, k))
        {
            ix->live++;
            continue;
        }

        atomic_store_explicit(&v2_shm_words(shm, t)[i], V2_WORD_DEAD,
                              memory_order_release);
        ix->dead++;
    }
}


/* Where key k stands in the current table, or V2_NONE. */

static uint32_t
v2_index_place(v2_index_t *ix, uint32_t k)
{
    uint32_t   t, i, n, mask;
    uint64_t   hash, word;

    t = atomic_load_explicit(&ix->shm->index, memory_order_relaxed);
    mask = v2_shm_table_words(t) - 1;
    hash = v2_shm_key(ix->shm, k)->hash;

    for (i = (uint32_t) hash & mask, n = 0; n <= mask; n++) {
        word = v2_index_word(ix->shm, t, i);

        if (word == V2_WORD_EMPTY) {
            break;
        }

        if (word == v2_word_make(hash, k)) {
            return i;
        }

        i = (i + 1) & mask;
    }

    return V2_NONE;
}


/* A table for at least `want` keys, from all that are LIVE; then readers are
 * switched to it. Until the next epoch some still search the old one, which
 * changes no more: a key that is taken away meanwhile is not LIVE. */

static v2_int_t
v2_index_build(v2_index_t *ix, uint32_t want)
{
    uint32_t   t, k, n, old;
    v2_shm_t  *shm = ix->shm;

    t = v2_index_table(ix, want);

    if (t == V2_SHM_TABLES) {
        v2_log(V2_LOG_ALERT, NULL, 0, "no room for an index of %u keys", want);
        return V2_ERROR;
    }

    atomic_store(&shm->index_mask[t], v2_shm_table_words(t) - 1);

    ix->live = 0;
    ix->dead = 0;
    n = v2_min(atomic_load(&shm->keys_n), V2_SHM_KEYS);

    for (k = 0; k < n; k++) {
        if (atomic_load_explicit(&v2_shm_key(shm, k)->state,
                                 memory_order_relaxed) == V2_REC_LIVE)
        {
            v2_index_store(ix, t, k);
        }
    }

    old = atomic_load(&shm->index) % V2_SHM_TABLES;
    atomic_store(&shm->index, t);

    if (old != t && atomic_load(&shm->index_mask[old]) != 0) {
        ix->retired[old] = v2_shm_epoch_next(shm);
    }

    return V2_OK;
}


/* The smallest table at rest that `want` keys fill to at most 35 %, so that as
 * many again can follow. In need, one that they fill to 70 %. */

static uint32_t
v2_index_table(v2_index_t *ix, uint32_t want)
{
    uint32_t   t, percent;
    v2_shm_t  *shm = ix->shm;

    v2_index_reclaim(ix);

    for (percent = 35; percent <= 70; percent += 35) {

        for (t = 0; t < V2_SHM_TABLES; t++) {
            if (atomic_load(&shm->index_mask[t]) == 0
                && want <= v2_shm_table_words(t) / 100 * percent)
            {
                return t;
            }
        }
    }

    return V2_SHM_TABLES;
}


static void
v2_index_store(v2_index_t *ix, uint32_t t, uint32_t k)
{
    uint32_t         i, mask;
    uint64_t         word;
    const v2_key_t  *key;

    key = v2_shm_key(ix->shm, k);
    mask = v2_shm_table_words(t) - 1;
    i = (uint32_t) key->hash & mask;

    for ( ;; ) {
        word = v2_index_word(ix->shm, t, i);

        if (word == V2_WORD_EMPTY || word == V2_WORD_DEAD) {
            break;
        }

        i = (i + 1) & mask;
    }

    ix->live++;
    ix->dead -= word == V2_WORD_DEAD;

    atomic_store_explicit(&v2_shm_words(ix->shm, t)[i],
                          v2_word_make(key->hash, k), memory_order_release);
}


static void
v2_index_reclaim(v2_index_t *ix)
{
    uint32_t   t;
    uint64_t   seen;
    v2_shm_t  *shm = ix->shm;

    seen = v2_shm_epoch_seen(shm);

    for (t = 0; t < V2_SHM_TABLES; t++) {

        if (ix->retired[t] != 0 && ix->retired[t] <= seen) {
            v2_shm_wipe(shm, shm->words[t], sizeof(v2_a64_t)
                                            * v2_shm_table_words(t));
            atomic_store_explicit(&shm->index_mask[t], 0,
                                  memory_order_release);
            ix->retired[t] = 0;
        }
    }
}
