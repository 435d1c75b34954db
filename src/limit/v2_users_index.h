/* The index of keys: (node, credential) to a live key record. Readers call
 * v2_index_hash and v2_index_find; all else is the writer's. */

#ifndef V2_USERS_INDEX_H
#define V2_USERS_INDEX_H

#include "v2_shm.h"

/* The writer's private part. */
typedef struct {
    v2_shm_t   *shm;
    uint32_t    live;                       /* keys in the current table */
    uint32_t    dead;                       /* tombstones in it */
    uint64_t    retired[V2_SHM_TABLES];     /* epoch to wait for, 0: not */
} v2_index_t;

uint64_t  v2_index_hash(const v2_shm_t *shm, uint32_t node,
    const uint8_t *cred, unsigned len);

/* The number of the live key of this credential, or V2_NONE. A worker calls
 * it within a turn and uses the answer within the same turn. */
uint32_t  v2_index_find(const v2_shm_t *shm, uint32_t node,
    const uint8_t *cred, unsigned len);

/* Takes over what is in shared memory: puts right what a death left half done,
 * so that exactly the keys that are LIVE have words. V2_ERROR: no room for a
 * table (logged). */
v2_int_t  v2_index_open(v2_index_t *ix, v2_shm_t *shm);

/* Key k is LIVE and not in the index yet: makes it findable, in a bigger table
 * if it must. V2_ERROR: no room (logged), nothing changed. */
v2_int_t  v2_index_add(v2_index_t *ix, uint32_t k);

/* Tombstones key k, if it is there. */
void      v2_index_del(v2_index_t *ix, uint32_t k);

/* Gives back the tables that no reader can be in any more. */
void      v2_index_sweep(v2_index_t *ix);

#endif
